"""Bodies as they lie in the file: compressed against a dictionary that is shipped with hilum.

The first byte says how: 0 as they are, 1 zstd with the dictionary `bodies-1.zdict`. A better dictionary gets the next
number beside this one; what was written with this one stays readable.
"""

from __future__ import annotations

import threading
from importlib import resources

import zstandard

from hilum.errors import StoreCorrupt

__all__ = ["compress", "decompress"]

LEVEL = 3

_DICTIONARY = zstandard.ZstdCompressionDict(resources.files(__package__).joinpath("bodies-1.zdict").read_bytes())
_PARAMETERS = zstandard.ZstdCompressionParameters.from_level(
    LEVEL,
    source_size=800,
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
    """b"" (a deleted resource) stays b""."""
    if not text:
        return b""
    small = b"\x01" + _codecs.compress(text)
    return small if len(small) <= len(text) else b"\0" + text


def decompress(stored: bytes) -> bytes:
    """Raises StoreCorrupt `body-unreadable`."""
    if not stored:
        return b""
    if stored[0] == 0:
        return stored[1:]
    try:
        return _codecs.decompress(stored[1:])
    except zstandard.ZstdError:
        raise StoreCorrupt(
            "a stored resource cannot be decompressed: stop, keep the file, restore a copy", code="body-unreadable"
        ) from None
