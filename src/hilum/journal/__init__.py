"""The append-only log of messages and audit rows: partitioned, hash-chained, signed, sealed."""

from hilum.journal.found import Found, MessagePage, MessageQuery, Rate, RouteCount
from hilum.journal.memory import MemoryJournal
from hilum.journal.sealing import Sealed
from hilum.journal.seam import Incoming, Journal, JournalCounts, VerifyReport
from hilum.journal.signing import SignedHead, head_from_bytes, head_to_bytes
from hilum.journal.sqlite import SCHEMA, SqliteJournal

__all__ = [
    "SCHEMA",
    "Found",
    "Incoming",
    "Journal",
    "JournalCounts",
    "MemoryJournal",
    "MessagePage",
    "MessageQuery",
    "Rate",
    "RouteCount",
    "Sealed",
    "SignedHead",
    "SqliteJournal",
    "VerifyReport",
    "head_from_bytes",
    "head_to_bytes",
]
