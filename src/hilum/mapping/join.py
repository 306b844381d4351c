"""What several places of a message say of one resource, put together."""

from __future__ import annotations

from typing import Any

from msgspec import Raw, json, structs

from hilum.definitions import rivals
from hilum.mapping.binding import Call
from hilum.model import Draft

__all__ = ["Part", "drafts_of", "join_parts"]

# (slot, [(element, JSON or list of items, slots, default)], cleared)
Part = tuple[int, list[tuple[str, Any, tuple[tuple[str, int], ...], bool]], tuple[str, ...]]


def join_parts(drafts: list[Draft | None], parts: list[Part]) -> None:
    """Add what other places wrote to a resource: items to lists, members to objects; a single value stays."""
    lists: dict[tuple[int, str, bool], list[bytes]] = {}
    for slot, elements, cleared in parts:
        draft = drafts[slot]
        if draft is None:
            continue
        for name, value, slots, default in elements:
            if type(value) is list:
                lists.setdefault((slot, name, default), []).extend(value)
                if slots:
                    draft.slots = {**draft.slots, name: _join_slots(draft.slots.get(name, ()), slots)}
            else:
                _add_value(draft, name, value, default=default)
        if cleared:
            draft.cleared = (*draft.cleared, *cleared)
    for (slot, name, default), items in lists.items():
        draft = drafts[slot]
        if draft is not None:
            _add_items(draft, name, items, default=default)


def _into(draft: Draft, *, default: bool) -> dict[str, Raw]:
    if not default:
        return draft.elements
    draft.defaults = {**draft.defaults}  # shared with other messages until now
    return draft.defaults


def _add_items(draft: Draft, name: str, items: list[bytes], *, default: bool) -> None:
    into = _into(draft, default=default)
    before = into.get(name)
    inner = b",".join(items)
    into[name] = Raw(b"[%b]" % inner if before is None else b"%b,%b]" % (bytes(before)[:-1], inner))


def _add_value(draft: Draft, name: str, value: bytes, *, default: bool) -> None:
    into = _into(draft, default=default)
    before = into.get(name)
    if before is None:
        into[name] = Raw(value)
    elif value[:1] == b"{" and bytes(before)[:1] == b"{":
        into[name] = Raw(b"%b,%b" % (bytes(before)[:-1], value[1:]))


def _join_slots(before: tuple[tuple[str, int], ...], more: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    if before and more and before[-1][0] == more[0][0]:
        return (*before[:-1], (before[-1][0], before[-1][1] + more[0][1]), *more[1:])
    return (*before, *more)


def drafts_of(slots: list[Draft | None], call: Call) -> list[Draft]:
    """All drafts in order of the message; what was opened twice is one."""
    made = [draft for draft in slots if draft is not None]
    found = {draft.id: draft for draft in made}  # the type is in the id
    if len(found) < len(made):
        found = {}
        for draft in made:
            _once(found, draft)
    for type_, id_, elements, defaults, cleared, counts, _ in call.loose:
        before = found.get(id_)
        if before is None:
            found[id_] = Draft(type_, id_, elements, defaults, cleared, counts)
        elif before.elements != elements:
            _once(found, Draft(type_, id_, elements, defaults, cleared, counts))
    return list(found.values())


def _once(found: dict[str, Draft], draft: Draft) -> None:
    key = draft.id
    before = found.get(key)
    if before is None:
        found[key] = draft
        return
    elements = {name: value for name, value in before.elements.items() if name not in draft.cleared}
    for values, other in rivals(draft.type, {**elements, **draft.elements}):
        for name in (other,) if draft.elements.keys() & set(values) else values:
            elements.pop(name, None)
    for name, value in draft.elements.items():
        earlier = bytes(elements.get(name, b""))
        later = bytes(value)
        if earlier[:1] == b"[" and later[:1] == b"[" and earlier != later:
            elements[name] = _union(earlier, later)
        else:
            elements[name] = value
    found[key] = structs.replace(
        before,
        elements=elements,
        defaults={**before.defaults, **draft.defaults},
        cleared=tuple(dict.fromkeys(name for name in (*before.cleared, *draft.cleared) if name not in elements)),
        slots={name: slots for name, slots in before.slots.items() if elements.get(name) == before.elements.get(name)},
    )


def _union(first: bytes, second: bytes) -> Raw:
    """Two lists joined, without doubles."""
    items = dict.fromkeys(bytes(item) for text in (first, second) for item in json.decode(text, type=list[Raw]))
    return Raw(b"[%b]" % b",".join(items))
