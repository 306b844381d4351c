"""`hilum validate` and `hilum package`, as people call them."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from hilum.app.cli import main

GOOD = '{"resourceType": "Patient", "gender": "female"}'
BAD = '{"resourceType": "Patient", "gender": "F"}'


def test_good_resources_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "one.json").write_text(GOOD)
    assert main(["validate", str(tmp_path / "one.json")]) == 0
    assert "1 resources in 1 bodies: 1 valid, 0 not" in capsys.readouterr().out


def test_a_line_of_a_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "many.ndjson"
    path.write_text(f"{GOOD}\n\n{BAD}\n")
    assert main(["validate", str(path)]) == 1
    out = capsys.readouterr().out
    assert f"{path}:3  error  Patient.gender code-not-in-value-set" in out
    assert "2 bodies: 1 valid, 1 not" in out


def test_json_has_one_object_for_each_body(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "many.txt"
    path.write_text(f"{GOOD}\n{BAD}\n")
    assert main(["validate", str(path), "--json"]) == 1
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["valid"] for one in told] == [True, False]
    assert told[1]["findings"][0]["location"] == "Patient.gender"


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BAD.encode())))
    assert main(["validate", "-"]) == 1
    assert "Patient.gender" in capsys.readouterr().out


def test_what_cannot_be_read_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate"]) == 2
    assert main(["validate", str(tmp_path / "none.json")]) == 2
    assert main(["validate", str(tmp_path)]) == 2
    (tmp_path / "one.json").write_text(GOOD)
    assert main(["validate", str(tmp_path / "one.json"), "--profile", "http://example.org/none"]) == 2
    assert main(["validate", str(tmp_path / "one.json"), "--folder", str(tmp_path / "none")]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_package_needs_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["package", "list", str(tmp_path)]) == 1
    assert "folder-missing" in capsys.readouterr().err


def test_packages_are_listed_and_a_bad_one_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "integration.yaml").write_text("use: example\n")
    (tmp_path / "x.tgz").write_bytes(b"no archive")
    assert main(["package", "list", str(tmp_path)]) == 0
    assert "hl7.fhir.r4#4.0.1" in capsys.readouterr().out
    assert main(["package", "add", str(tmp_path / "x.tgz"), str(tmp_path)]) == 1
    assert "package-unreadable" in capsys.readouterr().err
    assert main(["package", "remove", "none", str(tmp_path)]) == 1
    assert "package-absent" in capsys.readouterr().err
