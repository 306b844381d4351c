"""The parts of a resource that searches look at, as msgspec structs made from the table of parameters.

Decoding into them skips all else: 2 us for a resource, where decoding and walking the whole of it costs 10.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from .parameters import Kind, Parameter
from .registry import parameters_of

__all__ = [
    "Branch",
    "Coding",
    "Concept",
    "Identifier",
    "Leaf",
    "Period",
    "Pointer",
    "Quantity",
    "Shape",
    "paths_of",
    "shape_of",
]


class Coding(Struct, gc=False):
    """What of a Coding is searched."""

    system: str = ""
    code: str = ""


class Concept(Struct, gc=False):
    """A CodeableConcept, or a Coding that stands where one could."""

    coding: list[Coding] | None = None
    system: str = ""
    code: str = ""


class Identifier(Struct, gc=False):
    """What of an Identifier is searched."""

    system: str = ""
    value: str = ""


class Pointer(Struct, gc=False):
    """A Reference."""

    reference: str = ""


class Period(Struct, gc=False):
    """A Period."""

    start: str = ""
    end: str = ""


class Quantity(Struct, gc=False):
    """A Quantity."""

    value: float | None = None
    system: str = ""
    code: str = ""
    unit: str = ""


class Leaf(Struct, frozen=True):
    """An element whose values are looked at, and by which parameters."""

    parameters: tuple[Parameter, ...]


class Branch(Struct, frozen=True):
    """An element with elements below; `below` is in the order of the fields of its struct."""

    below: tuple[tuple[str, Leaf | Branch], ...]


class Shape(Struct, frozen=True):
    """How one type is decoded: every element is None when it is absent; fields are in the order of `tree.below`."""

    struct: type[Struct]
    tree: Branch


_LEAVES: dict[Kind, Any] = {
    Kind.TOKEN: str | bool | Concept | list[str | Concept] | None,
    Kind.IDENTIFIER: Identifier | list[Identifier] | None,
    Kind.STRING: str | list[str] | None,
    Kind.DATE: str | Period | None,
    Kind.REFERENCE: Pointer | list[Pointer] | None,
    Kind.QUANTITY: Quantity | None,
}


@lru_cache(maxsize=256)
def shape_of(type_: str) -> Shape:
    """The shape of a resource type that messages make; one without search parameters has no fields."""
    wanted = [(path, one) for one in parameters_of(type_) if one.is_indexed for path in paths_of(one)]
    tree = _branch(wanted)
    return Shape(_struct(type_, tree), tree)


def paths_of(parameter: Parameter) -> list[list[str]]:
    """The paths of the table, or those of a reference that is in the definitions only."""
    if parameter.paths or parameter.kind is not Kind.REFERENCE or parameter.found_under != (parameter.name,):
        return [path.split(".") for path in parameter.paths]
    return [list(place.path) for place in parameter.places if place.leaf == "Reference"]


def _branch(wanted: list[tuple[list[str], Parameter]]) -> Branch:
    below: dict[str, Leaf | Branch] = {}
    for name in dict.fromkeys(path[0] for path, _ in wanted):
        deeper = [(path[1:], one) for path, one in wanted if path[0] == name and len(path) > 1]
        here = tuple(one for path, one in wanted if path == [name])
        below[name] = _branch(deeper) if deeper else Leaf(here)
    return Branch(tuple(below.items()))


def _struct(name: str, tree: Branch) -> type[Struct]:
    fields: list[tuple[str, Any, Any]] = []
    for index, (element, below) in enumerate(tree.below):
        if isinstance(below, Leaf):
            kind: Any = _LEAVES[below.parameters[0].kind]
        else:
            part: Any = _struct(f"{name}_{element}", below)
            kind = part | list[part] | None
        fields.append((f"f{index}", kind, msgspec.field(default=None, name=element)))
    return msgspec.defstruct(name, fields, gc=False)
