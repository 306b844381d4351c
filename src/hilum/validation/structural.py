"""Schemas of structures, compiled on first use and kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema_rs

from hilum.definitions import Definitions, Structure
from hilum.model import Finding

from .explain import explain
from .schema import schema_of
from .where import Where

__all__ = ["Shapes"]

VAST = 20_000  # parts of a value

Json = dict[str, Any]


class Shapes:
    """Whether a value has the shape that a structure asks for."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._compiled: dict[str, tuple[jsonschema_rs.Draft202012Validator, Json]] = {}

    def fits(self, structure: Structure, value: Any) -> bool:
        """The hot path: yes or no."""
        return self._of(structure)[0].is_valid(value)

    def faults(self, structure: Structure, value: Any, where: Where) -> Iterator[Finding]:
        """What is wrong, each thing once; of a vast value the first alone, as the engine finds all at once.

        A body of a million faults would else hold everybody up for half a minute.
        """
        validator, schema = self._of(structure)
        errors = _first(validator, value) if _is_vast(value) else validator.iter_errors(value)
        said: set[tuple[str, str, str]] = set()
        for one in explain(self._definitions, schema, errors, where):
            key = (one.code, one.location, one.message)
            if key not in said:
                said.add(key)
                yield one

    def _of(self, structure: Structure) -> tuple[jsonschema_rs.Draft202012Validator, Json]:
        found = self._compiled.get(structure.name)
        if found is None:
            schema = schema_of(self._definitions, structure)
            # An engine without backtracking: no text can make it slow.
            options = jsonschema_rs.RegexOptions()
            compiled = jsonschema_rs.Draft202012Validator(schema, pattern_options=options, validate_formats=False)
            found = self._compiled[structure.name] = (compiled, schema)
        return found


def _first(validator: jsonschema_rs.Draft202012Validator, value: Any) -> Iterator[jsonschema_rs.ValidationError]:
    try:
        validator.validate(value)
    except jsonschema_rs.ValidationError as error:
        yield error


def _is_vast(value: Any) -> bool:
    """Whether it has more parts than that; counted no further."""
    count, left = 0, [value]
    while left and count <= VAST:
        one = left.pop()
        if isinstance(one, dict | list):
            count += len(one)
            left.extend(one.values() if isinstance(one, dict) else one[:VAST])
    return count > VAST
