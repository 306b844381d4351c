"""The writer: groups, savepoints, urgency, and what comes of a job that fails."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from hilum.errors import StoreBusy, StoreError, StoreUnsafe
from hilum.store import Schema, Store

KEY = bytes(range(32))
THINGS = Schema(name="things", version=1, script="CREATE TABLE thing (n INTEGER PRIMARY KEY, text TEXT NOT NULL)")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "data" / "hilum.db", key=KEY, schemas=[THINGS]) as opened:
        yield opened


def add(n: int, text: str = "x"):
    def job(connection: apsw.Connection) -> int:
        connection.execute("INSERT INTO thing VALUES (?, ?)", (n, text))
        return n

    return job


def stored(store: Store) -> list[int]:
    return store.read(lambda c: [n for (n,) in c.execute("SELECT n FROM thing ORDER BY n")])


def test_a_write_is_seen_by_the_next_read(store: Store) -> None:
    assert store.write_now(add(1)) == 1
    assert stored(store) == [1]


@pytest.mark.anyio
async def test_many_writers_share_transactions_and_each_hears_its_own_result(store: Store) -> None:
    results = await asyncio.gather(*(store.write(add(n), urgent=n % 2 == 0) for n in range(200)))
    assert results == list(range(200))
    assert stored(store) == list(range(200))


@pytest.mark.anyio
async def test_a_failing_job_does_not_harm_the_others_of_its_group(store: Store) -> None:
    def fails(connection: apsw.Connection) -> None:
        add(77)(connection)
        raise LookupError("not this one")

    results = await asyncio.gather(
        *(store.write(job) for job in (add(1), fails, add(1), add(2))), return_exceptions=True
    )
    assert results[0] == 1
    assert isinstance(results[1], LookupError)
    assert isinstance(results[2], StoreError)
    assert results[3] == 2
    assert stored(store) == [1, 2]


@pytest.mark.anyio
async def test_a_failing_job_that_is_the_first_of_its_group_does_not_harm_the_others(store: Store) -> None:
    started, go_on = threading.Event(), threading.Event()

    def fails(connection: apsw.Connection) -> None:
        add(77)(connection)
        started.set()
        go_on.wait()
        raise LookupError("not this one")

    first = asyncio.ensure_future(store.write(fails))
    await asyncio.sleep(0)
    await asyncio.to_thread(started.wait)
    others = [asyncio.ensure_future(store.write(add(n), urgent=True)) for n in (1, 2)]
    await asyncio.sleep(0)
    go_on.set()
    assert await asyncio.gather(*others) == [1, 2]
    with pytest.raises(LookupError):
        await first
    assert stored(store) == [1, 2]


@pytest.mark.anyio
async def test_an_urgent_job_waits_behind_at_most_one_patient_job(store: Store) -> None:
    order: list[str] = []
    started, go_on = threading.Event(), threading.Event()

    def first(_: apsw.Connection) -> None:
        started.set()
        go_on.wait()
        order.append("patient")

    def note(name: str):
        return lambda _connection: order.append(name)

    waiting = [asyncio.ensure_future(store.write(first))]
    await asyncio.sleep(0)
    await asyncio.to_thread(started.wait)
    waiting += [asyncio.ensure_future(store.write(note("patient"))) for _ in range(5)]
    waiting += [asyncio.ensure_future(store.write(note("urgent"), urgent=True)) for _ in range(3)]
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(*waiting)
    assert order[:4] == ["patient", "urgent", "urgent", "urgent"]
    assert order.count("patient") == 6


def test_files_are_for_their_owner_only(store: Store) -> None:
    store.write_now(add(1))
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700
    for file in store.path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_nothing_readable_lies_in_the_files(store: Store) -> None:
    store.write_now(add(1, "MARIA GARCIA"))
    for file in store.path.parent.iterdir():
        assert b"GARCIA" not in file.read_bytes()
        assert not file.read_bytes().startswith(b"SQLite format 3")


@pytest.mark.parametrize("key", [bytes(32), None], ids=["another key", "no key"])
def test_a_wrong_key_is_refused_in_words(store: Store, key: bytes | None) -> None:
    store.write_now(add(1))
    with pytest.raises(StoreUnsafe, match="key") as caught:
        Store.open(store.path, key=key, schemas=[THINGS])
    assert caught.value.code == "store-key-wrong"


def test_a_second_run_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    path = tmp_path / "hilum.db"
    with Store.open(path, key=KEY, schemas=[THINGS], exclusive=True) as first:
        with pytest.raises(StoreBusy, match=str(os.getpid())):
            Store.open(path, key=KEY, schemas=[THINGS], exclusive=True)
        with Store.open(path, key=KEY, schemas=[THINGS]) as beside:
            beside.write_now(add(5))
        assert stored(first) == [5]
    Store.open(path, key=KEY, schemas=[THINGS], exclusive=True).close()


def test_a_reader_cannot_write(store: Store) -> None:
    with pytest.raises(StoreError):
        store.read(lambda c: c.execute("INSERT INTO thing VALUES (1, 'x')"))


def test_a_closed_store_says_so(store: Store) -> None:
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.write_now(add(1))
    with pytest.raises(StoreError, match="closed"):
        stored(store)


def test_a_writer_outlives_a_loop_that_was_closed_under_it(store: Store) -> None:
    started, go_on = threading.Event(), threading.Event()

    def slow(_: apsw.Connection) -> None:
        started.set()
        go_on.wait()

    async def give_up() -> None:
        task = asyncio.ensure_future(store.write(slow))
        await asyncio.to_thread(started.wait)
        task.cancel()

    asyncio.run(give_up())
    go_on.set()
    assert store.write_now(add(3)) == 3


def test_a_cursor_left_in_the_middle_does_not_freeze_the_view(store: Store) -> None:
    for n in range(5):
        store.write_now(add(n))
    kept = []

    def leave(connection: apsw.Connection) -> None:
        cursor = connection.execute("SELECT n FROM thing")
        kept.append((cursor, next(cursor)))

    store.read(leave)
    store.write_now(leave)
    store.write_now(add(7))
    assert stored(store) == [0, 1, 2, 3, 4, 7]


def test_a_defect_in_the_writer_is_told_to_everyone_who_waits(tmp_path: Path) -> None:
    opened = Store.open(tmp_path / "hilum.db", key=KEY, schemas=[THINGS])

    class Defect(BaseException):
        pass

    hook, threading.excepthook = threading.excepthook, lambda _: None
    try:
        opened._writer._keep_wal_short = _raise(Defect)  # type: ignore[method-assign]
        assert opened.write_now(add(1)) == 1
        with pytest.raises(StoreError):
            write_until_refused(opened)
    finally:
        opened.close()
        threading.excepthook = hook


def write_until_refused(store: Store) -> None:
    while True:
        store.write_now(lambda _: None)


def _raise(error: type[BaseException]):
    def raiser(**_: object) -> None:
        raise error

    return raiser


@pytest.mark.anyio
async def test_the_log_is_kept_short_under_steady_work(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hilum.store.checkpoint.DUE_PAGES", 50)
    for n in range(1_000):
        await store.write(add(n, "x" * 300))
    wal = store.path.with_name(f"{store.path.name}-wal")
    assert wal.stat().st_size < 4_000_000  # all of it would be some 8 MB
    assert len(stored(store)) == 1_000


def test_closing_folds_the_log_into_the_file(store: Store) -> None:
    store.write_now(add(1))
    store.close()
    assert store.path.with_name(f"{store.path.name}-wal").stat().st_size == 0
