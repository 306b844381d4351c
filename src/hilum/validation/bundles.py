"""Rules of Bundles (R4 bundle.html, bdl-1 to bdl-12), and references between what is in one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .run import Pointer, Seen
from .where import Where

__all__ = ["check_bundle", "follow"]

Json = dict[str, Any]
_ABSOLUTE = re.compile(r"(?:https?://|urn:uuid:|urn:oid:)\S+")
_UUID = re.compile(r"urn:uuid:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_RESTFUL = re.compile(r"https?://.+/([A-Z][A-Za-z]+)/([A-Za-z0-9.\-]{1,64})")
_WITH_REQUESTS = {"batch", "transaction", "history"}
_WITH_RESPONSES = {"batch-response", "transaction-response", "history"}
_FIRST = {"document": "Composition", "message": "MessageHeader"}
# Kinds in which nobody else could know a `urn:uuid:` of the bundle.
_CLOSED = {"transaction", "batch", "document", "message", "collection"}


def check_bundle(bundle: Json, where: Where, seen: Seen) -> None:
    """What must hold for the bundle itself and for each entry."""
    kind, entries = bundle.get("type", ""), bundle.get("entry", [])
    for key, human in _broken(bundle, kind, entries):
        seen.report("bundle-rule", f"{key}: {human}", where)
    _full_urls(entries, kind, where, seen)


def _broken(bundle: Json, kind: str, entries: list[Json]) -> Iterator[tuple[str, str]]:
    """(key, what it asks) of each rule that does not hold."""
    if "total" in bundle and kind not in ("searchset", "history"):
        yield "bdl-1", "only a search or a history has a total"
    if kind != "searchset" and any("search" in one for one in entries):
        yield "bdl-2", "only entries of a search say how they were found"
    if any(("request" in one) != (kind in _WITH_REQUESTS) for one in entries):
        yield "bdl-3", "each entry of a batch, transaction or history has a request, and no other entry has one"
    if any(("response" in one) != (kind in _WITH_RESPONSES) for one in entries):
        yield "bdl-4", "each entry of a response or history has a response, and no other entry has one"
    if any(not one.keys() & {"resource", "request", "response"} for one in entries):
        yield "bdl-5", "each entry has a resource, a request or a response"
    if kind == "document" and not {"system", "value"} <= bundle.get("identifier", {}).keys():
        yield "bdl-9", "a document has an identifier with system and value"
    if kind == "document" and "timestamp" not in bundle:
        yield "bdl-10", "a document has a timestamp"
    first = entries[0].get("resource", {}).get("resourceType") if entries else ""
    if kind in _FIRST and first != _FIRST[kind]:
        yield ("bdl-11" if kind == "document" else "bdl-12"), f"its first entry is a {_FIRST[kind]}"


def _full_urls(entries: list[Json], kind: str, where: Where, seen: Seen) -> None:
    taken: set[tuple[str, str]] = set()
    for number, entry in enumerate(entries):
        url = entry.get("fullUrl")
        if url is None:
            continue
        here: Where = ((where, "entry", number), "fullUrl", -1)
        resource = entry.get("resource", {})
        if _ABSOLUTE.fullmatch(url) is None:
            text = "a fullUrl is absolute: http(s)://..., urn:uuid:... or urn:oid:..."
            seen.report("full-url-relative", text, here)
        elif url.startswith("urn:uuid:") and _UUID.fullmatch(url) is None:
            seen.report("value-malformed", "this is not written as R4 wants it: urn:uuid: and a UUID", here)
        if "/_history/" in url:
            seen.report("bundle-rule", "bdl-8: a fullUrl names a resource, not one version of it", here)
        _same_identity(url, resource, here, seen)
        key = (url, str(resource.get("meta", {}).get("versionId", "")))
        if kind != "history" and key in taken:
            text = "another entry has this fullUrl already (bdl-7)"
            seen.report("full-url-duplicate", text, here)
        taken.add(key)


def _same_identity(url: str, resource: Json, here: Where, seen: Seen) -> None:
    match = _RESTFUL.fullmatch(url)
    if match is None or match[1] != resource.get("resourceType") or "id" not in resource:
        return
    if match[2] != resource["id"]:
        seen.report("full-url-differs", "the fullUrl ends in another id than the resource has", here)


def follow(bundle: Json, met: list[tuple[str, list[Pointer]]], seen: Seen) -> None:
    """Follow the references of all entries: (fullUrl of the entry, its references)."""
    types = _types(bundle.get("entry", []))
    closed = bundle.get("type") in _CLOSED
    for base, pointers in met:
        for pointer in pointers:
            target = _absolute(pointer.reference, base)
            found = types.get(target)
            if found is not None:
                _fits(pointer, found, seen)
            elif closed and target.startswith("urn:uuid:"):
                text = "no entry of the bundle has this fullUrl"
                seen.report("reference-dangling", text, pointer.where)


def _types(entries: list[Json]) -> dict[str, str]:
    """What a reference may say -> the type that it leads to."""
    found: dict[str, str] = {}
    for entry in entries:
        type_ = entry.get("resource", {}).get("resourceType")
        if type_ and "fullUrl" in entry:
            found[entry["fullUrl"]] = type_
    return found


def _absolute(reference: str, base: str) -> str:
    """A relative reference beside its own fullUrl (R4 bundle.html#references); versions are not looked at."""
    plain = reference.partition("/_history/")[0].partition("#")[0]
    match = _RESTFUL.fullmatch(base)
    if match is None or ":" in plain:
        return plain
    return f"{base[: match.start(1)]}{plain}"


def _fits(pointer: Pointer, type_: str, seen: Seen) -> None:
    if pointer.allowed is not None and type_ not in pointer.allowed and ":" in pointer.reference[:9]:
        text = f"this leads to a {type_} of the bundle, and may lead to {' or '.join(sorted(pointer.allowed))}"
        seen.report("reference-wrong-type", text, pointer.where)
