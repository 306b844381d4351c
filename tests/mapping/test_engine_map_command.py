"""`hilum map`: one JSON object per message, and an exit status that tells."""

import json
from pathlib import Path

import pytest

from hilum.app.commands.map import command

ADT = (
    b"MSH|^~\\&|APP|FAC|X|Y|20240102030405+0100||ADT^A01|C1|P|2.5.1\rEVN|A01|20240102\r"
    b"PID|1||7^^^FAC^MR||Doe^Jo||1979|F\rPV1|1|I|W^1^B|||||||||||||||||V1^^^FAC^VN"
)
HELD = ADT.replace(b"|I|", b"|ZZ|")


def answer(capsys: pytest.CaptureFixture[str], *files: Path, **options: bool | Path) -> tuple[int, list[dict]]:  # type: ignore[type-arg]
    status = command(*files, json=True, **options)  # type: ignore[arg-type]
    return status, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_each_message_is_one_json_object_with_whole_resources(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.hl7"
    file.write_bytes(ADT)
    status, (found,) = answer(capsys, file)
    assert status == 0
    assert (found["file"], found["index"], found["kind"], found["held"]) == (str(file), 1, "ADT^A01", None)
    types = [resource["resourceType"] for resource in found["resources"]]
    assert {"Patient", "Encounter", "Provenance"} <= set(types)
    counts = found["accounting"]
    assert counts["valued"] == counts["mapped"] + counts["ignored"] + counts["exceptions"]
    assert all(resource["id"] for resource in found["resources"])


def test_a_message_that_would_be_held_is_told_and_the_status_is_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "a.hl7", tmp_path / "b.hl7"
    good.write_bytes(ADT)
    bad.write_bytes(HELD)
    status, found = answer(capsys, good, bad)
    assert status == 1
    assert [one["disposition"] for one in found][1] == "hold"
    assert found[1]["held"]["location"] == "PV1-2"


def test_what_is_no_message_is_refused_and_not_mapped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.hl7"
    file.write_bytes(b"hello\x00\xff")
    status, (found,) = answer(capsys, file)
    assert status == 1
    assert found["disposition"] in ("AE", "AR")
    assert found["resources"] == []


def test_a_trace_can_be_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.hl7"
    file.write_bytes(ADT)
    _, (found,) = answer(capsys, file, trace=True)
    assert any(one["path"] == "name[0].family" and one["source"] == "PID-5[1].1.1" for one in found["traces"])
    assert command(file, trace=True) == 0
    shown = capsys.readouterr().out
    assert "name[0].family" in shown
    assert "AdministrativeSex F]" in shown


def test_a_folder_lends_its_workbook_and_its_findings_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.hl7"
    file.write_bytes(ADT)
    (tmp_path / "workbook").mkdir()
    assert command(file, folder=tmp_path) == 1  # the zone is not set
    assert "param-unset" in capsys.readouterr().err
    (tmp_path / "workbook" / "params.csv").write_text("param,value\nzone,Europe/Berlin\n")
    status, (found,) = answer(capsys, file, folder=tmp_path)
    assert status == 1
    assert found["held"]["code"] == "namespace-unknown"
    (tmp_path / "workbook" / "namespaces.csv").write_text("sender,authority,system\n,FAC,urn:oid:1.2\n")
    status, (found,) = answer(capsys, file, folder=tmp_path)
    assert (status, found["held"]) == (0, None)


def test_a_file_that_cannot_be_read_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(tmp_path / "nope.hl7") == 2
    assert command(tmp_path) == 2
    assert command() == 2
    assert command(tmp_path, folder=tmp_path / "nope") == 2
    assert capsys.readouterr().out == ""
