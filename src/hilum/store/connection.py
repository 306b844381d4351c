"""Opening the one SQLite file safely, and refusing when it would not be safe."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import apsw
from msgspec import Struct

from hilum.errors import StoreUnsafe
from hilum.store.failures import translate
from hilum.store.keys import derive, sync_folder

__all__ = ["Target", "check_version", "connect", "discard", "is_made", "prepare_file"]

# AEGIS-256 authenticates every page (a changed byte is SQLITE_CORRUPT, not other data) and was the fastest measured.
CIPHER = "aegis"
SYNCHRONOUS = 2  # FULL: every commit is synced before it counts
OLDEST_SQLITE = (3, 51, 3)  # older ones can lose committed pages when the WAL is reset
APPLICATION_ID = 0x68696C6D  # "hilm"
BUSY_MS = 1_500  # below the two seconds in which a sender must have its answer
CACHE_KIB = 32 * 1024
WAL_KEPT = 64 * 1024 * 1024  # bytes; a longer WAL is cut when it starts again


class Target(Struct, frozen=True):
    """Which file to open and how: `vfs` is SQLite's name of the file layer, "" for the system's own."""

    path: Path
    key: bytes | None
    vfs: str = ""


def check_version(version: str | None = None) -> None:
    """Raise StoreUnsafe `store-sqlite-old` when the SQLite in use may lose a commit."""
    version = version or apsw.sqlite_lib_version()
    if tuple(int(part) for part in version.split(".")[:3]) < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        raise StoreUnsafe(
            f"SQLite {version} can lose commits: install apsw-sqlite3mc {oldest} or newer", code="store-sqlite-old"
        )


def prepare_file(path: Path) -> None:
    """Create the file with mode 0600 in a folder of mode 0700, or take a too wide mode off the file.

    Until `is_made` an empty file `NAME.new` beside it says that it is being made. Raises StoreUnsafe `store-emptied`.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists():
        if not _mark(path).exists() and not path.stat().st_size:  # SQLite would throw its WAL away, and begin anew
            raise StoreUnsafe(
                "the store's file is empty, and hilum did not leave it so: put a copy of it back. To start anew, "
                "without what was received, remove the file",
                code="store-emptied",
            )
        for name in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
            if name.exists() and name.stat().st_mode & 0o077:
                name.chmod(0o600)
        return
    for name in (_mark(path), path):
        os.close(os.open(name, os.O_RDWR | os.O_CREAT, 0o600))
    sync_folder(path.parent)


def is_made(path: Path) -> None:
    """It holds its tables: from now on it is never empty."""
    if _mark(path).exists():
        _mark(path).unlink(missing_ok=True)


def _mark(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def connect(target: Target, *, read_only: bool = False) -> apsw.Connection:
    """A connection with every setting made and read back. Raises StoreUnsafe, StoreFull, StoreBusy or StoreCorrupt."""
    try:
        connection = apsw.Connection(str(target.path), vfs=_vfs(target), statementcachesize=256)
    except apsw.Error as error:
        raise translate(error) from None
    try:
        _unlock(connection, target)
        _settle(connection, read_only=read_only)
    except apsw.Error as error:
        discard(connection)
        raise translate(error) from None
    except BaseException:
        discard(connection)
        raise
    return connection


def discard(connection: apsw.Connection) -> None:
    """Close without touching the file: no last checkpoint by a connection that is not trusted or not needed."""
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.close(force=True)


def _vfs(target: Target) -> str | None:
    if not target.vfs:
        return None
    return target.vfs if target.key is None else f"multipleciphers-{target.vfs}"


def _unlock(connection: apsw.Connection, target: Target) -> None:
    """Set the key and prove it by reading the first page."""
    connection.set_busy_timeout(BUSY_MS)
    if target.key is not None:
        connection.pragma("cipher", CIPHER)
        # raw: the key is used as it is; a key of 32 random bytes needs no slow derivation on every connection
        connection.pragma("key", f"raw:{derive(target.key, 'store pages').hex()}")
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    except apsw.NotADBError:
        what = "needs a key" if target.key is None else "does not open with this key"
        raise StoreUnsafe(
            f"the store {what}: give the key that it was made with (or its first page is damaged)",
            code="store-key-wrong",
        ) from None


def _settle(connection: apsw.Connection, *, read_only: bool) -> None:
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", SYNCHRONOUS)
    connection.pragma("wal_autocheckpoint", 0)
    connection.pragma("journal_size_limit", WAL_KEPT)
    connection.pragma("cache_size", -CACHE_KIB)
    connection.pragma("foreign_keys", True)
    connection.pragma("trusted_schema", False)
    # else SQLite, which may have looked at the values of a statement, plans it anew for every other value
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    if sys.platform == "darwin":  # fsync alone does not reach the disk there
        connection.pragma("fullfsync", True)
        connection.pragma("checkpoint_fullfsync", True)
    _check_settings(connection)
    if read_only:
        connection.pragma("query_only", True)
    else:
        _claim(connection)


def _check_settings(connection: apsw.Connection) -> None:
    """Read back what keeps a commit: SQLite takes unknown or impossible settings without a word."""
    wanted = {"journal_mode": "wal", "synchronous": 2, "wal_autocheckpoint": 0}
    if sys.platform == "darwin":
        wanted |= {"fullfsync": 1, "checkpoint_fullfsync": 1}
    for name, value in wanted.items():
        found = connection.pragma(name)
        if found != value:
            raise StoreUnsafe(
                f"SQLite runs with {name}={found}, hilum needs {value}: the file or its disk does not allow it",
                code="store-setting-unsafe",
            )


def _claim(connection: apsw.Connection) -> None:
    """Mark a new file as ours; refuse somebody else's database."""
    found = connection.pragma("application_id")
    if found == APPLICATION_ID:
        return
    if found or connection.execute("SELECT count(*) FROM sqlite_schema").get:
        raise StoreUnsafe("this file is another program's database: choose another path", code="store-foreign")
    connection.pragma("application_id", APPLICATION_ID)
