"""Whose a resource is, for exports of patients and groups: the compartment, and what its records refer to. Pure.

The same parameters decide here and in what a token may see, so that an export holds what a search with it finds.
"""

from __future__ import annotations

from functools import cache, lru_cache

from msgspec import Struct

from hilum import definitions
from hilum.formats import fhir
from hilum.repository import Stored
from hilum.safeguards import SUPPORTING_TYPES

__all__ = ["Ties", "of_patients", "ties_of"]


class Ties(Struct, frozen=True):
    """Ids of the patients that a resource belongs to, and what it refers to outside of compartments."""

    patients: tuple[str, ...]
    supporting: tuple[str, ...]

    def belongs(self, patients: frozenset[str] | None) -> bool:
        """Whether it belongs to one of these patients, or (None) to any."""
        return bool(self.patients) if patients is None else not patients.isdisjoint(self.patients)


def ties_of(stored: Stored) -> Ties:
    """Read from its own body. What is outside is written `Practitioner/d1`."""
    numbers = _ties(stored.type)
    patients = [stored.id] if stored.type == "Patient" else []
    outside: list[str] = []
    for number, target, _ in fhir.facts_of(stored.type, stored.body).references:
        type_, _, id_ = target.partition("/")
        if type_ == "Patient":
            if number in numbers and stored.type != "Patient":
                patients.append(id_)
        elif type_ in SUPPORTING_TYPES:
            outside.append(target)
    return Ties(tuple(patients), tuple(outside))


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


@cache
def of_patients() -> frozenset[str]:
    """The types that belong to patients. Found when first asked for: commands that export nothing start sooner."""
    return frozenset(one for one in fhir.RESOURCE_TYPES if one == "Patient" or _ties(one))
