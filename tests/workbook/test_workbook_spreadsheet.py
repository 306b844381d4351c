"""XLSX: there and back without loss, and every way in which a spreadsheet changes a text is named by cell."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from hilum.errors import ConfigError
from hilum.mapping import columns_of, key_columns, required_columns
from hilum.workbook import TABLES, Review, export_xlsx, mark_of, plan_import, read_approvals, read_xlsx, spreadsheet
from hilum.workbook.cells import from_cell, to_cell
from hilum.workbook.importing import Import
from workbook_tables import review, table

NOBODY = read_approvals(None, "")
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=16).map(str.strip)
HOSTILE = st.sampled_from(
    ["=1+1", "+49 555", "-5", "@SUM(A1)", "007", "1.10", "12345678901234567890", "2024-01-31", "1/2", "TRUE", "#N/A",
     "_x0041_", "a\r\nb", "a\nb", "\x07bell", "é\u2028ü", "'quoted", "1e5", "0.1", "\U0001f600", "x\u0000y"]
)  # fmt: skip
CELL = st.one_of(HOSTILE, TEXT)


def exported(opened: Review) -> bytes:
    return export_xlsx(opened, NOBODY, title="a test", mark=mark_of(opened, "test"))


def resaved(content: bytes, change: Callable[[Any], None] = lambda _: None) -> bytes:
    book = load_workbook(io.BytesIO(content))
    change(book)
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def tables_of(content: bytes) -> list[tuple[str, dict[str, str]]]:
    sheets = read_xlsx(content)
    assert not [one for one in sheets.findings if one.code != "cell-blank-edges"], sheets.findings
    return [(line.entry.table, line.entry.cells) for line in sheets.lines.values()]


@st.composite
def any_table(draw: st.DrawFn) -> tuple[str, str]:
    name = draw(st.sampled_from(TABLES))
    columns, keys = columns_of(name), key_columns(name)
    lines = draw(st.lists(st.fixed_dictionaries(dict.fromkeys(columns, CELL)), min_size=1, max_size=4))
    unique: dict[tuple[str, ...], dict[str, str]] = {}
    for number, line in enumerate(lines):
        for column in required_columns(name):
            line[column] = line[column] or f"x{number}"
        line[columns[0]] = line[columns[0]].lstrip("#").strip() or f"k{number}"
        unique[tuple(line[key] for key in keys)] = line
    return name, table(name, unique.values())


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(any_table())
def test_any_table_comes_back_from_a_spreadsheet_as_it_was(made: tuple[str, str]) -> None:
    name, text = made
    opened = review([(f"{name}.csv", text)], below=[])
    before = [(entry.table, entry.cells) for entry in opened.merged.values()]
    content = exported(opened)
    assert tables_of(content) == before
    assert tables_of(resaved(content)) == before


@given(CELL)
def test_every_text_survives_the_escape_of_a_cell(text: str) -> None:
    assert from_cell(to_cell(text)) == text


def test_the_same_tables_give_the_same_bytes() -> None:
    assert exported(review()) == exported(review())


def test_a_person_finds_frozen_headers_filters_drop_downs_and_colours() -> None:
    book = load_workbook(io.BytesIO(exported(review())))
    assert book.sheetnames[:2] == ["How to read this", "owners"]
    rows = book["rows"]
    assert rows.freeze_panes == "B2"
    assert rows.auto_filter.ref.startswith("A1:")
    lists = {one.formula1 for one in rows.data_validations.dataValidation}
    assert len(lists) >= 7
    assert len(rows.conditional_formatting) == 1
    said = "\n".join(str(row[0].value) for row in book["How to read this"].iter_rows())
    assert "phone number of a patient missing" in said
    owners = [[cell.value for cell in row[:2]] for row in book["owners"].iter_rows(min_row=2)]
    assert ["registration", 5] in owners


def test_on_paper_a_wide_table_goes_over_pages_side_by_side_in_letters_that_can_be_read() -> None:
    book = load_workbook(io.BytesIO(exported(review())))
    rows, params = book["rows"], book["params"]
    columns = columns_of("rows")
    assert (rows.page_setup.orientation, rows.page_setup.scale, rows.page_setup.pageOrder) == (
        "landscape", 60, "overThenDown",
    )  # fmt: skip
    assert (rows.print_title_rows, rows.print_title_cols) == ("$1:$1", "$A:$A")
    assert [columns[one.id - 1] for one in rows.col_breaks.brk] == ["target", "origin"]
    assert rows.print_area == f"'rows'!$A$1:${get_column_letter(len(columns))}${rows.max_row}"
    assert (params.page_setup.fitToWidth, params.page_setup.fitToHeight) == (1, 0)
    assert params.sheet_properties.pageSetUpPr.fitToPage
    assert not params.col_breaks.brk


def test_a_formula_like_text_is_a_text_in_the_file_itself() -> None:
    rows = [{"row_id": "x", "anchor": "PID", "target": "Patient.active", "note": "=HYPERLINK(1)"}]
    content = exported(review([("rows.csv", table("rows", rows))], below=[]))
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        sheets = [packed.read(name) for name in packed.namelist() if name.startswith("xl/worksheets/")]
    assert len(sheets) > 5
    assert not [one for one in sheets if b"<f>" in one]


def planned(change: Callable[[Any], None], site: tuple[tuple[str, str], ...] = ()) -> Import:
    opened = review(site)
    return plan_import(opened, NOBODY, read_xlsx(resaved(exported(opened), change)))


def found(plan: Import) -> set[tuple[str, str]]:
    return {(one.code, one.location) for one in plan.findings}


def at(sheet: Worksheet, key: str, column: str) -> Any:
    names = {cell.value: cell.column for cell in sheet[1]}
    for row in range(2, sheet.max_row + 1):
        if key in [sheet.cell(row, number).value for number in names.values()]:
            return sheet.cell(row, names[column])
    raise AssertionError(key)


def test_a_number_that_was_a_text_with_zeros_is_named_with_its_cell() -> None:
    def change(book: Any) -> None:
        cell = at(book["maps"], "007", "code")
        cell.value, cell.number_format = 7, "General"

    plan = planned(change)
    assert ("cell-number", "maps!C3") in found(plan)
    assert plan.errors
    assert "007" in next(one.message for one in plan.findings if one.code == "cell-number")


def test_a_number_in_the_key_of_a_new_line_is_compared_with_lines_of_its_own_table_alone() -> None:
    def change(book: Any) -> None:
        rows = book["rows"]
        rows.delete_rows(2)  # a line is missing that has no column `code`
        cell = at(book["maps"], "007", "code")
        cell.value, cell.number_format = 1e25, "General"

    assert ("cell-number", "maps!C3") in found(planned(change))


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (date(2024, 1, 31), "cell-date"),
        (True, "cell-boolean"),
        ("=1+1", "cell-formula"),
        (1.5, "cell-number"),
        (12345678901234567, "cell-number"),
    ],
)
def test_what_a_spreadsheet_makes_of_a_text_is_an_error_with_its_cell(value: object, code: str) -> None:
    plan = planned(lambda book: setattr(at(book["rows"], "pat-sex", "note"), "value", value))
    assert (code, "rows!U3") in found(plan)
    assert plan.errors


def test_blanks_around_a_text_are_taken_off_and_said() -> None:
    plan = planned(lambda book: setattr(at(book["rows"], "pat-sex", "note"), "value", "\u00a0words "))
    assert ("cell-blank-edges", "rows!U3") in found(plan)
    assert not plan.errors
    assert [cell.after for cell in plan.changes[0].cells] == ["words"]


def test_a_renamed_sheet_a_missing_column_and_an_unknown_one_are_named() -> None:
    def change(book: Any) -> None:
        book["maps"].title = "Maps 2"
        book["rows"].cell(1, 9).value = "mapp"
        book.create_sheet("my notes")

    codes = found(planned(change))
    assert ("sheet-missing", "maps!A1") in codes
    assert ("column-missing", "rows!A1") in codes
    assert ("column-unknown", "rows!I1") in codes
    assert ("sheet-unknown", "my notes!A1") in codes


def test_a_column_of_remarks_is_left_out_and_said_once() -> None:
    def change(book: Any) -> None:
        last = book["rows"].max_column + 1
        book["rows"].cell(1, last).value = "seen by Ann"
        for row in (2, 3):
            book["rows"].cell(row, last).value = "yes"

    plan = planned(change)
    assert [code for code, _ in found(plan)].count("column-unknown") == 1
    assert "cell-stray" not in {code for code, _ in found(plan)}
    assert not plan.errors
    assert not plan.changes


def test_a_line_above_the_names_of_columns_is_named_once() -> None:
    def change(book: Any) -> None:
        book["rows"].insert_rows(1)
        book["rows"]["A1"].value = "Rows of our clinic"

    plan = planned(change)
    assert [one for one in found(plan) if one[1].startswith("rows!")] == [("column-missing", "rows!A1")]
    assert plan.errors


def test_joined_cells_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the file is cut in reading it."""
    for size in (1024 * 1024, 7):
        monkeypatch.setattr(spreadsheet, "_CHUNK", size)
        plan = planned(lambda book: book["rows"].merge_cells("C2:E3"))
        assert [one for one in found(plan) if one[0] == "cell-merged"] == [("cell-merged", "rows!C2")]
        assert plan.errors


def test_a_file_that_is_too_large_is_not_even_opened(tmp_path: Path) -> None:
    file = tmp_path / "large.xlsx"
    with file.open("wb") as made:
        made.truncate(spreadsheet.LARGEST + 1)
    file.chmod(0)
    with pytest.raises(ConfigError, match="more than") as refused:
        spreadsheet.read_xlsx_file(file)
    assert refused.value.code == "xlsx-unreadable"


def test_a_line_that_was_deleted_though_it_is_of_the_base_is_an_error() -> None:
    plan = planned(lambda book: book["rows"].delete_rows(3))
    assert ("base-line-missing", "rows!A1") in found(plan)


def test_two_lines_with_one_key_and_an_empty_needed_cell_are_named() -> None:
    def change(book: Any) -> None:
        at(book["rows"], "pat-sex", "row_id").value = "pat-key"
        at(book["maps"], "F", "code").value = None

    codes = found(planned(change))
    assert ("line-twice", "rows!A3") in codes
    assert ("cell-missing", "maps!C2") in codes


def test_sorting_the_sheet_changes_nothing() -> None:
    def change(book: Any) -> None:
        sheet = book["rows"]
        first = [cell.value for cell in sheet[2]]
        for at_, value in enumerate([cell.value for cell in sheet[4]], 1):
            sheet.cell(2, at_).value = value
        for at_, value in enumerate(first, 1):
            sheet.cell(4, at_).value = value

    plan = planned(change)
    assert (plan.changes, plan.findings, plan.documents) == ((), (), {})


def test_only_the_lines_that_were_changed_become_the_sites_own() -> None:
    def change(book: Any) -> None:
        at(book["rows"], "pat-phone", "transform").value = 'XTN(use="mobile")'

    plan = planned(change)
    assert plan.errors == 0
    assert [(one.kind, one.name, [cell.column for cell in one.cells]) for one in plan.changes] == [
        ("changed", "rows:pat-phone", ["transform"])
    ]
    assert list(plan.documents) == ["rows.csv"]
    assert [record.cells[0] for record in plan.documents["rows.csv"].lines] == ["pat-phone"]


def test_a_line_as_the_base_has_it_again_is_taken_out_of_the_site() -> None:
    own = table(
        "rows", [{"row_id": "pat-sex", "anchor": "PID", "source": "PID-8", "target": "Patient.gender", "note": "x"}]
    )
    from workbook_tables import BASE_ROWS

    def change(book: Any) -> None:
        for column in columns_of("rows"):
            at(book["rows"], "pat-sex", column).value = BASE_ROWS[1].get(column)

    plan = planned(change, (("rows.csv", own),))
    assert "taken out" in plan.changes[0].note
    assert not plan.documents["rows.csv"].lines


def test_comments_and_order_of_the_sites_file_stay_when_a_line_of_it_changes() -> None:
    own = table("ignores", [{"field": "ZPI-*", "reason": "not ours", "owner": "technical"}])
    text = own.replace("ZPI", "# why we do this\nZPI")
    plan = planned(
        lambda book: setattr(at(book["ignores"], "ZPI-*", "reason"), "value", "nobody needs it"),
        (("ignores.csv", text),),
    )
    assert plan.documents["ignores.csv"].text == text.replace("not ours", "nobody needs it")


def test_what_the_folder_got_after_the_export_is_kept_and_a_line_that_both_changed_is_named() -> None:
    before = review([("ignores.csv", table("ignores", [{"field": "ZPI-1", "reason": "a", "owner": "x"}]))])
    after = review(
        [
            (
                "ignores.csv",
                table(
                    "ignores",
                    [
                        {"field": "ZPI-1", "reason": "b", "owner": "x"},
                        {"field": "ZPI-2", "reason": "new", "owner": "x"},
                    ],
                ),
            )
        ]
    )
    untouched = plan_import(after, NOBODY, read_xlsx(exported(before)))
    assert (untouched.changes, untouched.findings) == ((), ())
    content = resaved(exported(before), lambda book: setattr(at(book["ignores"], "ZPI-1", "reason"), "value", "c"))
    both = plan_import(after, NOBODY, read_xlsx(content))
    assert [(one.code, one.location) for one in both.findings] == [("line-conflict", "ignores!D3")]
    assert "`reason` is `c` in this file, and became `b` in the folder" in both.findings[0].message


def test_a_line_that_sheet_and_folder_changed_in_other_cells_keeps_both_changes() -> None:
    line = {"field": "ZPI-1", "reason": "a", "owner": "x"}
    before = review([("ignores.csv", table("ignores", [line]))])
    after = review([("ignores.csv", table("ignores", [{**line, "owner": "y"}]))])
    content = resaved(exported(before), lambda book: setattr(at(book["ignores"], "ZPI-1", "reason"), "value", "c"))
    both = plan_import(after, NOBODY, read_xlsx(content))
    assert both.findings == ()
    ((cell,),) = [change.cells for change in both.changes]
    assert (cell.column, cell.before, cell.after) == ("reason", "a", "c")
    assert "ZPI-1,,,c,y" in both.documents["ignores.csv"].text


def test_a_line_that_is_gone_from_the_folder_since_is_no_new_line_when_it_was_changed() -> None:
    before = review([("ignores.csv", table("ignores", [{"field": "ZPI-1", "reason": "a", "owner": "x"}]))])
    untouched = plan_import(review(), NOBODY, read_xlsx(exported(before)))
    assert (untouched.changes, untouched.findings) == ((), ())
    content = resaved(exported(before), lambda book: setattr(at(book["ignores"], "ZPI-1", "reason"), "value", "c"))
    assert found(plan_import(review(), NOBODY, read_xlsx(content))) == {("line-conflict", "ignores!C3")}


def test_an_error_that_the_import_would_bring_is_shown_at_its_cell() -> None:
    plan = planned(lambda book: setattr(at(book["rows"], "pat-phone", "target"), "value", "Patient.telcom[+]"))
    assert ("target-unknown", "rows!G4") in found(plan)
    assert plan.errors


BASE_ROW = {"row_id": "a", "anchor": "PID", "source": "PID-8", "target": "Patient.gender", "transform": "text"}


def test_an_export_of_another_base_is_imported_and_says_which_lines_ship_otherwise_now() -> None:
    before = review(below=[("rows.csv", table("rows", [BASE_ROW, {**BASE_ROW, "row_id": "gone"}]))])
    now = [{**BASE_ROW, "source": "PID-8.1"}, {**BASE_ROW, "row_id": "new", "target": "Patient.language"}]
    after = review(below=[("rows.csv", table("rows", now))])
    untouched = plan_import(after, NOBODY, read_xlsx(exported(before)))
    assert [one.code for one in untouched.findings] == ["export-outdated"]
    assert "rows:a (source); rows:new (new); " in untouched.findings[0].message
    assert "rows:gone (not there any more)" in untouched.findings[0].message
    assert (untouched.changes, untouched.errors) == ((), 0)
    noted = resaved(exported(before), lambda book: setattr(at(book["rows"], "a", "note"), "value", "ours"))
    plan = plan_import(after, NOBODY, read_xlsx(noted))
    assert [(change.name, [cell.column for cell in change.cells]) for change in plan.changes] == [("rows:a", ["note"])]
    assert "PID-8.1" in plan.documents["rows.csv"].text
    moved = resaved(exported(before), lambda book: setattr(at(book["rows"], "a", "source"), "value", "PID-8.2"))
    assert "line-conflict" in {one.code for one in plan_import(after, NOBODY, read_xlsx(moved)).findings}


def test_a_file_without_a_mark_is_refused() -> None:
    plan = planned(lambda book: book.remove(book["hilum"]))
    assert ("export-unknown", "hilum!A1") in found(plan)


def test_what_is_no_spreadsheet_is_refused_with_a_code() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as target:
        target.writestr("xl/workbook.xml", '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a/>')
    for content in (b"", b"words", b"PK\x03\x04", packed.getvalue(), exported(review())[:2000]):
        with pytest.raises(ConfigError) as refused:
            read_xlsx(content)
        assert refused.value.code == "xlsx-unreadable"


def test_a_text_longer_than_a_cell_is_refused_at_export() -> None:
    rows = [{"row_id": "x", "anchor": "PID", "target": "Patient.active", "note": "n" * 32_768}]
    with pytest.raises(ConfigError) as refused:
        exported(review([("rows.csv", table("rows", rows))], below=[]))
    assert refused.value.findings[0].code == "cell-too-long"
    assert refused.value.findings[0].location == "rows.csv:2:21"
