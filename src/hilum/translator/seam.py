"""Who turns messages into effects: in this process, or in others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hilum.model import Effects, Held, Message
from hilum.translator.translate import Translator

__all__ = ["InProcess", "Turner"]


class Turner(Protocol):
    """Turns messages, in the order given. `batch`: how many it likes to get at once."""

    @property
    def batch(self) -> int: ...

    async def start(self) -> None:
        """Make ready to take messages."""
        ...

    async def turn(self, lane: int, messages: Sequence[Message]) -> list[Effects | Held]:
        """One answer for each message. Messages of one `lane` are best turned in one place: values are remembered."""
        ...

    async def close(self) -> None:
        """Let go of everything; nothing is asked afterwards."""
        ...


class InProcess:
    """Here and now, one message at a time: for tests, and where a second process is not wanted."""

    batch = 1

    def __init__(self, translator: Translator) -> None:
        self._translator = translator

    async def start(self) -> None:
        """Nothing to do."""

    async def turn(self, lane: int, messages: Sequence[Message]) -> list[Effects | Held]:  # noqa: ARG002 - the seam's
        """In the calling thread."""
        return [self._translator.turn(message) for message in messages]

    async def close(self) -> None:
        """Nothing to do."""
