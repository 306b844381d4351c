"""A disk that is full or refuses to sync, a store in use, a wrong key, a folder with findings; and stopping."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from e2e.harness import (
    ROOT,
    Hilum,
    Sender,
    adt,
    check_invariants,
    given_names,
    hilum,
    open_deliveries,
    open_folder,
    send_until_lost,
    settled,
    update,
    wait_until,
    wait_until_none,
    write_folder,
)
from e2e.sinks import webhook_sink
from hilum.app.cli import main

needs_prlimit = pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of another process: Linux only")
UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


class Trouble:
    """Makes the store of a running hilum refuse, and work again."""

    def __init__(self, running: Hilum, switch: Path, how: str) -> None:
        self._running, self._switch, self._how = running, switch, how

    def begin(self) -> None:
        if self._how == "limit":
            store = self._running.folder / ".hilum"
            largest = max(path.stat().st_size for path in store.iterdir())
            self._limit((min(largest, (store / "hilum.db-wal").stat().st_size), resource.RLIM_INFINITY))
        else:
            self._switch.write_text(self._how)

    def end(self) -> None:
        if self._how == "limit":
            self._limit(UNLIMITED)
        else:
            self._switch.unlink()

    def _limit(self, limits: tuple[int, int]) -> None:
        resource.prlimit(self._running.process.pid, resource.RLIMIT_FSIZE, limits)


@needs_prlimit
@pytest.mark.parametrize("how", ["limit", "full", "sync"])
def test_a_disk_that_refuses_is_answered_no_in_time_and_the_run_goes_on_when_it_works_again(
    how: str, tmp_path: Path
) -> None:
    """While it refuses nobody hears AA, and everybody hears something; all that was acknowledged gets through."""
    folder = write_folder(tmp_path / "folder")
    switch = tmp_path / "switch"
    with webhook_sink() as sink:
        sink.route_to(folder)
        with hilum(folder, disk=switch) as running, Sender(running.port, seconds=10) as sender:
            trouble = Trouble(running, switch, how)
            sink.status = 503  # deliveries are tried again and again meanwhile
            acked = {update(1, step)[0] for step in range(20) if sender.send(update(1, step)[1]).code == "AA"}
            assert len(acked) == 20
            trouble.begin()
            slowest, refused = 0.0, 0
            for step in range(20, 26):
                start = time.monotonic()
                answer = sender.send(update(1, step)[1])
                slowest = max(slowest, time.monotonic() - start)
                assert answer.code in ("AE", "AA")
                assert answer.code == "AE" or how == "limit"  # room may be left in the file for a few
                if answer.code == "AA":
                    acked.add(answer.control_id)
                else:
                    assert b"could not be stored" in answer.body
                    refused += 1
            assert refused >= 3
            print(f"slowest answer {slowest:.2f} s")
            assert running.is_up
            assert not running.get_health("readyz")
            trouble.end()
            sink.status = 200
            sent = [update(1, step)[0] for step in range(30)]
            for step in range(20, 30):
                control_id, body = update(1, step)
                if control_id not in acked:
                    wait_until(lambda body=body: sender.send(body).code == "AA", "it does not recover")
                    acked.add(control_id)
            with open_folder(folder) as opened:
                wait_until(lambda: opened.ledger().applied == 30, "not everything is applied")
                wait_until_none(lambda: open_deliveries(opened), "deliveries are still under way")
            check_invariants(folder, {1: sent}, acked)
            assert next(iter(sink.names().values())) == [f"Given{step:05d}" for step in range(30)]
            assert sink.keys_differ() == []
            assert wait_until(lambda: running.get_health("readyz"), "it does not say that it is ready again")
            assert running.stop() == 0
            assert "Family" not in running.log


def test_stopping_while_the_disk_refuses_does_not_hang_and_loses_nothing(tmp_path: Path) -> None:
    folder, switch = write_folder(tmp_path / "folder"), tmp_path / "switch"
    with hilum(folder, disk=switch) as running, Sender(running.port) as sender:
        for step in range(50):
            assert sender.send(update(1, step)[1]).code == "AA"
        switch.write_text("full")
        assert sender.send(update(1, 50)[1]).code == "AE"
        assert running.stop() == 0
    with hilum(folder) as running:
        check_invariants(folder, {1: [update(1, step)[0] for step in range(50)]}, set())


def test_a_second_run_of_one_store_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder")
    with hilum(folder) as running:
        with hilum(folder, fresh=True) as second:
            assert second.wait_for_death() == 1
            assert "store-busy" in second.log
            assert not second.ports
        with Sender(running.port) as sender:
            assert sender.send(adt(1, "A", "One")).code == "AA"
        assert running.stop() == 0
    with hilum(folder) as running:
        assert running.is_up


def test_the_lock_of_a_killed_run_is_free(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder")
    for _ in range(2):
        with hilum(folder) as running:
            assert running.is_up
            running.kill()


def test_a_folder_with_findings_is_refused_with_all_of_them(tmp_path: Path) -> None:
    sources = {"adt": "kind: mllp\nprot: 1\n", "lab": "kind: mllp\nport: 70000\n"}
    with hilum(write_folder(tmp_path / "folder", sources), fresh=True) as running:
        assert running.wait_for_death() == 1
        assert "sources/adt.yaml:2:1" in running.log
        assert "sources/lab.yaml:2:7" in running.log
    assert not (tmp_path / "folder" / ".hilum").exists()


def test_a_port_that_is_taken_is_said_and_nothing_else_is_left_open(tmp_path: Path) -> None:
    with hilum(write_folder(tmp_path / "one")) as first:
        sources = {"adt": "kind: mllp\nport: 0\n", "lab": f"kind: mllp\nport: {first.port}\n"}
        with hilum(write_folder(tmp_path / "two", sources)) as second:
            assert second.wait_for_death() == 1
            assert "mllp-bind-failed" in second.log


def test_a_wrong_key_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder")
    with hilum(folder) as running, Sender(running.port) as sender:
        assert sender.send(adt(1, "A", "One")).code == "AA"
        running.kill()
    key = folder / ".hilum" / "hilum.key"
    right = key.read_bytes()
    key.chmod(0o600)
    key.write_bytes(bytes(reversed(right.strip())) + b"\n")
    with hilum(folder) as running:
        assert running.wait_for_death() == 1
        assert "key" in running.log
        assert "internal-error" not in running.log
    key.write_bytes(right)
    with hilum(folder) as running:
        assert settled(folder).applied == 1
        assert running.is_up


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopping_answers_and_keeps_what_was_taken(number: int, tmp_path: Path) -> None:
    """A signal under load: everything acknowledged is stored, exit status 0, and the next start applies the rest."""
    folder = write_folder(tmp_path / "folder")
    acked: dict[int, set[str]] = {}

    def send(patient: int) -> None:
        acked[patient] = send_until_lost(running.port, (update(patient, step) for step in range(100_000)))

    with hilum(folder) as running:
        threads = [threading.Thread(target=send, args=(patient,)) for patient in range(3)]
        for thread in threads:
            thread.start()
        with open_folder(folder) as opened:
            wait_until(lambda: opened.ledger().received > 60, "nothing comes in")
        running.process.send_signal(number)
        assert running.wait_for_death() == 0
        for thread in threads:
            thread.join(30)
    with hilum(folder), open_folder(folder) as opened:
        ledger = settled(folder)
        assert ledger.received == ledger.applied
        assert ledger.received - sum(map(len, acked.values())) in range(4)  # stored, and the connection was gone
        for patient, ids in acked.items():
            names = given_names(opened, patient)
            assert names[: len(ids)] == [f"Given{step:05d}" for step in range(len(ids))]


def test_a_signal_during_the_start_ends_it_well(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder")
    with hilum(folder) as running:
        running.process.send_signal(signal.SIGTERM)  # right after it said that it listens
        assert running.wait_for_death() == 0


def test_commands_work_beside_a_running_hilum(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_folder(tmp_path / "folder")
    with hilum(folder) as running, Sender(running.port) as sender:
        assert sender.send(adt(1, "A", "One")).code == "AA"
        settled(folder)
        assert main(["messages", "list", str(folder)]) == 0
        assert main(["journal", "verify", str(folder)]) == 0
        assert main(["doctor", str(folder)]) == 0
        assert running.is_up
    assert "applied" in capsys.readouterr().out


def test_the_command_that_the_readme_gives_starts_it(tmp_path: Path) -> None:
    """The console script, not only the module."""
    script = Path(sys.executable).with_name("hilum")
    done = subprocess.run([script, "run", tmp_path / "absent"], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 1
    assert "folder-missing" in done.stderr
