"""What can be searched for in a resource: JSON -> facts. Pure.

A fact is (kind, parameter number, a, b):

| kind | a | b |
|---|---|---|
| TOKEN | code | system, "" when it has none |
| LABEL | value of an identifier, or a folded string | system of the identifier, "" for none and for a string |
| REFERENCE | `Type/id` | "" |
| DATE | first millisecond | first millisecond after it |
| QUANTITY | value as a float | unit: `system|code|human text` |

The date that orders its type (`Parameter.ordering`) is a DATE fact like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import astuple

from .dates import FAR_FUTURE, FAR_PAST, date_range
from .parameters import Kind
from .reference import local_references
from .shapes import Branch, Concept, Identifier, Leaf, Pointer, Quantity, shape_of
from .strings import fold

__all__ = ["DATE", "LABEL", "OTHER_REFERENCE", "QUANTITY", "REFERENCE", "TOKEN", "Fact", "facts_of", "unit_key"]

Fact = tuple[int, int, Any, Any]

TOKEN, LABEL, REFERENCE, DATE, QUANTITY = range(5)
OTHER_REFERENCE = 0  # the parameter number of a reference that no search parameter names


def facts_of(type_: str, body: bytes) -> list[Fact]:
    """All facts of a resource, or of some of its elements as a JSON object; a fact may come twice.

    An element of a shape that is not R4 gives no facts; the others do.
    """
    decode, steps = _extractor(type_)
    try:
        values = astuple(decode(body))
    except msgspec.ValidationError:
        return _facts_one_by_one(type_, body)
    facts: list[Fact] = []
    references: list[Fact] = []
    for value, step in zip(values, steps, strict=True):
        if value is not None:
            step(value, facts, references)
    if body.count(b'"reference"') != len(references):
        named = {fact[2] for fact in references}
        references += [
            (REFERENCE, OTHER_REFERENCE, one, "") for one in dict.fromkeys(local_references(body)) if one not in named
        ]
    return facts + references


def unit_key(system: str, code: str, unit: str) -> str:
    """How a unit is stored."""
    return f"{system}|{code}|{unit}"


def _facts_one_by_one(type_: str, body: bytes) -> list[Fact]:
    elements = msgspec.json.decode(body, type=dict[str, Raw])
    if len(elements) < 2:
        return [(REFERENCE, OTHER_REFERENCE, one, "") for one in local_references(body)]
    return [fact for name, raw in elements.items() for fact in facts_of(type_, msgspec.json.encode({name: raw}))]


# Puts what a value says into the lists of facts and of reference facts.
_Step = Callable[[Any, list[Fact], list[Fact]], None]


@lru_cache(maxsize=256)
def _extractor(type_: str) -> tuple[Callable[[bytes], Struct], tuple[_Step, ...]]:
    shape = shape_of(type_)
    return msgspec.json.Decoder(shape.struct).decode, _steps(shape.tree)


def _steps(tree: Branch) -> tuple[_Step, ...]:
    return tuple(_leaf(below) if isinstance(below, Leaf) else _branch(below) for _, below in tree.below)


def _branch(tree: Branch) -> _Step:
    steps = _steps(tree)
    if len(steps) == 1:
        return _twig(steps[0])

    def step(value: Any, facts: list[Fact], references: list[Fact]) -> None:
        for item in value if type(value) is list else (value,):
            for part, deeper in zip(astuple(item), steps, strict=True):
                if part is not None:
                    deeper(part, facts, references)

    return step


def _twig(deeper: _Step) -> _Step:
    """A branch with one element of interest."""

    def step(value: Any, facts: list[Fact], references: list[Fact]) -> None:
        for item in value if type(value) is list else (value,):
            if item.f0 is not None:
                deeper(item.f0, facts, references)

    return step


def _leaf(leaf: Leaf) -> _Step:
    steps = [_KINDS[parameter.kind](parameter.number) for parameter in leaf.parameters]
    if len(steps) == 1:
        return steps[0]

    def step(value: Any, facts: list[Fact], references: list[Fact]) -> None:
        for one in steps:
            one(value, facts, references)

    return step


def _token(number: int) -> _Step:
    def step(value: Any, facts: list[Fact], references: list[Fact]) -> None:  # noqa: ARG001
        for item in value if type(value) is list else (value,):
            if type(item) is Concept:
                if item.coding is None:
                    if item.code:
                        facts.append((TOKEN, number, item.code, item.system))
                    continue
                for coding in item.coding:
                    if coding.code:
                        facts.append((TOKEN, number, coding.code, coding.system))
            elif type(item) is str:
                facts.append((TOKEN, number, item, ""))
            else:
                facts.append((TOKEN, number, "true" if item else "false", ""))

    return step


def _identifier(number: int) -> _Step:
    def step(value: Any, facts: list[Fact], references: list[Fact]) -> None:  # noqa: ARG001
        items: list[Identifier] = value if type(value) is list else [value]
        facts += [(LABEL, number, item.value, item.system) for item in items if item.value]

    return step


_fold = lru_cache(maxsize=8_192)(fold)


def _string(number: int) -> _Step:
    def step(value: Any, facts: list[Fact], references: list[Fact]) -> None:  # noqa: ARG001
        for item in value if type(value) is list else (value,):
            folded = _fold(item)
            if folded:
                facts.append((LABEL, number, folded, ""))

    return step


def _date(number: int) -> _Step:
    def step(value: Any, facts: list[Fact], references: list[Fact]) -> None:  # noqa: ARG001
        if type(value) is str:
            found = date_range(value)
        else:
            start, end = date_range(value.start), date_range(value.end)
            first = start[0] if start else FAR_PAST
            found = (first, max(first, end[1] if end else FAR_FUTURE)) if start or end else None
        if found is not None:
            facts.append((DATE, number, found[0], found[1]))

    return step


def _reference(number: int) -> _Step:
    def step(value: Any, facts: list[Fact], references: list[Fact]) -> None:  # noqa: ARG001
        items: list[Pointer] = value if type(value) is list else [value]
        references += [(REFERENCE, number, item.reference, "") for item in items if item.reference.count("/") == 1]

    return step


def _quantity(number: int) -> _Step:
    def step(value: Quantity, facts: list[Fact], references: list[Fact]) -> None:  # noqa: ARG001
        if value.value is not None:
            facts.append((QUANTITY, number, value.value, unit_key(value.system, value.code, value.unit)))

    return step


_KINDS: dict[Kind, Callable[[int], _Step]] = {
    Kind.TOKEN: _token,
    Kind.IDENTIFIER: _identifier,
    Kind.STRING: _string,
    Kind.DATE: _date,
    Kind.REFERENCE: _reference,
    Kind.QUANTITY: _quantity,
}
