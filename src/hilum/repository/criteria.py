"""A query as asked -> criteria that a store can look up. Pure (R4 search.html)."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any

from msgspec import Struct

from hilum.errors import HilumError
from hilum.formats import fhir
from hilum.formats.fhir import Kind, Parameter, Prefix

from .seam import Query, SearchTerm

__all__ = ["Criterion", "Inclusion", "Mode", "Sort", "criteria_of", "inclusions_of", "sort_of"]


class Mode(StrEnum):
    """How the values of a criterion are compared."""

    IS = "is"  # as the kind does
    NOT = "not"  # a token that is absent, or none of these
    EXACT = "exact"  # a string, to the letter
    CONTAINS = "contains"  # part of a string
    MISSING = "missing"  # no value at all
    PRESENT = "present"  # any value


class Criterion(Struct, frozen=True):
    """One term. `numbers` are the parameters whose facts are looked at; `values` are alternatives:

    | kind | value |
    |---|---|
    | "id" | id |
    | "updated" | (prefix, first, after) in milliseconds |
    | TOKEN, IDENTIFIER | (system, code); None: any; "" as a system: none |
    | STRING | (folded text, text as asked) |
    | DATE | (prefix, first, after) in milliseconds |
    | REFERENCE | `Type/id` |
    | QUANTITY | (prefix, low, value, high, system, code); low <= x < high are those that read as `value` |
    """

    kind: str
    numbers: tuple[int, ...]
    values: tuple[Any, ...]
    mode: Mode = Mode.IS
    target: str = ""  # only references to this type (for MISSING and PRESENT)


class Sort(Struct, frozen=True):
    """`number` is the parameter sorted by; 0 is the order of commits."""

    number: int = 0
    is_string: bool = False
    is_descending: bool = False


class Inclusion(Struct, frozen=True):
    """`Observation:subject`: follow these references of that type, to targets of `target` or any."""

    type: str
    numbers: tuple[int, ...]
    target: str = ""


def criteria_of(query: Query) -> list[Criterion]:
    """Raises HilumError `search-parameter-unknown`, `search-value-invalid`; location is the parameter as written."""
    return [_criterion(query.type, term) for term in query.terms]


def sort_of(query: Query) -> Sort:
    """One key: `_lastUpdated`, the date that orders the type, or a string. Raises `search-parameter-unknown`."""
    if not query.sort:
        return Sort()
    if len(query.sort) > 1:
        raise _unknown("_sort", "sorting is by one parameter")
    written = query.sort[0]
    name, is_descending = written.removeprefix("-"), written.startswith("-")
    if name == "_lastUpdated":
        return Sort(is_descending=is_descending)
    parameter = fhir.find_parameter(query.type, name)
    if parameter is not None and parameter.ordering:
        return Sort(parameter.number, is_descending=is_descending)
    if parameter is not None and parameter.kind is Kind.STRING:
        by = fhir.find_parameter(query.type, parameter.found_under[0])
        assert by is not None
        return Sort(by.number, is_string=True, is_descending=is_descending)
    raise _unknown("_sort", f"{query.type} cannot be sorted by this parameter")


def inclusions_of(written: tuple[str, ...], location: str) -> list[Inclusion]:
    """`Observation:subject`, `Observation:subject:Patient`. Raises `search-parameter-unknown` at `location`."""
    return [_inclusion(one, location) for one in written]


def _inclusion(written: str, location: str) -> Inclusion:
    type_, _, rest = written.partition(":")
    name, _, target = rest.partition(":")
    parameter = fhir.find_parameter(type_, name)
    if parameter is None or parameter.kind is not Kind.REFERENCE:
        raise _unknown(location, "no reference parameter of this name")
    return Inclusion(type_, _numbers(parameter), target or parameter.target)


def _criterion(type_: str, term: SearchTerm) -> Criterion:
    written = f"{term.name}:{term.modifier}" if term.modifier else term.name
    if not term.values or not all(term.values):
        raise _invalid(written, "a value is missing")
    if term.name in ("_id", "_lastUpdated"):
        if term.modifier:
            raise _unknown(written, "this parameter takes no modifier")
        return _common(term)
    parameter = fhir.find_parameter(type_, term.name)
    if parameter is None:
        raise _unknown(written, f"{type_} has no such search parameter here")
    if term.modifier == "missing":
        return _missing(parameter, term.values, written)
    return _READ[parameter.kind](parameter, term, written)


def _common(term: SearchTerm) -> Criterion:
    if term.name == "_id":
        return Criterion("id", (), term.values)
    return Criterion("updated", (), tuple(_date(value, term.name) for value in term.values))


def _missing(parameter: Parameter, values: tuple[str, ...], written: str) -> Criterion:
    if values not in (("true",), ("false",)):
        raise _invalid(written, "the value is true or false")
    mode = Mode.MISSING if values == ("true",) else Mode.PRESENT
    return Criterion(parameter.kind.value, _numbers(parameter), (), mode, parameter.target)


def _token(parameter: Parameter, term: SearchTerm, written: str) -> Criterion:
    if term.modifier not in ("", "not"):
        raise _unknown(written, "a token takes the modifiers `not` and `missing`")
    values = tuple(_token_value(value, written) for value in term.values)
    mode = Mode.NOT if term.modifier else Mode.IS
    return Criterion(parameter.kind.value, _numbers(parameter), values, mode)


def _token_value(text: str, written: str) -> tuple[str | None, str | None]:
    parts = _split(text)
    if len(parts) > 2 or not any(parts):
        raise _invalid(written, "a token is `code`, `system|code`, `|code` or `system|`")
    if len(parts) == 1:
        return None, parts[0]
    return parts[0], parts[1] or None


def _string(parameter: Parameter, term: SearchTerm, written: str) -> Criterion:
    if term.modifier not in ("", "exact", "contains"):
        raise _unknown(written, "a string takes the modifiers `exact`, `contains` and `missing`")
    texts = [_unescape(value) for value in term.values]
    values = tuple((fhir.fold(text), text) for text in texts)
    if not all(folded for folded, _ in values):
        raise _invalid(written, "a value is missing")
    mode = Mode(term.modifier) if term.modifier else Mode.IS
    return Criterion(parameter.kind.value, _numbers(parameter), values, mode)


def _dates(parameter: Parameter, term: SearchTerm, written: str) -> Criterion:
    if term.modifier:
        raise _unknown(written, "a date takes the modifier `missing`")
    values = tuple(_date(value, written) for value in term.values)
    return Criterion(parameter.kind.value, _numbers(parameter), values)


def _date(text: str, written: str) -> tuple[Prefix, int, int]:
    prefix, rest = fhir.split_prefix(text)
    found = fhir.date_range(rest)
    if found is None:
        raise _invalid(
            written,
            "a date is 2026, 2026-11, 2026-11-01 or 2026-11-01T09:30:00Z, after eq, ne, gt, lt, ge, le, sa or eb",
        )
    return prefix, *found


def _reference(parameter: Parameter, term: SearchTerm, written: str) -> Criterion:
    if term.modifier and not fhir.is_resource_type(term.modifier):
        raise _unknown(written, "a reference takes the modifier `missing` or a resource type")
    only = term.modifier or parameter.target
    values = tuple(record for value in term.values for record in _records(_unescape(value), only, written))
    return Criterion(parameter.kind.value, _numbers(parameter), values)


def _records(text: str, only: str, written: str) -> list[str]:
    found = fhir.parse_reference(text)
    if found is None:
        raise _invalid(written, "a reference is `id`, `Type/id` or a URL that ends so")
    if found.type:
        return [found.path] if only in ("", found.type) else []
    return [f"{type_}/{found.id}" for type_ in ((only,) if only else fhir.RESOURCE_TYPES)]


_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d{1,2})?")


def _quantity(parameter: Parameter, term: SearchTerm, written: str) -> Criterion:
    if term.modifier:
        raise _unknown(written, "a quantity takes the modifier `missing`")
    values = tuple(_quantity_value(value, written) for value in term.values)
    return Criterion(parameter.kind.value, _numbers(parameter), values)


def _quantity_value(text: str, written: str) -> tuple[Prefix, float, float, float, str | None, str | None]:
    number, *unit = _split(text)
    prefix, digits = fhir.split_prefix(number)
    if not _NUMBER.fullmatch(digits) or len(unit) not in (0, 2):
        raise _invalid(written, "a quantity is `5.4`, `5.4|system|code` or `5.4||unit`")
    mantissa, _, exponent = digits.lower().partition("e")
    places = len(mantissa.partition(".")[2]) - int(exponent or 0)
    half = 0.5 * 10.0**-places
    value = float(digits)
    system, code = unit or (None, None)
    return prefix, value - half, value, value + half, system or None, code or None


def _numbers(parameter: Parameter) -> tuple[int, ...]:
    found = (fhir.find_parameter(parameter.type, name) for name in parameter.found_under)
    return tuple(one.number for one in found if one is not None)


def _split(text: str) -> list[str]:
    """At bars that no backslash escapes."""
    return [_unescape(part) for part in re.split(r"(?<!\\)\|", text)]


def _unescape(text: str) -> str:
    return re.sub(r"\\([\\|$,])", r"\1", text)


def _unknown(location: str, why: str) -> HilumError:
    return HilumError(why, code="search-parameter-unknown", location=location)


def _invalid(location: str, why: str) -> HilumError:
    return HilumError(why, code="search-value-invalid", location=location)


_READ = {
    Kind.TOKEN: _token,
    Kind.IDENTIFIER: _token,
    Kind.STRING: _string,
    Kind.DATE: _dates,
    Kind.REFERENCE: _reference,
    Kind.QUANTITY: _quantity,
}
