"""The one writer thread: waiting jobs share a transaction, and nobody hears of success before it is on the disk."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import apsw

from hilum.errors import StoreError
from hilum.store import fault
from hilum.store.checkpoint import Checkpointer
from hilum.store.connection import BUSY_MS, Target, connect, discard
from hilum.store.failures import breaks_transaction, translate

__all__ = ["Job", "Writer"]

MOST_JOBS = 1_000  # in one transaction, so that its commit stays short
LONG_PAGES = 16_000  # of 4 KiB: a WAL file longer than this is cut when there is time
IDLE_SECONDS = 0.5  # without work, before the WAL is folded into the file

BEFORE_COMMIT = fault.declare("store.before_commit", "all jobs of the group have run, nothing is on the disk")
AFTER_COMMIT = fault.declare("store.after_commit", "the group is on the disk, nobody has been told")
AFTER_TELLING = fault.declare("store.after_telling", "the group is on the disk and its callers are being told")


class Job:
    """One piece of work for the writer: `run(connection)`, undone if it raises; `tell` hears of it after the commit."""

    __slots__ = ("error", "result", "run", "tell")

    def __init__(self, run: Callable[[apsw.Connection], Any], tell: _Teller) -> None:
        self.run = run
        self.tell = tell
        self.result: Any = None
        self.error: BaseException | None = None


class Awaited:
    """Tells a future of an event loop; a whole group costs each loop one wake-up."""

    __slots__ = ("future", "loop")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()


class Blocked:
    """Tells a thread that waits."""

    __slots__ = ("event",)

    def __init__(self) -> None:
        self.event = threading.Event()


_Teller = Awaited | Blocked


class _BrokenTransaction(Exception):
    """The whole transaction is lost; `cause` is what SQLite said."""

    def __init__(self, cause: apsw.Error) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Writer:
    """Owns the writing connection. Urgent jobs wait behind at most one that is not; a failing job harms only itself."""

    def __init__(self, target: Target, connection: apsw.Connection) -> None:
        self._target = target
        self._connection: apsw.Connection | None = None
        self._distrusted: list[apsw.Connection] = []
        self._urgent: deque[Job] = deque()
        self._patient: deque[Job] = deque()
        self._group: list[Job] = []  # what the open transaction holds
        self._patient_is_owed = False
        self._patient_seconds = self._commit_seconds = 0.0  # what one takes, averaged over the last few
        self._wake = threading.Condition()
        self._stopping = False
        self._wal_pages = self._folded_pages = 0
        self._checkpointer = Checkpointer(target, self._poke)
        self.trouble: StoreError | None = None  # why the last group was not saved; None once one was
        self.generation = 0  # rises when connections must not be trusted any more
        self._adopt(connection)
        self._thread = threading.Thread(target=self._serve, name="hilum-store-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Job, *, urgent: bool) -> None:
        """Queue a job. Raises StoreError `store-closed`."""
        with self._wake:
            if self._stopping:
                raise StoreError("the store is closed", code="store-closed")
            (self._urgent if urgent else self._patient).append(job)
            self._wake.notify()

    def stop(self) -> None:
        """Run what waits, then end."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()
        self._checkpointer.stop()
        if self._connection is not None:
            _fold_in(self._connection)
            discard(self._connection)
        while self._distrusted:
            discard(self._distrusted.pop())

    def _poke(self) -> None:
        with self._wake:
            self._wake.notify()

    def _adopt(self, connection: apsw.Connection) -> None:
        connection.set_wal_hook(self._note_wal)
        self._connection = connection

    def _note_wal(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        if pages < self._wal_pages:
            self._folded_pages = 0  # it has started again
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _serve(self) -> None:
        try:
            self._work()
        except BaseException:
            gone = StoreError("the store's writer has ended on a defect: restart", code="store-writer-ended")
            with self._wake:
                self._stopping = True
            self._give_up([*self._group, *self._take_waiting()], gone)
            raise

    def _work(self) -> None:
        while True:
            with self._wake:
                idle = not self._has_work() and not self._wake.wait_for(self._has_work, IDLE_SECONDS)
                if self._stopping and not self._urgent and not self._patient:
                    return
            if self._urgent or self._patient:
                self._commit_group()
            self._keep_wal_short(idle=idle)

    def _has_work(self) -> bool:
        return bool(self._urgent or self._patient or self._stopping or self._checkpointer.finished)

    def _next_jobs(self) -> Iterator[Job]:
        """The jobs of one transaction, chosen while it runs.

        Urgent ones go first. One patient job shares their commit while running it takes less time than a commit of its
        own would; else it has its turn in the next transaction, which ends as soon as an urgent job has joined.
        """
        started_patient = self._patient and (self._patient_is_owed or not self._urgent)
        if not started_patient:
            yield from self._take_urgent()
            self._patient_is_owed = True
            if not self._patient or self._patient_seconds > self._commit_seconds:
                return
        self._patient_is_owed = False
        for _ in range(MOST_JOBS if started_patient else 1):
            if not self._patient:
                break
            start = time.monotonic()
            yield self._patient.popleft()
            self._patient_seconds += (time.monotonic() - start - self._patient_seconds) / 8
            if self._urgent:
                break
        yield from self._take_urgent()

    def _take_urgent(self) -> Iterator[Job]:
        for _ in range(MOST_JOBS):
            if not self._urgent:
                return
            yield self._urgent.popleft()

    def _commit_group(self) -> None:
        group = self._group = []
        try:
            connection = self._begin()
            for job in self._next_jobs():
                group.append(job)
                _run(connection, job, is_first=len(group) == 1)
            fault.reach(BEFORE_COMMIT)
            start = time.monotonic()
            connection.execute("COMMIT")
            self._commit_seconds += (time.monotonic() - start - self._commit_seconds) / 8
        except apsw.Error as error:
            self._give_up(group, translate(error))
        except _BrokenTransaction as error:
            self._give_up(group, translate(error.cause))
        except StoreError as error:
            self._give_up(group, error)
        else:
            fault.reach(AFTER_COMMIT)
            self._group = []
            self.trouble = None
            if connection.txn_state() != apsw.SQLITE_TXN_NONE:
                self._distrust()  # a job left a cursor in the middle, and with it an old snapshot
            _tell(group)

    def _begin(self) -> apsw.Connection:
        connection = self._connection or self._reopen()
        connection.execute("BEGIN IMMEDIATE")
        return connection

    def _give_up(self, group: list[Job], error: StoreError) -> None:
        """Nothing of the group was saved; what is cached is not trusted, as a failed sync may be told only once."""
        self.trouble = error
        group = group or self._take_waiting()  # it never began: whoever waits hears it now rather than hangs
        self._group = []
        for job in group:
            job.result, job.error = None, error
        self._distrust()
        _tell(group)

    def _take_waiting(self) -> list[Job]:
        waiting = [self._urgent.popleft() for _ in range(len(self._urgent))]
        return waiting + [self._patient.popleft() for _ in range(len(self._patient))]

    def _distrust(self) -> None:
        """Stop using the connection and what it has cached; the next group opens and checks a new one.

        The old one is closed only after that: were it the last, the next to open would recover the log, and a commit
        whose sync failed would be back after its caller was told that it is not.
        """
        connection, self._connection = self._connection, None
        self.generation += 1
        if connection is None:
            return
        self._distrusted.append(connection)
        if connection.in_transaction:
            _undo(connection)

    def _reopen(self) -> apsw.Connection:
        connection = connect(self._target)
        self._adopt(connection)
        while self._distrusted:
            discard(self._distrusted.pop())
        return connection

    def _keep_wal_short(self, *, idle: bool) -> None:
        if self._checkpointer.finished:
            self._checkpointer.finished = False
            self._finish_checkpoint()
        elif self._connection is not None and self._checkpointer.is_due(
            self._wal_pages - self._folded_pages, idle=idle
        ):
            self._checkpointer.start_round()

    def _finish_checkpoint(self) -> None:
        """Fold in the few pages that came meanwhile, so that the WAL can start again from its beginning.

        Its file is cut only when it has grown long and nothing waits: writing over what is allocated syncs faster.
        """
        if self._connection is None:
            return
        cut = self._wal_pages > LONG_PAGES and not self._urgent and not self._patient
        mode = apsw.SQLITE_CHECKPOINT_TRUNCATE if cut else apsw.SQLITE_CHECKPOINT_PASSIVE
        self._folded_pages = self._wal_pages
        self._connection.set_busy_timeout(0)
        try:
            self._connection.wal_checkpoint(mode=mode)
        except apsw.Error as error:
            if not isinstance(error, apsw.BusyError):  # busy: a reader is in the way, the next round does it
                self.trouble = translate(error)
                self._distrust()
                return
        self._connection.set_busy_timeout(BUSY_MS)


def _run(connection: apsw.Connection, job: Job, *, is_first: bool) -> None:
    """A failing job takes back what it did and no more: the first of a transaction has all of it, and no savepoint."""
    if not is_first:
        connection.execute("SAVEPOINT job")
    try:
        job.result = job.run(connection)
    except BaseException as error:  # noqa: BLE001 - it is handed to whoever asked for the job
        if isinstance(error, apsw.Error) and (breaks_transaction(error) or connection.get_autocommit()):
            raise _BrokenTransaction(error) from None
        job.error = translate(error) if isinstance(error, apsw.Error) else error
        connection.execute("ROLLBACK; BEGIN IMMEDIATE" if is_first else "ROLLBACK TO job")
    if not is_first:
        connection.execute("RELEASE job")


def _undo(connection: apsw.Connection) -> None:
    try:
        connection.execute("ROLLBACK")
    except apsw.Error:
        return  # closing it does the same


def _fold_in(connection: apsw.Connection) -> None:
    try:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except apsw.Error:
        return  # another process is in it, or the disk refuses: the WAL keeps everything


def _tell(group: list[Job]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[Job]] = {}
    for job in group:
        if isinstance(job.tell, Blocked):
            job.tell.event.set()
        else:
            by_loop.setdefault(job.tell.loop, []).append(job)
    for loop, jobs in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve, jobs)
        except RuntimeError:
            continue  # the loop is closed: nobody waits any more
    if group:
        fault.reach(AFTER_TELLING)


def _resolve(jobs: list[Job]) -> None:
    for job in jobs:
        assert isinstance(job.tell, Awaited)
        future = job.tell.future
        if future.done():  # its caller gave up waiting
            continue
        if job.error is None:
            future.set_result(job.result)
        else:
            future.set_exception(job.error)
