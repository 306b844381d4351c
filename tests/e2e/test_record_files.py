"""A file of records with a real `hilum run`: each record journaled, mapped, explained; once, whatever kills it when."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from e2e.harness import ADT, Sender, hilum, open_folder, settled, wait_until, write_folder
from hilum.app.cli import main
from hilum.app.opening import Opened
from hilum.journal import MessageQuery
from hilum.mapping import resource_id
from hilum.store import fault

SYSTEM = "http://hosp.example/mrn"
SOURCE = """kind: files
folder: ../in
pattern: '*.csv'
stable_seconds: 0.05
poll_seconds: 0.05
owner: ann
format: {type: delimited, record: people, delimiter: ';', key: [MRN], authority: HOSP}
"""
ROWS = """row_id,applies,anchor,source,when,target,transform,missing,owner
k,csv:people,people,MRN,,Patient.id,"key(system=""http://hosp.example/mrn"")",reject,ann
n,csv:people,people,Name,,Patient.name[official].family,text,,ann
b,csv:people,people,Born,,Patient.birthDate,"date(format=""%d.%m.%Y"")",,ann
"""
NAMESPACES = f"sender,authority,system\n*|*,HOSP,{SYSTEM}\n"
GOOD = b'MRN;Name;Born;Note\r\n1;Li;03.02.1979;\r\n2;"Two\r\nlines";;x\r\n1;Li-Wong;03.02.1979;\r\n'
BROKEN = b'3;open;"x\r\n4;short\r\n;nobody;;\r\n5;M\xff;;\r\n'
POINTS = sorted(name for name in fault.POINTS if name.startswith("files."))
PARTS = sorted(name for name in fault.POINTS if name.startswith("parts."))
LARGE = b"MRN;Name;Born;Note\n" + b"".join(b"%d;N%d;;%s\n" % (n % 9, n, b"x" * 40_000) for n in range(30))
ON_THE_WAY = ("engine.before_append", "engine.before_answer", "journal.before_commit", "repository.after_write")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    made = write_folder(tmp_path / "folder", {"registry": SOURCE, "adt": ADT})
    (made / "workbook").mkdir()
    (made / "workbook" / "rows.csv").write_text(ROWS)
    (made / "workbook" / "namespaces.csv").write_text(NAMESPACES)
    return made


def drop(tmp_path: Path, name: str, body: bytes) -> None:
    part = tmp_path / "in" / f"{name}.tmp"
    part.write_bytes(body)
    part.rename(tmp_path / "in" / name)


def files_in(tmp_path: Path, part: str) -> list[str]:
    place = tmp_path / "in" / part
    return sorted(one.name for one in place.iterdir() if one.is_file()) if place.is_dir() else []


def until_taken(tmp_path: Path) -> None:
    wait_until(lambda: not files_in(tmp_path, "."), "the file is not taken")


def family(opened: Opened, mrn: str) -> list[str]:
    """Family names, oldest version first."""
    found = opened.repository.history("Patient", resource_id("Patient", SYSTEM, mrn))
    return [msgspec.json.decode(one.body)["name"][0]["family"] for one in reversed(found)]


def test_records_are_applied_in_order_broken_ones_are_held_with_their_bytes_and_totals_add_up(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with hilum(folder) as running:
        drop(tmp_path, "people.csv", GOOD + BROKEN)
        until_taken(tmp_path)
        ledger = settled(folder)
        assert (ledger.received, ledger.applied, ledger.held, ledger.rejected) == (7, 3, 4, 0)
        assert running.stop() == 0
        assert "people.csv" not in running.log
    notes = (tmp_path / "in" / "processed" / "people.csv.findings").read_text().splitlines()
    assert [line.split()[3:6] for line in notes] == [
        ["line", "6", "record-quote-open"],
        ["line", "7", "record-columns"],
        ["line", "8", "record-key-empty"],
        ["line", "9", "record-undecodable"],
    ]
    with open_folder(folder) as opened:
        messages = sorted(opened.journal.messages(MessageQuery()).messages, key=lambda one: one.seq)
        bodies = [opened.journal.get(one.seq).body.partition(b"\n")[2] for one in messages]
        assert b"".join(bodies) == (GOOD + BROKEN).partition(b"\n")[2]
        assert [one.envelope.key for one in messages] == ["1|HOSP", "2|HOSP", "1|HOSP", "", "", "", ""]
        assert family(opened, "1") == ["Li", "Li-Wong"]
        assert family(opened, "2") == ["Two\r\nlines"]
    capsys.readouterr()
    patient = f"Patient/{resource_id('Patient', SYSTEM, '1')}"
    assert main(["explain", patient, "birthDate", str(folder), "--json", "--reason", "test"]) == 0
    (value,) = json.loads(capsys.readouterr().out)["values"]
    assert (value["field"], value["row"], value["value"]) == ("people[Born]", "b", "1979-02-03")
    assert value["control_id"].endswith("-5")  # the line of the file


def test_the_same_file_again_changes_nothing(folder: Path, tmp_path: Path) -> None:
    with hilum(folder):
        for name in ("a.csv", "b.csv"):
            drop(tmp_path, name, GOOD)
            until_taken(tmp_path)
        ledger = settled(folder)
        assert (ledger.received, ledger.applied, ledger.held) == (3, 3, 0)


def test_a_file_of_another_kind_is_refused_whole_and_the_next_is_taken(folder: Path, tmp_path: Path) -> None:
    with hilum(folder):
        drop(tmp_path, "bad.csv", b"Smith;John\r\n")
        drop(tmp_path, "good.csv", GOOD)
        wait_until(lambda: "good.csv" in files_in(tmp_path, "processed"), "the good file is not taken")
        wait_until(lambda: "bad.csv.reason" in files_in(tmp_path, "failed"), "no reason is given")
        ledger = settled(folder)
        assert (ledger.received, ledger.applied, ledger.rejected) == (4, 3, 1)
    reason = (tmp_path / "in" / "failed" / "bad.csv.reason").read_text()
    assert "records-key-missing" in reason
    assert "Smith" not in reason


def test_a_record_and_a_message_about_one_patient_are_one_patient(folder: Path, tmp_path: Path) -> None:
    with hilum(folder) as running:
        drop(tmp_path, "people.csv", GOOD)
        until_taken(tmp_path)
        settled(folder)
        with Sender(running.port) as sender:
            message = (
                b"MSH|^~\\&|EHR|HOSP|H|X|20300301120000+0000||ADT^A08^ADT_A01|M1|P|2.5.1\r"
                b"EVN|A08|20300301120000+0000\rPID|1||1^^^HOSP^MR||Wong^Li\rPV1|1|N\r"
            )
            sender.send(message)
        ledger = settled(folder)
        assert ledger.applied == 4
        with open_folder(folder) as opened:
            assert family(opened, "1")[-1] == "Wong"


def test_there_are_points_to_crash_at() -> None:
    assert len(POINTS) >= 3
    assert len(PARTS) == 3


@pytest.mark.parametrize("point", [*POINTS, *ON_THE_WAY])
def test_a_file_is_applied_once_wherever_the_run_is_killed(point: str, folder: Path, tmp_path: Path) -> None:
    drop(tmp_path, "people.csv", GOOD + BROKEN)
    with hilum(folder, crash_at=point) as running:
        assert running.wait_for_death() == -9, "the point was never reached"
    with hilum(folder) as running:
        until_taken(tmp_path)
        ledger = settled(folder)
        assert (ledger.received, ledger.applied, ledger.held) == (7, 3, 4)
        with open_folder(folder) as opened:
            assert (family(opened, "1"), family(opened, "2")) == (["Li", "Li-Wong"], ["Two\r\nlines"])
        assert files_in(tmp_path, "failed") == []
        assert running.stop() == 0


def test_a_large_file_is_taken_whole_and_once_when_the_run_is_killed_between_its_parts(
    folder: Path, tmp_path: Path
) -> None:
    drop(tmp_path, "people.csv", LARGE)
    with hilum(folder, crash_at="parts.handed") as running:  # test_large_record_files.py has the other points
        assert running.wait_for_death() == -9, "the point was never reached"
    (tmp_path / "in" / "people.csv").unlink()  # what was begun is finished all the same
    with hilum(folder) as running:
        wait_until(lambda: files_in(tmp_path, ".hilum") == ["taken.sha256"], "the file is not taken")
        until_taken(tmp_path)
        ledger = settled(folder)
        assert (ledger.received, ledger.applied, ledger.held) == (30, 30, 0)
        with open_folder(folder) as opened:
            assert family(opened, "2") == ["N2", "N11", "N20", "N29"]
        assert running.stop() == 0
