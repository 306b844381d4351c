"""Subscriptions and their events in the store."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from hilum.app.api.sight import Sight
from hilum.app.subscriptions.reading import Asked
from hilum.repository import Limits

__all__ = [
    "Event",
    "Subscription",
    "add_events",
    "all_subscriptions",
    "events_of",
    "find",
    "oldest_waiting",
    "put",
    "remove",
]


class Subscription(Struct, frozen=True):
    """One subscription: what is asked, by whom, and how it stands; times in microseconds."""

    id: str
    actor: str
    limits: dict[str, Limits] | None
    asked: Asked
    status: str
    since: int
    number: int = 0
    delivered: int = 0
    attempts: int = 0
    next_at: int = 0
    sent_at: int = 0
    code: str = ""

    @property
    def sight(self) -> Sight:
        """What its subscriber may see."""
        return Sight(self.limits)


class Event(Struct, frozen=True):
    """One event as it is kept: ids, never content."""

    number: int
    at: int
    change: str
    type: str
    id: str
    rid: int
    version: int


_COLUMNS = "id, actor, limits, asked, status, since, number, delivered, attempts, next_at, sent_at, code"
_ALL = f"SELECT {_COLUMNS} FROM subscription ORDER BY id"  # noqa: S608 - names of ours
_ONE = f"SELECT {_COLUMNS} FROM subscription WHERE id = ?"  # noqa: S608
_PUT = (
    "INSERT INTO subscription (id, actor, limits, asked, status, since) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (id) DO UPDATE SET actor = excluded.actor, limits = excluded.limits, asked = excluded.asked, "
    "status = excluded.status, attempts = 0, next_at = 0, code = ''"
)
_EVENTS = (
    "SELECT number, at, change, type, id, rid, version FROM subscription_event "
    "WHERE subscription = ? AND number > ? AND number <= ? ORDER BY number LIMIT ?"
)
_OLDEST = (
    "SELECT e.subscription, e.at FROM subscription s CROSS JOIN subscription_event e "
    "ON e.subscription = s.id AND e.number = s.delivered + 1"
)
_ADD = "INSERT INTO subscription_event VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_limits = msgspec.msgpack.Decoder(dict[str, Limits] | None)
_asked = msgspec.msgpack.Decoder(Asked)
_pack = msgspec.msgpack.encode


def all_subscriptions(connection: Any) -> list[Subscription]:
    """All of them."""
    return [_row(one) for one in connection.execute(_ALL).fetchall()]


def find(connection: Any, id_: str) -> Subscription | None:
    """One of them."""
    row = connection.execute(_ONE, (id_,)).fetchone()
    return None if row is None else _row(row)


def put(connection: Any, one: Subscription) -> None:
    """Take on what a program asks for; events that it has go on counting."""
    connection.execute(_PUT, (one.id, one.actor, _pack(one.limits), _pack(one.asked), one.status, one.since))


def remove(connection: Any, id_: str) -> None:
    """Forget one with its events."""
    connection.execute("DELETE FROM subscription WHERE id = ?", (id_,))
    connection.execute("DELETE FROM subscription_event WHERE subscription = ?", (id_,))


def add_events(connection: Any, id_: str, events: list[Event]) -> None:
    """Give these the next numbers. Nothing for a subscription that is gone."""
    last = connection.execute("SELECT number FROM subscription WHERE id = ?", (id_,)).get
    if last is None:
        return
    rows = [
        (id_, last + place, one.at, one.change, one.type, one.id, one.rid, one.version)
        for place, one in enumerate(events, 1)
    ]
    connection.executemany(_ADD, rows)
    connection.execute("UPDATE subscription SET number = ? WHERE id = ?", (last + len(rows), id_))


def events_of(connection: Any, id_: str, after: int, upto: int, limit: int) -> list[Event]:
    """Events with numbers above `after` and up to `upto`, in order."""
    return [Event(*one) for one in connection.execute(_EVENTS, (id_, after, upto, limit)).fetchall()]


def oldest_waiting(connection: Any) -> dict[str, int]:
    """When the first event happened that was not taken, by subscription; those without one are not there."""
    return dict(connection.execute(_OLDEST).fetchall())


def _row(row: tuple[Any, ...]) -> Subscription:
    id_, actor, limits, asked, *rest = row
    return Subscription(id_, actor, _limits.decode(limits), _asked.decode(asked), *rest)
