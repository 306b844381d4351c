"""Audit before bytes: a row in the journal's chain for every access, committed before the answer leaves.

Rows that come while others are being committed wait and are committed together: many accesses share one sync.
"""

from __future__ import annotations

import asyncio
import time

from msgspec import Struct

from hilum.app.api.outcomes import Problem
from hilum.app.tokens import microseconds
from hilum.journal import Journal
from hilum.model import AuditEvent
from hilum.store import Gathering

__all__ = ["Auditor"]

AUDIT_SECONDS = 5.0
STRANGERS_PER_SECOND = 50


class _Waiting(Struct):
    event: AuditEvent
    written: asyncio.Future[None]


class Auditor:
    """Writes audit rows. Those about callers without a proven token are bounded: a flood must not fill the disk."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._queue: list[_Waiting] = []
        self._gathering = Gathering()
        self._writing: asyncio.Task[None] | None = None
        self._second = 0
        self._written = 0
        self.unwritten = 0

    async def record(self, actor: str, action: str, target: str, outcome: str = "ok", detail: str = "") -> None:
        """Return once the row is on the disk. Raises Problem 503 `audit-unavailable`: then nothing may be answered."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(AuditEvent(microseconds(), actor, action, target, outcome, detail), loop.create_future())
        self._queue.append(waiting)
        if self._writing is None:
            self._writing = loop.create_task(self._write())
        try:
            await waiting.written
        except asyncio.CancelledError:
            raise
        except Exception as error:
            raise Problem(
                "audit-unavailable",
                503,
                "transient",
                "the access could not be recorded, so nothing was read; try again, and see /readyz",
                headers={"Retry-After": "5"},
            ) from error

    async def _write(self) -> None:
        """Write what waits, until nothing does."""
        try:
            while self._queue:
                await self._gathering.gather(self._queue)
                taken, self._queue = self._queue, []
                await self._write_group(taken)
                self._gathering.end(taken, self._queue)
        except asyncio.CancelledError:
            for one in self._queue:
                one.written.cancel()
            raise
        finally:
            self._writing = None

    async def _write_group(self, taken: list[_Waiting]) -> None:
        try:
            async with asyncio.timeout(AUDIT_SECONDS):
                await self._journal.audit([one.event for one in taken])
        except asyncio.CancelledError:
            for one in taken:
                one.written.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - everyone who waits hears it
            for one in taken:
                if not one.written.done():
                    one.written.set_exception(error)
        else:
            for one in taken:
                if not one.written.done():  # its caller gave up waiting
                    one.written.set_result(None)

    async def stranger(self, action: str, target: str, outcome: str, detail: str) -> None:
        """Record a caller who proved nothing. Raises Problem 429 `too-many-refusals` beyond the rows of this second.

        Those beyond are counted, and the count stands in the next row.
        """
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._written = second, 0
        if self._written >= STRANGERS_PER_SECOND:
            self.unwritten += 1
            raise Problem(
                "too-many-refusals",
                429,
                "throttled",
                "too many requests without a valid token; wait, and send a token",
                headers={"Retry-After": "1"},
            )
        self._written += 1
        more, self.unwritten = self.unwritten, 0
        await self.record("unknown", action, target, outcome, f"{detail} and {more} more" if more else detail)

    async def close(self) -> None:
        """Write the count that no row holds yet."""
        if self.unwritten:
            more, self.unwritten = self.unwritten, 0
            await self.record("unknown", "denied", "", "too-many-refusals", f"{more} more")
