"""The values of a stored resource by element, to tell what a message wrote into it from what is there now. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

__all__ = ["StoredValues"]

_INDEX = re.compile(r"\[\d+\]")
_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode


class StoredValues:
    """One version of a resource. Paths are those of a trace: `telecom[0].value`."""

    def __init__(self, body: bytes | bytearray | memoryview | str | None) -> None:
        self._found: dict[str, list[tuple[str, Any]]] = {}
        for path, value in _walk(_decode(body)) if body else ():
            self._found.setdefault(_plain(path), []).append((path, value))

    def has(self, path: str) -> bool:
        """Whether there is such an element at all, in whatever item of its list."""
        return _plain(path) in self._found

    def holds(self, path: str, value: str) -> bool:
        """Whether the element, in whatever item of its list, has this value (JSON), or this among others."""
        said = _decode(value)
        return any(_holds(one, said) for _, one in self._found.get(_plain(path), ()))

    def at(self, path: str) -> str:
        """JSON of what stands at this very path; a list of all, where its items stand otherwise."""
        found = self._found.get(_plain(path), [])
        exact = [value for where, value in found if where == path] or [value for _, value in found]
        return _encode(exact[0] if len(exact) == 1 else exact).decode()


def _walk(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    yield at, value
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _walk(inner, f"{at}.{name}".removeprefix("."))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _walk(inner, f"{at}[{number}]")


def _plain(path: str) -> str:
    """Without indices, and without the mark of what stands beside a primitive (`_birthDate`)."""
    return ".".join(step.removeprefix("_") for step in _INDEX.sub("", path).split("."))


def _holds(stored: Any, said: Any) -> bool:
    """Other rows write into the same object: what was said must be in it, not alone."""
    if isinstance(said, dict) and isinstance(stored, dict):
        return all(name in stored and _holds(stored[name], inner) for name, inner in said.items())
    if isinstance(said, list) and isinstance(stored, list):
        return all(any(_holds(one, inner) for one in stored) for inner in said)
    return bool(stored == said)
