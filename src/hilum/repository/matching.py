"""Whether a resource meets a criterion, told from its facts alone. Pure: what every store's search must agree with."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import msgspec
from msgspec import Raw

from hilum.formats import fhir
from hilum.formats.fhir import Fact, Kind, Prefix

from .criteria import Criterion, Mode, criteria_of
from .seam import Limits, Query, Stored

__all__ = ["holds_exactly", "is_within", "meets", "number_meets", "unit_meets"]


def meets(criterion: Criterion, id_: str, updated: int, elements: dict[str, Raw], facts: Collection[Fact]) -> bool:
    """`updated` in milliseconds, `elements` and `facts` of the resource as it is served."""
    if criterion.kind == "id":
        return id_ in criterion.values
    if criterion.kind == "updated":
        return any(fhir.compare_ranges(p, (a, b), (updated, updated + 1)) for p, a, b in criterion.values)
    mine = [fact for fact in facts if fact[0] in criterion.numbers]
    if criterion.kind == Kind.REFERENCE and criterion.target:
        mine = [fact for fact in mine if fact[1].startswith(f"{criterion.target}/")]
    match criterion.mode:
        case Mode.MISSING:
            return not mine
        case Mode.PRESENT:
            return bool(mine)
        case Mode.NOT:
            return not any(_tells(criterion, value, fact) for value in criterion.values for fact in mine)
        case Mode.EXACT:
            return holds_exactly(criterion, elements)
    return any(_tells(criterion, value, fact) for value in criterion.values for fact in mine)


def is_within(stored: Stored, limits: Limits) -> bool:
    """Whether a resource meets all terms of one of these alternatives, told from its own body."""
    elements = msgspec.json.decode(stored.body, type=dict[str, Raw])
    facts = fhir.facts_of(stored.type, stored.body).all()
    return any(
        all(
            meets(criterion, stored.id, stored.updated // 1000, elements, facts)
            for criterion in criteria_of(Query(stored.type, terms))
        )
        for terms in limits
    )


def holds_exactly(criterion: Criterion, elements: dict[str, Raw]) -> bool:
    """`:exact`: whether one of the strings is there to the letter."""
    wanted = {text for _, text in criterion.values}
    return any(text in wanted for text in _strings(criterion.numbers, elements))


def _strings(numbers: tuple[int, ...], elements: dict[str, Raw]) -> Iterable[str]:
    for parameter in fhir.PARAMETERS:
        if parameter.number in numbers:
            for path in parameter.paths:
                element, *rest = path.split(".")
                if element in elements:
                    yield from _leaves(msgspec.json.decode(elements[element]), rest)


def _leaves(value: Any, path: list[str]) -> Iterable[str]:
    if isinstance(value, list):
        for one in value:
            yield from _leaves(one, path)
    elif isinstance(value, dict) and path:
        yield from _leaves(value.get(path[0]), path[1:])
    elif isinstance(value, str) and not path:
        yield value


def _tells(criterion: Criterion, value: Any, fact: Fact) -> bool:
    _, a, b = fact
    match criterion.kind:
        case Kind.TOKEN | Kind.IDENTIFIER:
            system, code = value
            return system in (None, b) and code in (None, a)
        case Kind.STRING:
            folded: str = value[0]
            return folded in a if criterion.mode is Mode.CONTAINS else a.startswith(folded)
        case Kind.DATE:
            return fhir.compare_ranges(value[0], (value[1], value[2]), (a, b))
        case Kind.REFERENCE:
            return bool(a == value)
        case _:
            return number_meets(value, a) and unit_meets(value, b)


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
