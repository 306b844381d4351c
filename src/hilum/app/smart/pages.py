"""The pages that people see: plain HTML that works without scripts, with everything that is shown escaped. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from hilum.app.smart.records import App, User
from hilum.safeguards import Interaction, Level, ResourceScope, Scopes, print_scope

__all__ = ["STYLE", "consent", "login", "patients", "problem", "scope_words", "sorts_of"]

STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
body { max-width: 34rem; margin: 4vh auto; padding: 0 1rem }
h1 { font-size: 1.4rem; line-height: 1.25 }
label { display: block; margin: 1rem 0 .25rem; font-weight: 600 }
input[type=text], input[type=password], input[type=search] {
  width: 100%; box-sizing: border-box; font: inherit; padding: .5rem; border: 1px solid; border-radius: .25rem }
fieldset { min-width: 0; overflow-wrap: anywhere; border: 1px solid; border-radius: .25rem; margin: 1rem 0 }
fieldset { padding: .5rem 1rem }
.choice { display: flex; gap: .6rem; align-items: baseline; font-weight: 400; margin: .4rem 0 }
button { font: inherit; padding: .6rem 1.2rem; margin: 1rem .6rem 0 0; border-radius: .25rem; border: 1px solid }
button.main { background: #0b57a4; border-color: #0b57a4; color: #fff }
:focus-visible { outline: 3px solid #f5a623; outline-offset: 2px }
.told { border-left: .3rem solid #b3261e; padding: .5rem 1rem }
small { display: block; opacity: .8 }
""".strip()


def login(app: App, sealed: str, *, told: str = "", name: str = "", provider: str = "") -> str:
    """Where a person signs in. `told` says why they see it again; `provider` names another place to sign in."""
    warned = _told(told) if told else ""
    own = (
        f'<form method="post" action="login">{_hidden(sealed)}'
        '<label for="name">User name</label>'
        '<input id="name" name="name" type="text" autocomplete="username" autocapitalize="none" spellcheck="false" '
        f'maxlength="64" required value="{escape(name)}"{"" if name else " autofocus"}>'
        '<label for="password">Password</label>'
        '<input id="password" name="password" type="password" autocomplete="current-password" maxlength="1024" '
        f"required{' autofocus' if name else ''}>"
        '<button class="main">Sign in</button></form>'
    )
    other = (
        f'<form method="post" action="provider">{_hidden(sealed)}'
        f'<button class="main">Sign in with {escape(provider)}</button></form>'
    )
    forms = (other if provider else "") + own
    return _page("Sign in", f"<p>{escape(app.title)} asks to see health data for you.</p>{warned}{forms}")


def patients(app: App, sealed: str, found: Sequence[tuple[str, str]] | None, looked_for: str = "") -> str:
    """Where a practitioner says which patient it is about. `found`: ids and how they are shown; None: not looked."""
    search = (
        f'<form method="post" action="patient">{_hidden(sealed)}'
        '<label for="q">Name or number of the patient</label>'
        '<input id="q" name="q" type="search" autocomplete="off" maxlength="100" required '
        f'value="{escape(looked_for)}">'
        "<button>Search</button></form>"
    )
    choices = "".join(
        f'<label class="choice"><input type="radio" name="patient" value="{escape(id_)}" required> '
        f"<span>{escape(shown)}</span></label>"
        for id_, shown in found or ()
    )
    chosen = (
        f'<form method="post" action="patient">{_hidden(sealed)}'
        f"<fieldset><legend>Which one?</legend>{choices}</fieldset>"
        '<button class="main">Go on</button></form>'
        if found
        else ('<p role="status">Nobody was found.</p>' if found is not None else "")
    )
    return _page("Choose a patient", f"<p>{escape(app.title)} works with one patient at a time.</p>{search}{chosen}")


def consent(app: App, user: User, scopes: Scopes, sealed: str, *, patient: str = "") -> str:
    """Where a person ticks what an app may do. What is posted back is places in the list, never scopes."""
    lines = [
        f'<label class="choice"><input type="checkbox" name="scope" value="{at}" checked> '
        f"<span>{escape(words)}<small>{escape(scope)}</small></span></label>"
        for at, (scope, words) in enumerate(sorts_of(scopes))
    ]
    about = f"<p>It is about the patient <strong>{escape(patient)}</strong>.</p>" if patient else ""
    body = (
        f"<p>You are signed in as <strong>{escape(user.name)}</strong>. {escape(app.title)} asks for what follows; "
        f"take away what it shall not have.</p>{about}"
        f'<form method="post" action="consent">{_hidden(sealed)}'
        f"<fieldset><legend>{escape(app.title)} may</legend>{''.join(lines)}</fieldset>"
        '<button class="main" name="decision" value="allow">Allow</button>'
        '<button name="decision" value="deny" formnovalidate>Do not allow</button></form>'
    )
    return _page(f"Allow {app.title}?", body)


def problem(text: str) -> str:
    """What went wrong, where no app can be told."""
    return _page("This did not work", _told(text))


def sorts_of(scopes: Scopes) -> list[tuple[str, str]]:
    """What can be ticked: each scope and its words. What only says how the app was started is no choice."""
    plain = [(word, _PLAIN[word]) for word in scopes.plain if word in _PLAIN]
    return plain + [(print_scope(one), scope_words(one)) for one in scopes.resources]


def scope_words(scope: ResourceScope) -> str:
    """A scope in words."""
    verbs = [word for verb, word in _VERBS.items() if verb.value in scope.verbs]
    if {"read", "search"} <= set(verbs):
        verbs = ["see", *(word for word in verbs if word not in ("read", "search"))]
    what = "all health data" if scope.type == "*" else _TYPES.get(scope.type) or _spaced(scope.type)
    whose = "of the patient" if scope.level is Level.PATIENT else "that you may see"
    only = "; ".join(f"{name} is {' or '.join(map(_code, values))}" for name, values in scope.terms)
    return f"{', '.join(verbs)}: {what} {whose}{f', only where {only}' if only else ''}"


_PLAIN = {
    "openid": "know that it is you",
    "fhirUser": "know which record of the hospital is yours",
    "profile": "know which record of the hospital is yours (profile)",
    "offline_access": "go on when you are not using it, until the app or the hospital ends it",
    "online_access": "go on while you are signed in",
}
_VERBS = {
    Interaction.READ: "read",
    Interaction.SEARCH: "search",
    Interaction.CREATE: "add",
    Interaction.UPDATE: "change",
    Interaction.DELETE: "delete",
}


_TYPES = {
    "AllergyIntolerance": "allergies",
    "Appointment": "appointments",
    "Condition": "diagnoses and problems",
    "Coverage": "insurance",
    "DiagnosticReport": "reports",
    "DocumentReference": "documents",
    "Encounter": "visits and stays",
    "Immunization": "vaccinations",
    "MedicationRequest": "prescriptions",
    "Observation": "results and measurements",
    "Patient": "name, birth date, address and numbers",
    "Procedure": "procedures",
}


def _code(value: str) -> str:
    """A code without its system, which the line below shows."""
    return value.rpartition("|")[2] or value


def _spaced(type_: str) -> str:
    """`AllergyIntolerance` -> `allergy intolerance`."""
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in type_).strip()


def _told(text: str) -> str:
    return f'<p class="told" role="alert">{escape(text[:1].upper() + text[1:])}.</p>'


def _hidden(sealed: str) -> str:
    return f'<input type="hidden" name="request" value="{escape(sealed)}">'


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="stylesheet" href="style.css"></head>'
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>"
    )
