"""The two sheets in front of the tables: how to read them, and what waits for each owner."""

from __future__ import annotations

from collections.abc import Sequence

from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from hilum.workbook.guide import GUIDE_SHEET, OWNERS_SHEET, GuideLine, guide
from hilum.workbook.sheets import TABLES, Review
from hilum.workbook.signing import Approvals
from hilum.workbook.styles import COLOURS, FACE, GREY, HEAD, LINE, TOP_WRAPPED, WHITE, for_paper, height_of, put_text
from hilum.workbook.waiting import owner_statuses

__all__ = ["write_guide", "write_owners"]

_PER_LINE = 125  # characters across both columns of the guide

_OWNER_COLUMNS = (
    "owner", "waits", "drafts", "changed", "approved", "signed", "retired", "all lines", "rows without a sample",
    "params without a value", "what to do",
)  # fmt: skip


def write_owners(sheet: Worksheet, review: Review, approvals: Approvals) -> None:
    """Who answers for what, and what waits for them."""
    for at, name in enumerate(_OWNER_COLUMNS, 1):
        cell = sheet.cell(1, at)
        put_text(cell, name)
        cell.font, cell.fill = WHITE, HEAD
        cell.alignment = Alignment(vertical="center", wrap_text=True)
        sheet.column_dimensions[get_column_letter(at)].width = 16 if at == 1 else 34 if name[0] == "p" else 11
    sheet.column_dimensions[get_column_letter(len(_OWNER_COLUMNS))].width = 70
    for row, one in enumerate(owner_statuses(review, approvals), 2):
        counts = (one.waits, one.drafts, one.changed, one.approved, one.signed, one.retired, one.lines, one.untested)
        put_text(sheet.cell(row, 1), one.owner)
        for at, count in enumerate(counts, 2):
            sheet.cell(row, at).value = count
        put_text(sheet.cell(row, 10), ", ".join(one.unset))
        todo = _what_to_do(one.owner, one.waits, one.unset)
        put_text(sheet.cell(row, 11), todo)
        sheet.row_dimensions[row].height = height_of([(todo, 70), (", ".join(one.unset), 34)])
        for at in range(1, len(_OWNER_COLUMNS) + 1):
            sheet.cell(row, at).alignment = TOP_WRAPPED
            sheet.cell(row, at).border = LINE
        sheet.cell(row, 2).fill = COLOURS["draft" if one.waits else "approved"]
    sheet.row_dimensions[1].height = 48
    sheet.freeze_panes = "B2"
    for_paper(sheet)


def _what_to_do(owner: str, waits: int, unset: Sequence[str]) -> str:
    if unset:
        return f"set {', '.join(unset)} in integration.yaml or in the sheet params"
    if waits:
        return f"filter the column owner for {owner}, read, then: hilum workbook sign FOLDER --owner {owner} ..."
    return "nothing waits"


def write_guide(sheet: Worksheet, title: str) -> None:
    """The sheet that explains all others. `title` says of what this file was made."""
    sheet.title = GUIDE_SHEET
    sheet.column_dimensions["A"].width, sheet.column_dimensions["B"].width = 16, 120
    sheet.sheet_view.showGridLines = False
    put_text(sheet.cell(1, 1), title)
    sheet.cell(1, 1).font = GREY
    lines = [line for line in guide() if line.style != "sheet" or line.word in (OWNERS_SHEET, *TABLES)]
    for row, line in enumerate(lines, 2):
        if line.word:
            _put_named(sheet, row, line)
        else:
            _put_line(sheet, row, line)
    for_paper(sheet, heading=False)


def _put_named(sheet: Worksheet, row: int, line: GuideLine) -> None:
    """A sheet or a colour, and what it is for."""
    name, text = sheet.cell(row, 1), sheet.cell(row, 2)
    put_text(name, line.word)
    put_text(text, line.text)
    if line.style == "sheet":
        name.hyperlink = f"#'{line.word}'!A1"
        name.font = Font(name=FACE, color="0B5394", underline="single")
    else:
        name.fill = COLOURS[line.word]


def _put_line(sheet: Worksheet, row: int, line: GuideLine) -> None:
    """A heading, a step, an example or a text, across both columns."""
    cell = sheet.cell(row, 1)
    put_text(cell, line.text)
    cell.alignment = TOP_WRAPPED
    sheet.merge_cells(start_row=row, start_column=1, end_row=row, end_column=2)
    sheet.row_dimensions[row].height = 15.5 * (len(line.text) // _PER_LINE + 1) + 3
    if line.style in ("title", "heading"):
        cell.font = Font(name=FACE, bold=True, size=18 if line.style == "title" else 13, color="1F3A5F")
        cell.alignment = Alignment(vertical="bottom")
        sheet.row_dimensions[row].height = 30
    elif line.style == "example":
        cell.font = Font(name="Consolas")
        cell.fill = PatternFill("solid", fgColor="EEF2F7")
        cell.alignment = Alignment(vertical="center", wrap_text=True, indent=2)
        sheet.row_dimensions[row].height = 15.5 * (len(line.text) // 105 + 1) + 5
