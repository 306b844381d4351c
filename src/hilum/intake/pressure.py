"""How much of a source is unanswered, and who waits until it is less."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Pressure"]


class Pressure:
    """Counts messages and bytes that came in and were not answered; waiters are called once half of it is gone."""

    __slots__ = ("_bytes", "_max_bytes", "_max_messages", "_messages", "_waiters", "partial")

    def __init__(self, messages: int, bytes_: int) -> None:
        self._max_messages, self._max_bytes = messages, bytes_
        self._messages = self._bytes = 0
        self._waiters: dict[object, Callable[[], None]] = {}
        self.partial = 0  # bytes kept of messages that are not complete

    @property
    def messages(self) -> int:
        """Messages without an answer."""
        return self._messages

    @property
    def is_high(self) -> bool:
        """Whether no more should be read."""
        return self._messages >= self._max_messages or self._bytes >= self._max_bytes

    @property
    def is_overfull(self) -> bool:
        """Whether incomplete messages alone take more than may be kept: waiting would not help."""
        return self.partial > self._max_bytes

    def add(self, size: int) -> None:
        """A message came in."""
        self._messages += 1
        self._bytes += size

    def release(self, size: int) -> None:
        """A message was answered, or nobody is there to be answered."""
        self._messages -= 1
        self._bytes -= size
        if self._waiters and self._is_low():
            waiters, self._waiters = self._waiters, {}
            for resume in waiters.values():
                resume()

    def wait(self, who: object, resume: Callable[[], None]) -> None:
        """Call `resume` once when it is low again."""
        self._waiters[who] = resume

    def forget(self, who: object) -> None:
        """Nobody waits there any more."""
        self._waiters.pop(who, None)

    def _is_low(self) -> bool:
        return self._messages * 2 <= self._max_messages and self._bytes * 2 <= self._max_bytes
