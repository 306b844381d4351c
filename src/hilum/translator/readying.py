"""Drafts made ready to be saved: their text is made here rather than on the loop that answers senders."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from hilum.formats.fhir_version import make_ready
from hilum.model import Draft

__all__ = ["Readying"]

MET = 20_000  # resources remembered by name; then it starts over
KEPT = 2_048  # drafts remembered
SMALL = 4 * 1024  # bytes of text of a draft that is remembered


class Readying:
    """Remembers drafts that messages repeat word for word (wards, clinicians): each of them is one value, numbered."""

    def __init__(self) -> None:
        self._met: set[tuple[str, str]] = set()
        self._kept: dict[tuple[str, str], Draft] = {}
        self._count = 0

    def of(self, draft: Draft) -> Draft:
        """The same with `ready`."""
        name = (draft.type, draft.id)
        kept = self._kept.get(name)
        if kept is not None and _says_the_same(kept, draft):
            return kept
        made = make_ready(draft)
        draft.ready = made
        if name not in self._met:
            if len(self._met) >= MET:
                self._met.clear()
            self._met.add(name)
        elif len(made.text) <= SMALL:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            self._count += 1
            draft.ready = structs.replace(made, number=self._count)
            self._kept[name] = draft
        return draft


def _says_the_same(one: Draft, other: Draft) -> bool:
    return (
        _is_same(one.elements, other.elements)
        and _is_same(one.defaults, other.defaults)
        and one.cleared == other.cleared
        and _is_same(one.slots, other.slots)
    )


def _is_same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """In the same order, too: what is stored does not depend on what was remembered."""
    return one is other or (one == other and list(one) == list(other))
