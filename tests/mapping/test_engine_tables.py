"""Reading tables: every finding at once, placed; overlays by key."""

from pathlib import Path

import engine_kit as kit
import pytest

from hilum import mapping
from hilum.errors import ConfigError
from hilum.mapping.lookup import CodeMaps
from hilum.model import Severity


def findings(*rows: str, **tables: str) -> list[str]:
    try:
        return [str(finding) for finding in kit.plan(*rows, **tables).findings]
    except ConfigError as error:
        return [str(finding) for finding in error.findings]


def test_every_finding_of_every_table_is_told_at_once_with_file_row_and_column() -> None:
    told = findings(
        "a,,PID,PID-,ST,,Patient.birthDate,text,,,,,,,",
        "b,,PID,PID-5,XPN,PID-8 =,Patient.name[+],XPM,,,,,,,",
        "b2,,PID,PID-8,ID,,Patient.gender,codee,Sex,,,,,,",
        "c,,PID,PID-8,ID,,Patient.gender,code,Sx,perhaps,,,,,",
        namespaces="sender,authority,system\n,HOSP,\n",
        ignores="field,reson\nPID-1,x\n",
    )
    assert any(line.startswith("rows.csv:3:4 source-invalid") for line in told)
    assert any(line.startswith("rows.csv:4:6 when-invalid") for line in told)
    assert any("rows.csv:5:8 transform-unknown" in line and "did you mean `code`?" in line for line in told)
    assert any("rows.csv:6:9 map-unknown" in line and "did you mean `Sex`?" in line for line in told)
    assert any(line.startswith("rows.csv:6:10 policy-unknown") for line in told)
    assert any(line.startswith("namespaces.csv:2:3 cell-missing") for line in told)
    assert any("ignores.csv:1:2 column-unknown" in line and "did you mean `reason`?" in line for line in told)


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("r,,PID,PID-5,XPN,,Patient.nome[+],XPN,,,,,,,", "target-unknown"),
        ("r,,PID,PID-5,XPN,,Patient.name,XPN,,,,,,,", "target-invalid"),
        ("r,,PID,PID-7,DTM,,Patient.birthDate[+],date,,,,,,,", "target-invalid"),
        ("r,,PID,PID-7,DTM,,Patient.birthDate,key,,,,,,,", "transform-invalid"),
        ("r,,PID,,,,Patient.gender,text,,,,,,,", "source-invalid"),
        ("r,,PID,@.1,ST,,Patient.gender,text,,,,,,,", "source-invalid"),
        ("r,,PID,PID-8,ID,,Patient.gender,code,,,,,,,", "map-unknown"),
        ("r,,PID,,,,Patient.gender,const(x),,,,,,,", "transform-invalid"),
        ("r,,PID,,,,Patient.gender,const({nope}),,,,,,,", "transform-invalid"),
        ("r,,PID,,,,Patient.gender,ref(patient),,,,,,,", "transform-invalid"),
        ('r,,PID,PID-8,ID,"matches(PID-8, ""("")",Patient.gender,text,,,,,,,', "when-invalid"),
        ("r,,PID,PID-8,ID,about(PID-8),Patient.gender,text,,,,,,,", "when-invalid"),
        ("r,,PID,PID-7,DTM,,Patient.birthDate,datetime(zone=param.zonee),,,,,,,", "param-unknown"),
        ("r,ADT,PID^,PID-8,ID,,Patient.gender,text,,,,,,,", "anchor-invalid"),
        ("r,every ADT,PID,PID-8,ID,,Patient.gender,text,,,,,,,", "applies-invalid"),
    ],
)
def test_a_cell_that_cannot_be_used_is_a_finding(row: str, code: str) -> None:
    assert any(code in line for line in findings(row)), findings(row)


def test_compiling_fails_while_a_used_parameter_is_unset() -> None:
    row = "r,,PID,PID-7,DTM,,Patient.deceasedDateTime,datetime(zone=param.zone),,,,,,,"
    with pytest.raises(ConfigError) as caught:
        kit.plan(row, params="param,value\nzone,\n")
    assert [finding.code for finding in caught.value.findings] == ["param-unset"]
    assert kit.plan(params="param,value\nzone,\n")  # unused: nobody misses it


def test_a_zone_that_does_not_exist_is_a_finding() -> None:
    told = findings(params="param,value\nzone,Europe/Atlantis\n")
    assert told == ["params.csv:2:2 zone-unknown `Europe/Atlantis` is no IANA time zone"]


def test_two_rows_that_want_an_element_to_be_two_things_are_a_finding() -> None:
    rows = (
        "a,,PV1,PV1-44,DTM,,Encounter.period.start,datetime(zone=param.zone),,,,,,,",
        "b,,PV1,PV1-45,DTM,,Encounter.period,datetime(zone=param.zone),,,,,,,",
    )
    assert any("target-invalid" in line for line in findings(*rows))


def test_the_same_row_twice_in_one_layer_is_a_finding() -> None:
    row = "a,,PID,PID-8,ID,,Patient.gender,code,Sex,,,,,,"
    assert findings(row, row) == ["rows.csv:4:1 line-twice `a` is already at rows.csv:3"]


def test_a_status_that_nobody_knows_is_a_finding_in_every_table() -> None:
    """A map entry that says Retired would go on running."""
    told = findings(maps="map,code,target,status\nSex,M,male,Retired\n")
    assert any(line.startswith("maps.csv:2:4 status-unknown") for line in told)


def test_a_code_in_another_case_goes_to_the_closest_entry() -> None:
    base = [("maps.csv", "map,code,target\nSex,MALE,male\nSex,Female,female\n")]
    book = mapping.read_workbook(base, [("maps.csv", "map,sender,code,target\nSex,LAB | NORTH,male,other\n")])
    for sender, code, target in [
        ("LAB|NORTH", "Male", "other"),
        ("LAB|NORTH", "MALE", "male"),
        ("LAB|NORTH", "FEMALE", "female"),
        ("LAB|SOUTH", "Male", "male"),
    ]:
        found = CodeMaps(book.maps, sender).find("Sex", code)
        assert found is not None
        assert found.target == target


def test_a_code_in_another_case_goes_to_the_entry_of_the_site() -> None:
    site = [("maps.csv", "map,code,target\nSex,male,other\n")]
    book = mapping.read_workbook([("maps.csv", "map,code,target\nSex,MALE,male\n")], site)
    found = CodeMaps(book.maps, "LAB|NORTH").find("Sex", "Male")
    assert found is not None
    assert found.target == "other"


def test_a_file_that_is_no_table_or_no_csv_is_a_finding() -> None:
    book = mapping.read_workbook([("row.csv", "x"), ("rows.csv", 'row_id,anchor\na,"open\n')])
    assert sorted(finding.code for finding in book.findings) == ["table-unknown", "table-unreadable"]


BASE = [
    (
        "rows.csv",
        f"{kit.HEADER}\n{kit.PATIENT}\nsex,,PID,PID-8,ID,,Patient.gender,code,Sex,,,,,,\nname,,PID,PID-5,XPN,,Patient.name[+],XPN,,,,,,,",
    ),
    ("maps.csv", "map,sender,code,target\nSex,,F,female\nSex,,X,other\n"),
    ("params.csv", "param,value,inspection\nzone,,UTC\n"),
    ("namespaces.csv", kit.NAMESPACES),
]
SITE = [
    ("rows-own.csv", "row_id,anchor,target,status\nname,PID,Patient.name[+],retired\n# a note\n\n"),
    ("maps.csv", "map,sender,code,target\nSex,,X,unknown\nSex,APP|FAC,F,other\n"),
    ("params.csv", "param,value\nzone,Europe/Berlin\n"),
]


def test_a_site_overrides_by_key_retires_and_adds() -> None:
    book = mapping.read_workbook(BASE, SITE)
    assert not book.findings
    assert [row.row_id for row in book.rows] == ["pat-key", "sex"]
    assert book.param("zone") == "Europe/Berlin"
    compiled = mapping.compile_workbook(book)
    assert kit.one(kit.run(compiled, "PID|||7^^^HOSP||N^A|||F"))["gender"] == "other"  # the interface before the site
    assert kit.one(kit.run(compiled, "PID|||7^^^HOSP|||||X"))["gender"] == "unknown"  # the site before the base
    assert kit.one(kit.run(compiled, "PID|||7^^^HOSP|||||F", sender="B|FAC"))["gender"] == "female"


def test_without_a_site_the_inspection_values_serve_and_unknown_authorities_are_local() -> None:
    book = mapping.read_workbook(BASE, inspection=True)
    assert book.param("zone") == "UTC"
    found = kit.one(kit.run(mapping.compile_workbook(book), "PID|||7^^^NEW HOSP"))
    assert found["id"] == mapping.resource_id("Patient", "urn:hilum:ns:NEW%20HOSP", "7")


def test_a_folder_of_tables_is_read_from_its_workbook_folder(tmp_path: Path) -> None:
    (tmp_path / "workbook").mkdir()
    (tmp_path / "workbook" / "params.csv").write_text("param,value\nzone,Europe/Berlin\n", "utf-8-sig")
    (tmp_path / "workbook" / "ignores.csv").write_bytes(b"field,reason\nPID-2,\xff\n")
    (tmp_path / "stray.csv").write_text("not,a table\n")
    book = mapping.load_workbook(tmp_path)
    assert book.param("zone") == "Europe/Berlin"
    assert [str(finding).split(" ")[:2] for finding in book.findings] == [["ignores.csv:2:2", "table-unreadable"]]
    assert all(finding.severity is Severity.ERROR for finding in book.findings)
