"""The seam of a way out: open, send, close, probe."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from hilum.model import Finding, Outgoing, Receipt

__all__ = ["Destination"]


@runtime_checkable
class Destination(Protocol):
    """A configured way out. It sends one record and says what came of it; when to try again is the engine's matter."""

    name: str

    async def open(self) -> None:
        """Get ready; connecting may wait until the first send."""
        ...

    async def send(self, record: Outgoing) -> Receipt:
        """Return when the other side has taken the record.

        Raises DeliveryError with the outcome retry, hold or dead_letter.
        """
        ...

    async def close(self) -> None:
        """Let go of the connection."""
        ...

    async def probe(self) -> list[Finding]:
        """Say what would stop this destination from working here and now."""
        ...
