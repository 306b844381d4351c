"""Paging links that say nothing: the search and the place in it, sealed.

A `next` link goes into the logs of every proxy on its way, so it must not hold what was searched for. AES-256-GCM under
a key that the store keeps; the type is bound to the seal, so that a link cannot be turned to another type.
"""

from __future__ import annotations

import base64
import binascii
import os

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec.structs import replace

from hilum.app.api.outcomes import Problem
from hilum.app.api.projections import WHOLE, Projection
from hilum.repository import Query

__all__ = ["Paging"]

_NONCE = 12


class Place(msgspec.Struct, array_like=True):
    """Where a paging link leads: a page of a search, or the versions of `id` from `version` downwards."""

    query: Query
    id: str = ""
    version: int = 0
    projection: Projection = WHOLE


class Paging:
    """Seals and opens the `_cursor` of paging links."""

    def __init__(self, key: bytes) -> None:
        self._seal = AESGCM(key)

    def search(self, query: Query, projection: Projection = WHOLE) -> str:
        """The cursor of a page of a search; `query.after` is the place. What a caller may see is not part of it."""
        return self._close(Place(replace(query, limits=None), projection=projection))

    def history(self, type_: str, id_: str, version: int, count: int) -> str:
        """The cursor of the versions of one resource from `version` downwards."""
        return self._close(Place(Query(type=type_, count=count), id_, version))

    def open(self, type_: str, cursor: str, id_: str = "", compartment: str = "") -> Place:
        """What a cursor holds. Raises Problem 400 `cursor-invalid` when it is not one of ours for this address."""
        try:
            sealed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            plain = self._seal.decrypt(sealed[:_NONCE], sealed[_NONCE:], type_.encode())
            place = msgspec.msgpack.decode(plain, type=Place)
        except (ValueError, binascii.Error, InvalidTag, msgspec.DecodeError):
            place = None
        if place is None or place.id != id_ or place.query.compartment != compartment:
            raise Problem(
                "cursor-invalid",
                400,
                "invalid",
                "this is not a paging link of this server for this address; start the search again",
                parameter="_cursor",
            )
        return place

    def _close(self, place: Place) -> str:
        nonce = os.urandom(_NONCE)
        sealed = self._seal.encrypt(nonce, msgspec.msgpack.encode(place), place.query.type.encode())
        return base64.urlsafe_b64encode(nonce + sealed).decode().rstrip("=")
