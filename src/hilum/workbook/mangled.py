"""Texts that a spreadsheet program made something else of when a CSV file was opened and saved in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from hilum.model import Finding, Severity
from hilum.workbook.sheets import Entry

__all__ = ["mangled_cells"]

# Cells whose every character counts: codes, names, numbers of authorities.
_EXACT = ("row_id", "map", "code", "target", "system", "authority", "name", "value", "source", "field")
_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_MADE = (
    (re.compile(r"-?\d(?:[.,]\d+)?E[+-]?\d{2,3}"), "a number in powers of ten"),
    (re.compile(rf"\d{{1,4}}-{_MONTH}|{_MONTH}-\d{{1,4}}|\d{{1,2}}-{_MONTH}-\d{{2,4}}"), "a date"),
    (re.compile(r"#(?:NAME\?|REF!|VALUE!|N/A|DIV/0!|NUM!|NULL!)"), "an error of a formula"),
)


def mangled_cells(entries: Iterable[Entry]) -> Iterator[Finding]:
    """Warnings about cells of the site that look so. `entries` are all active lines, those of the base too."""
    lines = list(entries)
    padded = _padded(lines)
    for entry in lines:
        if entry.layer == "base":
            continue
        for column in _EXACT:
            text = entry.cells.get(column, "")
            made = next((what for pattern, what in _MADE if pattern.fullmatch(text)), "")
            if made:
                yield _finding(entry, column, f"`{text}` looks like {made} that a spreadsheet made of another text")
        wanted = padded.get((entry.cells.get("map", ""), entry.cells.get("code", ""))) if entry.table == "maps" else ""
        if wanted:
            message = (
                f"this map knows the code `{wanted}`: zeros in front of `{entry.cells['code']}` may have been lost"
            )
            yield _finding(entry, "code", message)


def _padded(lines: Iterable[Entry]) -> dict[tuple[str, str], str]:
    """(map, code without the zeros in front) to the code, of codes that begin with zeros."""
    found: dict[tuple[str, str], str] = {}
    for entry in lines:
        code = entry.cells.get("code", "") if entry.table == "maps" else ""
        if code.isdecimal() and code.startswith("0") and code.strip("0"):
            found[entry.cells["map"], code.lstrip("0")] = code
    return found


def _finding(entry: Entry, column: str, message: str) -> Finding:
    hint = "write it again as it was; `hilum workbook export` writes a spreadsheet in which texts stay texts"
    return Finding("cell-mangled", message, entry.location(column), Severity.WARNING, hint)
