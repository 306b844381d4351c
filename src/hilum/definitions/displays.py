"""The words for codes, as their code systems and value sets publish them: for people who choose from a list.

In a pack they are kept beside the codes: a list in the order of the sorted codes of the code system in the same pack,
where "" stands for the code's own words (`in-progress`, "In Progress") and null for none; an object from code to words
for systems that are known by what value sets list of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .model import CodeSystem
from .terminology import flat_concepts

__all__ = ["Displays", "Packed", "displays_of", "packed_displays", "unpacked_displays"]

Json = dict[str, Any]
Displays = dict[str, dict[str, str]]  # system -> code -> words
Packed = list[str | None] | dict[str, str]


def displays_of(systems: Iterable[Json], value_sets: Iterable[Json]) -> Displays:
    """The displays of CodeSystems, and of the concepts that ValueSets list of systems that are not among these."""
    found: Displays = {}
    for one in systems:
        own = {code: concept.get("display", "") for code, concept, _ in flat_concepts(one.get("concept", ()), "")}
        found[one["url"].partition("|")[0]] = {code: text for code, text in own.items() if text}
    listed: Displays = {}
    for one in value_sets:
        for part in one.get("compose", {}).get("include", ()):
            for concept in part.get("concept", ()) if part.get("system") not in found else ():
                if concept.get("display"):
                    listed.setdefault(part["system"], {}).setdefault(concept["code"], concept["display"])
    return {system: held for system, held in (found | listed).items() if held}


def packed_displays(displays: Displays, systems: Mapping[str, CodeSystem]) -> dict[str, Packed]:
    """As they are kept in a pack."""
    return {system: _packed(held, systems.get(system)) for system, held in displays.items() if held}


def _packed(held: dict[str, str], system: CodeSystem | None) -> Packed:
    if system is None or not system.codes:
        return held
    return [_short(code, held.get(code)) for code in sorted(system.codes)]


def _short(code: str, display: str | None) -> str | None:
    return "" if display == _words(code) else display


def _words(code: str) -> str:
    return " ".join(word[:1].upper() + word[1:] for word in code.split("-"))


def unpacked_displays(packed: Packed, system: CodeSystem | None) -> dict[str, str]:
    """Code -> words, of those codes that have some."""
    if isinstance(packed, dict):
        return packed
    codes = sorted(system.codes) if system is not None else []
    told = zip(codes, packed, strict=True)
    return {code: text or _words(code) for code, text in told if text is not None}
