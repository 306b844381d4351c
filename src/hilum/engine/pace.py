"""Answers come first: while messages come in, workers take a part of the time and the rest is for the senders."""

from __future__ import annotations

import asyncio
import time

__all__ = ["Pace"]

SHARE_IN_A_BURST = 0.15  # of the time, for workers, while messages come in
SHARE_WHEN_LATE = 0.6  # the same once messages have waited for PATIENCE: then it is no burst
PATIENCE = 5.0  # seconds from receipt to its turn
QUIET = 0.01  # seconds without an arrival after which workers need not hold back


class Pace:
    """Shared by all workers of an engine; `thinking` lets one of them think at a time."""

    def __init__(self) -> None:
        self.thinking = asyncio.Lock()
        self._heard = 0.0

    def hear(self) -> None:
        """Messages have come in."""
        self._heard = time.monotonic()

    async def rest(self, worked: float, received_at: int) -> None:
        """After `worked` seconds on a message received then (microseconds), leave the loop to others.

        For one round while it is quiet; while messages come in, for so long that the workers' share is kept.
        """
        if time.monotonic() - self._heard >= QUIET:
            await asyncio.sleep(0)
            return
        is_late = time.time() - received_at / 1e6 > PATIENCE
        share = SHARE_WHEN_LATE if is_late else SHARE_IN_A_BURST
        await asyncio.sleep(worked * (1 / share - 1))
