"""Rows of a sheet as texts: numbers with the digits of their value, days and times as ISO 8601 writes them.

XLSX is read as it goes: memory holds its texts that are shared, and one row. XLSB, XLS and ODS are read whole.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any, BinaryIO

from hilum.errors import FormatError
from hilum.formats.records.marks import ROUNDED, Marks, marks_of
from hilum.formats.records.packed import check_packed, check_rectangles, is_xlsx

__all__ = ["sheet_rows"]

MOST_ROWS = 1_048_576  # of a sheet, in every program
MOST_EXACT = 10**15  # a sheet keeps 15 digits of a number
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")  # ECMA-376 part 1, 22.9.2.19: characters that XML cannot hold


def sheet_rows(file: BinaryIO, sheet: str) -> Iterator[list[str]]:
    """Every row from the first of the sheet. Raises FormatError `records-sheet`, also in the middle of the rows."""
    is_packed = zipfile.is_zipfile(file)
    file.seek(0)
    if is_packed:
        check_packed(file)
    if is_packed and is_xlsx(file):
        yield from _streamed(file, sheet)
        return
    if is_packed:
        check_rectangles(file)
    yield from _whole(file, sheet)


def _streamed(file: BinaryIO, sheet: str) -> Iterator[list[str]]:
    from openpyxl import load_workbook  # a fifth of a second, and only such files need it

    try:
        book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
        names = [one.title for one in book.worksheets]
        found = book[_chosen(names, sheet)]
        found.reset_dimensions()
        marks = _marks(book, found)
        for number, row in enumerate(found.iter_rows(values_only=True), 1):
            _refuse_more(number)
            cells = [_text(value) for value in row]
            yield marks.apply(number, cells) if marks is not None else cells
    except FormatError:
        raise
    except Exception as error:  # what is in a broken file decides which error it is
        raise FormatError("this is no workbook of a spreadsheet", code="records-sheet") from error


def _marks(book: Any, sheet: Any) -> Marks | None:
    with book._archive.open(sheet._worksheet_path) as file:  # what openpyxl itself reads from
        return marks_of(file)


def _refuse_more(number: int) -> None:
    if number > MOST_ROWS:
        raise FormatError(f"the sheet has more than {MOST_ROWS} rows", code="records-sheet")


def _whole(file: BinaryIO, sheet: str) -> Iterator[list[str]]:
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        book = CalamineWorkbook.from_filelike(file)
        rows = book.get_sheet_by_name(_chosen(book.sheet_names, sheet)).iter_rows()
    except (CalamineError, zipfile.BadZipFile, OSError) as error:
        raise FormatError("this is no workbook of a spreadsheet", code="records-sheet") from error
    for row in rows:
        yield [_text(value) for value in row]


def _chosen(names: list[str], sheet: str) -> str:
    if not names or (sheet and sheet not in names):
        raise FormatError("the workbook has no sheet of the name that the source asks for", code="records-sheet")
    return sheet or names[0]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), value).strip() if "_x" in value else value.strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float) and abs(value) >= MOST_EXACT:
        return f"{ROUNDED} {value!r}"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, datetime):
        midnight = value.time() == time()
        return value.date().isoformat() if midnight else value.isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    return str(value)
