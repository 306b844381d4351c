"""environments/<name>.yaml: where things are in one environment, laid over the folder.

An environment changes endpoints and secret references, never what the integration does: hosts, ports, URLs, paths, TLS
files and secrets may be replaced, one by one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hilum.config.document import Mark, Node
from hilum.config.schema import shape_of
from hilum.config.section import tag_of
from hilum.config.suggest import did_you_mean
from hilum.model import Finding

__all__ = ["overlay", "overlay_schema"]

PARTS = ("sources", "destinations")
_TOP = ("store", "api")
_ENDPOINT = re.compile(r"(?:.*_)?(?:host|hosts|port|url|path|paths|folder|file|certificate|address|server_name)")


def overlay(
    files: Mapping[str, Node], environment: Node, groups: Mapping[str, Sequence[Any]]
) -> tuple[dict[str, Node], list[Finding]]:
    """The files with the environment's values in place of theirs; a place is that of the file a value is written in."""
    work = _Overlay(dict(files), groups)
    content = environment.content
    if not isinstance(content, dict):
        work.say(environment.mark, "type-wrong", "an environment must be a mapping (`key: value`)")
        return work.files, work.findings
    for key, node in content.items():
        if key in PARTS:
            work.part(key, node)
        elif key in _TOP:
            work.file("integration.yaml", node, key)
        else:
            hint = did_you_mean(key, (*PARTS, *_TOP)) or f"known here: {', '.join((*PARTS, *_TOP))}"
            work.say(environment.keys[key], "key-unknown", f"`{key}` is not known", hint)
    return work.files, work.findings


def overlay_schema(groups: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """JSON Schema of an environment file: of every part only what may change, nothing of it required."""
    properties: dict[str, Any] = {}
    for part in PARTS:
        shapes = [shape_of(struct) for struct in groups.get(f"{part}/*.yaml", ())]
        options = [_changeable(shape.schema, shape.schema["$defs"]) for shape in shapes]
        properties[part] = {"type": "object", "additionalProperties": {"anyOf": options}}
    for struct in groups.get("integration.yaml", ()):
        definitions = shape_of(struct).schema["$defs"]
        fields = _object(shape_of(struct).schema, definitions).get("properties", {})
        properties |= {key: _changeable(fields[key], definitions) for key in _TOP if key in fields}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _changeable(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for key, field in _object(schema, definitions).get("properties", {}).items():
        if _object(field, definitions):
            inner = _changeable(field, definitions)
            properties |= {key: inner} if inner["properties"] else {}
        elif _may_change(key, field):
            properties[key] = field
    return {"type": "object", "properties": properties, "additionalProperties": False}


class _Overlay:
    def __init__(self, files: dict[str, Node], groups: Mapping[str, Sequence[Any]]) -> None:
        self.files = files
        self.groups = groups
        self.findings: list[Finding] = []

    def say(self, mark: Mark, code: str, message: str, hint: str = "") -> None:
        self.findings.append(Finding(code, message, str(mark), hint=hint))

    def part(self, part: str, node: Node) -> None:
        """`sources: {lab: {port: 2576}}`."""
        if not isinstance(node.content, dict):
            self.say(node.mark, "type-wrong", f"`{part}` must be a mapping of names")
            return
        names = [n.removeprefix(f"{part}/").removesuffix(".yaml") for n in self.files if n.startswith(f"{part}/")]
        for name, changes in node.content.items():
            if name in names:
                self.file(f"{part}/{name}.yaml", changes, None)
            else:
                message = f"there is no {part}/{name}.yaml to change"
                self.say(node.keys[name], "environment-target-unknown", message, did_you_mean(name, names))

    def file(self, file: str, changes: Node, key: str | None) -> None:
        """Lay `changes` over a file, or over one of its keys."""
        base = self.files.get(file)
        if base is None or not isinstance(base.content, dict):
            return  # the file has its own findings
        schema, definitions = self._schema(file, base)
        if key is None:
            self.files[file] = self._merge(base, changes, schema, definitions)
            return
        schema = _object(schema.get("properties", {}).get(key, {}), definitions)
        under = _child(base, key, changes.mark)
        merged = self._merge(under, changes, schema, definitions)
        self.files[file] = _with(base, key, merged, changes.mark)

    def _schema(self, file: str, base: Node) -> tuple[dict[str, Any], dict[str, Any]]:
        structs = self.groups.get(file) or self.groups.get(file.partition("/")[0] + "/*.yaml", ())
        for struct in structs:
            tag = tag_of(struct)
            content = base.content
            written = content.get(tag[0]) if tag and isinstance(content, dict) else None
            if len(structs) == 1 or (tag and written and written.content == tag[1]):
                shape = shape_of(struct)
                return _object(shape.schema, shape.schema["$defs"]), shape.schema["$defs"]
        return {}, {}

    def _merge(self, base: Node, changes: Node, schema: dict[str, Any], definitions: dict[str, Any]) -> Node:
        if not isinstance(changes.content, dict):
            self.say(changes.mark, "type-wrong", "write a mapping (`key: value`) of what changes here")
            return base
        merged = base if isinstance(base.content, dict) else Node(changes.mark, {})
        for key, node in changes.content.items():
            mark = changes.keys[key]
            field = schema.get("properties", {}).get(key, {})
            inner = _object(field, definitions)
            if isinstance(node.content, dict) and inner.get("properties"):
                child = self._merge(_child(merged, key, node.mark), node, inner, definitions)
                merged = _with(merged, key, child, mark)
            elif key not in schema.get("properties", {}) or _may_change(key, field):
                merged = _with(merged, key, node, mark)  # an unknown key is said by validation, with its near miss
            else:
                message = f"`{key}` says what the integration does; an environment changes only where things are"
                hint = "hosts, ports, URLs, paths, TLS files and secrets may be changed"
                self.say(mark, "environment-not-endpoint", message, hint)
        return merged


def _child(base: Node, key: str, mark: Mark) -> Node:
    content = base.content
    return content[key] if isinstance(content, dict) and key in content else Node(mark, {})


def _with(base: Node, key: str, child: Node, mark: Mark) -> Node:
    content = base.content if isinstance(base.content, dict) else {}
    changed = Node(base.mark, {**content, key: child})
    changed.keys = {**base.keys, key: mark}
    return changed


def _object(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The object that a field's schema leads to, through a reference or an optional."""
    for option in (schema, *schema.get("anyOf", ())):
        reference = option.get("$ref")
        found = definitions.get(reference.rpartition("/")[2]) if reference else option
        if found and "properties" in found:
            return dict(found)
    return {}


def _may_change(key: str, field: dict[str, Any]) -> bool:
    kinds = {option.get("x-hilum-type") for option in (field, *field.get("anyOf", ()))}
    return bool(kinds & {"secret", "path"}) or _ENDPOINT.fullmatch(key) is not None
