"""Whether a resource meets a criterion, told from itself alone. Pure: what every store's search must agree with.

Criteria that lead to other resources (`chain`, `has`) are resolved by the store before; see `Criterion`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from hilum.formats import fhir
from hilum.formats.fhir import Fact, Kind, Part, Place, Prefix

from .body import own_meta
from .criteria import term_criteria
from .criterion import Criterion, Mode
from .seam import Limits, Stored

__all__ = ["Subject", "is_within", "meets", "number_meets", "subject_of", "unit_meets"]


class Subject(Struct, frozen=True):
    """A resource that is looked at. `updated` in milliseconds; `facts` of all its parameters, indexed or not."""

    id: str
    updated: int
    resource: dict[str, Any]
    facts: Collection[Fact]


def subject_of(type_: str, id_: str, updated: int, body: bytes, meta: bytes) -> Subject:
    """From its elements as they are served, without meta, and meta as it was stated."""
    resource = fhir.decode(body)
    if meta:
        resource["meta"] = fhir.decode(own_meta(meta))
    facts = [*fhir.facts_of(type_, body).all(), *fhir.meta_facts(meta), *fhir.more_facts(type_, resource)]
    return Subject(id_, updated, resource, facts)


def is_within(stored: Stored, limits: Limits) -> bool:
    """Whether a resource meets all terms of one of these alternatives, told from its own body."""
    elements = msgspec.json.decode(stored.body, type=dict[str, msgspec.Raw])
    meta = bytes(elements.pop("meta", b""))
    body = msgspec.json.encode(elements)
    one = subject_of(stored.type, stored.id, stored.updated // 1000, body, meta)
    return any(all(meets(criterion, one) for criterion in term_criteria(stored.type, terms)) for terms in limits)


def meets(criterion: Criterion, one: Subject) -> bool:
    """Whether the resource is one of those that are asked for."""
    match criterion.kind:
        case "id":
            return one.id in criterion.values
        case "updated":
            updated = (one.updated, one.updated + 1)
            return any(fhir.compare_ranges(prefix, (a, b), updated) for prefix, a, b in criterion.values)
        case "limits":
            return any(all(meets(inner, one) for inner in terms) for terms in criterion.values)
        case Kind.COMPOSITE:
            return _composite(criterion, one.resource)
    if criterion.mode in _BODY_TESTS:
        return any(_BODY_TESTS[criterion.mode](criterion, value, one.resource) for value in criterion.values)
    mine = [fact for fact in one.facts if fact[0] in criterion.numbers]
    if criterion.kind == Kind.REFERENCE and criterion.target:
        mine = [fact for fact in mine if fact[1].startswith(f"{criterion.target}/")]
    match criterion.mode:
        case Mode.MISSING:
            return not mine
        case Mode.PRESENT:
            return bool(mine)
        case Mode.NOT:
            return not any(_tells(criterion, value, fact[1], fact[2]) for value in criterion.values for fact in mine)
    return any(_tells(criterion, value, fact[1], fact[2]) for value in criterion.values for fact in mine)


def _composite(criterion: Criterion, resource: dict[str, Any]) -> bool:
    """R4 search.html#composite: all components of one alternative within one element."""
    missing = criterion.mode in (Mode.MISSING, Mode.PRESENT)
    for context, parts in criterion.parts:
        for element in fhir.values_at(resource, Place(context, "")) if context else (resource,):
            found = [list(fhir.values_of(element, part.kind, part.places)) for part in parts]
            if missing:
                if all(found):
                    return criterion.mode is Mode.PRESENT
            elif any(_all_parts(parts, wanted, found) for wanted in criterion.values):
                return True
    return criterion.mode is Mode.MISSING


def _all_parts(parts: tuple[Part, ...], wanted: tuple[Any, ...], found: list[list[Any]]) -> bool:
    return all(
        any(_compares(part.kind, Mode.IS, value, a, b) for value in values for a, b in facts)
        for part, values, facts in zip(parts, wanted, found, strict=True)
    )


def _tells(criterion: Criterion, value: Any, a: Any, b: Any) -> bool:
    return _compares(criterion.kind, criterion.mode, value, a, b)


def _compares(kind: str, mode: Mode, value: Any, a: Any, b: Any) -> bool:
    match kind:
        case Kind.TOKEN | Kind.IDENTIFIER:
            system, code = value
            return system in (None, b) and code in (None, a)
        case Kind.STRING:
            folded: str = value[0]
            return folded in a if mode is Mode.CONTAINS else a.startswith(folded)
        case Kind.DATE:
            return fhir.compare_ranges(value[0], (value[1], value[2]), (a, b))
        case Kind.REFERENCE | Kind.URI:
            return bool(a == value)
        case _:
            return number_meets(value, a) and unit_meets(value, b)


def _exact(criterion: Criterion, value: Any, resource: dict[str, Any]) -> bool:
    """`:exact`: one of the strings is there to the letter."""
    return any(
        text == value[1]
        for place in criterion.places
        for found in fhir.values_at(resource, place)
        for text in fhir.strings_of(found, place)
    )


def _text(criterion: Criterion, value: Any, resource: dict[str, Any]) -> bool:
    """`:text`: a word of the text, display or label begins so (R4 search.html#modifiers)."""
    return any(
        fhir.fold(text).startswith(value) or f" {value}" in fhir.fold(text)
        for place in criterion.places
        for found in fhir.values_at(resource, place)
        for text in _words(found)
    )


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for text in (value.get("text"), value.get("display")):
            if isinstance(text, str):
                yield text
        for inner in (*_list(value.get("coding")), value.get("type")):
            yield from _words(inner)


def _of_type(criterion: Criterion, value: Any, resource: dict[str, Any]) -> bool:
    """`:of-type`: system and code of the identifier's type, and its value (R4 search.html#modifiers)."""
    system, code, number = value
    for place in criterion.places:
        for found in fhir.values_at(resource, place):
            kind = found.get("type") if isinstance(found, dict) else None
            codings = _list(kind.get("coding")) if isinstance(kind, dict) else []
            named = any(isinstance(one, dict) and one.get("code") == code and _is(one, system) for one in codings)
            if named and found.get("value") == number:
                return True
    return False


def _is(coding: dict[str, Any], system: str) -> bool:
    return not system or coding.get("system") == system


def _identifier(criterion: Criterion, value: Any, resource: dict[str, Any]) -> bool:
    """`:identifier`: `Reference.identifier` (R4 search.html#modifiers)."""
    for place in criterion.places:
        for found in fhir.values_at(resource, place):
            named = found.get("identifier") if isinstance(found, dict) else None
            if isinstance(named, dict):
                system, code = value
                if system in (None, named.get("system", "")) and code in (None, named.get("value")):
                    return True
    return False


_BODY_TESTS = {Mode.EXACT: _exact, Mode.TEXT: _text, Mode.OF_TYPE: _of_type, Mode.IDENTIFIER: _identifier}


def _list(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else ()


def number_meets(value: Any, number: float) -> bool:
    """R4 search.html#quantity: equality in the precision written, the others on the number itself."""
    prefix, low, middle, high, *_ = value
    match prefix:
        case Prefix.EQ:
            return bool(low <= number < high)
        case Prefix.NE:
            return not low <= number < high
        case Prefix.GT | Prefix.SA:
            return bool(number > middle)
        case Prefix.LT | Prefix.EB:
            return bool(number < middle)
        case Prefix.GE:
            return bool(number >= middle)
        case _:
            return bool(number <= middle)


def unit_meets(value: Any, unit: str) -> bool:
    """`unit` is `system|code|human text`; a code without a system may be either of the last two."""
    *_, wanted_system, wanted_code = value
    system, code, human = unit.split("|", 2)
    if wanted_system is not None and wanted_system != system:
        return False
    if wanted_code is None:
        return True
    return wanted_code == code or (wanted_system is None and wanted_code == human)
