"""How a resource's type and id become the key of a table. Pure.

hilum's own ids are 20 characters of base32 (100 bits): they are packed into 13 bytes. Any other id is kept as text
behind 0xFF, which no packed id begins with. The type follows the id, so that ids that begin alike lie together whatever
their types.
"""

from __future__ import annotations

import re

from hilum.formats import fhir

__all__ = ["TYPE_NUMBERS", "id_in", "pack_name"]

TYPE_NUMBERS = {name: number for number, name in enumerate(fhir.RESOURCE_TYPES, start=1)}

_OWN = re.compile("[a-z2-7]{20}")
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_DIGITS = str.maketrans(_LETTERS, "0123456789abcdefghijklmnopqrstuv")
_PAIRS = [first + second for first in _LETTERS for second in _LETTERS]


def pack_name(record: str) -> bytes:
    """`Type/id` -> key: the id, then one byte for the type; 0 and the whole record for a type that R4 does not have."""
    type_, _, id_ = record.partition("/")
    number = TYPE_NUMBERS.get(type_, 0)
    if number == 0:
        return b"\xff" + record.encode() + b"\0"
    if _OWN.fullmatch(id_):
        return int(id_.translate(_DIGITS), 32).to_bytes(13, "big") + number.to_bytes(1, "big")
    return b"\xff" + id_.encode() + number.to_bytes(1, "big")


def id_in(key: bytes) -> str:
    """The id of a key that was packed from a type of R4."""
    if key[0] == 0xFF:
        return key[1:-1].decode()
    found = int.from_bytes(key[:-1], "big")
    return "".join([_PAIRS[found >> shift & 1023] for shift in range(90, -10, -10)])
