"""`hilum fhirpath` and `hilum view`, as a person types them."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hilum.app.cli import main
from hilum.app.opening import open_folder
from hilum.model import Draft, Effects

PATIENT = (
    '{"resourceType": "Patient", "id": "p1", "gender": "female", "name": [{"family": "Testcase", "given": ["Una"]}]}'
)
OBSERVATION = '{"resourceType": "Observation", "status": "final", "valueQuantity": {"value": 1.50, "code": "mg"}}'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "patient.json"
    path.write_text(PATIENT)
    return path


def answer(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_items_come_with_their_types(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fhirpath", "gender | name.given.count()", str(file), "--json"]) == 0
    assert answer(capsys) == {
        "count": 2,
        "items": [{"type": "FHIR.code", "value": "female"}, {"type": "System.Integer", "value": 1}],
    }


def test_people_get_a_table_and_no_control_signs(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(PATIENT.replace("Una", "\\u001b[2J" + "x" * 300))
    assert main(["fhirpath", "name.given", str(file)]) == 0
    out = capsys.readouterr().out
    assert "FHIR.string" in out
    assert "\x1b" not in out
    assert "(304 characters)" in out


def test_standard_input_and_decimal_text(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(OBSERVATION.encode())))
    assert main(["fhirpath", "value.value", "-", "--json"]) == 0
    assert '"value":1.50' in capsys.readouterr().out


def test_each_line_of_ndjson_is_answered_and_a_bad_one_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "all.ndjson"
    path.write_text(f"{PATIENT}\nno json\n{PATIENT}\n")
    assert main(["fhirpath", "gender", str(path), "--json"]) == 1
    said = capsys.readouterr()
    assert [json.loads(line)["place"][-2:] for line in said.out.splitlines()] == [":1", ":3"]
    assert "all.ndjson:2" in said.err
    assert "fhir-json-invalid" in said.err


@pytest.mark.parametrize(
    ("text", "said"),
    [("nmae", "did you mean `name`"), ("name.", "1:6 fhirpath-syntax"), ("name.where(", "fhirpath-syntax")],
)
def test_a_wrong_expression_says_where_and_what(
    text: str, said: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fhirpath", text, str(file)]) == 1
    assert said in capsys.readouterr().err


def test_a_part_of_a_resource_needs_its_type(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "name.json"
    path.write_text('{"family": "Testcase"}')
    assert main(["fhirpath", "family", str(path)]) == 1
    assert "say its type with --type" in capsys.readouterr().err
    assert main(["fhirpath", "family", str(path), "--type", "HumanName"]) == 0


def test_lenient_takes_an_unknown_name_as_empty(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fhirpath", "nmae", str(file), "--lenient"]) == 0
    assert "the result is empty" in capsys.readouterr().out


def test_the_views_that_ship_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["view", "list", "--json"]) == 0
    found = {one["name"]: one for one in answer(capsys)["views"]}
    assert found["patients"]["resource"] == "Patient"
    assert len(found) == 6


def test_a_view_over_a_folder_of_files(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("duckdb")
    (tmp_path / "Patient.ndjson").write_text(PATIENT + "\n")
    output = tmp_path / "patients.csv"
    assert main(["view", "run", "patients", "--from", str(tmp_path), "-o", str(output), "--json"]) == 0
    assert answer(capsys)["rows"] == 1
    with output.open(newline="") as lines:
        assert [row["family"] for row in csv.DictReader(lines)] == ["Testcase"]


def test_a_view_over_an_integration_folder_reads_its_repository_and_is_audited(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("duckdb")
    folder = tmp_path / "folder"
    (folder / "sources").mkdir(parents=True)
    (folder / "integration.yaml").write_text("use: test\nparams: {zone: UTC}\n")
    (folder / "sources" / "adt.yaml").write_text("kind: mllp\nport: 0\n")
    names = msgspec.Raw(msgspec.json.encode([{"family": "Testcase"}]))
    drafts = [Draft("Patient", f"p{number}", {"name": names}) for number in range(1201)]
    drafts.append(Draft("Organization", "o1", {"name": msgspec.Raw(b'"Other"')}))
    with open_folder(folder, create=True) as opened:
        effects = Effects(seq=1, partition=0, at=1_700_000_000_000_000, drafts=drafts)
        asyncio.run(opened.repository.apply([effects], {0: 1}))
    output = tmp_path / "out.parquet"
    assert main(["view", "run", "patients", "--from", str(folder), "-o", str(output)]) == 0
    assert "1,201 rows of 19 columns" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"folder", "out.parquet"}
    with open_folder(folder) as opened:
        rows = [event for _, event in opened.journal.audits() if event.action == "view"]
    assert [row.target for row in rows] == ["Patient"]


def test_a_view_says_what_it_cannot_do(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["view", "run", "patients", "--from", str(file), "-o", str(tmp_path / "out.csv")]) == 1
    assert "view-no-input" in capsys.readouterr().err
    assert main(["view", "run", "patients", "--from", str(file), "-o", str(tmp_path / "out.xlsx")]) == 2
    assert "--to" in capsys.readouterr().err
    assert main(["view", "run", "patients", "--from", str(file), "-o", str(tmp_path / "no" / "out.csv")]) == 2
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"resource": "Patient", "select": [{"column": [{"name": "a", "path": "nmae"}]}]}')
    assert main(["view", "check", str(wrong)]) == 1
    said = capsys.readouterr().err
    assert "$.select[0].column[0].path fhirpath-semantic" in said
    assert "did you mean `name`" in said


def test_a_view_that_is_right_shows_its_columns_or_its_sql(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["view", "check", "coverage"]) == 0
    assert "18 columns of Coverage" in capsys.readouterr().out
    assert main(["view", "check", "coverage", "--sql", "--json"]) == 0
    assert answer(capsys)["sql"].startswith("SELECT ")
