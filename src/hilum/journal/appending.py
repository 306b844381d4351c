"""Appending: what one commit adds to the journal, with the head that covers it. Runs on the writer thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import cast

import apsw
from msgspec import Struct

from hilum.journal.bodies import Packer
from hilum.journal.records import (
    DuplicateRecord,
    audit_bytes,
    body_hash,
    content_bytes,
    digest_of,
    duplicate_bytes,
    link,
    message_bytes,
)
from hilum.journal.rows import Names, Route, Tip, add_head, read_tip
from hilum.journal.seam import Incoming
from hilum.model import Appended, AuditEvent
from hilum.store import fault, insert_rows

__all__ = ["Prepared", "Work", "add_work", "prepare"]

ROWS_WRITTEN = fault.declare(
    "journal.rows_written", "messages and audit rows are in the transaction, their head is not"
)
BEFORE_COMMIT = fault.declare("journal.before_commit", "rows and head are in the transaction, nothing is on the disk")


_AUDIT = "INSERT INTO audit (n, at, actor, action, target, outcome, detail)"

BodyOf = Callable[[int, bytes | None], bytes]


class Prepared(Struct, frozen=True):
    """An incoming message with all that can be worked out before the transaction."""

    incoming: Incoming
    route: Route
    content: bytes
    digest: int
    packed: bytes


class Work(Struct, frozen=True):
    """What one caller wants in the journal, all or none of it."""

    messages: Sequence[Prepared] = ()
    audits: Sequence[AuditEvent] = ()


def prepare(incoming: Incoming, packer: Packer) -> Prepared:
    """Hash, pack and encode. What is wrong with one message comes out here, where only its caller hears it."""
    if len(incoming.partitions) > 2 or len(set(incoming.partitions)) < len(incoming.partitions):
        raise ValueError("a message has a home partition and at most one other")
    hashed = body_hash(incoming.body)
    return Prepared(
        incoming=incoming,
        route=Route.of(incoming.envelope, refused=not incoming.partitions),
        content=content_bytes(incoming.envelope, hashed),
        digest=digest_of(hashed),
        packed=packer.pack(incoming.body),
    )


def add_work(connection: apsw.Connection, works: Sequence[Work], names: Names, body_of: BodyOf) -> list[list[Appended]]:
    """Add the work of several callers as one group; returns what became of each one's messages.

    `body_of(seq, packed)` gives the exact bytes of a stored message; `packed` is None when it is sealed.
    """
    group = _Group(connection, names, body_of)
    results = [[group.add_message(prepared) for prepared in work.messages] for work in works]
    group.add_audits([event for work in works for event in work.audits])
    fault.reach(ROWS_WRITTEN)
    group.close()
    fault.reach(BEFORE_COMMIT)
    return results


class _Group:
    """The group being made: rows go in at once, their canonical bytes wait for the head."""

    def __init__(self, connection: apsw.Connection, names: Names, body_of: BodyOf) -> None:
        self._connection, self._names, self._body_of = connection, names, body_of
        self._tip = read_tip(connection)
        self._message = self._tip.message
        self._duplicate = self._tip.duplicate
        self._audit = self._tip.audit
        self._at = max(self._tip.at, time.time_ns() // 1000)  # a clock set back does not turn the journal around
        self._arrivals: set[bytes] = set()
        self._records: tuple[list[bytes], list[bytes], list[bytes]] = ([], [], [])

    def add_message(self, prepared: Prepared) -> Appended:
        envelope = prepared.incoming.envelope
        if prepared.incoming.once and (known := self._arrived_before(prepared.incoming.once)):
            return Appended(seq=known, duplicate_of=known)
        route, sender = self._names.find(self._connection, prepared.route)
        reused_from = 0
        if envelope.control_id and prepared.incoming.partitions:
            original = self._find_copy(prepared, sender)
            if original:
                self._add_duplicate(DuplicateRecord(at=envelope.received_at, of=original))
                return Appended(seq=original, duplicate_of=original)
            reused_from = self._find_other(envelope.control_id, sender)
        self._message += 1
        self._insert(self._message, prepared, route, sender)
        return Appended(seq=self._message, reused_from=reused_from)

    def _arrived_before(self, once: bytes) -> int:
        """The first message of an arrival that an earlier group took; 0 for one of this group, which is remembered."""
        if once in self._arrivals:
            return 0
        found = self._connection.execute("SELECT seq FROM arrival WHERE once = ?", (once,)).get
        if found is not None:
            return int(found)
        self._arrivals.add(once)
        self._connection.execute("INSERT INTO arrival (once, seq) VALUES (?, ?)", (once, self._message + 1))
        return 0

    def _insert(self, seq: int, prepared: Prepared, route: int, sender: int) -> None:
        envelope, partitions = prepared.incoming.envelope, prepared.incoming.partitions
        home, other = (*partitions, None, None)[:2]
        self._connection.execute(
            "INSERT INTO message (seq, route, sender, home, other, received_at, sent_at, control_id, key, other_key, "
            "digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                seq,
                route,
                sender,
                home,
                other,
                envelope.received_at,
                envelope.sent_at,
                envelope.control_id,
                envelope.key,
                envelope.other_key,
                prepared.digest,
            ),
        )
        self._connection.execute("INSERT INTO body (seq, data) VALUES (?, ?)", (seq, prepared.packed))
        for partition in partitions:
            self._connection.execute(
                "INSERT INTO entry (partition, seq, barrier) VALUES (?, ?, ?)", (partition, seq, int(partition != home))
            )
        self._records[0].append(message_bytes(seq, partitions, prepared.content))

    def _find_copy(self, prepared: Prepared, sender: int) -> int:
        """The message that this one repeats byte for byte, live or sealed."""
        candidates = self._connection.execute(
            "SELECT m.seq, b.data FROM message m LEFT JOIN body b ON b.seq = m.seq "
            "WHERE m.control_id = ? AND m.control_id <> '' AND m.sender = ? AND m.digest = ? AND m.home IS NOT NULL",
            (prepared.incoming.envelope.control_id, sender, prepared.digest),
        ).fetchall()
        for row in candidates:
            seq, data = cast("tuple[int, bytes | None]", row)
            if data == prepared.packed or self._body_of(seq, data) == prepared.incoming.body:
                return seq
        return 0

    def _find_other(self, control_id: str, sender: int) -> int:
        found = self._connection.execute(
            "SELECT seq FROM message WHERE control_id = ? AND control_id <> '' AND sender = ? "
            "AND home IS NOT NULL LIMIT 1",
            (control_id, sender),
        ).get
        return found or 0

    def _add_duplicate(self, duplicate: DuplicateRecord) -> None:
        self._duplicate += 1
        self._connection.execute(
            "INSERT INTO duplicate (n, at, of) VALUES (?, ?, ?)", (self._duplicate, duplicate.at, duplicate.of)
        )
        self._records[1].append(duplicate_bytes(duplicate))

    def add_audits(self, events: Sequence[AuditEvent]) -> None:
        rows = [
            (number, event.at, event.actor, event.action, event.target, event.outcome, event.detail)
            for number, event in enumerate(events, self._audit + 1)
        ]
        insert_rows(self._connection, _AUDIT, rows)
        self._audit += len(rows)
        self._records[2].extend(map(audit_bytes, events))

    def close(self) -> None:
        """Write the head, unless nothing was added."""
        records = [record for kind in self._records for record in kind]
        if not records:
            return
        n = self._tip.n + 1
        hashed = link(self._tip.hash, n, self._at, records)
        add_head(self._connection, Tip(n, self._at, self._message, self._duplicate, self._audit, hashed))
