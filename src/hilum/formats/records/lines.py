"""A file as lines with their numbers, read as it goes: memory holds one line."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

from hilum.errors import FormatError

__all__ = ["LONGEST", "ends_in_cr", "lines_in", "lines_of"]

LONGEST = 16 * 1024 * 1024  # bytes of one line
_BOM = b"\xef\xbb\xbf"
_WIDE = (b"\xff\xfe", b"\xfe\xff")
_START = 64 * 1024
_CHUNK = 1024 * 1024


def lines_of(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """(number from 1, line with its end). A byte order mark of UTF-8 is left out; lines may end in LF, CRLF or CR.

    Raises FormatError `records-encoding` or `records-line-too-long`.
    """
    start = file.read(_START)
    if start[:2] in _WIDE or b"\0" in start[:200].split(b"\n", 1)[0]:
        message = "this is UTF-16 or no text at all: save it as CSV in UTF-8"
        raise FormatError(message, code="records-encoding", location="line 1")
    file.seek(len(_BOM) if start.startswith(_BOM) else 0)
    yield from enumerate(_by_cr(file) if _is_cr(start) else _by_lf(file), 1)


def _is_cr(start: bytes) -> bool:
    return b"\r" in start and b"\n" not in start


def ends_in_cr(file: BinaryIO) -> bool:
    """Whether its lines end in CR alone, as old programs write them. The file stands at its beginning after it."""
    start = file.read(_START)
    file.seek(0)
    return _is_cr(start)


def lines_in(body: bytes, line: int, *, cr: bool) -> Iterator[tuple[int, bytes]]:
    """The lines of a part of a file whose first one has the number `line`."""
    file = BytesIO(body)
    yield from enumerate(_by_cr(file) if cr else _by_lf(file), line)


def _by_lf(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(LONGEST + 1):
        _check(line)
        yield line


def _by_cr(file: BinaryIO) -> Iterator[bytes]:
    rest = b""
    while chunk := file.read(_CHUNK):
        *lines, rest = (rest + chunk).split(b"\r")
        for line in lines:
            yield line + b"\r"
        _check(rest)
    if rest:
        yield rest


def _check(line: bytes) -> None:
    if len(line) > LONGEST:
        message = f"a line is longer than {LONGEST} bytes: is its delimiter a line end of another kind?"
        raise FormatError(message, code="records-line-too-long")
