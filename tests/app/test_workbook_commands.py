"""The story of a missing phone number, by the commands of `hilum workbook`, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from openpyxl import load_workbook

from hilum.app.cli import main

MESSAGE = (
    "MSH|^~\\&|EHR|CLINIC|HILUM|CLINIC|20260302083000-0500||ADT^A01^ADT_A01|1|P|2.5.1\r"
    "PID|1||100200^^^CLINIC^MR||Rivera^Ana\rPV1|1|I\rZPI|||||||5550100^PRN^CP\r"
)
ROW = {"row_id": "site-phone-zpi", "anchor": "ZPI", "source": "ZPI-7", "type": "XTN", "target": "Patient.telecom[+]",
       "transform": 'XTN(use="mobile")', "map": "TelecomUse", "repeats": "each", "owner": "registration",
       "sample": "PID-3=1^^^CLINIC^MR;ZPI-7=5550100^PRN^CP",
       "expect": '{"telecom[0].system":"phone","telecom[0].value":"5550100","telecom[0].use":"mobile"}'}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "clinic" / "sources").mkdir(parents=True)
    (tmp_path / "clinic" / "integration.yaml").write_text("use: clinic\nparams: {zone: America/New_York}\n")
    (tmp_path / "clinic" / "sources" / "ehr.yaml").write_text("kind: mllp\nport: 12575\n")
    (tmp_path / "clinic" / "workbook").mkdir()
    text = "sender,authority,system,owner\n# all our sites\n,CLINIC,urn:example:clinic,registration\n"
    (tmp_path / "clinic" / "workbook" / "namespaces.csv").write_text(text)
    (tmp_path / "message.hl7").write_text(MESSAGE, newline="")
    return tmp_path / "clinic"


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, Any]:
    """Exit status, and the JSON that was printed."""
    status = main([*map(str, words), "--json"])
    return status, json.loads(capsys.readouterr().out.splitlines()[-1])


def add_row(file: Path) -> None:
    """As a person would: in the first empty line below the table."""
    book = load_workbook(file)
    sheet = book["rows"]
    columns = {cell.value: cell.column for cell in sheet[1]}
    first = next(row for row in range(2, sheet.max_row + 2) if not sheet.cell(row, 1).value)
    for name, text in ROW.items():
        sheet.cell(first, columns[name]).value = text
    book.save(file)


def phone(capsys: pytest.CaptureFixture[str], folder: Path) -> tuple[list[str], list[str]]:
    """The phone numbers of the patient, and the fields that no row reads."""
    _, mapped = run(capsys, "map", folder.parent / "message.hl7", "--folder", folder)
    patient = next(one for one in mapped["resources"] if one["resourceType"] == "Patient")
    unmapped = [one["location"] for one in mapped["exceptions"] if one["code"] == "field-unmapped"]
    return [one["value"] for one in patient.get("telecom", [])], unmapped


def test_a_missing_phone_number_is_found_mapped_seen_and_signed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder.parent / "review.xlsx"
    assert phone(capsys, folder) == ([], ["ZPI-7"])
    assert run(capsys, "workbook", "export", folder, "-o", file)[0] == 0
    add_row(file)

    status, shown = run(capsys, "workbook", "import", file, folder)
    assert (status, shown["written"]) == (0, [])
    assert [(one["kind"], one["name"], one["place"][:6]) for one in shown["changes"]] == [
        ("added", "rows:site-phone-zpi", "rows!A")
    ]
    assert not (folder / "workbook" / "rows.csv").exists()
    status, done = run(capsys, "workbook", "import", file, folder, "--yes")
    assert done["written"] == ["workbook/base.lock", "workbook/rows.csv"]
    assert phone(capsys, folder) == (["5550100"], [])
    assert "# all our sites" in (folder / "workbook" / "namespaces.csv").read_text()
    assert run(capsys, "workbook", "check", folder) == (0, {"errors": 0, "rows": done_rows(folder), "findings": []})

    key = folder.parent / "ann.pem"
    key.write_bytes(Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    sign = ("workbook", "sign", folder, "--owner", "registration", "--row", "site-phone-zpi", "--by", "ann")
    assert run(capsys, *sign, "--key", f"file:{key}")[0] == 1  # nobody agreed
    status, signed = run(capsys, *sign, "--key", f"file:{key}", "--yes")
    assert (status, signed["approved"]) == (0, ["rows:site-phone-zpi"])
    assert run(capsys, "workbook", "check", folder)[1]["findings"] == []
    assert {file.name for file in (folder / "workbook").iterdir()} == {
        "approvals.csv", "base.lock", "namespaces.csv", "rows.csv", "signers.csv",
    }  # fmt: skip
    assert main(["check", str(folder)]) == 0
    capsys.readouterr()

    rows = folder / "workbook" / "rows.csv"
    rows.write_text(rows.read_text().replace("mobile", "work"))
    findings = run(capsys, "workbook", "check", folder)[1]["findings"]
    assert [(one["code"], one["file"], one["line"]) for one in findings] == [("approval-outdated", "rows.csv", 2)]
    _, waits = run(capsys, "workbook", "status", folder, "--owner", "registration")
    assert next(one for one in waits["waits"] if one["line"] == "rows:site-phone-zpi")["state"].startswith("changed")


def done_rows(folder: Path) -> int:
    from hilum.mapping import load_workbook as load_tables

    return len(load_tables(folder).rows)


def test_an_export_is_not_overwritten_unless_asked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder.parent / "review.xlsx"
    file.write_text("changes of somebody")
    assert main(["workbook", "export", str(folder), "-o", str(file)]) == 1
    assert "file-exists" in capsys.readouterr().err
    assert file.read_text() == "changes of somebody"
    assert run(capsys, "workbook", "export", folder, "-o", file, "--force")[0] == 0


def test_an_upgrade_pins_the_base_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [one["code"] for one in run(capsys, "workbook", "check", folder)[1]["findings"]] == ["base-unpinned"]
    _, first = run(capsys, "workbook", "upgrade", folder, "--yes")
    assert (first["first"], first["written"]) == (True, ["workbook/base.lock"])
    _, again = run(capsys, "workbook", "upgrade", folder, "--yes")
    assert (again["changes"], again["written"]) == ([], [])
    assert run(capsys, "workbook", "check", folder)[1]["findings"] == []


def test_signing_needs_to_be_told_what(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["workbook", "sign", str(folder), "--owner", "registration"]) == 2
    assert "--all-of-owner" in capsys.readouterr().err
    assert main(["workbook", "sign", str(folder), "--owner", "registratio", "--all-of-owner"]) == 1
    assert "did you mean `registration`?" in capsys.readouterr().err


def test_a_param_is_shown_to_its_owner_with_the_value_that_is_signed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["workbook", "sign", str(folder), "--owner", "registration", "--row", "params:zone"])
    assert "America/New_York (integration.yaml)" in capsys.readouterr().out


def test_tables_with_errors_are_not_signed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "workbook" / "rows.csv").write_text("row_id,anchor,target\nx,PID,Patient.nam\n")
    assert main(["workbook", "sign", str(folder), "--owner", "registration", "--all-of-owner", "--yes"]) == 1
    assert "target-unknown" in capsys.readouterr().err
    assert not (folder / "workbook" / "approvals.csv").exists()


def test_status_counts_by_owner(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    owners = run(capsys, "workbook", "status", folder)[1]["owners"]
    assert len(owners) >= 4
    assert all(one["lines"] == one["drafts"] for one in owners)
