"""Records of named columns through the workbook: the same rows, policies, accounting and traces as for messages."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from hilum import mapping
from hilum.errors import ConfigError

HEAD = "row_id,applies,anchor,source,type,when,target,transform,map,missing,unmapped,repeats,owner"
KEY = 'k,csv:people,people,ID,,,Patient.id,"key(system=""http://x.example/id"")",,reject,,,ann'
CONTEXT = mapping.Context("registry", "registry", 1_700_000_000_000_000)
TABLES = {
    "maps.csv": "map,code,target\nSex,m,male\nSex,w,female\n",
    "params.csv": "param,value\nzone,Europe/Berlin\n",
    "ignores.csv": "field,applies,reason\npeople[Internal Note],csv:people,not ours\n",
}


class Record(Struct, frozen=True):
    columns: tuple[str, ...]
    cells: list[str]
    kind: str = "csv:people"
    deletes: bool = False


def row(name: str, source: str, target: str, transform: str = "text", **cells: str) -> str:
    values = {"row_id": name, "applies": "csv:people", "anchor": "people", "source": source, "target": target}
    values |= {"transform": transform, **cells}
    return ",".join('"' + values.get(column, "").replace('"', '""') + '"' for column in HEAD.split(","))


def plan(*rows: str) -> mapping.Plan:
    files = [("rows.csv", "\n".join([HEAD, KEY, *rows])), *TABLES.items()]
    return mapping.compile_workbook(mapping.read_workbook(files))


def run(compiled: mapping.Plan, *, deletes: bool = False, **cells: str) -> mapping.Mapped:
    values = {"ID": "7", **cells}
    record = Record(tuple(name.replace("_", " ") for name in values), list(values.values()), deletes=deletes)
    mapped = compiled.run(record, CONTEXT)
    assert mapped.accounting.adds_up
    assert mapping.render(mapped) == mapping.render(compiled.run(record, CONTEXT))
    return mapped


def patient(mapped: mapping.Mapped) -> dict[str, Any]:
    assert mapped.held is None
    (body,) = mapping.render(mapped)
    found: dict[str, Any] = msgspec.json.decode(body)
    return {name: value for name, value in found.items() if name not in ("resourceType", "id")}


def said(mapped: mapping.Mapped) -> list[str]:
    return [f"{one.location} {one.code}" for one in mapped.exceptions]


def test_a_row_becomes_a_resource_and_every_column_has_its_fate() -> None:
    compiled = plan(
        row("name", "[Last Name]", "Patient.name[official].family"),
        row("given", "[First Names]", "Patient.name[official].given[+]", 'text(split=" ")', repeats="each"),
        row("born", "Born", "Patient.birthDate", 'date(format="%d.%m.%Y")', missing="exception"),
        row("sex", "Sex", "Patient.gender", "code", map="Sex"),
    )
    cells = {"Last_Name": "Müller^&~", "First_Names": "Ann Marie", "Born": "03.02.1979", "Sex": "w"}
    mapped = run(compiled, deletes=False, **cells, Internal_Note="x", Shoe_Size="42", Empty="", Blank="  ")
    assert patient(mapped) == {
        "name": [{"family": "Müller^&~", "given": ["Ann", "Marie"]}],
        "birthDate": "1979-02-03",
        "gender": "female",
    }
    counts = mapped.accounting
    assert (counts.valued, counts.mapped, counts.ignored, counts.exceptions) == (7, 5, 1, 1)
    assert said(mapped) == ["people[Shoe Size] field-unmapped"]


def test_a_trace_names_the_record_and_the_column() -> None:
    compiled = plan(row("name", "[Last.Name]", "Patient.name[official].family"))
    record = Record(("ID", "Last.Name"), ["7", "Li"])
    traces = {one.path: (one.source, one.row) for one in compiled.trace(record, CONTEXT)}
    assert traces == {"id": ("people[ID]", "k"), "name[0].family": ("people[Last.Name]", "name")}


def test_columns_are_found_by_name_in_any_order_and_strange_names_are_remembered_only_so_far() -> None:
    compiled = plan(row("name", "Name", "Patient.name[official].family"))
    first = compiled.run(Record(("Name", "ID"), ["Li", "7"]), CONTEXT)
    assert first.drafts == compiled.run(Record(("x", "ID", "Name"), ["", "7", "Li"]), CONTEXT).drafts
    for n in range(60):
        names = tuple(f"c{n}-{at}" for at in range(200))
        mapped = compiled.run(Record(("ID", "Name", *names), ["7", "Li", *["v"] * 200]), CONTEXT)
        assert mapped.accounting.valued == 202
        assert said(mapped)[0] == f"people[c{n}-0] field-unmapped"


@pytest.mark.parametrize(
    ("text", "format_", "expected"),
    [
        ("03.02.1979", "%d.%m.%Y", "1979-02-03"),
        ("02/1979", "%m/%Y", "1979-02"),
        ("1979", "%Y", "1979"),
        ("3 Feb 1979", "%d %b %Y", "1979-02-03"),
        ("1979-02-03", "", "1979-02-03"),
        ("1979-02", "", "1979-02"),
        ("19790203", "", "1979-02-03"),
        ("31.02.1979", "%d.%m.%Y", None),
        ("1979-02-03", "%d.%m.%Y", None),
        ("1979-02-31", "", None),
    ],
)
def test_days_are_read_as_the_row_says_or_as_iso_writes_them(text: str, format_: str, expected: str | None) -> None:
    transform = f'date(format="{format_}")' if format_ else "date"
    mapped = run(plan(row("born", "Born", "Patient.birthDate", transform)), Born=text)
    assert patient(mapped).get("birthDate") == expected
    assert said(mapped) == ([] if expected else ["people[Born] time-invalid"])


@pytest.mark.parametrize(
    ("text", "transform", "expected"),
    [
        ("2026-07-01T10:30:00Z", "datetime", "2026-07-01T10:30:00+00:00"),
        ("2026-07-01 10:30", "datetime", "2026-07-01T10:30:00+02:00"),
        ("2026-01-01T10:30:05.250+05:30", "datetime", "2026-01-01T10:30:05.250+05:30"),
        ("1.7.2026 14:05", 'datetime(format="%d.%m.%Y %H:%M")', "2026-07-01T14:05:00+02:00"),
        ("7/1/2026 2:05 PM", 'datetime(format="%m/%d/%Y %I:%M %p")', "2026-07-01T14:05:00+02:00"),
    ],
)
def test_times_have_the_zone_that_is_written_or_that_of_the_workbook(text: str, transform: str, expected: str) -> None:
    mapped = run(plan(row("gone", "Gone", "Patient.deceasedDateTime", transform)), Gone=text)
    assert patient(mapped) == {"deceasedDateTime": expected}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("72,50", "72.50"), ("1.072,5", "1072.5"), ("80", "80"), ("-,5", "-0.5"), ("72.5", ""), ("1.07,5", ""), ("x", "")],
)
def test_a_decimal_comma_keeps_the_digits(text: str, expected: str) -> None:
    compiled = plan(
        row("ok", "ID", "Observation.id", "key"),
        row("w", "Weight", "Observation.valueQuantity", 'quantity(unit="kg", point=",")', type="NM"),
    )
    mapped = run(compiled, Weight=text)
    body = next(one for one in mapping.render(mapped) if b"Observation" in one)
    assert (f'"value":{expected},' in body.decode()) == bool(expected)
    assert bool(expected) or "people[Weight] value-not-numeric" in said(mapped)


def test_an_empty_cell_takes_the_value_away_only_where_the_source_says_so() -> None:
    compiled = plan(row("born", "Born", "Patient.birthDate", "date"))
    assert run(compiled, Born="", Other="").drafts[0].cleared == ()
    mapped = run(compiled, deletes=True, Born="", Other="")
    assert mapped.drafts[0].cleared == ("birthDate",)
    assert mapped.accounting.valued == 2


def test_parts_of_a_cell_are_components() -> None:
    compiled = plan(
        row("family", "[Name].1", "Patient.name[official].family", 'text(parts=",")'),
        row("given", "[Name].2", "Patient.name[official].given[+]", 'text(parts=",")'),
    )
    assert patient(run(compiled, Name="Li, Ann"))["name"] == [{"family": "Li", "given": ["Ann"]}]


def test_conditions_and_joined_texts_read_columns() -> None:
    compiled = plan(
        row(
            "a", 'concat(Street, " ", [House No])', "Patient.address[home].line[+]", when='valued(Street) and Sex = "w"'
        ),
    )
    assert patient(run(compiled, Street="Weg", House_No="3", Sex="w"))["address"] == [{"line": ["Weg 3"]}]
    assert patient(run(compiled, Street="Weg", House_No="3", Sex="m")) == {}


def test_a_record_without_its_key_or_without_rows_is_held() -> None:
    compiled = plan()
    assert run(compiled, ID="").held is not None
    held = compiled.run(Record(("ID",), ["7"], kind="csv:others"), CONTEXT).held
    assert held is not None
    assert (held.code, held.message) == ("no-rows", "the workbook has no rows for csv:others")


def test_the_rows_of_messages_do_not_run_on_records() -> None:
    files = mapping.base_files()
    book = mapping.read_workbook(files, [("rows.csv", f"{HEAD}\n{KEY}")], inspection=True)
    (draft,) = mapping.compile_workbook(book).run(Record(("ID",), ["7"]), CONTEXT).drafts
    assert (draft.type, draft.elements) == ("Patient", {})


@given(st.lists(st.text(max_size=20), min_size=3, max_size=3), st.booleans())
def test_any_text_in_a_cell_comes_out_as_it_was_and_the_columns_add_up(texts: list[str], deletes: bool) -> None:
    compiled = plan(row("a", "A", "Patient.name[official].family"), row("b", "B", "Patient.name[official].text"))
    record = Record(("ID", "A", "B", "C"), ["7", *texts], deletes=deletes)
    mapped = compiled.run(record, CONTEXT)
    assert mapped.accounting.adds_up
    name = {"family": texts[0].strip(), "text": texts[1].strip()}
    wanted = {key: text for key, text in name.items() if text and text != '""'}
    assert patient(mapped).get("name", [{}])[0] == wanted


@pytest.mark.parametrize(
    ("line", "column"),
    [
        (row("x", "PID-3", "Patient.birthDate", "date"), "source"),
        (row("x", "A", "Patient.birthDate", 'date(format="%d.%m.%y")'), "transform"),
        (row("x", "A", "Patient.birthDate", 'date(format="%q %Y")'), "transform"),
        (row("x", "A", "Patient.birthDate", 'text(point="x")'), "transform"),
        (row("x", "A", "Patient.birthDate", "date", anchor="others"), "anchor"),
        (row("x", "A", "Patient.birthDate", "date", applies="ADT^A01"), "anchor"),
        (row("x", "[A]", "Patient.birthDate", "date", applies="ADT^A01", anchor="PID"), "source"),
        (row("x", "PID-7", "Patient.birthDate", 'date(format="%Y")', applies="ADT^A01", anchor="PID"), "transform"),
        (
            row("x", "ID", "Patient.birthDate", 'text(split=";")')
            + "\n"
            + row("y", "ID", "Patient.x", 'text(split=",")'),
            "transform",
        ),
    ],
)
def test_rows_that_cannot_be_meant_are_findings_at_their_cell(line: str, column: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(line)
    wanted = HEAD.split(",").index(column) + 1
    assert any(one.location.endswith(f":{wanted}") and one.code == f"{column}-invalid" for one in caught.value.findings)
