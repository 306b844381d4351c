"""What SQLite says, in the words of the error tree: one table."""

from __future__ import annotations

import errno

import apsw

from hilum.errors import Outcome, StoreBusy, StoreCorrupt, StoreError, StoreFull, StoreUnsafe

__all__ = ["breaks_transaction", "translate", "translate_file"]

_FULL = "nothing of this was saved: free space on the store's disk, then it goes on by itself"
_DISK = "the disk refused a read, a write or a sync; nothing of this was saved: check the disk and its mount"
_CORRUPT = "the store's file is damaged or was changed from outside: stop, keep the file, restore a copy"
_LOCKED = "another process has been writing to this store for too long: try again"
_READ_ONLY = "the store's file cannot be written: check its owner, its mode 0600 and the mount"


def translate(error: apsw.Error) -> StoreError:
    """The error of the tree that says what to do about an error of SQLite."""
    extended = getattr(error, "extendedresult", 0)
    if isinstance(error, apsw.FullError):
        return StoreFull(_FULL)
    if isinstance(error, apsw.IOError):
        is_sync = extended in (apsw.SQLITE_IOERR_FSYNC, apsw.SQLITE_IOERR_DIR_FSYNC)
        return StoreFull(_DISK, code="store-sync-failed" if is_sync else "store-disk-failed")
    if isinstance(error, apsw.CantOpenError | apsw.NoMemError):
        return StoreFull(_DISK, code="store-disk-failed")
    if isinstance(error, apsw.CorruptError | apsw.NotADBError):
        return StoreCorrupt(_CORRUPT)
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return StoreBusy(_LOCKED, code="store-locked", outcome=Outcome.RETRY)
    if isinstance(error, apsw.ReadOnlyError):
        return StoreUnsafe(_READ_ONLY, code="store-read-only")
    # names of tables and columns at most: all values are bound, never part of the text
    return StoreError(f"SQLite refused: {error}", code="store-failed")


def translate_file(error: OSError) -> StoreError:
    """The same of an error that the files beside the database meet."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull(_FULL)
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return StoreUnsafe(_READ_ONLY, code="store-read-only")
    return StoreFull(_DISK, code="store-disk-failed")


def breaks_transaction(error: BaseException) -> bool:
    """Whether the whole transaction is lost, not only the job that met the error."""
    return isinstance(
        error,
        apsw.FullError
        | apsw.IOError
        | apsw.CantOpenError
        | apsw.NoMemError
        | apsw.CorruptError
        | apsw.NotADBError
        | apsw.ReadOnlyError,
    )
