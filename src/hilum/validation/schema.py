"""A strict JSON Schema (2020-12) of a structure: the hot path of validation, run by jsonschema-rs.

Every rule stands where its failure can be told apart: no `oneOf`, and a keyword whose own words would say too little
has an `x` beside it: [code, what]. `explain` reads both. Resources inside resources are only asked to have a type here;
each is checked by the schema of its own.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from hilum.definitions import MANY, Definitions, Element, Structure, TypeRef, choice_name

from .leading import ID
from .nodes import Node, tree_of
from .primitives import primitive_schema
from .slices import slice_rules
from .telling import pattern_schema

__all__ = ["conforming", "schema_of"]

Json = dict[str, Any]
_ABSOLUTE = r"^[A-Za-z][A-Za-z0-9+.\-]*:[^\x00-\x20]+$"
_RESOURCE: Json = {
    "type": "object",
    "required": ["resourceType"],
    "properties": {"resourceType": {"type": "string"}},
}
_SIBLING: Json = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": False,
    "properties": {"id": {"$ref": "#/$defs/string"}, "extension": {"$ref": "#/$defs/extensions"}},
}
_NO_SIBLING = {"Extension.url"}


def schema_of(definitions: Definitions, structure: Structure, within: tuple[str, ...] = ()) -> Json:
    """The schema of a resource type, a datatype or a profile of one, with all that it needs in `$defs`.

    `within`: profiles in whose schemas this one will stand.
    """
    return _Builder(definitions, structure, within).schema()


def conforming(definitions: Definitions, url: str, within: tuple[str, ...] = ()) -> Json | None:
    """The schema of a profile, to stand inside another; None where it is not loaded, or asks for itself."""
    structure = definitions.structure(url)
    if structure is None or not structure.is_profile or structure.name in within:
        return None
    return {"$id": f"urn:hilum:{quote(structure.name, safe='')}", **schema_of(definitions, structure, within)}


class _Builder:
    """Makes one schema; types that are met on the way become entries of `$defs`."""

    def __init__(self, definitions: Definitions, structure: Structure, within: tuple[str, ...]) -> None:
        self._definitions, self._structure = definitions, structure
        self._within = (*within, structure.name)
        self._defs: dict[str, Json] = {}
        self._by_path: dict[str, dict[str, Node]] = {}

    def schema(self) -> Json:
        self._defs["sibling"] = _SIBLING
        self._defs["resource"] = _RESOURCE
        self._ref("string")
        self._defs["extensions"] = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/Extension"}}
        self._ref("Extension")
        root, self._by_path[self._structure.type] = tree_of(self._structure)
        made = self._object(root)
        if self._structure.kind == "resource":
            made["properties"]["resourceType"] = {"const": self._structure.type}
            made["required"] = ["resourceType", *made.get("required", ())]
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "$defs": self._defs}

    def _ref(self, name: str) -> Json:
        """A reference to a type or to a path with content; its definition is made on first use."""
        if name not in self._defs:
            self._defs[name] = {}  # recursive types meet themselves here
            self._defs[name].update(self._definition(name))
        return {"$ref": f"#/$defs/{name}"}

    def _definition(self, name: str) -> Json:
        primitive = primitive_schema(self._definitions, name)
        if primitive is not None:
            return dict(primitive)
        type_ = name.partition(".")[0]
        if "." in name and "/" not in name and type_ in self._by_path:
            return self._object(self._by_path[type_][name])
        structure = self._definitions.structure(name)
        if structure is None:
            return {"type": "object"}
        if structure.kind == "resource":
            return {"$ref": "#/$defs/resource"}
        root, by_path = tree_of(structure)
        self._by_path.setdefault(structure.type, by_path)
        made = self._object(root)
        return self._extension(made) if name == "Extension" else made

    @staticmethod
    def _extension(made: Json) -> Json:
        """ext-1, and one value: at most `url` and one more, or a closer look; never both extensions and a value."""
        exclusive = made.pop("dependentSchemas", {})
        made["minProperties"] = 2
        made["anyOf"] = [{"maxProperties": 2}, {"dependentSchemas": exclusive}]
        made["x"] = ["choice-many", "value[x]"]
        made["dependentSchemas"] = {
            "extension": {
                "propertyNames": {"enum": ["id", "url", "extension"]},
                "x": ["invariant-failed", "ext-1: Must have either extensions or value[x], not both"],
            }
        }
        return made

    def _object(self, node: Node) -> Json:
        properties: Json = {}
        required: list[str] = []
        rules: list[Json] = []
        exclusive: Json = {}
        for child in node.children.values():
            if child.element.is_choice:
                self._choice(child, properties, rules, exclusive)
            else:
                self._plain(child, properties, required, rules)
        made: Json = {"type": "object", "minProperties": 1, "properties": properties, "additionalProperties": False}
        if required:
            made["required"] = required
        if rules:
            made["allOf"] = rules
        if exclusive:
            made["dependentSchemas"] = exclusive
        return made

    def _plain(self, child: Node, properties: Json, required: list[str], rules: list[Json]) -> None:
        element = child.element
        name = element.name
        if element.max == 0:
            properties[name] = properties[f"_{name}"] = False
            return
        type_ = element.types[0] if element.types else TypeRef("")
        value = self._value(child, type_)
        primitive = primitive_schema(self._definitions, type_.code) is not None
        sibling = primitive and name != "id" and element.path not in _NO_SIBLING
        properties[name] = self._list(child, value, rules, nullable=sibling) if element.is_list else value
        if sibling:
            properties[f"_{name}"] = self._siblings(element)
        if element.min and sibling:
            rules.append(_one_of((name, f"_{name}"), name))
        elif element.min:
            required.append(name)

    def _siblings(self, element: Element) -> Json:
        one: Json = {"$ref": "#/$defs/sibling"}
        if not element.is_list:
            return one
        items = {"if": {"type": "null"}, "else": one}
        return {"type": "array", "minItems": 1, "items": items}

    def _list(self, child: Node, value: Json, rules: list[Json], *, nullable: bool) -> Json:
        element = child.element
        made: Json = {"type": "array", "minItems": max(1, element.min), "items": value}
        if element.max < MANY:
            made["maxItems"] = element.max
        if nullable:
            made["items"] = {"if": {"type": "null"}, "else": value}
            bare = {"properties": {element.name: {"items": {"not": {"type": "null"}, "x": ["null-in-list", ""]}}}}
            rules.append({"if": {"not": {"required": [f"_{element.name}"]}}, "then": bare})
        if child.slices:
            made.update(slice_rules(self._definitions, child, self._slice_value, self._conforming))
        return made

    def _conforming(self, url: str) -> Json | None:
        return conforming(self._definitions, url, self._within)

    def _slice_value(self, node: Node) -> Json:
        """What an item of a slice is: only what the slice says itself where it writes out its children."""
        type_ = node.element.types[0] if node.element.types else TypeRef("")
        return self._value(node, type_)

    def _choice(self, child: Node, properties: Json, rules: list[Json], exclusive: Json) -> None:
        element = child.element
        if element.max == 0:
            base = self._definitions.element(self._structure.type, element.path)
            for type_ in base.types if base is not None else ():
                properties[choice_name(element.name, type_.code)] = False
            return
        names = [choice_name(element.name, one.code) for one in element.types]
        for name, type_ in zip(names, element.types, strict=True):
            properties[name] = self._value(child.of_type(name, type_.code), type_)
            if primitive_schema(self._definitions, type_.code) is not None:
                properties[f"_{name}"] = {"$ref": "#/$defs/sibling"}
        written = [name for name in properties if name.removeprefix("_") in names]
        if element.min:
            rules.append(_one_of(tuple(written), element.name))
        for name in names if len(names) > 1 else ():
            others = {one: False for one in written if one.removeprefix("_") != name}
            exclusive[name] = {"properties": others, "x": ["choice-many", element.name]}

    def _value(self, node: Node, type_: TypeRef) -> Json:
        """One value of an element, of one of its types."""
        element = node.element
        if primitive_schema(self._definitions, type_.code) is not None:
            made = self._ref(type_.code)  # what a profile says below it is about `_name`
        elif node.children and not element.is_choice:
            made = self._own(node)
        elif element.content:
            made = self._ref(element.content)
        elif node.children:
            made = self._object(node) if len(element.types) == 1 else self._ref(type_.code)
        else:
            made = self._ref(self._narrowed(type_))
        extra = self._extras(element, type_)
        return {**made, **extra} if extra else made

    def _own(self, node: Node) -> Json:
        path = node.element.path
        if self._structure.is_profile or ":" in node.element.id:
            return self._object(node)
        return self._ref(path)

    def _narrowed(self, type_: TypeRef) -> str:
        """The datatype, or the one profile of it that R4 itself asks for (SimpleQuantity)."""
        if len(type_.profiles) == 1 and type_.code != "Extension":
            structure = self._definitions.structure(type_.profiles[0])
            if structure is not None and structure.kind != "resource":
                return type_.profiles[0]
        return type_.code or "sibling"

    def _extras(self, element: Element, type_: TypeRef) -> Json:
        """What this element asks of a value beyond its type."""
        extra: Json = {}
        if type_.code == "code":
            codes = self._required_codes(element)
            if codes:
                extra["enum"] = codes
        if element.fixed is not None:
            extra["const"] = element.fixed
        if element.pattern is not None:
            extra.update(pattern_schema(element.pattern))
        if element.max_length:
            extra["maxLength"] = element.max_length
        if type_.code == "Reference" and type_.targets:
            wrong = wrong_targets(self._definitions, type_.targets)
            if wrong:
                refused = {"not": {"pattern": wrong}, "x": ["reference-wrong-type", " or ".join(type_.targets)]}
                extra["properties"] = {"reference": refused}
        if element.path == "Coding.system":
            extra["allOf"] = [{"pattern": _ABSOLUTE, "x": ["system-relative", ""]}]
        return extra

    def _required_codes(self, element: Element) -> list[str]:
        binding = element.binding
        if binding is None or binding.strength != "required" or not binding.value_set:
            return []
        found = self._definitions.value_set(binding.value_set)
        if found is None or not found.is_complete:
            return []
        return sorted(set().union(*found.codes.values())) if found.codes else []


def _one_of(names: tuple[str, ...], what: str) -> Json:
    return {"anyOf": [{"required": [name]} for name in names], "x": ["element-missing", what]}


def wrong_targets(definitions: Definitions, targets: tuple[str, ...]) -> str:
    """A pattern of references that certainly lead to another type; "" where any type will do, or it cannot be told."""
    allowed: set[str] = set()
    for target in targets:
        structure = definitions.structure(target)
        if structure is None or structure.is_abstract:
            return ""
        allowed.add(structure.type)
    others = [name for name in definitions.types("resource") if name not in allowed]
    return rf"^(?:https?://[^?]+/)?(?:{'|'.join(others)})/{ID}(?:/_history/{ID})?$"
