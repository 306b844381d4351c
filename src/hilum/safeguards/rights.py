"""What a caller may do to resources of a type: the one decision that the API compiles into searches and look-ups.

A scope alone decides nothing: `patient/` is about the patient in context, `user/` about what the person who signed in
may see, `system/` about programs that act for nobody. A patient who signs in sees their own record under any scope.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from hilum.safeguards.scopes import Interaction, Level, ResourceScope, Term

__all__ = ["SHARED_TYPES", "Allowance", "Person", "Rights", "allowances"]

# Not about any patient: what a record refers to, and what an app needs to show it. To be read only.
SHARED_TYPES = frozenset(
    {
        "CodeSystem",
        "Endpoint",
        "HealthcareService",
        "InsurancePlan",
        "Location",
        "Medication",
        "Organization",
        "OrganizationAffiliation",
        "Practitioner",
        "PractitionerRole",
        "Questionnaire",
        "StructureDefinition",
        "ValueSet",
    }
)


class Person(StrEnum):
    """Who signed in."""

    NOBODY = "nobody"  # a program by itself
    PATIENT = "patient"  # sees their own record
    PRACTITIONER = "practitioner"  # sees the records of all patients


class Rights(Struct, frozen=True):
    """What an access token stands for. `patient`: id of the patient in context; `own`: of the patient who signed in."""

    scopes: tuple[ResourceScope, ...]
    patient: str = ""
    person: Person = Person.NOBODY
    own: str = ""


class Allowance(Struct, frozen=True):
    """Resources of this patient ("": of any) that meet all terms; those of a type are or'ed."""

    patient: str = ""
    terms: tuple[Term, ...] = ()


EVERYTHING = Allowance()


def allowances(rights: Rights, type_: str, interaction: Interaction) -> tuple[Allowance, ...]:
    """What may be done so to resources of this type. (): nothing. Raises nothing: what is not allowed is refused."""
    found: list[Allowance] = []
    for scope in rights.scopes:
        if scope.allows(interaction, type_):
            whose = _whose(rights, scope.level)
            if whose is not None:
                found.append(Allowance(whose, scope.terms))
    return (EVERYTHING,) if EVERYTHING in found else tuple(dict.fromkeys(found))


def _whose(rights: Rights, level: Level) -> str | None:
    """The patient that a level is about; "" for anybody; None: this token has nothing at that level."""
    if level is Level.SYSTEM:
        return "" if rights.person is Person.NOBODY else None
    if rights.person is Person.NOBODY:
        return None
    mine = rights.own if rights.person is Person.PATIENT else ""
    if rights.person is Person.PATIENT and not mine:
        return None
    if level is Level.USER:
        return mine
    if not rights.patient or (mine and mine != rights.patient):
        return None
    return rights.patient
