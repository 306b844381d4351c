"""Deliveries to make. Of each key only the oldest open one may be sent (`is_head`): order is kept without a scan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import apsw

from hilum.model import Outgoing, Receipt
from hilum.store import Store

from .chunks import compress, decompress
from .rules import missing
from .seam import Delivery, DeliveryState, StuckDeliveries
from .sql import Row, number, row, rows, where_of

__all__ = ["Outbox", "enqueue"]

_DELIVERY = (
    "id, seq, state, attempts, next_at, code, created_at, destination, key, idempotency_key, payload, content_type, "
    "reference, detail, coalesce((SELECT key FROM outbox_pair p WHERE p.id = outbox.id), '')"
)


class Outbox:
    """The outbox over the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def due(self, destination: str, now: int, limit: int = 100) -> list[Delivery]:
        rows = self._rows(
            f"SELECT {_DELIVERY} FROM outbox WHERE destination = ? AND next_at <= ? AND state = 'due' AND is_head = 1 "  # noqa: S608
            "ORDER BY next_at, id LIMIT ?",
            (destination, now, limit),
        )
        return sorted(map(_delivery, rows), key=lambda one: one.id)

    def next_due(self, destination: str) -> int | None:
        found = self._row(
            "SELECT next_at FROM outbox WHERE destination = ? AND state = 'due' AND is_head = 1 "
            "ORDER BY next_at LIMIT 1",
            (destination,),
        )
        return found[0] if found else None

    def deliveries(
        self,
        destination: str | None = None,
        *,
        state: DeliveryState | None = None,
        code: str | None = None,
        after: int = 0,
        limit: int = 100,
    ) -> list[Delivery]:
        where, values = where_of(("destination", destination), ("state", state), ("code", code))
        rows = self._rows(
            f"SELECT {_DELIVERY} FROM outbox WHERE id > ?{where} ORDER BY id LIMIT ?",  # noqa: S608
            (after, *values, limit),
        )
        return [_delivery(row) for row in rows]

    def delivery(self, id_: int) -> Delivery:
        found = self._row(f"SELECT {_DELIVERY} FROM outbox WHERE id = ?", (id_,))  # noqa: S608
        if found is None:
            raise missing("delivery", id_)
        return _delivery(found)

    def deliveries_of(self, seq: int) -> list[Delivery]:
        found = self._rows(f"SELECT {_DELIVERY} FROM outbox WHERE seq = ? ORDER BY id", (seq,))  # noqa: S608
        return [_delivery(row) for row in found]

    def delivery_counts(self) -> dict[tuple[str, str], int]:
        found = self._rows("SELECT destination, state, count(*) FROM outbox GROUP BY state, destination")
        return {(destination, state): count for destination, state, count in found}

    def stuck_deliveries(self) -> list[StuckDeliveries]:
        found = self._rows(
            "SELECT destination, state, code, count(*), min(id), min(created_at) FROM outbox "
            "WHERE state IN ('held', 'dead') GROUP BY destination, state, code ORDER BY min(id)"
        )
        return [StuckDeliveries(name, DeliveryState(state), *rest) for name, state, *rest in found]

    async def claim(self, ids: Sequence[int]) -> None:
        await self._change(
            ids, "UPDATE outbox SET state = 'claimed', attempts = attempts + 1 WHERE id = ? AND state = 'due'"
        )

    async def release(self, destination: str | None = None) -> list[Delivery]:
        found = self.deliveries(destination, state=DeliveryState.CLAIMED, limit=-1)
        await self._change(
            [one.id for one in found], "UPDATE outbox SET state = 'due' WHERE id = ? AND state = 'claimed'"
        )
        return found

    async def delivered(self, id_: int, receipt: Receipt) -> None:
        await self._change(
            [id_],
            f"UPDATE outbox SET state = 'delivered', {_ATTEMPT}, payload = x'', reference = ?, detail = ? {_OPEN}",  # noqa: S608
            (receipt.reference, receipt.detail),
            _next_head,
        )

    async def failed(self, id_: int, next_at: int, code: str) -> None:
        await self._change(
            [id_],
            f"UPDATE outbox SET state = 'due', {_ATTEMPT}, next_at = ?, code = ? {_OPEN}",  # noqa: S608
            (next_at, code),
        )

    async def refused(self, id_: int, code: str) -> None:
        await self._change(
            [id_],
            f"UPDATE outbox SET state = 'held', {_ATTEMPT}, code = ? {_OPEN}",  # noqa: S608
            (code,),
        )

    async def dead(self, id_: int, code: str) -> None:
        await self._change(
            [id_],
            f"UPDATE outbox SET state = 'dead', {_ATTEMPT}, code = ? {_OPEN}",  # noqa: S608
            (code,),
            _next_head,
        )

    async def revive(self, ids: Sequence[int]) -> None:
        now = "UPDATE outbox SET state = 'due', next_at = 0"
        await self._change(ids, f"{now} WHERE id = ? AND state NOT IN ('claimed', 'delivered')", (), _next_head)

    async def abandon(self, ids: Sequence[int]) -> None:
        await self._change(
            ids,
            "UPDATE outbox SET state = 'discarded' WHERE id = ? AND state IN ('due', 'held', 'dead')",
            (),
            _next_head,
        )

    async def _change(
        self,
        ids: Sequence[int],
        sql: str,
        values: Row = (),
        then: Callable[[apsw.Connection, int], None] | None = None,
    ) -> None:
        """Each of these, or none."""

        def job(connection: apsw.Connection) -> None:
            for id_ in ids:
                connection.execute(sql, (*values, id_))
                if connection.changes() == 0:
                    raise missing("delivery", id_)
                if then is not None:
                    then(connection, id_)

        if ids:
            await self._store.write(job)

    def _rows(self, sql: str, values: Row = ()) -> list[Row]:
        return self._store.read(lambda connection: rows(connection, sql, values))

    def _row(self, sql: str, values: Row = ()) -> Row | None:
        return self._store.read(lambda connection: row(connection, sql, values))


# An attempt that was not claimed before it was made counts when its outcome is told.
_ATTEMPT = "attempts = attempts + (state = 'due')"
_OPEN = "WHERE id = ? AND state IN ('due', 'claimed')"

_ENQUEUE = """
INSERT OR IGNORE INTO outbox
  (seq, destination, key, idempotency_key, content_type, payload, state, created_at, is_head)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'due', ?7, NOT EXISTS (
  SELECT 1 FROM outbox WHERE destination = ?2 AND key = ?3 AND state IN ('due', 'claimed', 'held'))
  AND NOT EXISTS (SELECT 1 FROM outbox_pair p JOIN outbox o ON o.id = p.id
    WHERE p.destination = ?2 AND p.key = ?3 AND o.state IN ('due', 'claimed', 'held')))
"""
_PAIR = "INSERT OR IGNORE INTO outbox_pair SELECT id, destination, ? FROM outbox WHERE id = ?"
_ID = "SELECT id FROM outbox WHERE destination = ? AND idempotency_key = ?"
# The oldest open delivery that a key has to wait for.
_FIRST = """
SELECT coalesce(min(id), 0) FROM (
  SELECT id FROM outbox WHERE destination = ?1 AND key = ?2 AND state IN ('due', 'claimed', 'held')
  UNION ALL SELECT p.id FROM outbox_pair p JOIN outbox o ON o.id = p.id
    WHERE p.destination = ?1 AND p.key = ?2 AND o.state IN ('due', 'claimed', 'held'))
"""
_HEADS = """
SELECT id FROM outbox WHERE destination = ?1 AND key = ?2 AND state IN ('due', 'claimed', 'held') AND is_head = 1
UNION ALL SELECT p.id FROM outbox_pair p JOIN outbox o ON o.id = p.id
  WHERE p.destination = ?1 AND p.key = ?2 AND o.state IN ('due', 'claimed', 'held') AND o.is_head = 1
"""


def enqueue(connection: apsw.Connection, outgoing: Iterable[tuple[int, Outgoing]], now: int) -> None:
    """Put deliveries in. One that is there already (same destination and idempotency key) is not put in again."""
    waiting: list[Row] = []
    for seq, one in outgoing:
        waiting.append(
            (seq, one.destination, one.key, one.idempotency_key, one.content_type, compress(one.payload), now)
        )
        if one.other_key not in ("", one.key):
            connection.executemany(_ENQUEUE, waiting)
            waiting.clear()
            _pair(connection, one)
    connection.executemany(_ENQUEUE, waiting)


def _pair(connection: apsw.Connection, one: Outgoing) -> None:
    """It waits for what is open of its second key as well."""
    id_ = number(connection, _ID, (one.destination, one.idempotency_key))
    connection.execute(_PAIR, (one.other_key, id_))
    _choose_head(connection, one.destination, one.other_key)


def _next_head(connection: apsw.Connection, id_: int) -> None:
    """What waited for this delivery goes on: the oldest open one of each of its keys, if it waits for nothing else."""
    destination, keys = _keys(connection, id_)
    for key in keys:
        _choose_head(connection, destination, key)


def _keys(connection: apsw.Connection, id_: int) -> tuple[str, list[str]]:
    found = rows(
        connection,
        "SELECT o.destination, o.key, p.key FROM outbox o LEFT JOIN outbox_pair p ON p.id = o.id WHERE o.id = ?",
        (id_,),
    )
    ((destination, key, other),) = found
    return destination, [key] if other is None else [key, other]


def _choose_head(connection: apsw.Connection, destination: str, key: str) -> None:
    head = number(connection, _FIRST, (destination, key))
    for (one,) in rows(connection, _HEADS, (destination, key)):
        if one != head:
            connection.execute("UPDATE outbox SET is_head = 0 WHERE id = ?", (one,))
    if head:
        _, keys = _keys(connection, head)
        waits = any(number(connection, _FIRST, (destination, other)) != head for other in keys if other != key)
        connection.execute("UPDATE outbox SET is_head = ? WHERE id = ?", (not waits, head))


def _delivery(one: Row) -> Delivery:
    id_, seq, state, attempts, next_at, code, created_at, *said, payload, content_type, reference, detail, other = one
    destination, key, idempotency_key = said
    outgoing = Outgoing(destination, key, idempotency_key, decompress(payload), content_type, other)
    receipt = Receipt(reference, detail) if state == DeliveryState.DELIVERED else None
    return Delivery(id_, seq, outgoing, DeliveryState(state), attempts, next_at, code, created_at, receipt)
