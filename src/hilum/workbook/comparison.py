"""Two workbooks over many messages: what differs, counted by the rows that cause it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hilum.errors import HilumError
from hilum.formats.hl7v2 import Hl7Message
from hilum.formats.stored import Stored, read_stored
from hilum.mapping import Context, Mapped, Plan, Rule, Trace, Workbook, compile_workbook, read_rules
from hilum.workbook.difference import (
    FieldChange,
    ResourceChange,
    held_by,
    is_same,
    items_of,
    resource_changes,
    stripped,
)
from hilum.workbook.excerpted import Excerpted
from hilum.workbook.masking import shape_of
from hilum.workbook.narrowing import Narrowing, Touch
from hilum.workbook.table_changes import TableChange, table_changes
from hilum.workbook.table_lines import TableLines
from hilum.workbook.tally import SAMPLES, Cell, Group, Sample, Tally

__all__ = ["Comparison"]

TRACED_EACH = 3  # messages traced for a kind of difference, in each part; others like them are told by these
Param = str | int | float | bool
_Likeness = tuple[str, str, str, str]  # kind of message, kind of change, type, path


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
        self._rules = {rule.row.row_id: rule for rule in (*rules[0], *rules[1])}
        self._excerpts = Excerpted(self._plans, rules, self.narrowing)
        self.tracers: tuple[Plan, Plan] = self._plans  # of the last message
        self._show_values = show_values
        self._affected = self._affected_rows()
        cells = {rule.row.row_id for rule in (*rules[0], *rules[1]) if rule.target.is_cell}
        self._tables_differ = bool(cells) and (self._affected is None or not cells.isdisjoint(self._affected))
        self._writers = self._writers_of(rules)
        self._by_path: dict[tuple[str, str], tuple[str, ...]] = {}
        self.tally = Tally()
        self._told: dict[_Likeness, tuple[int, tuple[str, ...]]] = {}

    def part(self) -> Tally:
        """The tally so far; a new one is begun, and nothing is remembered: the same parts give the same tallies."""
        done, self.tally, self._told = self.tally, Tally(), {}
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
            before, after = self._pair(record, context, touch)
            if before is after or is_same(before, after):
                tally.same += 1
                return
            tally.different += 1
            _Notes(self, at, name, record, context).note(before, after)
        except HilumError as error:
            self._unreadable(at, name, error.code)
        except Exception as error:  # noqa: BLE001 - one message that breaks a workbook is counted, the others are compared
            self._unreadable(at, name, f"mapping-crashed {type(error).__name__}")

    def _pair(self, record: Stored, context: Context, touch: Touch) -> tuple[Mapped, Mapped]:
        """What both make of a message, as far as they can differ; twice the same value where they do not."""
        if not touch.whole and isinstance(record, Hl7Message) and not self._writes_tables:
            found = self._excerpts.run(record, context, touch.times)
            if found is not None:
                self.tracers = self._excerpts.last
                return found
        self.tally.whole += 1
        self.tracers = self._plans
        before, after = self._plans[0].run(record, context), self._plans[1].run(record, context)
        return self._lines[0].beside(before), self._lines[1].beside(after)

    def _unreadable(self, at: int, name: str, code: str) -> None:
        self.tally.unreadable[code] = self.tally.unreadable.get(code, 0) + 1
        if len(self.tally.unreadable_samples) < TRACED_EACH:
            self.tally.unreadable_samples.append((at, name))

    # -- which rows --------------------------------------------------------------------------------------------

    def causes_of(self, rows: tuple[str, ...]) -> list[TableChange]:
        """The changes of the tables that can speak through these rows."""
        found = []
        for change, reach in zip(self.changes, self.narrowing.reaches, strict=True):
            if reach.rows is None or not reach.rows.isdisjoint(rows):
                found.append(change)
        return found

    def rule_of(self, row: str) -> Rule | None:
        """The row as the candidate has it, else as the current workbook has it."""
        return self._rules.get(row)

    def writers_of(self, type_: str, path: str) -> tuple[str, ...]:
        """The affected rows that write the top element of a path."""
        known = self._by_path.get((type_, path))
        if known is None:
            element = path.split(".", 1)[0].split(" ")[0].split("#")[0].rstrip("?").lstrip("_")
            known = self._by_path[type_, path] = self._writers.get((type_, element), ())
        return known

    def _affected_rows(self) -> frozenset[str] | None:
        """Rows that some change speaks through; None is all."""
        found: set[str] = set()
        for reach in self.narrowing.reaches:
            if reach.rows is None:
                return None
            found |= reach.rows
        return frozenset(found)

    def _writers_of(self, rules: tuple[list[Rule], list[Rule]]) -> dict[tuple[str, str], tuple[str, ...]]:
        """(type, top element) to the affected rows that write it."""
        found: dict[tuple[str, str], set[str]] = {}
        for rule in (*rules[0], *rules[1]):
            if self._affected is None or rule.row.row_id in self._affected:
                element = rule.target.steps[0].name if rule.target.steps else ""
                found.setdefault((rule.target.type, element), set()).add(rule.row.row_id)
        return {key: tuple(sorted(rows)) for key, rows in found.items()}


class _Notes:
    """What one message that differs adds to the tally."""

    def __init__(self, whole: Comparison, at: int, name: str, record: Stored, context: Context) -> None:
        self._whole, self._tally = whole, whole.tally
        self._at, self._name, self._record, self._context = at, name, record, context
        self._traces: tuple[list[Trace], list[Trace]] | None = None
        self._seen: set[int] = set()

    def note(self, before: Mapped, after: Mapped) -> None:
        self._note_counts(before, after)
        old, new = held_by(before), held_by(after)
        if old != new:
            pair = tuple(" ".join(one) if one else "" for one in (old, new))
            self._add(self._tally.held.setdefault((pair[0], pair[1]), Cell()), "", "", "")
        if old or new:
            return  # nothing of a held message is applied: its fields are not compared
        for change in resource_changes(before.drafts, after.drafts):
            kinds = self._tally.resources
            kinds[change.kind] = kinds.get(change.kind, 0) + 1
            self._note_resource(change)
        for merge in set(before.merges) ^ set(after.merges):
            kind = "added" if merge in after.merges else "removed"
            self._note_cell((kind, merge.type, "(merge)"), f"{merge.type}/{merge.survivor}", "", "")

    def _note_counts(self, before: Mapped, after: Mapped) -> None:
        for name in ("mapped", "ignored", "exceptions"):
            change = getattr(after.accounting, name) - getattr(before.accounting, name)
            self._tally.accounting[name] = self._tally.accounting.get(name, 0) + change
        for side, items in enumerate((items_of(before) - items_of(after), items_of(after) - items_of(before))):
            for item in items:
                self._tally.items.setdefault(item, [0, 0])[side] += 1

    def _note_resource(self, change: ResourceChange) -> None:
        resource = f"{change.type}/{change.id}"
        if change.kind != "changed":
            self._note_cell((change.kind, change.type, ""), resource, "", "")
        for field in change.fields:
            kind = "changed" if field.before and field.after else "added" if field.after else "removed"
            self._note_cell((kind, change.type, field.path), resource, field.before, field.after, field, change)

    def _note_cell(
        self,
        key: tuple[str, str, str],
        resource: str,
        before: str,
        after: str,
        field: FieldChange | None = None,
        change: ResourceChange | None = None,
    ) -> None:
        rows = self._rows(key, resource, field, change)
        group = self._tally.groups.get(rows)
        if group is None:
            group = self._tally.groups[rows] = Group()
        cell = group.cells.get(key)
        if cell is None:
            cell = group.cells[key] = Cell()
        if not self._whole._show_values:
            before, after = shape_of(key[2], before), shape_of(key[2], after)
        self._add(cell, resource, before, after)

    def _add(self, cell: Cell, resource: str, before: str, after: str) -> None:
        cell.count_pair(before, after)
        if id(cell) not in self._seen:
            self._seen.add(id(cell))
            cell.messages += 1
            if len(cell.samples) < SAMPLES:
                cell.samples.append(Sample(self._at, self._name, resource, before, after))

    # -- which rows caused it ----------------------------------------------------------------------------------

    def _rows(
        self, key: tuple[str, str, str], resource: str, field: FieldChange | None, change: ResourceChange | None
    ) -> tuple[str, ...]:
        """The rows behind one difference: the only changed row that writes the element, else told by tracing."""
        writers = self._whole.writers_of(key[1], key[2])
        if len(writers) == 1:
            return writers
        likeness: _Likeness = (self._record.kind, *key)
        times, told = self._whole._told.get(likeness, (0, ()))
        if times >= TRACED_EACH:
            return told
        rows = self._traced_rows(key[1], resource, field, change) or writers
        self._whole._told[likeness] = (times + 1, rows)
        return rows

    def _traced_rows(
        self, type_: str, resource: str, field: FieldChange | None, change: ResourceChange | None
    ) -> tuple[str, ...]:
        if self._traces is None:
            self._tally.traced += 1
            current, candidate = self._whole.tracers
            self._traces = current.trace(self._record, self._context), candidate.trace(self._record, self._context)
        id_ = resource.partition("/")[2]
        old_id = change.old_id if change else id_
        path = field.path.rstrip("?").split(" ")[0] if field else "id"
        wrote = [
            set(_writers(traces, type_, one, path, value))
            for traces, one, value in (
                (self._traces[0], old_id, field.before if field else ""),
                (self._traces[1], id_, field.after if field else ""),
            )
        ]
        rows = wrote[0] | wrote[1]
        affected = self._whole._affected
        if affected is not None and rows & affected:
            rows &= affected
        return tuple(sorted(rows))


def _writers(traces: list[Trace], type_: str, id_: str, path: str, value: str) -> Iterator[str]:
    """Rows that wrote this path of this resource; of several, those that wrote this value."""
    at_path = [one for one in traces if (one.type, one.id) == (type_, id_) and stripped(one.path) == path]
    exact = [one for one in at_path if one.value == value]
    for one in exact or at_path:
        yield one.row
