"""All bulk exports of a store: taking them on, working on one after another, and clearing them away.

An export that runs when hilum is killed goes on after the next start. Files lie below the store, sealed under a key of
their own, until they expire.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import structlog
from msgspec.structs import replace

from hilum.app.api.health import ExportStand
from hilum.app.api.outcomes import Problem
from hilum.app.api.writing import new_id
from hilum.app.bulk.asking import Export
from hilum.app.bulk.exporting import (
    DONE,
    FAILED,
    OPEN,
    SELECT,
    Exporter,
    ExportFile,
    ExportJob,
    delete_job,
    needs_of,
    read_job,
    write_job,
)
from hilum.app.bulk.sealed_files import read_sealed
from hilum.errors import HilumError, Outcome, StoreError, StoreFull
from hilum.repository import Feed
from hilum.store import Store, fault

__all__ = ["KEPT_SECONDS", "Exports", "exports_folder", "sweep_exports"]

KEPT_SECONDS = 24 * 3_600  # files of an export that has ended
MOST_OPEN = 8  # exports that wait or run
MOST_OF_ONE = 2  # of them of one token
LEAST_FREE = 256 * 1024 * 1024  # bytes that an export leaves on the disk
SWEEP_EVERY = 600.0

fault.declare("export.after_save", "a part of an export is on the disk and committed, the next is not begun")
log = structlog.get_logger(__name__)


def exports_folder(store: Store) -> Path:
    """Where the files of exports lie."""
    return store.path.parent / "exports"


class Exports:
    """The exports of one store. `start` it within the running loop, `close` it."""

    def __init__(self, store: Store, *, kept_seconds: int = KEPT_SECONDS) -> None:
        self._store, self._kept = store, kept_seconds
        self._feed = Feed(store)
        self._task: asyncio.Task[None] | None = None
        self._work = asyncio.Event()
        self._cancelled: set[str] = set()
        self._thread = _thread()

    def start(self) -> None:
        """Go on with what was begun, and take on more."""
        self._work.set()
        self._task = asyncio.create_task(self._run(), name="hilum-exports")

    async def close(self) -> None:
        """Stop at the next page; what is not committed is done again."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._thread.shutdown(wait=True)
        self._thread = _thread()

    async def take(self, actor: str, asked: Export) -> ExportJob:
        """Take an export on, of the store as it is now. Raises Problem 429 `export-too-many`."""
        now, moment = time.time_ns() // 1000, self._feed.now()

        def job(connection: Any) -> ExportJob:
            waiting = [one for (one,) in connection.execute("SELECT actor FROM export_job WHERE state = ?", (OPEN,))]
            if len(waiting) >= MOST_OPEN or waiting.count(actor) >= MOST_OF_ONE:
                text = "too many exports are under way: wait for one of them to end, or cancel it"
                raise Problem("export-too-many", 429, "throttled", text, headers={"Retry-After": "60"})
            made = ExportJob(new_id(), actor, asked, moment, OPEN, 0, (), "", now, 0)
            write_job(connection, made)
            return made

        made = await self._store.write(job)
        self._work.set()
        return made

    def find(self, id_: str) -> ExportJob | None:
        """One export, None when there is none or its files have expired."""
        found = self._store.read(lambda c: c.execute(f"{SELECT} WHERE id = ?", (id_,)).fetchone())
        job = None if found is None else read_job(found)
        return None if job is None or (job.ended and self.expires(job) <= time.time_ns() // 1000) else job

    def expires(self, job: ExportJob) -> int:
        """When its files go, microseconds."""
        return job.ended + self._kept * 1_000_000

    def stand(self) -> ExportStand:
        """How many there are, and since when the oldest waits."""
        sql = "SELECT state, count(*), min(created) FROM export_job GROUP BY state"
        found: list[Any] = self._store.read(lambda connection: connection.execute(sql).fetchall())
        oldest = next((since for state, _, since in found if state == OPEN), 0)
        return ExportStand({state: count for state, count, _ in found}, oldest)

    async def cancel(self, id_: str) -> None:
        """End an export and delete its files."""
        self._cancelled.add(id_)
        await self._store.write(lambda c: delete_job(c, id_))
        await asyncio.to_thread(_delete_files, self._store, id_)

    def read(self, job: ExportJob, file: ExportFile) -> Iterator[bytes]:
        """The text of one file, piece by piece."""
        return read_sealed(exports_folder(self._store) / job.id / file.name, self._key(job.id), file.size)

    async def sweep(self) -> None:
        """Delete what has expired, and files that belong to no export."""
        await asyncio.to_thread(sweep_exports, self._store, self._kept)

    def _key(self, id_: str) -> bytes:
        return self._store.derive(f"export {id_}")

    async def _run(self) -> None:
        swept = 0.0
        while True:
            try:
                if time.monotonic() - swept > SWEEP_EVERY or not swept:
                    await self.sweep()
                    swept = time.monotonic()
                job = self._next()
                if job is not None:
                    await self._carry_out(job)
                    continue
            except HilumError as error:  # the store is full or busy: it is tried again
                log.warning("exports wait", code=error.code)
                await asyncio.sleep(5.0)
                continue
            self._work.clear()
            if self._next() is None:
                try:
                    async with asyncio.timeout(SWEEP_EVERY):
                        await self._work.wait()
                except TimeoutError:
                    continue

    def _next(self) -> ExportJob | None:
        sql = f"{SELECT} WHERE state = ? ORDER BY created LIMIT 1"
        found = self._store.read(lambda connection: connection.execute(sql, (OPEN,)).fetchone())
        return None if found is None else read_job(found)

    async def _carry_out(self, job: ExportJob) -> None:
        """To its end, unless it is cancelled; a file that cannot be written ends it with a code."""
        loop = asyncio.get_running_loop()
        folder = exports_folder(self._store) / job.id
        exporter: Exporter | None = None
        try:
            key, needs = self._key(job.id), self._store.read(lambda connection: needs_of(connection, job))
            exporter = await loop.run_in_executor(self._thread, Exporter, self._feed, job, needs, folder, key)
            while not job.ended:
                if job.id in self._cancelled:
                    return
                if await loop.run_in_executor(self._thread, exporter.step):
                    _check_room(folder)
                    job = await self._save(*await loop.run_in_executor(self._thread, exporter.save))
        except Exception as error:
            if isinstance(error, StoreError) and error.outcome is Outcome.RETRY and error.code != "export-disk-full":
                raise
            code = "export-disk-full" if isinstance(error, OSError) else getattr(error, "code", "export-failed")
            log.warning("an export failed", export=job.id, code=code, error=type(error).__name__)
            job = replace(job, state=FAILED, code=code, ended=time.time_ns() // 1000)
            await self._commit(job)
        finally:
            if exporter is not None:
                exporter.close()
            if job.id in self._cancelled or job.state == FAILED:
                await asyncio.to_thread(_delete_files, self._store, job.id)

    async def _save(self, job: ExportJob, needs: Sequence[tuple[int, str]]) -> ExportJob:
        if job.state == DONE:
            job = replace(job, ended=time.time_ns() // 1000)
        await self._commit(job, needs)
        fault.reach("export.after_save")
        return job

    async def _commit(self, job: ExportJob, needs: Sequence[tuple[int, str]] = ()) -> None:
        """Commit how far it is, unless it was cancelled meanwhile."""

        def put(connection: Any) -> None:
            if connection.execute("SELECT count(*) FROM export_job WHERE id = ?", (job.id,)).get:
                write_job(connection, job, needs)

        await self._store.write(put)


def sweep_exports(store: Store, kept_seconds: int = KEPT_SECONDS) -> int:
    """Delete exports that ended longer ago than they are kept, and files without one; how many went."""
    before = time.time_ns() // 1000 - kept_seconds * 1_000_000
    expired = store.read(
        lambda c: [one for (one,) in c.execute("SELECT id FROM export_job WHERE ended > 0 AND ended <= ?", (before,))]
    )
    for id_ in expired:
        store.write_now(lambda c, id_=id_: delete_job(c, id_))  # type: ignore[misc]
    folder = exports_folder(store)
    there = [one.name for one in folder.iterdir()] if folder.is_dir() else []  # before their jobs are read
    known = store.read(lambda c: {one for (one,) in c.execute("SELECT id FROM export_job")})
    for name in set(there) - known:
        _delete_files(store, name)
    return len(expired)


def _check_room(folder: Path) -> None:
    if shutil.disk_usage(folder).free < LEAST_FREE:
        raise StoreFull("the disk has no room for this export: make some, and export again", code="export-disk-full")


def _delete_files(store: Store, id_: str) -> None:
    folder = exports_folder(store) / id_
    if folder.is_dir():
        shutil.rmtree(folder, ignore_errors=True)


def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="hilum-export")
