"""What can be searched for in a resource: JSON -> facts. Pure.

A fact is (parameter number, a, b):

| facts | a | b |
|---|---|---|
| tokens | code | system, "" when it has none |
| labels | value of an identifier, or a folded string | system of the identifier, "" for none and for a string |
| references | `Type/id` | "" |
| dates | first millisecond | first millisecond after it |
| quantities | value as a float | unit: `system|code|human text` |

The date that orders its type (`Parameter.ordering`) is among `dates` like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import astuple

from .dates import date_range, period_range
from .numbers import decode
from .parameters import Kind, Parameter
from .reference import local_references
from .registry import COMMON, MAPPED, parameters_of
from .shapes import Branch, Concept, Identifier, Leaf, Pointer, Quantity, shape_of
from .strings import fold
from .wide import wide_facts

__all__ = ["OTHER_REFERENCE", "Fact", "Facts", "facts_of", "meta_facts", "more_facts", "unit_key"]

Fact = tuple[int, Any, Any]

OTHER_REFERENCE = 0  # the parameter number of a reference that no search parameter names


class Facts(Struct, gc=False):
    """The facts of one resource, by kind; one may be there twice."""

    tokens: list[Fact] = []
    labels: list[Fact] = []
    references: list[Fact] = []
    dates: list[Fact] = []
    quantities: list[Fact] = []

    def all(self) -> list[Fact]:
        """Of every kind; the number tells which."""
        return self.tokens + self.labels + self.references + self.dates + self.quantities


def facts_of(type_: str, body: bytes) -> Facts:
    """All facts of a resource, or of some of its elements as a JSON object.

    An element of a shape that is not R4 gives no facts; the others do.
    """
    if type_ not in MAPPED:
        return _wide(type_, body)
    read, steps = _extractor(type_)
    try:
        values = astuple(read(body))
    except msgspec.ValidationError:
        return _facts_one_by_one(type_, body)
    facts = Facts()
    for value, step in zip(values, steps, strict=True):
        if value is not None:
            step(value, facts)
    references = facts.references
    if body.count(b'"reference"') != len(references):
        named = {fact[1] for fact in references}
        references += [(OTHER_REFERENCE, one, "") for one in dict.fromkeys(local_references(body)) if one not in named]
    return facts


def meta_facts(meta: bytes) -> list[Fact]:
    """The indexed facts of `meta`, which is kept apart: tags and security labels are tokens."""
    if b'"tag"' not in meta and b'"security"' not in meta:
        return []
    indexed = [one for one in COMMON if one.is_indexed]
    return [fact for _, fact in wide_facts({"meta": decode(meta)}, indexed)]


def more_facts(type_: str, resource: dict[str, Any]) -> list[Fact]:
    """The facts of the parameters that are not indexed; `resource` with its meta."""
    parameters = [one for one in (*COMMON, *parameters_of(type_)) if not one.is_indexed]
    return [fact for _, fact in wide_facts(resource, parameters)]


def _wide(type_: str, body: bytes) -> Facts:
    """All indexed facts of a type that has no shape."""
    resource = decode(body)
    facts = Facts()
    lists = {
        Kind.TOKEN: facts.tokens,
        Kind.IDENTIFIER: facts.labels,
        Kind.STRING: facts.labels,
        Kind.URI: facts.labels,
        Kind.DATE: facts.dates,
        Kind.REFERENCE: facts.references,
        Kind.QUANTITY: facts.quantities,
        Kind.NUMBER: facts.quantities,
    }
    for kind, fact in wide_facts(resource, _own(type_)):
        lists[kind].append(fact)
    named = {fact[1] for fact in facts.references}
    facts.references += [
        (OTHER_REFERENCE, one, "") for one in dict.fromkeys(local_references(body)) if one not in named
    ]
    return facts


@lru_cache(maxsize=256)
def _own(type_: str) -> tuple[Parameter, ...]:
    """The indexed parameters whose values are stored under their own name."""
    return tuple(one for one in parameters_of(type_) if one.is_indexed and one.found_under == (one.name,))


def unit_key(system: str, code: str, unit: str) -> str:
    """How a unit is stored."""
    return f"{system}|{code}|{unit}"


def _facts_one_by_one(type_: str, body: bytes) -> Facts:
    elements = msgspec.json.decode(body, type=dict[str, Raw])
    if len(elements) < 2:
        return Facts(references=[(OTHER_REFERENCE, one, "") for one in local_references(body)])
    facts = Facts()
    for name, raw in elements.items():
        for mine, more in zip(astuple(facts), astuple(facts_of(type_, msgspec.json.encode({name: raw}))), strict=True):
            mine += more
    return facts


# Puts what a value says into the facts.
_Step = Callable[[Any, Facts], None]


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

    def step(value: Any, facts: Facts) -> None:
        for item in value if type(value) is list else (value,):
            for part, deeper in zip(astuple(item), steps, strict=True):
                if part is not None:
                    deeper(part, facts)

    return step


def _twig(deeper: _Step) -> _Step:
    """A branch with one element of interest."""

    def step(value: Any, facts: Facts) -> None:
        for item in value if type(value) is list else (value,):
            if item.f0 is not None:
                deeper(item.f0, facts)

    return step


def _leaf(leaf: Leaf) -> _Step:
    steps = [_KINDS[parameter.kind](parameter.number) for parameter in leaf.parameters]
    if len(steps) == 1:
        return steps[0]

    def step(value: Any, facts: Facts) -> None:
        for one in steps:
            one(value, facts)

    return step


def _token(number: int) -> _Step:
    def step(value: Any, facts: Facts) -> None:
        tokens = facts.tokens
        for item in value if type(value) is list else (value,):
            if type(item) is Concept:
                if item.coding is None:
                    if item.code:
                        tokens.append((number, item.code, item.system))
                    continue
                for coding in item.coding:
                    if coding.code:
                        tokens.append((number, coding.code, coding.system))
            elif type(item) is str:
                tokens.append((number, item, ""))
            else:
                tokens.append((number, "true" if item else "false", ""))

    return step


def _identifier(number: int) -> _Step:
    def step(value: Any, facts: Facts) -> None:
        items: list[Identifier] = value if type(value) is list else [value]
        facts.labels += [(number, item.value, item.system) for item in items if item.value]

    return step


_fold = lru_cache(maxsize=8_192)(fold)


def _string(number: int) -> _Step:
    def step(value: Any, facts: Facts) -> None:
        for item in value if type(value) is list else (value,):
            folded = _fold(item)
            if folded:
                facts.labels.append((number, folded, ""))

    return step


def _date(number: int) -> _Step:
    def step(value: Any, facts: Facts) -> None:
        if type(value) is str:
            found = date_range(value)
        else:
            start, end = date_range(value.start), date_range(value.end)
            found = period_range(start, end) if start or end else None
        if found is not None:
            facts.dates.append((number, found[0], found[1]))

    return step


def _reference(number: int) -> _Step:
    def step(value: Any, facts: Facts) -> None:
        items: list[Pointer] = value if type(value) is list else [value]
        facts.references += [(number, item.reference, "") for item in items if item.reference.count("/") == 1]

    return step


def _quantity(number: int) -> _Step:
    def step(value: Quantity, facts: Facts) -> None:
        if value.value is not None:
            facts.quantities.append((number, value.value, unit_key(value.system, value.code, value.unit)))

    return step


_KINDS: dict[Kind, Callable[[int], _Step]] = {
    Kind.TOKEN: _token,
    Kind.IDENTIFIER: _identifier,
    Kind.STRING: _string,
    Kind.DATE: _date,
    Kind.REFERENCE: _reference,
    Kind.QUANTITY: _quantity,
}
