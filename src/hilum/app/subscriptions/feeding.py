"""From commits to events: what was committed since the last look, in order, and who is to hear of it.

Events get their numbers and the position moves in one transaction: a kill neither loses an event nor numbers it twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hilum.app.subscriptions.matching import Changed, concerns
from hilum.app.subscriptions.rows import Event, Subscription, add_events, all_subscriptions
from hilum.app.subscriptions.settings import Topic
from hilum.errors import StoreError
from hilum.repository import Feed, Step
from hilum.store import Store, fault

__all__ = ["Feeder"]

STEPS = 200  # changes that are looked at between two commits
SPAN = 20_000  # commits that are looked at between two commits, when little of them matters

fault.declare("subscriptions.after_events", "events are on the disk with their numbers, nobody was told")


class Feeder:
    """Reads the sequence of commits. Its reads are for a thread; its writes are awaited."""

    def __init__(self, store: Store, topics: Mapping[str, Topic]) -> None:
        self._store, self._topics = store, topics
        self._feed = Feed(store)
        self._types = sorted({trigger.type for topic in topics.values() for trigger in topic.changes})

    def begin(self) -> None:
        """The first time: from here on."""
        now = self._feed.now().tick

        def job(connection: Any) -> None:
            if connection.execute("SELECT count(*) FROM subscription_position").get == 0:
                connection.execute("INSERT INTO subscription_position VALUES (?)", (now,))

        self._store.write_now(job)

    def position(self) -> int:
        """The commit that all were looked through up to."""
        found = self._store.read(lambda c: c.execute("SELECT tick FROM subscription_position").get)
        assert isinstance(found, int)
        return found

    def is_behind(self) -> bool:
        """Whether there are commits that were not looked at."""
        return self.behind() > 0

    def behind(self) -> int:
        """How many commits were not looked at."""
        return self._feed.now().tick - self.position()

    def look(self) -> tuple[int, int, dict[str, list[Event]]] | None:
        """The next part of the commits: (position before, after, events by subscription without their numbers).

        None where nobody listens; the position then stays, and the first who subscribes moves it.
        """
        before = self.position()
        subscriptions = [one for one in self._store.read(all_subscriptions) if one.status != "off"]
        last = self._feed.now().tick
        if not subscriptions:
            return None
        upto = min(last, before + SPAN)
        steps = self._feed.steps(self._types, before, upto)
        if len(steps) > STEPS:  # whole commits only: the position is one
            upto = steps[STEPS - 1].tick
            steps = [one for one in steps if one.tick <= upto]
        return before, upto, self._events(subscriptions, steps)

    async def commit(self, before: int, after: int, events: Mapping[str, Sequence[Event]]) -> None:
        """Number and keep events, and move on. Raises StoreError `subscriptions-moved` when another process did."""

        def job(connection: Any) -> None:
            connection.execute("UPDATE subscription_position SET tick = ? WHERE tick = ?", (after, before))
            if connection.changes() != 1:
                text = "another process looks for events in this store: end it"
                raise StoreError(text, code="subscriptions-moved")
            for id_, some in events.items():
                add_events(connection, id_, list(some))

        await self._store.write(job)
        if events:
            fault.reach("subscriptions.after_events")

    def version(self, event: Event) -> Any:
        """The version that an event tells of."""
        return self._feed.version(event.type, event.rid, event.version)

    def _events(self, subscriptions: Sequence[Subscription], steps: Sequence[Step]) -> dict[str, list[Event]]:
        found: dict[str, list[Event]] = {}
        for step in steps:
            mine = [one for one in subscriptions if step.tick > one.since]
            changed = self._changed(step) if mine else None
            if changed is None:
                continue
            after = changed.after
            for one in mine:
                topic = self._topics.get(one.asked.topic)
                if topic is not None and concerns(one, topic, changed):
                    event = Event(0, after.updated, changed.change, step.type, after.id, step.rid, step.version)
                    found.setdefault(one.id, []).append(event)
        return found

    def _changed(self, step: Step) -> Changed | None:
        after = self._feed.version(step.type, step.rid, step.version)
        if after is None:
            return None
        before = self._feed.version(step.type, step.rid, step.version - 1) if step.version > 1 else None
        return Changed(None if before is None or before.deleted else before, after)
