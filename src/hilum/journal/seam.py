"""The seam of the journal: four verbs and what counting needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from msgspec import Struct

from hilum.model import Appended, AuditEvent, Entry, Envelope, Message

__all__ = ["Incoming", "Journal", "JournalCounts", "VerifyReport"]


class Incoming(Struct, frozen=True):
    """What is appended: the envelope and the exact bytes, and the partitions that must see it (home first)."""

    envelope: Envelope
    body: bytes
    partitions: tuple[int, ...]  # empty for a refused message: kept, never read by a worker
    once: bytes = b""  # names the arrival that it came in: an arrival that was appended before is not appended again


class JournalCounts(Struct, frozen=True):
    """Counted from the stored rows at the moment of asking."""

    received: int
    rejected: int
    duplicates: int  # arrivals that were copies of a stored message; not part of received
    waiting: int  # entries (barriers left out) after the positions given


class VerifyReport(Struct, frozen=True):
    """What a walk of the hash chain found. `ok` is never true when nothing could be checked against a head."""

    ok: bool
    messages: int
    heads: int
    signed_heads: int
    first_bad_seq: int = 0
    problem: str = ""


@runtime_checkable
class Journal(Protocol):
    """The append-only log. Durable means: `append` returned."""

    async def append(self, incoming: Sequence[Incoming]) -> list[Appended]:
        """Append all or none, in order; return after the commit is on the disk.

        Each message of an arrival that was appended by an earlier call is told as a copy, whatever it holds.
        """
        ...

    async def read(self, partition: int, after: int, limit: int) -> list[Entry]:
        """Entries of one partition with seq > after, in order."""
        ...

    def get(self, seq: int) -> Message:
        """One message, live or in a sealed segment. Raises NotFound."""
        ...

    async def audit(self, events: Sequence[AuditEvent]) -> None:
        """Append audit rows to the same chain; return after the commit."""
        ...

    async def verify(self) -> VerifyReport:
        """Walk the chain from the first row to the last head."""
        ...
