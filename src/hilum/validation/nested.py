"""Resources inside resources: entries of Bundles, what is contained, parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .run import Check, Run
from .where import Where

__all__ = ["Inside", "inside_by_hand"]

Json = dict[str, Any]


class Inside(Check):
    """Keeps a resource that stands in another, to be validated by itself."""

    __slots__ = ()

    def look(self, value: Any, where: Where, run: Run) -> None:
        run.nested.append((value, where))


def inside_by_hand(resource: Json, where: Where) -> Iterator[tuple[Json, Where]]:
    """The same for a resource whose shape is wrong, so that what it holds is looked at all the same."""
    entries, contained = resource.get("entry"), resource.get("contained")
    if isinstance(entries, list):
        for number, entry in enumerate(entries):
            held = entry.get("resource") if isinstance(entry, dict) else None
            if isinstance(held, dict):
                yield held, ((where, "entry", number), "resource", -1)
    if isinstance(contained, list):
        yield from (
            (one, (where, "contained", number)) for number, one in enumerate(contained) if isinstance(one, dict)
        )
