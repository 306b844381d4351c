"""Fixed columns and sheets to records."""

from __future__ import annotations

import io
from datetime import date, datetime
from typing import Any

import openpyxl
import pytest

from hilum.errors import FormatError
from hilum.formats.records import Column, FixedWidth, Found, Spreadsheet, read, read_records

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
