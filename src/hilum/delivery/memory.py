"""A way out without a wire: what was sent can be looked at, and failures can be put in its way."""

from __future__ import annotations

from collections import deque

from hilum.errors import DeliveryError
from hilum.model import Finding, Outgoing, Receipt

__all__ = ["MemoryDestination"]


class MemoryDestination:
    """A `Destination`. `taken` holds records by idempotency key, in order; `attempts` every one that was sent."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.attempts: list[Outgoing] = []
        self.taken: dict[str, Outgoing] = {}
        self._failures: deque[DeliveryError] = deque()

    def fail_next(self, *errors: DeliveryError) -> None:
        """The next sends raise these, one each."""
        self._failures.extend(errors)

    async def open(self) -> None:
        """Nothing to get ready."""

    async def send(self, record: Outgoing) -> Receipt:
        """Take it, or raise what `fail_next` was given. The same idempotency key is taken once."""
        self.attempts.append(record)
        if self._failures:
            raise self._failures.popleft()
        self.taken.setdefault(record.idempotency_key, record)
        return Receipt(record.idempotency_key)

    async def close(self) -> None:
        """Nothing to let go of."""

    async def probe(self) -> list[Finding]:
        """Nothing can be wrong with memory."""
        return []
