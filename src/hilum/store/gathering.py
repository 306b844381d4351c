"""Who waits for the same commit: as many as come together anyway share one, and one change of thread.

A commit runs on the writer thread, and two threads share one interpreter: when the event loop has nothing to do
meanwhile, neither waits for the other. So a group is not begun while those who took part in the last one are still on
their way, each a few turns of the event loop after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sized
from time import monotonic

__all__ = ["Gathering"]

MOST = 64  # nobody waits for more than these
QUIET_TURNS = 8  # of the event loop, some microseconds each: after so many without anybody new, nobody is waited for
QUIET_SECONDS = 0.005  # the same, where other work makes the turns long


class Gathering:
    """Around one queue. Whoever is alone waits for nobody."""

    def __init__(self) -> None:
        self._expected = 0

    async def gather(self, queue: Sized) -> None:
        """Return once all who were there last time are in `queue`, or nobody came for some turns of the loop."""
        seen, quiet, last = len(queue), 0, monotonic()
        while len(queue) < self._expected and quiet < QUIET_TURNS and monotonic() - last < QUIET_SECONDS:
            await asyncio.sleep(0)
            quiet += 1
            if len(queue) > seen:
                seen, quiet, last = len(queue), 0, monotonic()

    def end(self, taken: Sized, queue: Sized) -> None:
        """A group was committed, and so many wait already: all of these may come again together."""
        self._expected = min(len(taken) + len(queue), MOST)
