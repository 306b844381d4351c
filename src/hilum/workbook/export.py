"""The workbook as an XLSX that people want to open: one sheet for each table, one of owners, one that explains."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from copy import copy
from datetime import datetime
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import Cell
from openpyxl.formatting.rule import FormulaRule
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.worksheet import Worksheet

from hilum.errors import ConfigError
from hilum.mapping import COMBINATORS, columns_of, key_columns, plugin_names, required_columns, transform_names
from hilum.model import Finding
from hilum.workbook.cells import LONGEST_CELL, to_cell
from hilum.workbook.front import write_guide, write_owners
from hilum.workbook.guide import OWNERS_SHEET
from hilum.workbook.sheets import TABLES, Entry, Review
from hilum.workbook.signing import Approvals, State, standings
from hilum.workbook.styles import (
    COLOURS,
    GREY,
    HEAD,
    LINE,
    TEXT,
    TOP,
    TOP_WRAPPED,
    WHITE,
    height_of,
    is_formula_like,
    put_text,
    put_value,
    table_for_paper,
)

__all__ = ["COMPUTED", "LISTS_SHEET", "MARK_SHEET", "export_xlsx"]

COMPUTED = ("state", "layer", "file")  # columns that hilum fills in
LISTS_SHEET = "lists"
MARK_SHEET = "hilum"  # hidden: what this file was made of
SPARE = 500  # empty lines below a table that have drop-downs too
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same tables give the same bytes

_WIDTHS = {
    "row_id": 24, "applies": 22, "anchor": 11, "source": 26, "type": 7, "when": 34, "target": 40, "transform": 30,
    "map": 20, "missing": 12, "unmapped": 12, "repeats": 9, "owner": 13, "approver": 12, "status": 10, "origin": 24,
    "sample": 44, "expect": 44, "recon": 8, "phi": 6, "note": 40, "param": 24, "value": 22, "inspection": 14,
    "sender": 18, "authority": 24, "system": 46, "name": 22, "code": 16, "display": 30, "field": 12, "reason": 56,
    "test_id": 22, "message": 28, "path": 30, "state": 30, "layer": 14, "file": 20,
}  # fmt: skip
_WIDTH = 20.0  # of a column that is not above
_WRAPPED = frozenset(
    {"source", "when", "target", "transform", "note", "reason", "display", "system", "applies", "state"}
)
_HEAD_NEEDED = PatternFill("solid", fgColor="2F6B3C")
_HEAD_COMPUTED = PatternFill("solid", fgColor="6B6B6B")


def export_xlsx(review: Review, approvals: Approvals, *, title: str, mark: dict[str, str]) -> bytes:
    """The file. `mark` is kept on a hidden sheet, for the import to see what the file was made of.

    Raises ConfigError `cell-too-long` when a text does not fit into a cell.
    """
    states = standings(review, approvals)
    entries = list(review.merged.values())
    _refuse_long(entries)
    book = Workbook()
    book.properties.title = title
    book.properties.creator = "hilum"
    book.properties.created = book.properties.modified = datetime(2000, 1, 1)  # noqa: DTZ001 - the file format has no zone
    first = book.active
    assert isinstance(first, Worksheet)
    write_guide(first, title)
    write_owners(book.create_sheet(OWNERS_SHEET), review, approvals)
    lists = _Lists(entries)
    for table in TABLES:
        _write_table(
            book.create_sheet(table), table, [one for one in entries if one.table == table], review, states, lists
        )
    lists.write(book.create_sheet(LISTS_SHEET))
    _write_mark(book.create_sheet(MARK_SHEET), mark)
    return _dateless(book)


def _refuse_long(entries: Sequence[Entry]) -> None:
    found = [
        Finding("cell-too-long", f"{len(text)} characters, a cell holds {LONGEST_CELL}", entry.location(column))
        for entry in entries
        for column, text in entry.cells.items()
        if len(to_cell(text)) > LONGEST_CELL
    ]
    if found:
        raise ConfigError(f"{len(found)} cells are too long for a spreadsheet", found, code="cell-too-long")


def _dateless(book: Workbook) -> bytes:
    """The file with the time of each part set to one time."""
    raw, whole = io.BytesIO(), io.BytesIO()
    book.save(raw)
    with zipfile.ZipFile(raw) as source, zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(
                zipfile.ZipInfo(name, _EPOCH), _modified_once(name, source.read(name)), zipfile.ZIP_DEFLATED
            )
    return whole.getvalue()


def _modified_once(name: str, content: bytes) -> bytes:
    """openpyxl writes the time of saving: the time of creation is put in its place."""
    if name != "docProps/core.xml":
        return content
    start = content.find(b">", content.find(b"<dcterms:modified")) + 1
    return content[:start] + b"2000-01-01T00:00:00Z" + content[content.find(b"<", start) :]


class _Lists:
    """What the drop-downs offer, on a hidden sheet."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        owners = sorted({entry.owner for entry in entries if entry.owner})
        maps = sorted({entry.cells["map"] for entry in entries if entry.table == "maps"})
        self.lists = {
            "owner": owners,
            "map": maps,
            "transform": sorted({*transform_names(), *plugin_names(), *COMBINATORS}),
            "status": ["draft", "approved", "retired"],
            "missing": ["skip", "exception", "reject", "default:"],
            "unmapped": ["keep-local", "exception", "reject", "fixed:"],
            "repeats": ["each", "first", "error"],
            "phi": ["yes", "no"],
        }
        self.strict = frozenset({"status", "repeats", "phi"})  # nothing else can be meant there

    def validation(self, table: str, column: str) -> DataValidation | None:
        """The drop-down of a column."""
        if column not in self.lists or (table == "maps" and column == "map") or not self.lists[column]:
            return None
        at = get_column_letter(list(self.lists).index(column) + 1)
        formula = f"{LISTS_SHEET}!${at}$2:${at}${len(self.lists[column]) + 1}"
        found = DataValidation(type="list", formula1=formula, allow_blank=True, showErrorMessage=column in self.strict)
        if column in self.strict:
            found.errorTitle, found.error = column, f"{column} is one of: {', '.join(self.lists[column])}"
        return found

    def write(self, sheet: Worksheet) -> None:
        """The lists, side by side."""
        for at, (name, items) in enumerate(self.lists.items(), 1):
            put_text(sheet.cell(1, at), name)
            for row, item in enumerate(items, 2):
                put_text(sheet.cell(row, at), item)
        sheet.sheet_state = "hidden"


def _write_mark(sheet: Worksheet, mark: dict[str, str]) -> None:
    for row, (name, text) in enumerate(mark.items(), 1):
        put_text(sheet.cell(row, 1), name)
        put_text(sheet.cell(row, 2), text)
    sheet.sheet_state = "hidden"


def _write_table(
    sheet: Worksheet, table: str, entries: Sequence[Entry], review: Review, states: dict[str, State], lists: _Lists
) -> None:
    columns = (*columns_of(table), *COMPUTED)
    _write_header(sheet, table, columns)
    looks: dict[tuple[bool, bool, bool], Any] = {}
    for row, entry in enumerate(entries, 2):
        state = states.get(entry.name)
        computed = (state.words if state else "", review.layer_of(entry.key), entry.file)
        texts = (*entry.cells.values(), *computed)
        wrapped = [
            (text, _WIDTHS.get(name, _WIDTH)) for name, text in zip(columns, texts, strict=True) if name in _WRAPPED
        ]
        sheet.row_dimensions[row].height = height_of(wrapped)
        for at, text in enumerate(texts, 1):
            cell = sheet.cell(row, at)
            assert isinstance(cell, Cell)
            name = columns[at - 1]
            look = (name in _WRAPPED, name in COMPUTED, is_formula_like(text))
            if look in looks:  # looking a style up costs more than all else of a cell
                cell._style = looks[look]  # type: ignore[attr-defined]
                put_value(cell, text)
                continue
            put_text(cell, text)
            cell.alignment = TOP_WRAPPED if name in _WRAPPED else TOP
            cell.border = LINE
            if name in COMPUTED:
                cell.font = GREY
            looks[look] = copy(cell._style)  # type: ignore[attr-defined]
    last = len(entries) + 1
    for at, name in enumerate(columns, 1):
        letter = get_column_letter(at)
        sheet.column_dimensions[letter].width = _WIDTHS.get(name, _WIDTH)
        sheet.column_dimensions[letter].number_format = TEXT
        validation = lists.validation(table, name)
        if validation is not None:
            sheet.add_data_validation(validation)
            validation.add(f"{letter}2:{letter}{last + SPARE}")
    keys = 1 if table == "ignores" else len(key_columns(table))
    sheet.freeze_panes = f"{get_column_letter(keys + 1)}2"
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(columns))}{max(last, 2)}"
    _colour(sheet, columns, last + SPARE)
    sheet.sheet_view.zoomScale = 90
    widths = [_WIDTHS.get(name, _WIDTH) for name in columns]
    table_for_paper(sheet, widths, keys=keys, own=len(COMPUTED))


def _write_header(sheet: Worksheet, table: str, columns: Sequence[str]) -> None:
    for at, name in enumerate(columns, 1):
        cell = sheet.cell(1, at)
        put_text(cell, name)
        cell.font, cell.alignment = WHITE, Alignment(vertical="center")
        needed = name in required_columns(table)
        cell.fill = _HEAD_COMPUTED if name in COMPUTED else _HEAD_NEEDED if needed else HEAD
    sheet.row_dimensions[1].height = 22


def _colour(sheet: Worksheet, columns: Sequence[str], last: int) -> None:
    """Whole lines by state; what a person types into `status` shows at once."""
    state = f"${get_column_letter(columns.index('state') + 1)}2"
    status = f"${get_column_letter(columns.index('status') + 1)}2" if "status" in columns else '""'
    rules = {
        "retired": f'OR({status}="retired",LEFT({state},7)="retired")',
        "changed": f'LEFT({state},7)="changed"',
        "approved": f'LEFT({state},8)="approved"',
        "draft": f'OR({status}="draft",{state}="draft")',
    }
    area = f"A2:{get_column_letter(len(columns))}{last}"
    for name, formula in rules.items():
        font = Font(strike=True, color="6B6B6B") if name == "retired" else None
        rule = FormulaRule(formula=[formula], fill=COLOURS[name], font=font, stopIfTrue=True)  # type: ignore[no-untyped-call]
        sheet.conditional_formatting.add(area, rule)
