"""Merges taken back: by the sender's ADT^A37, and by a person at the command line; killed in the middle too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from e2e.harness import (
    Hilum,
    Sender,
    adt,
    hilum,
    moment,
    open_folder,
    patients,
    send_until_lost,
    settled,
    wait_until,
    write_destination,
    write_folder,
)
from e2e.sinks import QUICK, SECRET, WebhookSink, webhook_sink
from hilum.app.cli import main
from hilum.repository import Query
from hilum.store import fault

POINTS = (
    *("engine.before_append", "journal.rows_written", "journal.before_commit", "engine.before_answer"),
    *("engine.before_apply", "repository.before_write", "repository.after_write", "repository.after_commit"),
    "engine.after_apply",
)


def unlink(survivor: int, retired: int, control_id: str, *, step: float) -> bytes:
    """What the standard asks for: both patients, each with its PID."""
    one, _, _ = adt(survivor, control_id, f"N{survivor}", step=step, kind="A37").partition(b"PV1")
    return one.replace(b"ADT_A01", b"ADT_A37") + b"PID|2||%d^^^HOSP^MR||Family^N%d||19700101|F\r" % (retired, retired)


def visit(patient: int, step: float) -> bytes:
    body = adt(patient, f"V{patient}", f"N{patient}", step=step, kind="A01")
    return body.replace(b"PV1|1|N", b"PV1|1|I" + b"|" * 17 + b"V%d^^^HOSP^VN" % patient)


def send(port: int, *bodies: bytes) -> None:
    with Sender(port) as sender:
        for body in bodies:
            assert sender.send(body).code == "AA"


def owners(folder: Path) -> dict[str, str]:
    """Visit -> the number of the patient that it belongs to now."""
    with open_folder(folder) as opened:
        numbers = {f"Patient/{patients(opened, n)[0].id}": str(n) for n in range(1, 5) if patients(opened, n)}
        found = [json.loads(one.body) for one in opened.repository.search(Query("Encounter")).matches]
    return {one["identifier"][0]["value"]: numbers[one["subject"]["reference"]] for one in found}


def linked(folder: Path) -> list[int]:
    """Numbers of patients with a link of any kind."""
    with open_folder(folder) as opened:
        return [n for n in range(1, 5) for one in patients(opened, n) if b'"link"' in one.body]


def codes(folder: Path) -> list[str]:
    with open_folder(folder) as opened:
        return [one.code for one in opened.repository.exceptions()]


def chain(port: int) -> None:
    """1 into 2, 2 into 3, each with a visit of its own."""
    merge_1 = adt(2, "M1", "N2", step=10, kind="A40", retired=1)
    merge_2 = adt(3, "M2", "N3", step=11, kind="A40", retired=2)
    send(port, *[visit(n, n) for n in (1, 2, 3)], merge_1, merge_2)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Hilum]:
    with hilum(write_folder(tmp_path / "folder")) as running:
        yield running


@pytest.mark.parametrize("order", list(permutations([(2, 1), (3, 2)])))
def test_a_chain_of_merges_is_taken_back_in_any_order(running: Hilum, order: list[tuple[int, int]]) -> None:
    chain(running.port)
    settled(running.folder)
    assert owners(running.folder) == dict.fromkeys(("V1", "V2", "V3"), "3")
    for step, (survivor, retired) in enumerate(order, start=20):
        body = unlink(survivor, retired, f"U{step}", step=step)
        send(running.port, body, body)
    ledger = settled(running.folder)
    assert (ledger.received, ledger.applied, ledger.duplicates) == (7, 7, 2)
    assert owners(running.folder) == {"V1": "1", "V2": "2", "V3": "3"}
    assert linked(running.folder) == []
    assert codes(running.folder) == []


def test_an_unlink_of_two_that_were_never_merged_changes_nothing_and_is_said(running: Hilum) -> None:
    send(running.port, visit(1, 1), visit(2, 2), unlink(2, 1, "U", step=9))
    ledger = settled(running.folder)
    assert (ledger.received, ledger.applied) == (3, 3)
    assert owners(running.folder) == {"V1": "1", "V2": "2"}
    assert codes(running.folder) == ["unmerge-unknown"]


def test_an_unlink_of_the_ends_of_a_chain_is_left_to_a_person(running: Hilum) -> None:
    chain(running.port)
    send(running.port, unlink(3, 1, "U", step=20))
    settled(running.folder)
    assert set(owners(running.folder).values()) == {"3"}
    assert codes(running.folder) == ["unmerge-indirect"]


def test_what_came_under_the_retired_number_meanwhile_goes_with_it(running: Hilum) -> None:
    send(running.port, visit(1, 1), visit(2, 2), adt(2, "M", "N2", step=10, kind="A40", retired=1))
    late = adt(1, "LATE", "N1", step=12, kind="A01")
    send(running.port, late.replace(b"PV1|1|N", b"PV1|1|I" + b"|" * 17 + b"V9^^^HOSP^VN"))
    settled(running.folder)
    assert set(owners(running.folder).values()) == {"2"}
    send(running.port, unlink(1, 2, "U", step=20))  # named the other way round
    settled(running.folder)
    assert owners(running.folder) == {"V1": "1", "V2": "2", "V9": "1"}


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_in_the_middle_of_an_unmerge_takes_it_back_once(point: str, tmp_path: Path) -> None:
    assert point in fault.POINTS
    folder = write_folder(tmp_path / "folder")
    with hilum(folder) as first:
        chain(first.port)
        settled(folder)
        assert first.stop() == 0
    body = unlink(3, 2, "U", step=20)
    with hilum(folder, crash_at=f"{point}:1") as killed:
        acked = send_until_lost(killed.port, [("U", body)]) if killed.is_up else set()
        assert killed.wait_for_death() == -9
    with hilum(folder) as again:
        if not acked:
            send(again.port, body)
        ledger = settled(folder)
        assert (ledger.received, ledger.applied) == (6, 6)
        assert owners(folder) == {"V1": "2", "V2": "2", "V3": "3"}
        with open_folder(folder) as opened:
            (three,) = patients(opened, 3)
            seqs = [one.seq for one in opened.repository.history("Patient", three.id)]
            assert len(set(seqs)) == len(seqs), "one message made two versions"
            assert opened.journal.verify_now().ok
        assert again.stop() == 0


# --- by a person -----------------------------------------------------------------------------------------------------


def call(capsys: pytest.CaptureFixture[str], *words: str | Path, status: int = 0) -> Any:
    assert main(["patients", *map(str, words), "--json"]) == status, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def decided(folder: Path) -> list[tuple[str, str, str]]:
    with open_folder(folder) as opened:
        return [(e.actor, e.action, e.detail) for _, e in opened.journal.audits(limit=100) if e.action == "unmerge"]


def test_a_person_takes_a_merge_back_while_hilum_runs(running: Hilum, capsys: pytest.CaptureFixture[str]) -> None:
    chain(running.port)
    settled(running.folder)
    said = call(capsys, "merges", running.folder, "--patient", "1")["merges"]
    assert [one["state"] for one in said] == ["holds", "holds"]
    done = call(capsys, "unmerge", "2", "1", running.folder, "--note", "twins", "--by", "Dr. A|B")
    assert done["state"] == "applied"
    assert owners(running.folder) == {"V1": "1", "V2": "3", "V3": "3"}
    assert [one["state"] for one in call(capsys, "merges", running.folder, "--patient", "1")["merges"]] == [
        "taken back",
        "holds",
        "unmerge",
    ]
    ((_, _, detail),) = decided(running.folder)
    assert detail == "Dr. A|B: twins"
    ledger = settled(running.folder)
    assert (ledger.received, ledger.applied) == (6, 6)
    with open_folder(running.folder) as opened:
        (one,) = patients(opened, 1)
    assert main(["explain", f"Patient/{one.id}", str(running.folder), "--json"]) == 0
    values = json.loads(capsys.readouterr().out)["values"]
    assert {value["message"] for value in values} == {1}, "no value of a patient comes from a decision"
    with open_folder(running.folder) as opened:
        written = opened.journal.get(done["message"]).body
        assert rb"^Dr. A\F\B" in written
        assert b"Family" not in written, "it says nothing of the patients but that they are two"


def test_a_person_takes_a_merge_back_while_nothing_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_folder(tmp_path / "folder")
    with hilum(folder) as running:
        chain(running.port)
        settled(folder)
        assert running.stop() == 0
    before = _patient(folder, 2)
    for survivor, retired in (("3", "2"), ("2", "1")):
        done = call(capsys, "unmerge", survivor, retired, folder, "--note", "x")
        assert done["state"] == "applied"
    assert owners(folder) == {"V1": "1", "V2": "2", "V3": "3"}
    assert linked(folder) == []
    after = _patient(folder, 2)
    assert {k: v for k, v in before.items() if k not in ("meta", "link", "active")} == {
        k: v for k, v in after.items() if k != "meta"
    }
    assert settled(folder).applied == 7
    assert len(decided(folder)) == 2


def _patient(folder: Path, number: int) -> dict[str, Any]:
    with open_folder(folder) as opened:
        return dict(json.loads(patients(opened, number)[0].body))


def test_two_that_stay_one_by_way_of_others_are_not_called_two(
    running: Hilum, capsys: pytest.CaptureFixture[str]
) -> None:
    chain(running.port)
    send(running.port, adt(1, "M3", "N1", step=12, kind="A40", retired=3))  # a circle: the first merge is replaced
    settled(running.folder)
    assert main(["patients", "unmerge", "1", "2", str(running.folder), "--note", "x"]) == 0
    assert "are still one by way of others" in capsys.readouterr().out
    assert main(["patients", "unmerge", "1", "3", str(running.folder), "--note", "x"]) == 0
    assert "are two patients again" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("pair", "code"), [(("4", "1"), "merge-unknown"), (("3", "1"), "merge-indirect"), (("3", "77"), "patient-unknown")]
)
def test_what_cannot_be_taken_back_is_said_and_nothing_is_written(
    pair: tuple[str, str], code: str, running: Hilum, capsys: pytest.CaptureFixture[str]
) -> None:
    chain(running.port)
    send(running.port, visit(4, 4))
    settled(running.folder)
    error = call(capsys, "unmerge", *pair, running.folder, "--note", "x", status=1)["error"]
    assert error["code"] == code
    assert settled(running.folder).received == 6
    assert decided(running.folder) == []


def test_a_decision_waits_behind_a_held_message_of_its_patients(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = "kind: mllp\nport: 0\nowner: registration\nack: {mode: original}\ntolerances: {version-missing: hold}\n"
    folder = write_folder(tmp_path / "folder", {"adt": source})
    with hilum(folder) as running:
        chain(running.port)
        send(running.port, adt(3, "H", "N3", step=30).replace(b"|P|2.5.1|", b"|P||"))
        settled(folder)
        done = call(capsys, "unmerge", "3", "2", folder, "--note", "x", status=1)
        assert done["state"] == "waiting behind"
        assert set(owners(folder).values()) == {"3"}
        assert main(["exceptions", "settle", "H6", str(folder), "--note", "x", "--discard"]) == 0
        wait_until(lambda: owners(folder)["V2"] == "2", "the decision was not carried out")
        ledger = settled(folder)
        assert (ledger.received, ledger.applied, ledger.rejected) == (7, 6, 1)


def test_a_clock_of_a_sender_that_is_ahead_does_not_keep_a_merge(
    running: Hilum, capsys: pytest.CaptureFixture[str]
) -> None:
    ahead = adt(2, "M", "N2", step=10, kind="A40", retired=1).replace(moment(10).encode(), b"20990101000000+0000")
    send(running.port, visit(1, 1), visit(2, 2), ahead)
    settled(running.folder)
    assert call(capsys, "unmerge", "2", "1", running.folder, "--note", "x")["state"] == "applied"
    assert owners(running.folder) == {"V1": "1", "V2": "2"}


# --- who is told -----------------------------------------------------------------------------------------------------


def test_partners_are_told_of_what_a_merge_and_its_unmerge_moved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A partner that is told of visits alone hears of none of the patients, and of all visits that change hands."""
    folder = write_folder(tmp_path / "folder")
    with webhook_sink() as sink:
        (folder / "secret.txt").write_text(SECRET)
        (folder / "secret.txt").chmod(0o600)
        text = f"kind: webhook\nurl: http://127.0.0.1:{sink.port}/in\nsecret: file:secret.txt\n{QUICK}"
        write_destination(folder, "visits", text, ", types: [Encounter]")
        with hilum(folder) as running:
            sink.status = 503  # down, so that everything waits
            send(running.port, visit(1, 1), visit(2, 2), adt(2, "M", "N2", step=10, kind="A40", retired=1))
            settled(folder)
            sink.status = 200
            wait_until(lambda: _delivered(folder) == 3, "the merge was not sent on")
            send(running.port, unlink(2, 1, "U", step=20))
            wait_until(lambda: _delivered(folder) == 4, "the unlink was not sent on")
            again = adt(2, "M2", "N2", step=30, kind="A40", retired=1)
            send(running.port, again)
            settled(folder)
            call(capsys, "unmerge", "2", "1", folder, "--note", "x")
            wait_until(lambda: _delivered(folder) == 6, "the decision was not sent on")
            assert _subjects_of_visit_1(sink, folder) == ["1", "2", "1", "2", "1"], "in the order of both patients"
            assert settled(folder).adds_up


def _delivered(folder: Path) -> int:
    with open_folder(folder) as opened:
        return opened.repository.counts().deliveries["delivered"]


def _subjects_of_visit_1(sink: WebhookSink, folder: Path) -> list[str]:
    with open_folder(folder) as opened:
        numbers = {f"Patient/{patients(opened, n)[0].id}": str(n) for n in (1, 2)}
    told = [entry["resource"] for _, bundle in sink.taken for entry in bundle["entry"]]
    assert {one["resourceType"] for one in told} == {"Encounter"}
    return [numbers[one["subject"]["reference"]] for one in told if one["identifier"][0]["value"] == "V1"]
