"""The seam of a way in: open, read, close, probe."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from hilum.model import Arrival, Finding

__all__ = ["Source"]


@runtime_checkable
class Source(Protocol):
    """A configured way in. Back-pressure is the reader's: while nobody reads, the source stops taking bytes."""

    name: str

    async def open(self) -> None:
        """Start listening or watching. Raises HilumError when it cannot."""
        ...

    async def read(self) -> list[Arrival]:
        """Wait for at least one arrival; return all that are there. Returns [] once closed and drained."""
        ...

    async def close(self) -> None:
        """Take no more; arrivals already read may still be answered."""
        ...

    async def probe(self) -> list[Finding]:
        """Say what would stop this source from working here and now, without starting it."""
        ...
