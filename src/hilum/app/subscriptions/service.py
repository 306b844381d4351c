"""All subscriptions of a store: taking them on with the write that makes them, finding events, a sender for each."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx2
import structlog
from msgspec import Raw

from hilum.app.api.contents import content_of
from hilum.app.api.exchange import Call
from hilum.app.api.health import SubscriberStand, SubscriptionStand
from hilum.app.api.outcomes import Problem
from hilum.app.subscriptions.allowing import May
from hilum.app.subscriptions.feeding import Feeder
from hilum.app.subscriptions.reading import read_subscription
from hilum.app.subscriptions.rows import (
    Event,
    Subscription,
    all_subscriptions,
    events_of,
    find,
    oldest_waiting,
    put,
    remove,
)
from hilum.app.subscriptions.sending import Pace, Sender, signing_secret
from hilum.app.subscriptions.settings import Subscriber, Topic
from hilum.app.tokens import Permission
from hilum.errors import HilumError, NotFound
from hilum.formats import fhir
from hilum.journal import SqliteJournal
from hilum.model import AuditEvent
from hilum.repository import Aftermath, Change, Did, SqliteRepository, Verb, WriteRefused, Written
from hilum.safeguards import Interaction
from hilum.store import Store

__all__ = ["Subscriptions"]

KEPT_SECONDS = 7 * 86_400  # events that were delivered, for `$events`
PRUNE_EVERY = 3_600.0
MOST_OF_ONE = 50  # subscriptions of one token or app

log = structlog.get_logger(__name__)


class Subscriptions:
    """The subscriptions of one store. `start` it in the running loop, `close` it."""

    def __init__(
        self,
        store: Store,
        journal: SqliteJournal,
        repository: SqliteRepository,
        topics: Sequence[Topic],
        subscribers: Mapping[str, Subscriber],
        *,
        base_url: str,
        may: May,
        pace: Pace | None = None,
    ) -> None:
        """`may(actor, limits)`: whether a token or app may still act, and see what it saw then.

        `base_url` is without /fhir.
        """
        self._store, self._journal, self._repository = store, journal, repository
        self._topics = {one.url: one for one in topics}
        self._subscribers, self._may, self._pace = dict(subscribers), may, pace or Pace()
        self._base = f"{base_url.rstrip('/')}/fhir"
        self._feeder = Feeder(store, self._topics)
        self._wake = asyncio.Event()
        self._senders: dict[str, tuple[Sender, asyncio.Task[None]]] = {}
        self._unsigned: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._clients: dict[bool, httpx2.AsyncClient] = {}  # by whether a list of endpoints says where they go

    @property
    def topics(self) -> tuple[str, ...]:
        """Canonical URLs of what may be subscribed to."""
        return tuple(self._topics)

    def start(self) -> None:
        """Go on from the last commit that was looked at."""
        # two, so that no connection to an inner network is used again for a subscriber who may not go there
        self._clients = {is_listed: _client() for is_listed in (True, False)}
        self._feeder.begin()
        self._task = asyncio.create_task(self._run(), name="hilum-subscriptions")

    async def close(self) -> None:
        """Stop; what was found and not delivered is delivered after the next start."""
        tasks = [task for _, task in self._senders.values()]
        if self._task is not None:
            tasks.append(self._task)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._senders, self._task = {}, None
        for client in self._clients.values():
            await client.aclose()
        self._clients = {}

    # what programs write

    def watch(self, call: Call, written: Sequence[Written]) -> Callable[[Any], None] | None:
        """Called within a write: what it does to subscriptions, committed with it. Raises Problem 422 or 403."""
        mine = [one for one in written if one.stored is not None and one.stored.type == "Subscription"]
        made = [self._taken_on(call, one) for one in mine if one.did in (Did.CREATED, Did.UPDATED)]
        gone = [one.stored.id for one in mine if one.stored is not None and one.did is Did.DELETED]
        if not made and not gone:
            return None

        def also(connection: Any) -> None:
            tick = connection.execute("SELECT max(tick) FROM apply_commit").get
            if connection.execute("SELECT count(*) FROM subscription WHERE status <> 'off'").get == 0:
                connection.execute("UPDATE subscription_position SET tick = ?", (tick,))
            for one in made:
                self._check_owner(connection, one)
                put(connection, Subscription(one.id, one.actor, one.limits, one.asked, one.status, tick))
            for id_ in gone:
                self._check_ender(connection, call, id_)
                remove(connection, id_)

        self._wake_soon()
        return also

    def _taken_on(self, call: Call, one: Written) -> Subscription:
        assert one.stored is not None
        subscriber = self._subscriber_of(call.actor)
        if subscriber is None:
            text = "this token or app is no subscriber of this integration: declare it in subscribers/"
            raise Problem("subscription-not-allowed", 403, "forbidden", text)
        resource = fhir.decode(one.stored.body)
        if one.did is Did.CREATED and resource.get("status") not in ("requested", "off"):
            text = "a Subscription is made as `requested` or `off`: the server says when it is active"
            raise Problem("subscription-status-unusable", 422, "business-rule", text)
        asked = read_subscription(resource, self._topics, subscriber)
        limits = call.sight_for(Interaction.SEARCH).limits
        status = "off" if asked.is_off else "requested"
        return Subscription(one.stored.id, call.actor, None if limits is None else dict(limits), asked, status, 0)

    def _check_owner(self, connection: Any, one: Subscription) -> None:
        before = find(connection, one.id)
        if before is not None and before.actor != one.actor:
            text = "this Subscription is another program's: make one of your own"
            raise Problem("subscription-not-allowed", 403, "forbidden", text)
        sql = "SELECT count(*) FROM subscription WHERE actor = ? AND id <> ? AND status <> 'off'"
        if (connection.execute(sql, (one.actor, one.id)).get or 0) >= MOST_OF_ONE:
            text = f"a program has at most {MOST_OF_ONE} subscriptions: delete one"
            raise Problem("subscription-too-many", 403, "throttled", text)

    def _check_ender(self, connection: Any, call: Call, id_: str) -> None:
        """A program ends its own; an admin any."""
        before = find(connection, id_)
        if before is not None and before.actor != call.actor and not call.may(Permission.ADMIN):
            text = "this Subscription is another program's: that program, or a token of role admin, deletes it"
            raise Problem("subscription-not-allowed", 403, "forbidden", text)

    def _subscriber_of(self, actor: str) -> Subscriber | None:
        """By the name of a token, or of an app by itself; a person who signed in is no subscriber."""
        return self._subscribers.get(actor.removeprefix("app/"))

    # what programs ask

    def of(self, actor: str, id_: str = "") -> list[Subscription]:
        """The subscriptions of a token or app: all, or the one with this id."""
        found = self._store.read(all_subscriptions)
        return [one for one in found if one.actor == actor and id_ in ("", one.id)]

    def stand(self) -> SubscriptionStand:
        """How all of them stand."""
        found, oldest = self._store.read(lambda connection: (all_subscriptions(connection), oldest_waiting(connection)))
        told: dict[str, SubscriberStand] = {}
        for one in found:
            if one.status != "off":
                name = one.actor.removeprefix("app/")
                before = told.get(name, SubscriberStand(name))
                since = [at for at in (before.oldest, oldest.get(one.id, 0)) if at]
                waiting = before.waiting + one.number - one.delivered
                told[name] = SubscriberStand(name, waiting, min(since, default=0), max(before.failures, one.attempts))
        counts = Counter(one.status for one in found)
        return SubscriptionStand(dict(counts), tuple(told.values()), self._feeder.behind() if told else 0)

    def events(self, one: Subscription, after: int, upto: int, limit: int) -> list[Event]:
        """Events that are kept, in order."""
        return self._store.read(lambda connection: events_of(connection, one.id, after, upto, limit))

    def version(self, event: Event) -> Any:
        """The version that an event tells of."""
        return self._feeder.version(event)

    # work

    def _wake_soon(self) -> None:
        loop = self._task.get_loop() if self._task is not None else None
        if loop is not None:
            loop.call_soon_threadsafe(self._wake.set)

    async def _run(self) -> None:
        pruned = 0.0
        while True:
            self._wake.clear()
            try:
                while self._feeder.is_behind():
                    found = await asyncio.to_thread(self._feeder.look)
                    if found is None:
                        break
                    before, after, events = found
                    await self._feeder.commit(before, after, events)
                    for id_ in events:
                        if id_ in self._senders:
                            self._senders[id_][0].wake.set()
                self._employ()
                if time.monotonic() - pruned > PRUNE_EVERY or not pruned:
                    pruned = time.monotonic()
                    await self._prune()
            except HilumError as error:  # the store is full or busy: looked at again
                log.warning("subscriptions wait", code=error.code)
                await asyncio.sleep(5.0)
            except Exception as error:  # noqa: BLE001 - the last net: the message of an error may quote data
                log.warning("subscriptions wait", error=type(error).__name__)
                await asyncio.sleep(5.0)
            try:
                async with asyncio.timeout(self._pace.look_every):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _employ(self) -> None:
        """A sender for each that has none; one whose task has ended gives way."""
        for id_ in [id_ for id_, (_, task) in self._senders.items() if task.done()]:
            _, task = self._senders.pop(id_)
            if not task.cancelled() and task.exception() is not None:
                log.error("a sender ended", subscription=id_, error=type(task.exception()).__name__)
        for one in self._store.read(all_subscriptions):
            subscriber = self._subscriber_of(one.actor)
            if one.status == "off" or subscriber is None:
                continue
            if one.id in self._senders:
                if one.status == "requested":
                    self._senders[one.id][0].wake.set()
                continue
            try:
                signing_secret(subscriber)
            except HilumError as error:
                if one.id not in self._unsigned:  # said once, and looked at again all the time
                    log.warning("a subscription cannot be signed", subscription=one.id, code=error.code)
                self._unsigned.add(one.id)
                continue
            self._unsigned.discard(one.id)
            sender = Sender(
                self._store,
                self._journal,
                self._feeder,
                self._clients[bool(subscriber.endpoints)],
                self._base,
                subscriber,
                self._pace,
                self._turn,
                self._may,
            )
            task = asyncio.create_task(sender.run(one.id), name=f"hilum-subscription-{one.id}")
            self._senders[one.id] = (sender, task)

    async def _turn(self, one: Subscription, status: str, code: str) -> None:
        """Change the status, of the row and of the resource, in one write; nothing when a program changed it first."""
        try:
            stored = self._repository.get("Subscription", one.id)
        except NotFound:
            return
        if stored.deleted:
            return
        content = content_of(fhir.decode(stored.body), lambda _: ())
        elements = {**content.elements, "status": Raw(fhir.encode(status))}
        elements.pop("error", None)
        if code:
            elements["error"] = Raw(fhir.encode(code))
        change = Change(Verb.UPDATE, "Subscription", one.id, elements, if_versions=(stored.version,))
        now = time.time_ns() // 1000

        def then(_: Sequence[Written]) -> Aftermath:
            audit = AuditEvent(now, "engine", "subscription-status", f"Subscription/{one.id}", detail=status)
            return Aftermath([audit], also=also)

        def also(connection: Any) -> None:
            connection.execute(
                "UPDATE subscription SET status = ?, code = ? WHERE id = ? AND status = ?",
                (status, code, one.id, one.status),
            )

        try:
            await self._repository.write([change], then=then)
        except WriteRefused:
            log.info("a subscription changed meanwhile", subscription=one.id)

    async def _prune(self) -> None:
        before = time.time_ns() // 1000 - KEPT_SECONDS * 1_000_000
        sql = (
            "DELETE FROM subscription_event WHERE at < ? AND number <= "
            "(SELECT delivered FROM subscription s WHERE s.id = subscription_event.subscription)"
        )
        await self._store.write(lambda connection: connection.execute(sql, (before,)).fetchall())


def _client() -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        follow_redirects=False,
        trust_env=False,  # a proxy of the environment would read PHI
        headers={"User-Agent": "hilum"},
    )
