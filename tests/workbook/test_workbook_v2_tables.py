"""`hilum workbook import-v2-tables`: official tables become draft rows, and what does not is said with a reason."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.app.cli import main
from hilum.mapping import Row, compile_workbook, read_workbook
from hilum.workbook import read_v2_tables
from hilum.workbook.v2_conditions import Untranslatable, translate_condition
from shared_data import SHARED, needs_shared

HEAD = (
    "HL7 v2,,,,,,Condition,,,HL7 FHIR,,,,,,,,,Comments\n"
    "Sort,Identifier,Name,Type,,,ANTLR,,Narrative,Attribute,,Data Type\n"
)
CODES = (
    "HL7 v2,,,Condition (IF TRUE),,,HL7 FHIR,,,\n"
    "Code,Text,Code System,Computable ANTLR,Computable FHIRPath,Narrative,Code,,Display,Code System\n"
)
NAME = "HL7 Segment - FHIR R4_ PID[Patient] - PID.csv"


def line(field: str, type_: str, attribute: str, fhir: str, **cells: str) -> str:
    found = [""] * 18
    found[1], found[3], found[9], found[11] = field, type_, attribute, fhir
    for name, at in (("when", 6), ("prose", 8), ("mapping", 14), ("vocabulary", 15), ("assignment", 16)):
        found[at] = cells.get(name, "")
    return ",".join('"' + cell.replace('"', '""') + '"' if cell else "" for cell in found) + "\n"


def lint(*lines: str, files: tuple[tuple[str, str], ...] = ()) -> list[tuple[str, str]]:
    found = read_v2_tables([(NAME, HEAD + "".join(lines)), *files])
    return [(one.fate, one.reason) for one in found.lint]


@pytest.mark.parametrize(
    ("official", "ours"),
    [
        ("", ""),
        ("IF PID-19 VALUED", "valued(PID-19)"),
        ("IF PID-19 IS NOT VALUED", "not valued(PID-19)"),
        ('IF OBX-2 EQUALS "SN" AND OBX-5.3 IN (":", "/")', 'OBX-2 = "SN" and OBX-5.3 in (":", "/")'),
        ('IF OBX-5.1 NOT EQUALS "<>" OR OBX-5.2 IS "a"', 'OBX-5.1 != "<>" or OBX-5.2 = "a"'),
        ("IF OBX-33 COUNT>1", "count(OBX-33) > 1"),
        ("IF PID-7 LENGTH GREATER THAN 8", "length(PID-7) > 8"),
        ("IF PRT-5 AND PRT-6 AREA NOT VALUED", "(not valued(PRT-5) and not valued(PRT-6))"),
        ('IF CX.5 IS "SN"', 'PID-3.5 = "SN"'),
        ('IF PID.8 IS "F"', 'PID-8 = "F"'),
        ('IF PID-9 VALUED AND NOT "F"', 'valued(PID-9) and PID-9 != "F"'),
    ],
)
def test_a_condition_is_translated(official: str, ours: str) -> None:
    assert translate_condition(official, "PID", "PID-3", "CX") == ours


@given(st.text(alphabet='IF ANDORNTVLUE()="PID-123.,XEQS', max_size=40))
def test_a_condition_is_translated_or_said_to_be_untranslatable(text: str) -> None:
    said = ""
    try:
        translate_condition(text, "PID", "PID-3", "CX")
    except Untranslatable as error:
        said = str(error)
    assert not said or "`" in said or " " in said


def test_lines_become_rows_that_compile_with_their_origin() -> None:
    sex = f"{CODES}F,Female,HL70001,,,,female,,Female,http://hl7.org/fhir/administrative-gender\n"
    text = HEAD + "".join(
        [
            line("PID-5", "XPN", "name[1]", "HumanName"),
            line("PID-7", "DTM", "birthDate", "date", when="IF PID-7 VALUED"),
            line("PID-8", "CWE", "gender", "code", vocabulary="AdministrativeSex"),
            line("PID-23", "ST", "extension[1].url", "uri", assignment='"http://hl7.org/fhir/StructureDefinition/x"'),
            line("PID-23", "ST", "extension[1].valueString", "string"),
            line("PID", "", "active", "boolean", assignment='"true"'),
        ]
    )
    found = read_v2_tables([(NAME, text), ("HL7 Concept Map_ AdministrativeSex - Sheet1.csv", sex)])
    assert [one.fate for one in found.lint] == ["clean", "clean", "clean", "repaired", "clean", "clean"]
    book = read_workbook(
        [("rows.csv", found.rows), ("maps.csv", found.maps), ("params.csv", "param,value\nzone,UTC\n")]
    )
    compile_workbook(book)
    rows = {row.target: row for row in book.rows}
    assert rows['Patient.extension("http://hl7.org/fhir/StructureDefinition/x").valueString'].source == "PID-23"
    assert rows["Patient.gender"].map == "AdministrativeSex"
    assert rows["Patient.active"].transform == "const(true)"
    assert rows["Patient.birthDate"].when == "valued(PID-7)"
    assert {row.status for row in book.rows} == {"draft"}
    assert rows["Patient.name[+]"].origin == "v2-to-fhir PID[Patient] line 3"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (line("PID-5", "XPN", "name", "HumanName", prose="when the sender means it"), "condition-is-prose"),
        (line("PID-5", "XPN", "name", "HumanName", when="IF THE MOON SHINES"), "condition-untranslatable"),
        (line("PID-5", "XPN", "nickname", "HumanName"), "target-unknown"),
        (line("PID-5", "XPN", "$this", "HumanName"), "target-unclear"),
        (line("PID-5", "XPN", "birthDate", "date"), "datatype-unmapped"),
        (line("PID-5", "XPN", "extension[1].valueString", "string"), "extension-unnamed"),
        (line("PID-5", "XPN", "gender", "code", assignment="/as the site decides/"), "assignment-is-prose"),
        (line("PID-5", "XPN", "maritalStatus", "CodeableConcept", assignment='"M"'), "assignment-of-an-object"),
        (line("", "XPN", "name", "HumanName"), "source-missing"),
        (line("PID.5", "XPN", "name", "HumanName"), "source-unclear"),
    ],
)
def test_a_line_that_becomes_no_row_has_a_reason(bad: str, reason: str) -> None:
    assert lint(bad) == [("left-out", reason)]


@pytest.mark.parametrize(
    ("slip", "repair"),
    [
        ('identifier[1].type.coding.code="PI"', "value-in-attribute"),
        ("managingOrganization(Organization.name", "parenthesis-closed"),
    ],
)
def test_a_slip_of_the_pen_is_repaired_and_said(slip: str, repair: str) -> None:
    ((fate, reason),) = lint(line("PID-3", "ST", slip, "string"))
    assert fate == "repaired"
    assert repair in reason.split(", ")


def test_a_step_that_was_left_out_and_a_letter_case_are_repaired_where_they_can_mean_one_thing_only() -> None:
    mime = line("PID-3", "ST", "photo.contenttype", "code")
    assert lint(mime) == [("repaired", "item-named, name-corrected, code-without-map")]
    other = NAME.replace("PID[Patient]", "PID[DocumentReference]")
    text = HEAD + line("PID-3", "FT", "content[2].data", "base64Binary")
    found = read_v2_tables([(other, text)])
    assert [one.reason for one in found.lint] == ["step-put-in"]
    assert "DocumentReference.content[i2].attachment.data" in found.rows
    assert lint(line("PID-3", "ST", "maritalStatus.text.value", "string")) == [("left-out", "target-unknown")]


def rows_of(segment: str, *lines: str) -> tuple[list[Row], list[tuple[str, str]]]:
    """The rows that a segment table (`OBX[Observation]`) becomes, and the fate of each line."""
    found = read_v2_tables([(NAME.replace("PID[Patient]", segment), HEAD + "".join(lines))])
    book = read_workbook([("rows.csv", found.rows), ("params.csv", "param,value\nzone,UTC\n")])
    compile_workbook(book)
    return list(book.rows), [(one.fate, one.reason) for one in found.lint]


@pytest.mark.parametrize(
    ("table", "wrong", "right", "reason"),
    [
        ("PID[Patient]", line("PID-3", "ST", "maritalStatus.coding.value", "string"), "code", "name-corrected"),
        ("PID[Patient]", line("PID-3", "ST", "maritalStatus.coding.uri", "uri"), "system", "name-corrected"),
        ("MSH[Provenance]", line("MSH-7", "DTM", "occurred", ""), "occurredDateTime", "name-corrected"),
        ("PID[Patient]", line("PID-3", "XON", "managingOrganizaton", "Reference"), "managingOrganization", "name-cor"),
    ],
)
def test_an_element_by_another_name_is_repaired(table: str, wrong: str, right: str, reason: str) -> None:
    ((row,), ((fate, said),)) = rows_of(table, wrong)
    assert fate == "repaired"
    assert reason in said
    assert row.target.endswith(right)


@pytest.mark.parametrize(
    ("table", "cells", "source", "transform"),
    [
        ("SPM[Specimen]", ("SPM-17", "DR", "collection.collectedDateTime", "dateTime"), "SPM-17.1", "datetime"),
        ("OBR[DiagnosticReport]", ("OBR-32", "NDL", "resultsInterpreter", "Reference"), "OBR-32.1", "display"),
        ("IN1[Coverage]", ("IN1-10", "CX", "policyHolder", "Reference"), "IN1-10", "logical"),
        ("TQ1[ServiceRequest]", ("TQ1-3", "RPT", "occurrenceTiming", "Timing"), "TQ1-3", "RPT"),
        ("PRA[Practitioner]", ("PRA-6", "PLN", "identifier", "Identifier"), "PRA-6", "PLN"),
    ],
)
def test_pairs_of_datatypes_have_their_transform(
    table: str, cells: tuple[str, str, str, str], source: str, transform: str
) -> None:
    ((row,), ((fate, _),)) = rows_of(table, line(*cells))
    assert fate in ("clean", "repaired")
    assert (row.source, row.transform.partition("(")[0]) == (source, transform)


def test_the_unit_of_a_quantity_goes_into_the_row_of_its_number() -> None:
    rows, fates = rows_of(
        "OBX[Observation]",
        line("OBX-5", "varies", "valueQuantity.value", "decimal", when='IF OBX-2 EQUALS "NM"', mapping="NM[Quantity]"),
        line("OBX-5", "varies", "valueRange[1]", "Range", when='IF OBX-2 EQUALS "SN"', mapping="SN[Range]"),
        line("OBX-6", "CWE", "valueQuantity[1]", "Quantity", mapping="CWE[Quantity]"),
        line("OBX-6", "CWE", "valueRange[1].low", "SimpleQuantity", mapping="CWE[Quantity]"),
        line("OBX-7", "CWE", "component.valueQuantity", "Quantity", mapping="CWE[Quantity]"),
    )
    assert [(row.target, row.type, row.transform) for row in rows] == [
        ("Observation.valueQuantity", "NM", "quantity(unit=OBX-6)"),
        ("Observation.valueRange", "SN", "Range(unit=OBX-6)"),
    ]
    assert fates[2:] == [("repaired", "unit-joined")] * 2 + [("left-out", "datatype-unmapped")]


def test_fields_that_a_line_adds_up_are_one_text() -> None:
    sum_ = line("OBX-5", "varies", "valueString", "string", assignment='OBX-5.1+"-"+OBX-5.2')
    (row,), _ = rows_of("OBX[Observation]", sum_)
    assert (row.source, row.transform) == ('concat(OBX-5.1, "-", OBX-5.2)', "text")


def test_of_an_element_whole_and_in_parts_the_larger_number_of_lines_is_kept() -> None:
    whole = line("TQ1-3", "RPT", "occurrenceTiming", "Timing")
    parts = [
        line("TQ1-7", "DTM", f"occurrenceTiming.repeat.boundsPeriod.{end}", "dateTime") for end in ("start", "end")
    ]
    rows, fates = rows_of("TQ1[ServiceRequest]", whole, *parts)
    assert fates == [("left-out", "check-target-invalid"), ("clean", ""), ("clean", "")]
    assert len(rows) == 2


def test_an_extension_of_another_resource_takes_the_url_of_its_own_line() -> None:
    named = "generalPractitioner(Practitioner.extension[1]"
    url = line("PID-3", "ST", f"{named}.uri)", "uri", assignment='"http://example.org/x"')
    assert [fate for fate, _ in lint(url, line("PID-3", "ST", f"{named}.valueString)", "string"))] == ["repaired"] * 2


@given(st.lists(st.text(max_size=60), max_size=6))
def test_no_text_of_a_file_breaks_the_import(lines: list[str]) -> None:
    text = "\n".join(lines)
    found = read_v2_tables([(NAME, HEAD + text), (NAME, text), ("HL7 Concept Map_ X - Y.csv", text)])
    assert sum(found.counts().values()) == len(found.lint)


def test_codes_are_read_by_the_names_of_the_columns() -> None:
    narrow = CODES.replace("FHIR,,,", "FHIR,,").replace("Code,,Display", "Code,Display")
    narrow += "D,Debug,HL70103,,,,D,Debugging,http://x.test/103\nP,,,,text,,P,Plain,\nT,,,,,If so,T,Train,\n"
    found = read_v2_tables([("HL7 Concept Map_ ProcessingID - Sheet1.csv", narrow)])
    assert [one.split(",")[:6] for one in found.maps.splitlines()[1:]] == [
        ["ProcessingID", "", "D", "D", "http://x.test/103", "Debugging"]
    ]
    assert not found.unreadable


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (NAME, "", "`Attribute` as column 10 and no `Data Type` as column 12"),
        (NAME, "HL7 v2,,\nSort,Identifier,Name\n1,PID-5,Name\n", "`Attribute` as column 10"),
        (NAME, HEAD.replace("Data Type", "Type"), "no `Data Type` as column 12"),
        ("HL7 Concept Map_ X - Y.csv", "", "`Code`"),
        ("HL7 Concept Map_ X - Y.csv", CODES.replace("FHIR,,,", "FHIR?,,,") + "F,,,,,,female,,Female,\n", "`Code`"),
    ],
)
def test_a_table_without_its_columns_is_named_with_what_it_lacks(name: str, text: str, said: str) -> None:
    found = read_v2_tables([(name, text)])
    assert [(one.place, one.reason) for one in found.unreadable] == [(name, "columns-missing")]
    assert said in found.unreadable[0].detail
    assert not found.row_count + found.map_count


def test_a_file_that_is_no_csv_is_named() -> None:
    found = read_v2_tables([(NAME, HEAD + "x" * 200_000)])
    assert [one.place for one in found.unreadable] == [NAME]


def test_the_command_writes_drafts_once_and_says_when_there_are_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    (source / "binary.csv").write_bytes(b"\xff\xfe\x00")
    assert main(["workbook", "import-v2-tables", str(source), "-o", str(target)]) == 1
    told = capsys.readouterr().out
    assert "no official table" in told
    assert "binary.csv: byte 1 is not UTF-8" in told
    assert not target.exists()
    (source / NAME).write_text(HEAD + line("PID-5", "XPN", "name[1]", "HumanName"))
    assert main(["workbook", "import-v2-tables", str(source), "-o", str(target), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["clean"], report["rows"]) == (1, 1)
    assert [one["file"] for one in report["unreadable"]] == ["binary.csv"]
    before = (target / "rows-v2.csv").read_bytes()
    (target / "maps-v2.csv").unlink()  # as a kill between the files leaves it
    assert main(["workbook", "import-v2-tables", str(source), "-o", str(target)]) == 0
    (target / "rows-v2.csv").write_text("worked on")
    assert main(["workbook", "import-v2-tables", str(source), "-o", str(target)]) == 1
    assert "file-exists" in capsys.readouterr().err
    assert main(["workbook", "import-v2-tables", str(source), "-o", str(target), "--force"]) == 0
    assert (target / "rows-v2.csv").read_bytes() == before


@needs_shared
def test_most_lines_of_the_official_tables_become_rows() -> None:
    paths = sorted((SHARED / "v2-to-fhir" / "mappings").rglob("*.csv"))
    found = read_v2_tables([(path.name, path.read_text("utf-8-sig")) for path in paths])
    counts = found.counts()
    total = sum(counts.values())
    assert total > 1000
    assert (counts["clean"] + counts["repaired"]) / total >= 0.84
    assert found.row_count > 600
    assert found.map_count > 2000
    assert all(one["system"] for one in csv.DictReader(found.maps.splitlines()))
    assert not found.unreadable
