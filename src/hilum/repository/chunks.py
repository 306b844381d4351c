"""Bodies as they lie in the file: what one message made lies together in one compressed chunk.

The resources of a message name each other and share times and codes: together they take a third of what they take one
by one. A chunk is never changed, so what was read of it may be remembered. A version is found by its chunk and its
place in it. Large texts (a scanned report) get a chunk of their own, so that reading a small one stays cheap.

A chunk also tells the event time of its message, which most of its resources share. It lies in the table in pieces of
such a size that pages are well filled.

The first byte of a chunk says how it is kept: 0 as it is, 1 zstd with the dictionary `bodies-1.zdict`. A better
dictionary gets the next number beside this one; what was written with this one stays readable.
"""

from __future__ import annotations

import threading
from importlib import resources

import apsw
import msgspec
import zstandard
from msgspec import Struct

from hilum.errors import StoreCorrupt

from .sql import rows

__all__ = ["CHUNK", "Chunks", "Texts", "compress", "decompress", "first_chunk"]

PARTS = 16  # a message's chunks are numbered seq * PARTS and on
PIECES = 64  # a chunk's pieces are numbered chunk * PIECES and on
PIECE = 780  # bytes: five fill a page of 4 KiB
LARGE = 32 * 1024  # bytes of text from which a resource gets a chunk of its own
KEPT = 1_024  # chunks remembered
CHUNK = f"coalesce(v.chunk, v.seq * {PARTS})"  # the chunk of `v`, a row of resource or resource_history, in SQL
LEVEL = 3

_DICTIONARY = zstandard.ZstdCompressionDict(resources.files(__package__).joinpath("bodies-1.zdict").read_bytes())
_PARAMETERS = zstandard.ZstdCompressionParameters.from_level(
    LEVEL,
    source_size=16 * 1024,
    dict_size=len(_DICTIONARY.as_bytes()),
    format=zstandard.FORMAT_ZSTD1_MAGICLESS,
    write_dict_id=False,
    write_checksum=False,
)
_DICTIONARY.precompute_compress(compression_params=_PARAMETERS)


class _Codecs(threading.local):
    """zstd contexts may not be shared between threads."""

    def __init__(self) -> None:
        self.compress = zstandard.ZstdCompressor(dict_data=_DICTIONARY, compression_params=_PARAMETERS).compress
        self.decompress = zstandard.ZstdDecompressor(
            dict_data=_DICTIONARY, format=zstandard.FORMAT_ZSTD1_MAGICLESS
        ).decompress


_codecs = _Codecs()


def compress(text: bytes) -> bytes:
    """b"" stays b""."""
    if not text:
        return b""
    small = b"\x01" + _codecs.compress(text)
    return small if len(small) <= len(text) else b"\0" + text


def decompress(stored: bytes) -> bytes:
    """Raises StoreCorrupt `body-unreadable`."""
    if not stored or stored[0] == 0:
        return stored[1:]
    try:
        return _codecs.decompress(stored[1:])
    except zstandard.ZstdError:
        raise _unreadable() from None


def first_chunk(seq: int) -> int:
    """The number of the chunk that holds what this message made, but for large texts."""
    return seq * PARTS


class _Chunk(Struct, array_like=True):
    at: int  # event time of the message, microseconds
    texts: list[bytes]


_to_chunk = msgspec.msgpack.Encoder().encode
_from_chunk = msgspec.msgpack.Decoder(_Chunk).decode


class Chunks:
    """Texts on their way into chunks, while a plan is made."""

    def __init__(self) -> None:
        self._chunks: dict[int, _Chunk] = {}

    def add(self, seq: int, at: int, text: bytes) -> tuple[int, int]:
        """Put a text into a chunk of this message: (chunk, place)."""
        number = first_chunk(seq)
        if len(text) > LARGE:
            number += 1 + sum(number + part in self._chunks for part in range(1, PARTS - 1))
        chunk = self._chunks.setdefault(number, _Chunk(at, []))
        chunk.texts.append(text)
        return number, len(chunk.texts) - 1

    def packed(self) -> list[tuple[int, bytes]]:
        """The chunks as rows: number of the piece, data."""
        return [
            row for number, chunk in sorted(self._chunks.items()) for row in _pieces(number, compress(_to_chunk(chunk)))
        ]


def _pieces(number: int, data: bytes) -> list[tuple[int, bytes]]:
    """Of equal length, at most PIECES."""
    count = min(PIECES, -(-len(data) // PIECE))
    size = -(-len(data) // count)
    return [(number * PIECES + at, data[at * size : (at + 1) * size]) for at in range(-(-len(data) // size))]


_DATA = "SELECT data FROM resource_body WHERE piece BETWEEN ? AND ? ORDER BY piece"


class Texts:
    """Reads texts out of chunks, and remembers the chunks that were read last."""

    def __init__(self) -> None:
        self._kept: dict[int, _Chunk] = {}
        self._below: dict[int, _Chunk] = {}

    def apart(self) -> Texts:
        """The same, for reading inside a transaction that may yet fail: what is read there is not remembered here."""
        mine = Texts()
        mine._below = self._kept
        return mine

    def take(self, apart: Texts) -> None:
        """Remember what was read apart, once that transaction was committed."""
        if len(self._kept) + len(apart._kept) > KEPT:
            self._kept.clear()
        self._kept.update(apart._kept)

    def text(self, connection: apsw.Connection, number: int, place: int | None) -> bytes:
        """The text at a place of a chunk; b"" for a deleted version, which has no place."""
        return b"" if place is None else self.said(connection, number, place)[1]

    def known(self, number: int, place: int | None) -> bytes | None:
        """The same where the chunk is remembered, else None."""
        if place is None:
            return b""
        chunk = self._kept.get(number)
        return chunk.texts[place] if chunk is not None and place < len(chunk.texts) else None

    def said(self, connection: apsw.Connection, number: int, place: int) -> tuple[int, bytes]:
        """The same with the event time of its message."""
        chunk = self._kept.get(number) or self._below.get(number) or self._read(connection, number)
        if place >= len(chunk.texts):
            raise _unreadable()
        return chunk.at, chunk.texts[place]

    def _read(self, connection: apsw.Connection, number: int) -> _Chunk:
        found = rows(connection, _DATA, (number * PIECES, number * PIECES + PIECES - 1))
        try:
            chunk = _from_chunk(decompress(b"".join([data for (data,) in found])))
        except msgspec.MsgspecError:
            raise _unreadable() from None
        if sum(map(len, chunk.texts)) <= PARTS * LARGE:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            self._kept[number] = chunk
        return chunk


def _unreadable() -> StoreCorrupt:
    return StoreCorrupt("a stored resource cannot be read: stop, keep the file, restore a copy", code="body-unreadable")
