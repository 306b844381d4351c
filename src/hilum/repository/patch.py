"""A partial snapshot over what is stored: the rules of HL7 v2 updates. Pure.

An element that a message does not state changes nothing; one it clears is deleted; what an older message says never
replaces what a newer one said. Time is kept per element, but written down only where it differs from the resource's.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from hilum.definitions import rivals
from hilum.model import Draft

__all__ = ["NOTHING", "Stated", "patch"]

# Elements whose members come from different source fields (admit source and discharge disposition, start and end): a
# message that states one member says nothing of the others. `cleared` names a member as `period.end`.
GROUPS = frozenset({"hospitalization", "occurrencePeriod", "period"})
DEFAULTED = -1  # the time of a default: anything that a message states is newer

_split = msgspec.json.Decoder(list[Raw]).decode
_join = msgspec.json.Encoder().encode
_members = msgspec.json.Decoder(dict[str, Raw]).decode

Slots = tuple[tuple[str, int], ...]


class Stated(Struct, frozen=True):
    """What messages have said of one resource.

    `elements` are top-level elements as JSON, without resourceType and id. `at` is the time of the newest message that
    stated something; `times` holds those of elements (`telecom`) and slots (`telecom#PID-13`) that differ from it.
    `gone` are elements and slots that a message deleted: an older message does not bring them back. `slots` says, for
    an array that several source fields feed, how many items each gave, in the order of the array.
    """

    elements: dict[str, Raw] = {}
    at: int = DEFAULTED
    times: dict[str, int] = {}
    gone: frozenset[str] = frozenset()
    slots: dict[str, Slots] = {}


NOTHING = Stated()


def patch(stated: Stated, draft: Draft, at: int) -> Stated:
    """The resource after a message of time `at` (microseconds). The same message again changes nothing."""
    if stated is NOTHING:
        return _first(draft, at)
    if at >= stated.at and _states_all(stated, draft):
        return Stated(draft.elements, at, slots=draft.slots)
    work = _Patch(stated, at)
    for name in draft.cleared:
        work.clear(name)
    for name, raw in draft.elements.items():
        if name in draft.slots:
            work.set_slots(name, raw, draft.slots[name])
        else:
            work.set(name, raw)
    for name, raw in draft.defaults.items():
        work.default(name, raw)
    for values, other in rivals(draft.type, work.elements):
        work.decide(values, other)
    return work.result()


def _first(draft: Draft, at: int) -> Stated:
    """The first that is said of a resource."""
    elements = draft.elements
    times: dict[str, int] = {}
    for name, raw in draft.defaults.items():
        if name not in elements:
            if name not in draft.cleared:
                times[name] = DEFAULTED
            elements = {**elements, name: raw}
    return Stated(elements, at, times, frozenset(draft.cleared), draft.slots)


def _states_all(stated: Stated, draft: Draft) -> bool:
    """Whether nothing of the old needs to be kept: the common case of a resource that one kind of message feeds."""
    if draft.cleared or stated.gone or _sources(stated.slots) != _sources(draft.slots):
        return False
    if not stated.elements.keys() <= draft.elements.keys():
        return False
    if any(stated.elements[name] != draft.elements[name] for name in GROUPS & stated.elements.keys()):
        return False
    return draft.defaults.keys() <= draft.elements.keys()


def _sources(slots: dict[str, Slots]) -> dict[str, list[str]]:
    return {name: [slot for slot, _ in given] for name, given in slots.items()} if slots else {}


class _Patch:
    """One patch in the making. Keys are `element` or `element#slot`."""

    __slots__ = ("at", "elements", "gone", "old", "slots", "times")

    def __init__(self, stated: Stated, at: int) -> None:
        self.old = stated
        self.at = at
        self.elements = dict(stated.elements)
        self.gone = set(stated.gone)
        self.slots = dict(stated.slots)
        self.times = self._explicit_times()

    def _explicit_times(self) -> dict[str, int]:
        """The time of every element, slot and deletion, written out."""
        times: dict[str, int] = {}
        for name in self.elements:
            if name in self.slots:
                times.update((_key(name, slot), self.old.at) for slot, _ in self.slots[name])
            else:
                times[name] = self.old.at
        times.update(dict.fromkeys(self.gone, self.old.at))
        times.update(self.old.times)
        return times

    def set(self, name: str, raw: Raw) -> None:
        """The message states the whole element, or (a group) some of its members."""
        if name in GROUPS and name in self.elements and name not in self.slots:
            self._set_members(name, raw)
            return
        keys = self._keys(name)
        if all(self.at >= self.times.get(key, self.at) for key in keys):
            self.gone.difference_update(keys)
            self.slots.pop(name, None)
            self.elements[name] = raw
            self.times[name] = self.at

    def _set_members(self, name: str, raw: Raw) -> None:
        """The newer statement wins; members that only one of the two has stay, unless a newer message cleared them."""
        newer = self.at >= self.times.get(name, self.at)
        stated, stored = _members(raw), _members(self.elements[name])
        stated = {part: value for part, value in stated.items() if self.at >= self.times.get(f"{name}.{part}", self.at)}
        self.gone.difference_update(f"{name}.{part}" for part in stated)
        self.elements[name] = Raw(_join({**stored, **stated} if newer else {**stated, **stored}))
        if newer:
            self.times[name] = self.at

    def _clear_member(self, name: str) -> None:
        element, _, part = name.partition(".")
        if element in self.elements and self.at >= self.times.get(element, self.at):
            left = {key: value for key, value in _members(self.elements[element]).items() if key != part}
            if left:
                self.elements[element] = Raw(_join(left))
            else:
                del self.elements[element]
        self.gone.add(name)
        self.times[name] = self.at

    def set_slots(self, name: str, raw: Raw, slots: Slots) -> None:
        """The message states some of the source fields that feed an array."""
        content = self._content(name)
        cleared_at = self.times.get(name, self.at) if name in self.gone else self.at
        items = _split(raw)
        start = 0
        before = ""
        for slot, count in slots:
            key = _key(name, slot)
            if self.at >= max(self.times.get(key, self.at), cleared_at):
                _put(content, slot, items[start : start + count], after=before)
                self.times[key] = self.at
                self.gone.discard(key)
            start += count
            before = slot
        self._store(name, content)

    def clear(self, name: str) -> None:
        """The message deletes an element (`telecom`) or one source field's part of it (`telecom#PID-13`)."""
        element, _, slot = name.partition("#")
        if self.at < self.times.get(name, self.at):
            return
        if "." in name:
            self._clear_member(name)
            return
        content = self._content(element)
        if slot:
            content.pop(slot, None)
        else:
            self._remove_older(element, content)
            self.gone -= {key for key in self.gone if key.startswith(f"{element}#") and self.at >= self.times[key]}
        self.gone.add(name)
        self.times[name] = self.at
        self._store(element, content)

    def default(self, name: str, raw: Raw) -> None:
        """Used only where there is nothing; it has no time of its own and gives way to anything."""
        if name not in self.elements:
            self.elements[name] = raw
            if name not in self.gone:
                self.times[name] = DEFAULTED

    def decide(self, values: Sequence[str], other: str) -> None:
        """Of two that R4 allows no resource together the older goes; what one message says together stays."""
        stated_at, other_at = (
            max(self.times[key] for name in names for key in self._keys(name) if key in self.times)
            for names in (values, (other,))
        )
        for name in () if stated_at == other_at else values if stated_at < other_at else (other,):
            self.elements.pop(name, None)
            self.slots.pop(name, None)

    def result(self) -> Stated:
        """The patch as a value, with times written only where they differ from the newest."""
        newest = max(self.at, self.old.at)
        known = {key for name in self.elements for key in self._keys(name)} | self.gone
        times = {key: time for key, time in self.times.items() if time != newest and key in known}
        return Stated(self.elements, newest, times, frozenset(self.gone), self.slots)

    def _keys(self, name: str) -> list[str]:
        """The keys under which times of this element are kept."""
        slots = self.slots.get(name)
        keys = [name] if slots is None else [_key(name, slot) for slot, _ in slots]
        return keys + [key for key in self.gone if key == name or key.startswith(f"{name}#")]

    def _content(self, name: str) -> dict[str, Sequence[Raw]]:
        """The items of an array by slot, in order; what came without slots is the slot ""."""
        if name not in self.elements:
            return {}
        items = _split(self.elements[name]) if _is_array(self.elements[name]) else [self.elements[name]]
        content: dict[str, Sequence[Raw]] = {}
        start = 0
        for slot, count in self.slots.get(name, (("", len(items)),)):
            content[slot] = items[start : start + count]
            start += count
        return content

    def _store(self, name: str, content: dict[str, Sequence[Raw]]) -> None:
        """Write an array back; without items there is no element."""
        filled = {slot: items for slot, items in content.items() if items}
        had = self.slots.pop(name, None)
        if not filled:
            self.elements.pop(name, None)
            return
        if list(filled) != [""]:
            self.slots[name] = tuple((slot, len(items)) for slot, items in filled.items())
        elif had is None:
            return
        self.elements[name] = Raw(_join([item for items in filled.values() for item in items]))

    def _remove_older(self, name: str, content: dict[str, Sequence[Raw]]) -> None:
        for slot in list(content):
            if self.at >= self.times.get(_key(name, slot), self.at):
                del content[slot]


def _key(name: str, slot: str) -> str:
    return f"{name}#{slot}" if slot else name


def _is_array(raw: Raw) -> bool:
    return bytes(raw).lstrip()[:1] == b"["


def _put(content: dict[str, Sequence[Raw]], slot: str, items: Sequence[Raw], *, after: str) -> None:
    """Replace a slot where it is; a new one goes behind the slot that precedes it in the message, else to the front."""
    if slot in content:
        content[slot] = items
        return
    order = list(content)
    index = order.index(after) + 1 if after in content else 0
    order.insert(index, slot)
    merged = {name: content.get(name, items) for name in order}
    content.clear()
    content.update(merged)
