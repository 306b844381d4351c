"""Where references lead, as JSON Schema: what their text or their `type` says, without following them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hilum.definitions import Definitions, Element

__all__ = ["ID", "leads_to", "pointed_at", "unresolved"]

Json = dict[str, Any]
ID = r"[A-Za-z0-9.\-]{1,64}"


def pointed_at(definitions: Definitions, element: Element) -> tuple[str, ...]:
    """The types that a reference may lead to; () where it may be any."""
    found: dict[str, None] = {}
    for target in (target for one in element.types for target in one.targets):
        structure = definitions.structure(target)
        if structure is None or structure.is_abstract:
            return ()
        found[structure.type] = None
    return tuple(found)


def leads_to(types: Iterable[str]) -> Json:
    """A Reference that says that it leads to one of these."""
    names = list(types)
    by_text = {"properties": {"reference": {"pattern": _pattern(names)}}, "required": ["reference"]}
    return {"anyOf": [by_text, {"properties": {"type": {"enum": names}}, "required": ["type"]}]}


def unresolved(definitions: Definitions) -> Json:
    """A Reference that does not say where it leads: `#contained`, `urn:uuid:...`, by an identifier alone."""
    return {"not": leads_to(definitions.types("resource"))}


def _pattern(types: list[str]) -> str:
    return rf"^(?:https?://[^?]+/)?(?:{'|'.join(types)})/{ID}(?:/_history/{ID})?$"
