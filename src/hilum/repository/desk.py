"""What is left for people and for the engine: holds, replays, exceptions, counts. Outbox: outbox.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import apsw
import msgspec
from msgspec.structs import replace

from hilum.model import Accounting, ExceptionItem, Held, Sighted
from hilum.store import Store

from .outbox import Outbox, enqueue
from .plan import Plan
from .rules import drift_item, is_learned, missing, with_sample
from .seam import RELOAD, DeliveryState, ExceptionRecord, Hold, HoldState, ReplayRequest, RepositoryCounts
from .sql import Row, as_json, number, row, rows, where_of

__all__ = ["Desk", "count", "record_work"]

_HOLD = (
    "seq, partition, key, code, message, location, owner, behind, at, tries, state, settled_at, settled_by, note, "
    "other_key"
)
_EXCEPTION = (
    'id, code, message, location, owner, "row", "group", count, first_at, last_at, samples, '
    "is_open, settled_at, settled_by, note"
)


class Desk(Outbox):
    """Reads are of the last commit; writes return after theirs."""

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        super().__init__(store)
        self._clock = clock

    def positions(self) -> dict[int, int]:
        return dict(self._rows("SELECT partition, seq FROM reader_position"))

    def counts(self) -> RepositoryCounts:
        return self._store.read(count)

    # holds and replays

    def held_keys(self) -> dict[str, int]:
        return dict(self._rows(_HELD_KEYS))

    def holds(
        self,
        *,
        key: str | None = None,
        code: str | None = None,
        state: HoldState | None = HoldState.OPEN,
        after: int = 0,
        limit: int = 100,
    ) -> list[Hold]:
        where, values = where_of(("code", code), ("state", state))
        if key is not None:
            where, values = f"{where} AND (key = ? OR (other_key = ? AND other_key <> ''))", (*values, key, key)
        found = self._rows(
            f"SELECT {_HOLD} FROM hold WHERE seq > ?{where} ORDER BY seq LIMIT ?",  # noqa: S608
            (after, *values, limit),
        )
        return [_hold(one) for one in found]

    def hold(self, seq: int) -> Hold:
        found = self._row(f"SELECT {_HOLD} FROM hold WHERE seq = ?", (seq,))  # noqa: S608
        if found is None:
            raise missing("hold", seq)
        return _hold(found)

    async def discard(self, seq: int, by: str, note: str) -> None:
        at = self._clock()

        def job(connection: apsw.Connection) -> None:
            _end_holds(connection, [seq], HoldState.DISCARDED, at, by, note)
            if connection.changes() == 0:
                raise missing("hold", seq)
            connection.execute(_TICK, (at // 1000,))  # a plan made before this may not apply the message
            connection.execute("DELETE FROM replay_request WHERE seq = ?", (seq,))

        await self._store.write(job)

    async def request_replay(self, seq: int | None, by: str, *, code: str | None = None) -> int:
        where, values = where_of(("seq", seq), ("code", code))
        open_ = f"FROM hold WHERE state = 'open'{where}"
        at = self._clock()

        def job(connection: apsw.Connection) -> int:
            asked = number(connection, f"SELECT count(*) {open_}", values)
            if seq is not None and not asked:
                raise missing("hold", seq)
            connection.execute(
                f"INSERT OR IGNORE INTO replay_request (seq, by, at) SELECT seq, ?, ? {open_} ORDER BY seq",
                (by, at, *values),
            )
            return asked

        return await self._store.write(job)

    async def request_reload(self, by: str) -> None:
        asked = (RELOAD, by, self._clock())
        sql = "INSERT OR IGNORE INTO replay_request (seq, by, at) VALUES (?, ?, ?)"
        await self._store.write(lambda connection: connection.execute(sql, asked) and None)

    def requests(self, limit: int = 1000) -> list[ReplayRequest]:
        found = self._rows("SELECT id, seq, by, at FROM replay_request ORDER BY seq LIMIT ?", (limit,))
        return [ReplayRequest(*one) for one in found]

    async def answer_requests(self, ids: Sequence[int]) -> None:
        wanted = [(id_,) for id_ in ids]
        await self._store.write(
            lambda connection: connection.executemany("DELETE FROM replay_request WHERE id = ?", wanted)
        )

    # exceptions

    def exceptions(
        self,
        *,
        code: str | None = None,
        owner: str | None = None,
        is_open: bool | None = True,
        after: int = 0,
        limit: int = 100,
    ) -> list[ExceptionRecord]:
        where, values = where_of(("code", code), ("owner", owner), ("is_open", is_open))
        found = self._rows(
            f"SELECT {_EXCEPTION} FROM exception_item WHERE id > ?{where} ORDER BY id LIMIT ?",  # noqa: S608
            (after, *values, limit),
        )
        return [_exception(one) for one in found]

    def exception(self, id_: int) -> ExceptionRecord:
        found = self._row(f"SELECT {_EXCEPTION} FROM exception_item WHERE id = ?", (id_,))  # noqa: S608
        if found is None:
            raise missing("exception", id_)
        return _exception(found)

    async def report(self, items: Sequence[ExceptionItem]) -> None:
        at = self._clock()
        await self._store.write(lambda connection: _count_exceptions(connection, [(0, one) for one in items], at))

    async def settle(self, id_: int, by: str, note: str) -> None:
        values = (self._clock(), by, note, id_)

        def job(connection: apsw.Connection) -> None:
            connection.execute(
                "UPDATE exception_item SET is_open = 0, settled_at = ?, settled_by = ?, note = ? "
                "WHERE id = ? AND is_open = 1",
                values,
            )
            if connection.changes() == 0:
                raise missing("exception", id_)

        await self._store.write(job)


_TICK = (
    "INSERT INTO apply_commit SELECT coalesce(max(tick), 0) + 1, max(coalesce(max(at), 0) + 1, ?), "
    "coalesce(max(last_rid), 0), coalesce(max(last_term), 0) FROM apply_commit"
)


def count(connection: apsw.Connection) -> RepositoryCounts:
    """All counts on one snapshot: for a reader that counts the journal on the same one."""
    applied, *fields = rows(
        connection, "SELECT count(*), total(valued), total(mapped), total(ignored), total(exceptions) FROM outcome"
    )[0]
    by_state = rows(connection, "SELECT state, behind, count(*) FROM hold GROUP BY state, behind")
    holds = {(state, bool(behind)): found for state, behind, found in by_state}
    states: dict[str, int] = dict(rows(connection, "SELECT state, count(*) FROM outbox GROUP BY state"))
    return RepositoryCounts(
        applied=applied,
        held=holds.get(("open", False), 0),
        behind=holds.get(("open", True), 0),
        discarded=holds.get(("discarded", False), 0) + holds.get(("discarded", True), 0),
        fields=Accounting(*map(int, fields)),
        exceptions=number(connection, "SELECT count(*) FROM exception_item WHERE is_open = 1"),
        deliveries={state.value: states.get(state.value, 0) for state in DeliveryState},
    )


def record_work(connection: apsw.Connection, plan: Plan, now: int) -> None:
    """The parts of a plan that are not resources. `now` in microseconds."""
    if plan.settled:
        _end_holds(connection, plan.settled, HoldState.APPLIED, now, "engine", "")
        connection.executemany("DELETE FROM replay_request WHERE seq = ?", [(seq,) for seq in plan.settled])
    if plan.held:
        connection.executemany(_HELD, [_held(held, now) for held in plan.held.values()])
    news = [item for seq, sighted in plan.sighted for item in _sight(connection, seq, sighted, now)]
    if plan.exceptions or news:
        _count_exceptions(connection, [*plan.exceptions, *news], now)
    if plan.outgoing:
        enqueue(connection, plan.outgoing, now)


_HELD_KEYS = """
SELECT key, min(seq) FROM (
  SELECT key, seq FROM hold WHERE state = 'open' AND key <> ''
  UNION ALL SELECT other_key, seq FROM hold WHERE state = 'open' AND other_key <> ''
) GROUP BY key
"""
_HELD = """
INSERT INTO hold (seq, partition, key, code, message, location, owner, behind, other_key, at, tries, state)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 'open')
ON CONFLICT (seq) DO UPDATE SET code = excluded.code, message = excluded.message, location = excluded.location,
  owner = excluded.owner, behind = excluded.behind, tries = tries + 1
"""


def _held(held: Held, now: int) -> Row:
    return (
        held.seq,
        held.partition,
        held.key,
        held.code,
        held.message,
        held.location,
        held.owner,
        held.behind,
        held.other_key,
        now,
    )


def _end_holds(connection: apsw.Connection, seqs: Iterable[int], state: HoldState, at: int, by: str, note: str) -> None:
    connection.executemany(
        "UPDATE hold SET state = ?, settled_at = ?, settled_by = ?, note = ? WHERE seq = ? AND state = 'open'",
        [(state.value, at, by, note, seq) for seq in seqs],
    )


def _sight(connection: apsw.Connection, seq: int, sighted: Sighted, now: int) -> list[tuple[int, ExceptionItem]]:
    """Remember these things of somebody; items for those that are news."""
    first_at = connection.execute("SELECT min(at) FROM sighting WHERE by = ?", (sighted.by,)).get
    learned = is_learned(first_at, now, sighted.learn_days)
    news = []
    for thing in sighted.things:
        row_ = (sighted.by, thing, seq, now)
        connection.execute("INSERT OR IGNORE INTO sighting (by, thing, seq, at) VALUES (?, ?, ?, ?)", row_)
        if learned and connection.changes():
            news.append((seq, drift_item(sighted.by, thing, sighted.owner)))
    return news


def _count_exceptions(connection: apsw.Connection, items: Iterable[tuple[int, ExceptionItem]], now: int) -> None:
    """One record per group, with a count; an item without a group is a record of its own."""
    groups: dict[object, tuple[ExceptionItem, list[int]]] = {}
    for place, (seq, item) in enumerate(items):
        groups.setdefault(item.group or place, (item, []))[1].append(seq)
    for item, seqs in groups.values():
        found = row(connection, _KNOWN_EXCEPTION, (item.group,)) if item.group else None
        samples: tuple[int, ...] = tuple(msgspec.json.decode(found[1])) if found else ()
        for seq in seqs:
            samples = with_sample(samples, seq)
        if found:
            connection.execute(_AGAIN_EXCEPTION, (*_said(item), len(seqs), now, as_json(samples), found[0]))
        else:
            connection.execute(_NEW_EXCEPTION, (*_said(item), item.group, len(seqs), now, now, as_json(samples)))


_KNOWN_EXCEPTION = 'SELECT id, samples FROM exception_item WHERE "group" = ?'
_NEW_EXCEPTION = """
INSERT INTO exception_item
  (code, message, location, owner, "row", "group", count, first_at, last_at, samples, is_open)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)
"""
_AGAIN_EXCEPTION = """
UPDATE exception_item SET code = ?, message = ?, location = ?, owner = ?, "row" = ?, count = count + ?, last_at = ?,
  samples = ?, is_open = 1, settled_at = 0, settled_by = '', note = ''
WHERE id = ?
"""


def _said(item: ExceptionItem) -> tuple[str, ...]:
    return item.code, item.message, item.location, item.owner, item.row


def _hold(one: Row) -> Hold:
    made = Hold(*one)
    return replace(made, behind=bool(made.behind), state=HoldState(made.state))


def _exception(one: Row) -> ExceptionRecord:
    made = ExceptionRecord(*one)
    return replace(made, samples=tuple(msgspec.json.decode(one[10])), is_open=bool(made.is_open))
