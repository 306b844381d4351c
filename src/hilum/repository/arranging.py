"""How results are ordered and what comes with them: `_sort`, `_include`, `_revinclude`, read. Pure (R4 search.html)."""

from __future__ import annotations

from msgspec import Struct

from hilum.formats import fhir
from hilum.formats.fhir import Kind

from .criterion import numbers_under
from .seam import Query
from .values import unknown

__all__ = ["Inclusion", "Sort", "inclusions_of", "sorts_of"]

MAX_SORTS = 4


class Sort(Struct, frozen=True):
    """One key. `number` is the parameter sorted by; 0 is the order of commits."""

    number: int = 0
    kind: Kind | None = None
    is_descending: bool = False
    is_ordering: bool = False  # by the date that orders the type
    is_by_id: bool = False


class Inclusion(Struct, frozen=True):
    """`Observation:subject`: follow these references of that type, to targets of `target` or any.

    `type` "*" is every type, no `numbers` every reference. `again` (`:iterate`): from what was included, too.
    """

    type: str
    numbers: tuple[int, ...]
    target: str = ""
    again: bool = False


def sorts_of(query: Query) -> tuple[Sort, ...]:
    """`_id`, `_lastUpdated`, dates, strings, tokens, numbers and quantities. Raises `search-parameter-unknown`."""
    if not query.sort:
        return (Sort(),)
    if len(query.sort) > MAX_SORTS:
        raise unknown("_sort", f"sorting is by {MAX_SORTS} parameters at most")
    return tuple(_sort(query.type, written) for written in query.sort)


def _sort(type_: str, written: str) -> Sort:
    name, is_descending = written.removeprefix("-"), written.startswith("-")
    if name == "_lastUpdated":
        return Sort(is_descending=is_descending)
    if name == "_id":
        return Sort(is_descending=is_descending, is_by_id=True)
    one = fhir.find_parameter(type_, name)
    if one is None or not one.is_indexed or one.kind in (Kind.REFERENCE, Kind.COMPOSITE):
        raise unknown("_sort", f"{type_} cannot be sorted by this parameter")
    return Sort(numbers_under(one)[0], one.kind, is_descending, one.ordering)


def inclusions_of(written: tuple[str, ...], location: str) -> list[Inclusion]:
    """`Observation:subject`, `Observation:subject:Patient`, `iterate|...`. Raises `search-parameter-unknown`."""
    return [_inclusion(one, location) for one in written]


def _inclusion(written: str, location: str) -> Inclusion:
    again = written.startswith("iterate|")
    type_, _, rest = written.removeprefix("iterate|").partition(":")
    name, _, target = rest.partition(":")
    if type_ == "*" or name == "*":
        return Inclusion(type_, (), target, again)
    one = fhir.find_parameter(type_, name)
    if one is None or one.kind is not Kind.REFERENCE or not one.is_indexed:
        raise unknown(location, "no reference parameter of this name")
    return Inclusion(type_, numbers_under(one), target or one.target, again)
