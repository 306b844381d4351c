"""An OS lock between processes: gone with the process that holds it, however that ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from hilum.errors import StoreBusy

__all__ = ["ProcessLock"]


class ProcessLock:
    """Holds the lock on `path` from construction to `release`. Raises StoreBusy naming the process that has it."""

    def __init__(self, path: Path, busy: str) -> None:
        # never inherited by a child process (PEP 446), so a child cannot keep it alive
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(self._handle, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._handle)
            raise StoreBusy(f"process {owner} {busy}") from None
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let the next one in. The file stays: removing it would let two processes lock two files of one name."""
        os.ftruncate(self._handle, 0)
        os.close(self._handle)
