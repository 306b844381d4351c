"""Excerpts of two workbooks over one message: what both make of it, as far as they can differ."""

from __future__ import annotations

from collections.abc import Sequence

from hilum.formats.hl7v2 import Hl7Message
from hilum.mapping import Context, Mapped, Opened, Plan, Rule
from hilum.workbook.difference import is_same, items_of
from hilum.workbook.excerpt import Field, rows_that_hold
from hilum.workbook.narrowing import Narrowing

__all__ = ["Excerpted"]

_Pair = tuple[Plan, Plan]


class Excerpted:
    """Parts of two plans, and what was learned of messages so far: it decides what runs, never what comes out."""

    def __init__(self, plans: _Pair, rules: tuple[Sequence[Rule], Sequence[Rule]], narrowing: Narrowing) -> None:
        self._plans, self._rules, self._narrowing = plans, (*rules[0], *rules[1]), narrowing
        self._holds = self._parts(rows_that_hold(rules[0], plans[0].params))[0]
        self._times: frozenset[Field] = frozenset()  # fields that had a local time so far
        self._other_fates: set[str] = set()  # kinds of messages in which rows wrote for other fields
        self._writers: _Pair | None = None
        self._readers: _Pair | None = None
        self.last = plans  # what made the last pair: its traces say which rows wrote what differs
        self._cut()

    def run(self, record: Hl7Message, context: Context, times: frozenset[Field]) -> tuple[Mapped, Mapped] | None:
        """What both make of it, twice the same value when that is the same; None: only the whole workbooks tell.

        `times` are the fields with a time without an offset, where these matter.
        """
        if not times <= self._times:
            self._times |= times
            self._cut()
        if self._readers is None:
            return None
        before, after, opened = self._run(record, context, self._readers)
        if is_same(before, after):
            return before, before
        unheld = before.held is None and after.held is None and _same_reports(before, after)
        # A row that did not change may hold it: key rows do not differ where excerpts run, so ids are made once.
        if unheld and self._holds.problem(record, context, opened) is None:
            return before, after
        return None

    def _run(self, record: Hl7Message, context: Context, readers: _Pair) -> tuple[Mapped, Mapped, Opened | None]:
        if self._writers is not None and record.kind not in self._other_fates:
            before = self._writers[0].make(record, context)
            after = self._writers[1].make(record, context, before.opened)
            if before.written == after.written:  # then no field has another fate
                self.last = self._writers
                return before.mapped, after.mapped, before.opened
            self._other_fates.add(record.kind)
        self.last = readers
        return readers[0].run(record, context), readers[1].run(record, context), None

    def _cut(self) -> None:
        found = self._narrowing.excerpts(self._times)
        if found is not None:
            self._writers = self._parts(found.writers) if found.writers else None
            self._readers = self._parts(found.readers)

    def _parts(self, rows: frozenset[str]) -> _Pair:
        made = frozenset(rule.target.resource for rule in self._rules if rule.row.row_id in rows and rule.element)
        return self._plans[0].part(rows, made), self._plans[1].part(rows, made)


def _same_reports(before: Mapped, after: Mapped) -> bool:
    """Whether rows reported the same. If not, only the whole workbooks tell which rows report it first."""
    return not any(not code.startswith("field-un") for code, _, _ in items_of(before) ^ items_of(after))
