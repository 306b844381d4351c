"""The definitions of FHIR R4: types, elements, invariants, search parameters, value sets, code systems.

The functions ask R4 (4.0.1) as it ships with hilum. `Definitions` asks R4 and the packages loaded beside it; each
function here is its method of the same name. Nothing is read before the first question, and entries are decoded one
by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import resources

from hilum.definitions.terminology import Concepts

from .building import sections_of
from .definitions import Definitions
from .displays import Displays, displays_of, packed_displays
from .model import (
    MANY,
    Binding,
    CodeSystem,
    Component,
    Constraint,
    Discriminator,
    Element,
    SearchParameter,
    Slicing,
    Structure,
    TypeRef,
    ValueSet,
)
from .pack import Origin, Pack, open_pack, write_pack
from .packages import PackageContent, read_package
from .reduce import core_name
from .rivals import rivals
from .shelf import Added, Shelf, Shelved
from .walking import choice_name

__all__ = [
    "MANY",
    "Added",
    "Binding",
    "CodeSystem",
    "Component",
    "Concepts",
    "Constraint",
    "Definitions",
    "Discriminator",
    "Displays",
    "Element",
    "Origin",
    "Pack",
    "PackageContent",
    "SearchParameter",
    "Shelf",
    "Shelved",
    "Slicing",
    "Structure",
    "TypeRef",
    "ValueSet",
    "children",
    "choice_name",
    "code_system",
    "compartment",
    "constraints",
    "core_name",
    "displays_of",
    "element",
    "is_a",
    "open_pack",
    "packed_displays",
    "r4",
    "read_package",
    "rivals",
    "search_parameters",
    "sections_of",
    "structure",
    "types",
    "value_set",
    "version",
    "walk",
    "write_pack",
]


@cache
def r4() -> Definitions:
    """R4 as it ships with hilum. Raises HilumError `definitions-damaged` for a file other than the one built."""
    folder = resources.files(__name__)
    sha256 = folder.joinpath("r4.pack.sha256").read_text(encoding="ascii").split()[0]
    return Definitions((open_pack(folder.joinpath("r4.pack").read_bytes(), sha256),))


def version() -> str:
    """`4.0.1+` and the first 12 digits of the pack's SHA-256."""
    return r4().version


def types(kind: str | None = None) -> tuple[str, ...]:
    """See `Definitions.types`."""
    return r4().types(kind)


def structure(name: str) -> Structure | None:
    """See `Definitions.structure`."""
    return r4().structure(name)


def element(type_: str, path: str = "") -> Element | None:
    """See `Definitions.element`."""
    return r4().element(type_, path)


def children(type_: str, path: str = "") -> dict[str, Element]:
    """See `Definitions.children`."""
    return r4().children(type_, path)


def walk(type_: str, depth: int = 4) -> Iterator[tuple[str, Element]]:
    """See `Definitions.walk`."""
    return r4().walk(type_, depth)


def constraints(type_: str) -> tuple[tuple[str, Constraint], ...]:
    """See `Definitions.constraints`."""
    return r4().constraints(type_)


def is_a(type_: str, base: str) -> bool:
    """See `Definitions.is_a`."""
    return r4().is_a(type_, base)


def search_parameters(type_: str) -> tuple[SearchParameter, ...]:
    """See `Definitions.search_parameters`."""
    return r4().search_parameters(type_)


def value_set(url: str) -> ValueSet | None:
    """See `Definitions.value_set`."""
    return r4().value_set(url)


def code_system(url: str) -> CodeSystem | None:
    """See `Definitions.code_system`."""
    return r4().code_system(url)


def compartment(type_: str) -> dict[str, tuple[str, ...]]:
    """See `Definitions.compartment`."""
    return r4().compartment(type_)
