"""Times without an offset: only they come out otherwise when the zone of a workbook changes."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hilum.mapping import Path, Record, Rule
from hilum.workbook.excerpt import Field, fields_of

__all__ = ["LocalTimes"]

# HL7 v2.9 section 2A.2.22: YYYYMMDDHH[MM[SS[.S]]] and no offset behind it. Nothing else is read by the zone.
# That no letter or digit stands before it is asked after its first digit: the search looks for digits, which is faster.
_START = r"[0-9](?<![0-9A-Za-z][0-9])[0-9]{3}"
_DATE = rf"{_START}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
_LOCAL = re.compile(rf"{_DATE}(?:[01][0-9]|2[0-3])(?:[0-9]{{2}}){{0,2}}(?:\.[0-9]*)?(?![0-9A-Za-z.+-])")
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
        for name, segment in zip(record.names, record.segments, strict=True):
            numbers = self._fields.get(name)
            if numbers is None or (there and not self._unseen[name]):
                continue
            for number in numbers.intersection(_numbers(name, segment.raw, marks.field, marks.escape)):
                there = True
                if number in self._unseen[name]:
                    self._see(name, number)
        return self._seen | self._always if there else set()

    def _see(self, name: str, number: int) -> None:
        together = self._together.get(name, set())
        seen = together if number in together else {number}
        self._seen |= {(name, one) for one in seen}
        self._unseen[name] -= seen


def _numbers(name: str, raw: str, field: str, escape: str) -> Iterable[int]:
    """The fields of a segment that hold a local time, or an escape sequence that may hide one."""
    first = name in ("MSH", "FHS", "BHS")  # their first field is the delimiter itself
    if escape in raw:
        return [at for at, text in enumerate(raw.split(field), first) if escape in text or _LOCAL.search(text)]
    return [raw.count(field, 0, found.start()) + first for found in _LOCAL.finditer(raw)]
