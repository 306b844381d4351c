"""Files of a workbook on the disk: each whole or not at all, and never over what somebody else wrote meanwhile.

Between reading tables and writing them a person thinks. So files are written under a lock on their folder, and only
while each of them still is as it was read. The lock is the folder's own (`flock`): it leaves no file, and a process
that is killed gives it back.
"""

from __future__ import annotations

import fcntl
import glob
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from hilum.errors import ConfigError
from hilum.mapping import table_text
from hilum.workbook.documents import Document, parse_document

__all__ = ["write_files", "write_texts", "write_whole"]

_DRAFT = ".new"


def write_texts(tables: Path, texts: Mapping[str, str], read: Mapping[str, Document] | None = None) -> list[Path]:
    """Write files into the folder `workbook`, in their order, each whole or not at all.

    `read` are the tables as they were read: one that is another now is not overwritten, and nothing is written. Raises
    ConfigError `tables-changed`, OSError.
    """
    tables.mkdir(parents=True, exist_ok=True)
    with _alone_in(tables):
        if read is not None:
            _refuse_changed(tables, texts, read)
        for left in tables.glob(f".*{_DRAFT}"):  # of a process that was killed: nobody else writes now
            left.unlink()
        return [write_whole(tables / name, text.encode()) for name, text in texts.items()]


def write_files(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Write files into a folder in their order, each whole or not at all; drafts of runs that were killed go.

    Raises OSError, also when the folder is not there.
    """
    with _alone_in(folder):
        for name in contents:
            for left in folder.glob(f".{glob.escape(name)}.*{_DRAFT}"):
                left.unlink()
        return [write_whole(folder / name, content) for name, content in contents.items()]


def write_whole(path: Path, content: bytes) -> Path:
    """Write a file whole or not at all: whoever is killed on the way leaves the one that was there. Raises OSError.

    A link is followed, and the rights of a file that is there stay.
    """
    target = path.resolve()
    draft = target.with_name(f".{target.name}.{os.getpid()}{_DRAFT}")
    try:
        with draft.open("wb") as file:
            if target.exists():
                os.fchmod(file.fileno(), target.stat().st_mode & 0o7777)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    except OSError as error:
        with suppress(OSError):  # a folder that cannot be written to says so itself
            draft.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error
    return path


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """One process at a time; what was written is on the disk when it leaves."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse_changed(tables: Path, texts: Mapping[str, str], read: Mapping[str, Document]) -> None:
    changed = [name for name in texts if name.endswith(".csv") and not _is_as_read(tables / name, read.get(name))]
    if changed:
        raise ConfigError(
            f"{', '.join(changed)} was changed by somebody else after it was read: nothing was written. "
            "Run the command again; it starts from what is there now",
            code="tables-changed",
        )


def _is_as_read(path: Path, document: Document | None) -> bool:
    """Whether the file still says what was read; one without a header says nothing."""
    there = parse_document(path.name, table_text(path.read_bytes(), path.name)) if path.is_file() else None
    if there is None or not there.columns:
        return document is None or not document.lines
    return document is not None and document.text == there.text
