"""Rows of a sheet as texts: numbers with the digits of their value, days and times as ISO 8601 writes them."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any, BinaryIO

from python_calamine import CalamineError, CalamineWorkbook

from hilum.errors import FormatError

__all__ = ["sheet_rows"]


def sheet_rows(file: BinaryIO, sheet: str) -> Iterator[list[str]]:
    """Every row from the first of the sheet. Raises FormatError `records-sheet`."""
    try:
        book = CalamineWorkbook.from_filelike(file)
        names = book.sheet_names
    except (CalamineError, zipfile.BadZipFile, OSError) as error:
        raise FormatError("this is no workbook of a spreadsheet", code="records-sheet") from error
    if not names or (sheet and sheet not in names):
        raise FormatError("the workbook has no sheet of the name that the source asks for", code="records-sheet")
    for row in book.get_sheet_by_name(sheet or names[0]).iter_rows():
        yield [_text(value) for value in row]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime):
        midnight = value.time() == time()
        return value.date().isoformat() if midnight else value.isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    return str(value)
