"""A configuration file as a tree of nodes that know where they stand."""

from __future__ import annotations

import re
from typing import Any, TypeAlias

from msgspec import Struct

__all__ = ["Mark", "Node", "Path", "Scalar", "locate", "place_of", "plain", "walk"]

Scalar: TypeAlias = str | int | float | bool | None
Path: TypeAlias = tuple[str | int, ...]


class Mark(Struct, frozen=True, order=True):
    """A place in a file; line and column start at 1."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


_PLACE = re.compile(r"(.*?)(?::([0-9]{1,9}))?(?::([0-9]{1,9}))?", re.DOTALL)


def place_of(location: str) -> tuple[str, int, int]:
    """File, line and column of a location; 0 where it has none."""
    match = _PLACE.fullmatch(location)
    assert match is not None  # every text matches
    return match[1], int(match[2] or 0), int(match[3] or 0)


class Node:
    """One value as written: `content` is a scalar, a list of nodes, or a dict of nodes."""

    __slots__ = ("content", "height", "keys", "mark", "size", "text")

    def __init__(self, mark: Mark, content: Scalar | list[Node] | dict[str, Node], text: str = "") -> None:
        self.mark = mark
        self.content = content
        self.text = text  # a scalar as written
        self.keys: dict[str, Mark] = {}  # where each key of a dict stands
        self.size = 1  # nodes, with every alias unfolded
        self.height = 1  # levels, with every alias unfolded


def plain(node: Node) -> Any:
    """The value without marks: dicts, lists and scalars, as JSON has them."""
    content = node.content
    if isinstance(content, dict):
        return {key: plain(child) for key, child in content.items()}
    if isinstance(content, list):
        return [plain(child) for child in content]
    return content


def walk(root: Node, path: Path) -> tuple[Node, Mark]:
    """The node at `path` and the mark of the key before it; the nearest enclosing ones when there is none."""
    node, key = root, root.mark
    for step in path:
        content = node.content
        if isinstance(content, dict) and isinstance(step, str) and step in content:
            key = node.keys.get(step, content[step].mark)
            node = content[step]
        elif isinstance(content, list) and isinstance(step, int) and step < len(content):
            node = content[step]
            key = node.mark
        else:
            break
    return node, key


def locate(root: Node, path: Path) -> Mark:
    """Where the value at `path` stands, or the nearest value around it."""
    return walk(root, path)[0].mark
