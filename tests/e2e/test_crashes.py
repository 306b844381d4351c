"""kill -9 anywhere: acked = stored, lost 0, effects doubled 0, order violations 0, totals equal; deliveries too."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from e2e.harness import (
    Hilum,
    Sender,
    check_invariants,
    given_names,
    hilum,
    open_deliveries,
    open_folder,
    patients,
    send_until_lost,
    update,
    wait_until,
    wait_until_none,
    waiting,
    write_folder,
)
from e2e.sinks import WebhookSink, webhook_sink
from hilum.app import running
from hilum.store import fault

assert running  # imported for the points that it and what it imports declare
OF_SEALING = ("journal.segment", "journal.tombstone")  # tests/journal/test_journal_crash.py
OF_FILES = "files."  # tests/e2e/test_files.py
# test_bulk_load.py, test_bulk_export.py, test_subscription_flows.py, test_record_files.py
OF_OTHERS = ("export.", "load.", "subscriptions.", "parts.")
ON_THE_WAY = sorted(name for name in fault.POINTS if not name.startswith((*OF_SEALING, OF_FILES, *OF_OTHERS)))
STEPS, PATIENTS = 6, (1, 2, 3)
SOAK_SECONDS = float(os.environ.get("SOAK_SECONDS", "180"))


def test_there_are_points_to_crash_at() -> None:
    assert len(ON_THE_WAY) >= 14


@pytest.mark.parametrize("point", ON_THE_WAY)
def test_a_kill_at_this_point_loses_and_doubles_nothing(point: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder")
    messages = [(patient, *update(patient, step)) for step in range(STEPS) for patient in PATIENTS]
    with webhook_sink() as sink:
        sink.route_to(folder)
        with hilum(folder, crash_at=f"{point}:5") as killed:
            acked = send_one_by_one(killed, [(control_id, body) for _, control_id, body in messages])
            assert killed.wait_for_death() == -9, "the point was never reached"
        with hilum(folder) as again:
            with Sender(again.port) as sender:
                for _, control_id, body in messages:
                    if control_id not in acked:
                        assert tuple(sender.send(body)) == ("AA", control_id)
            sent: dict[int, list[str]] = {}
            for patient, control_id, _ in messages:
                sent.setdefault(patient, []).append(control_id)
            check_invariants(folder, sent, acked)
            check_deliveries(folder, sink, list(PATIENTS))
            assert again.stop() == 0


def send_one_by_one(running: Hilum, messages: list[tuple[str, bytes]]) -> set[str]:
    """Each when the one before is applied, so that every point is passed often; control ids with a positive answer."""
    if not running.is_up:
        return set()
    with open_folder(running.folder) as opened:

        def unhurried() -> Iterator[tuple[str, bytes]]:
            for message in messages:
                yield message
                wait_until(lambda: not running.is_up or not waiting(opened), "a message is not applied")

        return send_until_lost(running.port, unhurried())


def check_deliveries(folder: Path, sink: WebhookSink, numbers: list[int]) -> None:
    """Every version at least once, in the order of its patient; a repeat is the same record under the same key."""
    with open_folder(folder) as opened:
        repository = opened.repository
        wait_until_none(lambda: open_deliveries(opened), "deliveries are still under way")
        delivered = sink.names()
        for number in numbers:
            (patient,) = patients(opened, number)
            assert delivered[patient.id] == given_names(opened, number)
        assert len({key for key, _ in sink.taken}) == repository.counts().deliveries["delivered"]
    assert sink.keys_differ() == []


def test_random_kills_under_load_lose_and_double_nothing(tmp_path: Path) -> None:
    """Four senders, four kills at random moments; every sender sends again what was not answered."""
    kill_at_random(tmp_path, kills=4, deadline=time.monotonic() + 60, dice=random.Random(20260301))


@pytest.mark.soak
def test_minutes_of_random_kills_under_load_lose_and_double_nothing(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    kill_at_random(tmp_path, kills=10_000, deadline=time.monotonic() + SOAK_SECONDS, dice=random.Random(seed))


def kill_at_random(tmp_path: Path, kills: int, deadline: float, dice: random.Random) -> None:
    folder = write_folder(tmp_path / "folder")
    steps = dict.fromkeys(range(4), 0)
    acked: set[str] = set()
    with webhook_sink() as sink:
        sink.route_to(folder)
        while kills and time.monotonic() < deadline:
            kills -= 1
            with hilum(folder) as running:
                threads = [
                    threading.Thread(target=_keep_sending, args=(running.port, patient, steps, acked))
                    for patient in steps
                ]
                for thread in threads:
                    thread.start()
                threading.Event().wait(dice.uniform(0.05, 0.8))
                running.kill()
                for thread in threads:
                    thread.join(30)
        with hilum(folder) as running:
            for patient, step in steps.items():
                control_id, body = update(patient, step)
                with Sender(running.port) as sender:
                    assert tuple(sender.send(body)) == ("AA", control_id)
            sent = {patient: [update(patient, step)[0] for step in range(last + 1)] for patient, last in steps.items()}
            check_invariants(folder, sent, acked)
            check_deliveries(folder, sink, list(steps))
            assert running.stop() == 0
    assert sum(steps.values()) > 40, "the load was no load"


def _keep_sending(port: int, patient: int, steps: dict[int, int], acked: set[str]) -> None:
    """Until the connection is lost; `steps` stays at the message that has no answer yet."""
    with suppress(OSError, EOFError), Sender(port) as sender:
        while True:
            control_id, body = update(patient, steps[patient])
            assert tuple(sender.send(body)) == ("AA", control_id)
            acked.add(control_id)
            steps[patient] += 1
