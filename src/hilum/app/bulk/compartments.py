"""Whose a resource is, for exports of patients and groups: the compartment, and what its records refer to. Pure.

The same parameters decide here and in what a token may see, so that an export holds what a search with it finds.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from hilum import definitions
from hilum.formats import fhir
from hilum.repository import Stored

__all__ = ["OF_PATIENTS", "SUPPORTING", "belongs", "supporting"]

# Outside of every compartment, and needed to read what is inside (Bulk Data Access IG 2.0, "Group of Patients").
SUPPORTING = frozenset(
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


def belongs(stored: Stored, patients: frozenset[str] | None) -> bool:
    """Whether it is in the compartment of one of these patients, or of any."""
    if stored.type == "Patient":
        return patients is None or stored.id in patients
    numbers = _ties(stored.type)
    for number, target, _ in fhir.facts_of(stored.type, stored.body).references:
        type_, _, id_ = target.partition("/")
        if number in numbers and type_ == "Patient" and (patients is None or id_ in patients):
            return True
    return False


def supporting(stored: Stored) -> Iterator[str]:
    """What it refers to outside of compartments, as `Practitioner/d1`."""
    for _, target, _ in fhir.facts_of(stored.type, stored.body).references:
        if target.partition("/")[0] in SUPPORTING:
            yield target


@lru_cache(maxsize=256)
def _ties(type_: str) -> frozenset[int]:
    """The parameters by which a type belongs to a patient (R4 compartmentdefinition-patient.html), or its `patient`.

    A parameter like Encounter `patient` has no values of its own: they stand under those of `subject`.
    """
    named = definitions.compartment("Patient").get(type_, ("patient",))
    ties = (fhir.find_parameter(type_, name) for name in named)
    under = {name for one in ties if one is not None for name in one.found_under}
    found = (fhir.find_parameter(type_, name) for name in under)
    return frozenset(one.number for one in found if one is not None)


OF_PATIENTS = frozenset(one for one in fhir.RESOURCE_TYPES if one == "Patient" or _ties(one))
