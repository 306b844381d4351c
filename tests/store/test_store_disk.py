"""A disk that is full or fails: nobody hears success, and the store goes on when the disk does."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from faulty_disk import FaultyDisk

from hilum.errors import Outcome, StoreBusy, StoreFull
from hilum.store import Schema, Store

KEY = bytes(range(32))
THINGS = Schema(name="things", version=1, script="CREATE TABLE thing (n INTEGER PRIMARY KEY, text TEXT NOT NULL)")
pytestmark = pytest.mark.anyio


@pytest.fixture
def disk(request: pytest.FixtureRequest) -> Iterator[FaultyDisk]:
    faulty = FaultyDisk(f"faulty-{request.node.name}")
    yield faulty
    faulty.unregister()


@pytest.fixture
def store(tmp_path: Path, disk: FaultyDisk) -> Iterator[Store]:
    with Store.open(tmp_path / "hilum.db", key=KEY, schemas=[THINGS], vfs=disk.name) as opened:
        yield opened
        disk.failing = ""


def add(n: int):
    return lambda connection: connection.execute("INSERT INTO thing VALUES (?, ?)", (n, "x" * 500)).fetchall()


def stored(store: Store) -> list[int]:
    return store.read(lambda c: [n for (n,) in c.execute("SELECT n FROM thing ORDER BY n")])


@pytest.mark.parametrize(
    ("failing", "code"), [("full", "store-full"), ("sync", "store-sync-failed")], ids=["full", "fsync fails"]
)
async def test_every_job_of_a_group_that_was_not_saved_hears_it(
    store: Store, disk: FaultyDisk, failing: str, code: str
) -> None:
    await store.write(add(1))
    disk.failing = failing
    results = await asyncio.gather(
        *(store.write(add(n), urgent=n % 2 == 0) for n in range(2, 12)), return_exceptions=True
    )
    assert {type(result) for result in results} == {StoreFull}
    assert {(result.code, result.outcome) for result in results} == {(code, Outcome.RETRY)}
    assert store.trouble is not None
    disk.failing = ""
    await store.write(add(100))
    assert store.trouble is None
    assert stored(store) == [1, 100]


async def test_a_failing_checkpoint_loses_nothing(
    store: Store, disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hilum.store.checkpoint.DUE_PAGES", 5)
    for n in range(1, 60):
        disk.failing = "sync" if n % 7 == 0 else ""
        try:
            await store.write(add(n))
        except StoreFull:
            disk.failing = ""
            await store.write(add(n))
    disk.failing = ""
    assert stored(store) == list(range(1, 60))
    assert store.read(lambda c: c.execute("PRAGMA integrity_check").get) == "ok"


async def test_a_disk_that_cannot_be_read_is_an_error_in_words(store: Store, disk: FaultyDisk) -> None:
    await store.write(add(1))
    disk.failing = "read"
    with pytest.raises(StoreFull):
        await asyncio.to_thread(stored, store)
    disk.failing = ""
    assert await asyncio.to_thread(stored, store) == [1]


async def test_a_writer_in_another_process_makes_us_say_try_again(
    store: Store, disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.write(add(1))
    await store.write(lambda c: c.set_busy_timeout(20))
    with Store.open(store.path, key=KEY, schemas=[THINGS], vfs=disk.name) as other:
        held, let_go = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def hold(connection: apsw.Connection) -> None:
            add(5)(connection)
            loop.call_soon_threadsafe(held.set)
            asyncio.run_coroutine_threadsafe(let_go.wait(), loop).result()

        holding = asyncio.ensure_future(other.write(hold))
        await held.wait()
        with pytest.raises(StoreBusy) as caught:
            await store.write(add(2))
        assert (caught.value.code, caught.value.outcome) == ("store-locked", Outcome.RETRY)
        let_go.set()
        await holding
    await store.write(add(3))
    assert stored(store) == [1, 3, 5]


LIMITED = """
import resource, sys
from pathlib import Path
from hilum.errors import StoreFull
from hilum.store import Schema, Store

things = Schema(name="things", version=1, script="CREATE TABLE thing (n INTEGER PRIMARY KEY, text TEXT)")
with Store.open(Path(sys.argv[1]), key=bytes(32), schemas=[things]) as store:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    saved, refused = [], 0
    for n in range(400):
        try:
            store.write_now(lambda c: c.execute("INSERT INTO thing VALUES (?, ?)", (n, "x" * 3000)).fetchall())
            saved.append(n)
        except StoreFull:
            refused += 1
            if refused == 3:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert refused >= 3, refused
    found = store.read(lambda c: [n for (n,) in c.execute("SELECT n FROM thing ORDER BY n")])
    assert found == saved, (len(found), len(saved))
    print("refused", refused)
"""


def test_a_real_limit_of_the_file_size_is_survived(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "hilum.db")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("refused")
