"""Walking the elements of a structure, through its datatypes: what may stand at a path, and what below it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cached_property

from msgspec import structs

from .model import Element, Structure, TypeRef

__all__ = ["Element", "Tree", "choice_name"]

_INDEX = re.compile(r"\[(?:\d+|\*)\]")
_OF_TYPE = re.compile(r"\.(?:ofType|as)\((?:FHIR\.)?(\w+)\)")
_INLINE = {"Element", "BackboneElement"}  # types whose children are written in the structure that uses them
MOST_STEPS = 64


def choice_name(name: str, type_: str) -> str:
    """`value[x]` of type `dateTime` -> `valueDateTime`."""
    return name.removesuffix("[x]") + type_[:1].upper() + type_[1:]


class Tree:
    """The elements of one structure. `tree_of` gives the tree of a datatype."""

    def __init__(self, structure: Structure, tree_of: Callable[[str], Tree | None]) -> None:
        self.structure = structure
        self._tree_of = tree_of

    @cached_property
    def _below(self) -> dict[str, dict[str, Element]]:
        """Path of a parent -> JSON name -> element, for what the structure writes itself (slices are left out)."""
        found: dict[str, dict[str, Element]] = {}
        for element in self.structure.elements:
            if element.slice or ":" in element.id:
                continue
            parent = found.setdefault(element.path.rpartition(".")[0], {})
            if not element.is_choice:
                parent[element.name] = element
                continue
            for one in element.types:
                parent[choice_name(element.name, one.code)] = structs.replace(element, types=(one,))
        return found

    def element(self, path: str) -> Element | None:
        """The element at a path from the root; "" is the root. None when R4 has no such path."""
        plain = _OF_TYPE.sub(lambda match: match[1][0].upper() + match[1][1:], _INDEX.sub("", path))
        names = plain.split(".") if plain else []
        if names and names[0] == self.structure.type:
            names = names[1:]
        if len(names) > MOST_STEPS:
            return None
        tree, here = self, self.structure.root
        for name in names:
            tree, below = tree._children(here)
            found = below.get(name) or _whole_choice(below, name)
            if found is None:
                return None
            here = found
        return here

    def children(self, path: str = "") -> dict[str, Element]:
        """JSON name -> element below a path; {} when there is none."""
        here = self.element(path)
        return {} if here is None else dict(self._home(path)._children(here)[1])

    def _home(self, path: str) -> Tree:
        """The tree that wrote the element at a path."""
        here = self.element(path)
        if here is None:
            return self
        name = here.path.partition(".")[0]
        return self if name == self.structure.type else self._tree_of(name) or self

    def _children(self, element: Element) -> tuple[Tree, dict[str, Element]]:
        """What stands below an element of this tree, and the tree that wrote it."""
        if element.content:
            return self, self._below.get(element.content, {})
        own = self._below.get(element.path)
        if own:
            return self, own
        if len(element.types) != 1 or element is self.structure.root:
            return self, {}
        other = self._tree_of(element.types[0].code)
        return (self, {}) if other is None else (other, other._below.get(other.structure.type, {}))

    def walk(self, depth: int) -> Iterator[tuple[str, Element]]:
        """(path without the type's name, element), parents first, down to `depth` names."""
        yield from self._walk(self.structure.root, "", depth)

    def _walk(self, element: Element, path: str, depth: int) -> Iterator[tuple[str, Element]]:
        if depth <= 0:
            return
        tree, below = self._children(element)
        for name, child in below.items():
            here = f"{path}.{name}" if path else name
            yield here, child
            yield from tree._walk(child, here, depth - 1)


def _whole_choice(below: dict[str, Element], name: str) -> Element | None:
    """`value[x]`, or `value` as FHIRPath says it: the element with all of its types."""
    stem = name.removesuffix("[x]")
    parts = [one for one in below.values() if one.is_choice and one.name == f"{stem}[x]"]
    if not parts:
        return None
    types: tuple[TypeRef, ...] = tuple(type_ for one in parts for type_ in one.types)
    return structs.replace(parts[0], types=types)
