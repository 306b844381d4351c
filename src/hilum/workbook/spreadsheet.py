"""Reading an XLSX back: every cell that a spreadsheet made something else of is named, as `sheet!cell`."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from msgspec import Struct
from openpyxl import load_workbook
from openpyxl.utils import get_column_letter

from hilum.errors import ConfigError
from hilum.mapping import columns_of, key_columns, required_columns
from hilum.model import Finding, Severity
from hilum.workbook.cells import from_cell
from hilum.workbook.export import COMPUTED, LISTS_SHEET, MARK_SHEET
from hilum.workbook.guide import GUIDE_SHEET, OWNERS_SHEET
from hilum.workbook.sheets import TABLES, Entry, Key, entry_name

__all__ = ["NumberCell", "Sheets", "read_xlsx", "read_xlsx_file"]

LARGEST = 64 * 1024 * 1024  # bytes of the file
LARGEST_UNPACKED = 512 * 1024 * 1024
_OTHER = frozenset({GUIDE_SHEET, OWNERS_SHEET, LISTS_SHEET, MARK_SHEET})
_CHUNK = 1024 * 1024
_MERGED = re.compile(rb'<(?:\w+:)?mergeCell\s[^<>]*?ref="([A-Z0-9:]+)"[^<>]*>')
_INVISIBLE = "\u00a0\u200b\ufeff"  # pasted from pages: looks like a blank, or like nothing


class NumberCell(Struct, frozen=True):
    """A cell that is a number where a text was. `shown` is what it reads as."""

    location: str
    column: str
    shown: str
    exact: bool  # a whole number short enough that no digit was lost


class Line(Struct, frozen=True):
    """One line of a sheet: the entry, where it stands, and its cells that are numbers."""

    entry: Entry
    row: int
    letters: dict[str, str]
    numbers: tuple[NumberCell, ...] = ()

    def location(self, column: str) -> str:
        """`rows!G12`."""
        return f"{self.entry.table}!{self.letters.get(column, 'A')}{self.row}"


class Sheets(Struct, frozen=True):
    """The tables of an XLSX in the order of its lines, the mark of its export, and what is wrong with it."""

    lines: dict[Key, Line]
    mark: dict[str, str]
    findings: tuple[Finding, ...]


def read_xlsx_file(file: Path) -> Sheets:
    """`read_xlsx` of a file, which is not even opened when it is too large. Raises OSError, ConfigError."""
    if file.stat().st_size > LARGEST:
        raise _unreadable(f"this file has more than {LARGEST} bytes")
    return read_xlsx(file.read_bytes())


def read_xlsx(content: bytes) -> Sheets:
    """Read a workbook that `export_xlsx` wrote and people worked on. Raises ConfigError `xlsx-unreadable`."""
    _refuse_bomb(content)
    try:
        book = load_workbook(io.BytesIO(content), read_only=True, keep_links=False)
        try:
            return _Reader(book).read()
        finally:
            book.close()
    except Exception as error:  # what is in a broken file decides which error it is
        raise _unreadable(f"this is no XLSX workbook ({type(error).__name__})") from error


def _unreadable(message: str) -> ConfigError:
    return ConfigError(f"{message}: export it again, and save it as XLSX", code="xlsx-unreadable")


def _refuse_bomb(content: bytes) -> None:
    if len(content) > LARGEST:
        raise _unreadable(f"this file has more than {LARGEST} bytes")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            sizes = sum(info.file_size for info in packed.infolist())
            names = [info.filename for info in packed.infolist() if info.filename.endswith((".xml", ".rels"))]
            if sizes > LARGEST_UNPACKED:
                raise _unreadable(f"this file unpacks to more than {LARGEST_UNPACKED} bytes")
            doctype = [name for name in names if b"<!DOCTYPE" in packed.open(name).read(4096)]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise _unreadable("this is no XLSX workbook") from error
    if doctype:
        raise _unreadable("this file defines XML entities, as no spreadsheet does")


def _merged_in(book: Any, sheet: Any) -> Iterator[str]:
    """`C3:E6` for each join of cells. They stand behind the rows, where a reader of rows does not look."""
    rest = b""
    with book._archive.open(sheet._worksheet_path) as part:
        while chunk := part.read(_CHUNK):
            text = rest + chunk
            yield from (match[1].decode() for match in _MERGED.finditer(text))
            begun = text[text.rfind(b"<") :]
            rest = b"" if b">" in begun else begun


class _Reader:
    def __init__(self, book: Any) -> None:
        self.book = book
        self.findings: list[Finding] = []
        self.lines: dict[Key, Line] = {}

    def note(self, code: str, message: str, location: str, hint: str = "", *, warning: bool = False) -> None:
        severity = Severity.WARNING if warning else Severity.ERROR
        self.findings.append(Finding(code, message, location, severity, hint))

    def read(self) -> Sheets:
        names = list(self.book.sheetnames)
        self._check_names(names)
        for table in TABLES:
            if table in names:
                self._table(table)
        mark = dict(self._pairs()) if MARK_SHEET in names else {}
        return Sheets(self.lines, mark, tuple(self.findings))

    def _check_names(self, names: list[str]) -> None:
        missing = [table for table in TABLES if table not in names]
        strangers = [name for name in names if name not in TABLES and name not in _OTHER]
        for table in missing:
            near = get_close_matches(table, [name.strip().casefold() for name in strangers], 1, 0.5)
            original = next((name for name in strangers if near and name.strip().casefold() == near[0]), "")
            hint = f"is it `{original}`? Give it its name back" if original else "export it again"
            self.note("sheet-missing", f"there is no sheet `{table}`", f"{table}!A1", hint)
        for name in strangers:
            self.note("sheet-unknown", f"the sheet `{name}` is no table: it is not read", f"{name}!A1", warning=True)

    def _pairs(self) -> Iterator[tuple[str, str]]:
        for row in self.book[MARK_SHEET].iter_rows(values_only=True):
            if len(row) > 1 and row[0] is not None:
                yield str(row[0]), str(row[1] or "")

    def _table(self, table: str) -> None:
        sheet = self.book[table]
        sheet.reset_dimensions()
        for merged in _merged_in(self.book, sheet):
            message = f"the cells {merged} were joined into one: all of them but the first are empty"
            hint = "take the join back, and fill the cells again; or export again"
            self.note("cell-merged", message, f"{table}!{merged.partition(':')[0]}", hint)
        rows = enumerate(sheet.iter_rows(), 1)
        header: dict[int, str] = {}  # "" is a column of people's own
        letters: dict[str, str] = {}
        for number, cells in rows:
            filled = {at: cell for at, cell in enumerate(cells, 1) if cell.value not in (None, "")}
            if not filled:
                continue
            if not header:
                header = self._header(table, number, filled)
                if not header:
                    return
                letters = {name: get_column_letter(at) for at, name in header.items()}
                continue
            self._line(table, number, header, letters, filled)
        if not header:
            self.note("sheet-empty", f"the sheet `{table}` is empty, its names of columns too", f"{table}!A1")

    def _header(self, table: str, number: int, filled: dict[int, Any]) -> dict[int, str]:
        known = (*columns_of(table), *COMPUTED)
        header: dict[int, str] = {}
        before = len(self.findings)
        for at, cell in filled.items():
            name, place = str(cell.value).strip(), f"{table}!{get_column_letter(at)}{number}"
            if name in header.values():
                self.note("column-twice", f"the column `{name}` is there twice", place)
            elif name in known:
                header[at] = name
            else:
                near = get_close_matches(name, known, 1)
                hint = f"did you mean `{near[0]}`?" if near else "what is below it is not read"
                self.note("column-unknown", f"no column `{name}`", place, hint, warning=not near)
                header[at] = ""
        if not any(header.values()):
            message = "this line names no column of the table: the first line of a sheet must be that of the names"
            self.findings = self.findings[:before]
            self.note("column-missing", message, f"{table}!A{number}", "take out what stands above it")
            return {}
        missing = [name for name in columns_of(table) if name not in header.values()]
        for name in missing:
            message = f"the column `{name}` is missing: its cells would all be emptied"
            self.note("column-missing", message, f"{table}!A{number}", "put it back, or export again")
        return {} if missing else header

    def _line(
        self, table: str, number: int, header: dict[int, str], letters: dict[str, str], filled: dict[int, Any]
    ) -> None:
        cells = dict.fromkeys(columns_of(table), "")
        numbers: list[NumberCell] = []
        file = ""
        for at, cell in filled.items():
            name = header.get(at)
            place = f"{table}!{get_column_letter(at)}{number}"
            if name in cells:
                cells[name] = self._text(cell, name, place, numbers.append)
            elif name == "file":
                file = str(cell.value).strip()
            elif name is None:
                self.note("cell-stray", "there is no name of a column above this cell", place, warning=True)
        if not any(cells.values()):
            return
        entry = Entry(table, cells, file, number, "sheet")
        line = Line(entry, number, letters, tuple(numbers))
        if self._is_whole(line):
            self.lines[entry.key] = line

    def _is_whole(self, line: Line) -> bool:
        entry = line.entry
        lacking = [name for name in required_columns(entry.table) if not entry.cells[name]]
        for name in lacking:
            self.note("cell-missing", f"`{name}` must be filled", line.location(name))
        first = columns_of(entry.table)[0]
        if entry.cells[first].startswith("#"):
            self.note("cell-comment", "a line whose first cell begins with # is a comment", line.location(first))
            return False
        earlier = self.lines.get(entry.key)
        if earlier is not None:
            where = earlier.location(key_columns(entry.table)[-1])
            message = f"`{entry_name(entry.key)}` is already at {where}"
            self.note("line-twice", message, line.location(key_columns(entry.table)[-1]))
        return not lacking and earlier is None

    def _text(self, cell: Any, column: str, place: str, keep: Callable[[NumberCell], None]) -> str:
        """The text of a cell; what is none becomes a finding, or a number for the import to judge."""
        value = cell.value
        if cell.data_type == "f" or not isinstance(value, str | bool | int | float | date | time | timedelta):
            self.note("cell-formula", "this cell is a formula", place, "put a ' before it, or write its result")
            return ""
        if cell.data_type == "e":
            self.note("cell-error", f"this cell shows the error {value}", place)
            return ""
        if isinstance(value, str):
            return self._trimmed(from_cell(value), place)
        if isinstance(value, bool):
            self.note("cell-boolean", f"this cell is the truth value {value}, and no text", place, "put a ' before it")
            return ""
        if isinstance(value, datetime | date | time | timedelta):
            message = f"this cell was made a date or time ({value})"
            self.note("cell-date", message, place, "format the cell as text, and write again what stood there")
            return ""
        return self._number(value, column, place, keep)

    def _trimmed(self, text: str, place: str) -> str:
        found = text.strip().strip(_INVISIBLE).strip()
        if found != text:
            message = "this text begins or ends with blanks: they are left out"
            self.note("cell-blank-edges", message, place, warning=True)
        return found

    @staticmethod
    def _number(value: float, column: str, place: str, keep: Callable[[NumberCell], None]) -> str:
        whole = float(value).is_integer()
        shown = str(int(value)) if whole else repr(value)
        keep(NumberCell(place, column, shown, exact=whole and abs(value) < 1e15))
        return shown
