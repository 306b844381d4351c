"""What differs between two workbooks, line by line, as far as it can change what comes out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct

from hilum.mapping import Workbook, columns_of, key_columns

__all__ = ["TableChange", "table_changes"]

# Cells that people read, and nothing runs.
_SAID = frozenset({"owner", "approver", "status", "origin", "sample", "expect", "recon", "phi", "note", "reason"})
_TABLES = ("rows", "params", "namespaces", "codesystems", "maps", "ignores")
_NOT_RUN = {"maps": frozenset(), "namespaces": frozenset({"type"})}


class TableChange(Struct, frozen=True):
    """One line that differs. `key` names it; `cells` are (column, before, after); `kind` is added, changed or removed.

    `moved` is the change of a table whose lines stand in another order: the first that fits is taken.
    """

    table: str
    key: tuple[str, ...]
    kind: str
    cells: tuple[tuple[str, str, str], ...] = ()
    owner: str = ""

    @property
    def name(self) -> str:
        """`row pat-sex`, `map AdministrativeSex F`."""
        return " ".join((self.table.removesuffix("s"), *(part for part in self.key if part)))

    def __str__(self) -> str:
        inner = "; ".join(f"{column} `{before}` -> `{after}`" for column, before, after in self.cells)
        return f"{self.name} {self.kind}{': ' + inner if inner else ''}"


def table_changes(current: Workbook, candidate: Workbook) -> list[TableChange]:
    """Every line that was added, changed or removed, table by table."""
    return [change for table in _TABLES for change in _changes(table, current, candidate)]


def _changes(table: str, current: Workbook, candidate: Workbook) -> Iterator[TableChange]:
    keys = key_columns(table)
    before = {_key(line, keys): line for line in getattr(current, table)}
    after = {_key(line, keys): line for line in getattr(candidate, table)}
    run = [
        name for name in columns_of(table) if name not in _SAID | _NOT_RUN.get(table, frozenset()) and name not in keys
    ]
    for key, line in before.items():
        if key not in after:
            yield TableChange(table, key, "removed", owner=getattr(line, "owner", ""))
    for key, line in after.items():
        owner = getattr(line, "owner", "")
        if key not in before:
            yield TableChange(table, key, "added", owner=owner)
            continue
        cells = tuple((name, _said(before[key], name), _said(line, name)) for name in run)
        cells = tuple(cell for cell in cells if cell[1] != cell[2])
        if cells:
            yield TableChange(table, key, "changed", cells, owner)
    if table in ("rows", "maps") and _order(before, after) != _order(after, before):
        yield TableChange(table, (), "moved")


def _key(line: Any, keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(getattr(line, name) for name in keys)


def _said(line: Any, column: str) -> str:
    """A cell, or what an empty one stands for."""
    text: str = getattr(line, column)
    return text or ("skip" if column == "missing" else "")


def _order(lines: dict[tuple[str, ...], Any], others: dict[tuple[str, ...], Any]) -> list[tuple[str, ...]]:
    return [key for key in lines if key in others]
