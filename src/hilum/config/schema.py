"""JSON Schema of the declared Structs: what validation uses and what editors read."""

from __future__ import annotations

import copy
import pathlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import jsonschema_rs
import msgspec
from msgspec import Struct

from hilum.config.secrets import Secret
from hilum.config.section import Section, structs_of, tag_of

__all__ = ["PATH_SCHEMA", "Shape", "components_of", "group", "shape_of"]

PATH_SCHEMA: dict[str, Any] = {"type": "string", "minLength": 1, "x-hilum-type": "path"}


class Shape(Struct, frozen=True):
    """One Struct made ready for validation."""

    struct: Any
    schema: dict[str, Any]
    validator: Any

    def at(self, path: Sequence[str | int]) -> dict[str, Any]:
        """The part of the schema at a schema path, `{}` when there is none."""
        here: Any = self.schema
        for step in path:
            try:
                here = here[step]
            except (KeyError, IndexError, TypeError):
                return {}
        return here if isinstance(here, dict) else {}


@lru_cache(maxsize=256)
def shape_of(struct: Any) -> Shape:
    """The schema and validator of one Struct."""
    (reference,), components = components_of((struct,))
    schema = {**reference, "$defs": components}
    return Shape(struct, schema, jsonschema_rs.validator_for(schema))


def components_of(types: Sequence[Any]) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    """msgspec's schema with one change: no object takes keys that are not declared."""
    schemas, components = msgspec.json.schema_components(types, schema_hook=_custom)
    for component in components.values():
        if "properties" in component:
            component["additionalProperties"] = False
            component.pop("title", None)
    return schemas, components


def _custom(kind: type) -> dict[str, Any]:
    if kind is Secret:
        return copy.deepcopy(Secret.json_schema)
    if kind is pathlib.Path:
        return dict(PATH_SCHEMA)
    raise NotImplementedError(f"no schema for {kind}")


def group(sections: Sequence[Section]) -> dict[str, tuple[type[Struct], ...]]:
    """Structs by file pattern, in the order of declaration. Raises ValueError when they cannot be told apart."""
    groups: dict[str, tuple[type[Struct], ...]] = {}
    for section in sections:
        known = groups.get(section.pattern, ())
        groups[section.pattern] = known + tuple(s for s in structs_of(section.type) if s not in known)
    for pattern, structs in groups.items():
        tags = [tag_of(struct) for struct in structs]
        if len(structs) > 1 and (None in tags or len({t[0] for t in tags if t}) > 1 or len(set(tags)) < len(tags)):
            names = ", ".join(struct.__name__ for struct in structs)
            raise ValueError(f"{pattern}: {names} need one tag field and different tags")
    return groups
