"""The findings file of a load: one JSON object a line, with file and line, and never a value.

It is cut back to what was committed before a load goes on, so that nothing stands in it twice.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from hilum.app.bulk.judging import Unit
from hilum.formats.fhir import Issue

__all__ = ["Findings", "Line"]


class Line(Struct, frozen=True, omit_defaults=True):
    """One line of the file."""

    file: str
    line: int
    code: str
    message: str
    severity: str
    where: str = ""  # FHIRPath
    taken: bool = False  # whether the resource is stored all the same


class Findings:
    """Appends findings. `path` is made with mode 0600 once there is one."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self._file: int | None = None
        self.cut(size)

    def cut(self, size: int) -> None:
        """Forget what was added after this size in bytes."""
        self.size = size
        if self.path.exists():
            os.truncate(self.path, size)

    def add(self, file: str, line: int, unit: Unit) -> None:
        """The errors and notes of one unit."""
        is_taken = not unit.errors
        seen = [*unit.errors, *unit.notes] if is_taken else unit.errors
        self._write(file, line, seen, taken=is_taken)

    def sync(self) -> int:
        """Put all that was added onto the disk; its size in bytes."""
        if self._file is not None:
            os.fsync(self._file)
        return self.size

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, file: str, line: int, issues: Sequence[Issue], *, taken: bool) -> None:
        if not issues:
            return
        if self._file is None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        text = b"".join(
            msgspec.json.encode(
                Line(file, line, one.code, one.text, one.severity.value, ", ".join(one.expression), taken)
            )
            + b"\n"
            for one in issues
        )
        self.size += os.write(self._file, text)
