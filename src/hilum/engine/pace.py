"""Answers come first: while many messages come in, applying takes a small part of the time and the senders the rest."""

from __future__ import annotations

import asyncio
import math
import time

__all__ = ["Pace"]

APPLYING = 0.0008  # seconds of this thread that a message takes to be applied (bench/repository)
MEMORY = 0.25  # seconds over which the rate of arrivals is averaged
BURST = 600.0  # messages per second from which on it is a burst
SHARE_IN_A_BURST = 0.04  # of the time, for applying
SHARE_WHEN_LATE = 0.7  # at least, once messages have waited for PATIENCE: then it is no burst
PATIENCE = 8.0  # seconds from receipt to its turn
LOOK = 0.01  # seconds after which somebody who waits looks again


class Pace:
    """Shared by all workers of an engine: says when the next of them may apply what it has.

    The share of applying falls with the rate of arrivals. A feed that comes steadily leaves it most of the time;
    senders that send as fast as they are answered push it back, for as long as a burst lasts.
    """

    def __init__(self) -> None:
        self._rate = 0.0  # messages per second, as of _heard
        self._heard = 0.0
        self._free_at = 0.0  # when the batch that went last is done, if it had all the time
        self._cost = 0.0  # seconds that it takes

    def hear(self, messages: int) -> None:
        """So many messages have come in."""
        self._rate = self._rate_now() + messages / MEMORY
        self._heard = time.monotonic()

    async def until_due(self, messages: int, received_at: int) -> None:
        """Wait for the turn of so many messages, the first received then (microseconds)."""
        while (wait := self._due(received_at) - time.monotonic()) > 0:  # noqa: ASYNC110 - the rate changes meanwhile
            await asyncio.sleep(min(wait, LOOK))
        self._cost = messages * APPLYING
        self._free_at = time.monotonic() + self._cost

    def _due(self, received_at: int) -> float:
        """When the batch before has been paid for: at once while nothing comes in."""
        share = max(SHARE_IN_A_BURST, 1 - self._rate_now() / BURST)
        if time.time() - received_at / 1e6 > PATIENCE:
            share = max(share, SHARE_WHEN_LATE)
        rest = self._cost * (1 / share - 1)
        return self._free_at + rest if rest > self._cost / 8 else 0.0

    def _rate_now(self) -> float:
        return self._rate * math.exp((self._heard - time.monotonic()) / MEMORY)
