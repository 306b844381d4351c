"""What goes between the engine and its translators: frames of bytes, and the values in them.

A frame is its length in four bytes, big-endian, and as many bytes, which are MessagePack (answers: see answers.py).
"""

from __future__ import annotations

import struct

import msgspec

from hilum import __version__
from hilum.model import Message

__all__ = ["HEADER", "frame", "is_ready", "length_of", "messages_from", "messages_to"]

HEADER = 4  # bytes

_LENGTH = struct.Struct(">I")


def frame(body: bytes) -> bytes:
    """The body with its length before it."""
    return _LENGTH.pack(len(body)) + body


def length_of(header: bytes) -> int:
    """The length that a header tells."""
    return int(_LENGTH.unpack(header)[0])


def is_ready() -> bytes:
    """What a translator says first. What it makes is stored by its engine, which must be of the same release."""
    return b"ready " + __version__.encode()


messages_to = msgspec.msgpack.Encoder().encode
messages_from = msgspec.msgpack.Decoder(list[Message]).decode
