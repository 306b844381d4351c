"""`hilum hl7 show` and `hilum hl7 check`, as a person types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hilum.app.cli import main
from shared_data import SHARED, needs_shared

ADT = (
    b"MSH|^~\\&|EHR|GENHOSP|HILUM|CLIN|20260301101500-0500||ADT^A08^ADT_A01|C1|P|2.5.1||||||UNICODE UTF-8\r"
    b"EVN|A08|20260301101500-0500\r"
    b"PID|1||100^^^GENHOSP&1.2.3&ISO^MR||Testcase^Una^Q^^^^L||19790228|F\r"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "message.hl7"
    path.write_bytes(ADT)
    return path


def reports(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_show_prints_a_tree_with_names(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hl7", "show", str(file)]) == 0
    out = capsys.readouterr().out
    assert "PID  Patient" in out
    assert "PID-5 Patient name" in out
    assert ".2 Given name  Una" in out


def test_show_never_lets_a_message_control_the_terminal(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_bytes(ADT.replace(b"Una", b"\x1b[2J[bold]" + b"x" * 500))
    assert main(["hl7", "show", str(file)]) == 0
    out = capsys.readouterr().out
    assert "\x1b[2J" not in out
    assert "\\x1b[2J[bold]xxx" in out
    assert "(510 characters)" in out


def test_show_says_why_a_file_is_no_message(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_bytes(b"GET / HTTP/1.1\r\n\r\n")
    assert main(["hl7", "show", str(file)]) == 0
    assert "frame-not-hl7" in capsys.readouterr().out


def test_check_gives_one_object_per_message(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_bytes(ADT + ADT.replace(b"-0500||ADT", b"||ADT"))
    assert main(["hl7", "check", "--json", str(file)]) == 0
    whole, first, second = reports(capsys)
    assert (whole["index"], whole["disposition"], whole["codes"][0]["code"]) == (0, "warning", "batch-glued")  # type: ignore[index]
    assert first.keys() == {"file", "index", "kind", "disposition", "codes", "fields", "roundtrip"}
    assert (first["file"], first["index"], first["kind"], first["disposition"]) == (str(file), 1, "ADT^A08", "accept")
    assert first["roundtrip"] is True
    fields = first["fields"]
    assert isinstance(fields, dict)
    assert fields["valued"] == fields["mapped"] + fields["ignored"] + fields["unmapped"] > 0
    assert second["disposition"] == "warning"
    assert "zone-missing" in str(second["codes"])


def test_check_ends_with_1_when_a_message_would_be_refused(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = file, file.with_name("bad.hl7")
    bad.write_bytes(ADT.replace(b"100^^^GENHOSP&1.2.3&ISO^MR", b""))
    assert main(["hl7", "check", str(good), str(bad)]) == 1
    out = capsys.readouterr().out
    assert "patient-id-missing (PID-3)" in out
    assert "Testcase" not in out


def test_a_wrong_count_refuses_the_batch_and_every_message_in_it(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_bytes(b"BHS|^~\\&|EHR\r" + ADT + b"BTS|2\r")
    assert main(["hl7", "check", "--json", str(file)]) == 1
    found = reports(capsys)
    assert [(one["index"], one["disposition"]) for one in found] == [(0, "AE"), (1, "AE")]
    assert all("batch-count" in str(one["codes"]) for one in found)
    assert main(["map", "--json", str(file)]) == 1
    (mapped,) = reports(capsys)
    held: dict[str, str] = mapped["held"]  # type: ignore[assignment]
    assert (mapped["index"], mapped["disposition"], held["code"]) == (1, "AE", "batch-count")
    assert mapped["resources"], "they are shown all the same"


def test_a_folder_or_a_missing_file_is_a_usage_error(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hl7", "check", str(file), str(file.parent), str(file.with_name("none.hl7"))]) == 2
    captured = capsys.readouterr()
    assert "accept" in captured.out
    assert "is a folder; name the files in it" in captured.err
    assert "cannot be read" in captured.err
    assert main(["hl7", "show", str(file.parent)]) == 2
    assert main(["hl7", "check"]) == 2


@needs_shared
def test_the_hostile_messages_come_out_as_stated(capsys: pytest.CaptureFixture[str]) -> None:
    folder = SHARED / "hl7v2" / "hostile"
    meant = {
        "accept": "accept",
        "accept+warning": "warning",
        "quarantine": "hold",
        "reject AE": "AE",
        "reject AR": "AR",
    }
    entries = json.loads((folder / "MANIFEST.json").read_text())
    assert main(["hl7", "check", "--json", *(str(folder / entry["file"]) for entry in entries)]) == 1
    found: dict[str, object] = {}
    for one in reports(capsys):
        found.setdefault(Path(str(one["file"])).name, one["disposition"])
    assert found == {entry["file"]: meant[entry["expect"]] for entry in entries}


@needs_shared
def test_a_third_of_the_samples_is_accounted_for_and_round_trips(capsys: pytest.CaptureFixture[str]) -> None:
    """The other two thirds are read by the parser's tests and mapped by `test_engine_accounting`, all of them."""
    files = sorted((SHARED / "hl7v2").rglob("*.hl7"))[::3]
    main(["hl7", "check", "--json", *map(str, files)])
    found = reports(capsys)
    assert len(found) >= len(files) > 500
    for one in found:
        fields = one["fields"]
        assert isinstance(fields, dict)
        assert fields["valued"] == fields["mapped"] + fields["ignored"] + fields["unmapped"], one["file"]
        assert one["roundtrip"] is True, one["file"]
