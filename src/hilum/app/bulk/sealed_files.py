"""Files of PHI that are encrypted piece by piece, written once from front to back, and read as a stream.

Each piece is its length (4 bytes), a nonce (12) and AES-256-GCM of at most 64 KiB, bound to the file's name and the
number of the piece: a piece that was changed, moved or put into another file does not open.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from hilum.errors import StoreCorrupt

__all__ = ["SealedSize", "SealedWriter", "read_sealed"]

PIECE = 64 * 1024
_NONCE = 12
_LENGTH = struct.Struct(">I")


class SealedSize(Struct, frozen=True):
    """How much of a file is there: bytes of its text, bytes on the disk, pieces."""

    plain: int = 0
    stored: int = 0
    pieces: int = 0


class SealedWriter:
    """Writes a file of mode 0600, or goes on with one after `size`: what lies behind it is cut off."""

    def __init__(self, path: Path, key: bytes, size: SealedSize) -> None:
        self._cipher, self._name = AESGCM(key), path.name
        self._buffer = bytearray()
        self.size = size
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        os.ftruncate(self._file, size.stored)
        os.lseek(self._file, size.stored, os.SEEK_SET)

    def write(self, text: bytes) -> None:
        """Append; it is on the disk after `sync`."""
        self._buffer += text
        while len(self._buffer) >= PIECE:
            self._seal(bytes(self._buffer[:PIECE]))
            del self._buffer[:PIECE]

    def sync(self) -> SealedSize:
        """Put all of it onto the disk; how much that is."""
        if self._buffer:
            self._seal(bytes(self._buffer))
            self._buffer.clear()
        os.fsync(self._file)
        return self.size

    def close(self) -> None:
        """Let go of the file; what was not synced is lost."""
        os.close(self._file)

    def _seal(self, text: bytes) -> None:
        nonce = os.urandom(_NONCE)
        sealed = nonce + self._cipher.encrypt(nonce, text, _bound(self._name, self.size.pieces))
        _write_all(self._file, _LENGTH.pack(len(sealed)) + sealed)
        self.size = SealedSize(
            self.size.plain + len(text), self.size.stored + _LENGTH.size + len(sealed), self.size.pieces + 1
        )


def read_sealed(path: Path, key: bytes, size: SealedSize) -> Iterator[bytes]:
    """The text, piece by piece. Raises StoreCorrupt `export-file-damaged`, OSError."""
    cipher = AESGCM(key)
    with path.open("rb") as file:
        for number in range(size.pieces):
            head = file.read(_LENGTH.size)
            sealed = file.read(_LENGTH.unpack(head)[0]) if len(head) == _LENGTH.size else b""
            try:
                yield cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], _bound(path.name, number))
            except (InvalidTag, ValueError):
                text = "a file of an export is not what was written: export again, and look at the disk"
                raise StoreCorrupt(text, code="export-file-damaged") from None


def _bound(name: str, number: int) -> bytes:
    return f"{name}\0{number}".encode()


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]
