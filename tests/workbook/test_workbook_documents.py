"""CSV files are written back as they were, but for what was changed."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import ConfigError
from hilum.mapping import base_files
from hilum.workbook import write_whole
from hilum.workbook.documents import edited, parse_document, record_text

CELL = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=12)


def test_every_shipped_table_is_written_back_byte_for_byte() -> None:
    files = base_files()
    assert len(files) > 10
    for file, text in files:
        assert parse_document(file, text).text == text


@given(st.lists(st.lists(CELL, min_size=1, max_size=4), min_size=1, max_size=6), st.sampled_from(["\n", "\r\n"]))
def test_any_table_is_read_as_the_csv_module_reads_it_and_written_back_whole(
    rows: list[list[str]], newline: str
) -> None:
    text = "".join(record_text(row, newline) for row in rows)
    document = parse_document("rows.csv", text)
    assert document.text == text
    parsed = list(csv.reader(io.StringIO(text, newline="")))
    assert [record.cells for record in document.records] == [tuple(cell.strip() for cell in row) for row in parsed]


@pytest.mark.parametrize("text", ["a,b\r\n1,2", "\ufeffa,b\n1,2\n", 'a,b\n"1","2"\n\n# words, words\n3,4', ""])
def test_odd_files_are_written_back_whole(text: str) -> None:
    assert parse_document("maps.csv", text).text == text


def test_a_change_leaves_comments_quoting_order_and_line_ends_of_all_else() -> None:
    text = '# ours\r\na,b\r\n"1","x"\r\n\r\n"2","y"\r\n# end'
    document = parse_document("maps.csv", text)
    after = edited(document, changed={3: {"b": "z"}}, added=[{"a": "3", "b": 'say "no"'}])
    assert after.text == '# ours\r\na,b\r\n1,z\r\n\r\n"2","y"\r\n# end\r\n3,"say ""no"""\r\n'


def test_a_new_column_is_added_to_the_header_when_a_cell_of_it_is_filled() -> None:
    after = edited(parse_document("maps.csv", "a,b\n1,2\n"), added=[{"a": "3", "c": "4"}])
    assert after.text == "a,b,c\n1,2\n3,,4\n"
    assert after.cells_of(after.lines[0]) == {"a": "1", "b": "2"}


def test_a_removed_line_takes_nothing_with_it() -> None:
    after = edited(parse_document("maps.csv", "a\n# why\n1\n2\n"), removed=[3])
    assert after.text == "a\n# why\n2\n"


def test_a_file_that_is_no_csv_is_refused_with_its_place() -> None:
    with pytest.raises(ConfigError) as refused:
        parse_document("rows.csv", 'a,b\n"1\n2,3\n4,5\n')
    assert refused.value.code == "table-unreadable"
    assert "rows.csv:2:1 " in refused.value.message


def test_a_file_is_written_whole_or_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.csv"
    write_whole(path, b"old")

    def stop(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(OSError, match="No space left") as failure:
        write_whole(path, b"new and longer")
    assert failure.value.filename == str(path)
    assert [one.name for one in tmp_path.iterdir()] == ["rows.csv"]
    assert path.read_bytes() == b"old"
