"""Reducing published definitions to the sections of a pack: R4 itself and IG packages go the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .displays import displays_of, packed_displays
from .model import SearchParameter, Structure, ValueSet
from .reduce import search_parameter_of, structure_of
from .terminology import Concepts, code_system_of, concepts_of, value_set_of

__all__ = ["sections_of"]

Json = dict[str, Any]


def sections_of(
    resources: Iterable[Json],
    package: str = "",
    known_value_set: Callable[[str], ValueSet | None] = lambda _: None,
    known_concepts: Callable[[str], Concepts | None] = lambda _: None,
) -> dict[str, dict[str, Any]]:
    """Sections from conformance resources, in any order; others are passed over. `known_*` is what is there already.

    Raises KeyError, TypeError or AttributeError for a resource that has not the elements R4 demands of it.
    """
    by_type: dict[str, list[Json]] = {}
    for one in resources:
        by_type.setdefault(one["resourceType"], []).append(one)
    structures = _structures(by_type.get("StructureDefinition", ()), package)
    search = [search_parameter_of(one, package) for one in by_type.get("SearchParameter", ())]
    systems = {one.url: one for one in (code_system_of(x, package) for x in by_type.get("CodeSystem", ()))}
    return {
        "structures": structures,
        "types": {one.name: one.kind for one in structures.values() if not one.is_profile},
        "profiles": {one.name: one.type for one in structures.values() if one.is_profile},
        "search": {one.url: one for one in search},
        "search-by-type": _by_type(search),
        "value-sets": _ValueSets(by_type, package, known_value_set, known_concepts).all(),
        "code-systems": systems,
        "displays": packed_displays(displays_of(by_type.get("CodeSystem", ()), by_type.get("ValueSet", ())), systems),
        "compartments": {one["code"]: _compartment(one) for one in by_type.get("CompartmentDefinition", ())},
    }


def _structures(definitions: Iterable[Json], package: str) -> dict[str, Structure]:
    found = (structure_of(one, package) for one in definitions if "snapshot" in one and one.get("kind") != "logical")
    return {one.name: one for one in found}


def _by_type(search: Iterable[SearchParameter]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in sorted(search, key=lambda one: one.url):
        for base in one.base:
            found.setdefault(base, []).append(one.url)
    return found


def _compartment(definition: Json) -> dict[str, list[str]]:
    return {one["code"]: one["param"] for one in definition["resource"] if "param" in one}


class _ValueSets:
    """The value sets of some resources, those that include others after these."""

    def __init__(
        self,
        by_type: dict[str, list[Json]],
        package: str,
        known_value_set: Callable[[str], ValueSet | None],
        known_concepts: Callable[[str], Concepts | None],
    ) -> None:
        self._definitions = {one["url"].partition("|")[0]: one for one in by_type.get("ValueSet", ())}
        self._package, self._known = package, known_value_set
        self._own, self._known_concepts = concepts_of(by_type.get("CodeSystem", ())), known_concepts
        self._made: dict[str, ValueSet] = {}
        self._making: set[str] = set()

    def all(self) -> dict[str, ValueSet]:
        """URL -> value set."""
        for url in self._definitions:
            self._one(url)
        return self._made

    def _one(self, url: str) -> ValueSet | None:
        if url in self._made or url not in self._definitions or url in self._making:
            return self._made.get(url) or self._known(url)
        self._making.add(url)
        self._made[url] = value_set_of(self._definitions[url], self._concepts, self._one, self._package)
        return self._made[url]

    def _concepts(self, system: str) -> Concepts | None:
        return self._own.get(system) or self._known_concepts(system)
