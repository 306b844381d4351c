"""kill -9 at every named point and at random: what was acknowledged is stored once, and the chain is whole."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from journal_samples import incoming

from hilum.errors import NotFound
from hilum.journal import SCHEMA, SqliteJournal
from hilum.store import Store, fault

HERE = Path(__file__).parent
KEY = bytes(range(32))
LAST = 60
POINTS = sorted(name for name in fault.POINTS if name.startswith(("store.", "journal.")))
pytestmark = pytest.mark.anyio


def start(path: Path, crash_at: str = "", last: int = LAST) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if name != "HILUM_CRASH_AT"}
    if crash_at:
        environment["HILUM_CRASH_AT"] = crash_at
    return subprocess.Popen(
        [sys.executable, str(HERE / "crash_workload.py"), str(path), "1", str(last)],
        stdout=subprocess.PIPE,
        env=environment,
    )


def run(path: Path, crash_at: str = "") -> tuple[int, set[str]]:
    process = start(path, crash_at)
    said, _ = process.communicate()
    return process.returncode, set(said.decode().split()) - {"ready"}


async def check(path: Path, acknowledged: set[str]) -> None:
    """acked = stored, nothing doubled, chain whole, and the next append goes through."""
    with Store.open(path, key=KEY, schemas=[SCHEMA], exclusive=True) as store:
        journal = SqliteJournal(store)
        received = journal.counts({}).received
        stored: list[str] = []
        deleted = 0
        for seq in range(1, received + 1):
            try:
                message = journal.get(seq)
            except NotFound:
                deleted += 1
                continue
            stored.append(message.envelope.control_id)
            assert message.envelope.control_id.encode() in message.body
        assert len(stored) == len(set(stored))
        missing = acknowledged - set(stored)
        assert len(missing) <= deleted, "an acknowledged message is neither stored nor deleted by retention"
        report = await journal.verify()
        assert report.ok or not received, report.problem
        await journal.append([incoming(9_999)])
        assert (await journal.verify()).ok


def test_there_are_points_to_crash_at() -> None:
    assert len(POINTS) >= 9


@pytest.mark.parametrize("point", POINTS)
async def test_a_kill_at_any_named_point_loses_and_doubles_nothing(point: str, tmp_path: Path) -> None:
    path = tmp_path / "hilum.db"
    status, acknowledged = run(path, f"{point}:2")
    assert status == -signal.SIGKILL, f"{point} was not reached twice"
    await check(path, acknowledged)
    status, rest = run(path)  # the sender sends everything again
    assert status == 0
    await check(path, acknowledged | rest)


@pytest.mark.parametrize("seed", range(6))
async def test_a_kill_at_random_under_load_loses_and_doubles_nothing(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "hilum.db"
    acknowledged: set[str] = set()
    dice = random.Random(seed)
    for _ in range(2):
        process = start(path, last=100_000)
        assert process.stdout is not None
        for _ in range(dice.randrange(1, 200)):
            acknowledged.add(process.stdout.readline().decode().strip())
        process.kill()
        acknowledged |= {line.decode().strip() for line in process.stdout}
        process.stdout.close()
        process.wait()
    await check(path, acknowledged - {"ready", ""})


async def test_a_killed_run_lets_the_next_one_in(tmp_path: Path) -> None:
    path = tmp_path / "hilum.db"
    process = start(path, last=100_000)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.kill()
    process.stdout.read()
    process.stdout.close()
    process.wait()
    Store.open(path, key=KEY, schemas=[SCHEMA], exclusive=True).close()


AUDITOR = """
import sys
from pathlib import Path
from hilum.journal import SCHEMA, SqliteJournal
from hilum.model import AuditEvent
from hilum.store import Store

with Store.open(Path(sys.argv[1]), key=bytes(range(32)), schemas=[SCHEMA]) as store:
    journal = SqliteJournal(store)
    for n in range(40):
        journal.audit_now([AuditEvent(n, "cli", "show", f"message/{n}")])
"""


async def test_another_process_writes_audit_rows_while_a_run_appends(tmp_path: Path) -> None:
    path = tmp_path / "hilum.db"
    with Store.open(path, key=KEY, schemas=[SCHEMA], exclusive=True) as store:
        journal = SqliteJournal(store)
        other = subprocess.Popen([sys.executable, "-c", AUDITOR, str(path)])
        n = 0
        while other.poll() is None:
            await journal.append([incoming(n := n + 1)])
        assert other.returncode == 0
        assert journal.counts({}).received == n
        assert len(journal.audits()) == 40
        report = await journal.verify()
        assert report.ok, report.problem
