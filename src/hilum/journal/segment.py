"""A sealed segment: one file with the groups that left the live tables, compressed, encrypted and signed.

    HILUMSEG1\\n | length, header (JSON) | blocks | index | trailer

Blocks and index are zstd in AES-256-GCM (NIST SP 800-38D); the nonce is the block's number, the key is derived for this
file alone, and the header is authenticated with every block. The trailer holds where the index is, the SHA-256 of all
before it, and an Ed25519 signature over that hash.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from hilum.errors import StoreCorrupt
from hilum.journal.records import DuplicateRecord, Group, MessageRecord, envelope_row
from hilum.journal.signing import Signer, is_signed, statement
from hilum.model import AuditEvent, Disposition, Envelope

__all__ = ["SegmentHeader", "SegmentReader", "write_segment"]

MAGIC = b"HILUMSEG1\n"
TRAILER = 8 + 4 + 32 + 64
BLOCK_BYTES = 128 * 1024
LEVEL = 9
LARGEST = 1 << 31

DeriveKey = Callable[[str], bytes]


class SegmentHeader(Struct, frozen=True):
    """What may be read without the key: numbers, never content."""

    n: int
    first_head: int
    last_head: int
    start_hash: bytes
    end_hash: bytes
    public_key: bytes
    salt: bytes


class _Block(Struct, frozen=True, array_like=True):
    first_seq: int  # 0 when it holds no message
    last_seq: int
    offset: int
    length: int


def write_segment(
    path: Path, header: SegmentHeader, groups: Iterable[Group], derive: DeriveKey, signer: Signer
) -> bytes:
    """Write the file whole and on the disk, or not at all. Returns the hash that its signature covers."""
    draft = path.with_suffix(".new")
    handle = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w+b") as file:
        hashed = _write(file, header, groups, derive, signer)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return hashed


def _write(file: BinaryIO, header: SegmentHeader, groups: Iterable[Group], derive: DeriveKey, signer: Signer) -> bytes:
    head = msgspec.json.encode(header)
    output = _Hashed(file)
    output.write(MAGIC + len(head).to_bytes(4, "big") + head)
    sealer = _Cipher(derive, head, header.salt)
    index: list[_Block] = []
    for number, (block, content) in enumerate(_blocks(groups)):
        sealed = sealer.seal(number, content)
        index.append(_Block(block[0], block[1], output.size, len(sealed)))
        output.write(sealed)
    sealed = sealer.seal(len(index), msgspec.msgpack.encode(index))
    where = output.size
    output.write(sealed + where.to_bytes(8, "big") + len(index).to_bytes(4, "big"))
    hashed = output.hash.digest()
    file.write(hashed + signer.sign(statement("segment", header.n, hashed)))
    return hashed


class _Hashed:
    """Counts and hashes what goes through."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self.hash.update(data)
        self.size += len(data)


class _Cipher:
    def __init__(self, derive: DeriveKey, head: bytes, salt: bytes) -> None:
        self._key = AESGCM(derive(f"journal segment {salt.hex()}"))
        self._head = hashlib.sha256(head).digest()

    def seal(self, number: int, content: bytes) -> bytes:
        packed = zstandard.ZstdCompressor(level=LEVEL).compress(content)
        return self._key.encrypt(number.to_bytes(12, "big"), packed, self._head)

    def open(self, number: int, sealed: bytes) -> bytes:
        packed = self._key.decrypt(number.to_bytes(12, "big"), sealed, self._head)
        return zstandard.ZstdDecompressor().decompress(packed, max_output_size=LARGEST)


def _blocks(groups: Iterable[Group]) -> Iterator[tuple[tuple[int, int], bytes]]:
    """((first seq, last seq), content) of each block."""
    waiting: list[Group] = []
    size = 0
    for group in groups:
        waiting.append(group)
        size += 200 + sum(200 + len(message.body) for message in group.messages)
        if size >= BLOCK_BYTES:
            yield _block(waiting)
            waiting, size = [], 0
    if waiting:
        yield _block(waiting)


def _block(groups: list[Group]) -> tuple[tuple[int, int], bytes]:
    seqs = [message.seq for group in groups for message in group.messages]
    content = msgspec.msgpack.encode([_group_row(group) for group in groups])
    return (seqs[0], seqs[-1]) if seqs else (0, 0), content


def _group_row(group: Group) -> tuple[Any, ...]:
    return (
        group.n,
        group.at,
        [(m.seq, m.partitions, envelope_row(m.envelope), m.body) for m in group.messages],
        [(duplicate.at, duplicate.of) for duplicate in group.duplicates],
        [(a.at, a.actor, a.action, a.target, a.outcome, a.detail) for a in group.audits],
        group.hash,
        group.public_key,
        group.signature,
    )


def _group_from(row: Any) -> Group:
    n, at, messages, duplicates, audits, hashed, public_key, signature = row
    return Group(
        n=n,
        at=at,
        messages=tuple(
            MessageRecord(seq, tuple(partitions), _envelope_from(envelope), body)
            for seq, partitions, envelope, body in messages
        ),
        duplicates=tuple(DuplicateRecord(*duplicate) for duplicate in duplicates),
        audits=tuple(AuditEvent(*event) for event in audits),
        hash=hashed,
        public_key=public_key,
        signature=signature,
    )


def _envelope_from(row: Any) -> Envelope:
    *fields, disposition, codes = row
    source, received_at, sender, control_id, kind, key, other_key, sent_at, charset = fields
    return Envelope(
        source=source,
        received_at=received_at,
        sender=sender,
        control_id=control_id,
        kind=kind,
        key=key,
        other_key=other_key,
        sent_at=sent_at,
        charset=charset,
        disposition=Disposition(disposition),
        codes=tuple(codes),
    )


class SegmentReader:
    """Reads one file. Raises StoreCorrupt `journal-segment-damaged` when it is not what was written."""

    def __init__(self, path: Path, derive: DeriveKey) -> None:
        self._name = path.name
        self._lock = threading.Lock()
        self._newest: tuple[int, list[Group]] | None = None
        try:
            self._content = path.read_bytes()
            self.header = self._read_header()
            self._cipher = _Cipher(derive, self._head, self.header.salt)
            self._index = self._read_index()
        except (OSError, msgspec.DecodeError, InvalidTag, zstandard.ZstdError, ValueError):
            raise self._damaged() from None

    def _damaged(self) -> StoreCorrupt:
        return StoreCorrupt(
            f"the sealed file {self._name} is not there or is not what was written: put its copy back",
            code="journal-segment-damaged",
        )

    def _read_header(self) -> SegmentHeader:
        start = len(MAGIC) + 4
        if self._content[: len(MAGIC)] != MAGIC:
            raise ValueError
        length = int.from_bytes(self._content[len(MAGIC) : start], "big")
        self._head = self._content[start : start + length]
        return msgspec.json.decode(self._head, type=SegmentHeader)

    def _read_index(self) -> list[_Block]:
        trailer = self._content[-TRAILER:]
        where, blocks = int.from_bytes(trailer[:8], "big"), int.from_bytes(trailer[8:12], "big")
        sealed = self._content[where:-TRAILER]
        return msgspec.msgpack.decode(self._cipher.open(blocks, sealed), type=list[_Block])

    def check_signature(self, public_key: bytes) -> bytes:
        """The hash of the file, proven to be signed by this key."""
        hashed, signature = self._content[-96:-64], self._content[-64:]
        signed = is_signed(public_key, signature, statement("segment", self.header.n, hashed))
        if hashlib.sha256(self._content[:-96]).digest() != hashed or not signed:
            raise self._damaged()
        return hashed

    def groups(self) -> Iterator[Group]:
        """All groups in order."""
        for number in range(len(self._index)):
            yield from self._block(number)

    def body(self, seq: int) -> bytes:
        """The exact bytes of a message."""
        for number, block in enumerate(self._index):
            if block.first_seq <= seq <= block.last_seq:
                for group in self._block(number):
                    for message in group.messages:
                        if message.seq == seq:
                            return message.body
        raise self._damaged()

    def _block(self, number: int) -> list[Group]:
        with self._lock:
            if self._newest is not None and self._newest[0] == number:
                return self._newest[1]
        block = self._index[number]
        sealed = self._content[block.offset : block.offset + block.length]
        try:
            groups = [_group_from(row) for row in msgspec.msgpack.decode(self._cipher.open(number, sealed))]
        except (InvalidTag, zstandard.ZstdError, msgspec.DecodeError, ValueError):
            raise self._damaged() from None
        with self._lock:
            self._newest = (number, groups)
        return groups


def new_salt() -> bytes:
    """16 random bytes that make the key of one file its own."""
    return secrets.token_bytes(16)
