"""Telling one subscriber: handshake, events in their order, heartbeats, and what comes of failures.

Each subscription has a sender of its own, so that one that is slow or gone holds nobody else. An event is marked as
delivered only after the subscriber's 2xx: after a kill it may be told again, with the same number.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx2
import structlog
from msgspec import Struct
from msgspec.structs import replace

from hilum.app.subscriptions.allowing import May
from hilum.app.subscriptions.feeding import Feeder
from hilum.app.subscriptions.notices import notification
from hilum.app.subscriptions.rows import Event, Subscription, events_of, find
from hilum.app.subscriptions.settings import SHORTEST_SECRET, Subscriber
from hilum.config import may_be_called
from hilum.delivery import SIGNATURE_HEADER, RetryPolicy, sign
from hilum.errors import DeliveryError, HilumError
from hilum.journal import SqliteJournal
from hilum.model import AuditEvent
from hilum.protocols import PUBLIC_ONLY
from hilum.repository import Stored
from hilum.store import Store, fault

__all__ = ["Pace", "Sender", "signing_secret"]

ANSWER_BYTES = 64 * 1024  # of an answer that are read and thrown away
CONNECT_SECONDS = 10.0

fault.declare("subscriptions.after_answer", "a subscriber has taken a notification, that is not written down")
log = structlog.get_logger(__name__)


class Pace(Struct, frozen=True):
    """How patient senders are. `error_after` failures in a row make a subscription one in error; it is tried on."""

    retry: RetryPolicy = RetryPolicy(first_seconds=1, longest_seconds=300, attempts=0)
    error_after: int = 5
    timeout: float = 30.0  # seconds for an answer, where the subscription does not say
    look_every: float = 0.25  # seconds between two looks for new commits


Turn = Callable[[Subscription, str, str], Any]  # awaitable: a subscription changes to this status with this code


def signing_secret(subscriber: Subscriber) -> bytes:
    """Raises HilumError `subscription-secret-short`, `secret-...`."""
    secret = subscriber.secret.resolve_bytes()
    if len(secret) < SHORTEST_SECRET:
        text = f"the signing secret of a subscriber has fewer than {SHORTEST_SECRET} bytes: make a longer one"
        raise HilumError(text, code="subscription-secret-short")
    return secret


class Sender:
    """Works for one subscription until it is cancelled."""

    def __init__(
        self,
        store: Store,
        journal: SqliteJournal,
        feeder: Feeder,
        client: httpx2.AsyncClient,
        base: str,
        subscriber: Subscriber,
        pace: Pace,
        turn: Turn,
        may: May,
    ) -> None:
        self._store, self._journal, self._feeder, self._client = store, journal, feeder, client
        self._base, self._subscriber, self._pace, self._turn, self._may = base, subscriber, pace, turn, may
        self.wake = asyncio.Event()

    async def run(self, id_: str) -> None:
        """Go on until the subscription is gone or off."""
        while True:
            self.wake.clear()
            one = self._store.read(lambda connection: find(connection, id_))
            if one is None or one.status == "off":
                return
            try:
                wait = await self._next(one)
            except HilumError as error:  # the store is full or busy
                log.warning("a subscription waits", subscription=id_, code=error.code)
                wait = 5.0
            if wait > 0:
                try:
                    async with asyncio.timeout(wait):
                        await self.wake.wait()
                except TimeoutError:
                    continue

    async def _next(self, one: Subscription) -> float:
        """Do what is due; seconds until something else is, at the latest."""
        now = time.time_ns() // 1000
        if not self._may(one.actor, one.limits):
            await self._turn(one, "off", "subscription-not-allowed")
            return 1.0
        if one.asked.end and now >= one.asked.end:
            await self._turn(one, "off", "")
            return 1.0
        if one.next_at > now:
            return (one.next_at - now) / 1e6
        if one.status == "requested":
            return await self._tell(one, "handshake", ())
        limit = one.asked.most
        events = self._store.read(lambda c: events_of(c, one.id, one.delivered, one.number, limit))
        if events:
            return await self._tell(one, "event-notification", events)
        if one.asked.heartbeat:
            left = one.asked.heartbeat - (now - one.sent_at) / 1e6
            return left if left > 0 else await self._tell(one, "heartbeat", ())
        return 60.0

    async def _tell(self, one: Subscription, kind: str, events: Sequence[Event]) -> float:
        """One notification; 0 when it was taken, so that the next follows at once."""
        try:
            resources = await asyncio.to_thread(self._resources, one, events)
            shown = replace(one, status="active" if kind == "handshake" else one.status, code="")
            body = notification(self._base, shown if kind != "handshake" else one, kind, events, resources)
            await self._audit(one, kind, events)
            await self._post(one, body, _key(one, kind, events))
        except DeliveryError as error:
            await self._failed(one, error)
            return 0.0
        if kind == "event-notification":
            fault.reach("subscriptions.after_answer")
        await self._taken(one, events[-1].number if events else one.delivered)
        return 0.0

    def _resources(self, one: Subscription, events: Sequence[Event]) -> Mapping[int, Stored]:
        if one.asked.content != "full-resource":
            return {}
        found = {event.number: self._feeder.version(event) for event in events}
        return {number: stored for number, stored in found.items() if stored is not None}

    async def _audit(self, one: Subscription, kind: str, events: Sequence[Event]) -> None:
        """Before anything leaves."""
        which = f" {events[0].number}..{events[-1].number}" if events else ""
        ids = " ".join(f"{event.type}/{event.id}" for event in events) if one.asked.content != "empty" else ""
        now = time.time_ns() // 1000
        event = AuditEvent(now, one.actor, "notify", f"Subscription/{one.id}", detail=f"{kind}{which} {ids}".rstrip())
        await self._journal.audit([event])

    async def _post(self, one: Subscription, body: bytes, key: str) -> None:
        """Raises DeliveryError `subscriber-...`."""
        headers = {name: self._value(value) for name, value in one.asked.headers.items()} | {
            "Content-Type": "application/fhir+json; charset=utf-8",
            "Idempotency-Key": key,
            SIGNATURE_HEADER: sign(signing_secret(self._subscriber), key, body, int(time.time())),
        }
        seconds = one.asked.timeout or self._pace.timeout
        if not may_be_called(one.asked.endpoint, self._subscriber.endpoints):  # the folder was another then
            raise DeliveryError("the integration does not allow this endpoint any more", code="subscriber-not-allowed")
        try:
            async with (
                asyncio.timeout(CONNECT_SECONDS + seconds),
                self._client.stream(
                    "POST",
                    one.asked.endpoint,
                    content=body,
                    headers=headers,
                    timeout=seconds,
                    extensions={} if self._subscriber.endpoints else PUBLIC_ONLY,
                ) as answer,
            ):
                size = 0
                async for part in answer.aiter_raw():
                    size += len(part)
                    if size > ANSWER_BYTES:
                        break
        except (TimeoutError, httpx2.TimeoutException):
            raise DeliveryError("the subscriber did not answer in time", code="subscriber-late") from None
        except (httpx2.TransportError, httpx2.InvalidURL):
            raise DeliveryError("the subscriber cannot be reached", code="subscriber-unreachable") from None
        if not 200 <= answer.status_code < 300:
            text = f"the subscriber answered with status {answer.status_code}"
            raise DeliveryError(text, code="subscriber-refused")

    def _value(self, written: str) -> str:
        name = written.removeprefix("secret:")
        if name == written:
            return written
        secret = self._subscriber.headers.get(name)
        if secret is None:
            raise DeliveryError("a header names a secret that is not declared any more", code="subscriber-secret-gone")
        return secret.resolve()

    async def _taken(self, one: Subscription, delivered: int) -> None:
        now = time.time_ns() // 1000
        await self._store.write(
            lambda c: c.execute(
                "UPDATE subscription SET delivered = max(delivered, ?), attempts = 0, next_at = 0, sent_at = ?, "
                "code = '' WHERE id = ?",
                (delivered, now, one.id),
            ).fetchall()
        )
        if one.status != "active":
            await self._turn(one, "active", "")

    async def _failed(self, one: Subscription, error: DeliveryError) -> None:
        attempts = one.attempts + 1
        wait = self._pace.retry.decide(attempts, error, random.random).delay
        next_at = time.time_ns() // 1000 + int(wait * 1e6)
        await self._store.write(
            lambda c: c.execute(
                "UPDATE subscription SET attempts = ?, next_at = ?, code = ? WHERE id = ?",
                (attempts, next_at, error.code, one.id),
            ).fetchall()
        )
        log.warning("a subscriber was not told", subscription=one.id, code=error.code, attempts=attempts)
        if attempts >= self._pace.error_after and one.status != "error":
            await self._turn(one, "error", error.code)


def _key(one: Subscription, kind: str, events: Sequence[Event]) -> str:
    """The same for the same events, so that a subscriber can tell a repetition."""
    return f"{one.id}-{events[0].number}-{events[-1].number}" if events else f"{one.id}-{kind}-{uuid.uuid4()}"
