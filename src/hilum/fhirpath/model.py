"""What the compiler asks of a model of FHIR, and R4 as it ships with hilum.

A type is named as the model does: `Patient`, `HumanName`, `code`, and `Patient.contact` for what stands inside a
resource and has no type name of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Protocol

from msgspec import Struct

from hilum import definitions
from hilum.definitions import Definitions, Structure

__all__ = ["Field", "Model", "R4Model", "r4_model"]


class Field(Struct, frozen=True):
    """One element of a type. A choice has all its types; `keys` maps what JSON writes to the type it says."""

    name: str
    types: tuple[str, ...]
    is_list: bool = False
    keys: Mapping[str, str] = {}  # choices: {"valueQuantity": "Quantity"}

    @property
    def is_choice(self) -> bool:
        """Whether JSON writes the type into the name."""
        return bool(self.keys)


class Model(Protocol):
    """The types of FHIR. Everything is answered from memory and may be called at any time."""

    def __hash__(self) -> int:
        """Compiled expressions are kept by model."""

    def has(self, type_: str) -> bool:
        """Whether there is such a type."""

    def fields(self, type_: str) -> Mapping[str, Field]:
        """Its elements by the name that paths use; {} for what is not known."""

    def is_a(self, type_: str, base: str) -> bool:
        """Whether a type is another one, or is derived from it."""

    def is_primitive(self, type_: str) -> bool:
        """Whether JSON writes it as a text, number or boolean."""

    def is_resource(self, type_: str) -> bool:
        """Whether JSON says its type in `resourceType`."""


class R4Model:
    """A `Model` over loaded definitions."""

    def __init__(self, source: Definitions) -> None:
        self._source = source
        self._fields: dict[str, Mapping[str, Field]] = {}
        self._is_a: dict[tuple[str, str], bool] = {}
        self._primitives = frozenset(source.types("primitive-type"))
        self._resources = frozenset(source.types("resource"))
        self._types = frozenset(source.types())

    def has(self, type_: str) -> bool:
        """Whether there is such a type."""
        return type_ in self._types or ("." in type_ and bool(self.fields(type_)))

    def is_primitive(self, type_: str) -> bool:
        """Whether JSON writes it as a text, number or boolean."""
        return type_ in self._primitives

    def is_resource(self, type_: str) -> bool:
        """Whether JSON says its type in `resourceType`."""
        return type_ in self._resources

    def is_a(self, type_: str, base: str) -> bool:
        """Whether a type is another one, or is derived from it."""
        if type_ == base:
            return True
        key = (type_, base)
        if key not in self._is_a:
            inner = base in ("BackboneElement", "Element") if "." in type_ else self._source.is_a(type_, base)
            self._is_a[key] = inner
        return self._is_a[key]

    def fields(self, type_: str) -> Mapping[str, Field]:
        """Its elements by the name that paths use."""
        found = self._fields.get(type_)
        if found is None:
            structure = self._source.structure(type_.partition(".")[0])
            found = self._fields[type_] = _fields(structure, type_) if structure is not None else {}
        return found


def _fields(structure: Structure, path: str) -> Mapping[str, Field]:
    """The elements right below a path."""
    parents = {one.path.rpartition(".")[0] for one in structure.elements}
    found = {}
    for element in structure.elements:
        if element.path.rpartition(".")[0] != path or element.slice:
            continue
        name = element.name.removesuffix("[x]")
        if element.content:
            types: tuple[str, ...] = (element.content,)
        elif element.path in parents and not element.is_choice:
            types = (element.path,)
        else:
            types = tuple(dict.fromkeys(one.code for one in element.types))
        keys = {definitions.choice_name(element.name, one): one for one in types} if element.is_choice else {}
        found[name] = Field(name, types, element.is_list, keys)
    return found


@cache
def r4_model() -> R4Model:
    """R4 as it ships with hilum."""
    return R4Model(definitions.r4())
