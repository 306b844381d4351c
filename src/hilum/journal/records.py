"""What the chain is made of: every stored thing as one canonical byte string, and the hash that ties groups together.

A group is what one commit added: messages, then duplicates, then audit rows. Its hash covers the hash of the group
before it, so that a changed, removed, added or moved record changes every hash after it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from hilum.model import AuditEvent, Envelope

__all__ = [
    "GENESIS",
    "DuplicateRecord",
    "Group",
    "MessageRecord",
    "audit_bytes",
    "body_hash",
    "content_bytes",
    "digest_of",
    "duplicate_bytes",
    "envelope_row",
    "group_records",
    "link",
    "message_bytes",
]

GENESIS = bytes(32)  # the hash before the first group
_FORMAT = b"hilum journal 1"
_encode = msgspec.msgpack.Encoder().encode


class MessageRecord(Struct, frozen=True):
    """A message with all that the chain covers. `partitions` is empty for a refused one."""

    seq: int
    partitions: tuple[int, ...]
    envelope: Envelope
    body: bytes


class DuplicateRecord(Struct, frozen=True):
    """An arrival that was a copy of message `of`."""

    at: int
    of: int


class Group(Struct, frozen=True):
    """What one commit added, with the hash that it claims. `signature` is empty where the head was not signed."""

    n: int
    at: int
    messages: tuple[MessageRecord, ...]
    duplicates: tuple[DuplicateRecord, ...]
    audits: tuple[AuditEvent, ...]
    hash: bytes
    public_key: bytes = b""
    signature: bytes = b""

    @property
    def rejected(self) -> int:
        """How many of its messages were refused."""
        return sum(not message.partitions for message in self.messages)


def message_bytes(seq: int, partitions: tuple[int, ...], content: bytes) -> bytes:
    """A message as the chain sees it; `content` is made by `content_bytes`."""
    return _encode(("message", seq, partitions)) + content


def content_bytes(envelope: Envelope, hashed: bytes) -> bytes:
    """Envelope and body hash, by position, so that a new field of Envelope cannot change old chains.

    Raises UnicodeEncodeError for text that is not text.
    """
    return _encode((*envelope_row(envelope), hashed))


def envelope_row(envelope: Envelope) -> tuple[object, ...]:
    """The envelope by position: what the chain and sealed segments hold."""
    return (
        envelope.source,
        envelope.received_at,
        envelope.sender,
        envelope.control_id,
        envelope.kind,
        envelope.key,
        envelope.other_key,
        envelope.sent_at,
        envelope.charset,
        envelope.disposition.value,
        envelope.codes,
    )


def duplicate_bytes(duplicate: DuplicateRecord) -> bytes:
    """A duplicate as the chain sees it."""
    return _encode(("duplicate", duplicate.at, duplicate.of))


def audit_bytes(event: AuditEvent) -> bytes:
    """An audit row as the chain sees it."""
    return _encode(("audit", event.at, event.actor, event.action, event.target, event.outcome, event.detail))


def group_records(group: Group) -> list[bytes]:
    """The canonical bytes of a group's records, in chain order, from what is stored."""
    return [
        *(message_bytes(m.seq, m.partitions, content_bytes(m.envelope, body_hash(m.body))) for m in group.messages),
        *(duplicate_bytes(duplicate) for duplicate in group.duplicates),
        *(audit_bytes(event) for event in group.audits),
    ]


def link(previous: bytes, n: int, at: int, records: Sequence[bytes]) -> bytes:
    """The hash of group `n` after the group whose hash is `previous` (SHA-256)."""
    chain = hashlib.sha256(_FORMAT)
    chain.update(previous)
    chain.update(_encode((n, at, len(records))))
    for record in records:
        chain.update(len(record).to_bytes(4, "big"))
        chain.update(record)
    return chain.digest()


def body_hash(body: bytes) -> bytes:
    """SHA-256 of the exact bytes."""
    return hashlib.sha256(body).digest()


def digest_of(hashed: bytes) -> int:
    """47 bits of a body hash: six bytes in SQLite; finds copies, never decides that two are equal."""
    return int.from_bytes(hashed[:6], "big") >> 1
