"""A file layer for SQLite that remembers what was written since the last sync, and can lose it as a power cut does.

It lies under the encryption, so what is lost or torn is what a disk would lose. For each file: what was synced stays;
of the later writes each is kept, dropped or torn (a prefix of whole 512-byte sectors), by the seed.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

SECTOR = 512


class _FileState:
    """What is surely on the disk, and what may be."""

    def __init__(self, content: bytes) -> None:
        self.durable = bytearray(content)
        self.pending: list[tuple[int, bytes | None]] = []  # (offset, data), or (size, None) for a truncation

    def apply(self, offset: int, data: bytes | None) -> None:
        _apply(self.durable, offset, data)

    def sync(self) -> None:
        for offset, data in self.pending:
            self.apply(offset, data)
        self.pending.clear()

    def after_power_loss(self, dice: random.Random) -> bytes:
        left = bytearray(self.durable)
        for offset, data in self.pending:
            fate = dice.random()
            if fate < 0.4:
                continue
            if data is not None and fate < 0.6:
                data = data[: dice.randrange(0, len(data) + 1) // SECTOR * SECTOR]
            _apply(left, offset, data)
        return bytes(left)


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
        return
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


class PowerLossVFS(apsw.VFS):
    """`cuts` maps the number of a write or sync to what is called just before it with an image of all files."""

    def __init__(self, name: str) -> None:
        self.files: dict[str, _FileState] = {}
        self.lock = threading.RLock()
        self.events = 0
        self.cuts: dict[int, random.Random] = {}
        self.on_cut: Callable[[dict[str, bytes]], None] = lambda image: None
        self.name = name
        super().__init__(name, "unix")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _PowerLossFile(self, name, flags)

    def xDelete(self, name: str, sync_folder: bool) -> None:
        with self.lock:
            self.files.pop(name, None)
        super().xDelete(name, sync_folder)

    def event(self) -> None:
        self.events += 1
        dice = self.cuts.pop(self.events, None)
        if dice is not None:
            self.on_cut({name: state.after_power_loss(dice) for name, state in self.files.items()})


class _PowerLossFile(apsw.VFSFile):
    def __init__(self, vfs: PowerLossVFS, name: Any, flags: list[int]) -> None:
        self._vfs = vfs
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        super().__init__("unix", name, flags)
        with vfs.lock:
            if path not in vfs.files:
                there = Path(path)
                vfs.files[path] = _FileState(there.read_bytes() if there.exists() else b"")
            self._state = vfs.files[path]

    def xWrite(self, data: bytes, offset: int) -> None:
        with self._vfs.lock:
            self._vfs.event()
            self._state.pending.append((offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:
        with self._vfs.lock:
            self._vfs.event()
            self._state.pending.append((size, None))
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        with self._vfs.lock:
            self._vfs.event()
            self._state.sync()
