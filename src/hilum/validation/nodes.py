"""A structure as a tree by element id: children under their parents, slices beside what they slice."""

from __future__ import annotations

from hilum.definitions import Element, Structure

__all__ = ["Node", "tree_of"]


class Node:
    """One element, the elements below it that the structure writes itself, and its slices."""

    __slots__ = ("children", "element", "slices")

    def __init__(self, element: Element) -> None:
        self.element = element
        self.children: dict[str, Node] = {}  # by name as R4 writes it: `value[x]`
        self.slices: dict[str, Node] = {}  # by slice name, in order

    def at(self, names: list[str]) -> Node | None:
        """The node below at some names."""
        here: Node | None = self
        for name in names:
            here = None if here is None else here.children.get(name)
        return here

    def of_type(self, name: str, type_: str) -> Node:
        """Where a profile says something about one type of a choice: in a slice named as JSON names it."""
        for one in self.slices.values():
            if one.element.slice == name or [held.code for held in one.element.types] == [type_]:
                return one
        return self


def tree_of(structure: Structure) -> tuple[Node, dict[str, Node]]:
    """The root, and path -> node of what is not below a slice: where content references lead."""
    by_id: dict[str, Node] = {}
    by_path: dict[str, Node] = {}
    for element in structure.elements:
        identity = element.id or element.path
        node = by_id[identity] = Node(element)
        if ":" not in identity:
            by_path[element.path] = node
        above, _, last = identity.rpartition(".")
        stem, _, slice_name = last.partition(":")
        if slice_name:
            sliced = by_id.get(f"{above}.{stem}" if above else stem)
            if sliced is not None:
                sliced.slices[slice_name] = node
        elif above in by_id:
            by_id[above].children[last] = node
    return by_id[structure.elements[0].id or structure.elements[0].path], by_path
