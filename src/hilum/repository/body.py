"""The stored form of a version, and the JSON that is served from it. Pure.

Stored text: id NUL meta NUL elements NUL extra. `meta` and `elements` are JSON objects as messages stated them (never
holding a NUL), `extra` is MessagePack, empty for most. Version and time are no part of it: they are columns, put in
when it is served. References are kept as they were stated; where one points to a retired record, `extra` says where to.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec
from msgspec import Raw, Struct

from hilum.formats import fhir

from .patch import Slots, Stated

__all__ = ["PLAIN", "Overlay", "Record", "meta_text", "own_meta", "pack", "serve", "served_text", "unpack"]


class Overlay(Struct, frozen=True, array_like=True, omit_defaults=True):
    """What merges make of a resource. Empty for most."""

    redirect: dict[str, str] = {}  # a retired target -> where its references point now
    replaced_by: str = ""  # this record is retired
    replaces: tuple[str, ...] = ()


PLAIN = Overlay()


class Record(Struct, frozen=True):
    """All that is stored of one version."""

    id: str
    stated: Stated
    overlay: Overlay = PLAIN


class _Extra(Struct, array_like=True, omit_defaults=True):
    times: dict[str, int] = {}
    gone: tuple[str, ...] = ()
    slots: dict[str, Slots] = {}
    overlay: Overlay = PLAIN


_to_extra = msgspec.msgpack.Encoder().encode
_from_extra = msgspec.msgpack.Decoder(_Extra).decode
_to_json = msgspec.json.Encoder().encode
_from_json = msgspec.json.Decoder(dict[str, Raw]).decode


def pack(record: Record) -> bytes:
    """A record -> its stored text (not compressed)."""
    stated, overlay = record.stated, record.overlay
    rest, meta_text = stated.elements, b""
    if "meta" in rest:
        rest = rest.copy()
        meta_text = own_meta(bytes(rest.pop("meta")))
    extra = b""
    if stated.times or stated.gone or stated.slots or overlay is not PLAIN:
        extra = _to_extra(_Extra(stated.times, tuple(sorted(stated.gone)), stated.slots, overlay))
    return b"\0".join((record.id.encode(), meta_text, _to_json(rest), extra))


@lru_cache(maxsize=1_024)  # a ward or a physician is in every other message
def unpack(text: bytes, at: int) -> Record:
    """Stored text -> record. `at` is the time of its newest statement."""
    id_, meta, body, extra = text.split(b"\0", 3)
    elements = _from_json(body)
    if meta:
        elements["meta"] = Raw(meta)
    if not extra:
        return Record(id_.decode(), Stated(elements, at))
    more = _from_extra(extra)
    overlay = more.overlay if more.overlay != PLAIN else PLAIN
    return Record(id_.decode(), Stated(elements, at, more.times, frozenset(more.gone), more.slots), overlay)


def serve(type_: str, text: bytes, version: int, updated: int) -> tuple[str, bytes]:
    """Stored text -> (id, the whole resource as JSON). `updated` in milliseconds."""
    id_, meta, body, extra = text.split(b"\0", 3)
    if extra:
        overlay = _from_extra(extra).overlay
        if overlay != PLAIN:
            body = _overlaid(body, overlay)
    head = _head(type_, version, updated)
    more_meta = b"," + meta[1:-1] if len(meta) > 2 else b""
    rest = b"," + body[1:] if len(body) > 2 else b"}"
    return id_.decode(), b"".join((head[0], id_, head[1], more_meta, b"}", rest))


def served_text(text: bytes) -> tuple[bytes, dict[str, str]]:
    """The elements as they are served, as JSON, without meta: what facts are taken from; and the redirections."""
    _, _, body, extra = text.split(b"\0", 3)
    if not extra:
        return body, {}
    overlay = _from_extra(extra).overlay
    return (body, {}) if overlay == PLAIN else (_overlaid(body, overlay), overlay.redirect)


def meta_text(text: bytes) -> bytes:
    """`meta` as it was stated; b"" for none."""
    start = text.index(b"\0") + 1
    return text[start : text.index(b"\0", start)]


@lru_cache(maxsize=1_024)
def _head(type_: str, version: int, updated: int) -> tuple[bytes, bytes]:
    return (
        f'{{"resourceType":"{type_}","id":"'.encode(),
        f'","meta":{{"versionId":"{version}","lastUpdated":"{fhir.format_instant(updated)}"'.encode(),
    )


@lru_cache(maxsize=1_024)
def own_meta(raw: bytes) -> bytes:
    """What a message says of `meta`, without what is ours to say."""
    meta = _from_json(raw)
    meta.pop("versionId", None)
    meta.pop("lastUpdated", None)
    return _to_json(meta)


def _overlaid(body: bytes, overlay: Overlay) -> bytes:
    """R4 patient.html#merge: the retired record is inactive and names its survivor; references follow."""
    if overlay.redirect:
        body = fhir.redirect_references(body, overlay.redirect)
    if not (overlay.replaced_by or overlay.replaces):
        return body
    elements = _from_json(body)
    links = [Raw(raw) for raw in msgspec.json.decode(elements["link"], type=list[Raw])] if "link" in elements else []
    if overlay.replaced_by:
        elements["active"] = Raw(b"false")
        links.append(_link(overlay.replaced_by, "replaced-by"))
    links.extend(_link(other, "replaces") for other in overlay.replaces)
    elements["link"] = Raw(_to_json(links))
    return _to_json(elements)


def _link(other: str, type_: str) -> Raw:
    return Raw(_to_json({"other": {"reference": other}, "type": type_}))
