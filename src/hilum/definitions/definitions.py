"""Looking definitions up: one pack or several, asked as one. What is asked for is decoded once and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TypeVar

import msgspec

from .displays import Packed, unpacked_displays
from .model import CodeSystem, Constraint, SearchParameter, Structure, ValueSet
from .pack import Pack
from .reduce import core_name
from .searching import for_type
from .walking import Element, Tree

__all__ = ["Definitions"]

T = TypeVar("T")
_BASES = ("Resource", "DomainResource")
_NONE = msgspec.Raw(b"[]")


class Definitions:
    """R4 and the packages loaded beside it. Later packs win where two define the same URL.

    Thread-safe for reading: two threads may decode the same entry twice, and both get equal values.
    """

    def __init__(self, packs: Sequence[Pack]) -> None:
        if not packs:
            raise ValueError("definitions come from one pack at least")
        self.packs = tuple(packs)
        self._structures: dict[str, Structure] = {}
        self._trees: dict[str, Tree] = {}
        self._value_sets: dict[str, ValueSet] = {}
        self._code_systems: dict[str, CodeSystem] = {}
        self._search: dict[str, tuple[SearchParameter, ...]] = {}
        self._names: dict[str, tuple[str, ...]] = {}

    @cached_property
    def version(self) -> str:
        """What these rules are, for reports: `4.0.1+a1b2c3d4e5f6`, then each package as `name#version+hash`."""
        first, *others = self.packs
        return " ".join(
            (f"{first.header.version}+{first.sha256[:12]}", *(f"{pack.label}+{pack.sha256[:12]}" for pack in others))
        )

    @property
    def sha256(self) -> str:
        """One hash over all packs, in order."""
        if len(self.packs) == 1:
            return self.packs[0].sha256
        return hashlib.sha256("".join(pack.sha256 for pack in self.packs).encode()).hexdigest()

    @property
    def labels(self) -> tuple[str, ...]:
        """`hl7.fhir.r4#4.0.1`, `hl7.fhir.us.core#7.0.0`..."""
        return tuple(pack.label for pack in self.packs)

    @property
    def guides(self) -> tuple[str, ...]:
        """Canonical URLs of the guides that are loaded: for `CapabilityStatement.implementationGuide`."""
        return tuple(guide for pack in self.packs for guide in pack.header.guides)

    def supported_profiles(self, type_: str) -> tuple[str, ...]:
        """URLs of the profiles that packages define for a type: for `CapabilityStatement.rest.resource`."""
        found: dict[str, None] = {}
        for pack in self.packs[1:]:
            for url, of in pack.section("profiles").items():
                if msgspec.json.decode(of) == type_:
                    found[url] = None
        return tuple(found)

    def types(self, kind: str | None = None) -> tuple[str, ...]:
        """Names of all R4 types, sorted, abstract ones too; `kind`: resource, complex-type or primitive-type."""
        key = kind or ""
        if key not in self._names:
            index = self.packs[0].section("types")
            named = msgspec.json.decode(msgspec.json.encode(index), type=dict[str, str])
            self._names[key] = tuple(sorted(name for name, found in named.items() if kind in (None, found)))
        return self._names[key]

    def structure(self, name: str) -> Structure | None:
        """A type by name, or a profile or extension by URL (a version after `|` is not looked at)."""
        plain = core_name(name)
        return self._kept(self._structures, "structures", plain, Structure)

    def profiles(self, type_: str | None = None) -> Iterator[Structure]:
        """All profiles (also extensions, with `type_` Extension), those of one type or all."""
        for pack in self.packs:
            for url, of in pack.section("profiles").items():
                if type_ is None or msgspec.json.decode(of) == type_:
                    found = self.structure(url)
                    if found is not None:
                        yield found

    def tree(self, name: str) -> Tree | None:
        """The elements of a structure, ready to be walked."""
        plain = core_name(name)
        found = self._trees.get(plain)
        if found is None:
            structure = self.structure(plain)
            if structure is None:
                return None
            found = self._trees[plain] = Tree(structure, self.tree)
        return found

    def element(self, type_: str, path: str = "") -> Element | None:
        """The element at a path below a type: `("Patient", "name.given")`, `("Observation", "valueQuantity.value")`.

        Indexes (`name[0]`, `name[*]`) are passed over; a path may begin with the name of the type. A choice that is
        named with its type (`valueQuantity`, or `value.ofType(Quantity)`) has that one type.
        """
        tree = self.tree(type_)
        return None if tree is None else tree.element(path)

    def children(self, type_: str, path: str = "") -> dict[str, Element]:
        """JSON name -> element, for all that may stand there; choices once for each of their types. {} when unknown."""
        tree = self.tree(type_)
        return {} if tree is None else tree.children(path)

    def walk(self, type_: str, depth: int = 4) -> Iterator[tuple[str, Element]]:
        """Every path below a type with its element, parents first; recursive types end at `depth` names."""
        tree = self.tree(type_)
        if tree is not None:
            yield from tree.walk(depth)

    def constraints(self, type_: str) -> tuple[tuple[str, Constraint], ...]:
        """(path, invariant) of a type and of what it is based on; the path is "" for the whole."""
        found: list[tuple[str, Constraint]] = []
        seen: set[str] = set()
        for structure in self.lineage(type_):
            for element in structure.elements:
                below = element.path.partition(".")[2]
                for one in element.constraints:
                    if one.key not in seen or structure.name == core_name(type_):
                        seen.add(one.key)
                        found.append((below, one))
        return tuple(found)

    def lineage(self, type_: str) -> tuple[Structure, ...]:
        """A structure and what it is based on, nearest first: Patient, DomainResource, Resource."""
        found: list[Structure] = []
        structure = self.structure(type_)
        while structure is not None and structure not in found:
            found.append(structure)
            structure = self.structure(structure.base) if structure.base else None
        return tuple(found)

    def is_a(self, type_: str, base: str) -> bool:
        """Whether a type is another one or is derived from it: Age is a Quantity, Patient is a Resource."""
        return any(one.name == base for one in self.lineage(type_))

    def search_parameters(self, type_: str) -> tuple[SearchParameter, ...]:
        """All that R4 and the packages define for a type, also those of Resource, by name.

        Where a package defines a name again, the package's is taken; `expression` is cut down to what is of the type.
        """
        if type_ not in self._search:
            if type_ not in self.types():
                return ()
            found: dict[str, SearchParameter] = {}
            for pack in self.packs:
                for base in (*_BASES, type_):
                    urls = pack.section("search-by-type").get(base, _NONE)
                    for url in msgspec.json.decode(urls, type=tuple[str, ...]):
                        one = msgspec.json.decode(pack.section("search")[url], type=SearchParameter)
                        found[one.name] = for_type(one, type_)
            self._search[type_] = tuple(found[name] for name in sorted(found))
        return self._search[type_]

    def search_parameter(self, url: str) -> SearchParameter | None:
        """One by its URL, with its whole expression: what components of composites point at."""
        return self._find("search", url.partition("|")[0], SearchParameter)

    def value_set(self, url: str) -> ValueSet | None:
        """A value set by URL; None when it is not loaded."""
        plain = url.partition("|")[0]
        return self._kept(self._value_sets, "value-sets", plain, ValueSet)

    def code_system(self, url: str) -> CodeSystem | None:
        """A code system by URL; None when it is not known at all."""
        plain = url.partition("|")[0]
        return self._kept(self._code_systems, "code-systems", plain, CodeSystem)

    def displays(self, system: str) -> dict[str, str]:
        """Code -> the words for it, of a code system by URL; a package says them before R4. {} where none are kept."""
        plain = system.partition("|")[0]
        found: dict[str, str] = {}
        for pack in self.packs:
            raw = pack.section("displays").get(plain)
            if raw is not None:
                codes = pack.section("code-systems").get(plain)
                home = None if codes is None else msgspec.json.decode(codes, type=CodeSystem)
                found |= unpacked_displays(msgspec.json.decode(raw, type=Packed), home)
        return found

    def compartment(self, type_: str) -> dict[str, tuple[str, ...]]:
        """R4 compartmentdefinition.html: resource type -> search parameters that tie it to a Patient (Encounter...).

        `{def}` among them stands for the resource itself. {} when there is no such compartment.
        """
        return self._find("compartments", type_, dict[str, tuple[str, ...]]) or {}

    def _kept(self, kept: dict[str, T], section: str, name: str, type_: type[T]) -> T | None:
        """What is found is kept; names that lead to nothing are not, since anybody may ask for them."""
        found = kept.get(name)
        if found is None and (found := self._find(section, name, type_)) is not None:
            kept[name] = found
        return found

    def _find(self, section: str, name: str, type_: type[T]) -> T | None:
        for pack in reversed(self.packs):
            raw = pack.section(section).get(name)
            if raw is not None:
                return msgspec.json.decode(raw, type=type_)
        return None

    def with_packs(self, packs: Iterable[Pack]) -> Definitions:
        """These and more."""
        return Definitions((*self.packs, *packs))
