"""How message bodies are packed: exact bytes, compressed with what many messages of this store have in common.

The first byte of a packed body says how: 0 as it is, 1 zstd, 16 and up zstd with the dictionary of that number. A
dictionary is trained from the store's own messages. It outlives them, so it must not hold anything about a patient:
only values that occur in messages of many different keys take part in the training.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import zstandard

from hilum.errors import StoreCorrupt

__all__ = ["Packer", "train"]

PLAIN, ZSTD, FIRST_DICTIONARY = 0, 1, 16
LEVEL = 3
SHARED_BY = 20  # keys that must have a value in common before a dictionary may hold it
DICTIONARY_BYTES = 32 * 1024
LARGEST = 1 << 31

_SEPARATORS = re.compile(rb"([|^~&\r\n])")


class Packer:
    """Packs with the newest dictionary, unpacks with any. `fetch(id)` gives the dictionary that a body names."""

    def __init__(self, fetch: Callable[[int], bytes]) -> None:
        self._fetch = fetch
        self._mine = threading.local()  # zstandard's contexts serve one thread at a time
        self._dictionaries: dict[int, zstandard.ZstdCompressionDict] = {}
        self.newest = ZSTD

    def use(self, dictionary: int) -> None:
        """Pack with this dictionary from now on."""
        self.newest = max(self.newest, dictionary)

    def pack(self, body: bytes) -> bytes:
        """The shorter of packed and plain."""
        number = self.newest
        packed = self._contexts(number)[0].compress(body)
        if len(packed) < len(body):
            return bytes((number,)) + packed
        return bytes((PLAIN,)) + body

    def unpack(self, data: bytes) -> bytes:
        """The exact bytes. Raises StoreCorrupt `journal-body-damaged`."""
        if data[0] == PLAIN:
            return data[1:]
        try:
            return self._contexts(data[0])[1].decompress(memoryview(data)[1:], max_output_size=LARGEST)
        except zstandard.ZstdError:
            raise StoreCorrupt(
                "a stored message cannot be unpacked: run `hilum journal verify`", code="journal-body-damaged"
            ) from None

    def _contexts(self, number: int) -> tuple[zstandard.ZstdCompressor, zstandard.ZstdDecompressor]:
        contexts: dict[int, tuple[zstandard.ZstdCompressor, zstandard.ZstdDecompressor]]
        contexts = self._mine.__dict__.setdefault("contexts", {})
        if number not in contexts:
            dictionary = self._dictionary(number)
            contexts[number] = (
                zstandard.ZstdCompressor(level=LEVEL, dict_data=dictionary, write_dict_id=False, write_checksum=False),
                zstandard.ZstdDecompressor(dict_data=dictionary),
            )
        return contexts[number]

    def _dictionary(self, number: int) -> zstandard.ZstdCompressionDict | None:
        if number < FIRST_DICTIONARY:
            return None
        if number not in self._dictionaries:
            made = zstandard.ZstdCompressionDict(self._fetch(number))
            made.precompute_compress(level=LEVEL)
            self._dictionaries[number] = made
        return self._dictionaries[number]


def train(samples: Sequence[tuple[str, bytes]]) -> bytes | None:
    """A dictionary from (key, body) pairs, or None when they have too little in common."""
    shared = _shared_values(samples)
    cleaned: list[bytes | bytearray | memoryview] = [_without_own_values(body, shared) for _, body in samples]
    try:
        return zstandard.train_dictionary(DICTIONARY_BYTES, cleaned).as_bytes()
    except zstandard.ZstdError:
        return None


def _shared_values(samples: Iterable[tuple[str, bytes]]) -> frozenset[bytes]:
    keys_of: Counter[bytes] = Counter()
    for body in {key: body for key, body in samples if key}.values():
        keys_of.update(set(_SEPARATORS.split(body)))
    return frozenset(value for value, keys in keys_of.items() if keys >= SHARED_BY)


def _without_own_values(body: bytes, shared: frozenset[bytes]) -> bytes:
    return b"".join(part for part in _SEPARATORS.split(body) if part in shared)
