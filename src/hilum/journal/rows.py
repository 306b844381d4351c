"""Rows of the journal and the values they stand for; all of these run inside somebody's transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import apsw
from msgspec import Struct

from hilum.journal.records import GENESIS
from hilum.model import Disposition, Envelope

__all__ = ["MESSAGE_COLUMNS", "REFUSED", "Names", "Route", "Tip", "add_head", "partitions_of", "read_tip"]

REFUSED = -1  # the partition of a message that no worker reads
MESSAGE_COLUMNS = "m.seq, m.route, m.home, m.other, m.received_at, m.sent_at, m.control_id, m.key, m.other_key"


class Tip(Struct, frozen=True):
    """The last group of the chain, and the last row of each kind that it covers."""

    n: int = 0
    at: int = 0
    message: int = 0
    duplicate: int = 0
    audit: int = 0
    hash: bytes = GENESIS


def read_tip(connection: apsw.Connection) -> Tip:
    """Read inside the transaction that goes on from it: another process may have written since."""
    row = connection.execute("SELECT n, at, message, duplicate, audit, hash FROM head ORDER BY n DESC LIMIT 1").get
    return Tip(*row) if row is not None else Tip()


def add_head(connection: apsw.Connection, tip: Tip) -> None:
    """Append the head of a group."""
    connection.execute(
        "INSERT INTO head (n, at, message, duplicate, audit, hash) VALUES (?, ?, ?, ?, ?, ?)",
        (tip.n, tip.at, tip.message, tip.duplicate, tip.audit, tip.hash),
    )


class Route(Struct, frozen=True):
    """What the envelopes of many messages share."""

    source: str
    sender: str
    kind: str
    charset: str
    disposition: str
    codes: str
    refused: bool

    @classmethod
    def of(cls, envelope: Envelope, *, refused: bool) -> Route:
        """The shared part of an envelope."""
        return cls(
            envelope.source,
            envelope.sender,
            envelope.kind,
            envelope.charset,
            envelope.disposition.value,
            " ".join(envelope.codes),
            refused,
        )


class Names:
    """Numbers of routes and senders. Only committed ones are remembered, and those never change."""

    def __init__(self) -> None:
        self._routes: dict[int, Route] = {}
        self._route_ids: dict[Route, tuple[int, int]] = {}
        self._newest = 0

    def find(self, connection: apsw.Connection, route: Route) -> tuple[int, int]:
        """(route, sender) numbers inside a write transaction; new ones are added."""
        known = self._route_ids.get(route)
        if known is not None:
            return known
        values = (*_texts(route), int(route.refused))
        connection.execute("INSERT OR IGNORE INTO journal_sender (name) VALUES (?)", (route.sender,))
        connection.execute(
            "INSERT OR IGNORE INTO journal_route (source, sender, kind, charset, disposition, codes, refused) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            values,
        )
        return self._look_up(connection, values)

    def _look_up(self, connection: apsw.Connection, values: tuple[Any, ...]) -> tuple[int, int]:
        found: tuple[int, int] | None = connection.execute(
            "SELECT r.id, s.id FROM journal_route r JOIN journal_sender s ON s.name = r.sender WHERE r.source = ? "
            "AND r.sender = ? AND r.kind = ? AND r.charset = ? AND r.disposition = ? AND r.codes = ? AND r.refused = ?",
            values,
        ).get
        assert found is not None
        return found

    def remember(self, connection: apsw.Connection) -> None:
        """Take in what is committed; `connection` reads."""
        for number, sender, *values in connection.execute(
            "SELECT r.id, s.id, r.source, r.sender, r.kind, r.charset, r.disposition, r.codes, r.refused "
            "FROM journal_route r JOIN journal_sender s ON s.name = r.sender WHERE r.id > ?",
            (self._newest,),
        ):
            route = _route(values)
            self._routes[number] = route
            self._route_ids[route] = (number, sender)
            self._newest = max(self._newest, number)

    def known(self, route: Route) -> bool:
        """Whether its numbers are remembered."""
        return route in self._route_ids

    def route(self, connection: apsw.Connection, number: int) -> Route:
        """The route of a stored message."""
        if number not in self._routes:
            self.remember(connection)
        return self._routes[number]

    def routes(self, connection: apsw.Connection) -> Iterator[tuple[int, Route]]:
        """All committed routes."""
        self.remember(connection)
        return iter(list(self._routes.items()))

    def envelope(self, connection: apsw.Connection, row: Sequence[Any]) -> Envelope:
        """The envelope of a row selected as MESSAGE_COLUMNS."""
        route = self.route(connection, row[1])
        return Envelope(
            source=route.source,
            received_at=row[4],
            sender=route.sender,
            control_id=row[6],
            kind=route.kind,
            key=row[7],
            other_key=row[8],
            sent_at=row[5],
            charset=route.charset,
            disposition=Disposition(route.disposition),
            codes=tuple(route.codes.split()),
        )


def _route(values: Sequence[Any]) -> Route:
    source, sender, kind, charset, disposition, codes, refused = values
    return Route(source, sender, kind, charset, disposition, codes, bool(refused))


def _texts(route: Route) -> tuple[str, ...]:
    return (route.source, route.sender, route.kind, route.charset, route.disposition, route.codes)


def partitions_of(row: Sequence[Any]) -> tuple[int, ...]:
    """The partitions of a row selected as MESSAGE_COLUMNS."""
    return tuple(partition for partition in (row[2], row[3]) if partition is not None)
