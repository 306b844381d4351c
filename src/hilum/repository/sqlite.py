"""The repository in the store's SQLite file.

`apply` plans on a snapshot in the caller's thread, a few messages at a time, and hands finished rows to the writer. A
plan holds for one tick: when another process committed effects meanwhile, the writer makes it again before it writes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import resources

import apsw
from msgspec import Struct

from hilum.errors import NotFound, StoreError
from hilum.formats import fhir
from hilum.model import AuditEvent, Effects, Held
from hilum.store import Schema, Store, fault

from .body import serve
from .chunks import CHUNK, Texts
from .desk import Desk, record_work
from .lookup import search, versions
from .merging import MergeRecord, merge_records
from .names import Numbers, Remembered, find_rids
from .outbox import enqueue
from .packaged import batch_of, take_in
from .past import Past, Versions
from .plan import Live, Plan, Planner
from .rebuilding import ensure_facts
from .rules import check_positions
from .seam import Page, Query, Stored
from .snapshot import Snapshot, last_tick, merges_of, newest_merges
from .sql import Row
from .together import Together, can_share
from .writes import Aftermath, Change, Done, Written, carry_out, chunks_needed, conditions_of, last_said, stored_live
from .writing import Rows, rows_of, write

__all__ = ["SCHEMA", "SqliteRepository"]

SCHEMA = Schema(
    name="repository",
    version=6,
    script=resources.files(__package__).joinpath("repository.sql").read_text("utf-8"),
)

STEP = 16  # messages planned before other tasks get their turn
ROUND = 128  # messages at most in one job of the writer

CONDITION_SECONDS = 1.0  # for a condition of a write, which everybody else waits behind
LARGE = 100  # changes of a write that is planned beside the writer
TRIES = 3  # to do so, before it is planned inside
URGENT = 16  # changes of a write that a sender's answer may wait for

Witness = Callable[[apsw.Connection, Sequence[AuditEvent]], None]

fault.declare("repository.before_write", "the plan is made, nothing is written")
fault.declare("repository.after_write", "all rows are written, the transaction is not committed")
fault.declare("repository.after_commit", "the effects are on the disk, nobody was told")


class _Call(Struct):
    """One call of `apply` that waits."""

    work: Sequence[Effects | Held]
    positions: Mapping[int, int]
    expected: Mapping[int, int] | None
    done: asyncio.Future[None]


class _Ready(Struct):
    """What a round brings to the writer."""

    snapshot: Snapshot
    plan: Plan
    rows: Rows


class _Planned(Struct):
    """A write of programs as it will be, if `tick` is the last commit still; `mine` is the number of its own."""

    tick: int
    mine: int
    now: int  # milliseconds
    plan: Plan
    rows: Rows
    numbers: Numbers
    written: list[Written]


class SqliteRepository(Desk):
    """See `Repository`. The store must have been opened with `SCHEMA`. `clock` gives microseconds.

    `witness(connection, events)` writes audit rows into the transaction of a `write` (`SqliteJournal.audit_in`).
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
        witness: Witness | None = None,
    ) -> None:
        super().__init__(store, clock)
        self._witness = witness
        self._remembered = Remembered()
        self._together = Together(self._write_in)
        self._calls: list[_Call] = []
        self._drainer: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()  # applying messages waits for a large write; acknowledging them does not
        ensure_facts(store)

    # apply

    async def apply(
        self,
        work: Sequence[Effects | Held],
        positions: Mapping[int, int],
        expected: Mapping[int, int] | None = None,
    ) -> None:
        """Calls that come while one is being written share the next transaction."""
        call = _Call(work, positions, expected, asyncio.get_running_loop().create_future())
        self._calls.append(call)
        if self._drainer is None or self._drainer.done():
            self._drainer = asyncio.create_task(self._drain())
        await call.done

    async def _drain(self) -> None:
        while self._calls:
            calls = [self._calls.pop(0)]
            while self._calls and sum(len(call.work) for call in calls) + len(self._calls[0].work) <= ROUND:
                calls.append(self._calls.pop(0))
            async with self._turn:
                await self._round(calls)

    async def _round(self, calls: Sequence[_Call]) -> None:
        """Commit these together; when that fails, each alone, so that one bad call fails alone."""
        try:
            await self._commit(calls)
        except Exception as error:  # noqa: BLE001 - it is given to the caller
            is_about_one = not isinstance(error, StoreError) or error.code == "position-stale"
            if len(calls) > 1 and is_about_one:
                for call in calls:
                    await self._round([call])
                return
            for call in calls:
                if not call.done.cancelled():
                    call.done.set_exception(error)
        else:
            for call in calls:
                if not call.done.cancelled():
                    call.done.set_result(None)

    async def _commit(self, calls: Sequence[_Call]) -> None:
        ready = await self._prepare([one for call in calls for one in call.work])
        used = await self._store.write(lambda connection: self._write(connection, calls, ready))
        self._remembered.take(used.snapshot.numbers)
        fault.reach("repository.after_commit")

    async def _prepare(self, work: Sequence[Effects | Held]) -> _Ready:
        """Plan in small steps on one tick; when the tick moves on between them, the writer plans again."""
        snapshot = self._store.read(lambda connection: Snapshot(connection, self._remembered))
        planner = Planner(snapshot)
        for start in range(0, len(work), STEP):
            self._store.read(partial(_plan, snapshot=snapshot, planner=planner, work=work[start : start + STEP]))
            await asyncio.sleep(0)
        rows = Rows()
        changed = list(planner.plan.changed.values())
        for start in range(0, len(changed), 4 * STEP):
            some = changed[start : start + 4 * STEP]
            self._store.read(partial(_rows, snapshot=snapshot, changed=some, rows=rows))
            await asyncio.sleep(0)
        rows.bodies = rows.chunks.packed()
        return _Ready(snapshot, planner.plan, rows)

    def _write(self, connection: apsw.Connection, calls: Sequence[_Call], ready: _Ready) -> _Ready:
        """The writer's part."""
        fault.reach("repository.before_write")
        tick = last_tick(connection)
        if tick != ready.snapshot.tick:
            ready = self._prepare_now(connection, [one for call in calls for one in call.work])
        positions = dict(connection.execute("SELECT partition, seq FROM reader_position"))
        for call in calls:
            check_positions(positions, call.positions, call.expected)
            positions.update(call.positions)
        now = max(self._clock() // 1000, tick.at + 1)
        numbers = ready.snapshot.numbers
        connection.execute(
            "INSERT INTO apply_commit VALUES (?, ?, ?, ?)", (tick.tick + 1, now, numbers.rids.last, numbers.terms.last)
        )
        write(connection, ready.rows, ready.plan, numbers, tick.tick + 1)
        record_work(connection, ready.plan, now * 1000)
        moved = [(partition, seq) for call in calls for partition, seq in call.positions.items()]
        connection.executemany("INSERT OR REPLACE INTO reader_position VALUES (?, ?)", moved)
        fault.reach("repository.after_write")
        return ready

    def _prepare_now(self, connection: apsw.Connection, work: Sequence[Effects | Held]) -> _Ready:
        snapshot = Snapshot(connection, self._remembered.apart())
        planner = Planner(snapshot)
        _plan(connection, snapshot, planner, work)
        rows = Rows()
        _rows(connection, snapshot, list(planner.plan.changed.values()), rows)
        rows.bodies = rows.chunks.packed()
        return _Ready(snapshot, planner.plan, rows)

    # write

    async def write(
        self,
        changes: Sequence[Change],
        *,
        references: Mapping[str, Query] = {},
        then: Callable[[Sequence[Written]], Aftermath] = lambda _: Aftermath(),
    ) -> list[Written]:
        """What a program asks for is planned inside the writer, so that its conditions hold when it is committed.

        Much of it is planned beside the writer, which others wait for, and written if nothing was committed meanwhile.
        """
        if not references and can_share(changes):
            return await self._together.write(changes[0], then)
        if len(changes) >= LARGE:
            async with self._turn:
                done = await self._write_planned(changes, references, then)
                if done is not None:
                    return done
        return await self._write_in(changes, then, references)

    async def _write_in(
        self,
        changes: Sequence[Change],
        then: Callable[[Sequence[Written]], Aftermath],
        references: Mapping[str, Query] = {},
    ) -> list[Written]:
        """Planned inside the writer."""

        def job(connection: apsw.Connection) -> tuple[_Planned, Remembered]:
            remembered = self._remembered.apart()
            planned = self._planned(connection, changes, references, remembered)
            self._finish(connection, planned, then)
            return planned, remembered

        planned, remembered = await self._store.write(job, urgent=len(changes) <= URGENT)
        self._remembered.take(planned.numbers)
        self._remembered.take_in(remembered)
        return planned.written

    async def _write_planned(
        self,
        changes: Sequence[Change],
        references: Mapping[str, Query],
        then: Callable[[Sequence[Written]], Aftermath],
    ) -> list[Written] | None:
        """None when others committed each time before it could."""
        for _ in range(TRIES):
            remembered = self._remembered.apart()
            plan = partial(self._planned, changes=changes, references=references, remembered=remembered)
            planned = await asyncio.to_thread(self._store.read, plan)

            def job(connection: apsw.Connection, planned: _Planned = planned) -> bool:
                if last_tick(connection).tick != planned.tick:
                    return False
                self._finish(connection, planned, then)
                return True

            if await self._store.write(job, urgent=False):
                self._remembered.take(planned.numbers)
                self._remembered.take_in(remembered)
                return planned.written
        return None

    def _planned(
        self,
        connection: apsw.Connection,
        changes: Sequence[Change],
        references: Mapping[str, Query],
        remembered: Remembered,
    ) -> _Planned:
        """What a write comes to on one state of the store; nothing is written."""
        snapshot = Snapshot(connection, remembered)
        planner = Planner(snapshot)

        def find(query: Query) -> list[str]:
            found = search(connection, conditions_of(query), remembered.texts, CONDITION_SECONDS)
            return [one.id for one in found.matches]

        tick, numbers = snapshot.tick, snapshot.numbers
        done = carry_out(planner, changes, find, references, -(tick.tick + 1))
        now = max(self._clock() // 1000, tick.at)
        rows = Rows()
        if planner.plan.changed:
            rows_of(planner.plan.changed.values(), numbers, rows)
            rows.bodies = rows.chunks.packed()
        written = [self._written(connection, one, planner, now, remembered) for one in done]
        return _Planned(tick.tick, tick.tick + chunks_needed(changes), now, planner.plan, rows, numbers, written)

    def _finish(
        self, connection: apsw.Connection, planned: _Planned, then: Callable[[Sequence[Written]], Aftermath]
    ) -> None:
        """The writer's part."""
        numbers = planned.numbers
        if planned.plan.changed:
            connection.execute(
                "INSERT INTO apply_commit VALUES (?, ?, ?, ?)",
                (planned.mine, planned.now, numbers.rids.last, numbers.terms.last),
            )
            write(connection, planned.rows, planned.plan, numbers, planned.mine)
        more = then(planned.written)
        enqueue(connection, more.outgoing, planned.now * 1000)
        if more.also is not None:
            more.also(connection)
        if more.audits:
            if self._witness is None:
                raise ValueError("there is no witness to write audit rows")
            self._witness(connection, more.audits)

    def _written(
        self, connection: apsw.Connection, done: Done, planner: Planner, now: int, remembered: Remembered
    ) -> Written:
        if not done.id:
            return Written(done.did, None)
        live = planner.plan.changed.get(f"{done.type}/{done.id}")
        if live is not None and live.versions:
            return Written(done.did, stored_live(live, now), last_said(live))
        try:
            return Written(done.did, self._get(connection, done.type, done.id, None, remembered))
        except NotFound:
            return Written(done.did, None)

    # resources

    def get(self, type_: str, id_: str, version: int | None = None) -> Stored:
        found = self._get_known(type_, id_) if version is None else None
        if found is not None:
            return found
        return self._store.read(lambda connection: self._get(connection, type_, id_, version, self._remembered))

    def _get_known(self, type_: str, id_: str) -> Stored | None:
        """The current version by one statement, where the number of its name is remembered. A chunk never changes."""
        rid = self._remembered.rids.get(f"{type_}/{id_}")
        row = self._store.row(_CURRENT, (rid,)) if rid is not None else None
        if row is None:
            return None
        version, at, seq, number, place = row
        texts = self._remembered.texts
        text = texts.known(number, place)
        if text is None:
            text = self._store.read(lambda connection: texts.text(connection, number, place))
        return _stored(type_, id_, version, at, seq, text)

    def _get(
        self, connection: apsw.Connection, type_: str, id_: str, version: int | None, remembered: Remembered
    ) -> Stored:
        rid = self._rid(connection, type_, id_, remembered)
        row = connection.execute(_CURRENT, (rid,)).fetchone()
        if row is not None and version not in (None, row[0]):
            row = connection.execute(_SUPERSEDED, (rid, version)).fetchone()
        if row is None:
            what = "resource" if version is None else "version"
            raise NotFound(f"there is no such {what}", location=f"{type_}/{id_}")
        return self._stored(connection, type_, id_, row, remembered)

    def merges(self, record: str | None = None, limit: int = 100) -> list[MergeRecord]:
        return self._store.read(
            lambda connection: merge_records(
                partial(merges_of, connection), record, newest_merges(connection, limit) if record is None else ()
            )
        )

    def history(self, type_: str, id_: str, limit: int = 100) -> list[Stored]:
        return self._store.read(lambda connection: self._history(connection, type_, id_, limit))

    def _history(self, connection: apsw.Connection, type_: str, id_: str, limit: int) -> list[Stored]:
        rid = self._rid(connection, type_, id_, self._remembered)
        rows = [connection.execute(_CURRENT, (rid,)).fetchone(), *connection.execute(_VERSIONS, (rid, limit))]
        if rows[0] is None:
            raise NotFound("there is no such resource", location=f"{type_}/{id_}")
        return [self._stored(connection, type_, id_, row, self._remembered) for row in rows[:limit]]

    def versions(self, past: Past) -> Versions:
        return self._store.read(lambda connection: versions(connection, past, self._remembered.texts))

    def version_by(self, seq: int, type_: str, id_: str) -> Stored | None:
        return self._store.read(lambda connection: self._version_by(connection, seq, type_, id_))

    def _version_by(self, connection: apsw.Connection, seq: int, type_: str, id_: str) -> Stored | None:
        values = (self._rid(connection, type_, id_, self._remembered), seq)
        row = connection.execute(_CURRENT_BY, values).fetchone() or connection.execute(_MADE_BY, values).fetchone()
        return self._stored(connection, type_, id_, row, self._remembered) if row is not None else None

    def _rid(self, connection: apsw.Connection, type_: str, id_: str, remembered: Remembered) -> int | None:
        record = f"{type_}/{id_}"
        found = remembered.rids.get(record)
        if found is None:
            found = find_rids(connection, (record,)).get(record)
            if found is not None:
                remembered.learn(record, found)
        return found

    def type_counts(self) -> dict[str, int]:
        found = self._rows("SELECT type, count(*) FROM resource WHERE type > 0 GROUP BY type")
        return {fhir.RESOURCE_TYPES[number - 1]: count for number, count in found}

    def search(self, query: Query) -> Page:
        return self._store.read(lambda connection: search(connection, query, self._remembered.texts))

    async def index_packages(self) -> int:
        """Take the next resources into the index of parameters that packages bring; how many, 0: there is no more."""
        for type_ in fhir.offered_types():
            texts = Texts()
            batch = await asyncio.to_thread(self._store.read, lambda c, of=type_, by=texts: batch_of(c, of, by))
            if batch is not None:
                await self._store.write(partial(take_in, batch=batch))
                return len(batch.rids)
        return 0

    def _stored(self, connection: apsw.Connection, type_: str, id_: str, row: Row, remembered: Remembered) -> Stored:
        version, at, seq, *where = row
        return _stored(type_, id_, version, at, seq, remembered.texts.text(connection, *where))


def _stored(type_: str, id_: str, version: int, at: int, seq: int, text: bytes) -> Stored:
    """`at` in milliseconds; a version without a text is the deletion."""
    whole = serve(type_, text, version, at)[1] if text else b""
    return Stored(type_, id_, version, at * 1000, whole, seq, not text)


def _version_of(table: str) -> str:
    return (
        f"SELECT v.version, c.at, v.seq, {CHUNK}, v.place FROM {table} v "  # noqa: S608 - names of ours
        "JOIN apply_commit c ON c.tick = v.tick WHERE v.rid = ?"
    )


_CURRENT = _version_of("resource")
_SUPERSEDED = _version_of("resource_history") + " AND v.version = ?"
_CURRENT_BY = _version_of("resource") + " AND v.seq = ?"
_MADE_BY = _version_of("resource_history") + " AND v.seq = ?"
_VERSIONS = _version_of("resource_history") + " ORDER BY v.version DESC LIMIT ?"


def _plan(connection: apsw.Connection, snapshot: Snapshot, planner: Planner, work: Sequence[Effects | Held]) -> None:
    snapshot.rebind(connection)
    snapshot.know_seqs(one.seq for one in work)
    planner.prefetch(work)
    for one in work:
        planner.add(one)


def _rows(connection: apsw.Connection, snapshot: Snapshot, changed: Sequence[Live], rows: Rows) -> None:
    snapshot.rebind(connection)
    rows_of(changed, snapshot.numbers, rows)
