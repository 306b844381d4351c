"""Keeps the write-ahead log short without making an acknowledgement wait.

The bulk of a checkpoint runs on a thread and connection of its own beside the writer (SQLite allows that); the writer
then folds in the few pages that came meanwhile, after which the WAL starts again from its beginning.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import apsw

from hilum.errors import StoreError
from hilum.store.connection import Target, connect, discard

__all__ = ["Checkpointer"]

DUE_PAGES = 2_000  # of 4 KiB
MOST_PASSES = 12  # what is written during one pass is left for the next
SHORT_SECONDS = 0.004  # a pass that took no longer leaves little


class Checkpointer:
    """Runs one passive checkpoint per `start_round`, then sets `finished` and calls `done`."""

    def __init__(self, target: Target, done: Callable[[], None]) -> None:
        self._target = target
        self._done = done
        self._asked = threading.Event()
        self._stopping = False
        self._running = False
        self.finished = False
        self._thread: threading.Thread | None = None

    def is_due(self, wal_pages: int, *, idle: bool) -> bool:
        """Whether a round should start: the WAL is long, or there is time."""
        return not self._running and wal_pages >= (1 if idle else DUE_PAGES)

    def start_round(self) -> None:
        """Begin; returns at once."""
        self._running = True
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="hilum-store-checkpoint", daemon=True)
            self._thread.start()
        self._asked.set()

    def stop(self) -> None:
        """End the thread after the round it is in."""
        self._stopping = True
        self._asked.set()
        if self._thread is not None:
            self._thread.join()

    def _serve(self) -> None:
        connection: apsw.Connection | None = None
        while True:
            self._asked.wait()
            self._asked.clear()
            if self._stopping:
                break
            connection = self._round(connection)
            self._running = False
            self.finished = True
            self._done()
        if connection is not None:
            discard(connection)

    def _round(self, connection: apsw.Connection | None) -> apsw.Connection | None:
        """Checkpoint until little is left to fold in. If the disk refuses, the WAL keeps all for the next round."""
        try:
            connection = connection or connect(self._target)
            for _ in range(MOST_PASSES):
                start = time.monotonic()
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                if time.monotonic() - start < SHORT_SECONDS:
                    break
        except (apsw.Error, StoreError):
            if connection is not None:
                discard(connection)
            return None
        return connection
