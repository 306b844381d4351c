"""Entries of a batch or transaction (R4 bundle.html#bundle-request-response), read and answered. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from hilum.app.api.exchange import Reply
from hilum.app.api.outcomes import Problem
from hilum.formats import fhir

__all__ = ["CONDITIONS", "Entry", "answer_of", "at_entry", "body_of", "entries_of", "phrase", "response_of"]

MOST_ENTRIES = 5_000
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
CONDITIONS = {
    "ifNoneExist": b"if-none-exist",
    "ifMatch": b"if-match",
    "ifNoneMatch": b"if-none-match",
    "ifModifiedSince": b"if-modified-since",
}


class Entry(Struct, frozen=True):
    """One entry. `path` is below the base, `query` as written."""

    index: int
    method: str
    path: str
    query: str
    full_url: str
    resource: Any
    conditions: dict[str, str]
    problem: Problem | None = None  # of a batch: why it cannot be read

    @property
    def parts(self) -> list[str]:
        return self.path.split("/")


def entries_of(bundle: Any, base: str) -> tuple[str, list[Entry]]:
    """`batch` or `transaction`, and the entries. Raises Problem 400, 413."""
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise Problem("bundle-expected", 400, "structure", "this address takes a Bundle of type batch or transaction")
    kind, given = bundle.get("type"), bundle.get("entry", [])
    if kind not in ("batch", "transaction") or not isinstance(given, list):
        raise Problem("bundle-expected", 400, "value", "the Bundle must be of type batch or transaction")
    if len(given) > MOST_ENTRIES:
        text = f"a bundle has at most {MOST_ENTRIES} entries: send it in parts"
        raise Problem("bundle-too-large", 413, "too-costly", text)
    return str(kind), [_read(index, one, base, str(kind)) for index, one in enumerate(given)]


def _read(index: int, given: Any, base: str, kind: str) -> Entry:
    """One entry. Of a batch one that cannot be read is answered by itself (R4 http.html#brules), the others stand."""
    try:
        return _entry(index, given, base)
    except Problem as problem:
        if kind == "transaction":
            raise
        return Entry(index, "", "", "", "", None, {}, problem)


def _entry(index: int, given: Any, base: str) -> Entry:
    request = given.get("request") if isinstance(given, dict) else None
    if not isinstance(request, dict):
        raise _bad(index, "it has no request")
    method, url = request.get("method"), request.get("url")
    if method not in _METHODS or not isinstance(url, str) or not url:
        raise _bad(index, f"its request needs a method ({', '.join(_METHODS)}) and a url such as Patient/123")
    conditions = {name: request[name] for name in CONDITIONS if isinstance(request.get(name), str)}
    path, _, query = url.removeprefix(base).lstrip("/").partition("?")
    if "://" in path:
        raise _bad(index, "its url is another server's: write it relative to this one")
    full_url = given.get("fullUrl", "")
    return Entry(
        index,
        method,
        unquote(path),
        query,
        full_url if isinstance(full_url, str) else "",
        given.get("resource"),
        conditions,
    )


def body_of(entry: Entry) -> tuple[bytes, bytes]:
    """The body that the request would have had by itself, and its media type."""
    is_patch = entry.method == "PATCH"
    resource = entry.resource if isinstance(entry.resource, dict) else {}
    if is_patch and resource.get("resourceType") != "Parameters":  # R4 http.html#patch: then it is a Binary
        try:
            data = base64.b64decode(resource.get("data", ""), validate=True)
        except (binascii.Error, TypeError, ValueError):
            text = "a patch is a Parameters resource, or a Binary with contentType and data"
            raise Problem("entry-invalid", 400, "structure", text) from None
        return data, str(resource.get("contentType", "")).encode()
    if (is_patch or entry.method in ("POST", "PUT")) and entry.resource is not None:
        return fhir.encode(entry.resource), b"application/fhir+json"
    return b"", b""


def answer_of(reply: Reply, wants_body: bool) -> bytes:
    """A reply as an entry. An OperationOutcome of an error goes into `outcome`."""
    headers = dict(reply.headers)
    response: dict[str, Any] = {"status": phrase(reply.status)}
    for name, header in (("location", b"location"), ("etag", b"etag")):
        if header in headers:
            response[name] = headers[header].decode("latin-1")
    entry: dict[str, Any] = {}
    if reply.status >= 400:
        response["outcome"] = Raw(reply.body)
    elif reply.body and wants_body:
        entry["resource"] = Raw(reply.body)
    return msgspec.json.encode({**entry, "response": response})


def phrase(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase}"


def response_of(kind: str, answers: Sequence[bytes]) -> bytes:
    tail = b',"entry":[%b]}' % b",".join(answers) if answers else b"}"
    return b'{"resourceType":"Bundle","type":"%b-response"' % kind.encode() + tail


def at_entry(index: int, problem: Problem) -> Problem:
    """The same problem, told of one entry."""
    problem.issues = tuple(
        replace(one, expression=(f"Bundle.entry[{index}]", *one.expression), text=f"entry {index}: {one.text}")
        for one in problem.issues
    )
    return problem


def _bad(index: int, why: str) -> Problem:
    return at_entry(index, Problem("entry-invalid", 400, "structure", why))
