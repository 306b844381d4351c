"""Contained resources (R4 references.html#contained, dom-2 to dom-5, ref-1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .run import Pointer, Run
from .where import Where

__all__ = ["check_contained", "follow_local"]

Json = dict[str, Any]


def check_contained(resource: Json, where: Where, run: Run) -> None:
    """What must hold for each contained resource; `run` has met all references of the whole."""
    ids: set[str] = set()
    pointed_at = {one.reference[1:] for one in run.pointers if one.reference.startswith("#")}
    if not {one.get("id") for one in resource["contained"]} <= pointed_at:
        # A canonical or a URI may point as well.
        pointed_at |= {text[1:] for text in texts_of(resource) if text.startswith("#")}
    for number, one in enumerate(resource["contained"]):
        here: Where = (where, "contained", number)
        if "contained" in one:
            run.seen.report("contained-not-allowed", "dom-2: what is contained contains nothing itself", here)
        meta = one.get("meta", {})
        if "versionId" in meta or "lastUpdated" in meta:
            run.seen.report("contained-not-allowed", "dom-4: what is contained has no version of its own", here)
        if "security" in meta:
            run.seen.report("contained-not-allowed", "dom-5: what is contained has no security label", here)
        identity = one.get("id")
        if identity is None or identity in ids:
            text = "what is contained has an id that nothing else in it has"
            run.seen.report("contained-not-allowed", text, here)
        elif identity not in pointed_at and not _points_out(one):
            text = "dom-3: something in the resource points at what it contains, or it points at the resource"
            run.seen.report("contained-not-allowed", text, here)
        ids.add(str(identity))


def _points_out(one: Json) -> bool:
    """Whether a contained resource points at the resource that contains it."""
    return any(text == "#" for text in texts_of(one))


def texts_of(value: Any) -> Iterator[str]:
    """Every text in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for held in value.values():
            yield from texts_of(held)
    elif isinstance(value, list):
        for held in value:
            yield from texts_of(held)


def follow_local(container: Json, pointers: list[Pointer], run: Run) -> None:
    """ref-1: `#id` leads to something contained, and to a type that may stand there."""
    types = {one.get("id"): one.get("resourceType", "") for one in container.get("contained", ())}
    for pointer in pointers:
        reference = pointer.reference
        if not reference.startswith("#") or reference == "#":
            continue
        found = types.get(reference[1:])
        if found is None:
            text = "this points at something contained, and nothing contained has that id (ref-1)"
            run.seen.report("reference-dangling", text, pointer.where)
        elif pointer.allowed is not None and found not in pointer.allowed:
            text = f"this points at a contained {found}, and may point at {' or '.join(sorted(pointer.allowed))}"
            run.seen.report("reference-wrong-type", text, pointer.where)
