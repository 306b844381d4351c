"""Audit before bytes: a row in the journal's chain for every access, committed before the answer leaves."""

from __future__ import annotations

import asyncio
import time

from hilum.app.api.outcomes import Problem
from hilum.app.tokens import microseconds
from hilum.journal import Journal
from hilum.model import AuditEvent

__all__ = ["Auditor"]

AUDIT_SECONDS = 5.0
STRANGERS_PER_SECOND = 50


class Auditor:
    """Writes audit rows. Those about callers without a proven token are bounded: a flood must not fill the disk."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._second = 0
        self._written = 0
        self.unwritten = 0

    async def record(self, actor: str, action: str, target: str, outcome: str = "ok", detail: str = "") -> None:
        """Return once the row is on the disk. Raises Problem 503 `audit-unavailable`: then nothing may be answered."""
        event = AuditEvent(microseconds(), actor, action, target, outcome, detail)
        try:
            async with asyncio.timeout(AUDIT_SECONDS):
                await self._journal.audit([event])
        except Exception as error:
            raise Problem(
                "audit-unavailable",
                503,
                "transient",
                "the access could not be recorded, so nothing was read; try again, and see /readyz",
                headers={"Retry-After": "5"},
            ) from error

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
