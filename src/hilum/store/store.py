"""The one SQLite file under journal and repository: one writer, readers that see the last commit."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import apsw

from hilum.errors import StoreError
from hilum.store.connection import Target, check_version, connect, discard, is_made, prepare_file
from hilum.store.failures import translate, translate_file
from hilum.store.keys import derive
from hilum.store.lock import ProcessLock
from hilum.store.schema import Schema, install, stored_secret
from hilum.store.writer import Awaited, Blocked, Job, Writer

__all__ = ["Store"]

T = TypeVar("T")


class Store:
    """An open store. Made by `Store.open`; `close` it, or use it as a context manager.

    A failed read, write or commit raises StoreFull (retry), StoreBusy `store-locked` (retry), StoreCorrupt or
    StoreUnsafe (stop). After StoreFull the store goes on by itself once the disk takes writes again.
    """

    def __init__(self, target: Target, writer: Writer, secret: bytes, lock: ProcessLock | None) -> None:
        self._target = target
        self._writer = writer
        self._secret = secret
        self._lock = lock
        self._mine = threading.local()
        self._readers: weakref.WeakSet[apsw.Connection] = weakref.WeakSet()
        self._closed = False

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        key: bytes | None,
        schemas: Sequence[Schema],
        exclusive: bool = False,
        vfs: str = "",
    ) -> Store:
        """Open the store at `path`, or make it. `key`: 32 random bytes, or None for a file in the clear.

        `exclusive` takes the lock of `hilum run`; programs that write a little beside it open without. `vfs` names
        another file layer of SQLite. Raises StoreUnsafe (key wrong, SQLite too old, setting not safe, made by a newer
        hilum), StoreBusy (another `hilum run`), StoreFull.
        """
        check_version()
        target = Target(path=Path(path), key=key, vfs=vfs)
        try:
            prepare_file(target.path)
            lock = _lock(target.path) if exclusive else None
        except OSError as error:
            raise translate_file(error) from error
        try:
            connection = connect(target)
            try:
                install(connection, schemas)
                is_made(target.path)
                secret = key if key is not None else stored_secret(connection)
            except apsw.Error as error:
                raise translate(error) from None
            finally:
                discard(connection)
            return cls(target, Writer(target, connect(target)), secret, lock)
        except BaseException:
            if lock is not None:
                lock.release()
            raise

    @property
    def path(self) -> Path:
        """Where the file is; its `-wal`, `-shm` and `.lock` lie beside it."""
        return self._target.path

    @property
    def trouble(self) -> StoreError | None:
        """Why the last write was not saved, or None when the last one was."""
        return self._writer.trouble

    def derive(self, purpose: str) -> bytes:
        """A 32-byte key for one purpose, from the store key (HKDF-SHA256); without one, from a secret in the file."""
        return derive(self._secret, purpose)

    async def write(self, job: Callable[[apsw.Connection], T], *, urgent: bool = False) -> T:
        """Run `job(connection)` on the writer thread and return what it returned once it is on the disk.

        When it raises, its own changes alone are undone and the exception comes out here. It must not commit, and not
        wait for anything. Urgent: what a sender or a reader waits for (appends, audit).
        """
        told = Awaited()
        self._writer.submit(Job(job, told), urgent=urgent)
        result: T = await told.future
        return result

    def write_now(self, job: Callable[[apsw.Connection], T], *, urgent: bool = False) -> T:
        """The same for a thread that may wait (CLI commands)."""
        told = Blocked()
        work = Job(job, told)
        self._writer.submit(work, urgent=urgent)
        told.event.wait()
        if work.error is not None:
            raise work.error
        result: T = work.result
        return result

    def read(self, query: Callable[[apsw.Connection], T]) -> T:
        """Run `query(connection)` in the calling thread on one snapshot: the last commit. It cannot write.

        Rows must be fetched inside: a cursor does not outlive its query.
        """
        try:
            connection = self._reader()
            if connection.in_transaction:  # a read within a read shares its snapshot
                return query(connection)
            connection.execute("BEGIN")
            try:
                return query(connection)
            finally:
                connection.execute("ROLLBACK")
                self._let_go(connection)
        except apsw.Error as error:
            raise translate(error) from None

    def row(self, sql: str, values: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """The only row of one statement with several columns, on a snapshot of its own: cheaper than `read`.

        Raises what `read` raises.
        """
        try:
            found: tuple[Any, ...] | None = self._reader().execute(sql, values).get
        except apsw.Error as error:
            raise translate(error) from None
        return found

    def _let_go(self, connection: apsw.Connection) -> None:
        """A cursor left in the middle would hold its snapshot: the next read would be stale and the WAL never end."""
        if connection.txn_state() != apsw.SQLITE_TXN_NONE:
            discard(connection)
            self._mine.connection = None

    def backup(self, path: Path, progress: Callable[[int, int], None]) -> int:
        """Write one moment of the store to a new file at `path`, encrypted with the same key; returns its pages.

        Other connections go on writing meanwhile. `progress(done, total)` in pages. Raises StoreFull, StoreBusy.
        """
        target = Target(path=path, key=self._target.key, vfs=self._target.vfs)
        prepare_file(target.path)
        try:
            copy = connect(target)
            try:
                source = connect(self._target, read_only=True)
                try:
                    pages = _copy(source, copy, progress)
                finally:
                    discard(source)
            finally:
                copy.close()
        except apsw.Error as error:
            raise translate(error) from None
        is_made(target.path)
        return pages

    def _reader(self) -> apsw.Connection:
        if self._closed:
            raise StoreError("the store is closed", code="store-closed")
        connection: apsw.Connection | None = getattr(self._mine, "connection", None)
        if connection is not None and self._mine.generation == self._writer.generation:
            return connection
        self._mine.generation = self._writer.generation
        self._mine.connection = connect(self._target, read_only=True)
        self._readers.add(self._mine.connection)
        return self._reader()

    def close(self) -> None:
        """Finish what was asked for, fold the write-ahead log into the file, let go of the lock."""
        if self._closed:
            return
        self._closed = True
        for connection in list(self._readers):
            discard(connection)
        self._writer.stop()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _lock(path: Path) -> ProcessLock:
    return ProcessLock(
        path.with_name(f"{path.name}.lock"), "already runs on this store: stop it first, or let it go on"
    )


def _copy(source: apsw.Connection, copy: apsw.Connection, progress: Callable[[int, int], None]) -> int:
    """One snapshot: the read transaction keeps what others commit meanwhile out of it."""
    source.execute("BEGIN")
    source.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    pages = 0
    with copy.backup("main", source, "main") as running:
        while not running.done:
            running.step(1_000)
            pages = running.page_count
            progress(pages - running.remaining, pages)
    return pages
