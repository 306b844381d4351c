"""Fixed patterns and simple slices as JSON Schema (R4 profiling.html#slicing).

What tells a slice apart is written in the profile: a fixed value, a pattern, a required value set that is enumerated,
the URL of an extension, that something is there or is not, the type of a choice, of a resource or of what a reference
leads to. Slices told apart by profiles are left to people: they are never guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hilum.definitions import MANY, Definitions, Discriminator, Element, choice_name

from .leading import leads_to, pointed_at, unresolved
from .nodes import Node

__all__ = ["pattern_schema", "slice_rules"]

Json = dict[str, Any]


def pattern_schema(pattern: Any) -> Json:
    """A value that holds at least what the pattern holds (R4 elementdefinition-definitions.html pattern[x])."""
    if isinstance(pattern, dict):
        inner = {name: pattern_schema(held) for name, held in pattern.items()}
        return {"properties": inner, "required": sorted(pattern), "x": ["pattern-differs", ""]}
    if isinstance(pattern, list):
        held = [{"contains": pattern_schema(one), "x": ["pattern-differs", ""]} for one in pattern]
        return {"allOf": held}
    return {"const": pattern, "x": ["pattern-differs", ""]}


def slice_rules(definitions: Definitions, node: Node, value_of: Callable[[Node], Json]) -> Json:
    """Keywords for the array of a sliced element: how many of each slice, and what each item of a slice is."""
    counts: list[Json] = []
    items: list[Json] = []
    for name, one in node.slices.items():
        match = _match(definitions, node, one)
        if match is None:
            continue
        counts.extend(_counts(one.element, name, match, _maybe(definitions, node, match)))
        if one.children:
            items.append({"if": match, "then": value_of(one)})
    made: Json = {}
    if counts:
        made["allOf"] = counts
    if items:
        made["items"] = {"allOf": [value_of(_bare(node)), *items]}
    return made


def _bare(node: Node) -> Node:
    """The sliced element without its slices."""
    bare = Node(node.element)
    bare.children = node.children
    return bare


def _maybe(definitions: Definitions, sliced: Node, match: Json) -> Json:
    """What may be an item of the slice: of a reference that nobody can follow here, the type stays open."""
    paths = [one.path for one in _discriminators(sliced) if _follows(one)]
    if not paths:
        return match
    elements = [_steps(sliced, path.removesuffix("resolve()").rstrip(".")) for path in paths]
    open_ = [_nested(steps, unresolved(definitions)) for steps in elements if steps is not None]
    return {"anyOf": [match, *open_]}


def _counts(element: Element, name: str, match: Json, maybe: Json) -> list[Json]:
    found: list[Json] = []
    if element.min:
        found.append({"contains": maybe, "minContains": element.min, "x": ["slice-missing", name]})
    if element.max == 0:
        found.append({"not": {"contains": match}, "x": ["slice-many", name]})
    elif element.max < MANY:
        most = {"contains": match, "minContains": 0, "maxContains": element.max, "x": ["slice-many", name]}
        found.append(most)
    return found


def _match(definitions: Definitions, sliced: Node, one: Node) -> Json | None:
    """What an item of this slice looks like; None when that cannot be told from values."""
    types = one.element.types
    if types and types[0].code == "Extension" and len(types[0].profiles) == 1:
        return {"properties": {"url": {"const": types[0].profiles[0]}}, "required": ["url"]}
    parts: list[Json] = []
    for discriminator in _discriminators(sliced):
        part = _told_by(definitions, one, discriminator)
        if part is None:
            return None
        parts.append(part)
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else {"allOf": parts}


def _discriminators(sliced: Node) -> tuple[Discriminator, ...]:
    slicing = sliced.element.slicing
    return () if slicing is None else slicing.discriminators


def _follows(one: Discriminator) -> bool:
    return one.type == "type" and one.path.endswith("resolve()")


def _told_by(definitions: Definitions, one: Node, discriminator: Discriminator) -> Json | None:
    match discriminator.type:
        case "value" | "pattern":
            return _at(definitions, one, discriminator.path)
        case "exists":
            return _there(one, discriminator.path)
        case "type":
            return _of_type(definitions, one, discriminator)
    return None


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


def _of_type(definitions: Definitions, one: Node, discriminator: Discriminator) -> Json | None:
    """Slices told apart by the type of a choice, of a resource inside, or of what a reference leads to."""
    follows = _follows(discriminator)
    steps = _steps(one, discriminator.path.removesuffix("resolve()").rstrip(".") if follows else discriminator.path)
    if steps is None:
        return None
    at = steps[-1] if steps else one.element
    if follows:
        types = pointed_at(definitions, at)
        return _nested(steps, leads_to(types)) if types else None
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
