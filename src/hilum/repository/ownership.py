"""Who owns what a resource says: messages, or the API. Pure.

What a program writes through the API belongs to the API: no message changes it. Ownership is kept as time: an element
that the API wrote has the time `OWNED`, which is newer than any message. A resource that the API created, and one that
it deleted, belong to it whole. Of a resource that messages made, the elements that the API changed belong to it, and
messages go on with the others. What a message would have said instead becomes an exception item.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from hilum.formats import fhir
from hilum.model import Draft, ExceptionItem

from .patch import NOTHING, Slots, Stated

__all__ = ["CLOSED", "OWNED", "is_shared", "refusal", "rewritten", "without_owned"]

OWNED = 1 << 61  # microseconds no message will ever tell
CLOSED = Stated(at=OWNED)  # deleted through the API: messages do not bring it back

_join = msgspec.json.Encoder().encode
_members = msgspec.json.Decoder(dict[str, Raw]).decode


def is_shared(stated: Stated) -> bool:
    """Whether the API owns anything of it."""
    return stated.at == OWNED or (bool(stated.times) and OWNED in stated.times.values())


def without_owned(stated: Stated, draft: Draft) -> tuple[Draft | None, list[str]]:
    """What of a draft may be applied, and the elements that it would have changed of what the API owns.

    No draft when the whole resource is the API's.
    """
    if stated.at == OWNED:
        return None, [name for name in _said(draft) if _differs(stated, draft, name)]
    owned = {name for name, time in stated.times.items() if time == OWNED}
    refused = [name for name in _said(draft) if name in owned and _differs(stated, draft, name)]
    kept = Draft(
        draft.type,
        draft.id,
        {name: raw for name, raw in draft.elements.items() if name not in owned},
        {name: raw for name, raw in draft.defaults.items() if name not in owned},
        tuple(name for name in draft.cleared if _element(name) not in owned),
        {name: slots for name, slots in draft.slots.items() if name not in owned},
    )
    return kept, refused


def refusal(type_: str, elements: list[str]) -> ExceptionItem:
    """What a person should know when a message and the API say different things."""
    names = ", ".join(sorted(elements))
    return ExceptionItem(
        "owned-by-api",
        f"a message says something else of {type_} ({names}) than what was written through the API: the API's stays",
        location=type_,
        group=f"owned-by-api|{type_}|{names}",
    )


def rewritten(before: Stated, served: Mapping[str, Raw], after: dict[str, Raw]) -> Stated:
    """What is stated once a program has put `after` in place of `served`, which is `before` with its merges.

    Elements that the program left as they were stay whose they are.
    """
    if before is NOTHING or before.at == OWNED:
        return Stated(after, OWNED)
    elements: dict[str, Raw] = {}
    times: dict[str, int] = {}
    slots: dict[str, Slots] = {}
    gone = set(before.gone)
    for name, raw in after.items():
        if name in served and _same(served[name], raw):
            if name in before.elements:  # else a merge says it, and will go on to
                _keep(before, name, elements, times, slots)
        else:
            elements[name], times[name] = raw, OWNED
            gone = {key for key in gone if _element(key) != name}
    for name in before.elements.keys() - after.keys():
        gone = {key for key in gone if _element(key) != name} | {name}
        times[name] = OWNED
    times.update((key, before.times[key]) for key in gone if key in before.times and times.get(key) != OWNED)
    if OWNED not in times.values():
        return before
    return Stated(elements, before.at, times, frozenset(gone), slots)


def _keep(before: Stated, name: str, elements: dict[str, Raw], times: dict[str, int], slots: dict[str, Slots]) -> None:
    elements[name] = before.elements[name]
    if name in before.slots:
        slots[name] = before.slots[name]
    times.update((key, time) for key, time in before.times.items() if _element(key) == name)


def _said(draft: Draft) -> list[str]:
    """Elements that a draft speaks of; defaults give way to anything."""
    return list(dict.fromkeys([*draft.elements, *map(_element, draft.cleared)]))


def _differs(stated: Stated, draft: Draft, name: str) -> bool:
    raw, stored = draft.elements.get(name), stated.elements.get(name)
    if raw is None or stored is None:
        return raw is not stored
    return not _same(stored, raw)


def _same(one: Raw, other: Raw) -> bool:
    return one == other or fhir.decode(bytes(one)) == fhir.decode(bytes(other))


def _element(key: str) -> str:
    """`telecom#PID-13`, `period.end` -> the element."""
    return key.partition("#")[0].partition(".")[0]
