"""Lines appended exactly once: the place of a line is written down and synced before the line itself.

`.hilum/lines.log` holds one entry per line: hash of the idempotency key, file, offset, length, SHA-256. After a crash
only its last entry can be unfinished: its line is there whole, or the file is cut back to where the line would begin
and the record is written again when it is sent again.
"""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path

from hilum.errors import ConfigError
from hilum.protocols import sync_folder, write_all

__all__ = ["LineFile"]

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class LineFile:
    """One writer. Every byte is on the disk before `append` returns."""

    def __init__(self, folder: Path, stem: str = "records", suffix: str = ".ndjson", end: bytes = b"\n") -> None:
        """Files are called STEM-DAY with the suffix; their lines have this end."""
        self._folder, self._stem, self._suffix, self._end = folder, stem, suffix, end
        self._state = folder / ".hilum"
        self._places: dict[bytes, str] = {}  # hash of a key -> file
        self._log = -1

    def open(self) -> None:
        """Read the log and mend what a crash left. Raises ConfigError `files-lines-damaged` or OSError."""
        self._state.mkdir(mode=0o700, exist_ok=True)
        self._log = os.open(self._state / "lines.log", _FLAGS, 0o600)
        with os.fdopen(self._log, "rb", closefd=False) as file:
            content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            self._cut_log(whole)
        entries = content[:whole].decode("ascii", "replace").splitlines()
        self._places = {bytes.fromhex(key): file for key, file, *_ in map(_split, entries)}
        if entries:
            self._mend(entries[-1], whole)

    def append(self, key: str, line: bytes, now: float, header: bytes = b"") -> str:
        """The name of the file that has the line. Raises OSError; the line is then not there.

        A new file begins with `header`, which has its end; lines with another one go to another file of the day.
        """
        digest = hashlib.sha256(key.encode()).digest()
        if digest in self._places:
            return self._places[digest]
        name = self._file_for(f"{self._stem}-{datetime.fromtimestamp(now, UTC):%Y-%m-%d}", header)
        log_size = os.fstat(self._log).st_size
        file = os.open(self._folder / name, _FLAGS, 0o600)
        try:
            offset = os.fstat(file).st_size
            data = (b"" if offset else header) + line + self._end
            place = f"{digest.hex()} {name} {offset} {len(data)} {hashlib.sha256(data).hexdigest()}\n"
            try:
                write_all(self._log, place.encode())
                write_all(file, data)
            except OSError:
                os.ftruncate(file, offset)
                self._cut_log(log_size)
                raise
        finally:
            os.close(file)
        if offset == 0:
            sync_folder(self._folder)
        self._places[digest] = name
        return name

    def _file_for(self, stem: str, header: bytes) -> str:
        """The file of the day that begins with this header, or can."""
        number = 1
        while True:
            name = f"{stem}.{number}{self._suffix}" if number > 1 else f"{stem}{self._suffix}"
            try:
                start = (self._folder / name).open("rb")
            except FileNotFoundError:
                return name
            with start:
                if start.read(len(header)) in (header, b""):
                    return name
            number += 1

    def close(self) -> None:
        """Let go of the log."""
        if self._log >= 0:
            os.close(self._log)
            self._log = -1

    def _mend(self, entry: str, log_size: int) -> None:
        key, name, offset, length, digest = _split(entry)
        start = int(offset)
        try:
            file = os.open(self._folder / name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            if start:
                return  # its reader took the whole file away, so the line was there
            file = -1
        if file >= 0:
            try:
                is_there = hashlib.sha256(os.pread(file, int(length), start)).hexdigest() == digest
                if is_there or os.fstat(file).st_size < start:
                    return  # shorter than before the line: its reader made it so, nothing of it is ours to mend
                os.ftruncate(file, start)
                os.fsync(file)
            finally:
                os.close(file)
        del self._places[bytes.fromhex(key)]
        self._cut_log(log_size - len(entry) - 1)

    def _cut_log(self, size: int) -> None:
        os.ftruncate(self._log, size)
        os.fsync(self._log)


def _split(entry: str) -> list[str]:
    parts = entry.split(" ")
    if len(parts) != 5 or len(parts[0]) != 64 or not parts[2].isdigit() or not parts[3].isdigit():
        text = "The log of written lines is damaged; restore it, or begin with an empty folder"
        raise ConfigError(text, code="files-lines-damaged")
    return parts
