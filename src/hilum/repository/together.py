"""Creates and updates that wait at the same time are one transaction: one plan, one chunk, one group of the journal.

What each needs for itself (numbers looked up, rows sorted, a head) then is done once for all. It changes nothing for
their callers: each hears of its own resource, and when one is refused, each is written alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from msgspec import Struct

from hilum.errors import StoreError
from hilum.store import Gathering

from .writes import Aftermath, Change, Verb, Written

__all__ = ["Then", "Together", "can_share"]

MOST = 64  # in one transaction

Then = Callable[[Sequence[Written]], Aftermath]
Write = Callable[[Sequence[Change], Then], Awaitable[list[Written]]]


def can_share(changes: Sequence[Change]) -> bool:
    """Whether this is one create or update that depends on nothing.

    A Subscription does: on what is committed before it. One with a precondition is refused too often: the others of
    its group would be written twice.
    """
    return len(changes) == 1 and changes[0].verb is not Verb.DELETE and _is_plain(changes[0])


def _is_plain(change: Change) -> bool:
    has_condition = change.where is not None or change.if_versions is not None or change.if_present or change.if_absent
    return not has_condition and not change.names and change.type != "Subscription"


class _Waiting(Struct):
    change: Change
    then: Then
    done: asyncio.Future[list[Written]]


class Together:
    """Over `write`, which carries out changes in one transaction."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._queue: list[_Waiting] = []
        self._gathering = Gathering()
        self._writing: asyncio.Task[None] | None = None

    async def write(self, change: Change, then: Then) -> list[Written]:
        """What came of it. Raises what `write` raises for it alone."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(change, then, loop.create_future())
        self._queue.append(waiting)
        if self._writing is None:
            self._writing = loop.create_task(self._drain())
        return await waiting.done

    async def _drain(self) -> None:
        """While a group is committed, the next one gathers."""
        taken: list[_Waiting] = []
        try:
            while self._queue:
                await self._gathering.gather(self._queue)
                count = _apart(self._queue)
                taken, self._queue = self._queue[:count], self._queue[count:]
                await self._round(taken)
                self._gathering.end(taken, self._queue)
        except asyncio.CancelledError:
            for one in [*taken, *self._queue]:
                one.done.cancel()
            raise
        finally:
            self._writing = None

    async def _round(self, group: Sequence[_Waiting]) -> None:
        """All of the group, or when one is refused each alone, so that it fails alone."""
        try:
            written = await self._write([one.change for one in group], lambda all_: _joined(group, all_))
        except Exception as error:  # noqa: BLE001 - it is given to the caller
            if len(group) > 1 and not isinstance(error, StoreError):
                for one in group:
                    await self._round([one])
                return
            for one in group:
                if not one.done.done():
                    one.done.set_exception(error)
        else:
            for one, its in zip(group, written, strict=True):
                if not one.done.done():
                    one.done.set_result([its])


def _apart(queue: Sequence[_Waiting]) -> int:
    """How many from the start on are about different resources: no transaction changes one twice."""
    seen: set[tuple[str, str]] = set()
    for at, one in enumerate(queue[:MOST]):
        record = (one.change.type, one.change.id)
        if record in seen:
            return at
        seen.add(record)
    return min(len(queue), MOST)


def _joined(group: Sequence[_Waiting], written: Sequence[Written]) -> Aftermath:
    """What follows from each of them, committed with all of them."""
    parts = [one.then([its]) for one, its in zip(group, written, strict=True)]
    more = [part.also for part in parts if part.also is not None]

    def also(connection: Any) -> None:
        for one in more:
            one(connection)

    return Aftermath(
        [event for part in parts for event in part.audits],
        [item for part in parts for item in part.outgoing],
        also if more else None,
    )
