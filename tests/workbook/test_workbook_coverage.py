"""`hilum workbook coverage`: every valued field is counted once, and codes without a map are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hilum.app.cli import main
from hilum.formats import hl7v2
from hilum.mapping import Context, base_files, compile_workbook, read_workbook
from hilum.workbook import Coverage, CoverageReport, CoverageTally, coverage_report
from hilum.workbook.coverage_report import candidates

PARAMS = {"zone": "America/Chicago", "unknown_namespace": "local"}
BASE = read_workbook(base_files())
HEAD = "MSH|^~\\&|APP|FAC|X|Y|20240102030405+0100||{kind}|C1|P|2.5.1\rPID|1||7^^^HOSP^MR||Doe^Jo||1970|{sex}\r"


def message(*segments: str, kind: str = "ADT^A01", sex: str = "F") -> bytes:
    return (HEAD.format(kind=kind, sex=sex) + "\r".join(segments)).encode()


def report(*bodies: bytes) -> CoverageReport:
    coverage = Coverage(BASE, PARAMS)
    for at, body in enumerate(bodies):
        coverage.take(at, body, Context("test", "APP|FAC"))
    return coverage_report(coverage, coverage.part())


def test_valued_fields_are_those_of_the_accounting() -> None:
    bodies = [message("PV1|1|I", "ZPI|a|b"), message("OBR|1||F^L|1^A^L", "OBX|1|NM|2^B^L||3||||||F", kind="ORU^R01")]
    found = report(*bodies)
    plan = compile_workbook(BASE, params=PARAMS)
    accounts = [plan.run(hl7v2.parse(body), Context("test", "APP|FAC")).accounting for body in bodies]
    assert found.valued == sum(one.valued for one in accounts)
    assert (found.mapped, found.ignored, found.unmapped) == (
        sum(one.mapped for one in accounts),
        sum(one.ignored for one in accounts),
        sum(one.exceptions for one in accounts),
    )
    left = {one.field: one.unmapped for one in found.fields if one.unmapped}
    assert left.keys() >= {"ZPI-1", "ZPI-2"}


def test_a_code_without_a_map_is_counted_by_sender_with_what_it_is_called() -> None:
    found = report(message(sex="FML^Femal"), message(sex="FML^Femal"), message("PV1|1|ZZ"))
    sex = next(one for one in found.codes if one.code == "FML")
    assert (sex.sender, sex.table, sex.text, sex.count, sex.samples) == (
        "APP|FAC",
        "AdministrativeSex",
        "Femal",
        2,
        (0, 1),
    )
    assert "female Female" in sex.candidates
    assert any(one.code == "ZZ" for one in found.codes)
    assert not [one for one in found.codes if one.code == "F"]
    assert found.held == 1
    assert [one.why for one in found.kinds] == ["code-unmapped"]


def test_messages_that_cannot_be_read_are_counted_by_code() -> None:
    found = report(b"nothing", b"MSH|", message())
    assert found.messages == 1
    assert sum(found.unreadable.values()) == 2


def test_parts_add_up_to_the_same_report() -> None:
    bodies = [message(sex=sex) for sex in ("F", "Q", "Q", "W")]
    coverage = Coverage(BASE, PARAMS)
    total = CoverageTally()
    for at, body in reversed(list(enumerate(bodies))):
        coverage.take(at, body, Context("test", "APP|FAC"))
        total.merge(coverage.part())
    assert coverage_report(coverage, total) == report(*bodies)


def test_numbers_that_look_alike_are_no_candidates() -> None:
    targets = {"2106-3": "2106-3 White", "white": "2106-3 White", "other": "O Other"}
    assert candidates(targets, "2026-3", "") == ()
    assert candidates(targets, "x", "whit") == ("2106-3 White",)


def test_the_command_looks_at_files_and_says_when_there_is_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "ehr.yaml").write_text("kind: mllp\nport: 12575\n")
    (tmp_path / "integration.yaml").write_text("use: t\nparams: {zone: UTC, unknown_namespace: local}\n")
    one = tmp_path / "one.hl7"
    one.write_bytes(message("ZPI|secret"))
    assert main(["workbook", "coverage", str(one), str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "ZPI-1" in said
    assert "secret" not in said
    assert main(["workbook", "coverage", str(one), str(tmp_path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["messages"] == 1
    one.write_bytes(b"nothing")
    assert main(["workbook", "coverage", str(one), str(tmp_path)]) == 1
    assert "nothing-covered" in capsys.readouterr().err
    assert main(["workbook", "coverage", str(tmp_path)]) == 1
    assert "store-absent" in capsys.readouterr().err
