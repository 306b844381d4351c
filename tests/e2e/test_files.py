"""Files in and files out with a real `hilum run`: taken whole, applied once, put away; whatever kills it when."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from e2e.harness import (
    ADT,
    Sender,
    adt,
    frame,
    given_names,
    hilum,
    open_deliveries,
    open_folder,
    patients,
    settled,
    wait_until,
    write_destination,
    write_folder,
)
from hilum.app import running as _declares_points
from hilum.journal import MessageQuery
from hilum.model import Disposition
from hilum.store import fault

assert _declares_points
FILES = "kind: files\nfolder: ../in\npattern: '*.hl7'\nstable_seconds: 0.05\npoll_seconds: 0.05\nowner: lab\n"
ON_THE_WAY = ("engine.before_append", "engine.before_answer", "journal.before_commit", "repository.after_write")
POINTS = sorted(name for name in fault.POINTS if name.startswith("files."))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return write_folder(tmp_path / "folder", {"drop": FILES, "adt": ADT})


def batch(*messages: bytes, count: int | None = None) -> bytes:
    total = len(messages) if count is None else count
    return b"FHS|^~\\&|EHR\rBHS|^~\\&|EHR\r" + b"".join(messages) + b"BTS|%d\rFTS|1\r" % total


def drop(tmp_path: Path, name: str, body: bytes) -> None:
    """As a careful partner does: written under another name, then renamed."""
    temporary = tmp_path / "in" / f"{name}.tmp"
    temporary.write_bytes(body)
    temporary.rename(tmp_path / "in" / name)


def names_in(tmp_path: Path, part: str) -> list[str]:
    """Files in a part of the watched folder ("" is itself); its own are left out."""
    place = tmp_path / "in" / part
    return sorted(path.name for path in place.iterdir() if path.is_file()) if place.is_dir() else []


def wait_until_taken(tmp_path: Path) -> None:
    wait_until(lambda: names_in(tmp_path, "") == [], "files are not taken")


THREE = [adt(n, f"F{n}", f"N{n}", step=n) for n in (1, 2, 3)]


def test_a_batch_file_is_applied_once_however_often_it_is_dropped(folder: Path, tmp_path: Path) -> None:
    with hilum(folder) as running:
        for name in ("one.hl7", "two.hl7", "one.hl7"):
            drop(tmp_path, name, batch(*THREE))
            wait_until_taken(tmp_path)
        drop(tmp_path, "single.hl7", THREE[0])
        wait_until_taken(tmp_path)
        ledger = settled(folder)
        assert (ledger.received, ledger.applied, ledger.duplicates) == (3, 3, 1)
        assert len(names_in(tmp_path, "processed")) == 4
        assert names_in(tmp_path, "failed") == []
        assert running.stop() == 0
        assert "one.hl7" not in running.log


def test_a_file_whose_counts_are_wrong_goes_to_failed_with_the_reason_and_is_one_rejected_message(
    folder: Path, tmp_path: Path
) -> None:
    body = batch(*THREE, count=4)
    with hilum(folder):
        drop(tmp_path, "wrong.hl7", body)
        wait_until_taken(tmp_path)
        wait_until(lambda: "wrong.hl7.reason" in names_in(tmp_path, "failed"), "no reason is given")
        ledger = settled(folder)
        assert (ledger.received, ledger.rejected, ledger.applied) == (1, 1, 0)
    reason = (tmp_path / "in" / "failed" / "wrong.hl7.reason").read_text()
    assert "batch-count" in reason
    assert "answered AE" in reason
    with open_folder(folder) as opened:
        assert opened.journal.get(1).body == body


@pytest.mark.parametrize("body", [b"", b"not HL7 at all\n", b"\x00\xff" * 50], ids=["empty", "text", "binary"])
def test_a_file_that_is_no_hl7_goes_to_failed_and_the_next_is_taken(body: bytes, folder: Path, tmp_path: Path) -> None:
    with hilum(folder):
        drop(tmp_path, "bad.hl7", body)
        drop(tmp_path, "good.hl7", THREE[0])
        wait_until(lambda: "good.hl7" in names_in(tmp_path, "processed"), "the good file is not taken")
        if body:  # an empty one may be about to be written
            wait_until(lambda: "bad.hl7.reason" in names_in(tmp_path, "failed"), "no reason is given")
        ledger = settled(folder)
        assert (ledger.received, ledger.applied, ledger.rejected) == (1 + bool(body), 1, bool(body))


def test_there_are_points_to_crash_at() -> None:
    assert len(POINTS) >= 3


@pytest.mark.parametrize("point", [*POINTS, *ON_THE_WAY])
def test_a_file_is_applied_once_wherever_the_run_is_killed(point: str, folder: Path, tmp_path: Path) -> None:
    drop(tmp_path, "one.hl7", batch(*THREE))

    with hilum(folder, crash_at=point) as running:
        assert running.wait_for_death() == -9, "the point was never reached"
    with hilum(folder) as running:
        wait_until_taken(tmp_path)
        ledger = settled(folder)
        assert (ledger.received, ledger.applied) == (3, 3)
        with open_folder(folder) as opened:
            assert [given_names(opened, n) for n in (1, 2, 3)] == [["N1"], ["N2"], ["N3"]]
        assert names_in(tmp_path, "processed") == ["one.hl7"]
        assert names_in(tmp_path, "failed") == []
        assert running.stop() == 0


# --- batches in which not all is well --------------------------------------------------------------------------------

NOBODY = adt(9, "F9", "N9", step=9).replace(b"PID|1||9^^^HOSP^MR|", b"PID|1|||")  # refused: it names no patient
BLANK = [adt(n, "", f"N{n}", step=n) for n in (1, 2)]  # without control ids the journal knows no copies
MIXED = batch(BLANK[0], NOBODY, BLANK[1])


def findings_of(tmp_path: Path, name: str) -> list[str]:
    return (tmp_path / "in" / "processed" / f"{name}.findings").read_text().splitlines()


def test_a_batch_with_a_refused_message_is_journaled_whole_and_says_what_was_refused(
    folder: Path, tmp_path: Path
) -> None:
    drop(tmp_path, "mixed.hl7", MIXED)
    with hilum(folder):
        wait_until_taken(tmp_path)
        ledger = settled(folder)
        assert (ledger.received, ledger.applied, ledger.rejected) == (3, 2, 1)
    assert names_in(tmp_path, "processed") == ["mixed.hl7", "mixed.hl7.findings"]
    assert names_in(tmp_path, "failed") == []
    (line,) = findings_of(tmp_path, "mixed.hl7")
    assert line.startswith("message 2 AE PID-3")
    assert "patient-id-missing" in line
    with open_folder(folder) as opened:
        (kept,) = opened.journal.messages(MessageQuery(disposition=Disposition.AE)).messages
        assert opened.journal.get(kept.seq).body == NOBODY


def test_a_batch_of_refused_messages_alone_goes_to_failed_and_each_is_kept(folder: Path, tmp_path: Path) -> None:
    drop(tmp_path, "bad.hl7", batch(NOBODY, NOBODY.replace(b"F9", b"F8")))
    with hilum(folder):
        wait_until_taken(tmp_path)
        ledger = settled(folder)
        assert (ledger.received, ledger.rejected) == (2, 2)
        assert names_in(tmp_path, "processed") == []
        reason = (tmp_path / "in" / "failed" / "bad.hl7.reason").read_text().splitlines()
        assert [line.partition(" PID")[0] for line in reason] == ["answered AE", "message 1 AE", "message 2 AE"]


@pytest.mark.parametrize(
    ("policy", "fates", "place"),
    [
        ("accept", (2, 2, 0, 0), "processed"),
        ("warning", (2, 2, 0, 0), "processed"),
        ("hold", (2, 0, 2, 0), "processed"),
        ("AR", (1, 0, 0, 1), "failed"),
    ],
)
@pytest.mark.parametrize("wrong", [b"BTS|4\rFTS|1\r", b"BTS|2\rFTS|9\r"], ids=["BTS", "FTS"])
def test_wrong_counts_follow_the_policy_of_the_source(
    wrong: bytes, policy: str, fates: tuple[int, ...], place: str, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    tolerances = f"tolerances: {{batch-count: {policy}, batch-file-count: {policy}}}\n"
    folder = write_folder(tmp_path / "folder", {"drop": FILES + tolerances})
    drop(tmp_path, "a.hl7", b"FHS|^~\\&|EHR\rBHS|^~\\&|EHR\r" + BLANK[0] + BLANK[1] + wrong)
    with hilum(folder):
        wait_until_taken(tmp_path)
        ledger = settled(folder)
        assert (ledger.received, ledger.applied, ledger.held, ledger.rejected) == fates
        notes = [name for name in names_in(tmp_path, place) if name != "a.hl7"]
        said = "".join((tmp_path / "in" / place / name).read_text() for name in notes)
        assert ("count" in said) == (policy != "accept")
        if policy == "warning":
            with open_folder(folder) as opened:
                codes = [one.envelope.codes for one in opened.journal.messages(MessageQuery()).messages]
            assert sum(any(code.startswith("batch-") for code in found) for found in codes) == 1


@pytest.mark.parametrize(
    ("policy", "fates", "place"),
    [
        ("accept", (0, 0, 0), "processed"),
        ("warning", (0, 0, 0), "processed"),
        ("hold", (1, 1, 0), "processed"),
        ("AE", (1, 0, 1), "failed"),
    ],
)
def test_a_batch_without_a_message_stops_nobody(
    policy: str, fates: tuple[int, ...], place: str, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    rules = f"tolerances: {{batch-empty: {policy}}}\n"
    folder = write_folder(tmp_path / "folder", {"drop": FILES + rules, "adt": ADT + rules})
    empty = batch()
    drop(tmp_path, "none.hl7", empty)
    with hilum(folder) as running:
        wait_until_taken(tmp_path)
        notes = {
            "accept": [],
            "warning": ["none.hl7.findings"],
            "hold": ["none.hl7.findings"],
            "AE": ["none.hl7.reason"],
        }
        assert names_in(tmp_path, place) == ["none.hl7", *notes[policy]]
        ledger = settled(folder)
        assert (ledger.received, ledger.held, ledger.rejected) == fates
        with Sender(running.port) as sender:
            sender.socket.sendall(frame(empty))
            if policy in ("accept", "warning"):
                sender.socket.recv(65_536)
            else:
                sender.answer()
            assert sender.send(THREE[0]).code == "AA", "the feed goes on"
        assert settled(folder).applied == 1


@pytest.mark.parametrize("point", [*POINTS, *ON_THE_WAY])
def test_a_mixed_batch_without_control_ids_is_journaled_once_wherever_the_run_is_killed(
    point: str, folder: Path, tmp_path: Path
) -> None:
    drop(tmp_path, "mixed.hl7", MIXED)
    with hilum(folder, crash_at=point) as running:
        assert running.wait_for_death() == -9, "the point was never reached"
    with hilum(folder) as running:
        wait_until_taken(tmp_path)
        ledger = settled(folder)
        assert (ledger.received, ledger.applied, ledger.rejected, ledger.duplicates) == (3, 2, 1, 0)
        assert names_in(tmp_path, "processed") == ["mixed.hl7", "mixed.hl7.findings"]
        assert len(findings_of(tmp_path, "mixed.hl7")) == 1
        with open_folder(folder) as opened:
            assert opened.journal.verify_now().ok
        assert running.stop() == 0


def test_a_failed_file_that_is_put_back_after_the_rules_were_mended_is_taken(folder: Path, tmp_path: Path) -> None:
    drop(tmp_path, "a.hl7", batch(*BLANK, count=4))
    with hilum(folder):
        wait_until(lambda: "a.hl7" in names_in(tmp_path, "failed"), "it was not refused")
    (folder / "sources" / "drop.yaml").write_text(FILES + "tolerances: {batch-count: warning}\n")
    (tmp_path / "in" / "failed" / "a.hl7").rename(tmp_path / "in" / "a.hl7")
    with hilum(folder):
        wait_until(lambda: "a.hl7" in names_in(tmp_path, "processed"), "it was not taken")
        ledger = settled(folder)
        assert (ledger.received, ledger.applied, ledger.rejected) == (3, 2, 1)


def test_a_large_file_is_taken_whole_while_others_are_answered(folder: Path, tmp_path: Path) -> None:
    count = 3000
    body = batch(*(adt(n % 50, f"F{n}", f"N{n}", step=n) for n in range(count)))
    with hilum(folder) as running:
        drop(tmp_path, "large.hl7", body)
        sent = 0
        with Sender(running.ports["adt"], seconds=10) as sender:
            while names_in(tmp_path, "processed") != ["large.hl7"]:
                answer = sender.send(adt(900, f"G{sent}", "Good", step=sent))
                assert answer.code == "AA"
                sent += 1
        ledger = settled(folder)
        assert (ledger.received, ledger.applied, ledger.duplicates) == (count + sent, count + sent, 0)
        assert sent > 0


def resources(path: Path) -> list[str]:
    return [entry["resource"]["resourceType"] for entry in json.loads(path.read_text())["entry"]]


def test_deliveries_to_a_folder_are_there_once_even_when_one_was_written_twice(folder: Path, tmp_path: Path) -> None:
    write_destination(folder, "out", "kind: files\nfolder: ../out\n", ", types: [Patient]")
    with hilum(folder, crash_at="engine.after_send:2") as running:
        drop(tmp_path, "one.hl7", batch(*THREE))
        assert running.wait_for_death() == -9
    with hilum(folder), open_folder(folder) as opened:
        wait_until(lambda: opened.ledger().applied == 3 and not open_deliveries(opened), "deliveries are under way")
    written = [path for path in (tmp_path / "out").iterdir() if path.suffix == ".json"]
    assert len(written) == 3
    assert [resources(path) for path in written] == [["Patient"]] * 3


def test_lines_of_ndjson_are_there_once_even_when_one_was_written_twice(folder: Path, tmp_path: Path) -> None:
    write_destination(folder, "out", "kind: files\nfolder: ../out\nlayout: ndjson\n", ", when: 'EVN-1 = \"A08\"'")
    with hilum(folder, crash_at="engine.after_send:2") as running:
        drop(tmp_path, "one.hl7", batch(*THREE, adt(4, "F4", "N4", kind="A28")))
        assert running.wait_for_death() == -9
    with hilum(folder), open_folder(folder) as opened:
        wait_until(lambda: opened.ledger().applied == 4 and not open_deliveries(opened), "deliveries are under way")
        assert len(patients(opened, 4)) == 1
    lines = [line for path in (tmp_path / "out").glob("*.ndjson") for line in path.read_text().splitlines()]
    assert len(lines) == 3
    assert len(set(lines)) == 3
