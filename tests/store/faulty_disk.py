"""A file layer for SQLite whose disk can be told to fail."""

from __future__ import annotations

from typing import Any

import apsw


class FaultyDisk(apsw.VFS):
    """`failing`: "" (well), "full" (writes fail, no space), "sync" (fsync fails), "read" (reads fail)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.failing = ""
        super().__init__(name, "unix")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _FaultyFile(self, name, flags)


class _FaultyFile(apsw.VFSFile):
    def __init__(self, disk: FaultyDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        super().__init__("unix", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        if self._disk.failing == "full":
            raise apsw.exception_for(apsw.SQLITE_FULL)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        if self._disk.failing == "sync":
            raise apsw.exception_for(apsw.SQLITE_IOERR_FSYNC)
        super().xSync(flags)

    def xRead(self, amount: int, offset: int) -> bytes:
        if self._disk.failing == "read":
            raise apsw.exception_for(apsw.SQLITE_IOERR_READ)
        return super().xRead(amount, offset)
