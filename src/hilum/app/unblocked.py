"""Standard error that keeps nobody waiting: lines are queued, and one thread of its own writes them.

A pipe that nobody reads holds 64 KiB, and whoever writes more waits. A service must not wait for whoever reads its log:
beyond `MOST_CHARACTERS` that wait, lines are left out and counted, and the count is told once lines pass again.
"""

from __future__ import annotations

import io
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

__all__ = ["Unblocked", "unblocked_stderr"]

MOST_CHARACTERS = 4 * 1024 * 1024  # that wait
GATHER_SECONDS = 0.02  # lines of this time are written together: a wake-up a line would cost more than the line
FLUSH_SECONDS = 2.0  # at the end, for a reader that is slow


class Unblocked(io.TextIOBase):
    """A text stream over the file descriptor of another. Its thread writes around that one's buffer: it holds no lock.

    `told(count)` is called in that thread when lines pass again after `count` of them were left out.
    """

    def __init__(self, stream: TextIO, told: Callable[[int], None], *, most: int = MOST_CHARACTERS) -> None:
        super().__init__()
        self._stream, self._told, self._most = stream, told, most
        self._fd = stream.fileno()
        self._lock = threading.Lock()
        self._begun = threading.local()  # what each thread has written of a line that has not ended
        self._lines: list[str] = []
        self._waiting = self._left_out = 0
        self._is_ending = False
        self._some = threading.Event()
        self._written = threading.Event()  # nothing waits and nothing is being written
        self._written.set()
        stream.flush()
        self._thread = threading.Thread(target=self._serve, name="hilum-log", daemon=True)
        self._thread.start()

    def write(self, text: str) -> int:
        """Queue whole lines; what follows the last line end waits for its own."""
        begun = getattr(self._begun, "text", "")
        if text.endswith("\n") and not begun:
            self._queue(text)
        else:
            lines, line_end, self._begun.text = (begun + text).rpartition("\n")
            if line_end:
                self._queue(lines + line_end)
        return len(text)

    def _queue(self, lines: str) -> None:
        with self._lock:
            # there is always room for what `told` says
            if self._waiting + len(lines) > self._most and threading.current_thread() is not self._thread:
                self._left_out += lines.count("\n")
                return
            self._lines.append(lines)
            self._waiting += len(lines)
            self._written.clear()
        if not self._some.is_set():
            self._some.set()

    def end(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Whether all that was queued has been written, waiting for it so long at most; then the thread ends."""
        done = self._written.wait(seconds)
        self._is_ending = done
        self._some.set()
        return done

    def fileno(self) -> int:
        return self._fd

    def isatty(self) -> bool:
        return self._stream.isatty()

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    def _serve(self) -> None:
        while True:
            self._some.wait()
            if self._is_ending:
                return
            time.sleep(GATHER_SECONDS)
            self._some.clear()
            with self._lock:
                lines, self._lines = self._lines, []
            passed = self._write_out("".join(lines).encode(self.encoding, "backslashreplace"))
            self._end_round(sum(map(len, lines)), 0 if passed else sum(one.count("\n") for one in lines))

    def _end_round(self, characters: int, failed: int) -> None:
        with self._lock:
            self._waiting -= characters
            self._left_out += failed
            left_out = 0 if failed else self._left_out
            self._left_out -= left_out
        if left_out:
            self._told(left_out)  # comes back as a line, before anybody hears that all is written
        with self._lock:
            if not self._waiting:
                self._written.set()

    def _write_out(self, text: bytes) -> bool:
        """Whether it went out: a reader that has gone or a disk that is full costs these lines and no more."""
        left = memoryview(text)
        while left:
            try:
                left = left[os.write(self._fd, left) :]
            except BlockingIOError:  # somebody who shares it made it non-blocking
                select.select([], [self._fd], [])
            except OSError:
                return False
        return True


@contextmanager
def unblocked_stderr(told: Callable[[int], None]) -> Iterator[None]:
    """All that is written to `sys.stderr` meanwhile waits for nobody.

    At the end what waits is written, for two seconds at most. If nobody reads it until then it stays as it is, so that
    the last words of the process do not wait for ever either.
    """
    before = sys.stderr
    try:
        before.fileno()
    except (AttributeError, OSError, ValueError):  # no file: a test's, or none at all
        yield
        return
    stream = Unblocked(before, told)
    sys.stderr = stream
    try:
        yield
    finally:
        if stream.end() and sys.stderr is stream:
            sys.stderr = before
