"""What tells the slices of an element apart, as JSON Schema (R4 profiling.html#discriminator).

A fixed value, a pattern, a required value set that is enumerated, the URL of an extension, that something is there or
is not, the type of a choice, of a resource or of what a reference leads to, or that a resource inside meets a profile.
What lies behind a reference is not looked at here: by its type it may be an item of a slice, or certainly is none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from hilum.definitions import Definitions, Discriminator, Element, choice_name

from .leading import leads_to, pointed_at, unresolved
from .nodes import Node

__all__ = ["Conforming", "Told", "pattern_schema", "tell"]

Json = dict[str, Any]
Conforming = Callable[[str], Json | None]  # URL of a profile -> its whole schema; None where it cannot be used


class Told(Struct, frozen=True):
    """What is an item of a slice: `surely` (None: that cannot be known here), and what may be one."""

    surely: Json | None
    maybe: Json


def pattern_schema(pattern: Any) -> Json:
    """A value that holds at least what the pattern holds (R4 elementdefinition-definitions.html pattern[x])."""
    if isinstance(pattern, dict):
        inner = {name: pattern_schema(held) for name, held in pattern.items()}
        return {"properties": inner, "required": sorted(pattern), "x": ["pattern-differs", ""]}
    if isinstance(pattern, list):
        held = [{"contains": pattern_schema(one), "x": ["pattern-differs", ""]} for one in pattern]
        return {"allOf": held}
    return {"const": pattern, "x": ["pattern-differs", ""]}


def tell(definitions: Definitions, sliced: Node, one: Node, conforming: Conforming) -> Told | None:
    """What an item of this slice looks like; None when that cannot be told at all."""
    types = one.element.types
    if types and types[0].code == "Extension" and len(types[0].profiles) == 1:
        by_url = {"properties": {"url": {"const": types[0].profiles[0]}}, "required": ["url"]}
        return Told(by_url, by_url)
    slicing = sliced.element.slicing
    parts: list[Told] = []
    for discriminator in () if slicing is None else slicing.discriminators:
        part = _told_by(definitions, sliced, one, discriminator, conforming)
        if part is None:
            return None
        parts.append(part)
    if not parts:
        return None
    sure = [part.surely for part in parts if part.surely is not None]
    return Told(_all(sure) if len(sure) == len(parts) else None, _all([part.maybe for part in parts]))


def _all(parts: list[Json]) -> Json:
    return parts[0] if len(parts) == 1 else {"allOf": parts}


def _told_by(
    definitions: Definitions, sliced: Node, one: Node, discriminator: Discriminator, conforming: Conforming
) -> Told | None:
    path = discriminator.path
    found: Json | None = None
    match discriminator.type:
        case "value" | "pattern":
            found = _at(definitions, one, path)
        case "exists":
            found = _there(one, path)
        case "type" | "profile" if path.endswith("resolve()"):
            is_type = discriminator.type == "type"
            return _behind(definitions, sliced, one, path.removesuffix("resolve()").rstrip("."), is_type=is_type)
        case "type":
            found = _of_type(definitions, one, path)
        case "profile":
            found = _of_profile(one, path, conforming)
    return None if found is None else Told(found, found)


def _steps(node: Node, path: str) -> list[Element] | None:
    """The elements on the way down a path of plain names; [] for the slice itself."""
    steps: list[Element] = []
    for name in [] if path in ("", "$this") else path.split("."):
        below = node.children.get(name) or node.children.get(f"{name}[x]")
        if below is None:
            return None
        node = below
        steps.append(node.element)
    return steps


def _there(one: Node, path: str) -> Json | None:
    """Slices told apart by whether something is there: it must be in the one, and must not in the other."""
    steps = _steps(one, path)
    if not steps or not (steps[-1].min or steps[-1].max == 0):
        return None
    there = _nested(steps, {})
    return there if steps[-1].min else {"not": there}


def _behind(definitions: Definitions, sliced: Node, one: Node, path: str, *, is_type: bool) -> Told | None:
    """Slices told apart by what a reference leads to: its type it may say, its profile it never does."""
    steps, above = _steps(one, path), _steps(sliced, path)
    if steps is None:
        return None
    types = pointed_at(definitions, steps[-1] if steps else one.element)
    if not types:
        return None
    match = _nested(steps, leads_to(types))
    open_ = [_nested(above, unresolved(definitions))] if above is not None else []
    return Told(match if is_type else None, {"anyOf": [match, *open_]})


def _of_profile(one: Node, path: str, conforming: Conforming) -> Json | None:
    """Slices told apart by the profiles of a resource inside, or of a datatype: one of them is met."""
    steps = _steps(one, path)
    if steps is None:
        return None
    urls = [url for type_ in (steps[-1] if steps else one.element).types for url in type_.profiles]
    schemas = [conforming(url) for url in urls]
    known = [schema for schema in schemas if schema is not None]
    return _nested(steps, {"anyOf": known}) if known and len(known) == len(urls) else None


def _of_type(definitions: Definitions, one: Node, path: str) -> Json | None:
    """Slices told apart by the type of a choice, or of a resource inside."""
    steps = _steps(one, path)
    if steps is None:
        return None
    at = steps[-1] if steps else one.element
    codes = [type_.code for type_ in at.types]
    if at.is_choice:
        return _nested(steps, {}) if steps else None
    structures = [definitions.structure(code) for code in codes]
    if not steps or any(found is None or found.kind != "resource" or found.is_abstract for found in structures):
        return None
    return _nested(steps, {"properties": {"resourceType": {"enum": codes}}, "required": ["resourceType"]})


def _at(definitions: Definitions, node: Node, path: str) -> Json | None:
    """The match of one discriminator: at `$this`, or at a path of plain names below the slice."""
    names = [] if path == "$this" else path.split(".")
    if any(not name.isalnum() for name in names):
        return None
    held = _held(definitions, node.element)
    if held is not None and names:
        return held  # the slice itself is a pattern that covers its path
    here = node
    steps: list[Element] = []
    for name in names:
        below = here.children.get(name)
        if below is None:
            return None
        here = below
        steps.append(here.element)
        held = _held(definitions, here.element)
        if held is not None:
            break
    if held is None:
        return None
    return _nested(steps, held)


def _nested(steps: list[Element], leaf: Json) -> Json:
    made = leaf
    for element in reversed(steps):
        inner = {"contains": made} if element.is_list else made
        names = [choice_name(element.name, one.code) for one in element.types] if element.is_choice else [element.name]
        ways = [{"properties": {name: inner}, "required": [name]} for name in names]
        made = ways[0] if len(ways) == 1 else {"anyOf": ways}
    return made


def _held(definitions: Definitions, element: Element) -> Json | None:
    """What an element's value is certain to be: fixed, a pattern, or one of a required and enumerated value set."""
    if element.fixed is not None:
        return {"const": element.fixed}
    if element.pattern is not None:
        return pattern_schema(element.pattern)
    binding = element.binding
    if binding is None or binding.strength != "required":
        return None
    found = definitions.value_set(binding.value_set)
    if found is None or not found.is_complete or not found.codes:
        return None
    code = element.types[0].code if element.types else ""
    if code == "code":
        return {"enum": sorted(set().union(*found.codes.values()))}
    coding = {
        "anyOf": [
            {"properties": {"system": {"const": system}, "code": {"enum": sorted(codes)}}, "required": ["code"]}
            for system, codes in found.codes.items()
        ]
    }
    if code == "Coding":
        return coding
    if code == "CodeableConcept":
        return {"properties": {"coding": {"contains": coding}}, "required": ["coding"]}
    return None
