"""Two workbooks over many messages: what differs, counted by the rows that cause it."""

from __future__ import annotations

from collections.abc import Mapping

from hilum.errors import HilumError
from hilum.formats.hl7v2 import Hl7Message
from hilum.formats.stored import Stored, read_stored
from hilum.mapping import Context, Mapped, Plan, Workbook, compile_workbook, read_rules
from hilum.workbook.causes import Causes
from hilum.workbook.difference import is_same
from hilum.workbook.excerpted import Excerpted
from hilum.workbook.narrowing import Narrowing, Touch
from hilum.workbook.noting import Case, Notes
from hilum.workbook.table_changes import TableChange, table_changes
from hilum.workbook.table_lines import TableLines
from hilum.workbook.tally import SAMPLES, Tally

__all__ = ["Comparison"]

Param = str | int | float | bool


class Comparison:
    """A candidate against the current workbook. `compare` takes one message after the other into `tally`.

    Raises ConfigError with all findings when one of the two does not compile.
    """

    def __init__(
        self,
        current: Workbook,
        candidate: Workbook,
        params: tuple[Mapping[str, Param], Mapping[str, Param]] = ({}, {}),
        *,
        show_values: bool = False,
    ) -> None:
        self._plans = (
            compile_workbook(current, params=params[0]),
            compile_workbook(candidate, params=params[1]),
        )
        books = (self._plans[0].book, self._plans[1].book)
        rules = (read_rules(books[0])[0], read_rules(books[1])[0])
        self.changes: list[TableChange] = table_changes(*books)
        self.narrowing = Narrowing(*books, rules, self.changes)
        self._lines = TableLines.of(books[0], params[0]), TableLines.of(books[1], params[1])
        self._writes_tables = any(lines.plans for lines in self._lines)
        self._excerpts = Excerpted(self._plans, rules, self.narrowing)
        self.causes = Causes(rules, self.changes, self.narrowing)
        self._tables_differ = self.causes.touch_cells()
        self._show_values = show_values
        self._notes = Notes(self.causes, show_values=show_values)

    @property
    def tally(self) -> Tally:
        """Of the messages of this part so far."""
        return self._notes.tally

    def part(self) -> Tally:
        """The tally so far; a new one is begun, and nothing is remembered: the same parts give the same tallies."""
        done = self._notes.tally
        self._notes = Notes(self.causes, show_values=self._show_values)
        return done

    # -- one message -------------------------------------------------------------------------------------------

    def skips(self, kind: str, sender: str) -> bool:
        """Whether no message of this kind and sender can differ: it need not even be read."""
        return not self._tables_differ and not self.narrowing.tests(kind, sender)

    def skip(self, count: int = 1) -> None:
        """Count messages that `skips` left out."""
        self.tally.read += count
        self.tally.untouched += count

    def leave(self, at: int, name: str, code: str) -> None:
        """Count a message that cannot be had."""
        self.tally.read += 1
        self._unreadable(at, name, code)

    def compare(self, at: int, name: str, body: bytes, context: Context, charset: str = "utf-8") -> None:
        """One message. `at` orders messages, `name` tells people which one it is. Raises nothing for any message."""
        tally = self.tally
        tally.read += 1
        try:
            record = read_stored(body, charset)
            tests = self.narrowing.tests(record.kind, context.sender)
            touch = Touch(bool(tests), whole=True)  # what records hold is not looked at before: such are few
            if isinstance(record, Hl7Message):
                touch = self.narrowing.touches(tests, record)
            if self._tables_differ:  # their lines are made of whatever resources there are
                touch = Touch(touched=True, whole=True)
            if not touch.touched:
                tally.untouched += 1
                return
            before, after, tracers = self._pair(record, context, touch)
            if before is after or is_same(before, after):
                tally.same += 1
                return
            tally.different += 1
            self._notes.note(Case(at, name, record, context, tracers), before, after)
        except HilumError as error:
            self._unreadable(at, name, error.code)
        except Exception as error:  # noqa: BLE001 - one message that breaks a workbook is counted, the others are compared
            self._unreadable(at, name, f"mapping-crashed {type(error).__name__}")

    def _pair(self, record: Stored, context: Context, touch: Touch) -> tuple[Mapped, Mapped, tuple[Plan, Plan]]:
        """What both make of a message, as far as they can differ (twice the same value where they do not), and the
        plans that made it."""
        if not touch.whole and isinstance(record, Hl7Message) and not self._writes_tables:
            found = self._excerpts.run(record, context, touch.times)
            if found is not None:
                return *found, self._excerpts.last
        self.tally.whole += 1
        before, after = self._plans[0].run(record, context), self._plans[1].run(record, context)
        return self._lines[0].beside(before), self._lines[1].beside(after), self._plans

    def _unreadable(self, at: int, name: str, code: str) -> None:
        self.tally.unreadable[code] = self.tally.unreadable.get(code, 0) + 1
        if len(self.tally.unreadable_samples) < SAMPLES:
            self.tally.unreadable_samples.append((at, name))
