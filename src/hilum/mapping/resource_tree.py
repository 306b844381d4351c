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
        has_extras = any(key[:1] == "_" for key in value)
        for key, inner in value.items():
            if inner is None or key == "resourceType":
                continue
            name, extra = key, None
            if has_extras:
                name = key.removeprefix("_")
                if name is not key and value.get(name) is not None:
                    continue  # told with the value that it belongs to
                extra = value.get(f"_{name}")
            below = _labels.get((label, name)) or _joined(label, name)
            if extra is None:
                items = inner if type(inner) is list else (inner,)
                part.members[name] = [self._part(name, one, {}, below, levels) for one in items if one is not None]
            else:
                part.members[name] = list(self._items(name, value.get(name), extra, below, levels))
        part.end = len(self.labels)

    def _items(self, name: str, value: Any, under: Any, label: str, levels: int) -> Iterator[Part]:
        values = value if isinstance(value, list) else [value]
        extras = under if isinstance(under, list) else [under]
        for at in range(max(len(values), len(extras))):
            one = values[at] if at < len(values) else None
            extra = extras[at] if at < len(extras) else None
            if extra is not None and not isinstance(extra, dict):
                self.labels.append(f"{label}.?")
            if one is not None or isinstance(extra, dict):
                yield self._part(name, one, extra if isinstance(extra, dict) else {}, label, levels)

    def _part(self, name: str, value: Any, extra: dict[str, Any], label: str, levels: int) -> Part:
        part = Part(value, len(self.labels))
        if isinstance(value, dict) and levels > 0:
            if name in _EXTENSIONS:
                label = f"{label}({_shown(value.get('url'))})"
                value = {key: inner for key, inner in value.items() if key != "url"}
            self._fill(part, value, label, levels - 1)
            if extra:  # R4 has none here: nothing leads to it, and it counts all the same
                self._fill(Part(extra, part.end), extra, label, levels - 1)
            return part
        if value is not None:
            self.labels.append(label)
        part.end = len(self.labels)
        if extra:
            inside = Part(extra, part.end)
            self._fill(inside, extra, label, levels - 1)
            part.members = inside.members
        return part


def _shown(url: object) -> str:
    """The URL of an extension as part of a label: brackets are round there, and no text is endless."""
    return url[:200].replace("[", "(").replace("]", ")") if isinstance(url, str) else ""


_labels: dict[tuple[str, str], str] = {}


def _joined(label: str, name: str) -> str:
    """`name.family`; remembered, as the same few come all the time."""
    if len(_labels) > 10_000:
        _labels.clear()
    shown = name if _NAME.fullmatch(name) else "?"
    found = _labels[label, name] = f"{label}.{shown}" if label else shown
    return found


def text_of(value: Any) -> str:
    """The text of a primitive as FHIR writes it; JSON of a part with members."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return str(value).replace("E+", "e").replace("E", "e")  # 1e3, which Decimal writes as 1E+3
    return _encode(value).decode()
