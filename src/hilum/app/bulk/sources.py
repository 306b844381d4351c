"""Files to load: which they are, and the bodies in them one after another, however long they are.

NDJSON (`.ndjson`, `.jsonl`) has a body a line; a `.json` file is one body. Either may be compressed (`.gz`).
"""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from msgspec import Struct

from hilum.errors import HilumError

__all__ = ["MOST_BODY", "Body", "SourceFile", "bodies", "digest_of", "find_files"]

MOST_LINE = 32 * 1024 * 1024  # bytes of a line
MOST_BODY = 512 * 1024 * 1024  # bytes of a .json file
LINES = (".ndjson", ".jsonl")


class SourceFile(Struct, frozen=True):
    """A file to load. `name` is how findings call it; `size` in bytes as it lies on the disk."""

    path: Path
    name: str
    size: int
    modified: int  # nanoseconds

    @property
    def is_compressed(self) -> bool:
        """Whether gzip is around it."""
        return self.path.suffix == ".gz"

    @property
    def has_lines(self) -> bool:
        """Whether it has a body a line."""
        return _kind(self.path) in LINES


class Body(Struct, frozen=True):
    """One body. `raw` is None for a line that is longer than `MOST_LINE`. `read`: bytes of the file taken so far."""

    raw: bytes | None
    line: int
    offset: int  # after it
    read: int


def find_files(given: Sequence[Path]) -> list[SourceFile]:
    """The files that are meant, in the order given; those of a folder by name, with its subfolders.

    Raises HilumError `load-file-missing`, `load-kind-unknown`, `load-nothing-found`.
    """
    found: dict[Path, SourceFile] = {}
    for one in given:
        if one.is_dir():
            inside = sorted(path for path in one.rglob("*") if path.is_file() and _kind(path) in (*LINES, ".json"))
            for path in inside:
                found.setdefault(path.resolve(), _file(path, path.relative_to(one).as_posix()))
        elif not one.is_file():
            raise HilumError("there is no such file or folder", code="load-file-missing", location=str(one))
        elif _kind(one) not in (*LINES, ".json"):
            text = "a file to load ends in .ndjson, .jsonl or .json, also with .gz: name it so"
            raise HilumError(text, code="load-kind-unknown", location=str(one))
        else:
            found.setdefault(one.resolve(), _file(one, one.name))
    if not found:
        raise HilumError("there is nothing to load: no .ndjson or .json files", code="load-nothing-found")
    return list(found.values())


def digest_of(files: Sequence[SourceFile], policy: str) -> str:
    """Stands for these files as they are now: another run with the same ones goes on where this one was ended."""
    hashed = hashlib.sha256(policy.encode())
    for one in files:
        hashed.update(f"\0{one.path.resolve()}\0{one.size}\0{one.modified}".encode())
    return hashed.hexdigest()


def bodies(file: SourceFile, line: int = 0, offset: int = 0) -> Iterator[Body]:
    """The bodies after this line and offset. Raises HilumError `load-file-unreadable`, `load-file-too-large`."""
    try:
        with file.path.open("rb") as raw:
            plain = cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if file.is_compressed else raw
            if file.has_lines:
                yield from _lines(plain, raw, line, offset)
            else:
                yield _whole(plain, file)
    except (OSError, EOFError, gzip.BadGzipFile) as error:
        why = getattr(error, "strerror", None) or "it is cut off or damaged"
        raise HilumError(f"a file cannot be read: {why}", code="load-file-unreadable", location=file.name) from None


def _lines(plain: BinaryIO, raw: BinaryIO, line: int, offset: int) -> Iterator[Body]:
    plain.seek(offset)
    buffered = io.BufferedReader(cast("io.RawIOBase", plain), 1 << 20) if plain is not raw else plain
    while text := buffered.readline(MOST_LINE):
        line += 1
        offset += len(text)
        if not text.endswith(b"\n") and len(text) == MOST_LINE:
            while more := buffered.readline(MOST_LINE):
                offset += len(more)
                if more.endswith(b"\n"):
                    break
            yield Body(None, line, offset, raw.tell())
        elif text.strip():
            yield Body(text.strip(), line, offset, raw.tell())


def _whole(plain: BinaryIO, file: SourceFile) -> Body:
    text = plain.read(MOST_BODY + 1)
    if len(text) > MOST_BODY:
        limit = f"{MOST_BODY // 1_000_000} MB"
        text_ = f"a .json file is one body of at most {limit}: write it as NDJSON"
        raise HilumError(text_, code="load-file-too-large", location=file.name)
    return Body(text, 1, len(text), file.size)


def _kind(path: Path) -> str:
    return path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix


def _file(path: Path, name: str) -> SourceFile:
    about = path.stat()
    return SourceFile(path, name, about.st_size, about.st_mtime_ns)
