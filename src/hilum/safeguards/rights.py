"""What a caller may do to resources of a type: the one decision that the API compiles into searches and look-ups.

A scope alone decides nothing: `patient/` is about the patient in context, `user/` about what the person who signed in
may see, `system/` about programs that act for nobody. A patient who signs in sees their own record under any scope; a
practitioner those of the patients in their care, where the folder says so.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from hilum.safeguards.scopes import Interaction, Level, ResourceScope, Term

__all__ = ["DECIDING_TYPES", "SHARED_TYPES", "SUPPORTING_TYPES", "Allowance", "Person", "Rights", "allowances"]

# What a record refers to outside of every compartment (Bulk Data Access IG 2.0, "Group of Patients").
SUPPORTING_TYPES = frozenset(
    {
        "Endpoint",
        "HealthcareService",
        "InsurancePlan",
        "Location",
        "Medication",
        "Organization",
        "OrganizationAffiliation",
        "Practitioner",
        "PractitionerRole",
    }
)

# Not about any patient: these, and what an app needs to show a record. To be read only.
SHARED_TYPES = SUPPORTING_TYPES | {"CodeSystem", "Questionnaire", "StructureDefinition", "ValueSet"}

# What says whose care a patient is in: not written by those whom it limits, or they would let themselves in.
DECIDING_TYPES = frozenset({"Appointment", "CareTeam", "Encounter", "EpisodeOfCare"})


class Person(StrEnum):
    """Who signed in."""

    NOBODY = "nobody"  # a program by itself
    PATIENT = "patient"  # sees their own record
    PRACTITIONER = "practitioner"  # sees the records of all patients, or of those in their care


class Rights(Struct, frozen=True):
    """What an access token stands for.

    `patient`: id of the patient in context; `own`: of the record of who signed in; `panel`: ids of the patients in the
    care of a practitioner who is limited to them, None for one who is not.
    """

    scopes: tuple[ResourceScope, ...]
    patient: str = ""
    person: Person = Person.NOBODY
    own: str = ""
    panel: frozenset[str] | None = None


class Allowance(Struct, frozen=True):
    """Resources of these patients (None: of any) that meet all terms; those of a type are or'ed."""

    patients: frozenset[str] | None = None
    terms: tuple[Term, ...] = ()


EVERYTHING = Allowance()
_LOOKING = (Interaction.READ, Interaction.SEARCH)


def allowances(rights: Rights, type_: str, interaction: Interaction) -> tuple[Allowance, ...]:
    """What may be done so to resources of this type. (): nothing. Raises nothing: what is not allowed is refused."""
    if rights.panel is not None and type_ in DECIDING_TYPES and interaction not in _LOOKING:
        return ()
    found: list[Allowance] = []
    for scope in rights.scopes:
        if scope.allows(interaction, type_):
            whose = _whose(rights, scope.level)
            if whose is not None:
                found.append(Allowance(whose.patients, scope.terms))
    return (EVERYTHING,) if EVERYTHING in found else tuple(dict.fromkeys(found))


def _whose(rights: Rights, level: Level) -> Allowance | None:
    """The patients that a level is about; None: this token has nothing at that level."""
    if (level is Level.SYSTEM) != (rights.person is Person.NOBODY):
        return None
    if rights.person is Person.NOBODY:
        return EVERYTHING
    if rights.person is Person.PATIENT and not rights.own:
        return None
    mine = frozenset({rights.own}) if rights.person is Person.PATIENT else rights.panel
    if level is Level.USER:
        return Allowance(mine)
    if not rights.patient or (mine is not None and rights.patient not in mine):
        return None
    return Allowance(frozenset({rights.patient}))
