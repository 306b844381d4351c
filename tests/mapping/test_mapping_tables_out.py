"""FHIR to tables: rows whose targets are columns, and the lines of CSV that are written of them."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_mapping_resources import CONTEXT, KEY, PATIENT, book, made, plan, record, row, said

from hilum import mapping
from hilum.errors import ConfigError
from hilum.formats import records

ROWS = (
    row("mrn", "identifier.where(system = 'urn:mrn').value", "worklist[MRN]", "text", missing="reject"),
    row("family", "name.where(use = 'official').family", "worklist[Last Name]", "text"),
    row("given", "name.where(use = 'official').given", "worklist[Given]", 'text(join=" ")'),
    row("sex", "gender", "worklist[Sex]", "code", map="Sex", unmapped="reject"),
    row("on", "active", "worklist[Active]"),
    row("kind", "", "worklist[Kind]", 'const("P")'),
    row("gp", "generalPractitioner.resolve().name.family", "worklist[GP]", "text"),
)
IGNORED = "Patient[*],csv:worklist,no column for it\n"


def table(*rows: str, ignores: str = IGNORED) -> mapping.TablePlan:
    return mapping.compile_table(book(KEY, *rows, ignores=ignores), "csv:worklist")


def test_a_resource_is_one_line_in_the_order_of_the_rows() -> None:
    compiled = table(*ROWS)
    assert compiled.columns == ("MRN", "Last Name", "Given", "Sex", "Active", "Kind", "GP")
    assert (compiled.types, compiled.follows) == (("Patient",), True)
    line = compiled.run(record(PATIENT), CONTEXT)
    assert line.cells == ("77", "Li", "Ann Q", "male", "true", "P", "")
    counts = line.mapped.accounting
    assert counts.adds_up
    assert (counts.mapped, counts.ignored, counts.exceptions) == (7, 6, 0)


def test_references_are_followed_where_the_others_are_at_hand() -> None:
    resource = {**PATIENT, "generalPractitioner": [{"reference": "Practitioner/d"}]}
    others: dict[str, Any] = {"Practitioner/d": {"resourceType": "Practitioner", "name": [{"family": "House"}]}}
    line = table(*ROWS).run(record(resource, resolve=others.get), CONTEXT)
    assert line.cells is not None
    assert line.cells[-1] == "House"
    assert (table(*ROWS).run(record(resource), CONTEXT).cells or ())[-1] == ""


def test_a_line_is_held_by_its_rows_and_left_out_by_its_condition() -> None:
    compiled = table(*ROWS, row("line", "", "worklist[]", "", when="valued(gender)"))
    held = compiled.run(record({**PATIENT, "gender": "x"}), CONTEXT)
    assert held.cells is None
    assert held.mapped.held is not None
    assert held.mapped.held.code == "code-unmapped"
    left_out = compiled.run(record({name: value for name, value in PATIENT.items() if name != "gender"}), CONTEXT)
    assert (left_out.cells, left_out.mapped.held) == (None, None)
    counts = left_out.mapped.accounting
    assert (counts.valued, counts.ignored) == (12, 12)


def test_rows_of_tables_and_rows_of_resources_do_not_disturb_each_other() -> None:
    both = (*ROWS, row("names", "name", "Patient.name[+]"))
    assert made(plan(*both, ignores=IGNORED).run(record(PATIENT), CONTEXT)) == {"name": PATIENT["name"]}
    assert "Patient[active] field-unmapped" in said(plan(*both, ignores=IGNORED).run(record(PATIENT), CONTEXT))
    assert table(*both).columns == table(*ROWS).columns


def test_every_cell_is_explained() -> None:
    traces = {one.path: (one.source, one.row) for one in table(*ROWS).trace(record(PATIENT), CONTEXT)}
    assert traces["Last Name"] == ("Patient[name.where(use = 'official').family]", "family")
    assert traces["Kind"] == ("", "kind")
    assert "id" not in traces


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (row("x", "name", "worklist[Name]"), "`copy` gives more than one value"),
        (row("x", "gender", "worklist[Sex]", "CWE"), "`CWE` gives more than one value"),
        (row("x", "", "worklist[X]", 'const({"a":1})'), "a cell holds one value, and no JSON"),
        (row("x", "", "worklist[X]", "const"), "const(..) takes one text"),
        (row("x", "gender", "worklist[]", "text"), "is the line itself"),
        (row("x", "PID-3", "worklist[X]", "text", applies="", anchor="PID"), "a column is written from FHIR"),
    ],
)
def test_a_row_that_cannot_write_a_cell_is_told(wrong: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        table(*ROWS, wrong)
    assert any(told in one.message for one in error.value.findings)


def test_a_table_that_no_row_writes_is_told_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match="did you mean csv:worklist") as error:
        mapping.compile_table(book(KEY, *ROWS), "csv:worklst")
    assert error.value.code == "csv-table-unknown"
    assert mapping.tables_of(book(KEY, *ROWS)) == ("csv:worklist",)


def unguarded(cell: str) -> str:
    """What docs/other-sources.md tells a program to do that reads such a file."""
    return cell[1:] if cell[:1] == "'" and cell.lstrip("'")[:1] in tuple("=+-@\t\r＝＋－＠") else cell


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_lines_are_read_back_as_they_were_by_any_reader_of_csv(cells: list[str]) -> None:
    line = records.csv_line(cells).decode("utf-8", "surrogatepass")
    (found,) = csv.reader(io.StringIO(line, newline=""), strict=True)
    assert [unguarded(cell) for cell in found] == cells
    assert not any(cell[:1] in ("=", "@", "\t", "\r") for cell in found)


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-cmd|x", "'-cmd|x"),
        ("+A1", "'+A1"),
        ("-1.5", "-1.5"),
        ("+49 30 1234", "+49 30 1234"),
        ("'=x", "''=x"),
        ("O'Neil", "O'Neil"),
        ("a,b", '"a,b"'),
        ('5" pipe', '"5"" pipe"'),
        ("a\r\nb", '"a\r\nb"'),
        (" x", '" x"'),
    ],
)
def test_what_a_spreadsheet_would_run_is_guarded_and_the_rest_is_as_it_was(cell: str, written: str) -> None:
    assert records.csv_line([cell, "y"]) == f"{written},y\r\n".encode()
