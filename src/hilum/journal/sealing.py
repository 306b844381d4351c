"""Sealing, retention and the walk over live and sealed groups."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import cast

import apsw
import msgspec
from msgspec import Struct

from hilum.errors import StoreCorrupt
from hilum.journal.appending import Work, add_work
from hilum.journal.live import entries_agree, live_groups, sealed_rows_agree
from hilum.journal.records import GENESIS, Group
from hilum.journal.rows import Names, read_tip
from hilum.journal.segment import SegmentHeader, SegmentReader, new_salt, write_segment
from hilum.journal.signing import Signer, is_signed, statement
from hilum.journal.verifying import Gap
from hilum.model import AuditEvent
from hilum.store import ProcessLock, Store, fault

__all__ = ["Sealed", "Segments"]

MOST_MESSAGES = 5_000  # in one segment: what one transaction removes without keeping a sender waiting
MOST_GROUPS = 5_000

FILE_WRITTEN = fault.declare(
    "journal.segment_written", "the segment file is on the disk, the tables know nothing of it"
)
ROWS_REMOVED = fault.declare("journal.segment_removed", "the sealed rows are out of the tables, not committed yet")
SEALED = fault.declare("journal.segment_sealed", "the segment is committed")
TOMBSTONE = fault.declare("journal.tombstone_written", "the tombstone is committed, the file is still there")

BodyOf = Callable[[int, bytes | None], bytes]


class Sealed(Struct, frozen=True):
    """One sealed segment, as its row says."""

    n: int
    first_head: int
    last_head: int
    first_seq: int
    last_seq: int
    last_at: int
    messages: int
    rejected: int
    duplicates: int
    audits: int
    start_hash: bytes
    end_hash: bytes
    file_hash: bytes


_COLUMNS = ", ".join(Sealed.__struct_fields__)


class Segments:
    """The sealed segments of one store; their files are in `sealed/` beside it."""

    def __init__(self, store: Store, signer: Signer) -> None:
        self._store, self._signer = store, signer
        self.folder = store.path.parent / f"{store.path.stem}-sealed"
        self._reader = lru_cache(maxsize=4)(self._open)
        store.read(self._sweep)

    def _path(self, n: int) -> Path:
        return self.folder / f"segment-{n:06d}.hilum"

    def _open(self, n: int) -> SegmentReader:
        return SegmentReader(self._path(n), self._store.derive)

    def _sweep(self, connection: apsw.Connection) -> None:
        """Remove files whose tombstone is committed: a process that was killed could not."""
        for (n,) in connection.execute("SELECT n FROM tombstone").fetchall():
            self._path(cast("int", n)).unlink(missing_ok=True)

    # --- read ---

    def body(self, connection: apsw.Connection, seq: int) -> bytes:
        """The exact bytes of a sealed message. Raises StoreCorrupt, or NotFound `message-deleted`."""
        n = connection.execute(
            "SELECT n FROM segment WHERE ? BETWEEN first_seq AND last_seq AND n NOT IN (SELECT n FROM tombstone)",
            (seq,),
        ).get
        if n is None:
            raise StoreCorrupt(f"message {seq} has lost its body", code="journal-body-damaged")
        return self._reader(n).body(seq)

    def groups(self, connection: apsw.Connection, names: Names, body_of: BodyOf) -> Iterator[Group | Gap]:
        """All groups from the first, checked against the rows that stay outside the chain. Raises StoreCorrupt."""
        last = None
        for row in self._all(connection):
            gap = self._gap(connection, row)
            if gap is not None:
                yield gap
            else:
                yield from self._sealed_groups(connection, names, row)
            last = row
        start = 0
        if last is not None:
            start = last.last_head
            anchor = connection.execute("SELECT hash FROM head WHERE n = ?", (start,)).get
            if anchor != last.end_hash:
                raise StoreCorrupt(f"the live chain does not follow segment {last.n}", code="journal-chain-broken")
        yield from live_groups(connection, names, body_of, start)
        entries_agree(connection)

    def audits(self, connection: apsw.Connection) -> Iterator[AuditEvent]:
        """All audit rows that are kept, oldest first: of the sealed files, then the live ones."""
        for row in self._undeleted(connection):
            for group in self._open(row.n).groups():
                yield from group.audits
        for live in connection.execute("SELECT at, actor, action, target, outcome, detail FROM audit ORDER BY n"):
            yield AuditEvent(*live)

    def _all(self, connection: apsw.Connection) -> list[Sealed]:
        return [Sealed(*row) for row in connection.execute(f"SELECT {_COLUMNS} FROM segment ORDER BY n")]  # noqa: S608

    def _sealed_groups(self, connection: apsw.Connection, names: Names, row: Sealed) -> Iterator[Group]:
        reader = self._open(row.n)
        if reader.check_signature(self._signer.public_key) != row.file_hash:
            raise StoreCorrupt(f"the file of segment {row.n} is another one", code="journal-segment-damaged")
        for group in reader.groups():
            sealed_rows_agree(connection, names, group)
            yield group

    def _gap(self, connection: apsw.Connection, row: Sealed) -> Gap | None:
        found = connection.execute("SELECT at, actor, public_key, signature FROM tombstone WHERE n = ?", (row.n,)).get
        if found is None:
            return None
        at, actor, public_key, signature = found
        return Gap(
            segment=row.n,
            first_head=row.first_head,
            last_head=row.last_head,
            last_seq=row.last_seq,
            start_hash=row.start_hash,
            end_hash=row.end_hash,
            messages=row.messages,
            public_key=public_key,
            signed=is_signed(public_key, signature, _tombstone_text(row, at, actor)),
        )

    # --- seal ---

    async def seal(
        self,
        up_to: int,
        positions: Mapping[int, int],
        names: Names,
        body_of: Callable[[apsw.Connection], BodyOf],
    ) -> list[Sealed]:
        """Seal whole groups up to `up_to` that every reader has passed; one transaction for each segment."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        lock = ProcessLock(self.folder / "sealing.lock", "is sealing this journal: let it finish")
        try:
            return await self._seal(up_to, positions, names, body_of)
        finally:
            lock.release()

    async def _seal(
        self,
        up_to: int,
        positions: Mapping[int, int],
        names: Names,
        body_of: Callable[[apsw.Connection], BodyOf],
    ) -> list[Sealed]:
        sealed: list[Sealed] = []
        newest = self._store.read(read_tip).n  # sealing itself adds groups: they are for the next time
        while True:
            row = await asyncio.to_thread(
                self._store.read,
                lambda connection: self._write_file(connection, newest, up_to, positions, names, body_of(connection)),
            )
            if row is None:
                return sealed
            fault.reach(FILE_WRITTEN)
            await self._store.write(
                lambda connection, row=row: self._remove(connection, row, names, body_of(connection))  # type: ignore[misc]
            )
            fault.reach(SEALED)
            sealed.append(row)

    def _write_file(
        self,
        connection: apsw.Connection,
        newest: int,
        up_to: int,
        positions: Mapping[int, int],
        names: Names,
        body_of: BodyOf,
    ) -> Sealed | None:
        before = next(reversed(self._all(connection)), None)
        start = before.last_head if before is not None else 0
        end = _last_head(connection, start, newest, min(up_to, _passed(connection, positions)))
        if end <= start:
            return None
        groups = list(live_groups(connection, names, body_of, start, end))
        n = before.n + 1 if before is not None else 1
        start_hash = before.end_hash if before is not None else GENESIS
        header = SegmentHeader(
            n=n,
            first_head=start + 1,
            last_head=end,
            start_hash=start_hash,
            end_hash=groups[-1].hash,
            public_key=self._signer.public_key,
            salt=new_salt(),
        )
        file_hash = write_segment(self._path(n), header, groups, self._store.derive, self._signer)
        _sync(self.folder)
        first_seq = before.last_seq + 1 if before is not None else 1
        messages = sum(len(group.messages) for group in groups)
        return Sealed(
            n=n,
            first_head=start + 1,
            last_head=end,
            first_seq=first_seq,
            last_seq=first_seq + messages - 1,
            last_at=groups[-1].at,
            messages=messages,
            rejected=sum(group.rejected for group in groups),
            duplicates=sum(len(group.duplicates) for group in groups),
            audits=sum(len(group.audits) for group in groups),
            start_hash=start_hash,
            end_hash=groups[-1].hash,
            file_hash=file_hash,
        )

    def _remove(self, connection: apsw.Connection, row: Sealed, names: Names, body_of: BodyOf) -> None:
        """Take the sealed rows out. The last head stays: the chain goes on from it."""
        _, duplicate, audit = connection.execute(
            "SELECT message, duplicate, audit FROM head WHERE n = ?", (row.last_head,)
        ).get
        connection.execute("INSERT INTO sealing VALUES (1)")
        marks = ",".join("?" * len(Sealed.__struct_fields__))
        connection.execute(
            f"INSERT INTO segment ({_COLUMNS}) VALUES ({marks})",  # noqa: S608 - our own names
            msgspec.structs.astuple(row),
        )
        connection.execute("DELETE FROM body WHERE seq BETWEEN ? AND ?", (row.first_seq, row.last_seq))
        for (partition,) in connection.execute("SELECT DISTINCT partition FROM entry").fetchall():
            connection.execute("DELETE FROM entry WHERE partition = ? AND seq <= ?", (partition, row.last_seq))
        connection.execute("DELETE FROM duplicate WHERE n <= ?", (duplicate,))
        connection.execute("DELETE FROM audit WHERE n <= ?", (audit,))
        connection.execute("DELETE FROM head WHERE n < ?", (row.last_head,))
        connection.execute("DELETE FROM signature WHERE n < ?", (row.last_head,))
        connection.execute("DELETE FROM sealing")
        self._note(connection, names, body_of, "seal", row, f"{row.messages} messages")
        tip = read_tip(connection)
        connection.execute(
            "INSERT OR IGNORE INTO signature (n, public_key, signature) VALUES (?, ?, ?)",
            (tip.n, self._signer.public_key, self._signer.sign_head(tip.n, tip.hash)),
        )
        fault.reach(ROWS_REMOVED)

    def _note(
        self,
        connection: apsw.Connection,
        names: Names,
        body_of: BodyOf,
        action: str,
        row: Sealed,
        detail: str,
        actor: str = "journal",
    ) -> None:
        event = AuditEvent(time.time_ns() // 1000, actor, action, f"segment/{row.n}", detail=detail)
        add_work(connection, [Work(audits=(event,))], names, body_of)

    # --- retention ---

    async def delete(
        self, before: int, actor: str, names: Names, body_of: Callable[[apsw.Connection], BodyOf]
    ) -> list[Sealed]:
        """Delete the oldest segments whose last group is older than `before`; a signed tombstone stays of each."""
        deleted: list[Sealed] = []
        for row in self._store.read(self._undeleted):
            if row.last_at >= before:
                break
            await self._store.write(
                lambda connection, row=row: self._bury(connection, row, actor, names, body_of(connection))  # type: ignore[misc]
            )
            fault.reach(TOMBSTONE)
            self._path(row.n).unlink(missing_ok=True)
            _sync(self.folder)
            deleted.append(row)
        self._reader.cache_clear()
        return deleted

    def _undeleted(self, connection: apsw.Connection) -> list[Sealed]:
        gone = {n for (n,) in connection.execute("SELECT n FROM tombstone")}
        return [row for row in self._all(connection) if row.n not in gone]

    def _bury(self, connection: apsw.Connection, row: Sealed, actor: str, names: Names, body_of: BodyOf) -> None:
        at = time.time_ns() // 1000
        connection.execute(
            "INSERT INTO tombstone (n, at, actor, public_key, signature) VALUES (?, ?, ?, ?, ?)",
            (row.n, at, actor, self._signer.public_key, self._signer.sign(_tombstone_text(row, at, actor))),
        )
        connection.execute("INSERT INTO sealing VALUES (1)")
        connection.execute("DELETE FROM message WHERE seq BETWEEN ? AND ?", (row.first_seq, row.last_seq))
        connection.execute("DELETE FROM sealing")
        self._note(connection, names, body_of, "delete-sealed", row, f"{row.messages} messages", actor)


def _tombstone_text(row: Sealed, at: int, actor: str) -> bytes:
    content = msgspec.msgpack.encode((msgspec.structs.astuple(row), at, actor))
    return statement("tombstone", row.n, hashlib.sha256(content).digest())


def _passed(connection: apsw.Connection, positions: Mapping[int, int]) -> int:
    """The last seq that no reader still needs."""
    waiting = [
        connection.execute(
            "SELECT min(seq) FROM entry WHERE partition = ? AND seq > ?",
            (partition, positions.get(cast("int", partition), 0)),
        ).get
        for (partition,) in connection.execute("SELECT DISTINCT partition FROM entry").fetchall()
    ]
    return min((seq - 1 for seq in waiting if seq is not None), default=2**62)


def _last_head(connection: apsw.Connection, start: int, newest: int, limit: int) -> int:
    """The last group of the next segment: whole groups, not past `limit`, not too many."""
    first = connection.execute("SELECT message FROM head WHERE n = ?", (start,)).get or 0
    most = min(limit, first + MOST_MESSAGES)
    found = connection.execute(
        "SELECT max(n) FROM head WHERE n > ? AND n <= ? AND message <= ?",
        (start, min(newest, start + MOST_GROUPS), most),
    ).get
    if found is None:  # one group alone may be larger
        found = connection.execute(
            "SELECT n FROM head WHERE n = ? AND n <= ? AND message <= ?", (start + 1, newest, limit)
        ).get
    return found or start


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
