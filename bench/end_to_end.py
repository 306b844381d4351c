"""The whole journey with real processes: `hilum run` on an encrypted store, senders over MLLP in another process.

Durable acknowledgement at 8 and 100 connections and its 99th percentile at half that load; received to committed and
searchable; bytes stored per message; the time from start to the first acknowledgement with many messages stored.
`python -m bench.end_to_end MESSAGES` sets how many are stored before that start (default 20,000).
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.journal import incoming

from hilum.app.opening import Opened, open_folder
from hilum.engine.partition import partitions_of
from hilum.journal import Incoming, MessageQuery
from hilum.model import Effects

STORED = 20_000
ACKED = {8: 12_000, 100: 24_000}
JOURNEY = 12_000
FOLDER = {
    "integration.yaml": "use: bench\napi: {port: 0}\nparams: {unknown_namespace: local, zone: America/New_York}\n",
    "sources/adt.yaml": "kind: mllp\nport: 0\n",
}


def run(stored: int = STORED) -> dict[str, Any]:
    """Rates per second, times in ms, sizes in bytes."""
    figures: dict[str, Any] = {}
    for connections, messages in ACKED.items():
        with tempfile.TemporaryDirectory() as name:
            figures[f"durable_ack_{connections}_connections"] = _acknowledge(Path(name), connections, messages)
    with tempfile.TemporaryDirectory() as name:
        figures["journey"] = _journey(Path(name))
    with tempfile.TemporaryDirectory() as name:
        figures["start"] = _start(Path(name), stored)
    return figures


class _Hilum:
    """A `hilum run` process, from the moment it listens."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hilum.app.cli", "run", str(folder)], stderr=subprocess.PIPE, text=True
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if found := re.match(r"listening: adt, MLLP port (\d+)", line):
                self.port = int(found[1])
            if line.startswith("FHIR API:"):
                return
        raise SystemExit("hilum run did not start")

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=60)


def _write_folder(folder: Path) -> None:
    (folder / "sources").mkdir()
    for name, text in FOLDER.items():
        (folder / name).write_text(text)


def _load(port: int, connections: int, messages: int, rate: float = 0) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.load", str(port), str(connections), str(messages), str(rate)]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def _acknowledge(folder: Path, connections: int, messages: int) -> dict[str, Any]:
    """As fast as answers come, then on a fresh store at half that rate."""
    _write_folder(folder)
    hilum = _Hilum(folder)
    before = hilum.cpu_seconds()
    full = _load(hilum.port, connections, messages)
    full["cpu_us_per_message"] = round((hilum.cpu_seconds() - before) / messages * 1e6)
    _until_applied(folder)
    half = _load(hilum.port, connections, messages // 2, full["per_second"] / 2)
    hilum.stop()
    return {"full": full, "half_load": half}


def _journey(folder: Path) -> dict[str, Any]:
    """Until everything is committed and searchable, in order per patient."""
    _write_folder(folder)
    hilum = _Hilum(folder)
    started, before = time.perf_counter(), hilum.cpu_seconds()
    load = _load(hilum.port, 16, JOURNEY)
    _until_applied(folder)
    seconds = time.perf_counter() - started
    cpu = hilum.cpu_seconds() - before
    hilum.stop()
    size = sum(path.stat().st_size for path in (folder / ".hilum").iterdir())
    return {
        "messages": JOURNEY,
        "mean_bytes": load["mean_bytes"],
        "per_second": round(JOURNEY / seconds),
        "cpu_us_per_message": round(cpu / JOURNEY * 1e6),
        "stored_bytes_per_message": round(size / JOURNEY),
        "while_acknowledging": load,
    }


def _until_applied(folder: Path) -> None:
    with open_folder(folder) as opened:
        while opened.journal.counts(opened.repository.positions()).waiting:
            time.sleep(0.05)
        assert opened.ledger().difference == 0


def _start(folder: Path, stored: int) -> dict[str, Any]:
    """A kill, then from the start of the process to the first acknowledgement; then searches."""
    _write_folder(folder)
    with open_folder(folder, create=True) as opened:
        asyncio.run(_fill(opened, stored))
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        hilum = _Hilum(folder)
        with socket.create_connection(("127.0.0.1", hilum.port)) as sender:
            body = incoming(10**8 + len(times), random.Random(1), 1_000).body
            sender.sendall(b"\x0b" + body + b"\x1c\r")
            assert b"MSA|" in sender.recv(65_536)
        times.append(time.perf_counter() - begun)
        hilum.process.kill()
        hilum.process.communicate()
    with open_folder(folder) as opened:
        finds = {
            "by_control_id_ms": _timed(opened, MessageQuery(control_id=f"X{stored // 2}")),
            "by_patient_ms": _timed(opened, MessageQuery(key="100500|HOSP")),
        }
        begun = time.perf_counter()
        opened.ledger()
        finds["control_totals_ms"] = round((time.perf_counter() - begun) * 1000, 2)
    return {"stored": stored, "start_to_first_ack_ms": round(sorted(times)[1] * 1000), **finds}


async def _fill(opened: Opened, stored: int) -> None:
    """Messages in the journal, each with its outcome, as after a long life."""
    dice = random.Random(5)
    for first in range(0, stored, 1_000):
        batch = [incoming(n, dice, 20_000) for n in range(first, min(first + 1_000, stored))]
        batch = [Incoming(one.envelope, one.body, partitions_of(one.envelope)) for one in batch]
        rows = await opened.journal.append(batch)
        effects = [Effects(row.seq, one.partitions[0], 1) for row, one in zip(rows, batch, strict=True)]
        await opened.repository.apply(effects, {work.partition: work.seq for work in effects})


def _timed(opened: Opened, query: MessageQuery) -> float:
    begun = time.perf_counter()
    assert opened.journal.messages(query).messages
    return round((time.perf_counter() - begun) * 1000, 2)


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]) if len(sys.argv) > 1 else STORED), indent=2))
