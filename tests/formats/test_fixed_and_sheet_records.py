"""Fixed columns and sheets to records."""

from __future__ import annotations

import io
import zipfile
from datetime import date, datetime
from typing import Any

import openpyxl
import pytest

from hilum.errors import FormatError
from hilum.formats.records import (
    Column,
    FixedWidth,
    Found,
    Spreadsheet,
    read,
    read_part,
    read_records,
    split_records,
    spreadsheet,
    unpack_sheet,
)
from hilum.formats.records import marks as marks_module
from hilum.formats.records.marks import marks_of
from hilum.formats.records.packed import check_packed, check_rectangles

LAYOUT = (
    Column(name="id", start=1, length=5),
    Column(name="name", start=6, length=10),
    Column(name="born", start=17, length=8),
)
FIXED = FixedWidth(record="claims", key=("id",), layout=LAYOUT, header=1)
SHEET = Spreadsheet(record="staff", key=("id",), sheet="People", header=2)


def cells(found: list[Found]) -> list[list[str]]:
    return [list(read(one.body).cells) for one in found if one.finding is None]


def test_columns_stand_where_the_layout_says() -> None:
    raw = "HEADER\n00001Müller     19790203\n00002Li\n\n     nobody\n00003Name       19700101 more\n".encode()
    found = list(read_records(io.BytesIO(raw), FIXED))
    assert cells(found) == [["00001", "Müller", "19790203"], ["00002", "Li", ""]]
    assert [(one.line, one.finding.code) for one in found if one.finding] == [
        (5, "record-key-empty"),
        (6, "record-columns"),
    ]
    assert found[0].body.endswith("\n00001Müller     19790203\n".encode())


def test_columns_that_overlap_are_refused() -> None:
    layout = (Column(name="id", start=1, length=5), Column(name="b", start=5, length=2))
    with pytest.raises(ValueError, match="starts inside"):
        FixedWidth(record="claims", key=("id",), layout=layout)


def workbook(*rows: list[Any]) -> io.BytesIO:
    book = openpyxl.Workbook()
    book.create_sheet("Notes", 0)
    sheet = book.create_sheet("People")
    for row in rows:
        sheet.append(row)
    file = io.BytesIO()
    book.save(file)
    file.seek(0)
    return file


def test_a_sheet_gives_texts_numbers_and_days_as_people_write_them() -> None:
    file = workbook(
        ["a title"],
        ["id", "weight", "born", "seen", "is"],
        [100200, 72.5, date(1979, 2, 3), datetime(2026, 3, 1, 12, 30), True],  # noqa: DTZ001 - sheets know no zones
        [None, None, None, None, None],
        ["0007", 80, None, None, None],
        [None, 1],
        ["8", 1, 2, 3, 4, "beyond"],
    )
    found = list(read_records(file, SHEET))
    assert cells(found) == [
        ["100200", "72.5", "1979-02-03", "2026-03-01T12:30:00", "true"],
        ["0007", "80", "", "", ""],
    ]
    assert [(one.line, one.finding.code) for one in found if one.finding] == [
        (6, "record-key-empty"),
        (7, "record-columns"),
    ]


@pytest.mark.parametrize(
    ("file", "code"),
    [
        (io.BytesIO(b"id,b\n"), "records-sheet"),
        (io.BytesIO(b""), "records-sheet"),
        (workbook(["id"]), "records-empty"),
        (workbook(["x"], ["name", "b"]), "records-key-missing"),
    ],
)
def test_a_file_that_is_no_such_sheet_is_refused(file: io.BytesIO, code: str) -> None:
    with pytest.raises(FormatError) as caught:
        list(read_records(file, SHEET))
    assert caught.value.code == code


def packed(**parts: bytes) -> io.BytesIO:
    """A ZIP file; `__` in a name is a slash, the last `_` a dot."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in parts.items():
            made.writestr(".".join(name.replace("__", "/").rsplit("_", 1)), content)
    file.seek(0)
    return file


def test_cells_that_stand_far_apart_are_read_and_end_no_process() -> None:
    """Laid out as a rectangle this sheet has seventeen thousand million cells."""
    book = openpyxl.load_workbook(workbook(["x"], ["id", "b"], ["1", "y"]))
    book["People"].cell(1_048_576, 1).value = "2"
    book["People"].cell(3, 16_384).value = "far"
    file = io.BytesIO()
    book.save(file)
    found = list(read_records(file, SHEET))
    assert [(one.line, one.finding and one.finding.code) for one in found] == [(3, "record-columns"), (1_048_576, None)]


def test_a_sheet_that_unpacks_to_more_than_memory_holds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FormatError, match="unpacks to more than"):
        check_packed(packed(a_xml=bytes(1000)), most=999)
    monkeypatch.setattr(spreadsheet, "MOST_ROWS", 3)
    with pytest.raises(FormatError, match="more than 3 rows"):
        list(read_records(workbook(["x"], ["id"], ["1"], ["2"]), SHEET))


def test_a_sheet_that_defines_entities_is_refused() -> None:
    with pytest.raises(FormatError, match="entities"):
        check_packed(packed(xl__workbook_xml=b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><x/>'))


def record(kind: int, body: bytes) -> bytes:
    return bytes([kind, len(body)]) + body


@pytest.mark.parametrize(("row", "column", "is_refused"), [(2, 3, False), (1_048_575, 16_383, True)])
def test_an_xlsb_whose_cells_stand_too_far_apart_is_refused(row: int, column: int, is_refused: bool) -> None:
    cell = record(0, row.to_bytes(4, "little")) + record(2, column.to_bytes(4, "little") + bytes(8))
    file = packed(xl__worksheets__sheet1_bin=b"\x81\x01\x00" + cell)
    if not is_refused:
        return check_rectangles(file)
    with pytest.raises(FormatError, match="too far apart"):
        check_rectangles(file)
    return None


@pytest.mark.parametrize(
    ("far", "is_refused"),
    [
        ("<table-cell t:number-columns-repeated='16384'/>", False),  # as programs end every row
        ("<table-cell t:number-columns-repeated='16000'/><table-cell o:value-type='float'/>", True),
    ],
)
def test_an_ods_whose_cells_stand_too_far_apart_is_refused(far: str, is_refused: bool) -> None:
    rows = "<table-row><table-cell><p>1</p></table-cell></table-row>"
    text = f"<x xmlns:t='t' xmlns:o='o'><table>{rows}<table-row t:number-rows-repeated='1048575'>{far}</table-row>"
    file = packed(content_xml=f"{text}</table></x>".encode())
    if not is_refused:
        return check_rectangles(file)
    with pytest.raises(FormatError, match="too far apart"):
        check_rectangles(file)
    return None


def test_a_sheet_in_parts_gives_the_records_of_the_whole() -> None:
    file = workbook(["x"], ["id", "note"], *([str(number), "two\nlines"] for number in range(50)), [None, "no key"])
    lines = io.BytesIO()
    unpack_sheet(file, SHEET, lines)
    lines.seek(0)
    parts = list(split_records(lines, SHEET, "tag", 300))
    file.seek(0)
    assert len(parts) == 5
    assert [one for part, body in parts for one in read_part(part, body, SHEET)] == list(read_records(file, SHEET))


def test_cells_that_show_what_the_file_does_not_hold_keep_their_rows_back() -> None:
    file = workbook(
        ["a title"],
        ["id", "name", "born"],
        ["1", "Li", "#N/A"],
        ["2", "Osei", "=DATE(1979,2,3)"],
        ["3", "merged", None],
        ["4", None, None],
        [12345678901234567890, "rounded", None],
        ["6", "# is text", "#N/A was said"],
        ["7", "its remark reaches out", None],
    )
    book = openpyxl.load_workbook(file)
    sheet = book["People"]
    for cells_ in ("A1:C1", "B5:B6", "C8:F8", "C9:C10"):  # the last one is empty
        sheet.merge_cells(cells_)
    file = io.BytesIO()
    book.save(file)
    found = list(read_records(file, SHEET))
    assert [(one.line, one.finding.code if one.finding else "") for one in found] == [
        *((line, "record-cell-unreadable") for line in (3, 4)),
        (5, ""),
        *((line, "record-cell-unreadable") for line in (6, 7)),
        (8, ""),
        (9, ""),
    ]
    words = [one.finding.message for one in found if one.finding]
    assert [word in text for word, text in zip(("#N/A", "result", "merged", "15 digits"), words, strict=True)] == [
        True
    ] * 4
    for one in found:
        if one.finding:  # also when somebody asks for it to be run again
            with pytest.raises(FormatError) as caught:
                read(one.body)
            assert caught.value.code == one.finding.code


def test_a_formula_that_gives_an_empty_text_is_an_empty_cell() -> None:
    sheet = (
        '<sheetData><row r="2"><c r="A2" t="str"><f>IF(B2="","","x")</f><v></v></c>'
        '<x:c r="C2"><x:f>1+1</x:f><x:v>2</x:v></x:c><c r="AB2" s="1"><f t="shared" si="0"/></c></row></sheetData>'
    )
    marks = marks_of(io.BytesIO(sheet.encode()))
    assert marks is not None
    assert marks.uncalculated == {2: [27]}
    assert marks_of(io.BytesIO(b"<sheetData/>")) is None


def test_marks_are_found_wherever_the_text_of_a_sheet_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    sheet = b'<row r="1"><c r="A1"><f>1+1</f></c><c r="B1"><f>2</f><v/></c></row><mergeCells><mergeCell ref="A2:B3"/>'
    for size in (1, 7, 40, 1000):
        monkeypatch.setattr(marks_module, "_CHUNK", size)
        marks = marks_of(io.BytesIO(sheet))
        assert marks is not None
        assert (marks.uncalculated, len(marks.merges)) == ({1: [0, 1]}, 1)


def test_a_row_right_of_its_columns_is_held_when_it_is_run_again() -> None:
    [found] = read_records(workbook(["a title"], ["id"], ["1", "beyond"]), SHEET)
    with pytest.raises(FormatError) as caught:
        read(found.body)
    assert caught.value.code == "record-columns"
