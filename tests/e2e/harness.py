"""A real `hilum run` in a process of its own, a sender that behaves as senders do, and the invariants of the journey."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from hilum.app.opening import Opened, open_folder
from hilum.journal import MessageQuery

INTEGRATION = """use: crash-test
owners:
  mapping: {business: ann, technical: bob, evidence: cy, launch: dee}
api: {port: 0}
params: {unknown_namespace: local}
"""
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def write_folder(folder: Path, sources: dict[str, str] | None = None, integration: str = INTEGRATION) -> Path:
    (folder / "sources").mkdir(parents=True)
    (folder / "integration.yaml").write_text(integration)
    for name, text in (sources or {"adt": "kind: mllp\nport: 0\nack: {mode: original}\n"}).items():
        (folder / "sources" / f"{name}.yaml").write_text(text)
    return folder


def update(patient: int, step: int) -> tuple[str, bytes]:
    """The nth update of one patient: control id and message; the given name counts the steps."""
    at = (START + timedelta(seconds=step)).strftime("%Y%m%d%H%M%S+0000")
    control_id = f"P{patient}S{step}"
    segments = (
        f"MSH|^~\\&|EHR|HOSP|HILUM|X|{at}||ADT^A08^ADT_A01|{control_id}|P|2.5.1",
        f"EVN|A08|{at}",
        f"PID|1||{patient}^^^HOSP^MR||Family^Given{step:05d}||19700101|F",
        "PV1|1|N",
    )
    return control_id, ("\r".join(segments) + "\r").encode()


class Hilum:
    """One `hilum run`. `ports` by source once it listens."""

    def __init__(self, folder: Path, crash_at: str = "") -> None:
        environment = {key: value for key, value in os.environ.items() if key != "HILUM_CRASH_AT"}
        if crash_at:
            environment["HILUM_CRASH_AT"] = crash_at
        self.log: list[str] = []
        self.ports: dict[str, int] = {}
        self.api = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hilum.app.cli", "run", str(folder)],
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._wait_until_it_listens()

    def _wait_until_it_listens(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line)
            if found := re.match(r"listening: (\S+), MLLP port (\d+)", line):
                self.ports[found[1]] = int(found[2])
            if found := re.match(r"FHIR API:\s+(\S+)", line):
                self.api = found[1]
                return

    @property
    def is_up(self) -> bool:
        return bool(self.api) and self.process.poll() is None

    def kill(self) -> None:
        self.process.kill()
        self._reap()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        self._reap()
        return self.process.returncode

    def wait_for_death(self, seconds: float = 30) -> int:
        self.process.wait(seconds)
        self._reap()
        return self.process.returncode

    def _reap(self) -> None:
        assert self.process.stderr is not None
        self.log += self.process.stderr.readlines()
        self.process.wait(30)
        self.process.stderr.close()


@contextmanager
def hilum(folder: Path, crash_at: str = "") -> Iterator[Hilum]:
    running = Hilum(folder, crash_at)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.kill()
        elif running.process.stderr is not None and not running.process.stderr.closed:
            running.process.stderr.close()


class Sender:
    """Stop-and-wait over one connection. Gives up at the first lost connection; whoever uses it decides to send again."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.file = self.socket.makefile("rb")

    def send(self, body: bytes) -> tuple[str, str]:
        """MSA-1 and MSA-2. Raises OSError or EOFError when the connection is lost before the answer."""
        self.socket.sendall(b"\x0b" + body + b"\x1c\r")
        answer = bytearray()
        while not answer.endswith(b"\x1c\r"):
            line = self.file.readline()
            if not line:
                chunk = self.file.read1()
                if not chunk:
                    raise EOFError
                line = chunk
            answer += line
            if b"\x1c" in answer and not answer.endswith(b"\r"):
                answer += self.file.read(1)
        msa = next(part for part in bytes(answer).split(b"\r") if part.startswith(b"MSA")).split(b"|")
        return msa[1].decode(), msa[2].decode()

    def close(self) -> None:
        self.file.close()
        self.socket.close()


def send_until_lost(port: int, messages: Iterable[tuple[str, bytes]]) -> set[str]:
    """Control ids with a positive answer, until the messages or the connection end."""
    acked: set[str] = set()
    try:
        sender = Sender(port)
    except OSError:
        return acked
    try:
        for control_id, body in messages:
            code, answered = sender.send(body)
            assert answered == control_id
            if code in ("AA", "CA"):
                acked.add(control_id)
    except (OSError, EOFError):
        return acked
    finally:
        sender.close()
    return acked


def wait_until_applied(opened: Opened, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while opened.journal.counts(opened.repository.positions()).waiting:
        assert time.monotonic() < deadline, "messages are still waiting"
        time.sleep(0.02)


def check_invariants(folder: Path, sent: dict[int, list[str]], acked: set[str]) -> None:
    """acked = stored, lost 0, effects doubled 0, order violations 0, totals equal. `sent`: control ids per patient."""
    with open_folder(folder) as opened:
        wait_until_applied(opened)
        ledger = opened.ledger()
        everything = [control_id for ids in sent.values() for control_id in ids]
        stored = [one for control_id in everything for one in _stored(opened, control_id)]
        assert acked <= set(stored), "a message that was acknowledged is not in the journal"
        assert sorted(stored) == sorted(everything), "a message is missing, or is there twice"
        assert ledger.received == len(everything)
        assert ledger.difference == 0
        assert ledger.adds_up
        assert ledger.applied == len(everything)
        for patient, ids in sent.items():
            assert _given_names(opened, patient) == [f"Given{int(one.rpartition('S')[2]):05d}" for one in ids]
        report = opened.journal.verify_now()
        assert report.ok, report.problem


def _stored(opened: Opened, control_id: str) -> list[str]:
    return [one.envelope.control_id for one in opened.journal.messages(MessageQuery(control_id=control_id)).messages]


def _given_names(opened: Opened, patient: int) -> list[str]:
    """The name in every version of a patient, oldest first."""
    from hilum.repository import Query, SearchTerm

    page = opened.repository.search(Query("Patient", (SearchTerm("identifier", (str(patient),)),)))
    assert len(page.matches) == 1, f"{len(page.matches)} resources for one patient"
    versions = opened.repository.history("Patient", page.matches[0].id, limit=10_000)
    return [msgspec.json.decode(one.body)["name"][0]["given"][0] for one in reversed(versions)]
