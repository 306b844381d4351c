"""How a resource's type and id become the key of a table. Pure.

hilum's own ids are 20 characters of base32 (100 bits): they are packed into 13 bytes behind one byte for the type. Any
other id is kept as text behind 0xFF, which no packed id begins with.
"""

from __future__ import annotations

import re

from hilum.formats import fhir

__all__ = ["TYPE_NUMBERS", "pack_name"]

TYPE_NUMBERS = {name: number for number, name in enumerate(fhir.RESOURCE_TYPES, start=1)}

_OWN = re.compile("[a-z2-7]{20}")
_DIGITS = str.maketrans("abcdefghijklmnopqrstuvwxyz234567", "0123456789abcdefghijklmnopqrstuv")


def pack_name(record: str) -> bytes:
    """`Type/id` -> key. A type that R4 does not have is number 0 with the whole record as text."""
    type_, _, id_ = record.partition("/")
    number = TYPE_NUMBERS.get(type_, 0)
    if number == 0:
        return b"\0\xff" + record.encode()
    if _OWN.fullmatch(id_):
        return number.to_bytes(1, "big") + int(id_.translate(_DIGITS), 32).to_bytes(13, "big")
    return number.to_bytes(1, "big") + b"\xff" + id_.encode()
