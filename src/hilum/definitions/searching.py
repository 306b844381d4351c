"""Cutting the expression of a search parameter down to one type: R4 writes one for many types, joined by `|`."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import structs

from .model import SearchParameter

__all__ = ["for_type", "union_parts"]


def for_type(parameter: SearchParameter, type_: str) -> SearchParameter:
    """The parameter with the parts of its expression that start at this type; all of it when none names a type."""
    parts = list(union_parts(parameter.expression))
    own = [part for part in parts if _start(part) == type_]
    if not own or len(own) == len(parts):
        return parameter
    return structs.replace(parameter, expression=" | ".join(own))


def union_parts(expression: str) -> Iterator[str]:
    """The operands of the outermost `|`; nothing for an empty expression."""
    depth, start, quoted = 0, 0, False
    for place, letter in enumerate(expression):
        if letter == "'":
            quoted = not quoted
        elif not quoted and letter in "()":
            depth += 1 if letter == "(" else -1
        elif not quoted and letter == "|" and not depth:
            yield expression[start:place].strip()
            start = place + 1
    if expression[start:].strip():
        yield expression[start:].strip()


def _start(part: str) -> str:
    bare = part.lstrip("( ")
    end = next((place for place, letter in enumerate(bare) if not letter.isalnum()), len(bare))
    return bare[:end]
