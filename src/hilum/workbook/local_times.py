"""Times without an offset: only they come out otherwise when the zone of a workbook changes."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hilum.mapping import Path, Record, Rule
from hilum.workbook.excerpt import Field, anchors_of, fields_of

__all__ = ["LocalTimes"]

# HL7 v2.9 section 2A.2.22: YYYYMMDDHH[MM[SS[.S]]] and no offset behind it. Nothing else is read by the zone.
# That no letter or digit stands before it is asked after its first digit: the search looks for digits, which is faster.
_START = r"[0-9](?<![0-9A-Za-z][0-9])[0-9]{3}"
_DATE = rf"{_START}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
_LOCAL = re.compile(rf"{_DATE}(?:[01][0-9]|2[0-3])(?:[0-9]{{2}}){{0,2}}(?:\.[0-9]*)?(?![0-9A-Za-z.+-])")
_HEADERS = frozenset({"MSH", "FHS", "BHS"})  # their first field is the delimiter itself
_TIMES = frozenset({"DTM", "TS", "DT", "DR", "TQ"})


class LocalTimes:
    """Which of the fields that some rows read hold a time without an offset: one too many, never one too few."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._fields: dict[str, set[int]] = {}
        self._together: dict[str, set[int]] = {}  # by segment: fields that are times
        self._always: set[Field] = set()
        for rule in rules:
            fields = fields_of(rule, conditions=False)  # a condition compares texts, whatever the zone
            for segment, number in fields:
                self._fields.setdefault(segment, set()).add(number)
            if rule.row.type in _TIMES:
                for segment, number in fields - anchors_of(rule):
                    self._together.setdefault(segment, set()).add(number)
            if any(not isinstance(one, Path) for one in rule.alternatives):
                self._always |= fields  # texts that are put together may make a time
        self._unseen = {segment: numbers.copy() for segment, numbers in self._fields.items()}
        self._seen: set[Field] = set()

    def fields_in(self, record: Record) -> set[Field]:
        """Fields with such a time, and those of records before; empty when this one has none.

        With one that is a time come all of its segment that are, so that sets are few.
        """
        marks = record.delimiters
        if not {marks.field, marks.component, marks.repetition, marks.subcomponent}.isdisjoint("+-.0123456789"):
            return {(segment, number) for segment, numbers in self._fields.items() for number in numbers}
        there = bool(self._always)
        all_fields, all_unseen = self._fields, self._unseen
        for name, segment in zip(record.names, record.segments, strict=True):
            numbers = all_fields.get(name)
            if numbers is None:
                continue
            unseen = all_unseen[name]
            if there and not unseen:
                continue
            for number in _numbers(name, segment.raw, record):
                if number in numbers:
                    there = True
                    if number in unseen:
                        self._see(name, number)
        return self._seen | self._always if there else set()

    def _see(self, name: str, number: int) -> None:
        together = self._together.get(name, set())
        seen = together if number in together else {number}
        self._seen |= {(name, one) for one in seen}
        self._unseen[name] -= seen


def _numbers(name: str, raw: str, record: Record) -> Iterable[int]:
    """The fields of a segment that hold a local time, or escape sequences that hide one."""
    marks = record.delimiters
    first = 1 if name in _HEADERS else 0
    if marks.escape in raw:
        return [at for at, text in enumerate(raw.split(marks.field), first) if _holds(text, record)]
    field = marks.field
    return [raw.count(field, 0, found.start()) + first for found in _LOCAL.finditer(raw)]


def _holds(text: str, record: Record) -> bool:
    if _LOCAL.search(text) is not None:
        return True
    escape = record.delimiters.escape
    if escape not in text:
        return False
    # Sequences that switch the character set are undone value by value: what they hide is not looked for here.
    return f"{escape}C" in text or f"{escape}M" in text or _LOCAL.search(record.unescape(text)) is not None
