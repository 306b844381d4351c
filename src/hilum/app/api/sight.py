"""What a caller may see: the one decision that read, search, includes, history, counts, writes and errors go through.

A caller is limited type by type, by searches: `Observation` only where `category=laboratory`. The limits are part of
the search itself, so that a page, its total and its includes are right without a second look; single resources are
tested with the same criteria. What a caller may not see is as absent as what never was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from hilum import definitions
from hilum.errors import HilumError, NotFound
from hilum.formats import fhir
from hilum.repository import Limits, Query, Repository, SearchTerm, Stored, is_within
from hilum.safeguards import SHARED_TYPES, Allowance, Interaction, Rights, Term, allowances

if TYPE_CHECKING:
    from hilum.app.tokens import Grant

__all__ = ["EVERYTHING", "VERBS", "Sight", "can_be_judged", "seen", "sight_by", "sight_of"]


class Sight(Struct, frozen=True):
    """`limits`: type -> searches, one of which a resource must meet; a type that is not there is hidden. None: all.

    `proxied`: the patients whose Binaries may be read one by one, by what their `securityContext` names.
    """

    limits: Mapping[str, Limits] | None = None
    proxied: frozenset[str] | None = None

    def sees_type(self, type_: str) -> bool:
        """Whether anything of this type may be seen at all."""
        return self.limits is None or type_ in self.limits or (type_ == "Binary" and self.proxied is not None)

    def sees_all(self, type_: str) -> bool:
        """Whether everything of this type may be seen."""
        return self.limits is None or () in self.limits.get(type_, ())

    def sees(self, stored: Stored) -> bool:
        """Whether this version may be seen; a deleted one, where its whole type may be."""
        if self.limits is None:
            return True
        limits = self.limits.get(stored.type)
        if limits is None:
            return False
        return self.sees_all(stored.type) if stored.deleted else is_within(stored, limits)

    def sees_context(self, context: Stored) -> bool:
        """Whether a Binary may be read that stands under the security of this resource (R4 binary.html)."""
        if self.proxied is None or context.deleted:
            return False
        return (context.type == "Patient" and context.id in self.proxied) or self.sees(context)

    def covers(self, limits: Mapping[str, Limits] | None) -> bool:
        """Whether all that was seen by these limits may be seen: by the same, or by ones with fewer values."""
        if self.limits is None:
            return True
        if limits is None:
            return False
        return all(
            any(all(any(_is_part(one, mine) for one in then) for mine in now) for now in self.limits.get(type_, ()))
            for type_, alternatives in limits.items()
            for then in alternatives
        )

    def narrowed(self, query: Query) -> Query:
        """The same search over what may be seen."""
        return query if self.limits is None else replace(query, limits=dict(self.limits))


EVERYTHING = Sight()

# What is done to resources by each action of the API.
VERBS: Mapping[str, Interaction] = {
    "read": Interaction.READ,
    "vread": Interaction.READ,
    "history": Interaction.READ,
    "validate": Interaction.READ,
    "launch": Interaction.READ,
    "search": Interaction.SEARCH,
    "everything": Interaction.SEARCH,
    "bundle": Interaction.SEARCH,  # its conditional references; each entry is an action of its own
    "create": Interaction.CREATE,
    "update": Interaction.UPDATE,
    "patch": Interaction.UPDATE,
    "delete": Interaction.DELETE,
}

# A group names all of its members; `patient/` scopes must not show one patient the others.
_OF_MANY = frozenset({"Group"})
_NEVER = SearchTerm("_lastUpdated", ("lt1900",))  # nothing was stored then: what somebody without patients sees


def _is_part(one: SearchTerm, of: SearchTerm) -> bool:
    """Whether what meets one term meets the other: alternatives are or'ed."""
    return (one.name, one.modifier) == (of.name, of.modifier) and not one.modifier and set(one.values) <= set(of.values)


def sight_of(grant: Grant, interaction: Interaction) -> Sight:
    """What a bearer of this grant may do so to; tokens that operators make are for whole applications."""
    return EVERYTHING if grant.rights is None else sight_by(grant.rights, interaction)


def sight_by(rights: Rights, interaction: Interaction) -> Sight:
    """What these rights let do so."""
    return (_compiled if rights.panel is None else _of_panel)(rights, interaction)


def seen(repository: Repository, sight: Sight, type_: str, id_: str, version: int | None = None) -> Stored | None:
    """One resource, or one version of it; None when it never was or is out of sight, and nobody learns which."""
    try:
        stored = repository.get(type_, id_, version)
    except NotFound:
        return None
    return stored if sight.sees(stored) else None


@lru_cache(maxsize=1_024)
def can_be_judged(type_: str, terms: tuple[Term, ...]) -> bool:
    """Whether these constraints are parameters of the type, with values that can be looked for."""
    limits = (_search_terms(terms),)
    probe = Stored(type_, "x", 1, 0, b'{"resourceType":"%b","id":"x"}' % type_.encode(), 0)
    try:
        is_within(probe, limits)
    except HilumError:  # a parameter or value that nobody can look for: what cannot be kept is not granted
        return False
    return True


@lru_cache(maxsize=1_024)
def _compiled(rights: Rights, interaction: Interaction) -> Sight:
    found: dict[str, Limits] = {}
    for type_ in fhir.RESOURCE_TYPES:
        allowed = allowances(rights, type_, interaction)
        searches = tuple(one for allowance in allowed for one in _searches(type_, interaction, allowance))
        if searches:
            found[type_] = searches
    return Sight(found, _proxied(rights) if interaction is Interaction.READ and "Binary" not in found else None)


_of_panel = lru_cache(maxsize=64)(_compiled.__wrapped__)  # they name thousands of patients, and change


def _proxied(rights: Rights) -> frozenset[str] | None:
    """The patients about whom a scope for Binary is; one with terms opens nothing, as a Binary meets none."""
    allowed = allowances(rights, "Binary", Interaction.READ)
    some = [one.patients for one in allowed if one.patients is not None and not one.terms]
    return frozenset().union(*some) if some else None


def _searches(type_: str, interaction: Interaction, allowance: Allowance) -> Iterator[tuple[SearchTerm, ...]]:
    """What a resource must meet for this allowance: one of these."""
    if not can_be_judged(type_, allowance.terms):
        return
    terms = _search_terms(allowance.terms)
    if allowance.patients is None:
        yield terms
    elif type_ in SHARED_TYPES:
        if interaction in (Interaction.READ, Interaction.SEARCH):
            yield terms
    elif type_ == "Patient":
        yield (_one_of("_id", tuple(sorted(allowance.patients))), *terms)
    else:
        records = _records(allowance.patients)
        for name in _ties(type_):
            yield (_one_of(name, records), *terms)


def _one_of(name: str, values: tuple[str, ...]) -> SearchTerm:
    return SearchTerm(name, values) if values else _NEVER


@lru_cache(maxsize=64)
def _records(patients: frozenset[str]) -> tuple[str, ...]:
    return tuple(f"Patient/{id_}" for id_ in sorted(patients))


def _search_terms(terms: tuple[Term, ...]) -> tuple[SearchTerm, ...]:
    return tuple(SearchTerm(name, tuple(value.replace("\\,", ",") for value in values)) for name, values in terms)


@lru_cache(maxsize=256)
def _ties(type_: str) -> tuple[str, ...]:
    """The parameters by which a type belongs to a patient (R4 compartmentdefinition-patient.html), or its `patient`."""
    if type_ in _OF_MANY:
        return ()
    named = definitions.compartment("Patient").get(type_, ("patient",))
    return tuple(name for name in named if fhir.find_parameter(type_, name) is not None)
