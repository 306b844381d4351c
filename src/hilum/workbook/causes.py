"""Which rows and which changes of the tables stand behind a difference between two workbooks."""

from __future__ import annotations

from collections.abc import Sequence

from hilum.mapping import Rule
from hilum.workbook.narrowing import Narrowing
from hilum.workbook.table_changes import TableChange

__all__ = ["Causes"]


class Causes:
    """The rows of both workbooks, and which of them changes speak through."""

    def __init__(
        self, rules: tuple[Sequence[Rule], Sequence[Rule]], changes: Sequence[TableChange], narrowing: Narrowing
    ) -> None:
        both = (*rules[0], *rules[1])
        self._rules = {rule.row.row_id: rule for rule in both}
        self._changes = tuple(zip(changes, narrowing.reaches, strict=True))
        self.affected = self._affected_rows()
        self._writers = self._writers_by_element(both)
        self._by_path: dict[tuple[str, str], tuple[str, ...]] = {}

    def touch_cells(self) -> bool:
        """Whether an affected row writes cells of tables."""
        cells = {name for name, rule in self._rules.items() if rule.target.is_cell}
        return bool(cells) and (self.affected is None or not cells.isdisjoint(self.affected))

    def behind(self, rows: tuple[str, ...]) -> list[TableChange]:
        """The changes of the tables that can speak through these rows."""
        return [change for change, reach in self._changes if reach.rows is None or not reach.rows.isdisjoint(rows)]

    def rule(self, row: str) -> Rule | None:
        """The row as the candidate has it, else as the current workbook has it."""
        return self._rules.get(row)

    def writers(self, type_: str, path: str) -> tuple[str, ...]:
        """The affected rows that write the top element of a path."""
        known = self._by_path.get((type_, path))
        if known is None:
            element = path.split(".", 1)[0].split(" ")[0].split("#")[0].rstrip("?").lstrip("_")
            known = self._by_path[type_, path] = self._writers.get((type_, element), ())
        return known

    def _affected_rows(self) -> frozenset[str] | None:
        """Rows that some change speaks through; None is all."""
        found: set[str] = set()
        for _, reach in self._changes:
            if reach.rows is None:
                return None
            found |= reach.rows
        return frozenset(found)

    def _writers_by_element(self, both: Sequence[Rule]) -> dict[tuple[str, str], tuple[str, ...]]:
        """(type, top element) to the affected rows that write it."""
        found: dict[tuple[str, str], set[str]] = {}
        for rule in both:
            if self.affected is None or rule.row.row_id in self.affected:
                element = rule.target.steps[0].name if rule.target.steps else ""
                found.setdefault((rule.target.type, element), set()).add(rule.row.row_id)
        return {key: tuple(sorted(rows)) for key, rows in found.items()}
