"""JSON Schemas for editors, from the declarations that validate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from hilum.config.environment import overlay_schema
from hilum.config.schema import components_of, group
from hilum.config.section import Section, union_of

__all__ = ["editor_schemas"]

_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def editor_schemas(sections: Sequence[Section]) -> dict[str, bytes]:
    """One schema per file pattern, by file name: `integration.schema.json`, `sources.schema.json`."""
    groups = group(sections)
    schemas = {"environments.schema.json": _document("environments/*.yaml", overlay_schema(groups), {})}
    for pattern, structs in groups.items():
        (schema,), components = components_of((union_of(structs),))
        name = pattern.partition("/")[0].removesuffix(".yaml")
        schemas[f"{name}.schema.json"] = _document(pattern, schema, components)
    return schemas


def _document(title: str, schema: dict[str, Any], components: dict[str, Any]) -> bytes:
    document = {"$schema": _DRAFT, "title": title, **schema, "$defs": components}
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
