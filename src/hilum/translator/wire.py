"""What goes between the engine and its translators: frames of bytes, and the values in them.

A frame is its length in four bytes, big-endian, and as many bytes. Messages travel as MessagePack, answers as JSON,
because the JSON of drafts is spliced into it as it is.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from hilum.model import Effects, Held, Message

__all__ = ["HEADER", "READY", "answers_from", "answers_to", "frame", "length_of", "messages_from", "messages_to"]

HEADER = 4  # bytes
READY = b"ready"

_LENGTH = struct.Struct(">I")


class _Answer(Struct, array_like=True, omit_defaults=True):
    effects: Effects | None = None
    held: Held | None = None


def frame(body: bytes) -> bytes:
    """The body with its length before it."""
    return _LENGTH.pack(len(body)) + body


def length_of(header: bytes) -> int:
    """The length that a header tells."""
    return int(_LENGTH.unpack(header)[0])


messages_to = msgspec.msgpack.Encoder().encode
messages_from = msgspec.msgpack.Decoder(list[Message]).decode

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[_Answer]).decode


def answers_to(answers: Sequence[Effects | Held]) -> bytes:
    """What became of some messages."""
    return _encode([_Answer(one) if isinstance(one, Effects) else _Answer(None, one) for one in answers])


def answers_from(body: bytes) -> list[Effects | Held]:
    """The same again. Raises msgspec.MsgspecError for what is not."""
    return [one.effects or _held(one) for one in _decode(body)]


def _held(answer: _Answer) -> Held:
    if answer.held is None:
        raise msgspec.ValidationError("an answer without effects must say why it is held")
    return answer.held
