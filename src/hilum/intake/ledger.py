"""Which file contents were taken already: an append-only text file of SHA-256 sums, one a line."""

from __future__ import annotations

import os
from pathlib import Path

from hilum.errors import StoreError
from hilum.protocols import write_all

__all__ = ["HashLedger"]

_LINE = 65  # 64 hexadecimal digits and a line feed


class HashLedger:
    """Every line is on the disk before `add` returns. A line torn by a crash is cut off when it is opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: set[bytes] = set()
        self._file = -1
        self._size = 0

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._known

    def __len__(self) -> int:
        return len(self._known)

    def open(self) -> None:
        """Raises StoreError `files-ledger-damaged` when a whole line is not a SHA-256 sum; OSError."""
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(self._file, "rb", closefd=False) as file:
            lines = file.read()
        whole = len(lines) - len(lines) % _LINE
        if whole < len(lines):
            os.ftruncate(self._file, whole)
            os.fsync(self._file)
        self._size = whole
        try:
            self._known = {bytes.fromhex(lines[at : at + 64].decode()) for at in range(0, whole, _LINE)}
        except ValueError as error:
            text = f"{self._path} is not a ledger of SHA-256 sums; restore it, or remove it to take every file again"
            raise StoreError(text, code="files-ledger-damaged") from error

    def add(self, digest: bytes) -> None:
        """Remember one content for good. Raises OSError; the ledger is then as before."""
        if digest in self._known:
            return
        line = digest.hex().encode() + b"\n"
        try:
            write_all(self._file, line)
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(line)
        self._known.add(digest)

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
