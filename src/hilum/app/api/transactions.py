"""`POST [base]`: a batch, each entry by itself; a transaction, all of it or nothing (R4 http.html#transaction).

Entries that read, and those of a batch, go through the routes like requests of their own: the same token, the same
decisions, an audit row each. What a transaction changes is one write of the repository.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, unquote

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from hilum.app.api.auth import forbidden
from hilum.app.api.bundles import instant
from hilum.app.api.contents import Content, check_media, content_of, decode_json
from hilum.app.api.exchange import MAX_RESOURCE, Call, Reply, problem_reply
from hilum.app.api.negotiation import check_format, return_preference
from hilum.app.api.outcomes import Problem
from hilum.app.api.query import condition, parse_pairs
from hilum.app.api.resources import etag, unknown_type
from hilum.app.api.writing import Writing, WritingRules, new_id, problem_of, versions_of
from hilum.app.tokens import Permission
from hilum.errors import FormatError, HilumError, NotFound
from hilum.formats import fhir
from hilum.repository import Change, Did, Query, Repository, Verb, WriteRefused, Written

__all__ = ["Dispatch", "Transactions"]

MOST_ENTRIES = 5_000
STEP = 100  # answers that are written before others get their turn
LARGE = 128 * 1024  # bytes of a bundle that is read beside the event loop

Dispatch = Callable[[str, str, list[tuple[bytes, bytes]], bytes, Call], Awaitable[Reply]]

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2}
_CONDITIONS = {
    "ifNoneExist": b"if-none-exist",
    "ifMatch": b"if-match",
    "ifNoneMatch": b"if-none-match",
    "ifModifiedSince": b"if-modified-since",
}
_VERBS = {"POST": Verb.CREATE, "PUT": Verb.UPDATE, "PATCH": Verb.UPDATE, "DELETE": Verb.DELETE}
_STATUS = {Did.CREATED: 201, Did.DELETED: 204, Did.ABSENT: 204}


class _Entry(Struct, frozen=True):
    """One entry. `path` is below the base, `query` as written."""

    index: int
    method: str
    path: str
    query: str
    full_url: str
    resource: Any
    conditions: dict[str, str]

    @property
    def parts(self) -> list[str]:
        return self.path.split("/")


class _Plan(Struct):
    """What a transaction writes, in the order of its verbs."""

    entries: list[_Entry] = []
    changes: list[Change] = []
    references: dict[str, Query] = {}


class Transactions:
    """Takes bundles."""

    def __init__(
        self,
        repository: Repository,
        types: frozenset[str],
        base: str,
        rules: WritingRules,
        writing: Writing,
        dispatch: Dispatch,
    ) -> None:
        self._repository, self._types, self._base, self._rules = repository, types, base, rules
        self._writing, self._dispatch = writing, dispatch

    async def take(self, call: Call) -> Reply:
        """`POST [base]` with a Bundle of type batch or transaction."""
        check_format(call.header("accept"), dict(parse_pairs(call.query)).get("_format"))
        check_media(call.header("content-type"))
        body = await call.body(MAX_RESOURCE)
        bundle = await asyncio.to_thread(decode_json, body) if len(body) > LARGE else decode_json(body)
        is_large = len(body) > LARGE
        kind, entries = await asyncio.to_thread(self._entries, bundle) if is_large else self._entries(bundle)
        call.target, call.detail = kind, f"entries={len(entries)}"
        if kind == "batch":
            answers = [await self._alone(call, one) for one in entries]
        else:
            answers = await self._together(call, entries, is_large=is_large)
        return Reply(200, _response(kind, answers))

    # reading the bundle

    def _entries(self, bundle: Any) -> tuple[str, list[_Entry]]:
        if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
            raise Problem(
                "bundle-expected", 400, "structure", "this address takes a Bundle of type batch or transaction"
            )
        kind, given = bundle.get("type"), bundle.get("entry", [])
        if kind not in ("batch", "transaction") or not isinstance(given, list):
            raise Problem("bundle-expected", 400, "value", "the Bundle must be of type batch or transaction")
        if len(given) > MOST_ENTRIES:
            text = f"a bundle has at most {MOST_ENTRIES} entries: send it in parts"
            raise Problem("bundle-too-large", 413, "too-costly", text)
        return str(kind), [self._entry(index, one) for index, one in enumerate(given)]

    def _entry(self, index: int, given: Any) -> _Entry:
        request = given.get("request") if isinstance(given, dict) else None
        if not isinstance(request, dict):
            raise _bad(index, "it has no request")
        method, url = request.get("method"), request.get("url")
        if method not in _METHODS or not isinstance(url, str) or not url:
            raise _bad(index, f"its request needs a method ({', '.join(_METHODS)}) and a url such as Patient/123")
        conditions = {name: request[name] for name in _CONDITIONS if isinstance(request.get(name), str)}
        path, _, query = url.removeprefix(self._base).lstrip("/").partition("?")
        if "://" in path:
            raise _bad(index, "its url is another server's: write it relative to this one")
        full_url = given.get("fullUrl", "")
        return _Entry(
            index,
            method,
            unquote(path),
            query,
            full_url if isinstance(full_url, str) else "",
            given.get("resource"),
            conditions,
        )

    # batch, and the reads of a transaction

    async def _alone(self, call: Call, entry: _Entry) -> bytes:
        headers = [
            (name, entry.conditions[key].encode()) for key, name in _CONDITIONS.items() if key in entry.conditions
        ]
        headers.append((b"prefer", call.header("prefer").encode()))
        try:
            body, media = _body_of(entry)
            if body:
                headers.append((b"content-type", media))
            url = quote(entry.path, safe="/$")
            reply = await self._dispatch(
                entry.method, f"{url}?{entry.query}" if entry.query else url, headers, body, call
            )
        except Problem as problem:
            reply = problem_reply(problem)
        return _answer_of(reply, self._wants_body(call, default=entry.method == "GET"))

    def _wants_body(self, call: Call, *, default: bool) -> bool:
        return default or return_preference(call.header("prefer"), "minimal") == "representation"

    # transaction

    async def _together(self, call: Call, entries: Sequence[_Entry], *, is_large: bool) -> list[bytes]:
        plan = await asyncio.to_thread(self._plan, call, entries) if is_large else self._plan(call, entries)
        answers: dict[int, bytes] = {}
        if plan.changes:
            if not call.may(Permission.WRITE):
                raise forbidden(call.role, Permission.WRITE)
            written = await self._write(call, plan)
            wants_body = self._wants_body(call, default=False)
            for number, (entry, one) in enumerate(zip(plan.entries, written, strict=True), 1):
                answers[entry.index] = self._answer(call, one, wants_body)
                if number % STEP == 0:
                    await asyncio.sleep(0)
        for entry in entries:
            if entry.index not in answers:
                answers[entry.index] = await self._alone(call, entry)
        return [answers[index] for index in range(len(entries))]

    def _plan(self, call: Call, entries: Sequence[_Entry]) -> _Plan:
        plan = _Plan()
        writes = [one for one in entries if one.method in _ORDER]
        for entry in sorted(writes, key=lambda one: (_ORDER[one.method], one.index)):
            try:
                change = self._writing.checked(call, self._change(call, entry))
            except Problem as problem:
                raise _at(entry.index, problem) from None
            plan.entries.append(entry)
            plan.changes.append(change)
        self._find_references(call, plan)
        return plan

    def _change(self, call: Call, entry: _Entry) -> Change:
        type_, *rest = entry.parts
        if type_ not in self._types:
            raise unknown_type(self._types)
        if len(rest) > 1 or (rest and not fhir.is_id(rest[0])) or (entry.method == "POST" and (rest or entry.query)):
            raise Problem("entry-invalid", 400, "invalid", f"{entry.method} has no such url: write Type or Type/id")
        id_ = rest[0] if rest else ""
        where = None if id_ else self._where(call, type_, entry)
        if entry.method == "PATCH" and where is None:  # its operations tell what there is: not before it may be seen
            self._writing.checked(call, Change(Verb.UPDATE, type_, id_))
        change = _MAKE[entry.method](self, entry, type_, id_, where)
        return replace(_guarded(change, entry.conditions), may_create=self._rules.update_creates)

    def _where(self, call: Call, type_: str, entry: _Entry) -> Query | None:
        if entry.method == "POST":
            text = entry.conditions.get("ifNoneExist", "").lstrip("?")
            if not text:
                return None
        else:
            text = entry.query
        return self._writing.narrowed(call, _VERBS[entry.method], condition(type_, parse_pairs(text.encode())))

    def _content(self, entry: _Entry, type_: str) -> Content:
        return content_of(entry.resource, self._rules.validate, type_)

    def _create(self, entry: _Entry, type_: str, _: str, where: Query | None) -> Change:
        elements = self._content(entry, type_).elements
        return Change(Verb.CREATE, type_, new_id(), elements, where, names=_names(entry))

    def _update(self, entry: _Entry, type_: str, id_: str, where: Query | None) -> Change:
        content = self._content(entry, type_)
        if id_ and content.id != id_:
            raise Problem("id-mismatch", 400, "invalid", "the resource must have the id of the url")
        id_, is_own = id_ or content.id or new_id(), bool(content.id)
        return Change(Verb.UPDATE, type_, id_, content.elements, where, is_own_id=is_own, names=_names(entry))

    def _delete(self, _: _Entry, type_: str, id_: str, where: Query | None) -> Change:
        return Change(Verb.DELETE, type_, id_, where=where)

    def _patch(self, entry: _Entry, type_: str, id_: str, where: Query | None) -> Change:
        """R4 http.html#patch: the patch of a bundle is a Binary."""
        if where is not None:
            text = "a conditional patch is not taken in a transaction: name the resource by its id"
            raise Problem("entry-invalid", 400, "not-supported", text)
        body, media = _body_of(entry)
        check_media(media.decode(), frozenset({"application/json-patch+json"}), "application/json-patch+json")
        try:
            stored = self._repository.get(type_, id_)
        except NotFound:
            stored = None
        if stored is None or stored.deleted:
            raise Problem("resource-unknown", 404, "not-found", f"there is no {type_} with this id to patch")
        try:
            patched = fhir.apply_patch(fhir.decode(stored.body), decode_json(body))
        except FormatError as error:
            raise Problem(
                error.code, 422, "processing", f"operation {error.location or '/'}: {error.message}"
            ) from None
        content = content_of(patched, self._rules.validate, type_)
        if content.id != id_:
            raise Problem("id-mismatch", 422, "business-rule", "a patch does not change the id")
        return Change(Verb.UPDATE, type_, id_, content.elements, if_versions=(stored.version,), names=_names(entry))

    def _find_references(self, call: Call, plan: _Plan) -> None:
        """Conditional references, and placeholders that nothing in the bundle bears."""
        names = [name for change in plan.changes for name in change.names]
        known = set(names)
        if len(names) != len(known):
            raise Problem("full-url-repeated", 400, "invalid", "two entries have the same fullUrl: give each its own")
        for entry, change in zip(plan.entries, plan.changes, strict=True):
            for raw in change.elements.values():
                for text in fhir.all_references(bytes(raw)) if b'"reference"' in bytes(raw) else ():
                    if text.startswith("urn:") and text not in known:
                        why = "it refers to a urn: that is no fullUrl of this bundle"
                        raise _at(entry.index, Problem("reference-unresolved", 400, "not-found", why))
                    if "?" in text and "://" not in text and text not in known:
                        plan.references[text] = self._reference(call, entry, text)

    def _reference(self, call: Call, entry: _Entry, text: str) -> Query:
        type_, _, query = text.partition("?")
        if type_ not in self._types:
            raise _at(entry.index, unknown_type(self._types))
        try:
            return call.sight.narrowed(condition(type_, parse_pairs(query.encode())))
        except Problem as problem:
            raise _at(entry.index, problem) from None

    async def _write(self, call: Call, plan: _Plan) -> list[Written]:
        targets = [f"{one.type}/{one.id}" if one.where is None else one.type for one in plan.changes]
        try:
            written = await self._repository.write(
                plan.changes,
                references=plan.references,
                then=lambda done: self._writing.follow(call, "transaction", done, targets),
            )
        except WriteRefused as refused:
            told = problem_of(refused)
            assert isinstance(told, Problem)
            raise _at(plan.entries[refused.index].index, told) if refused.index >= 0 else told from None
        except HilumError as error:
            raise problem_of(error) from None
        call.is_audited = True
        self._writing.told()
        return written

    def _answer(self, call: Call, written: Written, wants_body: bool) -> bytes:
        response: dict[str, Any] = {"status": _phrase(_STATUS.get(written.did, 200))}
        stored = written.stored
        entry: dict[str, Any] = {}
        if stored is not None:
            response["etag"], response["lastModified"] = etag(stored), instant(stored.updated)
            if not stored.deleted:
                address = f"{self._base}/{stored.type}/{stored.id}"
                response["location"] = f"{address}/_history/{stored.version}"
                entry["fullUrl"] = address
                if wants_body and self._writing.may_show(call, stored):
                    entry["resource"] = Raw(stored.body)
        return msgspec.json.encode({**entry, "response": response})


_MAKE: dict[str, Callable[[Transactions, _Entry, str, str, Query | None], Change]] = {
    "POST": Transactions._create,
    "PUT": Transactions._update,
    "PATCH": Transactions._patch,
    "DELETE": Transactions._delete,
}


def _names(entry: _Entry) -> tuple[str, ...]:
    """What others of the bundle may call it (R4 bundle.html#references)."""
    if not entry.full_url:
        return ()
    found = fhir.parse_reference(entry.full_url)
    if found is not None and found.base:
        return (entry.full_url, found.path)
    return (entry.full_url,)


def _guarded(change: Change, conditions: dict[str, str]) -> Change:
    tags = conditions.get("ifMatch", "").strip()
    if tags == "*":
        change = replace(change, if_present=True)
    elif tags:
        change = replace(change, if_versions=versions_of(tags))
    return replace(change, if_absent=True) if conditions.get("ifNoneMatch", "").strip() == "*" else change


def _body_of(entry: _Entry) -> tuple[bytes, bytes]:
    """The body that the request would have had by itself, and its media type."""
    if entry.method == "PATCH":
        binary = entry.resource if isinstance(entry.resource, dict) else {}
        try:
            return base64.b64decode(binary.get("data", ""), validate=True), str(binary.get("contentType", "")).encode()
        except (binascii.Error, TypeError, ValueError):
            raise Problem("entry-invalid", 400, "structure", "a patch is a Binary with contentType and data") from None
    if entry.method in ("POST", "PUT") and entry.resource is not None:
        return fhir.encode(entry.resource), b"application/fhir+json"
    return b"", b""


def _answer_of(reply: Reply, wants_body: bool) -> bytes:
    """A reply as an entry. An OperationOutcome of an error goes into `outcome`."""
    headers = dict(reply.headers)
    response: dict[str, Any] = {"status": _phrase(reply.status)}
    for name, header in (("location", b"location"), ("etag", b"etag")):
        if header in headers:
            response[name] = headers[header].decode("latin-1")
    entry: dict[str, Any] = {}
    if reply.status >= 400:
        response["outcome"] = Raw(reply.body)
    elif reply.body and wants_body:
        entry["resource"] = Raw(reply.body)
    return msgspec.json.encode({**entry, "response": response})


def _phrase(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase}"


def _response(kind: str, answers: Sequence[bytes]) -> bytes:
    tail = b',"entry":[%b]}' % b",".join(answers) if answers else b"}"
    return b'{"resourceType":"Bundle","type":"%b-response"' % kind.encode() + tail


def _at(index: int, problem: Problem) -> Problem:
    """The same problem, told of one entry."""
    problem.issues = tuple(
        replace(one, expression=(f"Bundle.entry[{index}]", *one.expression), text=f"entry {index}: {one.text}")
        for one in problem.issues
    )
    return problem


def _bad(index: int, why: str) -> Problem:
    return _at(index, Problem("entry-invalid", 400, "structure", why))
