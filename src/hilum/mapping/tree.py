"""The shape that the rows of one part give an element: objects, lists and leaves, before code is written for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from hilum.mapping.elements import NESTED_ANY, NESTED_REQUIRED, PRIMITIVES
from hilum.mapping.places import Step

__all__ = ["Each", "Item", "Leaf", "Listing", "Node", "ShapeProblem", "grow", "prune", "top_name", "wrap_of"]


@dataclass
class Leaf:
    """A value: the first of these lines that wrote."""

    lines: list[int] = field(default_factory=list)


@dataclass
class Each:
    """Every value of one line is an item of its own."""

    line: int
    slot: str = ""  # the source field that the item belongs to


@dataclass
class Item:
    """One item that several lines build. `zipped`: one per position of their values."""

    node: Node
    zipped: bool = False
    slot: str = ""


@dataclass
class Listing:
    """A list and what its items come from, in the order of the rows."""

    parts: list[Each | Item] = field(default_factory=list)
    named: dict[str, Item] = field(default_factory=dict)


@dataclass
class Node:
    """An object. `url` is that of an extension.

    It is not written without all of `required` (`value[x]` is any of that choice), nor without one of `wanted`.
    """

    members: dict[str, Leaf | Node | Listing] = field(default_factory=dict)
    url: str = ""
    required: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()

    def lines(self) -> list[int]:
        """The lines of all leaves below."""
        found: list[int] = []
        for member in self.members.values():
            if isinstance(member, Leaf):
                found += member.lines
            elif isinstance(member, Node):
                found += member.lines()
            else:
                for part in member.parts:
                    found += [part.line] if isinstance(part, Each) else part.node.lines()
        return found


def _name(steps: tuple[Step, ...], at: int) -> str:
    """The JSON name of a step: an extension of a primitive lives beside it in `_name`."""
    step = steps[at]
    below = at + 1 < len(steps) and steps[at + 1].name == "extension"
    return f"_{step.name}" if below and step.name in PRIMITIVES and step.item is None else step.name


def top_name(steps: tuple[Step, ...]) -> str:
    """The top-level member that a target writes."""
    return _name(steps, 0)


Kind = TypeVar("Kind", Leaf, Node, Listing)


class ShapeProblem(ValueError):
    """Two rows want an element to be two things."""


def grow(node: Node, steps: tuple[Step, ...], line: int, path: str) -> None:
    """Add one line's target below `node`. `path` is `Encounter` at the top. Raises ShapeProblem."""
    at = 0
    while True:
        step, name, last = steps[at], _name(steps, at), at + 1 == len(steps)
        path = f"{path}.{step.name}"
        if step.item is None and step.name != "extension":
            if last:
                _member(node, name, Leaf).lines.append(line)
                return
            node = _member(node, name, Node)
            node.required = NESTED_REQUIRED.get(path, ())
            at += 1
            continue
        listing = _member(node, name, Listing)
        if step.item == "+":
            listing.parts.append(Each(line))
            return
        key = f"{step.url} {step.item or ''}"
        item = listing.named.get(key)
        if item is None:
            inner = Node(url=step.url, required=NESTED_REQUIRED.get(path, ()), wanted=NESTED_ANY.get(path, ()))
            item = Item(inner, zipped=(step.item or "").startswith("+"))
            listing.named[key] = item
            listing.parts.append(item)
        if last:
            raise ShapeProblem(f"{path}[{step.item}] names an item: say which part of it, or write [+]")
        node = item.node
        at += 1


def _member(node: Node, name: str, kind: type[Kind]) -> Kind:
    found = node.members.get(name)
    if found is None:
        found = node.members[name] = kind()
    if not isinstance(found, kind):
        raise ShapeProblem(f"`{name}` is written as a value by one row and as a group by another")
    return found


def prune(node: Node, lines: set[int], speaking: set[int]) -> bool:
    """Take away all that none of these lines writes; false when nothing is left. Order is kept.

    An object that `speaking` lines fed, of which none is left, goes as a whole: constants alone do not make it.
    """
    for name, member in list(node.members.items()):
        if isinstance(member, Leaf):
            member.lines = [line for line in member.lines if line in lines]
            left = bool(member.lines)
        elif isinstance(member, Node):
            left = _is_left(member, lines, speaking)
        else:
            member.parts = [
                part
                for part in member.parts
                if (part.line in lines if isinstance(part, Each) else _is_left(part.node, lines, speaking))
            ]
            left = bool(member.parts)
        if not left:
            del node.members[name]
    return bool(node.members)


def _is_left(node: Node, lines: set[int], speaking: set[int]) -> bool:
    spoke = not speaking.isdisjoint(node.lines())
    return prune(node, lines, speaking) and not (spoke and speaking.isdisjoint(node.lines()))


def wrap_of(steps: tuple[Step, ...]) -> tuple[bytes, bytes]:
    """What stands before and after the value in an item of a `[+]` step: `{"text":` and `}` for `note[+].text`."""
    at = next((number for number, step in enumerate(steps) if step.item == "+"), -1)
    if at < 0:
        return b"", b""
    before, after = b"", b""
    if steps[at].url:
        before, after = b'{"url":"%b",' % steps[at].url.encode(), b"}"
    elif at + 1 < len(steps):
        before, after = b"{", b"}"
    for offset in range(at + 1, len(steps)):
        inner = steps[offset]
        opening, closing = b'"%b":' % _name(steps, offset).encode(), b""
        if inner.name == "extension":
            opening, closing = opening + b'[{"url":"%b",' % inner.url.encode(), b"}]"
        elif inner.item is not None:
            opening, closing = opening + b"[", b"]"
            if offset + 1 < len(steps):
                opening, closing = opening + b"{", b"}" + closing
        elif offset + 1 < len(steps):
            opening, closing = opening + b"{", b"}"
        before, after = before + opening, closing + after
    return before, after
