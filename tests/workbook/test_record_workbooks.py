"""Samples, coverage and check of rows about records: columns, and elements of FHIR."""

from __future__ import annotations

import csv
import io
import json
from io import BytesIO
from pathlib import Path

import pytest
from openpyxl import Workbook

from hilum import mapping
from hilum.app.cli import main
from hilum.formats import records
from hilum.workbook import Coverage, TestRun, Verdict, coverage_report

FIELDS = "row_id applies anchor source when target transform map missing unmapped owner sample expect"


def table(fields: str, *lines: dict[str, str]) -> str:
    """CSV of a table; what a line does not say is empty."""
    out = io.StringIO()
    writer = csv.DictWriter(out, fields.split(), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def column(row_id: str, source: str, target: str, transform: str = "text", **cells: str) -> dict[str, str]:
    told = {"row_id": row_id, "applies": "csv:people", "anchor": "people", "source": source, "target": target}
    return {**told, "transform": transform, "owner": "ann", **cells}


def element(row_id: str, source: str, target: str, transform: str = "text", **cells: str) -> dict[str, str]:
    return column(row_id, source, target, transform, **{"applies": "fhir:Patient", "anchor": "Patient", **cells})


KEY = 'key(system="urn:mrn")'
UNMAPPED = '{"exceptions": ["code-unmapped people[Sex]"]}'
COLUMNS = (
    column("k", "MRN", "Patient.id", KEY, missing="reject"),
    column("n", "[Last Name]", "Patient.name[official].family", sample="Li; Wong", expect="Li; Wong"),
    column("b", "Born", "Patient.birthDate", 'date(format="%d.%m.%Y")', sample="03.02.1979", expect="1979-02-03"),
    column("s", "Sex", "Patient.gender", "code", map="Sex", sample="MRN=5;Sex=w", expect="female"),
)
ELEMENT_KEY = element("fk", "identifier.where(system = 'urn:mrn').value", "Patient.id", KEY, missing="reject")
ELEMENTS = (
    ELEMENT_KEY,
    element("fn", "name.where(use = 'official').family", "Patient.name[official].family", sample="Li", expect="Li"),
    element("fa", "active", "Patient.active", "copy", sample="true", expect="true"),
    element("fc", "address", "Patient.address[+]", "copy", sample='{"city":"Ulm"}', expect="Ulm"),
    element("fe", "extension('urn:x').value.ofType(string)", "Patient.language", sample="de", expect="de"),
    element("fl", "", "list[]", "", when='active = "true"', sample="true", expect='{"line": true}'),
    element(
        *("fm", "gender", "list[Sex]", "code"),
        map="Sex",
        unmapped="reject",
        sample='{"resourceType":"Patient","active":true,"gender":"w"}',
        expect="female",
    ),
    element(
        *("fh", "gender", "list[Sex]", "code"),
        map="Sex",
        unmapped="reject",
        sample='{"resourceType":"Patient","active":true,"gender":"?"}',
        expect='{"held": "code-unmapped"}',
    ),
)
WHOLE = '{"identifier":[{"system":"urn:mrn","value":"5"}],"active":false}'
TESTS = table(
    "test_id row_id message path sample expect",
    {
        "test_id": "t1",
        "message": "csv:people MRN=5;Born=01.02.1990",
        "path": "Patient.birthDate",
        "expect": "1990-02-01",
    },
    {"test_id": "t2", "message": f"fhir:Patient {WHOLE}", "path": "Patient.active", "expect": "false"},
    {"test_id": "t4", "row_id": "s", "sample": "zz", "expect": UNMAPPED},
    {"test_id": "t3", "row_id": "n", "sample": "MRN=7;[Last Name]=Kim", "expect": "Kim"},
)
MAPS = "map,code,target,owner\nSex,w,female,ann\n"


def book(*rows: dict[str, str], tests: str = "") -> mapping.Workbook:
    files = [("rows.csv", table(FIELDS, *rows)), ("maps.csv", MAPS)] + ([("tests.csv", tests)] if tests else [])
    return mapping.read_workbook([("params.csv", "param,value\nzone,Europe/Berlin\n")], files)


def verdicts(made: mapping.Workbook) -> dict[str, tuple[Verdict, str]]:
    def no_file(layer: str, name: str) -> bytes:
        raise FileNotFoundError(f"{layer}/{name}")

    run = TestRun(made, {}, read_file=no_file)
    return {one.test: (one.verdict, one.problem or str(one.discrepancies)) for one in run.run()}


def test_every_sample_of_columns_elements_and_tables_passes() -> None:
    found = verdicts(book(*COLUMNS, *ELEMENTS, tests=TESTS))
    assert len(found) == 14
    assert {name: told for name, told in found.items() if told[0] is not Verdict.PASSED} == {}


@pytest.mark.parametrize(
    ("sample", "expect", "verdict", "told"),
    [
        ("Li", "Kim", Verdict.FAILED, "Kim"),
        ('{"resourceType":"Observation"}', "Li", Verdict.BROKEN, "is a Observation"),
        ("{not json}", "Li", Verdict.BROKEN, "no JSON object"),
    ],
)
def test_a_sample_that_gives_something_else_or_cannot_be_read_says_so(
    sample: str, expect: str, verdict: Verdict, told: str
) -> None:
    line = element("fn", "name.family", "Patient.name[+].family", sample=sample, expect=expect)
    found, text = verdicts(book(ELEMENT_KEY, line))["fn"]
    assert (found, told in text) == (verdict, True), text


def test_a_path_that_says_no_place_asks_for_json() -> None:
    line = element("fx", "name.given.first().upper()", "Patient.language", sample="x", expect="X")
    found, text = verdicts(book(ELEMENT_KEY, line))["fx"]
    assert (found, "write it as JSON of a Patient" in text) == (Verdict.BROKEN, True)


def test_coverage_names_columns_elements_and_codes() -> None:
    coverage = Coverage(book(*COLUMNS, *ELEMENTS))
    format_ = records.Delimited(record="people", key=("MRN",))
    content = b"MRN,Sex,Shoe Size\n1,q,42\n2,w,\n"
    context = mapping.Context("people", "REG|")
    for at, one in enumerate(records.read_records(BytesIO(content), format_)):
        coverage.take(at, one.body, context)
    raw = b'{"resourceType":"Patient","identifier":[{"system":"urn:mrn","value":"1"}],"photo":[{"url":"x"}]}'
    for one in records.read_records(BytesIO(raw), records.Ndjson(key=("identifier.value",))):
        coverage.take(2, one.body, context)
    report = coverage_report(coverage, coverage.tally)
    assert (report.messages, report.held, report.unreadable) == (3, 0, {})
    fields = {(one.kind, one.field): (one.mapped, one.ignored, one.unmapped) for one in report.fields}
    assert fields["csv:people", "people[MRN]"] == (2, 0, 0)
    assert fields["csv:people", "people[Shoe Size]"] == (0, 0, 1)
    assert fields["fhir:Patient", "Patient[photo.url]"] == (0, 0, 1)
    assert fields["fhir:Patient", "Patient[identifier.value]"] == (1, 0, 0)
    assert [(one.sender, one.table, one.code, one.count) for one in report.codes] == [("REG|", "Sex", "q", 1)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    for name, text in {
        "integration.yaml": "use: people\nparams: {zone: Europe/Berlin}\n",
        "sources/people.yaml": "kind: files\nfolder: in\npattern: '*.csv'\nformat: {type: fixed_width, record: people, "
        "key: [MRN], layout: [{name: MRN, start: 1, length: 4}, {name: Last Name, start: 5, length: 8}, "
        "{name: Born, start: 13, length: 10}, {name: Sex, start: 23, length: 1}]}\n",
        "workbook/rows.csv": table(FIELDS, *COLUMNS).replace("csv:people", "fixed:people"),
        "workbook/maps.csv": MAPS,
    }.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(text)
    return made


def test_the_commands_look_at_files_of_records(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "today.csv"
    file.write_text("   1Li      03.02.1979w\n   2Kim               q\n    broken\n")
    status = main(["workbook", "coverage", str(file), str(folder), "--json"])
    report = json.loads(capsys.readouterr().out)
    assert (status, report["messages"], report["unreadable"]) == (1, 2, {"record-key-empty": 1})
    assert [one["code"] for one in report["codes"]] == ["q"]
    assert main(["workbook", "test", str(folder), "--own"]) == 0
    capsys.readouterr()


def test_check_knows_the_columns_that_sources_describe(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = folder / "workbook" / "rows.csv"
    wrong = column("y", "Bron", "Patient.language", applies="fixed:people")
    other = column("z", "MRN", "Patient.id", "key", applies="fixed:peple", anchor="peple")
    more = table(FIELDS, wrong, other).partition("\n")[2]
    rows.write_text(rows.read_text() + more)
    assert main(["workbook", "check", str(folder), "--json"]) == 0
    found = {(one["code"], one["location"]): one for one in json.loads(capsys.readouterr().out)["findings"]}
    assert found["source-field-unknown", "rows.csv:6:4"]["hint"] == "did you mean `Born`?"
    assert found["record-unknown", "rows.csv:7:2"]["hint"] == "did you mean `fixed:people`?"


def test_the_template_for_records_passes_its_own_tests_in_each_form(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sheet holds what the CSV file holds: the same rows make the same patients of both."""
    folder = tmp_path / "registry"
    assert main(["init", str(folder), "--template", "records"]) == 0
    assert main(["workbook", "check", str(folder), "--json"]) == 0
    capsys.readouterr()
    assert main(["workbook", "test", str(folder), "--own", "--json"]) == 0
    tested = json.loads(capsys.readouterr().out)
    assert tested["passed"] == tested["tests"] > 15
    sheet = Workbook()
    with (folder / "samples" / "patients.csv").open(newline="") as file:
        for line in csv.reader(file):
            sheet.active.append(line)
    sheet.save(folder / "samples" / "patients.xlsx")
    made = {}
    for name in ("patients.csv", "patients.xlsx", "results.ndjson"):
        assert main(["map", str(folder / "samples" / name), "--folder", str(folder), "--json"]) == 0
        answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert not any(answer["exceptions"] for answer in answers)
        made[name] = [one for answer in answers for one in answer["resources"]]
    assert len(made["patients.csv"]) == 3
    assert made["patients.csv"] == made["patients.xlsx"]
    assert {one["subject"]["reference"] for one in made["results.ndjson"]} <= {
        f"Patient/{one['id']}" for one in made["patients.csv"]
    }


def test_a_row_about_records_with_the_name_of_a_row_about_messages_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = folder / "workbook" / "rows.csv"
    rows.write_text(rows.read_text() + table(FIELDS, column("pat-sex", "MRN", "Patient.language")).partition("\n")[2])
    main(["workbook", "check", str(folder), "--json"])
    found = {one["code"]: one["location"] for one in json.loads(capsys.readouterr().out)["findings"]}
    assert found["row-hides-base"] == "rows.csv:6:1"
