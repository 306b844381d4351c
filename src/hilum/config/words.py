"""Errors of the schema validator in words that a person can act on, at the place they are about.

No value is repeated except one that should have been a word of a list, and never one of a secret.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema_rs

from hilum.config.document import Node, Path, walk
from hilum.config.schema import Shape
from hilum.config.secrets import REFERENCE_HINT
from hilum.config.suggest import did_you_mean, nearest
from hilum.model import Finding

__all__ = ["findings_of"]

_Kind = jsonschema_rs.ValidationErrorKind
_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping (`key: value`)",
    "null": "empty",
}
_MAX_OPTIONS = 12


def findings_of(shape: Shape, root: Node, instance: Any) -> list[Finding]:
    """Everything that is wrong with one file's value, in no particular order."""
    errors = [leaf for error in shape.validator.iter_errors(instance) for leaf in _leaves(error)]
    findings = _Findings(shape, root)
    for error in errors:
        findings.add(error)
    return findings.found()


def _leaves(error: Any) -> Iterator[Any]:
    """The errors of the alternative that was most likely meant, for a value with alternatives."""
    if not isinstance(error.kind, _Kind.AnyOf | _Kind.OneOfNotValid):
        yield error
        return
    branches = [branch for branch in error.kind.context if not _is_other_type(branch, error)]
    if len(branches) > 1:
        branches = [min(branches, key=lambda branch: (_has_other_tag(branch, error), len(branch)))]
    if not branches or (_has_other_tag(branches[0], error) and len(error.kind.context) > 1):
        yield error
        return
    for leaf in branches[0]:
        yield from _leaves(leaf)


def _is_other_type(branch: list[Any], error: Any) -> bool:
    return any(
        isinstance(leaf.kind, _Kind.Type) and len(leaf.instance_path) == len(error.instance_path) for leaf in branch
    )


def _has_other_tag(branch: list[Any], error: Any) -> bool:
    """A tag is the one enum of a single value (msgspec writes it so)."""
    return any(
        isinstance(leaf.kind, _Kind.Enum)
        and len(leaf.kind.options) == 1
        and len(leaf.instance_path) == len(error.instance_path) + 1
        for leaf in branch
    )


class _Findings:
    """Collects findings of one file; a missing key that was only misspelt is said once."""

    def __init__(self, shape: Shape, root: Node) -> None:
        self.shape = shape
        self.root = root
        self._found: list[Finding] = []
        self._missing: dict[tuple[Path, str], Finding] = {}
        self._misspelt: set[tuple[Path, str]] = set()

    def found(self) -> list[Finding]:
        missing = [finding for at, finding in self._missing.items() if at not in self._misspelt]
        return self._found + missing

    def say(self, code: str, message: str, path: Path, hint: str = "") -> None:
        node, _ = walk(self.root, path)
        self._found.append(Finding(code, message, str(node.mark), hint=hint))

    def add(self, error: Any) -> None:
        path: Path = tuple(error.instance_path)
        schema = self.shape.at(error.schema_path[:-1])
        match error.kind:
            case _Kind.AdditionalProperties(unexpected):
                for key in unexpected:
                    self._unknown(path, key, schema)
            case _Kind.Required(name):
                node, _ = walk(self.root, path)
                message = f"`{_dotted((*path, name))}` is missing"
                hint = _described(schema.get("properties", {}).get(name, {}))
                self._missing[path, name] = Finding("key-missing", message, str(node.mark), hint=hint)
            case _Kind.Type(types):
                self._wrong_type(path, list(types), schema)
            case _Kind.Enum(options):
                self._not_an_option(path, [str(option) for option in options])
            case _Kind.AnyOf(context) | _Kind.OneOfNotValid(context):
                self._no_alternative(path, context)
            case _Kind.Pattern(pattern):
                self._wrong_form(path, pattern, schema)
            case _:
                self.say("value-invalid", f"`{_dotted(path)}` {_limit_words(error)}", path, _described(schema))

    def _unknown(self, path: Path, key: str, schema: dict[str, Any]) -> None:
        _, mark = walk(self.root, (*path, key))
        present = node_keys(self.root, path)
        known = [name for name in schema.get("properties", {}) if name not in present]
        meant = nearest(key, known)
        hint = f"did you mean `{meant}`?" if meant else _list_of("known here", known)
        if meant:
            self._misspelt.add((path, meant))
        message = f"`{_dotted((*path, key))}` is not known"
        self._found.append(Finding("key-unknown", message, str(mark), hint=hint))

    def _wrong_type(self, path: Path, types: list[str], schema: dict[str, Any]) -> None:
        node, _ = walk(self.root, path)
        if schema.get("x-hilum-type") == "secret" and node.content is not None:
            self.say("secret-literal", f"`{_dotted(path)}` must be a reference to a secret", path, REFERENCE_HINT)
            return
        wanted = " or ".join(_TYPES[name] for name in types if name != "null") or _TYPES["null"]
        label = f"`{_dotted(path)}`" if path else "this file"
        if node.content is None:
            self.say("type-wrong", f"{label} must be {wanted}, and nothing is written", path)
            return
        written = _TYPES[_type_of(node)]
        self.say("type-wrong", f"{label} must be {wanted}, not {written}", path, _type_hint(node, types))

    def _not_an_option(self, path: Path, options: list[str]) -> None:
        node, _ = walk(self.root, path)
        if isinstance(node.content, dict | list):
            wanted = _list_of("one of", options)
            self.say("type-wrong", f"`{_dotted(path)}` must be one word", path, wanted)
            return
        message = f"`{_dotted(path)}` cannot be `{shorten(node.text)}`"
        self.say("value-unknown", message, path, did_you_mean(node.text, options) or _list_of("one of", options))

    def _no_alternative(self, path: Path, context: list[list[Any]]) -> None:
        leaves = [leaf for branch in context for leaf in branch]
        tags = [leaf for leaf in leaves if isinstance(leaf.kind, _Kind.Enum) and len(leaf.kind.options) == 1]
        if tags:
            options = [str(leaf.kind.options[0]) for leaf in tags]
            tag_path = tuple(tags[0].instance_path)
            self._not_an_option(tag_path, options)
            return
        types = [name for leaf in leaves if isinstance(leaf.kind, _Kind.Type) for name in leaf.kind.types]
        schema = self.shape.at(leaves[0].schema_path[:-1]) if leaves else {}
        self._wrong_type(path, list(dict.fromkeys(types)), schema)

    def _wrong_form(self, path: Path, pattern: str, schema: dict[str, Any]) -> None:
        if schema.get("x-hilum-type") == "secret":
            self.say("secret-literal", f"`{_dotted(path)}` must be a reference to a secret", path, REFERENCE_HINT)
            return
        described = _described(schema) or f"it must match {pattern}"
        self.say("value-invalid", f"`{_dotted(path)}` is not in the form it must have", path, described)


def node_keys(root: Node, path: Path) -> frozenset[str]:
    """The keys that are written at `path`."""
    content = walk(root, path)[0].content
    return frozenset(content) if isinstance(content, dict) else frozenset()


def shorten(text: str) -> str:
    """A written value, short enough for a message."""
    return text if len(text) <= 40 else text[:39] + "…"


def _dotted(path: Path) -> str:
    """`systems[0].id`, as people write it."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _type_of(node: Node) -> str:
    content = node.content
    if isinstance(content, dict):
        return "object"
    if isinstance(content, list):
        return "array"
    if isinstance(content, bool):
        return "boolean"
    if isinstance(content, int | float):
        return "integer" if isinstance(content, int) else "number"
    return "null" if content is None else "string"


def _type_hint(node: Node, types: list[str]) -> str:
    written = node.text.casefold()
    if "string" in types and not isinstance(node.content, dict | list):
        return "put it in quotes"
    if "boolean" in types and written in ("yes", "on", "y"):
        return "write `true`"
    if "boolean" in types and written in ("no", "off", "n"):
        return "write `false`"
    if "array" in types and not isinstance(node.content, dict | list):
        return "put it in brackets: [ ]"
    if {"integer", "number"} & set(types) and isinstance(node.content, str):
        return "write digits without quotes or unit"
    return ""


def _limit_words(error: Any) -> str:
    match error.kind:
        case _Kind.Minimum(limit):
            return f"must be {limit} or more"
        case _Kind.Maximum(limit):
            return f"must be {limit} or less"
        case _Kind.ExclusiveMinimum(limit):
            return f"must be more than {limit}"
        case _Kind.ExclusiveMaximum(limit):
            return f"must be less than {limit}"
        case _Kind.MinLength(limit):
            return "must not be empty" if limit == 1 else f"must have at least {limit} characters"
        case _Kind.MaxLength(limit):
            return f"must have at most {limit} characters"
        case _Kind.MinItems(limit) | _Kind.MinProperties(limit):
            return "must not be empty" if limit == 1 else f"must have at least {limit} entries"
        case _Kind.MaxItems(limit) | _Kind.MaxProperties(limit):
            return f"must have at most {limit} entries"
    return f"does not keep the rule `{error.kind.name}`"


def _described(schema: dict[str, Any]) -> str:
    text = str(schema.get("description", "")).rstrip(".")
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _list_of(intro: str, options: list[str]) -> str:
    if not options:
        return ""
    shown = ", ".join(options[:_MAX_OPTIONS])
    return f"{intro}: {shown}" + (", …" if len(options) > _MAX_OPTIONS else "")
