"""Slices as JSON Schema: how many there are of each, and what an item of each is (R4 profiling.html#slicing).

What tells them apart is read in telling.py; a slice that nothing here can tell from the others is never guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hilum.definitions import MANY, Definitions, Element

from .nodes import Node
from .telling import Conforming, Told, tell

__all__ = ["slice_rules"]

Json = dict[str, Any]


def slice_rules(definitions: Definitions, node: Node, value_of: Callable[[Node], Json], conforming: Conforming) -> Json:
    """Keywords for the array of a sliced element: how many of each slice, and what each item of a slice is."""
    counts: list[Json] = []
    items: list[Json] = []
    for name, one in node.slices.items():
        told = tell(definitions, node, one, conforming)
        if told is None:
            continue
        counts.extend(_counts(one.element, name, told))
        if one.children and told.surely is not None:
            items.append({"if": told.surely, "then": value_of(one)})
    made: Json = {}
    if counts:
        made["allOf"] = counts
    if items:
        made["items"] = {"allOf": [value_of(_bare(node)), *items]}
    return made


def _bare(node: Node) -> Node:
    """The sliced element without its slices."""
    bare = Node(node.element)
    bare.children = node.children
    return bare


def _counts(element: Element, name: str, told: Told) -> list[Json]:
    found: list[Json] = []
    if element.min:
        found.append({"contains": told.maybe, "minContains": element.min, "x": ["slice-missing", name]})
    if told.surely is None:
        return found
    if element.max == 0:
        found.append({"not": {"contains": told.surely}, "x": ["slice-many", name]})
    elif element.max < MANY:
        most = {"contains": told.surely, "minContains": 0, "maxContains": element.max, "x": ["slice-many", name]}
        found.append(most)
    return found
