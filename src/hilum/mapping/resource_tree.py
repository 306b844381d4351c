"""A FHIR resource as a tree of places: what paths lead to, and which of its primitives (leaves) stand where.

Leaves are numbered in the order of JSON, so that everything below a place is one range of numbers. A leaf has a label,
its path without indices: `name.family`, `extension(http://...).valueCode`. Lists make no difference to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

__all__ = ["Part", "ResourceTree", "text_of"]

DEEPEST = 60  # levels; what is nested deeper counts as one leaf
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}")
_EXTENSIONS = ("extension", "modifierExtension")
_encode = msgspec.json.Encoder(decimal_format="number").encode


class Part:
    """One value at one place. Its leaves are those from `start` up to `end`; `members` are lists, by JSON name.

    A primitive has itself as its leaf; its extensions (`_name` in JSON) are members, and no leaves of the value.
    """

    __slots__ = ("end", "members", "start", "value")

    def __init__(self, value: Any, start: int) -> None:
        self.value, self.start, self.end = value, start, start
        self.members: dict[str, list[Part]] = {}


class ResourceTree:
    """The root of one resource, and the labels of its leaves. `resourceType` is no leaf: it is the kind of record."""

    __slots__ = ("labels", "root")

    def __init__(self, resource: dict[str, Any]) -> None:
        self.labels: list[str] = []
        self.root = Part(resource, 0)
        self._fill(self.root, resource, "", DEEPEST)

    def _fill(self, part: Part, value: dict[str, Any], label: str, levels: int) -> None:
        for key, inner in value.items():
            if key == "resourceType" or inner is None:
                continue
            name = key.removeprefix("_")
            if name is not key and name in value and value[name] is not None:
                continue  # told with the value that it belongs to
            shown = name if _NAME.fullmatch(name) else "?"
            below = f"{label}.{shown}" if label else shown
            part.members[name] = list(self._items(name, value.get(name), value.get(f"_{name}"), below, levels))
        part.end = len(self.labels)

    def _items(self, name: str, value: Any, under: Any, label: str, levels: int) -> Iterator[Part]:
        values = value if isinstance(value, list) else [value]
        extras = under if isinstance(under, list) else [under]
        for at in range(max(len(values), len(extras) if under is not None else 0)):
            one = values[at] if at < len(values) else None
            extra = extras[at] if at < len(extras) else None
            if one is not None or isinstance(extra, dict):
                yield self._part(name, one, extra if isinstance(extra, dict) else {}, label, levels)

    def _part(self, name: str, value: Any, extra: dict[str, Any], label: str, levels: int) -> Part:
        part = Part(value, len(self.labels))
        if isinstance(value, dict) and levels > 0:
            if name in _EXTENSIONS:
                url = value.get("url")
                label = f"{label}({url if isinstance(url, str) else ''})".replace("[", "(").replace("]", ")")
                value = {key: inner for key, inner in value.items() if key != "url"}
            self._fill(part, value, label, levels - 1)
            return part
        if value is not None:
            self.labels.append(label)
        part.end = len(self.labels)
        if extra:
            inside = Part(extra, part.end)
            self._fill(inside, extra, label, levels - 1)
            part.members = inside.members
        return part


def text_of(value: Any) -> str:
    """The text of a primitive as FHIR writes it; JSON of a part with members."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return str(value)
    return _encode(value).decode()
