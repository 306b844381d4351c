"""A query as asked -> criteria that a store can look up. Pure (R4 search.html).

What each kind of value looks like is read in values.py.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from msgspec.structs import replace

from hilum import definitions
from hilum.errors import HilumError
from hilum.formats import fhir
from hilum.formats.fhir import Kind, Parameter, Part, Place

from .criterion import Criterion, Mode, numbers_under
from .seam import Limits, Query, SearchTerm
from .tokens import meant_tokens
from .values import (
    date_value,
    invalid,
    no_modifier,
    read_values,
    reference_values,
    split_at,
    token_value,
    unescape,
    unknown,
)

__all__ = ["compartment_numbers", "criteria_of", "limits_of", "term_criteria"]

MAX_DEPTH = 4  # steps of a chain
LONG = 100  # values of one term from which on few such terms are remembered


def criteria_of(query: Query) -> list[Criterion]:
    """Raises HilumError `search-parameter-unknown`, `search-value-invalid`; location is the parameter as written."""
    found = [_criterion(query.type, term) for term in query.terms]
    if query.compartment:
        found.append(_in_compartment(query))
    return found + _of_care(query.type, query.care) + limits_of(query.type, query.limits)


def _of_care(type_: str, window: tuple[int, int] | None) -> list[Criterion]:
    """Its date of care overlaps with these, or it has none: nobody can say that it is of another time."""
    names = fhir.care_dates(type_)
    if window is None or not names:
        return []
    ways = [
        (
            *term_criteria(type_, tuple(SearchTerm(one, ("true",), "missing") for one in names[:at])),
            _over(type_, name, window),
        )
        for at, name in enumerate(names)
    ]
    without = term_criteria(type_, tuple(SearchTerm(name, ("true",), "missing") for name in names))
    return [Criterion("limits", (), (*ways, without))]


def _over(type_: str, name: str, window: tuple[int, int]) -> Criterion:
    (one,) = term_criteria(type_, (SearchTerm(name, ("2000",)),))
    return replace(one, values=((fhir.Prefix.AP, *window),))


def term_criteria(type_: str, terms: tuple[SearchTerm, ...]) -> tuple[Criterion, ...]:
    """The criteria of some terms over one type; the same are not read twice."""
    is_long = any(len(term.values) > LONG for term in terms)
    return _read_long(type_, terms) if is_long else _read_short(type_, terms)


def _read(type_: str, terms: tuple[SearchTerm, ...]) -> tuple[Criterion, ...]:
    return tuple(_criterion(type_, term) for term in terms)


_read_short = lru_cache(maxsize=1_024)(_read)
_read_long = lru_cache(maxsize=64)(_read)


def limits_of(type_: str, limits: dict[str, Limits] | None) -> list[Criterion]:
    """What the caller may see of a type. Nothing, where the type is not named."""
    alternatives = ((),) if limits is None else limits.get(type_, ())
    if any(not terms for terms in alternatives):
        return []
    return [Criterion("limits", (), tuple(term_criteria(type_, terms) for terms in alternatives))]


def _in_compartment(query: Query) -> Criterion:
    """R4 compartmentdefinition-patient.html: the parameters by which a type belongs to a patient."""
    owner, _, id_ = query.compartment.partition("/")
    if query.type == owner:
        return Criterion("id", (), (id_,))
    return Criterion(Kind.REFERENCE.value, compartment_numbers(owner, query.type), (query.compartment,))


@lru_cache(maxsize=1_024)
def compartment_numbers(owner: str, type_: str) -> tuple[int, ...]:
    """The numbers of those parameters. Raises `search-parameter-unknown` for a type outside of the compartment."""
    names = definitions.compartment(owner).get(type_, ())
    parameters = [fhir.find_parameter(type_, name) for name in names]
    numbers = [number for one in parameters if one is not None for number in numbers_under(one)]
    if not numbers:
        raise unknown("compartment", f"{type_} is not part of the compartment of a {owner}")
    return tuple(dict.fromkeys(numbers))


def _criterion(type_: str, term: SearchTerm, depth: int = 0) -> Criterion:
    written = f"{term.name}:{term.modifier}" if term.modifier else term.name
    if not term.values or not all(term.values):
        raise invalid(written, "a value is missing")
    if depth > MAX_DEPTH:
        raise unknown(written, f"a chain has {MAX_DEPTH} steps at most")
    if term.name == "_has":
        return _reversed(type_, term, depth)
    if "." in written:
        return _chain(type_, term, written, depth)
    if term.name in ("_id", "_lastUpdated"):
        if term.modifier:
            raise no_modifier(written, "this parameter takes no modifier")
        return _common(term)
    one = fhir.find_parameter(type_, term.name)
    if one is None:
        raise unknown(written, f"{type_} has no such search parameter here")
    return _of_parameter(one, term, written)


def _common(term: SearchTerm) -> Criterion:
    if term.name == "_id":
        return Criterion("id", (), term.values)
    values = tuple(date_value(value, term.name) for value in term.values)
    points = tuple((fhir.Prefix.EQ, *rest) if prefix is fhir.Prefix.AP else (prefix, *rest) for prefix, *rest in values)
    return Criterion("updated", (), points)


def _of_parameter(one: Parameter, term: SearchTerm, written: str) -> Criterion:
    mode = _mode(one, term, written)
    target = one.target
    values: tuple[Any, ...] = ()
    if mode in (Mode.TEXT, Mode.OF_TYPE, Mode.IDENTIFIER):
        values = tuple(_BODY_VALUES[mode](value, written) for value in term.values)
    elif one.kind is Kind.REFERENCE and mode is Mode.IS:
        only = term.modifier or one.target
        values = tuple(record for value in term.values for record in reference_values(unescape(value), only, written))
    elif mode not in (Mode.MISSING, Mode.PRESENT):
        values = (
            _composite(one, term, written)
            if one.kind is Kind.COMPOSITE
            else read_values(one.kind, term.values, written)
        )
    if one.kind is Kind.TOKEN and mode in (Mode.IS, Mode.NOT):
        values = meant_tokens(one.type, one.places, values)
    return Criterion(
        one.kind.value, numbers_under(one), values, mode, target, one.is_indexed, _places(one), parts=one.parts
    )


def _mode(one: Parameter, term: SearchTerm, written: str) -> Mode:
    """What the modifier makes of it. Raises `search-modifier-unknown` with those that the kind takes."""
    allowed = _MODIFIERS[one.kind]
    if term.modifier == "missing":
        if term.values not in (("true",), ("false",)):
            raise invalid(written, "the value is true or false")
        return Mode.MISSING if term.values == ("true",) else Mode.PRESENT
    if not term.modifier or (one.kind is Kind.REFERENCE and fhir.is_resource_type(term.modifier)):
        return Mode.IS
    if term.modifier not in allowed:
        names = ", ".join(f"`{name}`" for name in (*allowed, "missing"))
        also = " or a resource type" if one.kind is Kind.REFERENCE else ""
        raise no_modifier(written, f"a {one.kind.fhir} takes the modifiers {names}{also}")
    return Mode(term.modifier)


_MODIFIERS: dict[Kind, tuple[str, ...]] = {
    Kind.TOKEN: ("not", "text"),
    Kind.IDENTIFIER: ("not", "text", "of-type"),
    Kind.STRING: ("exact", "contains"),
    Kind.DATE: (),
    Kind.REFERENCE: ("identifier",),
    Kind.QUANTITY: (),
    Kind.NUMBER: (),
    Kind.URI: (),
    Kind.COMPOSITE: (),
}


def _text_value(value: str, written: str) -> str:
    folded = fhir.fold(unescape(value))
    if not folded:
        raise invalid(written, "a value is missing")
    return folded


def _type_value(value: str, written: str) -> tuple[str, ...]:
    parts = split_at(value, "|")
    if len(parts) != 3 or not all(parts[1:]):
        raise invalid(written, "an identifier of a type is `system|type|value`")
    return tuple(parts)


_BODY_VALUES = {Mode.TEXT: _text_value, Mode.OF_TYPE: _type_value, Mode.IDENTIFIER: token_value}


def _composite(one: Parameter, term: SearchTerm, written: str) -> tuple[Any, ...]:
    """`8480-6$gt100`: for each alternative, what each component must be."""
    _, parts = one.parts[0]
    found = []
    for value in term.values:
        given = split_at(value, "$", keep=True)
        if len(given) != len(parts):
            raise invalid(written, f"a value has {len(parts)} parts with $ between them")
        found.append(tuple(_component(part, text, written) for part, text in zip(parts, given, strict=True)))
    return tuple(found)


def _component(part: Part, text: str, written: str) -> Any:
    if part.kind is Kind.REFERENCE:
        return tuple(reference_values(unescape(text), "", written))
    return read_values(part.kind, (text,), written)


def _chain(type_: str, term: SearchTerm, written: str, depth: int) -> Criterion:
    """`subject:Patient.name`, `patient.general-practitioner.name` (R4 search.html#chaining)."""
    head, _, rest = written.partition(".")
    name, _, explicit = head.partition(":")
    one = fhir.find_parameter(type_, name)
    if one is None or one.kind is not Kind.REFERENCE or not one.is_indexed:
        raise unknown(written, f"{type_} has no reference parameter `{name}` to follow")
    if explicit and not fhir.is_resource_type(explicit):
        raise unknown(written, f"`{explicit}` is no resource type")
    types = (explicit,) if explicit else (one.target,) if one.target else one.targets
    inner = [(target, found) for target in types if (found := _step(target, rest, term, depth, written)) is not None]
    if not inner:
        raise unknown(written, "nothing that it points to has this parameter here")
    return Criterion("chain", numbers_under(one), (), inner=tuple(inner))


def _step(type_: str, rest: str, term: SearchTerm, depth: int, written: str) -> Criterion | None:
    """The rest of a chain for one type; None when that type has no such parameter."""
    name, _, modifier = rest.partition(":")
    if "." not in rest and name not in ("_id", "_lastUpdated", "_has") and fhir.find_parameter(type_, name) is None:
        return None
    if "." in name and fhir.find_parameter(type_, name.partition(".")[0]) is None:
        return None
    return _inner(type_, SearchTerm(name, term.values, modifier), depth, written)


def _inner(type_: str, term: SearchTerm, depth: int, written: str) -> Criterion:
    """A criterion over another type; what is wrong with it is told of the whole parameter."""
    try:
        return _criterion(type_, term, depth + 1)
    except HilumError as error:
        raise HilumError(error.message, code=error.code, location=written) from None


def _reversed(type_: str, term: SearchTerm, depth: int) -> Criterion:
    """`_has:Observation:patient:code` (R4 search.html#has)."""
    written = f"_has:{term.modifier}"
    other, _, rest = term.modifier.partition(":")
    name, _, rest = rest.partition(":")
    one = fhir.find_parameter(other, name)
    if one is None or one.kind is not Kind.REFERENCE or not one.is_indexed or not rest:
        raise unknown(written, "it is written _has:Type:reference:parameter, as in _has:Observation:patient:code")
    if one.target not in ("", type_):
        raise unknown(written, f"{other}:{name} does not point to a {type_}")
    name, _, modifier = rest.partition(":")
    inner = _inner(other, SearchTerm(name, term.values, modifier), depth, written)
    return Criterion("has", numbers_under(one), (), inner=((other, inner),))


def _places(one: Parameter) -> tuple[Place, ...]:
    """Its own, and those of what it is found under."""
    others = (fhir.find_parameter(one.type, name) for name in one.found_under if name != one.name)
    return one.places + tuple(place for other in others if other is not None for place in other.places)
