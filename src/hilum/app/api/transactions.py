"""`POST [base]`: a batch, each entry by itself; a transaction, all of it or nothing (R4 http.html#transaction).

Entries that read, and those of a batch, go through the routes like requests of their own: the same token, the same
decisions, an audit row each. What a transaction changes is one write of the repository.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from hilum.app.api.auth import forbidden
from hilum.app.api.bundles import instant
from hilum.app.api.contents import LARGE, Content, check_media, content_of, decode_json
from hilum.app.api.entries import CONDITIONS, Entry, answer_of, at_entry, body_of, entries_of, phrase, response_of
from hilum.app.api.exchange import MAX_RESOURCE, Call, Reply, problem_reply
from hilum.app.api.negotiation import check_format, return_preference
from hilum.app.api.outcomes import Problem
from hilum.app.api.patching import patch_of
from hilum.app.api.query import condition, parse_pairs, query_part
from hilum.app.api.resources import etag, unknown_type
from hilum.app.api.sight import EVERYTHING, seen
from hilum.app.api.writing import PATCH_TRIES, Writing, WritingRules, new_id, problem_of, versions_of
from hilum.app.tokens import Permission
from hilum.errors import HilumError
from hilum.formats import fhir
from hilum.repository import Change, Did, Query, Repository, Stored, Verb, WriteRefused, Written

__all__ = ["Dispatch", "Transactions"]

STEP = 100  # answers that are written before others get their turn

Dispatch = Callable[[str, str, list[tuple[bytes, bytes]], bytes, Call], Awaitable[Reply]]

_ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2}
_VERBS = {"POST": Verb.CREATE, "PUT": Verb.UPDATE, "PATCH": Verb.UPDATE, "DELETE": Verb.DELETE}
_MOVED = frozenset({"version-conflict", "id-mismatch"})  # of what was read for a patch
_STATUS = {Did.CREATED: 201, Did.DELETED: 204, Did.ABSENT: 204}


class _Plan(Struct):
    """What a transaction writes, in the order of its verbs."""

    entries: list[Entry] = []
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
        kind, entries = (
            await asyncio.to_thread(entries_of, bundle, self._base) if is_large else entries_of(bundle, self._base)
        )
        call.target, call.detail = kind, f"entries={len(entries)}"
        if kind == "batch":
            answers = [await self._alone(call, one) for one in entries]
        else:
            answers = await self._together(call, entries, is_large=is_large)
        return Reply(200, response_of(kind, answers))

    def _read(self, body: bytes) -> tuple[str, list[Entry]]:
        return entries_of(decode_json(body), self._base)

    # batch, and the reads of a transaction

    async def _alone(self, call: Call, entry: Entry) -> bytes:
        headers = [
            (name, entry.conditions[key].encode()) for key, name in CONDITIONS.items() if key in entry.conditions
        ]
        headers.append((b"prefer", call.header("prefer").encode()))
        try:
            if entry.problem is not None:
                raise entry.problem
            body, media = body_of(entry)
            if body:
                headers.append((b"content-type", media))
            url = quote(entry.path, safe="/$")
            reply = await self._dispatch(
                entry.method, f"{url}?{entry.query}" if entry.query else url, headers, body, call
            )
        except Problem as problem:
            reply = problem_reply(problem)
        return answer_of(reply, self._wants_body(call, default=entry.method == "GET"))

    def _wants_body(self, call: Call, *, default: bool) -> bool:
        return default or return_preference(call.header("prefer"), "minimal") == "representation"

    # transaction

    async def _together(self, call: Call, entries: Sequence[Entry], *, is_large: bool) -> list[bytes]:
        plan, written = await self._written(call, entries, is_large=is_large)
        answers: dict[int, bytes] = {}
        if written:
            wants_body = self._wants_body(call, default=False)
            for number, (entry, one) in enumerate(zip(plan.entries, written, strict=True), 1):
                answers[entry.index] = self._answer(call, one, wants_body)
                if number % STEP == 0:
                    await asyncio.sleep(0)
        for entry in entries:
            if entry.index not in answers:
                answers[entry.index] = await self._alone(call, entry)
        return [answers[index] for index in range(len(entries))]

    async def _written(self, call: Call, entries: Sequence[Entry], *, is_large: bool) -> tuple[_Plan, list[Written]]:
        """What is patched was read before the write: where it is another by then, all is planned anew."""
        for tries in range(1, PATCH_TRIES + 1):
            plan = await asyncio.to_thread(self._plan, call, entries) if is_large else self._plan(call, entries)
            if not plan.changes:
                return plan, []
            if not call.may(Permission.WRITE):
                raise forbidden(call.role, Permission.WRITE)
            try:
                return plan, await self._write(call, plan)
            except Problem as problem:
                is_patched = problem.code in _MOVED and any(one.method == "PATCH" for one in plan.entries)
                if not is_patched or tries == PATCH_TRIES:
                    raise
        raise AssertionError("the last try returns or raises")

    def _plan(self, call: Call, entries: Sequence[Entry]) -> _Plan:
        plan = _Plan()
        writes = [one for one in entries if one.method in _ORDER]
        for entry in sorted(writes, key=lambda one: (_ORDER[one.method], one.index)):
            try:
                change = self._writing.checked(call, self._change(call, entry))
            except Problem as problem:
                raise at_entry(entry.index, problem) from None
            plan.entries.append(entry)
            plan.changes.append(change)
        self._find_references(call, plan)
        return plan

    def _change(self, call: Call, entry: Entry) -> Change:
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

    def _where(self, call: Call, type_: str, entry: Entry) -> Query | None:
        if entry.method == "POST":
            text = query_part(entry.conditions.get("ifNoneExist", ""), type_)
            if not text:
                return None
        else:
            text = entry.query
        return self._writing.narrowed(call, _VERBS[entry.method], condition(type_, parse_pairs(text.encode())))

    def _content(self, entry: Entry, type_: str) -> Content:
        return content_of(entry.resource, self._rules.validate, type_)

    def _create(self, entry: Entry, type_: str, _: str, where: Query | None) -> Change:
        elements = self._content(entry, type_).elements
        return Change(Verb.CREATE, type_, new_id(), elements, where, names=_names(entry))

    def _update(self, entry: Entry, type_: str, id_: str, where: Query | None) -> Change:
        content = self._content(entry, type_)
        if id_ and content.id != id_:
            raise Problem("id-mismatch", 400, "invalid", "the resource must have the id of the url")
        id_, is_own = id_ or content.id or new_id(), bool(content.id)
        return Change(Verb.UPDATE, type_, id_, content.elements, where, is_own_id=is_own, names=_names(entry))

    def _delete(self, _: Entry, type_: str, id_: str, where: Query | None) -> Change:
        return Change(Verb.DELETE, type_, id_, where=where)

    def _patch(self, entry: Entry, type_: str, id_: str, where: Query | None) -> Change:
        """Of the version that is there now; whoever changes it meanwhile has the transaction planned anew."""
        body, media = body_of(entry)
        patch = patch_of(body, media.decode("latin-1"))
        stored = self._writing.only_match(where) if where is not None else self._there(type_, id_)
        content = self._writing.patched(stored, patch)
        return Change(
            Verb.UPDATE,
            type_,
            stored.id,
            content.elements,
            where,
            if_versions=(stored.version,),
            is_own_id=where is not None,
            names=_names(entry),
        )

    def _there(self, type_: str, id_: str) -> Stored:
        stored = seen(self._repository, EVERYTHING, type_, id_)
        if stored is None or stored.deleted:
            raise Problem("resource-unknown", 404, "not-found", f"there is no {type_} with this id to patch")
        return stored

    def _find_references(self, call: Call, plan: _Plan) -> None:
        """Conditional references, and placeholders that nothing in the bundle bears."""
        names = [name for change in plan.changes for name in change.names]
        known = set(names)
        if len(names) != len(known):
            raise Problem("full-url-repeated", 400, "invalid", "two entries have the same fullUrl: give each its own")
        for entry, change in zip(plan.entries, plan.changes, strict=True):
            if change.type == "Bundle":  # its references are resolved among its own entries
                continue
            for raw in change.elements.values():
                for text in fhir.all_references(bytes(raw)) if b'"reference"' in bytes(raw) else ():
                    if text.startswith("urn:") and text not in known:
                        why = "it refers to a urn: that is no fullUrl of this bundle"
                        raise at_entry(entry.index, Problem("reference-unresolved", 400, "not-found", why))
                    if "?" in text and "://" not in text and text not in known:
                        plan.references[text] = self._reference(call, entry, text)

    def _reference(self, call: Call, entry: Entry, text: str) -> Query:
        type_, _, query = text.partition("?")
        if type_ not in self._types:
            raise at_entry(entry.index, unknown_type(self._types))
        try:
            return call.sight.narrowed(condition(type_, parse_pairs(query.encode())))
        except Problem as problem:
            raise at_entry(entry.index, problem) from None

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
            raise at_entry(plan.entries[refused.index].index, told) if refused.index >= 0 else told from None
        except HilumError as error:
            raise problem_of(error) from None
        call.is_audited = True
        self._writing.told()
        return written

    def _answer(self, call: Call, written: Written, wants_body: bool) -> bytes:
        response: dict[str, Any] = {"status": phrase(_STATUS.get(written.did, 200))}
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


_MAKE: dict[str, Callable[[Transactions, Entry, str, str, Query | None], Change]] = {
    "POST": Transactions._create,
    "PUT": Transactions._update,
    "PATCH": Transactions._patch,
    "DELETE": Transactions._delete,
}


def _names(entry: Entry) -> tuple[str, ...]:
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
