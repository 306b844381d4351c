"""Paging links that say nothing: the search and the place in it, sealed.

A `next` link goes into the logs of every proxy on its way, so it must not hold what was searched for. AES-256-GCM under
a key that the store keeps; the type is bound to the seal, so that a link cannot be turned to another type.
"""

from __future__ import annotations

import base64
import binascii
import os
from typing import TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec.structs import replace

from hilum.app.api.outcomes import Problem
from hilum.app.api.projections import WHOLE, Projection
from hilum.repository import Past, Query

__all__ = ["Paging"]

_NONCE = 12
_T = TypeVar("_T")


class Place(msgspec.Struct, array_like=True):
    """Where a paging link leads: a page of a search."""

    query: Query
    projection: Projection = WHOLE


class Paging:
    """Seals and opens the `_cursor` of paging links."""

    def __init__(self, key: bytes) -> None:
        self._seal = AESGCM(key)

    def search(self, query: Query, projection: Projection = WHOLE) -> str:
        """The cursor of a page of a search; `query.after` is the place. What a caller may see is not part of it."""
        place = Place(replace(query, limits=None), projection)
        return self._close(msgspec.msgpack.encode(place), query.type)

    def history(self, past: Past) -> str:
        """The cursor of a page of a history; `past.after` is the place."""
        return self._close(msgspec.msgpack.encode(replace(past, limits=None)), f"_history {past.type}")

    def open(self, type_: str, cursor: str, compartment: str = "") -> Place:
        """What a cursor holds. Raises Problem 400 `cursor-invalid` when it is not one of ours for this address."""
        place = self._opened(cursor, type_, Place)
        if place is None or place.query.compartment != compartment:
            raise _foreign()
        return place

    def open_history(self, type_: str, cursor: str, id_: str = "") -> Past:
        """What a cursor of a history holds. Raises Problem 400 `cursor-invalid`."""
        past = self._opened(cursor, f"_history {type_}", Past)
        if past is None or past.id != id_:
            raise _foreign()
        return past

    def _opened(self, cursor: str, bound: str, shape: type[_T]) -> _T | None:
        try:
            sealed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            plain = self._seal.decrypt(sealed[:_NONCE], sealed[_NONCE:], bound.encode())
            return msgspec.msgpack.decode(plain, type=shape)
        except (ValueError, binascii.Error, InvalidTag, msgspec.DecodeError):
            return None

    def _close(self, plain: bytes, bound: str) -> str:
        nonce = os.urandom(_NONCE)
        sealed = self._seal.encrypt(nonce, plain, bound.encode())
        return base64.urlsafe_b64encode(nonce + sealed).decode().rstrip("=")


def _foreign() -> Problem:
    return Problem(
        "cursor-invalid",
        400,
        "invalid",
        "this is not a paging link of this server for this address; start the search again",
        parameter="_cursor",
    )
