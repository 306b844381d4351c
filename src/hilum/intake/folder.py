"""What a watched folder does on the disk: look, read whole, move away. Every function blocks; call them in a thread."""

from __future__ import annotations

import fnmatch
import hashlib
import itertools
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from hilum.model import Finding
from hilum.protocols import sync_folder, write_all

__all__ = [
    "MARKER",
    "Content",
    "Look",
    "Unusable",
    "file_tag",
    "is_still",
    "look",
    "move",
    "open_seen",
    "read_whole",
    "same_file",
    "sync_folder",
    "write_notes",
]

MARKER = ".done"
_LONGEST_NAME = 230  # bytes of the end of a name; leaves room for a number and `.reason` below the usual 255
_UNFINISHED = (".tmp", ".part", ".partial", ".filepart", MARKER)


class Unusable(Exception):
    """A file that can never be taken as it is."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.code)
        self.finding = finding


class Look(Struct, frozen=True):
    """A file as it was seen: two equal looks mean that it did not change in between."""

    name: str
    inode: int
    size: int
    changed: int  # mtime, nanoseconds
    mode: int
    put: int = 0  # ctime, nanoseconds: when it was last written, renamed or put back

    @property
    def is_regular(self) -> bool:
        """A plain file: no link, pipe, socket or device."""
        return stat.S_ISREG(self.mode)


class Content(Struct, frozen=True):
    """All bytes of one file."""

    look: Look
    body: bytes
    digest: bytes  # SHA-256

    @property
    def once(self) -> bytes:
        """Names this file as it lies there now: the same after a crash, another one when somebody puts it back."""
        seen = self.look
        facts = f"{seen.size} {seen.changed} {seen.put} {seen.name}".encode(errors="surrogateescape")
        return hashlib.sha256(self.digest + facts).digest()[:16]


def file_tag(name: str) -> str:
    """How logs speak of a file: names that senders choose can hold names of patients."""
    return "file:" + hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:12]


def look(folder: Path, pattern: str) -> tuple[list[Look], dict[str, int]]:
    """Everything in the folder that could be a message file, oldest first; and NAME -> time of each NAME.done."""
    looks: list[Look] = []
    markers: dict[str, int] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            is_marker = entry.name.endswith(MARKER)
            if not is_marker and not _is_candidate(entry.name, pattern):
                continue
            try:
                seen = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if is_marker:
                markers[entry.name.removesuffix(MARKER)] = seen.st_mtime_ns
            elif not stat.S_ISDIR(seen.st_mode):
                looks.append(
                    Look(entry.name, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_mode, seen.st_ctime_ns)
                )
    looks.sort(key=lambda one: (one.changed, one.name))
    return looks, markers


def _is_candidate(name: str, pattern: str) -> bool:
    return (
        not name.startswith((".", "~"))
        and not name.lower().endswith(_UNFINISHED)
        and fnmatch.fnmatchcase(name, pattern)
    )


def open_seen(folder: Path, seen: Look, limit: int) -> int | None:
    """A descriptor of the file that was seen; None when it is gone. Raises Unusable."""
    if stat.S_ISLNK(seen.mode):
        raise Unusable(Finding("files-symlink", "Links are not followed; put the file itself into the folder"))
    if not seen.is_regular:
        raise Unusable(Finding("files-not-regular", "This is a pipe, socket or device, not a file"))
    if seen.size == 0:
        raise Unusable(Finding("files-empty", "The file has no bytes"))
    if seen.size > limit:
        raise Unusable(Finding("files-too-large", f"The file has {seen.size} bytes; the limit is {limit}"))
    try:
        return os.open(folder / seen.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except PermissionError as error:
        text = "hilum may not read this file; give its user the right to"
        raise Unusable(Finding("files-unreadable", text)) from error


def same_file(now: os.stat_result, seen: Look) -> bool:
    """Whether a file is the very one that was seen, unchanged."""
    return (now.st_ino, now.st_size, now.st_mtime_ns) == (seen.inode, seen.size, seen.changed)


def read_whole(folder: Path, seen: Look, limit: int) -> Content | None:
    """The file, if it still is what was seen; None when it is gone or still changing. Raises Unusable."""
    descriptor = open_seen(folder, seen, limit)
    if descriptor is None:
        return None
    with os.fdopen(descriptor, "rb") as file:
        body = file.read(seen.size + 1)
        now = os.fstat(descriptor)
    if not same_file(now, seen) or len(body) != seen.size:
        return None
    return Content(seen, body, hashlib.sha256(body).digest())


def is_still(folder: Path, seen: Look) -> bool:
    """Whether the name still belongs to the very file that was seen."""
    try:
        now = (folder / seen.name).lstat()
    except FileNotFoundError:
        return False
    return same_file(now, seen)


def move(source: Path, folder: Path) -> Path:
    """Into `folder`, under the first name that is free there; nothing is ever overwritten. Both folders are synced."""
    target = _reserve(folder, source.name)
    try:
        source.replace(target)
    except OSError:
        target.unlink()
        raise
    sync_folder(folder)
    sync_folder(source.parent)
    return target


def write_notes(folder: Path, name: str, suffix: str, notes: Sequence[str]) -> None:
    """NAME+suffix beside the place that `move` will take: codes, no content. What a crash left is renewed."""
    target = next(target for target in _places(folder, name) if not os.path.lexists(target))
    beside = target.with_name(target.name + suffix)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        write_all(file.fileno(), "".join(f"{line}\n" for line in notes).encode())
    sync_folder(folder)


def _reserve(folder: Path, name: str) -> Path:
    """An empty file of our own, so that the rename that follows replaces nobody else's."""
    for target in _places(folder, name):
        try:
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            continue
        break
    return target


def _places(folder: Path, name: str) -> Iterator[Path]:
    """NAME, NAME.2, NAME.3..."""
    name = os.fsdecode(os.fsencode(name)[-_LONGEST_NAME:])
    yield folder / name
    yield from (folder / f"{name}.{number}" for number in itertools.count(2))
