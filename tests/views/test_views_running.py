"""Running views: what is written, what is refused, and what is left on the disk."""

from __future__ import annotations

import csv
import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from hilum.errors import ConfigError, HilumError, NotFound
from hilum.views import (
    compile_view,
    load_view,
    private_folder,
    read_view,
    resource_files,
    run_view,
    starter_views,
)

duckdb = pytest.importorskip("duckdb")
PATIENTS = [
    {
        "resourceType": "Patient",
        "id": "p1",
        "birthDate": "1974-12-25",
        "name": [
            {"use": "usual", "given": ["Uni"]},
            {"use": "official", "family": "O'Test", "given": ["Una", None, "M"]},
        ],
        "telecom": [{"system": "phone", "value": "555-0100"}],
        "deceasedBoolean": False,
    },
    {"resourceType": "Patient", "id": "p2", "name": [{"family": "Other"}], "deceasedDateTime": "2026-03-01T08:30:00Z"},
    {"resourceType": "Organization", "id": "o1", "name": "Not a patient"},
]


def column(name: str, path: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "path": path, **more}


def view(*columns: dict[str, Any], resource: str = "Patient", **more: Any) -> Any:
    return {"resource": resource, "select": [{"column": list(columns)}], **more}


def lines(folder: Path, resources: list[Any], name: str = "resources.ndjson") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(one) + "\n" for one in resources))
    return path


def run(definition: Any, source: Path, output: Path, form: str = "csv", table: str = "t") -> int:
    with private_folder(output) as work:
        return run_view(read_view(definition), [source], output, form, work=work, table=table).rows


def table(definition: Any, folder: Path, resources: list[Any] = PATIENTS) -> list[dict[str, str]]:
    output = folder / "out.csv"
    run(definition, lines(folder, resources), output)
    with output.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("name.where(use = 'official').family", ["O'Test", ""]),
        ("name.where(family = 'O\\'Test').exists()", ["true", "false"]),
        ("name.given.join(' ')", ["Uni Una M", ""]),
        ("name.first().given.first()", ["Uni", ""]),
        ("name.last().family", ["O'Test", "Other"]),
        ("name.given.count()", ["3", "0"]),
        ("deceased.ofType(boolean)", ["false", ""]),
        ("deceased.exists()", ["true", "true"]),
        ("deceased is dateTime", ["false", "true"]),
        ("birthDate < @1980-01", ["true", ""]),
        ("birthDate >= @1974-12-25", ["true", ""]),
        ("birthDate = @1974", ["", ""]),
        ("id in ('p1' | 'x')", ["true", "false"]),
        ("name.family contains 'Other'", ["false", "true"]),
        ("iif(birthDate.exists(), 'known', 'unknown')", ["known", "unknown"]),
        ("telecom.all(system = 'phone')", ["true", "true"]),
        ("id.upper() & '-' & birthDate", ["P1-1974-12-25", "P2-"]),
        ("id.substring(1).toInteger() + 1", ["2", "3"]),
        ("(id = 'p1') implies birthDate.exists()", ["true", "true"]),
        ("name.select(given.first()).first()", ["Uni", ""]),
        ("name.skip(1).family.first()", ["O'Test", ""]),
        ("id.matches('^p[0-9]$') and id.length() = 2", ["true", "true"]),
        ("-(id.substring(1).toInteger()) * 2.5", ["-2.5", "-5.0"]),
        ("7 div 2 + 7 mod 2", ["4", "4"]),
        ("1.5.round(0) > 1", ["true", "true"]),
        ("%resource.id", ["p1", "p2"]),
        ("name.where($this.use = 'usual').given.first()", ["Uni", ""]),
    ],
)
def test_a_path_gives_in_sql_what_it_gives_in_fhirpath(path: str, wanted: list[str], tmp_path: Path) -> None:
    assert [row["x"] for row in table(view(column("id", "id"), column("x", path)), tmp_path)] == wanted


def test_only_resources_of_the_type_become_rows(tmp_path: Path) -> None:
    assert [row["id"] for row in table(view(column("id", "id")), tmp_path)] == ["p1", "p2"]


def test_a_part_of_a_resource_is_written_as_json_and_a_list_too(tmp_path: Path) -> None:
    found = table(view(column("name", "name.first()"), column("given", "name.given", collection=True)), tmp_path)
    assert json.loads(found[0]["name"]) == PATIENTS[0]["name"][0]  # type: ignore[index]
    assert json.loads(found[0]["given"]) == ["Uni", "Una", "M"]


def asks(ansi: str) -> dict[str, Any]:
    return {"tag": [{"name": "ansi/type", "value": ansi}, {"name": "other/hint", "value": "x"}]}


RESULT = {
    "resourceType": "Observation",
    "id": "o1",
    "effectiveDateTime": "2026-03-01T08:30:00+01:00",
    "valueQuantity": {"value": 0.1},
    "referenceRange": [{"low": {"value": 4}, "high": {"value": 12.25}}, {"high": {"value": 1e2}}],
}
VALUE = "value.ofType(Quantity).value"


def test_a_tag_gives_a_column_its_sql_type(tmp_path: Path) -> None:
    definition = view(
        column("v", VALUE, type="decimal", **asks("decimal( 18 , 4 )")),
        column("w", f"{VALUE} + 0.2", **asks("NUMERIC(5,1)")),
        column("all", "referenceRange.high.value", collection=True, **asks("DECIMAL(9,2)")),
        column("low", "referenceRange.low.value", **asks("SMALLINT")),
        column("at", "effective.ofType(dateTime)", **asks("TIMESTAMP")),
        column("id", "id", **asks("CHARACTER VARYING(10)")),
        column("none", "code.text", **asks("DATE")),
        resource="Observation",
    )
    run(definition, lines(tmp_path, [RESULT]), tmp_path / "t.duckdb", "duckdb")
    with duckdb.connect(str(tmp_path / "t.duckdb")) as opened:
        types = [str(row[1]) for row in opened.execute("DESCRIBE t").fetchall()]
        row = [str(one) for one in opened.execute("SELECT * FROM t").fetchone()]
    wanted = ["DECIMAL(18,4)", "DECIMAL(5,1)", "DECIMAL(9,2)[]", "SMALLINT", "TIMESTAMP", "VARCHAR", "DATE"]
    assert types == wanted
    assert row[:2] == ["0.1000", "0.3"]
    assert row[2] == "[Decimal('12.25'), Decimal('100.00')]"
    assert row[3:] == ["4", "2026-03-01 07:30:00", "o1", "None"]


@pytest.mark.parametrize(
    ("path", "ansi"),
    [
        (VALUE, "DECIMAL(9,0)"),
        (VALUE, "INTEGER"),
        ("referenceRange.high.value", "DECIMAL(4,3)"),
        ("effective.ofType(dateTime)", "DATE"),
        ("id", "VARCHAR(1)"),
        ("id", "BOOLEAN"),
        ("'2026'", "TIMESTAMP"),
    ],
)
def test_a_value_that_does_not_fit_is_an_error_and_is_never_cut(path: str, ansi: str, tmp_path: Path) -> None:
    definition = view(column("v", path, collection=True, **asks(ansi)), resource="Observation")
    with pytest.raises(HilumError) as raised:
        run(definition, lines(tmp_path, [RESULT]), tmp_path / "out.csv")
    assert (raised.value.code, list(tmp_path.glob("out.csv"))) == ("view-value-unfit", [])
    assert "column v" in str(raised.value)


def test_a_column_of_several_values_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    output.write_text("before")
    with pytest.raises(HilumError) as raised:
        run(view(column("given", "name.given")), lines(tmp_path, PATIENTS), output)
    assert raised.value.code == "view-several-values"
    assert "Una" not in str(raised.value)
    assert output.read_text() == "before"


def test_a_line_that_is_no_json_is_named_without_its_content(tmp_path: Path) -> None:
    source = lines(tmp_path, PATIENTS)
    source.write_text(source.read_text() + '{"resourceType": "Patient", "name": SECRET}\n')
    with pytest.raises(HilumError) as raised:
        run(view(column("id", "id")), source, tmp_path / "out.csv")
    assert raised.value.code == "view-bad-data"
    assert "resources.ndjson" in raised.value.location
    assert "SECRET" not in str(raised.value)


def test_the_output_is_private_and_nothing_else_stays(tmp_path: Path) -> None:
    source = lines(tmp_path, PATIENTS)
    left = tmp_path / ".hilum-view-999999999-killed"
    left.mkdir()
    (left / "Patient.ndjson").write_text("patients of a run that was killed")
    output = tmp_path / "out.parquet"
    assert run(view(column("id", "id")), source, output, "parquet") == 2
    assert output.stat().st_mode & 0o777 == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"resources.ndjson", "out.parquet"}


def test_a_duckdb_file_keeps_its_other_tables(tmp_path: Path) -> None:
    source, output = lines(tmp_path, PATIENTS), tmp_path / "out.duckdb"
    run(view(column("id", "id")), source, output, "duckdb", "one")
    run(view(column("id", "id"), where=[{"path": "id = 'p2'"}]), source, output, "duckdb", "two")
    run(view(column("key", "getResourceKey()")), source, output, "duckdb", "one")
    with duckdb.connect(str(output), read_only=True) as connection:
        assert connection.sql("SELECT * FROM one ORDER BY 1").fetchall() == [("Patient/p1",), ("Patient/p2",)]
        assert connection.sql("SELECT * FROM two").fetchall() == [("p2",)]


def test_compressed_lines_and_parquet_are_read(tmp_path: Path) -> None:
    raw = lines(tmp_path, PATIENTS).read_bytes()
    packed = tmp_path / "packed.ndjson.gz"
    packed.write_bytes(gzip.compress(raw))
    columns = tmp_path / "columns.parquet"
    rows = f"SELECT json::VARCHAR AS resource FROM read_ndjson_objects('{tmp_path}/resources.ndjson')"
    duckdb.sql(f"COPY ({rows}) TO '{columns}'")
    for source in (packed, columns):
        assert run(view(column("id", "id")), source, tmp_path / "out.csv") == 2


def test_a_parquet_file_without_resources_is_refused(tmp_path: Path) -> None:
    duckdb.sql(f"COPY (SELECT 1 AS number) TO '{tmp_path}/other.parquet'")
    with pytest.raises(HilumError, match="view-bad-data"):
        run(view(column("id", "id")), tmp_path / "other.parquet", tmp_path / "out.csv")


def test_duckdb_reaches_no_other_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    source = lines(tmp_path, PATIENTS)
    from hilum.views import engine

    with (
        private_folder(tmp_path / "out.csv") as work,
        duckdb.connect(":memory:", config=engine._settings(work)) as connection,
    ):
        engine._prepare(connection, [source], work)
        for statement in (f"SELECT * FROM read_text('{secret}')", "SET threads = 4", "INSTALL httpfs", "LOAD httpfs"):
            with pytest.raises(duckdb.Error):
                connection.execute(statement).fetchall()


def test_without_duckdb_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(HilumError, match=r"hilum\[batch\]") as raised:
        run(view(column("id", "id")), lines(tmp_path, PATIENTS), tmp_path / "out.csv")
    assert raised.value.code == "view-no-duckdb"


def test_every_view_that_ships_is_compiled_and_runs_on_nothing(tmp_path: Path) -> None:
    found = starter_views()
    assert set(found) == {"patients", "encounters", "observations", "conditions", "medications", "coverage"}
    for name, one in found.items():
        output = tmp_path / f"{name}.csv"
        with private_folder(output) as work:
            done = run_view(one, [lines(tmp_path, PATIENTS)], output, "csv", work=work, table=name)
        assert done.columns == one.columns
        assert done.rows == (2 if name == "patients" else 0)


def test_observations_and_their_components_are_rows(tmp_path: Path) -> None:
    quantity = {"value": 107, "unit": "mmHg", "code": "mm[Hg]"}
    coded = {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]}
    observation = {
        "resourceType": "Observation",
        "id": "bp",
        "status": "final",
        "code": {"text": "Blood pressure"},
        "subject": {"reference": "https://ehr.example.org/fhir/Patient/p1/_history/3"},
        "component": [{"code": coded, "valueQuantity": quantity}, {"code": coded, "valueString": "low"}],
    }
    source, output = lines(tmp_path, [observation]), tmp_path / "out.csv"
    with private_folder(output) as work:
        run_view(load_view("observations"), [source], output, "csv", work=work, table="t")
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["component_index"], row["code_code"], row["value"], row["value_text"]) for row in rows] == [
        ("", "", "", ""),
        ("0", "8480-6", "107.0", ""),
        ("1", "8480-6", "", "low"),
    ]
    assert {row["patient_key"] for row in rows} == {"Patient/p1"}


def test_a_repeat_that_goes_too_deep_is_an_error_and_no_cut_table(tmp_path: Path) -> None:
    item: dict[str, Any] = {"linkId": "end"}
    for number in range(70):
        item = {"linkId": str(number), "item": [item]}
    deep = {"resourceType": "QuestionnaireResponse", "status": "completed", "item": [item]}
    definition = {
        "resource": "QuestionnaireResponse",
        "select": [{"repeat": ["item"], "column": [column("link", "linkId")]}],
    }
    with pytest.raises(HilumError) as raised:
        run(definition, lines(tmp_path, [deep]), tmp_path / "out.csv")
    assert raised.value.code == "view-repeat-too-deep"


def test_files_of_a_folder_are_picked_by_type(tmp_path: Path) -> None:
    for name in ("Patient.ndjson", "Patient-2.ndjson.gz", "Observation.ndjson", "all.ndjson", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in resource_files(tmp_path, "Patient")] == [
        "Patient-2.ndjson.gz",
        "Patient.ndjson",
        "all.ndjson",
    ]
    with pytest.raises(NotFound, match="view-no-input"):
        resource_files(tmp_path / "notes.txt", "Patient")
    (tmp_path / "all.ndjson").unlink()
    with pytest.raises(NotFound, match="view-no-input"):
        resource_files(tmp_path, "Coverage")


def test_a_view_that_does_not_ship_is_told_with_the_near_miss() -> None:
    with pytest.raises(NotFound, match="did you mean `patients`"):
        load_view("patient")


@pytest.mark.parametrize(
    ("definition", "findings"),
    [
        ([], {("view-wrong-shape", "$")}),
        ({}, {("view-missing", "$.resource"), ("view-missing", "$.select")}),
        (
            {"resource": "Patent", "select": [{}]},
            {("view-unknown-resource", "$.resource"), ("view-missing", "$.select[0]")},
        ),
        (view(column("1st", "id")), {("view-bad-name", "$.select[0].column[0].name")}),
        (view(column("a", "id"), column("a", "id")), {("view-duplicate", "$.select[0].column[1].name")}),
        (view(column("a", "id", typ="id")), {("view-unknown-key", "$.select[0].column[0].typ")}),
        (view(column("a", "id", type="ID")), {("view-unknown-type", "$.select[0].column[0].type")}),
        (view(column("a", "id", **asks("TEXT"))), {("view-unknown-type", "$.select[0].column[0].tag")}),
        (view(column("a", "id", **asks("DECIMAL(4,9)"))), {("view-unknown-type", "$.select[0].column[0].tag")}),
        (view(column("a", "id", tag="DATE")), {("view-wrong-shape", "$.select[0].column[0].tag")}),
        (view(column("a", "name", **asks("VARCHAR"))), {("view-unsupported", "$.select[0].column[0].tag")}),
        (view(column("a", "nmae")), {("fhirpath-semantic", "$.select[0].column[0].path")}),
        (view(column("a", "deceased")), {("view-unsupported", "$.select[0].column[0].path")}),
        (view(column("a", "name ~ name")), {("view-unsupported", "$.select[0].column[0].path")}),
        (view(column("a", "id"), where=[{"path": "name.family"}]), {("view-unsupported", "$.where[0].path")}),
        (view(column("a", "%b"), constant=[{"name": "a"}]), {("view-constant", "$.constant[0]")}),
        (
            {
                "resource": "Patient",
                "select": [{"forEach": "name", "repeat": ["contact"], "column": [column("a", "id")]}],
            },
            {("view-two-loops", "$.select[0]")},
        ),
        (
            {
                "resource": "Patient",
                "select": [{"unionAll": [{"column": [column("a", "id")]}, {"column": [column("b", "id")]}]}],
            },
            {("view-union-columns", "$.select[0].unionAll[1]")},
        ),
    ],
)
def test_everything_wrong_with_a_view_is_told_with_its_place(definition: Any, findings: set[tuple[str, str]]) -> None:
    with pytest.raises(ConfigError) as raised:
        compile_view(read_view(definition), "source")
    assert {(one.code, one.location) for one in raised.value.findings} == findings


def test_selects_that_nest_too_deep_are_refused() -> None:
    select: dict[str, Any] = {"column": [column("a", "id")]}
    for _ in range(12):
        select = {"select": [select]}
    with pytest.raises(ConfigError) as raised:
        read_view({"resource": "Patient", "select": [select]})
    assert "view-too-deep" in {one.code for one in raised.value.findings}
