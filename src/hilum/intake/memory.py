"""A way in without a wire: what a test or a demo feeds is what is read."""

from __future__ import annotations

import asyncio
import time

from hilum.model import Ack, Arrival, Finding

__all__ = ["MemorySource"]


class MemorySource:
    """A `Source` that is fed by `feed`. `answers` holds every answer given, in order: (body, ack)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.answers: list[tuple[bytes, Ack]] = []
        self._arrivals: list[Arrival] = []
        self._arrived = asyncio.Event()
        self._closed = False

    def feed(
        self, body: bytes, *, fault: Finding | None = None, peer: str = "memory", codes: tuple[str, ...] = ()
    ) -> asyncio.Future[Ack]:
        """One message comes in; the future is its first answer."""
        answer: asyncio.Future[Ack] = asyncio.get_running_loop().create_future()

        def give(ack: Ack) -> None:
            self.answers.append((body, ack))
            if not answer.done():
                answer.set_result(ack)

        self._arrivals.append(Arrival(self.name, peer, time.time_ns() // 1000, body, give, fault, codes))
        self._arrived.set()
        return answer

    async def open(self) -> None:
        """Take what is fed."""
        self._closed = False

    async def read(self) -> list[Arrival]:
        """All that was fed since the last read."""
        while not self._arrivals:
            if self._closed:
                return []
            self._arrived.clear()
            await self._arrived.wait()
        arrivals, self._arrivals = self._arrivals, []
        return arrivals

    async def close(self) -> None:
        """What was fed before can still be read and answered."""
        self._closed = True
        self._arrived.set()

    async def probe(self) -> list[Finding]:
        """Nothing can be wrong with memory."""
        return []
