"""A transport that sends what was written in one turn of the loop by one call: a head and its body in one packet."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["Joined"]

MOST = 32_768  # bytes that are held back; a stream passes, so that whoever writes it hears when to wait


class Joined(asyncio.Transport):
    """Around another transport, for as long as that lives."""

    def __init__(self, under: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._under, self._loop = under, loop
        self._parts: list[Any] = []
        self._size = 0
        # what is not about writing goes straight through
        self.get_extra_info = under.get_extra_info  # type: ignore[method-assign]
        self.is_closing = under.is_closing  # type: ignore[method-assign]
        self.pause_reading = under.pause_reading  # type: ignore[method-assign]
        self.resume_reading = under.resume_reading  # type: ignore[method-assign]
        self.set_protocol = under.set_protocol  # type: ignore[method-assign]
        self.abort = under.abort  # type: ignore[method-assign]

    def write(self, data: Any) -> None:
        """Sent at the end of this turn of the loop, or when much has come together."""
        if not self._parts:
            self._loop.call_soon(self._send)
        self._parts.append(data)
        self._size += len(data)
        if self._size > MOST:
            self._send()

    def close(self) -> None:
        """Send what was written, then close."""
        self._send()
        self._under.close()

    def _send(self) -> None:
        parts, self._parts, self._size = self._parts, [], 0
        if parts and not self._under.is_closing():
            self._under.write(b"".join(parts))
