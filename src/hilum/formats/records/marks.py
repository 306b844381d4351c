"""Cells of a sheet that show something and do not hold it: errors, merged cells, formulas without a result.

Such a cell gets a mark in place of the nothing that a reader finds there, and its record is held: an empty cell would
change nothing, and nobody would hear that a value was lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import IO

from msgspec import Struct

__all__ = ["MERGED", "ROUNDED", "Marks", "complaint", "marks_of"]

MERGED = "#MERGED!"
UNCALCULATED = "#UNCALCULATED!"
ROUNDED = "#ROUNDED!"  # before the digits
_MEANINGS = {
    MERGED: "is merged with a cell that has a value, so nobody can tell whose it is: unmerge it",
    UNCALCULATED: "has a formula without its result: save the file in a spreadsheet program",
    ROUNDED: "holds a number of more than 15 digits, which spreadsheets round: make it a cell of text",
}
# ECMA-376 part 1, 18.17.3, and those of newer programs.
_ERRORS = frozenset(
    {
        *("#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A", "#GETTING_DATA"),
        *("#SPILL!", "#CALC!", "#FIELD!", "#BLOCKED!", "#CONNECT!"),
    }
)
_CHUNK = 1024 * 1024
_LONGEST = 256 * 1024  # bytes of one cell
_CELL = re.compile(
    rb"<(?:\w+:)?c\s([^>]*)>\s*"
    rb"<(?:\w+:)?f(?:\s[^>]*)?(?:/>|>[^<]*</(?:\w+:)?f>)\s*"
    rb"(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v>\s*</(?:\w+:)?v>)?\s*</(?:\w+:)?c>"
)
_PLACE = re.compile(rb'\br="([A-Z]{1,3})(\d{1,7})"')
_IS_TEXT = re.compile(rb'\bt="(?:str|s|inlineStr)"')  # a formula that gives an empty text
_MERGE = re.compile(rb'<(?:\w+:)?mergeCell\s[^>]*?ref="([A-Z]{1,3})(\d{1,7}):([A-Z]{1,3})(\d{1,7})"')


def complaint(cells: Sequence[str], columns: Sequence[str]) -> str:
    """Why a record with these cells cannot be believed; "" when it can."""
    for name, cell in zip(columns, cells, strict=False):
        if cell.startswith("#"):
            if cell in _ERRORS:
                return f"the cell of `{name}` holds an error of the spreadsheet, {cell}: mend its formula"
            meaning = _MEANINGS.get(cell.partition(" ")[0])
            if meaning:
                return f"the cell of `{name}` {meaning}"
    return ""


class _Merge(Struct, frozen=True):
    top: int
    left: int
    bottom: int
    right: int


class Marks(Struct):
    """What a reader of values does not see in one sheet of XLSX. Rows are asked for in their order, from 1."""

    uncalculated: dict[int, list[int]]  # columns from 0, by row
    merges: list[_Merge]  # by their first row, the last one first
    _open: list[_Merge] = []

    def apply(self, number: int, cells: list[str]) -> list[str]:
        """The cells of a row with marks where something is shown that is not there."""
        for column in self.uncalculated.get(number, ()):
            _put(cells, column, UNCALCULATED)
        self._open = [one for one in self._open if one.bottom >= number]
        for one in self._open:
            for column in range(one.left, one.right + 1):
                _put(cells, column, MERGED)
        while self.merges and self.merges[-1].top <= number:
            one = self.merges.pop()
            if one.left < len(cells) and cells[one.left]:  # what is merged and empty is empty
                for column in range(one.left + 1, one.right + 1):
                    _put(cells, column, MERGED)
                self._open.append(one)
        return cells


def _put(cells: list[str], column: int, mark: str) -> None:
    cells += [""] * (column + 1 - len(cells))
    cells[column] = cells[column] or mark


def marks_of(sheet: IO[bytes]) -> Marks | None:
    """What is to be marked in a sheet, read as it goes; None when there is nothing."""
    uncalculated: dict[int, list[int]] = {}
    merges: list[_Merge] = []
    for text in _pieces(sheet):
        for cell in _CELL.finditer(text):
            place = _PLACE.search(cell[1])
            if place and not _IS_TEXT.search(cell[1]):
                uncalculated.setdefault(int(place[2]), []).append(_column(place[1]))
        merges += [_Merge(int(m[2]), _column(m[1]), int(m[4]), _column(m[3])) for m in _MERGE.finditer(text)]
    merges.sort(key=lambda one: one.top, reverse=True)
    return Marks(uncalculated, merges) if uncalculated or merges else None


def _pieces(sheet: IO[bytes]) -> Iterator[bytes]:
    """The text in pieces that end behind a cell, or before the start of a merge that is cut off."""
    rest = b""
    while chunk := sheet.read(_CHUNK):
        text = rest + chunk
        behind_cell = text.rfind(b"c>") + 2 if b"c>" in text else 0
        end = max(behind_cell, text.rfind(b"<mergeCell "), len(text) - _LONGEST)
        yield text[:end]
        rest = text[end:]
    yield rest


def _column(letters: bytes) -> int:
    """From 0: `A` is 0, `AA` is 26."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number - 1
