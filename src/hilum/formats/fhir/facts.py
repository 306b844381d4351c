"""What can be searched for in a resource: elements -> facts. Pure.

A fact is (kind, parameter number, a, b):

| kind | a | b |
|---|---|---|
| TOKEN | system, "" when it has none | code |
| LABEL | system of an identifier, "" for a string | value; a string is folded |
| REFERENCE | `Type/id` | "" |
| DATE | first millisecond | first millisecond after it |
| QUANTITY | unit: `system|code|human text` | value as a float |

The date that orders its type (`Parameter.ordering`) is a DATE fact like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Raw

from .dates import FAR_FUTURE, FAR_PAST, date_range
from .parameters import Kind, Parameter, parameters_of
from .reference import local_references
from .strings import fold

__all__ = ["DATE", "LABEL", "OTHER_REFERENCE", "QUANTITY", "REFERENCE", "TOKEN", "Fact", "facts_of", "unit_key"]

Fact = tuple[int, int, Any, Any]

TOKEN, LABEL, REFERENCE, DATE, QUANTITY = range(5)
OTHER_REFERENCE = 0  # the parameter number of a reference that no search parameter names

_decode: Callable[[bytes], Any] = msgspec.json.Decoder().decode


def facts_of(type_: str, elements: Mapping[str, Raw]) -> set[Fact]:
    """All facts of a resource with these top-level elements. Shapes that are not R4 give no facts, never an error."""
    readers = _readers(type_)
    facts: set[Fact] = set()
    for name, raw in elements.items():
        reader = readers.get(name)
        if reader is None:
            facts.update(_other_references(bytes(raw)))
        else:
            facts.update(reader(bytes(raw)))
    return facts


def unit_key(system: str, code: str, unit: str) -> str:
    """How a unit is stored."""
    return f"{system}|{code}|{unit}"


_Reader = Callable[[bytes], Iterable[Fact]]


@lru_cache(maxsize=4_096)
def _other_references(raw: bytes) -> tuple[Fact, ...]:
    if b'"reference"' not in raw:
        return ()
    return tuple((REFERENCE, OTHER_REFERENCE, target, "") for target in local_references(raw))


@lru_cache(maxsize=256)
def _readers(type_: str) -> dict[str, _Reader]:
    """One reader per top-level element that some parameter of the type looks at."""
    steps: dict[str, list[tuple[Parameter, tuple[str, ...]]]] = {}
    for parameter in parameters_of(type_):
        for path in parameter.paths:
            element, *rest = path.split(".")
            steps.setdefault(element, []).append((parameter, tuple(rest)))
    return {element: _reader(wanted) for element, wanted in steps.items()}


def _reader(wanted: list[tuple[Parameter, tuple[str, ...]]]) -> _Reader:
    """Elements that hold only codes repeat from resource to resource: their facts are remembered by their bytes."""
    parts = [(_VALUES[parameter.kind], parameter.number, rest) for parameter, rest in wanted]
    is_code = {parameter.kind for parameter, _ in wanted} == {Kind.TOKEN}

    def read(raw: bytes) -> tuple[Fact, ...]:
        try:
            value = _decode(raw)
        except msgspec.DecodeError:
            return ()
        found: list[Fact] = []
        for read_values, number, rest in parts:
            for item in _walk(value, rest) if rest else _each(value):
                found.extend(read_values(number, item))
        if raw.count(b'"reference"') > sum(fact[0] == REFERENCE for fact in found):
            found.extend(_unnamed(raw, {fact[2] for fact in found}))
        return tuple(found)

    return lru_cache(maxsize=2_048)(read) if is_code else read


def _unnamed(raw: bytes, named: set[Any]) -> Iterable[Fact]:
    """References of an element that its parameters do not look at: `agent.onBehalfOf` beside `agent.who`."""
    return [fact for fact in _other_references(raw) if fact[2] not in named]


def _each(value: Any) -> Iterable[Any]:
    return value if type(value) is list else (value,)


def _walk(value: Any, path: tuple[str, ...]) -> Iterable[Any]:
    """The values at a path, through lists."""
    items: Iterable[Any] = _each(value)
    for name in path:
        items = [one for item in items if type(item) is dict and name in item for one in _each(item[name])]
    return items


def _tokens(number: int, item: Any) -> Iterable[Fact]:
    if type(item) is str:
        return ((TOKEN, number, "", item),)
    if type(item) is bool:
        return ((TOKEN, number, "", "true" if item else "false"),)
    if type(item) is not dict:
        return ()
    codings = item.get("coding", item)
    return [
        (TOKEN, number, _text(coding, "system"), coding["code"])
        for coding in _each(codings)
        if type(coding) is dict and type(coding.get("code")) is str
    ]


def _identifiers(number: int, item: Any) -> Iterable[Fact]:
    if type(item) is not dict or type(item.get("value")) is not str:
        return ()
    return ((LABEL, number, _text(item, "system"), item["value"]),)


def _strings(number: int, item: Any) -> Iterable[Fact]:
    if type(item) is not str:
        return ()
    folded = fold(item)
    return ((LABEL, number, "", folded),) if folded else ()


def _references(number: int, item: Any) -> Iterable[Fact]:
    if type(item) is not dict or type(item.get("reference")) is not str:
        return ()
    text = item["reference"]
    return ((REFERENCE, number, text, ""),) if text.count("/") == 1 else ()


def _dates(number: int, item: Any) -> Iterable[Fact]:
    if type(item) is str:
        found = date_range(item)
        return ((DATE, number, found[0], found[1]),) if found else ()
    if type(item) is not dict or not ("start" in item or "end" in item):
        return ()
    start, end = date_range(_text(item, "start")), date_range(_text(item, "end"))
    first, after = start[0] if start else FAR_PAST, end[1] if end else FAR_FUTURE
    return ((DATE, number, first, max(first, after)),)


def _quantities(number: int, item: Any) -> Iterable[Fact]:
    if type(item) is not dict or type(item.get("value")) not in (int, float):
        return ()
    value = float(item["value"])
    return ((QUANTITY, number, unit_key(_text(item, "system"), _text(item, "code"), _text(item, "unit")), value),)


def _text(item: dict[str, Any], name: str) -> str:
    value = item.get(name)
    return value if type(value) is str else ""


_VALUES: dict[Kind, Callable[[int, Any], Iterable[Fact]]] = {
    Kind.TOKEN: _tokens,
    Kind.IDENTIFIER: _identifiers,
    Kind.STRING: _strings,
    Kind.DATE: _dates,
    Kind.REFERENCE: _references,
    Kind.QUANTITY: _quantities,
}
