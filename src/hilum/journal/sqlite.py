"""The journal in the store: appends that wait together share one group, one head and one sync."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import apsw
from msgspec import Struct

from hilum.errors import NotFound, StoreCorrupt, StoreError, StoreFull
from hilum.journal import finding, verifying
from hilum.journal.appending import Prepared, Work, add_work, prepare
from hilum.journal.bodies import FIRST_DICTIONARY, Packer, train
from hilum.journal.found import MessagePage, MessageQuery, Rate, RouteCount
from hilum.journal.reading import read_audits, read_entries, read_message
from hilum.journal.rows import Names, read_tip
from hilum.journal.sealing import Sealed, Segments
from hilum.journal.seam import Incoming, JournalCounts, VerifyReport
from hilum.journal.signing import SignedHead, Signer
from hilum.model import Appended, AuditEvent, Entry, Message
from hilum.store import Schema, Store

__all__ = ["SCHEMA", "SqliteJournal"]

SCHEMA = Schema(name="journal", version=2, script=files(__package__).joinpath("journal.sql").read_text("utf-8"))
SIGN_EVERY = 256  # groups
AT_ONCE = 256  # messages prepared before other tasks get their turn
CHORES_EVERY = 64  # appends, a batch of 16 messages counting as two
TRAIN_AT = (1_000, 30_000)  # messages, after which a dictionary is trained
TRAINED_ON = 2_000  # messages


class _Waiting(Struct):
    """One caller's work and the future it awaits."""

    work: Work
    future: asyncio.Future[list[Appended]]


class SqliteJournal:
    """The journal of one store. `close` signs the last head; the store is closed by whoever opened it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._names = Names()
        self._packer = Packer(self._dictionary)
        self._signer = Signer(store.derive("journal signing"))
        self._segments = Segments(store, self._signer)
        self._queue: list[_Waiting] = []
        self._flushing: asyncio.Task[None] | None = None
        self._chores: asyncio.Task[None] | None = None
        self._since_chores = CHORES_EVERY
        self._signed = 0
        self._trained = 0
        store.read(self._take_in)

    def _take_in(self, connection: apsw.Connection) -> None:
        self._names.remember(connection)
        self._signed = connection.execute("SELECT coalesce(max(n), 0) FROM signature").get
        newest = connection.execute("SELECT max(id) FROM dictionary").get
        if newest is not None:
            self._packer.use(newest)
            self._trained = newest - FIRST_DICTIONARY + 1

    # --- append ---

    async def append(self, incoming: Sequence[Incoming]) -> list[Appended]:
        """Append all or none, in order; return after the commit is on the disk. Raises StoreFull, StoreBusy."""
        prepared: list[Prepared] = []
        for start in range(0, len(incoming), AT_ONCE):
            if start:
                await asyncio.sleep(0)  # a large file does not keep others waiting
            prepared += [prepare(one, self._packer) for one in incoming[start : start + AT_ONCE]]
        return await self._add(Work(messages=prepared))

    async def audit(self, events: Sequence[AuditEvent]) -> None:
        """Append audit rows to the same chain; return after the commit."""
        await self._add(Work(audits=tuple(events)))

    def audit_now(self, events: Sequence[AuditEvent]) -> None:
        """The same for a thread that may wait (CLI commands)."""
        self._store.write_now(lambda connection: self.audit_in(connection, events), urgent=True)

    def audit_in(self, connection: apsw.Connection, events: Sequence[AuditEvent]) -> None:
        """Add audit rows within somebody's own `Store.write` job: they commit with its effects or not at all."""
        add_work(connection, [Work(audits=tuple(events))], self._names, self._body_of(connection))

    def append_in(
        self, connection: apsw.Connection, incoming: Sequence[Incoming], events: Sequence[AuditEvent]
    ) -> list[Appended]:
        """Add messages and audit rows within somebody's own `Store.write` job, all of it or none."""
        work = Work(messages=[prepare(one, self._packer) for one in incoming], audits=tuple(events))
        return add_work(connection, [work], self._names, self._body_of(connection))[0]

    async def _add(self, work: Work) -> list[Appended]:
        if not work.messages and not work.audits:
            return []
        future: asyncio.Future[list[Appended]] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(work, future))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.get_running_loop().create_task(self._flush())
        return await future

    async def _flush(self) -> None:
        """Write what waits as one group; while it commits, the next group gathers."""
        while self._queue:
            taken, self._queue = self._queue, []
            works = [waiting.work for waiting in taken]
            try:
                results = await self._store.write(
                    lambda connection, works=works: add_work(  # type: ignore[misc]
                        connection, works, self._names, self._body_of(connection)
                    ),
                    urgent=True,
                )
            except asyncio.CancelledError:
                for waiting in [*taken, *self._queue]:
                    waiting.future.cancel()
                raise
            except Exception as error:  # noqa: BLE001 - every caller hears it
                for waiting in taken:
                    _fail(waiting.future, error)
                continue
            for waiting, result in zip(taken, results, strict=True):
                if not waiting.future.done():
                    waiting.future.set_result(result)
            self._since_chores += sum(1 + len(work.messages) // 16 for work in works)
            is_due = self._since_chores >= CHORES_EVERY or self._has_new_routes(works)
            if is_due and (self._chores is None or self._chores.done()):
                self._since_chores = 0
                self._chores = asyncio.get_running_loop().create_task(self._look_after())

    def _has_new_routes(self, works: Sequence[Work]) -> bool:
        return any(not self._names.known(one.route) for work in works for one in work.messages)

    async def _look_after(self) -> None:
        """What may follow a commit, off the way of those who wait for one."""
        try:
            self._store.read(self._names.remember)
            tip = self._store.read(read_tip)
            if tip.n - self._signed >= SIGN_EVERY:
                await self._store.write(self._sign)
                self._signed = tip.n
            if self._trained < len(TRAIN_AT) and tip.message >= TRAIN_AT[self._trained]:
                await self._train()
        except StoreError:
            return  # nothing depends on it having happened: the next commit tries again

    # --- read ---

    async def read(self, partition: int, after: int, limit: int) -> list[Entry]:
        """Entries of one partition with seq > after, in order."""
        return self._store.read(
            lambda connection: read_entries(connection, self._names, self._body_of(connection), partition, after, limit)
        )

    def get(self, seq: int) -> Message:
        """One message, live or sealed. Raises NotFound `message-unknown`, or `message-deleted` by retention."""
        return self._store.read(
            lambda connection: read_message(connection, self._names, self._body_of(connection), seq)
        )

    def messages(self, query: MessageQuery) -> MessagePage:
        """One page of messages without their bytes, newest arrival first. Raises FormatError for a bad cursor."""
        return self._store.read(lambda connection: finding.find(connection, self._names, query))

    def audits(self, *, after: int = 0, limit: int = 100) -> list[tuple[int, AuditEvent]]:
        """Numbered audit rows with number > after, oldest first; sealed ones are in their segments."""
        return self._store.read(lambda connection: read_audits(connection, after, limit))

    def counts(self, positions: Mapping[int, int]) -> JournalCounts:
        """Control totals; `positions` maps partition to the seq its reader has committed."""
        return self._store.read(lambda connection: finding.count(connection, positions))

    def counts_in(self, connection: apsw.Connection, positions: Mapping[int, int]) -> JournalCounts:
        """The same on a given connection, for one snapshot together with other counts."""
        return finding.count(connection, positions)

    def route_counts(self) -> list[RouteCount]:
        """Messages by source, sender, kind and disposition."""
        return self._store.read(lambda connection: finding.count_routes(connection, self._names))

    def rates(self, since: int) -> list[Rate]:
        """Messages by hour, source, sender and kind, of those received since then (microseconds)."""
        return self._store.read(lambda connection: finding.count_rates(connection, self._names, since))

    # --- chain ---

    async def verify(self, head: SignedHead | None = None) -> VerifyReport:
        """Walk the chain, sealed segments included; an exported `head` proves that nothing up to it is gone."""
        return await asyncio.to_thread(self.verify_now, head)

    def verify_now(self, head: SignedHead | None = None) -> VerifyReport:
        """The same in the calling thread."""
        try:
            return self._store.read(lambda connection: self._verify(connection, head))
        except StoreCorrupt as error:  # a page of the file is not what was written
            return VerifyReport(ok=False, messages=0, heads=0, signed_heads=0, problem=f"{error.code}: {error.message}")

    def _verify(self, connection: apsw.Connection, head: SignedHead | None) -> VerifyReport:
        found = connection.execute("PRAGMA integrity_check(1)").get
        if found != "ok":
            raise StoreCorrupt("the tables and their indexes do not agree", code="store-corrupt")
        return verifying.verify(
            self._segments.groups(connection, self._names, self._body_of(connection)),
            own_key=self._signer.public_key,
            expected=head,
        )

    def export_head(self) -> SignedHead:
        """The last head, signed, to be kept outside this host. Raises NotFound `journal-empty`."""
        tip = self._store.read(read_tip)
        if not tip.n:
            raise NotFound("the journal is empty: there is no head to export yet", code="journal-empty")
        return SignedHead(
            n=tip.n,
            hash=tip.hash,
            at=tip.at,
            seq=tip.message,
            public_key=self._signer.public_key,
            signature=self._signer.sign_head(tip.n, tip.hash),
        )

    def close(self) -> None:
        """Sign the last head. Safe to leave out: the next start goes on from what is committed."""
        try:
            self._store.write_now(self._sign)
        except StoreFull:
            return  # a full disk keeps nobody from stopping: the next one to close signs

    def _sign(self, connection: apsw.Connection) -> None:
        tip = read_tip(connection)
        if tip.n:
            connection.execute(
                "INSERT OR IGNORE INTO signature (n, public_key, signature) VALUES (?, ?, ?)",
                (tip.n, self._signer.public_key, self._signer.sign_head(tip.n, tip.hash)),
            )

    # --- sealing ---

    async def seal(self, up_to: int, positions: Mapping[int, int]) -> list[Sealed]:
        """Move messages up to seq `up_to` into signed, encrypted segment files; they stay searchable and readable.

        Whole groups only, and only what every reader has passed: `positions` as for `counts`. Returns the new segments.
        """
        return await self._segments.seal(up_to, positions, self._names, self._body_of)

    async def delete_sealed(self, before: int, actor: str) -> list[Sealed]:
        """Retention: delete segments that end before `before` (microseconds); signed tombstones stay."""
        return await self._segments.delete(before, actor, self._names, self._body_of)

    def find_audits(self, wanted: Callable[[AuditEvent], bool], newest: int) -> list[AuditEvent]:
        """The newest audit rows that are wanted, oldest first; sealed ones, too."""
        return self._store.read(
            lambda connection: [*deque(filter(wanted, self._segments.audits(connection)), maxlen=newest)]
        )

    @property
    def sealed_folder(self) -> Path:
        """Where segment files are."""
        return self._segments.folder

    # --- bodies ---

    def _body_of(self, connection: apsw.Connection) -> Any:
        def body_of(seq: int, packed: bytes | None) -> bytes:
            return self._segments.body(connection, seq) if packed is None else self._packer.unpack(packed)

        return body_of

    def _dictionary(self, number: int) -> bytes:
        data = self._store.read(
            lambda connection: connection.execute("SELECT data FROM dictionary WHERE id = ?", (number,)).get
        )
        if data is None:
            raise StoreCorrupt(
                "a stored message names a dictionary that is not there: run `hilum journal verify`",
                code="journal-body-damaged",
            )
        assert isinstance(data, bytes)
        return data

    async def _train(self) -> None:
        """Make the store's own dictionary from its last messages; from then on bodies are packed with it."""
        samples = self._store.read(self._samples)
        trained = await asyncio.to_thread(train, samples)
        self._trained += 1
        if trained is None:
            return
        number = FIRST_DICTIONARY + self._trained - 1

        def keep(connection: apsw.Connection) -> None:
            connection.execute(
                "INSERT OR IGNORE INTO dictionary (id, made_at, data) VALUES (?, ?, ?)",
                (number, time.time_ns() // 1000, trained),
            )

        await self._store.write(keep)
        self._packer.use(number)

    def _samples(self, connection: apsw.Connection) -> list[tuple[str, bytes]]:
        rows = connection.execute(
            "SELECT m.key, b.data FROM body b JOIN message m ON m.seq = b.seq ORDER BY b.seq DESC LIMIT ?",
            (TRAINED_ON,),
        ).fetchall()
        return [(str(key), self._packer.unpack(cast("bytes", data))) for key, data in rows]


def _fail(future: asyncio.Future[list[Appended]], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
