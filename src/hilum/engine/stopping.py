"""The word to stop, and what goes on until it comes: work that the store refuses for now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from hilum.errors import Outcome, StoreError

__all__ = ["Stop", "Stopped"]

RETRY_FIRST, RETRY_LAST = 0.1, 5.0  # seconds between tries while the store cannot be used
SAY_AGAIN = 60.0  # seconds between two lines of log about the same trouble

T = TypeVar("T")
log = structlog.get_logger(__name__)


class Stopped(Exception):
    """The engine stops, and this has not come to its end. Nothing is lost: the store says where to go on."""


class Stop:
    """One for all parts of an engine. Whoever waits through it is woken, and hears `Stopped`."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._said: dict[str, float] = {}  # codes of the store's trouble, and when each was logged

    @property
    def is_set(self) -> bool:
        """Whether it is time."""
        return self._event.is_set()

    def set(self) -> None:
        """It is time."""
        self._event.set()

    async def sleep(self, seconds: float) -> None:
        """Raises Stopped, at once or as soon as it is time."""
        try:
            await asyncio.wait_for(self._event.wait(), seconds)
        except TimeoutError:
            return
        raise Stopped

    async def look(self, work: Callable[[], T]) -> T:
        """`insist` on something that does not wait."""

        async def looking() -> T:
            return work()

        return await self.insist(looking)

    async def insist(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do this, again and again while the store asks for patience (a full disk). Raises Stopped, StoreError."""
        delay, waited = RETRY_FIRST, False
        while True:
            try:
                done = await work()
            except StoreError as error:
                if error.outcome is not Outcome.RETRY:
                    raise
                self._say(error.code)
            else:
                if waited and self._said:
                    self._said.clear()
                    log.info("the store can be used again")
                return done
            await self.sleep(delay)
            delay, waited = min(delay * 2, RETRY_LAST), True

    def _say(self, code: str) -> None:
        """Once a minute, however many parts meet it."""
        now = asyncio.get_running_loop().time()
        if now - self._said.get(code, -SAY_AGAIN) >= SAY_AGAIN:
            self._said[code] = now
            log.warning("the store cannot be used, trying again until it can", code=code)
