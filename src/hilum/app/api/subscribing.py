"""`$status` and `$events` of subscriptions (Subscriptions Backport IG). Each program sees its own only."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from hilum.app.api.asking import asked_of
from hilum.app.api.exchange import Call, Handler, Reply
from hilum.app.api.negotiation import check_format
from hilum.app.api.outcomes import Problem
from hilum.app.api.query import Pairs
from hilum.app.subscriptions.notices import notification, status_bundle
from hilum.app.subscriptions.reading import CONTENTS
from hilum.safeguards import Interaction

if TYPE_CHECKING:  # it imports from this package
    from hilum.app.subscriptions.rows import Subscription
    from hilum.app.subscriptions.service import Subscriptions

__all__ = ["Subscribing"]

MOST_EVENTS = 500  # of one answer


class Subscribing:
    """Answers what programs ask about their subscriptions."""

    def __init__(self, subscriptions: Subscriptions, base: str) -> None:
        self._subscriptions, self._base = subscriptions, base

    def addresses(self) -> Mapping[str, Mapping[str, Handler]]:
        """Paths of routes, with what they take."""
        return {
            "/fhir/Subscription/$status": {"GET": self.status_of_all, "POST": self.status_of_all},
            "/fhir/Subscription/{id:fhirid}/$status": {"GET": self.status, "POST": self.status},
            "/fhir/Subscription/{id:fhirid}/$events": {"GET": self.events, "POST": self.events},
        }

    async def status_of_all(self, call: Call) -> Reply:
        """All of the caller's, or those that `id` and `status` name."""
        given = await self._given(call)
        ids = [one for name, value in given for one in value.split(",") if name == "id"]
        states = [one for name, value in given for one in value.split(",") if name == "status"]
        now = call.sight_for(Interaction.SEARCH)
        mine = [one for one in self._subscriptions.of(call.actor) if now.covers(one.limits)]
        found = [one for one in mine if not ids or one.id in ids]
        return Reply(200, status_bundle(self._base, [one for one in found if not states or one.status in states]))

    async def status(self, call: Call) -> Reply:
        """How one stands."""
        return Reply(200, status_bundle(self._base, [(await self._one(call, "$status"))[0]]))

    async def events(self, call: Call) -> Reply:
        """Its events again, from one number up to another."""
        one, given = await self._one(call, "$events")
        first, last = (_number(given, name) for name in ("eventsSinceNumber", "eventsUntilNumber"))
        content = given.get("content", one.asked.content)
        if content not in CONTENTS:
            text = f"content is one of {', '.join(CONTENTS)}"
            raise Problem("parameter-invalid", 400, "value", text, parameter="content")
        if CONTENTS.index(content) > CONTENTS.index(one.asked.content):
            text = "this subscription was not made for so much content: ask for less, or change it"
            raise Problem("parameter-invalid", 400, "value", text, parameter="content")
        found = self._subscriptions.events(one, max(0, first - 1), last or one.number, MOST_EVENTS)
        call.detail = f"events={len(found)}"
        resources = {}
        if content == "full-resource":
            read = await asyncio.to_thread(lambda: [self._subscriptions.version(event) for event in found])
            pairs = zip(found, read, strict=True)
            resources = {event.number: stored for event, stored in pairs if stored is not None}
        return Reply(200, notification(self._base, one, "query-event", found, resources, content))

    async def _one(self, call: Call, operation: str) -> tuple[Subscription, dict[str, str]]:
        given = dict(await self._given(call))
        found = self._subscriptions.of(call.actor, call.params["id"])
        if not found:
            raise Problem("resource-unknown", 404, "not-found", "this token has no Subscription with this id")
        call.target = f"Subscription/{found[0].id}/{operation}"
        if not call.sight_for(Interaction.SEARCH).covers(found[0].limits):
            text = "this token may see less than the one that subscribed: ask with the same scopes"
            raise Problem("subscription-scope-narrower", 403, "forbidden", text)
        return found[0], given

    async def _given(self, call: Call) -> Pairs:
        call.target = "Subscription"
        given = await asked_of(call)
        check_format(call.header("accept"), dict(given).get("_format"))
        return given


def _number(given: Mapping[str, str], name: str) -> int:
    value = given.get(name, "0")
    if not value.isascii() or not value.isdigit() or len(value) > 15:
        raise Problem("parameter-invalid", 400, "value", f"{name} is the number of an event", parameter=name)
    return int(value)
