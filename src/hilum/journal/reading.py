"""Reading messages, entries and audit rows back."""

from __future__ import annotations

from collections.abc import Callable

import apsw

from hilum.errors import NotFound
from hilum.journal.rows import MESSAGE_COLUMNS, REFUSED, Names, partitions_of
from hilum.model import AuditEvent, Entry, Message

__all__ = ["read_audits", "read_entries", "read_message"]

BodyOf = Callable[[int, bytes | None], bytes]

# Told from the rows whenever a message is read, so that it is known after a crash as well. A copy has no row.
_REUSED_FROM = (
    "(SELECT coalesce(min(o.seq), 0) FROM message o WHERE o.control_id = m.control_id AND o.control_id <> '' "
    "AND o.sender = m.sender AND o.seq < m.seq AND o.home IS NOT NULL AND m.home IS NOT NULL)"
)


def read_entries(
    connection: apsw.Connection, names: Names, body_of: BodyOf, partition: int, after: int, limit: int
) -> list[Entry]:
    """Entries of a partition with seq > after, in order."""
    entries = []
    for barrier, data, reused_from, *row in connection.execute(
        f"SELECT e.barrier, b.data, {_REUSED_FROM}, {MESSAGE_COLUMNS} FROM entry e JOIN message m ON m.seq = e.seq "  # noqa: S608
        "LEFT JOIN body b ON b.seq = e.seq WHERE e.partition = ? AND e.seq > ? ORDER BY e.seq LIMIT ?",
        (partition, after, limit),
    ):
        seq, home = row[0], row[2]
        message = Message(seq, home, names.envelope(connection, row), body_of(seq, data), reused_from)
        entries.append(Entry(seq=seq, barrier=bool(barrier), home=home, message=message))
    return entries


def read_message(connection: apsw.Connection, names: Names, body_of: BodyOf, seq: int) -> Message:
    """One message. Raises NotFound."""
    found = connection.execute(
        f"SELECT b.data, {_REUSED_FROM}, {MESSAGE_COLUMNS} FROM message m LEFT JOIN body b ON b.seq = m.seq "  # noqa: S608
        "WHERE m.seq = ?",
        (seq,),
    ).get
    if found is None:
        raise _not_there(connection, seq)
    data, reused_from, *row = found
    partition = (partitions_of(row) or (REFUSED,))[0]
    return Message(seq, partition, names.envelope(connection, row), body_of(seq, data), reused_from)


def _not_there(connection: apsw.Connection, seq: int) -> NotFound:
    deleted = connection.execute(
        "SELECT t.n FROM tombstone t JOIN segment s ON s.n = t.n WHERE ? BETWEEN s.first_seq AND s.last_seq", (seq,)
    ).get
    if deleted is not None:
        return NotFound(f"message {seq} was deleted by retention, with segment {deleted}", code="message-deleted")
    return NotFound(f"there is no message {seq}", code="message-unknown")


def read_audits(connection: apsw.Connection, after: int, limit: int) -> list[tuple[int, AuditEvent]]:
    """Audit rows with number > after, oldest first."""
    rows = connection.execute(
        "SELECT n, at, actor, action, target, outcome, detail FROM audit WHERE n > ? ORDER BY n LIMIT ?",
        (after, limit),
    )
    return [(n, AuditEvent(*event)) for n, *event in rows]
