"""Which partition a message belongs to, and how far each partition has come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import blake2b

from hilum.engine.stopping import Stopped
from hilum.model import Envelope

__all__ = ["PARTITIONS", "Progress", "partition_of", "partitions_of"]

PARTITIONS = 8  # written into every entry: changing it would let one key live in two partitions


def partition_of(key: str) -> int:
    """The home of a key: the same on every machine and in every release."""
    return blake2b(key.encode(), digest_size=2).digest()[0] % PARTITIONS


def partitions_of(envelope: Envelope) -> tuple[int, ...]:
    """Home first, then the partition of a merge's second key where it is another one.

    A message without a key goes to the serial lane of its source, so that what one sender says stays in order.
    """
    home = partition_of(envelope.key or f"source:{envelope.source}")
    if envelope.other_key:
        other = partition_of(envelope.other_key)
        if other != home:
            return (home, other)
    return (home,)


class Progress:
    """Where every partition stands, for merges: `committed` is done and saved, `reached` is done up to a barrier.

    A merge is journaled once, in its home, with a barrier in the partition of its other key. The home waits until the
    other partition has reached the barrier; the other one waits until the home has committed. Both follow the order of
    the journal, so two merges can never wait for each other.
    """

    def __init__(self, positions: dict[int, int]) -> None:
        self.committed = [positions.get(p, 0) for p in range(PARTITIONS)]
        self._reached = list(self.committed)
        self._changed = asyncio.Condition()
        self._stopped = False

    async def stop(self) -> None:
        """Nobody commits any more: whoever waits here hears Stopped."""
        async with self._changed:
            self._stopped = True
            self._changed.notify_all()

    async def commit(self, partition: int, seq: int) -> None:
        """Everything of this partition up to and with `seq` is saved."""
        async with self._changed:
            self.committed[partition] = seq
            self._reached[partition] = max(self._reached[partition], seq)
            self._changed.notify_all()

    async def reach(self, partition: int, seq: int) -> None:
        """This partition stands before the barrier `seq`: all that came earlier is saved."""
        async with self._changed:
            self._reached[partition] = max(self._reached[partition], seq)
            self._changed.notify_all()

    async def until_reached(self, partition: int, seq: int) -> None:
        """Wait until a partition stands at the barrier `seq`, or past it. Raises Stopped."""
        await self._until(lambda: self._reached[partition] >= seq)

    async def until_committed(self, partition: int, seq: int) -> None:
        """Wait until a partition has saved `seq`. Raises Stopped."""
        await self._until(lambda: self.committed[partition] >= seq)

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: holds() or self._stopped)
        if not holds():
            raise Stopped
