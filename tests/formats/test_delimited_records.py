"""Delimited text to records: every table survives, and what is broken is told with its line and kept."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import FormatError
from hilum.formats.records import Delimited, Found, read, read_records

CONTROLS = "".join(map(chr, {*range(32)} - {*map(ord, "\t\r\n")}))
CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=CONTROLS), max_size=12)
TABLE = st.integers(1, 5).flatmap(
    lambda width: st.lists(st.lists(CELL, min_size=width, max_size=width), min_size=1, max_size=8)
)


def found(raw: bytes, **options: object) -> list[Found]:
    return list(read_records(io.BytesIO(raw), Delimited(**{"record": "patients", "key": ("id",), **options})))  # type: ignore[arg-type]


def cells(raw: bytes, **options: object) -> list[list[str]]:
    return [list(read(one.body).cells) for one in found(raw, **options) if one.finding is None]


def codes(raw: bytes, **options: object) -> list[tuple[int, str]]:
    return [(one.line, one.finding.code if one.finding else "") for one in found(raw, **options)]


def written(rows: Sequence[Sequence[str]], delimiter: str, end: str, quoting: Literal[0, 1]) -> bytes:
    text = io.StringIO(newline="")
    if any("\r" in cell or "\n" in cell for row in rows for cell in row):
        quoting = csv.QUOTE_ALL  # before Python 3.13, QUOTE_MINIMAL quotes only what is in the line end
    csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows(rows)
    return text.getvalue().encode()


@given(
    rows=TABLE,
    delimiter=st.sampled_from([",", ";", "\t", "|", "^"]),
    end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    mark=st.booleans(),
)
def test_any_table_that_is_written_as_csv_is_read_as_it_was(
    rows: list[list[str]], delimiter: str, end: str, quoting: Literal[0, 1], mark: bool
) -> None:
    columns = ["id", *(f"c{n}" for n in range(len(rows[0])))]
    table = [[str(number), *row] for number, row in enumerate(rows)]
    raw = b"\xef\xbb\xbf" * mark + written([columns, *table], delimiter, end, quoting)
    assert cells(raw, delimiter=delimiter) == table
    assert [one.key for one in found(raw, delimiter=delimiter)] == [row[0] for row in table]


@given(st.binary(max_size=200), st.sampled_from(["utf-8", "cp1252", "shift_jis"]))
def test_no_bytes_break_the_reader_and_each_record_keeps_its_own(raw: bytes, encoding: str) -> None:
    raw = raw.replace(b"\r", b"").replace(b"\0", b"")
    records = found(b"id,b\n" + raw, encoding=encoding)
    kept = b"".join(one.body.partition(b"\n")[2] for one in records)
    left = [line for line in raw.split(b"\n") if line.strip() and line.strip(b'," \t\x0b\x0c')]
    assert all(line in kept for line in left)


def test_broken_records_are_told_by_their_line_and_the_others_are_read() -> None:
    raw = b'id,name\n1,"two\nlines"\n2\n3,"open\n4,ok\n5,\xff\n6,a"b"\n7,"x"y\n,nobody\n8,a,b\n\n,\n9,last'
    assert codes(raw) == [
        (2, ""),
        (4, "record-columns"),
        (5, "record-quote-open"),
        (6, ""),
        (7, "record-undecodable"),
        (8, ""),
        (9, "record-quote-stray"),
        (10, "record-key-empty"),
        (11, "record-columns"),
        (14, ""),
    ]
    assert cells(raw) == [["1", "two\nlines"], ["4", "ok"], ["6", 'a"b"'], ["9", "last"]]


def test_a_broken_record_keeps_its_bytes() -> None:
    (one,) = found(b"id,name\r\n5,\xff\xfe\r\n")
    assert one.body.endswith(b"\n5,\xff\xfe\r\n")
    with pytest.raises(FormatError, match="byte 3"):
        read(one.body)


def test_empty_trailing_columns_are_none_and_a_text_in_one_holds_the_record() -> None:
    assert cells(b"id,b,,\n1,2,,\n3,4\n") == [["1", "2"], ["3", "4"]]
    assert codes(b"id,b,,\n1,2,3,\n") == [(2, "record-columns")]


def test_columns_of_the_same_name_are_numbered_and_those_without_a_name_are_called_by_their_place() -> None:
    (one,) = found(b"id,a,,a,x[1]\n1,2,3,4,5\n")
    assert read(one.body).columns == ("id", "a", "column 3", "a (2)", "x(1)")


def test_lines_that_end_in_a_carriage_return_alone_are_lines() -> None:
    assert cells(b"id,b\r1,2\r3,4") == [["1", "2"], ["3", "4"]]


def test_a_quote_that_is_never_closed_costs_one_line_however_long_the_file_is() -> None:
    rows = b"".join(b"%d,%s\n" % (n, b"x" * 200) for n in range(12_000))
    result = codes(b'id,name\n0,"open\n' + rows)
    assert result[0] == (2, "record-quote-open")
    assert len(result) == 12_001
    assert {code for _, code in result[1:]} == {""}


def test_a_file_without_its_key_column_is_refused_without_showing_what_it_holds() -> None:
    with pytest.raises(FormatError) as caught:
        found(b"Smith,John,1970\n")
    assert caught.value.code == "records-key-missing"
    assert "Smith" not in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "records-empty"),
        (b"\r\n\r\n", "records-empty"),
        ("id,b\n".encode("utf-16"), "records-encoding"),
        (b"i\xffd,b\n", "records-encoding"),
        (b"id," + b"x" * (17 * 1024 * 1024), "records-line-too-long"),
    ],
)
def test_a_file_of_another_kind_is_refused_with_a_code(raw: bytes, code: str) -> None:
    with pytest.raises(FormatError) as caught:
        found(raw)
    assert caught.value.code == code


def test_a_file_without_a_header_has_the_columns_of_its_source() -> None:
    assert cells(b"1;x\n2;y\n", header=False, columns=("id", "b"), delimiter=";") == [["1", "x"], ["2", "y"]]


def test_an_encoding_is_that_of_the_source() -> None:
    assert cells("id,b\n1,Käse\n".encode("cp1252"), encoding="cp1252") == [["1", "Käse"]]


@pytest.mark.parametrize(
    "options",
    [
        {"delimiter": "ab"},
        {"delimiter": '"'},
        {"quote": "§"},
        {"encoding": "utf-16"},
        {"encoding": "none-such"},
        {"header": False},
        {"header": False, "columns": ("a", "b")},
        {"header": False, "columns": ("id", "id")},
        {"columns": ("id",)},
        {"record": "PID"},
        {"record": "a b"},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"`|column"):
        Delimited(**{"record": "patients", "key": ("id",), **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("control", ["\x00", "\x0b", "\x1b"])
def test_a_record_with_a_control_character_is_held_and_the_others_of_its_file_go_on(control: str) -> None:
    raw = f"id,b\n1,x\n2,a{control}b\n3,tab\tand\xa0blank\n".encode()
    assert codes(raw) == [(2, ""), (3, "record-undecodable"), (4, "")]


def test_a_header_with_other_delimiters_is_refused_with_the_words_that_mend_it() -> None:
    with pytest.raises(FormatError, match="it has no `,`, and some `;`: set `delimiter`") as caught:
        found(b"id;b\n1;2\n")
    assert (caught.value.code, caught.value.location) == ("records-key-missing", "line 1")
