"""Times without an offset: only they come out otherwise when the zone of a workbook changes."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hilum.mapping import Path, Record, Rule
from hilum.workbook.excerpt import Field, fields_of

__all__ = ["LocalTimes"]

# HL7 v2.9 section 2A.2.22: YYYYMMDDHH[MM[SS[.S]]] and no offset behind it. Nothing else is read by the zone.
_DATE = r"[0-9]{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
_LOCAL = re.compile(rf"(?<![0-9A-Za-z]){_DATE}(?:[01][0-9]|2[0-3])(?:[0-9]{{2}}){{0,2}}(?:\.[0-9]*)?(?![0-9A-Za-z.+-])")
_TIMES = frozenset({"DTM", "TS", "DT", "DR", "TQ"})


class LocalTimes:
    """Which of the fields that some rows read hold a time without an offset: one too many, never one too few."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._fields: dict[str, set[int]] = {}
        self._together: dict[str, set[Field]] = {}  # by segment: fields that are times
        self._always: set[Field] = set()
        for rule in rules:
            fields = fields_of(rule)
            for segment, number in fields:
                self._fields.setdefault(segment, set()).add(number)
                if rule.row.type in _TIMES:
                    self._together.setdefault(segment, set()).add((segment, number))
            if any(not isinstance(one, Path) for one in rule.alternatives):
                self._always |= fields  # texts that are put together may make a time

    def fields_in(self, record: Record) -> set[Field]:
        """Fields with such a time; with one that is a time come all of its segment that are, so that sets are few."""
        found = set(self._always)
        marks, escape = record.delimiters, record.delimiters.escape
        if not {marks.component, marks.repetition, marks.subcomponent}.isdisjoint("+-.0123456789"):
            return {(segment, number) for segment, numbers in self._fields.items() for number in numbers}
        for name, segment in zip(record.names, record.segments, strict=True):
            numbers = self._fields.get(name)
            if numbers is None or not (_LOCAL.search(segment.raw) or escape in segment.raw):
                continue
            fields = segment.fields
            for number in numbers:
                text = fields[number] if number < len(fields) else ""
                if len(text) >= 10 and (escape in text or _LOCAL.search(text)):
                    found.add((name, number))
                    together = self._together.get(name, set())
                    if (name, number) in together:
                        found |= together
        return found
