"""The fate of every valued field: mapped, ignored on purpose, or an exception. Nothing else exists.

A field is **valued** when it holds more than delimiters; MSH-1 and MSH-2, which say how the message is written, are not
fields of it. A valued field is **mapped** when a row that reads it (as source, argument or condition) wrote something,
or deleted something for it. Otherwise it is **ignored** when a line of `ignores` names it. Otherwise it is an
**exception**: the row that reads it had something to report, or `field-unused` (rows read it, none wrote), or
`field-unmapped` (no row reads it).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from hilum.mapping.columns import named_column
from hilum.mapping.lookup import sender_rank
from hilum.mapping.rows import Rule
from hilum.mapping.tables import Ignore
from hilum.model import ExceptionItem

__all__ = ["Fate", "Fates", "FieldFates", "Ignored", "covers", "ignored_fields", "read_fields"]

REMEMBERED = 4096
_HEADERS = frozenset({"MSH", "FHS", "BHS"})


class Fate(Struct, frozen=True):
    """What became of the fields of one segment."""

    valued: int
    mapped: int
    ignored: int
    exceptions: int
    items: tuple[ExceptionItem, ...]


class FieldFates(Struct, frozen=True):
    """The fields of one segment by their fate: bit n for field n. `name` is "???" where it cannot be shown.

    Columns and elements have no numbers that mean anything elsewhere: `labels` names those that were there, bit by bit.
    """

    name: str
    mapped: int
    ignored: int
    left: int
    labels: tuple[str, ...] = ()

    def places(self, bits: int) -> list[str]:
        """`PID-5`, `patients[Birth Date]`... for the fields of a mask."""
        numbers = [number for number in range(bits.bit_length()) if bits >> number & 1]
        return [self.labels[number] if self.labels else f"{self.name}-{number}" for number in numbers]


class Ignored(Struct, frozen=True):
    """Fields of one segment that are not mapped on purpose."""

    fields: int  # bits
    whole: bool


def ignored_fields(
    lines: Iterable[Ignore], kind: str, sender: str, numbers: Mapping[str, Mapping[str, int]] | None = None
) -> dict[str, Ignored]:
    """Ignored fields by segment, for one kind and sender; `numbers` are those of the columns of each record."""
    found: dict[str, Ignored] = {}
    for line in lines:
        if not sender_rank(line.sender, sender) or not covers(line.applies, kind):
            continue
        column = named_column(line.field)
        if column is not None:
            _ignore_column(found, *column, (numbers or {}).get(column[0], {}))
            continue
        segment, _, number = line.field.partition("-")
        before = found.get(segment, Ignored(0, whole=False))
        if number in ("*", ""):
            found[segment] = Ignored(before.fields, whole=True)
        else:
            found[segment] = Ignored(before.fields | 1 << int(number), before.whole)
    return found


def _ignore_column(found: dict[str, Ignored], record: str, column: str, numbers: Mapping[str, int]) -> None:
    before = found.get(record, Ignored(0, whole=False))
    bits = 1 << numbers[column] if column in numbers else 0
    found[record] = Ignored(before.fields | bits, before.whole or column == "*")


def covers(applies: str, kind: str) -> bool:
    """Whether a line of `ignores` that names these kinds is about this one."""
    if not applies or applies == "*":
        return True
    type_ = kind.partition("^")[0]
    for part in applies.replace(";", " ").split():
        name, _, events = part.partition("^")
        if name == type_ and (events in ("", "*") or kind.partition("^")[2] in events.split("|")):
            return True
    return False


def read_fields(rules: Iterable[Rule]) -> dict[str, int]:
    """For each segment the bits of the fields that any of the rules reads."""
    found: dict[str, int] = {}
    for rule in rules:
        for anchor in rule.anchors:
            if anchor.field:
                found[anchor.segment] = found.get(anchor.segment, 0) | 1 << anchor.field
        for path in rule.paths():
            if path.segment:
                found[path.segment] = found.get(path.segment, 0) | 1 << path.field
    return found


class Fates:
    """The fates of one segment's fields for one kind and sender, remembered by what is valued and what was written."""

    __slots__ = ("_ignored", "_labels", "_owner", "_read", "_seen", "_sender", "_sighted", "known", "name")

    def __init__(
        self,
        name: str,
        ignored: Ignored,
        read: int,
        sender: str,
        owner: str,
        sighted: list[str] | None = None,
        labels: Sequence[str] = (),
    ) -> None:
        """Fields that are valued for the first time are named in `sighted`; `labels` are the names of columns."""
        self._labels = labels
        self.name = name
        self._seen = 0
        self._sighted = sighted
        self._ignored, self._read, self._sender, self._owner = ignored, read, sender, owner
        self.known: dict[tuple[bytes, int], Fate] = {}

    def find(self, key: tuple[bytes, int]) -> Fate:
        """`key` is (one byte per field: valued or not, bits of the fields for which a row wrote)."""
        split = self.split(key)
        mapped, ignored, left = split.mapped, split.ignored, split.left
        items = tuple(self._item(number) for number in range(1, len(key[0])) if left >> number & 1)
        valued = mapped | ignored | left
        if self._sighted is not None and valued & ~self._seen:
            fresh = valued & ~self._seen
            self._sighted += [f"field {self._place(n)}" for n in range(fresh.bit_length()) if fresh >> n & 1]
            self._seen |= valued
        fate = Fate(valued.bit_count(), mapped.bit_count(), ignored.bit_count(), left.bit_count(), items)
        if len(self.known) >= REMEMBERED:
            self.known.clear()
        self.known[key] = fate
        return fate

    def split(self, key: Sequence[Any]) -> FieldFates:
        """Which fields have which fate."""
        pattern, written = key
        start = 3 if self.name in _HEADERS else 1
        valued = sum(1 << number for number in range(start, len(pattern)) if pattern[number])
        rest = valued & ~written
        ignored = rest if self._ignored.whole else rest & self._ignored.fields
        labels = tuple(self._labels) if self._labels else ()
        return FieldFates(self.name, valued & written, ignored, rest & ~ignored, labels)

    def _place(self, number: int) -> str:
        return self._labels[number] if self._labels else f"{self.name}-{number}"

    def _item(self, number: int) -> ExceptionItem:
        location = self._place(number)
        if self._read >> number & 1:
            code, message = "field-unused", "rows read this field, and none of them wrote anything for it"
        else:
            code, message = "field-unmapped", "no row reads this field, and it is not ignored on purpose"
        return ExceptionItem(code, message, location, self._owner, "", f"{code}|{self._sender}|{location}")
