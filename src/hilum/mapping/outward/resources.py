"""FHIR resources as they are read on the way out: numbers as text, and every leaf accounted for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

__all__ = ["Number", "Resource", "View", "leaves", "read_resource", "shown"]


class Number(str):
    """A decimal with its digits as written: `0.10` stays `0.10`."""

    __slots__ = ()


_decode = msgspec.json.Decoder(float_hook=Number).decode


def read_resource(body: bytes) -> dict[str, Any]:
    """A resource for `OutwardPlan.run`; its decimals keep their digits. Raises msgspec.DecodeError."""
    found = _decode(body)
    if not isinstance(found, dict):
        raise msgspec.ValidationError("a resource is a JSON object")
    return found


def shown(value: Any) -> str:
    """The text of a primitive."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def leaves(value: Any, path: str) -> Iterator[str]:
    """The path of every primitive below a value: `name[0].family`."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{at}]")
    elif value is not None:
        yield path


class Resource:
    """One resource of the source, and the fate of each of its leaves: "" open, else `mapped` or `ignored`."""

    __slots__ = ("body", "fates", "id", "type", "used")

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.body = body
        self.type = str(body.get("resourceType", ""))
        self.id = str(body.get("id", ""))
        self.fates = dict.fromkeys(leaves(body, ""), "")
        self.fates.pop("resourceType", None)
        self.used = False  # stands in the message

    @property
    def reference(self) -> str:
        """`Patient/1`."""
        return f"{self.type}/{self.id}"

    def view(self) -> View:
        """The whole of it."""
        return View(self.body, "", self)

    def settle_urls(self) -> None:
        """The url of an extension goes with what is in it."""
        for path, fate in self.fates.items():
            if not fate and path.endswith(".url") and "xtension[" in path:
                inside = path.removesuffix("url")
                if any(other == "mapped" and one.startswith(inside) for one, other in self.fates.items()):
                    self.fates[path] = "mapped"

    def is_settled(self, path: str) -> bool:
        """Whether all leaves at and below a path are mapped."""
        inside = [
            fate for leaf, fate in self.fates.items() if leaf == path or leaf.startswith((path + ".", path + "["))
        ]
        return bool(inside) and all(fate == "mapped" for fate in inside)

    def mark(self, path: str, fate: str = "mapped") -> None:
        """Settle one leaf; what is mapped stays mapped."""
        if self.fates.get(path) != "mapped" and path in self.fates:
            self.fates[path] = fate


class View:
    """A value somewhere in a resource. `taken` lists the leaves that were read from it and what is below."""

    __slots__ = ("path", "resource", "taken", "value")

    def __init__(self, value: Any, path: str, resource: Resource, taken: list[str] | None = None) -> None:
        self.value, self.path, self.resource = value, path, resource
        self.taken: list[str] = [] if taken is None else taken

    def fresh(self) -> View:
        """The same place with nothing read yet."""
        return View(self.value, self.path, self.resource)

    def get(self, name: str) -> View | None:
        """A member; None when there is none."""
        if not isinstance(self.value, Mapping) or self.value.get(name) is None:
            return None
        return View(self.value[name], f"{self.path}.{name}" if self.path else name, self.resource, self.taken)

    def items(self, name: str) -> list[View]:
        """The items of a list (a single value is a list of one)."""
        inner = self.get(name)
        return inner.each() if inner is not None else []

    def each(self) -> list[View]:
        """The items of this list; a single value is a list of one."""
        if not isinstance(self.value, list):
            return [self]
        return [
            View(item, f"{self.path}[{at}]", self.resource, self.taken)
            for at, item in enumerate(self.value)
            if item is not None
        ]

    def text(self, *names: str) -> str:
        """The text of a primitive, here or below; "" when there is none. It counts as read."""
        found: View | None = self
        for name in names:
            found = found.get(name) if found is not None else None
        if found is None or isinstance(found.value, Mapping | list):
            return ""
        self.taken.append(found.path)
        return shown(found.value)

    def peek(self, *names: str) -> str:
        """As `text`, without counting."""
        value = self.value
        for name in names:
            value = value[0] if isinstance(value, list) and value else value
            value = value.get(name) if isinstance(value, Mapping) else None
        return shown(value) if value is not None and not isinstance(value, Mapping | list) else ""

    def take(self) -> None:
        """Everything below counts as read."""
        self.taken.extend(leaves(self.value, self.path))

    def commit(self) -> None:
        """What was read has found its place."""
        for path in self.taken:
            self.resource.mark(path)
