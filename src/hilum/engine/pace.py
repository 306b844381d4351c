"""Answers come first: while messages come in, applying takes a part of the time and the rest is for the senders."""

from __future__ import annotations

import asyncio
import time

__all__ = ["Pace"]

APPLYING = 0.0006  # seconds of this thread that a message takes to be applied (bench/repository)
SHARE_IN_A_BURST = 0.15  # of the time, for applying, while messages come in
SHARE_WHEN_LATE = 0.7  # the same once messages have waited for PATIENCE: then it is no burst
PATIENCE = 3.0  # seconds from receipt to its turn
QUIET = 0.01  # seconds without an arrival after which nobody needs to hold back


class Pace:
    """Shared by all workers of an engine: says when the next of them may apply what it has."""

    def __init__(self) -> None:
        self._heard = 0.0
        self._free_at = 0.0

    def hear(self) -> None:
        """Messages have come in."""
        self._heard = time.monotonic()

    async def until_due(self, messages: int, received_at: int) -> None:
        """Wait for the turn of so many messages, the first received then (microseconds).

        At once while it is quiet; while messages come in, when the share of those before has passed.
        """
        now = time.monotonic()
        if now - self._heard >= QUIET:
            self._free_at = now
            return
        is_late = time.time() - received_at / 1e6 > PATIENCE
        begin = max(now, self._free_at)
        self._free_at = begin + messages * APPLYING / (SHARE_WHEN_LATE if is_late else SHARE_IN_A_BURST)
        while (wait := begin - time.monotonic()) > 0 and time.monotonic() - self._heard < QUIET:  # noqa: ASYNC110
            await asyncio.sleep(min(wait, QUIET))
