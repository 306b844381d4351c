"""The pages that people see: plain HTML that works without scripts, with everything that is shown escaped. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from urllib.parse import urlsplit

from hilum.app.smart.consents import Given
from hilum.app.smart.records import SECOND, App, User
from hilum.app.smart.words import sorts_of
from hilum.safeguards import Person, Scopes

__all__ = ["STYLE", "account", "consent", "login", "patients", "problem", "signed_out", "sorts_of"]

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
button.link { border: 0; background: none; padding: 0; margin: 0; color: inherit; text-decoration: underline }
section { border-top: 1px solid; margin-top: 1.5rem }
h2 { font-size: 1.1rem }
small { display: block; opacity: .8 }
""".strip()


def login(app: App | None, sealed: str, *, told: str = "", name: str = "", provider: str = "") -> str:
    """Where a person signs in, for an app or (None) for their own page.

    `told` says why they see it again; `provider` names another place to sign in.
    """
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
    why = f"{escape(app.title)} asks to see health data for you." if app else "See which apps may see your health data."
    return _page("Sign in", f"<p>{why}</p>{warned}{forms}")


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


def consent(app: App, user: User, scopes: Scopes, sealed: str, *, redirect: str, patient: str = "") -> str:
    """Where a person ticks what an app may do. What is posted back is places in the list, never scopes."""
    is_own = user.person is Person.PATIENT
    lines = [
        f'<label class="choice"><input type="checkbox" name="scope" value="{at}" checked> '
        f"<span>{escape(words)}<small>{escape(scope)}</small></span></label>"
        for at, (scope, words) in enumerate(sorts_of(scopes, is_own=is_own))
    ]
    whose = "Your record" if is_own else "The patient"
    about = f"<p>{whose}: <strong>{escape(patient)}</strong></p>" if patient else ""
    body = (
        f'<form method="post" action="consent">{_hidden(sealed)}'
        f"<p>You are signed in as <strong>{escape(user.name)}</strong>. "
        '<button class="link" name="decision" value="switch">Not you?</button></p></form>'
        f'<form method="post" action="consent">{_hidden(sealed)}{about}'
        f"<p>{escape(app.title)} asks for what is listed here. Untick what you do not want to give it.</p>"
        f"<fieldset><legend>{escape(app.title)} may</legend>{''.join(lines)}</fieldset>"
        '<button class="main" name="decision" value="allow">Allow</button>'
        '<button name="decision" value="deny">Do not allow</button></form>'
        f"<p>Either way you go back to {escape(_place(redirect))}. What you allow here you can end at any time: "
        '<a href="account">apps that you let in</a>.</p>'
    )
    return _page(f"Allow {app.title}?", body)


def account(user: User, given: Sequence[Given], sealed: str) -> str:
    """Which apps may do what for this person, each with a way to end it."""
    is_own = user.person is Person.PATIENT
    what = "see your data" if is_own else "act for you"
    parts = "".join(_allowed(one, sealed, is_own=is_own) for one in given)
    body = (
        f'<form method="post" action="account">{_hidden(sealed)}'
        f"<p>You are signed in as <strong>{escape(user.name)}</strong>. "
        '<button class="link" name="decision" value="sign-out">Sign out</button></p></form>'
        f"{parts or f'<p>No app may {what}.</p>'}"
    )
    return _page(f"Apps that may {what}", body)


def _allowed(one: Given, sealed: str, *, is_own: bool) -> str:
    words = "".join(f"<li>{escape(said)}</li>" for _, said in sorts_of(one.scopes, is_own=is_own))
    return (
        f"<section><h2>{escape(one.title)}</h2><p>Since {_day(one.since)}, until {_day(one.until)}. It may</p>"
        f'<ul>{words}</ul><form method="post" action="account">{_hidden(sealed)}'
        f'<input type="hidden" name="app" value="{escape(one.app)}">'
        f'<button name="decision" value="end">End access of {escape(one.title)}</button></form></section>'
    )


def signed_out() -> str:
    """After signing out."""
    text = "Apps that you allowed to go on without you may still do so."
    return _page(
        "You are signed out", f'<p role="status">{text} <a href="account">Sign in</a> to see and end them.</p>'
    )


def problem(text: str) -> str:
    """What went wrong, where no app can be told."""
    return _page("This did not work", _told(text))


def _place(redirect: str) -> str:
    """Where an answer goes, as people know it: the host, or the scheme of an app on their device."""
    parts = urlsplit(redirect)
    return parts.netloc or f"the app on this device ({parts.scheme})"


def _day(at: int) -> str:
    """Microseconds since 1970 -> a day, UTC."""
    written = datetime.fromtimestamp(at // SECOND, UTC).date().isoformat()
    return f'<time datetime="{written}">{written}</time>'


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
