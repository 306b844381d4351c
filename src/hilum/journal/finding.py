"""Searching and counting stored messages: every question is answered from a small covering index."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from typing import Any, cast

import apsw

from hilum.journal.found import Found, MessagePage, MessageQuery, Rate, RouteCount, after_of, next_of
from hilum.journal.rows import MESSAGE_COLUMNS, REFUSED, Names, Route, partitions_of
from hilum.journal.seam import JournalCounts
from hilum.model import Disposition

__all__ = ["count", "count_routes", "find"]

MOST_ROUTES = 64  # searched one by one along their index; more are filtered while walking back in time
MOST_LIMIT = 1_000


def find(connection: apsw.Connection, names: Names, query: MessageQuery) -> MessagePage:
    """One page, newest arrival first."""
    limit = max(1, min(query.limit, MOST_LIMIT))
    rows: list[Any] = []
    for row in heapq.merge(*_streams(connection, names, query, limit + 1), key=_newest_first):
        if not rows or rows[-1][0] != row[0]:  # a merge of a key into itself comes from two streams
            rows.append(row)
        if len(rows) > limit:
            break
    page = tuple(_found(connection, names, row) for row in rows[:limit])
    return MessagePage(page, next_of(page[-1]) if len(rows) > limit else "")


def _found(connection: apsw.Connection, names: Names, row: Any) -> Found:
    partition = next(iter(partitions_of(row)), REFUSED)
    return Found(row[0], partition, names.envelope(connection, row))


def _newest_first(row: Any) -> tuple[int, int]:
    return -row[4], -row[0]


def _streams(connection: apsw.Connection, names: Names, query: MessageQuery, limit: int) -> Iterator[list[Any]]:
    """Each stream walks one index from the newest on; together they hold every match of the page."""
    common, values = _common_conditions(query)
    routes = _matching_routes(connection, names, query)
    narrow = query.control_id or query.key
    if routes is not None and (narrow or len(routes) > MOST_ROUTES):
        common.append(f"m.route IN ({','.join(map(str, routes))})")
        routes = None
    for condition, extra in _drivers(query, routes):
        where = " AND ".join([condition, *common]) if condition else " AND ".join(common) or "1"
        sql = (
            f"SELECT {MESSAGE_COLUMNS} FROM message m WHERE {where} "  # noqa: S608 - fixed texts and own numbers
            "ORDER BY m.received_at DESC, m.seq DESC LIMIT ?"
        )
        yield connection.execute(sql, (*extra, *values, limit)).fetchall()


def _drivers(query: MessageQuery, routes: list[int] | None) -> list[tuple[str, tuple[Any, ...]]]:
    """The condition that picks the index, once per walk."""
    if query.control_id:
        key = "AND (m.key = ? OR m.other_key = ?)" if query.key else ""
        return [
            (
                f"m.control_id = ? AND m.control_id <> '' {key}",
                (query.control_id, *([query.key] * 2 if query.key else [])),
            )
        ]
    if query.key:
        return [
            ("m.key = ? AND m.key <> ''", (query.key,)),
            ("m.other_key = ? AND m.other_key <> ''", (query.key,)),
        ]
    if routes is not None:
        return [("m.route = ?", (route,)) for route in routes]
    return [("", ())]


def _common_conditions(query: MessageQuery) -> tuple[list[str], list[Any]]:
    conditions: list[str] = []
    values: list[Any] = []
    if query.since:
        conditions.append("m.received_at >= ?")
        values.append(query.since)
    if query.until:
        conditions.append("m.received_at < ?")
        values.append(query.until)
    after = after_of(query)
    if after is not None:
        conditions.append("(m.received_at, m.seq) < (?, ?)")
        values += after
    return conditions, values


def _matching_routes(connection: apsw.Connection, names: Names, query: MessageQuery) -> list[int] | None:
    """Numbers of the routes that agree, or None when the query does not ask for any of it."""
    wanted = {
        "kind": query.kind,
        "sender": query.sender,
        "source": query.source,
        "disposition": query.disposition.value if query.disposition else "",
    }
    asked = {name: value for name, value in wanted.items() if value}
    if not asked:
        return None
    return [number for number, route in names.routes(connection) if _agrees(route, asked)]


def _agrees(route: Route, asked: Mapping[str, str]) -> bool:
    return all(getattr(route, name) == value for name, value in asked.items())


def count(connection: apsw.Connection, positions: Mapping[int, int]) -> JournalCounts:
    """Counted from rows, and for what retention deleted from its signed tombstones."""
    gone = connection.execute(
        "SELECT coalesce(sum(messages), 0), coalesce(sum(rejected), 0) FROM segment s JOIN tombstone t ON t.n = s.n"
    ).get
    sealed_duplicates = connection.execute("SELECT coalesce(sum(duplicates), 0) FROM segment").get
    return JournalCounts(
        received=connection.execute("SELECT count(*) FROM message").get + gone[0],
        rejected=_refused(connection) + gone[1],
        duplicates=connection.execute("SELECT count(*) FROM duplicate").get + sealed_duplicates,
        waiting=sum(
            _waiting(connection, partition, positions.get(partition, 0)) for partition in _partitions(connection)
        ),
    )


def _refused(connection: apsw.Connection) -> int:
    refused = connection.execute(
        "SELECT count(*) FROM journal_route r CROSS JOIN message m ON m.route = r.id WHERE r.refused = 1"
    ).get
    assert isinstance(refused, int)
    return refused


def _partitions(connection: apsw.Connection) -> Iterator[int]:
    """The partitions that have entries, one step of the index each."""
    partition = connection.execute("SELECT min(partition) FROM entry").get
    while partition is not None:
        yield partition
        partition = connection.execute("SELECT min(partition) FROM entry WHERE partition > ?", (partition,)).get


def _waiting(connection: apsw.Connection, partition: int, position: int) -> int:
    waiting = connection.execute(
        "SELECT count(*) FROM entry WHERE partition = ? AND seq > ? AND barrier = 0", (partition, position)
    ).get
    assert isinstance(waiting, int)
    return waiting


_RATES = (
    "SELECT received_at / 3600000000, count(*), max(received_at) FROM message WHERE route = ? AND received_at >= ? "
    "GROUP BY 1"
)


def count_rates(connection: apsw.Connection, names: Names, since: int) -> list[Rate]:
    """Messages of each hour by source, sender and kind, refused ones too; live and sealed."""
    found: dict[tuple[str, str, str, int], tuple[int, int]] = {}
    for (number,) in connection.execute("SELECT id FROM journal_route").fetchall():
        route = names.route(connection, cast("int", number))
        for hour, messages, last_at in connection.execute(_RATES, (number, since)):
            name = (route.source, route.sender, route.kind, hour)
            before = found.get(name, (0, 0))
            found[name] = (before[0] + messages, max(before[1], last_at))
    return [Rate(*name, *counted) for name, counted in sorted(found.items())]


def count_routes(connection: apsw.Connection, names: Names) -> list[RouteCount]:
    """Live and sealed messages by source, sender, kind and disposition; deleted ones are not in it."""
    found: dict[tuple[str, str, str, str], int] = {}
    for number, messages in connection.execute("SELECT route, count(*) FROM message GROUP BY route"):
        route = names.route(connection, number)
        name = (route.source, route.sender, route.kind, route.disposition)
        found[name] = found.get(name, 0) + messages
    return [RouteCount(*name[:3], Disposition(name[3]), messages) for name, messages in sorted(found.items())]
