"""One `hilum run` per store: an OS lock on a file beside it, gone with the process however it ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from hilum.errors import StoreBusy

__all__ = ["RunLock"]


class RunLock:
    """Holds the lock from construction to `release`. Raises StoreBusy naming the process that has it."""

    def __init__(self, store: Path) -> None:
        # never inherited by a child process (PEP 446), so a child cannot keep it alive
        self._handle = os.open(store.with_name(f"{store.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(self._handle, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(self._handle)
            raise StoreBusy(f"process {owner} already runs on this store: stop it first, or let it go on") from None
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let the next one in. The file stays: removing it would let two processes lock two files of one name."""
        os.ftruncate(self._handle, 0)
        os.close(self._handle)
