"""The groups that are still in the tables, rebuilt from their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import apsw

from hilum.errors import StoreCorrupt
from hilum.journal.records import DuplicateRecord, Group, MessageRecord
from hilum.journal.rows import MESSAGE_COLUMNS, Names, partitions_of
from hilum.model import AuditEvent

__all__ = ["entries_agree", "live_groups", "sealed_rows_agree"]

BodyOf = Callable[[int, bytes | None], bytes]


def live_groups(
    connection: apsw.Connection, names: Names, body_of: BodyOf, start: int, end: int = 2**62
) -> Iterator[Group]:
    """Groups with start < n <= end. Raises StoreCorrupt when there are rows that no head covers."""
    covered = connection.execute("SELECT message, duplicate, audit FROM head WHERE n = ?", (start,)).get or (0, 0, 0)
    for n, at, message, duplicate, audit, hashed, public_key, signature in connection.execute(
        "SELECT h.n, h.at, h.message, h.duplicate, h.audit, h.hash, s.public_key, s.signature "
        "FROM head h LEFT JOIN signature s ON s.n = h.n WHERE h.n > ? AND h.n <= ? ORDER BY h.n",
        (start, end),
    ):
        yield Group(
            n=n,
            at=at,
            messages=tuple(
                _record(connection, names, body_of, row) for row in _messages(connection, covered[0], message)
            ),
            duplicates=tuple(_duplicates(connection, covered[1], duplicate)),
            audits=tuple(_audits(connection, covered[2], audit)),
            hash=hashed,
            public_key=public_key or b"",
            signature=signature or b"",
        )
        covered = (message, duplicate, audit)
    if end == 2**62:
        _nothing_uncovered(connection, covered)


def _messages(connection: apsw.Connection, after: int, last: int) -> list[Any]:
    if last <= after:
        return []
    rows = connection.execute(
        f"SELECT b.data, {MESSAGE_COLUMNS} FROM message m LEFT JOIN body b ON b.seq = m.seq "  # noqa: S608 - our own names
        "WHERE m.seq > ? AND m.seq <= ? ORDER BY m.seq",
        (after, last),
    ).fetchall()
    for seq, row in zip(range(after + 1, last + 1), [*rows, None], strict=False):
        if row is None or row[1] != seq:
            raise StoreCorrupt(f"message {seq} is not there", code="journal-row-missing")
    return rows


def _record(connection: apsw.Connection, names: Names, body_of: BodyOf, row: Any) -> MessageRecord:
    data, *columns = row
    if data is None:
        raise StoreCorrupt(f"message {columns[0]} has lost its body", code="journal-body-damaged")
    return MessageRecord(
        columns[0], partitions_of(columns), names.envelope(connection, columns), body_of(columns[0], data)
    )


def _duplicates(connection: apsw.Connection, after: int, last: int) -> Iterator[DuplicateRecord]:
    if last > after:
        for row in connection.execute("SELECT at, of FROM duplicate WHERE n > ? AND n <= ? ORDER BY n", (after, last)):
            yield DuplicateRecord(*row)


def _audits(connection: apsw.Connection, after: int, last: int) -> Iterator[AuditEvent]:
    if last > after:
        for row in connection.execute(
            "SELECT at, actor, action, target, outcome, detail FROM audit WHERE n > ? AND n <= ? ORDER BY n",
            (after, last),
        ):
            yield AuditEvent(*row)


def _nothing_uncovered(connection: apsw.Connection, covered: tuple[int, int, int]) -> None:
    last = connection.execute(
        "SELECT (SELECT coalesce(max(seq), 0) FROM message), (SELECT coalesce(max(n), 0) FROM duplicate), "
        "(SELECT coalesce(max(n), 0) FROM audit)"
    ).get
    if any(row > head for row, head in zip(last, covered, strict=True)):
        raise StoreCorrupt(
            "there are rows that no head covers: heads were removed, or rows added", code="journal-head-missing"
        )


def entries_agree(connection: apsw.Connection) -> None:
    """Every live message is in exactly the partitions that the chain says: a lost entry is a message never applied."""
    wrong = connection.execute(
        "SELECT m.seq FROM body b JOIN message m ON m.seq = b.seq WHERE "
        "(m.home IS NOT NULL AND NOT EXISTS "
        "(SELECT 1 FROM entry WHERE partition = m.home AND seq = m.seq AND barrier = 0)) "
        "OR (m.other IS NOT NULL AND NOT EXISTS "
        "(SELECT 1 FROM entry WHERE partition = m.other AND seq = m.seq AND barrier = 1)) LIMIT 1"
    ).get
    there, wanted = connection.execute(
        "SELECT (SELECT count(*) FROM entry), "
        "(SELECT count(m.home) + count(m.other) FROM body b JOIN message m ON m.seq = b.seq)"
    ).get
    if wrong is not None or there != wanted:
        where = f"message {wrong}" if wrong is not None else "some entry"
        raise StoreCorrupt(f"{where} is not in the partitions that the chain says", code="journal-entry-wrong")


def sealed_rows_agree(connection: apsw.Connection, names: Names, group: Group) -> None:
    """The rows that stay for searching say what the sealed messages say."""
    for message in group.messages:
        row = connection.execute(
            f"SELECT {MESSAGE_COLUMNS} FROM message m WHERE m.seq = ?",  # noqa: S608 - our own names
            (message.seq,),
        ).get
        if (
            row is None
            or names.envelope(connection, row) != message.envelope
            or partitions_of(row) != message.partitions
        ):
            raise StoreCorrupt(f"the row of sealed message {message.seq} was changed", code="journal-row-changed")
