"""Bodies as they lie in the file: what one message made lies together in one compressed chunk.

The resources of a message name each other and share times and codes: together they take a third of what they take one
by one. A chunk is never changed, so what was read of it may be remembered. A version is found by its chunk and its
place in it. Large texts (a scanned report) get a chunk of their own, so that reading a small one stays cheap.

The first byte of a chunk says how it is kept: 0 as it is, 1 zstd with the dictionary `bodies-1.zdict`. A better
dictionary gets the next number beside this one; what was written with this one stays readable.
"""

from __future__ import annotations

import threading
from importlib import resources

import msgspec
import zstandard

from hilum.errors import StoreCorrupt

__all__ = ["CHUNK", "Chunks", "Texts", "compress", "decompress", "first_chunk"]

PARTS = 16  # a message's chunks are numbered seq * PARTS and on
LARGE = 32 * 1024  # bytes of text from which a resource gets a chunk of its own
KEPT = 256  # chunks remembered
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
_to_list = msgspec.msgpack.Encoder().encode
_from_list = msgspec.msgpack.Decoder(list[bytes]).decode


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


class Chunks:
    """Texts on their way into chunks, while a plan is made."""

    def __init__(self) -> None:
        self._texts: dict[int, list[bytes]] = {}

    def add(self, seq: int, text: bytes) -> tuple[int, int]:
        """Put a text into a chunk of this message: (chunk, place)."""
        chunk = first_chunk(seq)
        if len(text) > LARGE:
            taken = [part for part in range(1, PARTS - 1) if chunk + part in self._texts]
            chunk += len(taken) + 1
        texts = self._texts.setdefault(chunk, [])
        texts.append(text)
        return chunk, len(texts) - 1

    def packed(self) -> list[tuple[int, bytes]]:
        """The chunks as rows: number, data."""
        return [(chunk, compress(_to_list(texts))) for chunk, texts in sorted(self._texts.items())]


class Texts:
    """Reads texts out of chunks, and remembers the chunks that were read last."""

    def __init__(self) -> None:
        self._kept: dict[int, list[bytes]] = {}

    def text(self, chunk: int, place: int | None, data: bytes | None) -> bytes:
        """The text at a place of a chunk, given its stored bytes; b"" for a deleted version, which has no place."""
        if place is None:
            return b""
        texts = self._kept.get(chunk)
        if texts is None:
            texts = self._open(chunk, data)
        if place >= len(texts):
            raise _unreadable()
        return texts[place]

    def _open(self, chunk: int, data: bytes | None) -> list[bytes]:
        if data is None:
            raise _unreadable()
        try:
            texts = _from_list(decompress(data))
        except msgspec.MsgspecError:
            raise _unreadable() from None
        if sum(map(len, texts)) <= PARTS * LARGE:
            if len(self._kept) >= KEPT:
                self._kept = {}
            self._kept[chunk] = texts
        return texts


def _unreadable() -> StoreCorrupt:
    return StoreCorrupt("a stored resource cannot be read: stop, keep the file, restore a copy", code="body-unreadable")
