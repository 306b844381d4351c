"""How the sheets of an export look, and how a text stays a text in them."""

from __future__ import annotations

from collections.abc import Iterable

from openpyxl.cell.cell import Cell, MergedCell
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.worksheet.properties import PageSetupProperties
from openpyxl.worksheet.worksheet import Worksheet

from hilum.workbook.cells import to_cell

__all__ = [
    "COLOURS",
    "FACE",
    "GREY",
    "HEAD",
    "LINE",
    "TEXT",
    "TOP",
    "TOP_WRAPPED",
    "WHITE",
    "for_paper",
    "height_of",
    "is_formula_like",
    "put_text",
    "put_value",
]

COLOURS = {
    "draft": PatternFill("solid", bgColor="FFF4CE", fgColor="FFF4CE"),
    "approved": PatternFill("solid", bgColor="DDF0D8", fgColor="DDF0D8"),
    "changed": PatternFill("solid", bgColor="F8D7DA", fgColor="F8D7DA"),
    "retired": PatternFill("solid", bgColor="E3E3E3", fgColor="E3E3E3"),
}
HEAD = PatternFill("solid", fgColor="1F3A5F")
FACE = "Calibri"
WHITE, GREY = Font(name=FACE, bold=True, color="FFFFFF"), Font(name=FACE, color="6B6B6B")
LINE = Border(bottom=Side(style="hair", color="BBBBBB"))
TOP, TOP_WRAPPED = Alignment(vertical="top"), Alignment(vertical="top", wrap_text=True)
_TALLEST = 10  # lines of text in one line of a sheet
TEXT = "@"  # the number format of texts
_FORMULA_LIKE = ("=", "+", "-", "@")


def put_text(cell: Cell | MergedCell, text: str) -> None:
    """Write a text as a text, whatever it looks like."""
    assert isinstance(cell, Cell)
    cell.number_format = TEXT
    if is_formula_like(text):
        cell.quotePrefix = True  # it stays a text when somebody edits it
    put_value(cell, text)


def put_value(cell: Cell | MergedCell, text: str) -> None:
    """The text alone, into a cell that looks as `put_text` would have it."""
    assert isinstance(cell, Cell)
    cell.value = to_cell(text) if text else None
    if text:
        cell.data_type = "s"


def is_formula_like(text: str) -> bool:
    """Whether a spreadsheet would take it for more than a text."""
    return text.startswith(_FORMULA_LIKE)


def height_of(texts: Iterable[tuple[str, float]]) -> float:
    """Points that a line needs for wrapped texts in columns of these widths; spreadsheets do not agree on their own."""
    lines = [sum(int(len(part) / (width * 0.95)) + 1 for part in text.split("\n")) for text, width in texts]
    return 15.0 * min(_TALLEST, max(lines, default=1)) + 1


def for_paper(sheet: Worksheet, *, heading: bool = True) -> None:
    """As wide as a page, across; the first line on each page."""
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    if heading:
        sheet.print_title_rows = "1:1"
