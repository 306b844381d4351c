"""From published CodeSystems and ValueSets (R4 JSON) to sets of codes.

A value set is what its `compose` says (R4 valueset.html#compositions): listed concepts, whole systems, filters over
systems whose concepts are known, other value sets; minus what it excludes. What depends on a system whose codes are not
here (LOINC, SNOMED CT) stays open, and is said to be so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .model import CodeSystem, ValueSet

__all__ = ["Concepts", "code_system_of", "concepts_of", "flat_concepts", "value_set_of"]

Json = dict[str, Any]
MOST_CODES = 2000  # a system with more is named, and its codes are left out


class Concepts:
    """The concepts of one system, and how they hang together."""

    def __init__(self, definition: Json) -> None:
        """From a CodeSystem, with its hierarchy: nested, or in properties."""
        self.is_flat = False
        self.parents: dict[str, set[str]] = {}
        self.properties: dict[str, dict[str, set[str]]] = {}
        for code, concept, parent in flat_concepts(definition.get("concept", ()), ""):
            above = self.parents.setdefault(code, set())
            if parent:
                above.add(parent)
            held = self.properties.setdefault(code, {})
            for one in concept.get("property", ()):
                value = next((held for key, held in one.items() if key.startswith("value")), "")
                text = str(value).lower() if isinstance(value, bool) else str(value)
                held.setdefault(one["code"], set()).add(text)
                if one["code"] in ("subsumedBy", "parent"):
                    above.add(text)

    @classmethod
    def flat(cls, codes: Iterable[str]) -> Concepts:
        """Codes of which it is not known how they hang together: filters over them are not computed."""
        made = cls({"concept": [{"code": code} for code in codes]})
        made.is_flat = True
        return made

    def under(self, code: str) -> set[str]:
        """A concept and all below it."""
        found, fresh = {code}, {code}
        while fresh:
            fresh = {one for one, above in self.parents.items() if above & fresh} - found
            found |= fresh
        return found & self.parents.keys()

    def where(self, property_: str, operator: str, value: str) -> set[str] | None:
        """The concepts that a filter keeps; None for a filter that cannot be computed here."""
        if self.is_flat:
            return None
        if property_ in ("concept", "code") and operator == "is-a":
            return self.under(value)
        if property_ in ("concept", "code") and operator == "descendent-of":
            return self.under(value) - {value}
        if property_ in ("concept", "code") and operator == "is-not-a":
            return set(self.parents) - self.under(value)
        if operator == "=":
            return {code for code, held in self.properties.items() if value in held.get(property_, ())}
        return None


def flat_concepts(concepts: Iterable[Json], parent: str) -> Iterator[tuple[str, Json, str]]:
    """(code, concept, code of its parent or "") of concepts and all that is nested in them, parents first."""
    for concept in concepts:
        yield concept["code"], concept, parent
        yield from flat_concepts(concept.get("concept", ()), concept["code"])


def concepts_of(definitions: Iterable[Json]) -> dict[str, Concepts]:
    """System URL -> its concepts, for systems that are published whole."""
    return {
        one["url"].partition("|")[0]: Concepts(one)
        for one in definitions
        if one.get("content") == "complete" and one.get("concept")
    }


def code_system_of(definition: Json, package: str = "") -> CodeSystem:
    """The reduced form of a CodeSystem; its codes are left out where there are more than 2,000."""
    codes = frozenset(code for code, _, _ in flat_concepts(definition.get("concept", ()), ""))
    return CodeSystem(
        url=definition["url"].partition("|")[0],
        content=definition.get("content", "complete"),
        codes=codes if len(codes) <= MOST_CODES else frozenset(),
        is_case_sensitive=definition.get("caseSensitive", True),
        package=package,
    )


def value_set_of(
    definition: Json,
    concepts: Callable[[str], Concepts | None],
    other: Callable[[str], ValueSet | None],
    package: str = "",
) -> ValueSet:
    """The reduced form of a ValueSet. `concepts` finds those of a system, `other` a value set that is included."""
    gathered = _Gathered(concepts, other)
    compose = definition.get("compose", {})
    for include in compose.get("include", ()):
        gathered.include(include)
    for exclude in compose.get("exclude", ()):
        gathered.exclude(exclude)
    if not compose:
        gathered.expansion(definition.get("expansion", {}).get("contains", ()))
    return ValueSet(
        url=definition["url"].partition("|")[0],
        codes={system: frozenset(codes) for system, codes in sorted(gathered.codes.items()) if codes},
        whole=frozenset(gathered.whole),
        open=frozenset(gathered.open),
        missing=frozenset(gathered.missing),
        title=definition.get("title") or definition.get("name") or "",
        package=package,
    )


class _Gathered:
    """The codes of a value set while it is read."""

    def __init__(self, concepts: Callable[[str], Concepts | None], other: Callable[[str], ValueSet | None]) -> None:
        self._concepts, self._other = concepts, other
        self.codes: dict[str, set[str]] = {}
        self.whole: set[str] = set()
        self.open: set[str] = set()
        self.missing: set[str] = set()

    def include(self, part: Json) -> None:
        """One `include`: a system cut down by codes or filters, or other value sets; all conditions hold together."""
        urls = [url.partition("|")[0] for url in part.get("valueSet", ())]
        imported = [self._other(url) for url in urls]
        self.missing.update(url for url, found in zip(urls, imported, strict=True) if found is None)
        system = part.get("system")
        if system is None:
            self._import(imported)
        elif imported:
            self.open.add(system)  # the overlap of a system and other value sets: rare, and left open
        elif "concept" in part:
            self.codes.setdefault(system, set()).update(one["code"] for one in part["concept"])
        else:
            self._filtered(system, part.get("filter", ()))

    def _filtered(self, system: str, filters: Iterable[Json]) -> None:
        known, wanted = self._concepts(system), list(filters)
        if known is None:
            (self.open if wanted else self.whole).add(system)
            return
        kept: set[str] | None = set(known.parents)
        for one in wanted:
            found = known.where(one["property"], one["op"], one["value"])
            kept = None if found is None or kept is None else kept & found
        if kept is None:
            self.open.add(system)
        else:
            self.codes.setdefault(system, set()).update(kept)

    def _import(self, imported: list[ValueSet | None]) -> None:
        if len(imported) != 1 or imported[0] is None:
            self.open.add("*")  # a value set that is not here, or the overlap of several
            return
        for system, codes in imported[0].codes.items():
            self.codes.setdefault(system, set()).update(codes)
        self.whole |= imported[0].whole
        self.open |= imported[0].open
        self.missing |= imported[0].missing

    def exclude(self, part: Json) -> None:
        """One `exclude`: of what is listed it is taken away; of a system that is not known here, it stays open."""
        system = part.get("system", "")
        if "concept" in part:
            self.codes.get(system, set()).difference_update(one["code"] for one in part["concept"])
        elif "filter" in part and (known := self._concepts(system)) is not None:
            taken = set(known.parents)
            for one in part["filter"]:
                taken &= known.where(one["property"], one["op"], one["value"]) or set()
            self.codes.get(system, set()).difference_update(taken)
        elif system in self.codes and "filter" not in part:
            del self.codes[system]
        if system in self.whole:
            self.whole.discard(system)
            self.open.add(system)

    def expansion(self, contains: Iterable[Json]) -> None:
        """What a value set without a composition lists."""
        for one in contains:
            if "code" in one:
                self.codes.setdefault(one.get("system", ""), set()).add(one["code"])
            self.expansion(one.get("contains", ()))
