"""Binary as bytes: served and taken as what it is (R4 binary.html, "Serving Binary Resources using the RESTful API").

A read that does not ask for FHIR gets the content with its own media type; a write that is not FHIR becomes a Binary
with what X-Security-Context says it belongs to. Served bytes are never run: browsers save them, and sniff nothing.
"""

from __future__ import annotations

import base64
import binascii
import re
from functools import lru_cache
from typing import Any

from hilum.app.api.exchange import Reply
from hilum.app.api.outcomes import Problem
from hilum.formats import fhir

__all__ = ["context_of", "is_raw", "raw_reply", "resource_of"]

_FHIR = frozenset({"application/fhir+json", "application/json", "text/json", "json"})
_XML = frozenset({"application/fhir+xml", "xml"})
_MEDIA = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(?: ?; ?[A-Za-z0-9!#$&^_.+-]+=[\x20-\x7e]+)?")
_ANY = "application/octet-stream"
_SAFE = {
    "Content-Disposition": "attachment",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
}


def is_raw(kind: str) -> bool:
    """Whether a body of this Content-Type is the content of a Binary, and not FHIR."""
    name = kind.partition(";")[0].strip().lower()
    return bool(name) and name not in _FHIR and name not in _XML


def raw_reply(body: bytes, accept: str, asked: str | None, headers: dict[str, str]) -> Reply | None:
    """The content of a stored Binary for who did not ask for FHIR; None: the resource is meant, or nothing is in it.

    `asked` is `_format`. Raises Problem 406 `format-unsupported` for who takes neither.
    """
    if asked is not None or _names_fhir(accept):
        return None
    resource = fhir.decode(body)
    kind = str(resource.get("contentType", ""))
    try:
        content = binascii.a2b_base64(str(resource.get("data", "")))
    except ValueError:  # written by a store before this one checked it
        return None
    if not content:
        return None
    kind = kind if _MEDIA.fullmatch(kind) else _ANY
    if not _takes(accept, kind.partition(";")[0].strip().lower()):
        text = f"this Binary is {kind}: send Accept: {kind}, or application/fhir+json for the resource"
        raise Problem("format-unsupported", 406, "not-supported", text)
    return Reply(200, content, headers | _SAFE, content_type=kind)


def resource_of(content: bytes, kind: str, context: str, id_: str = "") -> bytes:
    """A Binary of what was posted; `context` is X-Security-Context. Raises Problem 400, 415."""
    if not _MEDIA.fullmatch(kind.strip()):
        raise Problem("media-unsupported", 415, "not-supported", "Content-Type is not one media type: send it as a/b")
    made: dict[str, Any] = {"resourceType": "Binary", "contentType": kind.strip()}
    if id_:
        made["id"] = id_
    if context:
        found = fhir.parse_reference(context)
        if found is None or not _is_here(found):
            text = "X-Security-Context is a reference to a resource, as in Patient/p1 or DocumentReference/d1"
            raise Problem("context-invalid", 400, "value", text)
        made["securityContext"] = {"reference": context}
    return fhir.encode(made | {"data": base64.b64encode(content).decode()})


def context_of(body: bytes) -> tuple[str, str] | None:
    """Type and id of what a stored Binary belongs to (`securityContext`); None where it names nothing here."""
    context = fhir.decode(body).get("securityContext")
    reference = context.get("reference") if isinstance(context, dict) else None
    found = fhir.parse_reference(reference) if isinstance(reference, str) else None
    return None if found is None or not _is_here(found) else (found.type, found.id)


def _is_here(found: fhir.Reference) -> bool:
    """A resource of this server, and not another Binary."""
    return found.type not in ("", "Binary") and not found.base


@lru_cache(maxsize=512)
def _names_fhir(accept: str) -> bool:
    """Whether FHIR is among the types that are named (R4: what does not name it is given the content)."""
    return any(one.partition(";")[0].strip().lower() in _FHIR | _XML for one in accept.split(","))


@lru_cache(maxsize=512)
def _takes(accept: str, kind: str) -> bool:
    names = [one.partition(";")[0].strip().lower() for one in accept.split(",")]
    return not accept.strip() or any(one in (kind, "*/*", f"{kind.partition('/')[0]}/*") for one in names)
