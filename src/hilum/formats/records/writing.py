"""Lines of CSV as they go out: RFC 4180, in UTF-8, and harmless in spreadsheets."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["csv_line"]

_SPECIAL = re.compile(r'[",\r\n]')
# What a spreadsheet takes for a formula (OWASP, "CSV Injection"): these first characters, tab and CR among them.
_FORMULA = re.compile(r"'*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")
# Of digits and marks alone no formula can be made that reaches anything: -1.5, +49 30 1234, 1-2.
_PLAIN = re.compile(r"[+-]?[0-9][0-9 ().,/-]*", re.ASCII)


def csv_line(cells: Iterable[str]) -> bytes:
    """One record with its line end (RFC 4180, section 2). A line of one empty cell is `""`, so that it is a line."""
    texts = [_quoted(_guarded(cell)) for cell in cells]
    line = ",".join(texts) if texts != [""] else '""'
    return f"{line}\r\n".encode()


def _guarded(cell: str) -> str:
    """The cell with an apostrophe before what a spreadsheet would run; numbers stay as they are.

    One apostrophe before such a character, or before apostrophes and then one, is ours: a reader takes it away.
    """
    return f"'{cell}" if _FORMULA.match(cell) and not _PLAIN.fullmatch(cell) else cell


def _quoted(cell: str) -> str:
    if _SPECIAL.search(cell) or cell != cell.strip():
        return '"' + cell.replace('"', '""') + '"'
    return cell
