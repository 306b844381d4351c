"""The worklist beside a real `hilum demo`: killed and started again, it has every event once; no forgery counts."""

from __future__ import annotations

import json
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

RUN = Path(__file__).resolve().parents[2] / "examples" / "worklist" / "run.py"
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("worklist") / "demo"
    words = [sys.executable, "-m", "hilum.app.cli", "demo", "--keep", str(folder), "--rate", "15", "--json"]
    with subprocess.Popen(words, **QUIET) as running:
        try:
            wait_for(running, (folder / ".hilum" / "address.json").exists)
            yield folder
        finally:
            running.terminate()


def test_a_worklist_that_was_killed_has_every_event_once(demo: Path) -> None:
    port = free_port()
    words = [sys.executable, str(RUN), str(demo), "--port", str(port)]
    with subprocess.Popen(words, **QUIET) as first:
        wait_for(first, lambda: last_of(demo) > 0)
        headers = {"Hilum-Signature": f"t={int(time.time())},v1={'0' * 64}", "Idempotency-Key": "x"}
        before = items_of(demo, "%")
        forged = httpx2.post(f"http://127.0.0.1:{port}/", headers=headers, content=b'{"entry": []}')
        assert forged.status_code == 401
        assert items_of(demo, "%") >= before
        first.kill()
    seen = last_of(demo)
    base, token, subscription = access(demo)

    def numbered() -> int:
        status = httpx2.get(f"{base}/Subscription/{subscription}/$status", headers=token).json()
        given = status["entry"][0]["resource"]["parameter"]
        return int(next(one["valueString"] for one in given if one["name"] == "events-since-subscription-start"))

    while numbered() < seen + 5:
        time.sleep(0.1)
    with subprocess.Popen(words, **QUIET) as second:
        wait_for(second, lambda: last_of(demo) >= seen + 5)
        second.terminate()
        assert second.wait(30) == 0

    last = last_of(demo)
    asked = f"{base}/Subscription/{subscription}/$events?eventsUntilNumber={last}&content=id-only"
    events = httpx2.get(asked, headers=token).json()
    foci = [entry["fullUrl"].removeprefix(f"{base}/") for entry in events["entry"][1:]]
    assert len(foci) == last < 500
    encounters = [one for one in foci if one.startswith("Encounter/")]
    assert encounters
    assert items_of(demo, "Encounter/%") == set(encounters)
    assert (demo / ".hilum" / "worklist.sqlite").stat().st_mode & 0o077 == 0


def wait_for(running: subprocess.Popen[bytes], condition: Callable[[], bool]) -> None:
    while not condition():
        assert running.poll() is None, "it has ended"
        time.sleep(0.05)


def access(folder: Path) -> tuple[str, dict[str, str], str]:
    """The FHIR base, the worklist's authorization, its Subscription."""
    url = json.loads((folder / ".hilum" / "address.json").read_text())["url"]
    about = dict(ask(folder, "SELECT name, value FROM about"))
    return f"{url}/fhir", {"Authorization": f"Bearer {about['token']}"}, about["subscription"]


def last_of(folder: Path) -> int:
    return int(next(iter(ask(folder, "SELECT value FROM about WHERE name = 'last'")), ("0",))[0])


def items_of(folder: Path, like: str) -> set[str]:
    return {focus for (focus,) in ask(folder, "SELECT focus FROM item WHERE focus LIKE ?", like)}


def ask(folder: Path, sql: str, *values: str) -> list[tuple[str, ...]]:
    path = folder / ".hilum" / "worklist.sqlite"
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as database:
        try:
            return database.execute(sql, values).fetchall()
        except sqlite3.OperationalError:  # its tables are being made
            return []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
