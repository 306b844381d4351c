"""Where the next page of a search begins, as text that means nothing to others. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any

import msgspec
from msgspec import Struct

from hilum.errors import HilumError

from .seam import Query

__all__ = ["Cursor", "read_cursor", "write_cursor"]


class Cursor(Struct, frozen=True, array_like=True):
    """The last row of the page before: its sort keys (commit, date, string, number) and its number in the store."""

    query: bytes  # of which query
    key: tuple[int | float | str, ...]
    rid: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Cursor).decode


def write_cursor(query: Query, key: tuple[Any, ...], rid: int) -> str:
    """Opaque and safe in a URL."""
    return base64.urlsafe_b64encode(_encode(Cursor(_mark(query), key, rid))).rstrip(b"=").decode()


def read_cursor(query: Query) -> Cursor | None:
    """None on a first page. Raises HilumError `search-cursor-invalid` when it is not one of this query."""
    if not query.after:
        return None
    try:
        raw = base64.urlsafe_b64decode(query.after + "=" * (-len(query.after) % 4))
        cursor = _decode(raw)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise _invalid() from None
    if cursor.query != _mark(query):
        raise _invalid()
    return cursor


def _mark(query: Query) -> bytes:
    asked: tuple[Any, ...] = (query.type, query.terms, query.sort, query.compartment, query.types)
    asked += (query.care,) if query.care is not None else ()
    return hashlib.blake2b(_encode(asked), digest_size=6).digest()


def _invalid() -> HilumError:
    return HilumError(
        "this page link is not one of this search: begin again without it",
        code="search-cursor-invalid",
        location="_cursor",
    )
