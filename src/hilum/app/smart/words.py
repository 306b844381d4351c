"""Scopes in people's words. Pure."""

from __future__ import annotations

from hilum.safeguards import Interaction, Level, ResourceScope, Scopes, print_scope

__all__ = ["scope_words", "sorts_of"]


def sorts_of(scopes: Scopes, *, is_own: bool) -> list[tuple[str, str]]:
    """What can be ticked: each scope and its words. What only says how the app was started is no choice.

    `is_own`: a patient reads it, of their own record.
    """
    plain = [(word, _PLAIN[word]) for word in scopes.plain if word in _PLAIN]
    return plain + [(print_scope(one), scope_words(one, is_own=is_own)) for one in scopes.resources]


def scope_words(scope: ResourceScope, *, is_own: bool) -> str:
    """A scope in words."""
    verbs = [word for verb, word in _VERBS.items() if verb.value in scope.verbs]
    if {"read", "search"} <= set(verbs):
        verbs = ["see", *(word for word in verbs if word not in ("read", "search"))]
    what = "whole health record" if scope.type == "*" else _TYPES.get(scope.type) or _spaced(scope.type)
    about = "this patient" if scope.level is Level.PATIENT else "all patients"
    only = "; ".join(f"{name} is {' or '.join(map(_code, values))}" for name, values in scope.terms)
    shown = f"your {what}" if is_own else f"the {what} of {about}"
    return f"{_listed(verbs)} {shown}{f', only where {only}' if only else ''}"


_PLAIN = {
    "openid": "know that it is you",
    "fhirUser": "know which record of the hospital is yours",
    "profile": "know which record of the hospital is yours (profile)",
    "offline_access": "go on when you are not using it, until you or the hospital end it",
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


def _listed(words: list[str]) -> str:
    """`see, add and change`."""
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]
