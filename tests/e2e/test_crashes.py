"""kill -9 anywhere: acked = stored, lost 0, effects doubled 0, order violations 0, totals equal."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest

import hilum.app.running  # noqa: F401 - declares the crash points of everything that runs
from e2e.harness import Sender, check_invariants, hilum, send_until_lost, update, write_folder
from hilum.store import fault

ON_THE_WAY = sorted(
    name for name in fault.POINTS if not name.startswith(("journal.seal", "engine.before_send", "engine.after_send"))
)


def test_there_are_points_to_crash_at() -> None:
    assert len(ON_THE_WAY) >= 6


@pytest.mark.parametrize("point", ON_THE_WAY)
def test_a_kill_at_this_point_loses_and_doubles_nothing(point: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder")
    messages = [(patient, *update(patient, step)) for step in range(12) for patient in (1, 2, 3)]
    with hilum(folder, crash_at=f"{point}:9") as running:
        acked = (
            send_until_lost(running.ports["adt"], [(cid, body) for _, cid, body in messages])
            if running.is_up
            else set()
        )
        if point in ON_EVERY_JOURNEY:
            assert running.wait_for_death() == -9, "the point was never reached"
    with hilum(folder) as running:
        sender = Sender(running.ports["adt"])
        for _, control_id, body in messages:
            if control_id not in acked:
                assert sender.send(body) == ("AA", control_id)
        sender.close()
        sent: dict[int, list[str]] = {}
        for patient, control_id, _ in messages:
            sent.setdefault(patient, []).append(control_id)
        check_invariants(folder, sent, acked)
        assert running.stop() == 0


ON_EVERY_JOURNEY = {name for name in ON_THE_WAY if name.startswith("engine.")} | {
    "store.before_commit",
    "store.after_commit",
}


def test_random_kills_under_load_lose_and_double_nothing(tmp_path: Path) -> None:
    """Four senders, four kills at random moments; every sender sends again what was not answered."""
    folder = write_folder(tmp_path / "folder")
    dice = random.Random(20260301)
    steps = {patient: 0 for patient in range(4)}
    acked: set[str] = set()
    for _ in range(4):
        with hilum(folder) as running:
            threads = [
                threading.Thread(target=_keep_sending, args=(running.ports["adt"], patient, steps, acked))
                for patient in steps
            ]
            for thread in threads:
                thread.start()
            running.process.poll()
            threading.Event().wait(dice.uniform(0.1, 0.8))
            running.kill()
            for thread in threads:
                thread.join(30)
    with hilum(folder) as running:
        for patient, step in steps.items():
            control_id, body = update(patient, step)
            sender = Sender(running.ports["adt"])
            assert sender.send(body) == ("AA", control_id)
            sender.close()
        sent = {patient: [update(patient, step)[0] for step in range(last + 1)] for patient, last in steps.items()}
        check_invariants(folder, sent, acked)
        assert sum(steps.values()) > 40, "the load was no load"


def _keep_sending(port: int, patient: int, steps: dict[int, int], acked: set[str]) -> None:
    """Until the connection is lost; `steps` stays at the message that has no answer yet."""
    try:
        sender = Sender(port)
        while True:
            control_id, body = update(patient, steps[patient])
            code, answered = sender.send(body)
            assert (code, answered) == ("AA", control_id)
            acked.add(control_id)
            steps[patient] += 1
    except (OSError, EOFError):
        return
