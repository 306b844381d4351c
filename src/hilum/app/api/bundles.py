"""Bundles put together from stored bytes: no resource is parsed or written again. Pure.

R4 bundle.html and http.html 3.1.0.7 (history), search.html 3.1.1.7 (searchset).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec
from msgspec.structs import replace

from hilum.app.api.projections import WHOLE, Projection, projected
from hilum.formats.fhir import Issue, operation_outcome
from hilum.repository import Stored

__all__ = ["history", "instant", "searchset"]


_OWN_ID = re.compile("[a-z2-7]{20}")  # as `new_id` writes them


def searchset(
    base: str,
    *,
    matches: Iterable[Stored],
    included: Iterable[Stored],
    total: int,
    links: Sequence[tuple[str, str]],
    warnings: Sequence[Issue] = (),
    projection: Projection = WHOLE,
) -> bytes:
    """A searchset Bundle. `base` is the FHIR base without a slash at its end; `links` are (relation, url).

    A `total` below 0 is not told. Matches are shown as `projection` asks, what is included whole.
    """
    if not projection.is_whole:
        matches = [replace(one, body=projected(one.type, one.body, projection)) for one in matches]
    entries = [_found(base, stored, b"match") for stored in matches]
    entries += [_found(base, stored, b"include") for stored in included]
    if warnings:
        entries.append(b'{"resource":%b,"search":{"mode":"outcome"}}' % operation_outcome(warnings))
    return _bundle(b"searchset", total, links, entries)


def history(base: str, versions: Iterable[Stored], total: int, links: Sequence[tuple[str, str]]) -> bytes:
    """A history Bundle of one resource, newest first."""
    return _bundle(b"history", total, links, [_version(base, stored) for stored in versions])


def instant(microseconds: int) -> str:
    """A FHIR instant in UTC with milliseconds."""
    moment = datetime.fromtimestamp(microseconds // 1_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{microseconds // 1_000 % 1_000:03d}Z"


def _bundle(kind: bytes, total: int, links: Sequence[tuple[str, str]], entries: list[bytes]) -> bytes:
    written = msgspec.json.encode([{"relation": relation, "url": url} for relation, url in links])
    # an empty array is not allowed in FHIR JSON (json.html 2.6.2)
    tail = b',"entry":[%b]}' % b",".join(entries) if entries else b"}"
    counted = b'"total":%d,' % total if total >= 0 else b""
    return b'{"resourceType":"Bundle","type":"%b",%b"link":%b' % (kind, counted, written) + tail


def _found(base: str, stored: Stored, mode: bytes) -> bytes:
    return b'{"fullUrl":"%b","resource":%b,"search":{"mode":"%b"}}' % (_url(base, stored), stored.body, mode)


def _version(base: str, stored: Stored) -> bytes:
    url = f"{stored.type}/{stored.id}".encode()
    method, status = _step(stored)
    if method == b"POST":
        url = stored.type.encode()
    body = b"" if stored.deleted else b'"resource":%b,' % stored.body
    return (
        b'{"fullUrl":"%b",%b"request":{"method":"%b","url":"%b"},'
        b'"response":{"status":"%b","etag":"W/\\"%d\\"","lastModified":"%b"}}'
    ) % (_url(base, stored), body, method, url, status, stored.version, instant(stored.updated).encode())


def _step(stored: Stored) -> tuple[bytes, bytes]:
    """What made a version: a program that let hilum give the id posted it; a message says which resource it means."""
    if stored.deleted:
        return b"DELETE", b"204"
    if stored.version > 1:
        return b"PUT", b"200"
    return b"POST" if stored.seq < 0 and _OWN_ID.fullmatch(stored.id) else b"PUT", b"201"


def _url(base: str, stored: Stored) -> bytes:
    return f"{base}/{stored.type}/{stored.id}".encode()
