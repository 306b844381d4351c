"""Where in a resource something is, kept cheap until somebody asks: a chain of (above, name, index)."""

from __future__ import annotations

from typing import Any

from hilum.definitions import Definitions

__all__ = ["Where", "expression_of", "names_of"]

# (what is above, JSON name, index in a list or -1), and for a resource in a resource its type. The first one holds the
# type of the whole as its name.
Where = tuple[Any, ...]


def names_of(where: Where) -> list[tuple[str, int, str]]:
    """From the root down: JSON name, index, type where a resource starts."""
    found: list[tuple[str, int, str]] = []
    here: Where | None = where
    while here is not None:
        found.append((here[1], here[2], here[3] if len(here) > 3 else ""))
        here = here[0]
    return found[::-1]


def expression_of(definitions: Definitions, where: Where) -> str:
    """FHIRPath as an OperationOutcome writes it: `Observation.value.ofType(Quantity).value`, `Patient.name[0].family`.

    Names that are none of R4 (somebody's own JSON property) are shortened to `?` unless they look like names.
    """
    (type_, _, _), *rest = names_of(where)
    parts = [type_]
    below = definitions.children(type_)
    path: list[str] = []
    for name, index, inner in rest:
        plain = name.removeprefix("_")
        element = below.get(plain)
        shown = plain if plain.isidentifier() and len(plain) <= 64 else "?"
        if element is not None and element.is_choice:
            shown = f"{element.name.removesuffix('[x]')}.ofType({element.types[0].code})"
        parts.append(f"{shown}[{index}]" if index >= 0 else shown)
        if inner:
            type_, path, below = inner, [], definitions.children(inner)
            continue
        path.append(plain)
        below = definitions.children(type_, ".".join(path)) if element is not None else {}
    return ".".join(parts)
