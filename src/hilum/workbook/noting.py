"""What messages that differ between two workbooks add to the tally, and which rows they say it of."""

from __future__ import annotations

from collections.abc import Iterator

from hilum.formats.stored import Stored
from hilum.mapping import Context, Mapped, Plan, Trace
from hilum.workbook.causes import Causes
from hilum.workbook.difference import FieldChange, ResourceChange, held_by, items_of, resource_changes, stripped
from hilum.workbook.masking import shape_of
from hilum.workbook.tally import SAMPLES, Cell, Group, Sample, Tally

__all__ = ["Case", "Notes"]

TRACED_EACH = 3  # messages traced for a kind of difference, in each part; others like them are told by these
_Key = tuple[str, str, str]  # kind of change, type, path


class Case:
    """One message that differs. `at` orders messages, `name` tells people which one it is."""

    def __init__(self, at: int, name: str, record: Stored, context: Context, tracers: tuple[Plan, Plan]) -> None:
        self.at, self.name, self.kind = at, name, record.kind
        self._record, self._context, self._tracers = record, context, tracers
        self._traces: tuple[list[Trace], list[Trace]] | None = None
        self.seen: set[int] = set()  # cells that it was counted in

    @property
    def is_traced(self) -> bool:
        """Whether it was run again to see which row wrote what."""
        return self._traces is not None

    def traces(self) -> tuple[list[Trace], list[Trace]]:
        """What each row of both workbooks writes."""
        if self._traces is None:
            current, candidate = self._tracers
            self._traces = current.trace(self._record, self._context), candidate.trace(self._record, self._context)
        return self._traces


class _Told:
    """What differences of one kind of message told so far of the rows that cause others like them."""

    def __init__(self) -> None:
        self.rows: dict[_Key, tuple[int, tuple[str, ...]]] = {}  # how often they were traced, and what it told
        self.cells: dict[_Key, Cell] = {}  # of those that need no tracing any more


class Notes:
    """The tally of a part of the messages."""

    def __init__(self, causes: Causes, *, show_values: bool) -> None:
        self.tally = Tally()
        self._causes, self._show_values = causes, show_values
        self._told: dict[str, _Told] = {}  # by kind of message

    def note(self, case: Case, before: Mapped, after: Mapped) -> None:
        """Add what differs in one message."""
        self._note_counts(before, after)
        old, new = held_by(before), held_by(after)
        if old != new:
            pair = tuple(" ".join(one) if one else "" for one in (old, new))
            self._add(case, self.tally.held.setdefault((pair[0], pair[1]), Cell()), "", "", "")
        if old or new:
            return  # nothing of a held message is applied: its fields are not compared
        for change in resource_changes(before.drafts, after.drafts):
            kinds = self.tally.resources
            kinds[change.kind] = kinds.get(change.kind, 0) + 1
            self._note_resource(case, change)
        for merge in set(before.merges) ^ set(after.merges):
            kind = "added" if merge in after.merges else "removed"
            self._note_cell(case, (kind, merge.type, "(merge)"), f"{merge.type}/{merge.survivor}", "", "")

    def _note_counts(self, before: Mapped, after: Mapped) -> None:
        for name in ("mapped", "ignored", "exceptions"):
            change = getattr(after.accounting, name) - getattr(before.accounting, name)
            self.tally.accounting[name] = self.tally.accounting.get(name, 0) + change
        for side, items in enumerate((items_of(before) - items_of(after), items_of(after) - items_of(before))):
            for item in items:
                self.tally.items.setdefault(item, [0, 0])[side] += 1

    def _note_resource(self, case: Case, change: ResourceChange) -> None:
        resource = f"{change.type}/{change.id}"
        if change.kind != "changed":
            self._note_cell(case, (change.kind, change.type, ""), resource, "", "")
        for field in change.fields:
            kind = "changed" if field.before and field.after else "added" if field.after else "removed"
            self._note_cell(case, (kind, change.type, field.path), resource, field.before, field.after, field, change)

    def _note_cell(
        self,
        case: Case,
        key: _Key,
        resource: str,
        before: str,
        after: str,
        field: FieldChange | None = None,
        change: ResourceChange | None = None,
    ) -> None:
        told = self._told.get(case.kind)
        if told is None:
            told = self._told[case.kind] = _Told()
        cell = told.cells.get(key) or self._cell(case, told, key, resource, field, change)
        if not self._show_values:
            before, after = shape_of(key[2], before), shape_of(key[2], after)
        self._add(case, cell, resource, before, after)

    def _cell(
        self,
        case: Case,
        told: _Told,
        key: _Key,
        resource: str,
        field: FieldChange | None,
        change: ResourceChange | None,
    ) -> Cell:
        """Where such differences are counted: with others that the same rows cause."""
        rows, is_final = self._rows(case, told, key, resource, field, change)
        cell = self.tally.groups.setdefault(rows, Group()).cells.setdefault(key, Cell())
        if is_final:
            told.cells[key] = cell
        return cell

    @staticmethod
    def _add(case: Case, cell: Cell, resource: str, before: str, after: str) -> None:
        cell.count_pair(before, after)
        if id(cell) not in case.seen:
            case.seen.add(id(cell))
            cell.messages += 1
            if len(cell.samples) < SAMPLES:
                cell.samples.append(Sample(case.at, case.name, resource, before, after))

    # -- which rows caused it ----------------------------------------------------------------------------------

    def _rows(
        self,
        case: Case,
        told: _Told,
        key: _Key,
        resource: str,
        field: FieldChange | None,
        change: ResourceChange | None,
    ) -> tuple[tuple[str, ...], bool]:
        """The rows behind one difference: the only changed row that writes the element, else told by tracing.

        And whether others like it are told by the same.
        """
        writers = self._causes.writers(key[1], key[2])
        if len(writers) == 1:
            return writers, True
        times, rows = told.rows.get(key, (0, ()))
        if times >= TRACED_EACH:
            return rows, True
        rows = self._traced_rows(case, key[1], resource, field, change) or writers
        told.rows[key] = (times + 1, rows)
        return rows, False

    def _traced_rows(
        self, case: Case, type_: str, resource: str, field: FieldChange | None, change: ResourceChange | None
    ) -> tuple[str, ...]:
        self.tally.traced += not case.is_traced
        current, candidate = case.traces()
        id_ = resource.partition("/")[2]
        old_id = change.old_id if change else id_
        path = field.path.rstrip("?").split(" ")[0] if field else "id"
        rows = {
            *_writers(current, type_, old_id, path, field.before if field else ""),
            *_writers(candidate, type_, id_, path, field.after if field else ""),
        }
        affected = self._causes.affected
        if affected is not None and rows & affected:
            rows &= affected
        return tuple(sorted(rows))


def _writers(traces: list[Trace], type_: str, id_: str, path: str, value: str) -> Iterator[str]:
    """Rows that wrote this path of this resource; of several, those that wrote this value."""
    at_path = [one for one in traces if (one.type, one.id) == (type_, id_) and stripped(one.path) == path]
    exact = [one for one in at_path if one.value == value]
    for one in exact or at_path:
        yield one.row
