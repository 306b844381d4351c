"""The reference page of the integration folder, from the declarations that validate it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from inspect import cleandoc
from typing import Any

from hilum.config.schema import group, shape_of
from hilum.config.section import Section, tag_of

__all__ = ["reference"]

_TYPES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": ""}


def reference(sections: Sequence[Section]) -> str:
    """Markdown: a heading per kind of file, a table per Struct with key, type, default and meaning."""
    parts = []
    for pattern, structs in group(sections).items():
        for struct in structs:
            tag = tag_of(struct)
            title = f"{pattern}, `{tag[0]}: {tag[1]}`" if tag else pattern
            parts += [f"### {title}", *_tables(struct)]
    return "\n\n".join(parts) + "\n"


def _tables(struct: Any) -> Iterator[str]:
    """The Struct's own table, then those of the Structs inside it, each once, in the order of their use."""
    schema = shape_of(struct).schema
    definitions = schema["$defs"]
    waiting = [("", _name(schema))]
    done = set()
    while waiting:
        prefix, name = waiting.pop(0)
        if name in done:
            continue
        done.add(name)
        definition = definitions[name]
        if prefix:
            yield f"**`{prefix}`**"
        if text := cleandoc(definition.get("description", "")):
            yield text
        yield "\n".join(_rows(definition, definitions))
        for key, field in definition["properties"].items():
            waiting += [(f"{prefix}.{key}".strip("."), inner) for inner in _inner(field, definitions)]


def _rows(definition: dict[str, Any], definitions: dict[str, Any]) -> Iterator[str]:
    yield "| key | what | default | meaning |"
    yield "|---|---|---|---|"
    required = definition.get("required", ())
    for key, field in definition["properties"].items():
        meaning = _sentence(_described(field, definitions))
        cells = (f"`{key}`", _type(field, definitions), _default(key, field, required), meaning)
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _type(field: dict[str, Any], definitions: dict[str, Any]) -> str:
    options = field.get("anyOf")
    if options:
        return " or ".join(dict.fromkeys(text for option in options if (text := _type(option, definitions))))
    if "$ref" in field:
        target = definitions[_name(field)]
        return "mapping" if "properties" in target else _type(target, definitions)
    if "enum" in field:
        return ", ".join(f"`{option}`" for option in field["enum"])
    if special := field.get("x-hilum-type"):
        return {"secret": "reference to a secret", "path": "path"}[special]
    if field.get("type") == "array":
        inner = _type(field["items"], definitions) if isinstance(field.get("items"), dict) else ""
        return f"list of {inner}" if inner else "list"
    if field.get("type") == "object":
        inner = (
            _type(field["additionalProperties"], definitions)
            if isinstance(field.get("additionalProperties"), dict)
            else ""
        )
        return f"mapping of {inner}" if inner else "mapping"
    return _TYPES[field["type"]] + _range(field)


def _range(field: dict[str, Any]) -> str:
    low, high = field.get("minimum"), field.get("maximum")
    if low is not None and high is not None:
        return f", {low} to {high}"
    if low is not None:
        return f", {low} or more"
    if (above := field.get("exclusiveMinimum")) is not None:
        return f", more than {above}"
    return ""


def _default(key: str, field: dict[str, Any], required: Sequence[str]) -> str:
    if key in required:
        return "needed"
    default = field.get("default")
    if default is None or default == "" or default == [] or isinstance(default, dict):
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default}`"


def _described(field: dict[str, Any], definitions: dict[str, Any]) -> str:
    """The field's own words, else those of the Struct that it holds, else those of a tag."""
    for option in (field, *field.get("anyOf", ())):
        if "description" in option:
            return str(option["description"])
    for inner in _inner(field, definitions):
        return cleandoc(definitions[inner].get("description", "")).partition("\n")[0]
    return "says what kind of file this is" if len(field.get("enum", ())) == 1 else ""


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if not text or text.endswith(".") else text + "."


def _name(schema: dict[str, Any]) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def _inner(field: dict[str, Any], definitions: dict[str, Any]) -> Iterator[str]:
    """Structs that a field leads to, also through lists and optionals."""
    if "$ref" in field and "properties" in definitions[_name(field)]:
        yield _name(field)
    for option in field.get("anyOf", ()):
        yield from _inner(option, definitions)
    for nested in ("items", "additionalProperties"):
        if isinstance(field.get(nested), dict):
            yield from _inner(field[nested], definitions)
