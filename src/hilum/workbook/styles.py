"""How the sheets of an export look, and how a text stays a text in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from openpyxl.cell.cell import Cell, MergedCell
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.header_footer import HeaderFooterItem, _HeaderFooterPart
from openpyxl.worksheet.page import PageMargins
from openpyxl.worksheet.pagebreak import Break
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
    "table_for_paper",
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
_PAGE = 104.0  # characters across Letter, narrower than A4, in the widest face that stands in for ours
_SCALE = 0.6  # letters of 6.6 points: smaller ones are not read
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
    _across(sheet, heading=heading)
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)


def table_for_paper(sheet: Worksheet, widths: Sequence[float], *, keys: int, own: int) -> None:
    """A table in letters that can be read: what a page cannot hold goes to the page beside it, its keys on both.

    `widths` are those of all columns; the first `keys` ones are repeated. The last `own` ones are hilum's: they are
    printed where a page holds them beside the others.
    """
    if sum(widths) * _SCALE <= _PAGE:
        for_paper(sheet)
        return
    printed = widths[: len(widths) - own]
    sheet.print_area = f"A1:{get_column_letter(len(printed))}{sheet.max_row}"
    if sum(printed) * _SCALE <= _PAGE:
        for_paper(sheet)
        return
    _across(sheet)
    sheet.page_setup.scale, sheet.page_setup.pageOrder = round(_SCALE * 100), "overThenDown"
    sheet.print_title_cols = f"A:{get_column_letter(keys)}"
    for at in _breaks(printed, keys):
        sheet.col_breaks.append(Break(id=at))


def _breaks(widths: Sequence[float], keys: int) -> Iterator[int]:
    """After which columns (from 1) a page ends."""
    used = 0.0
    for at, width in enumerate(widths):
        if at > keys and (used + width) * _SCALE > _PAGE:
            yield at
            used = sum(widths[:keys])
        used += width


def _across(sheet: Worksheet, *, heading: bool = True) -> None:
    sheet.page_setup.orientation = "landscape"
    sheet.page_margins = PageMargins(left=0.4, right=0.4, top=0.5, bottom=0.6, header=0.3, footer=0.3)
    sheet.oddFooter = HeaderFooterItem(left=_HeaderFooterPart("&F"), right=_HeaderFooterPart("&A &P / &N"))
    if heading:
        sheet.print_title_rows = "1:1"
