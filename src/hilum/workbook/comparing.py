"""Two JSON values compared leaf by leaf; numbers by their text, lists by their items."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

__all__ = ["Discrepancy", "decode", "differences", "leaves", "shown"]


class Number(str):
    """A number as it is written: 0.10 is not 0.1, 1 is not true, and neither is a text."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return type(other) is Number and str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(("number", str(self)))


class Discrepancy(Struct, frozen=True):
    """One leaf that differs. `expected` and `got` are JSON texts; "" where there is nothing."""

    path: str
    expected: str = ""
    got: str = ""


_read = json.JSONDecoder(parse_float=Number, parse_int=Number).decode
_text = json.JSONEncoder(ensure_ascii=False).encode


def decode(text: str | bytes) -> Any:
    """JSON to Python, numbers as they are written. Raises ValueError."""
    return _read(text if isinstance(text, str) else text.decode())


def shown(value: Any) -> str:
    """JSON of a decoded value, on one line, numbers as they were written."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(name)}: {shown(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(shown, value)) + "]"
    return str(value) if type(value) is Number else _text(value)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf with its path: `name[0].family`. An empty object or list is a leaf."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for at, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{at}]")
    else:
        yield path, value


def differences(expected: Any, got: Any, path: str = "") -> Iterator[Discrepancy]:
    """Where two values differ. Items that two lists share are left out, wherever they stand; then order is compared."""
    if expected == got:
        return
    if isinstance(expected, dict) and isinstance(got, dict):
        for name in [*expected, *(name for name in got if name not in expected)]:
            below = f"{path}.{name}" if path else name
            if name not in got:
                yield from _all(expected[name], below, is_expected=True)
            elif name not in expected:
                yield from _all(got[name], below, is_expected=False)
            else:
                yield from differences(expected[name], got[name], below)
    elif isinstance(expected, list) and isinstance(got, list):
        yield from _items(expected, got, path)
    else:
        yield Discrepancy(path, shown(expected), shown(got))


def _all(value: Any, path: str, *, is_expected: bool) -> Iterator[Discrepancy]:
    for below, leaf in leaves(value, path):
        yield Discrepancy(below, shown(leaf), "") if is_expected else Discrepancy(below, "", shown(leaf))


def _items(expected: list[Any], got: list[Any], path: str) -> Iterator[Discrepancy]:
    missing, extra = list(enumerate(expected)), list(enumerate(got))
    for one in list(missing):
        for other in extra:
            if one[1] == other[1]:
                missing.remove(one)
                extra.remove(other)
                break
    if not missing and not extra:
        yield Discrepancy(path, shown(expected), shown(got))
    for (_, before), (at, after) in zip(missing, extra, strict=False):
        yield from differences(before, after, f"{path}[{at}]")
    for at, before in missing[len(extra) :]:
        yield from _all(before, f"{path}[{at}]", is_expected=True)
    for at, after in extra[len(missing) :]:
        yield from _all(after, f"{path}[{at}]", is_expected=False)
