"""The FHIR interactions that write one resource (R4 http.html#create, #update, #patch, #delete, and their conditions).

A change is answered after its commit; its audit row is part of that commit.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from hilum.app.api.binaries import is_raw, resource_of
from hilum.app.api.contents import (
    LARGE,
    Content,
    Validator,
    check_media,
    check_references,
    content_of,
    decode_json,
    r4_validator,
)
from hilum.app.api.exchange import MAX_RESOURCE, Call, Reply
from hilum.app.api.identities import with_identities
from hilum.app.api.negotiation import check_format, return_preference
from hilum.app.api.outcomes import Problem, issue
from hilum.app.api.patching import Patch, patch_of
from hilum.app.api.query import Pairs, condition, parse_pairs, query_part, terms_named
from hilum.app.api.resources import etag, http_date, unknown_type
from hilum.app.api.sight import seen
from hilum.app.tokens import microseconds
from hilum.definitions import Definitions
from hilum.errors import HilumError, MappingError
from hilum.formats.fhir import Issue, IssueSeverity, operation_outcome
from hilum.model import AuditEvent, Outgoing
from hilum.repository import Aftermath, Change, Did, Query, Repository, Stored, Verb, WriteRefused, Written
from hilum.safeguards import Interaction

__all__ = ["PATCH_TRIES", "Writing", "WritingRules", "changed_by", "new_id", "problem_of", "versions_of"]

PATCH_TRIES = 5
_ids: list[str] = []
_BASE32 = bytes(b"abcdefghijklmnopqrstuvwxyz234567"[byte & 31] for byte in range(256))  # of each byte five bits
_TAG = re.compile(r'(?:W/)?"([^"]*)"')
_VERSION = re.compile("[1-9][0-9]{0,8}")

# R4 http.html#3.1.0.1.10 and the codes of the repository -> the status that each means
STATUS = {
    "version-conflict": (412, "conflict"),
    "exists-already": (412, "conflict"),
    "match-not-unique": (412, "multiple-matches"),
    "reference-unresolved": (412, "processing"),
    "identifier-taken": (409, "duplicate"),
    "id-mismatch": (400, "invalid"),
    "change-overlaps": (400, "invalid"),
    "create-by-id-refused": (405, "not-supported"),
}

_WITH_CREATE = frozenset({"_format", "_pretty"})  # what may stand in its URL
_VERBS = {Verb.CREATE: Interaction.CREATE, Verb.UPDATE: Interaction.UPDATE, Verb.DELETE: Interaction.DELETE}
_WRITTEN = {Did.CREATED: Interaction.CREATE, Did.UPDATED: Interaction.UPDATE, Did.UNCHANGED: Interaction.UPDATE}

Route = Callable[[Sequence[Stored]], Sequence[tuple[int, Outgoing]]]


class WritingRules(Struct, frozen=True):
    """How this server takes writes. `route` names the deliveries that follow from what was written.

    `watch` sees every write inside its transaction, may refuse it by a Problem, and may put rows of its own beside it.
    """

    validate: Validator = lambda raw: r4_validator()(raw)
    update_creates: bool = True
    route: Route = lambda _: ()
    wake: Callable[[], None] = lambda: None  # there is something to send on
    watch: Callable[[Call, Sequence[Written]], Callable[[Any], None] | None] = lambda _call, _written: None
    definitions: Definitions | None = None  # R4 with the packages of the folder, where there are any


class Writing:
    """Writes single resources."""

    def __init__(self, repository: Repository, types: frozenset[str], base: str, rules: WritingRules) -> None:
        self._repository, self._types, self._base, self._rules = repository, types, base, rules

    async def create(self, call: Call) -> Reply:
        """`POST [base]/[type]`, also on a condition (`If-None-Exist`)."""
        type_ = self._type(call)
        if any(name not in _WITH_CREATE for name, _ in parse_pairs(call.query)):
            text = "the condition of a create is sent as the header If-None-Exist, not in the URL"
            raise Problem("condition-unusable", 400, "invalid", text)
        content = await self._content(call, type_)
        where = None
        if call.header("if-none-exist"):
            where = condition(type_, parse_pairs(query_part(call.header("if-none-exist"), type_).encode()))
            call.target = terms_named(where)
        change = Change(Verb.CREATE, type_, new_id(), content.elements, self._seen(call, Verb.CREATE, where))
        return await self._write(call, change, content)

    async def update(self, call: Call) -> Reply:
        """`PUT [base]/[type]/[id]`."""
        type_, id_ = self._type(call), call.params["id"]
        call.target = f"{type_}/{id_}"
        content = await self._content(call, type_)
        if content.id != id_:
            text = (
                "the body must have the id of the address"
                if content.id
                else "the body has no id: give it that of the address"
            )
            raise Problem("id-mismatch", 400, "invalid", text)
        change = self._preconditions(call, Change(Verb.UPDATE, type_, id_, content.elements))
        return await self._write(call, change, content)

    async def update_where(self, call: Call) -> Reply:
        """`PUT [base]/[type]?[condition]`."""
        type_ = self._type(call)
        where = self._condition(call, type_)
        content = await self._content(call, type_)
        change = Change(
            Verb.UPDATE,
            type_,
            content.id or new_id(),
            content.elements,
            self._seen(call, Verb.UPDATE, where),
            is_own_id=bool(content.id),
        )
        return await self._write(call, self._preconditions(call, change), content)

    async def patch(self, call: Call) -> Reply:
        """`PATCH [base]/[type]/[id]` with a JSON Patch or a FHIRPath Patch."""
        type_, id_ = self._type(call), call.params["id"]
        call.target = f"{type_}/{id_}"
        patch = patch_of(await call.body(MAX_RESOURCE), call.header("content-type"))
        return await self._patch(call, patch, lambda: self._current(call, type_, id_))

    async def patch_where(self, call: Call) -> Reply:
        """`PATCH [base]/[type]?[condition]`."""
        type_ = self._type(call)
        where = self._seen(call, Verb.UPDATE, self._condition(call, type_))
        assert where is not None
        patch = patch_of(await call.body(MAX_RESOURCE), call.header("content-type"))
        return await self._patch(call, patch, lambda: self.only_match(where))

    def only_match(self, where: Query) -> Stored:
        """The one resource that meets a condition. Raises Problem 404, 412."""
        try:
            found = self._repository.search(replace(where, count=2, with_total=False)).matches
        except HilumError as error:
            raise problem_of(error) from None
        if len(found) > 1:
            raise Problem("match-not-unique", 412, "multiple-matches", "more than one resource meets the condition")
        if not found:
            raise Problem("resource-unknown", 404, "not-found", f"no {where.type} meets the condition")
        return found[0]

    async def delete(self, call: Call) -> Reply:
        """`DELETE [base]/[type]/[id]`: twice is as good as once."""
        type_, id_ = self._type(call), call.params["id"]
        call.target = f"{type_}/{id_}"
        return await self._write(call, self._preconditions(call, Change(Verb.DELETE, type_, id_)), None)

    async def delete_where(self, call: Call) -> Reply:
        """`DELETE [base]/[type]?[condition]`: one at most."""
        type_ = self._type(call)
        where = self._seen(call, Verb.DELETE, self._condition(call, type_))
        return await self._write(call, self._preconditions(call, Change(Verb.DELETE, type_, "", where=where)), None)

    def follow(self, call: Call, action: str, written: Sequence[Written], targets: Sequence[str]) -> Aftermath:
        """What is committed with a write: its audit rows and deliveries. Raises Problem 403 `out-of-scope`."""
        now = microseconds()
        audits = []
        for one, target in zip(written, targets, strict=True):
            if one.stored is not None:
                self._check_sight(call, one)
                target = f"{one.stored.type}/{one.stored.id}"
            version = f" version={one.stored.version}" if one.stored else ""
            audits.append(AuditEvent(now, call.actor, action, target, "ok", f"{one.did.value}{version}"))
        changed = [
            replace(one.stored, body=one.last) if one.stored.deleted else one.stored
            for one in written
            if one.stored and one.did in (Did.CREATED, Did.UPDATED, Did.DELETED)
        ]
        return Aftermath(audits, self._rules.route(changed), self._rules.watch(call, written))

    def told(self) -> None:
        """A write was committed."""
        self._rules.wake()

    def checked(self, call: Call, change: Change) -> Change:
        """The change, if the caller may make it: of what is seen, and only as it is now. Raises Problem 404.

        What is hidden, was deleted or never was gives the same answer, so nobody learns of it by writing: whoever is
        limited does not create by an id of their own.
        """
        change = with_identities(change, self._repository, call.sight_for(Interaction.SEARCH))
        sight = call.sight_for(_VERBS[change.verb])
        if sight.limits is None:
            return change
        if not sight.sees_type(change.type):
            raise _hidden(change.type)
        if change.where is not None or change.verb is Verb.CREATE:
            return change
        current = seen(self._repository, sight, change.type, change.id)
        if current is None:
            raise _hidden(change.type)
        if current.deleted or change.if_versions is not None:
            return change
        return replace(change, if_versions=(current.version,))  # seen as it is: whoever moves it meanwhile wins

    def narrowed(self, call: Call, verb: Verb, where: Query) -> Query:
        """A condition over what the caller may do so to; a create looks for what there is already."""
        return call.sight_for(Interaction.SEARCH if verb is Verb.CREATE else _VERBS[verb]).narrowed(where)

    def may_show(self, call: Call, stored: Stored) -> bool:
        """Whether the answer to a write may hold the resource: who may write it may not always read it."""
        return call.sight_for(Interaction.READ).sees(stored)

    def _check_sight(self, call: Call, written: Written) -> None:
        stored = written.stored
        if stored is None or stored.deleted:
            return
        if not call.sight_for(_WRITTEN.get(written.did, Interaction.SEARCH)).sees(stored):
            raise Problem(
                "out-of-scope",
                403,
                "forbidden",
                f"this token may not write such a {stored.type}: ask for a wider scope",
            )

    def _type(self, call: Call) -> str:
        type_: str = call.params["type"]
        if type_ not in self._types:
            raise unknown_type(self._types)
        call.target = type_
        given = dict(parse_pairs(call.query)) if call.query else {}
        check_format(call.header("accept"), given.get("_format"))
        return type_

    async def _content(self, call: Call, type_: str) -> Content:
        kind = call.header("content-type")
        if type_ == "Binary" and is_raw(kind):
            context, id_ = call.header("x-security-context"), call.params.get("id", "")
            body = resource_of(await call.body(MAX_RESOURCE), kind, context, id_)
        else:
            check_media(kind)
            body = await call.body(MAX_RESOURCE)
        if len(body) > LARGE:
            return await asyncio.to_thread(self._read, body, type_)
        return self._read(body, type_)

    def _read(self, body: bytes, type_: str) -> Content:
        content = content_of(decode_json(body), self._rules.validate, type_)
        if b"?" in body:
            check_references(content)
        return content

    def _condition(self, call: Call, type_: str) -> Query:
        pairs: Pairs = [one for one in parse_pairs(call.query) if one[0] != "_format"]
        where = condition(type_, pairs)
        call.target = terms_named(where)
        return where

    def _seen(self, call: Call, verb: Verb, where: Query | None) -> Query | None:
        return None if where is None else self.narrowed(call, verb, where)

    def _preconditions(self, call: Call, change: Change) -> Change:
        tags = call.header("if-match")
        if tags:
            change = replace(change, if_versions=None if tags.strip() == "*" else versions_of(tags))
            change = replace(change, if_present=tags.strip() == "*")
        if call.header("if-none-match"):
            if call.header("if-none-match").strip() != "*":
                text = "a write takes If-None-Match: * only; to guard against others' changes send If-Match"
                raise Problem("precondition-unsupported", 400, "not-supported", text)
            change = replace(change, if_absent=True)
        return replace(change, may_create=self._rules.update_creates)

    async def _write(self, call: Call, change: Change, content: Content | None) -> Reply:
        change = self.checked(call, change)
        target = call.target
        try:
            (written,) = await self._repository.write(
                [change], then=lambda done: self.follow(call, call.action, done, [target])
            )
        except HilumError as error:
            raise problem_of(error) from None
        call.is_audited = True
        self.told()
        return self._reply(call, written, content.notes if content else ())

    def _current(self, call: Call, type_: str, id_: str) -> Stored:
        stored = seen(self._repository, call.sight, type_, id_)
        if stored is None:
            raise _hidden(type_)
        if stored.deleted:
            raise Problem("resource-gone", 410, "deleted", f"this {type_} was deleted; an update brings it back")
        return stored

    async def _patch(self, call: Call, patch: Patch, find: Callable[[], Stored]) -> Reply:
        """Patched outside of the transaction, and written only if it is still the same version."""
        asked = self._preconditions(call, Change(Verb.UPDATE, call.params["type"], ""))
        for tries in range(PATCH_TRIES):
            stored = find()
            call.target = f"{stored.type}/{stored.id}"
            if asked.if_absent or (asked.if_versions is not None and stored.version not in asked.if_versions):
                text = f"it is version {stored.version}, not the one that was asked for: read it again"
                raise Problem("version-conflict", 412, "conflict", text)
            is_large = len(stored.body) > LARGE
            content = await asyncio.to_thread(self.patched, stored, patch) if is_large else self.patched(stored, patch)
            change = Change(Verb.UPDATE, stored.type, stored.id, content.elements, if_versions=(stored.version,))
            try:
                return await self._write(call, change, content)
            except Problem as problem:
                if problem.code != "version-conflict" or asked.if_versions is not None or tries + 1 == PATCH_TRIES:
                    raise
        raise AssertionError("the last try returns or raises")

    def patched(self, stored: Stored, patch: Patch) -> Content:
        """A resource after a patch, as it may be stored. Raises Problem 422."""
        content = content_of(patch(stored.body), self._rules.validate, stored.type)
        check_references(content, stored.body)
        if content.id != stored.id:
            raise Problem("id-mismatch", 422, "business-rule", "a patch does not change the id")
        return content

    def _reply(self, call: Call, written: Written, notes: Sequence[Issue]) -> Reply:
        stored, wanted = written.stored, return_preference(call.header("prefer"))
        if written.did in (Did.DELETED, Did.ABSENT):
            headers = {"ETag": etag(stored)} if stored else {}
            if wanted == "OperationOutcome":
                return Reply(200, operation_outcome([_done(written)]), headers)
            return Reply(204, b"", headers)
        assert stored is not None
        headers = {
            "ETag": etag(stored),
            "Last-Modified": http_date(stored.updated // 1_000_000),
            "Location": f"{self._base}/{stored.type}/{stored.id}/_history/{stored.version}",
        }
        status = 201 if written.did is Did.CREATED else 200
        if wanted == "OperationOutcome":
            return Reply(status, operation_outcome([_done(written), *notes]), headers)
        is_shown = wanted != "minimal" and self.may_show(call, stored)
        return Reply(status, stored.body if is_shown else b"", headers)


def changed_by(written: Sequence[Written]) -> list[Stored]:
    """The versions that a write made; of what it deleted with what that said last."""
    return [
        replace(one.stored, body=one.last) if one.stored.deleted else one.stored
        for one in written
        if one.stored and one.did in (Did.CREATED, Did.UPDATED, Did.DELETED)
    ]


def new_id() -> str:
    """An id of hilum's own form: 100 random bits in 20 letters."""
    if not _ids:  # many at once: each time the system is asked, another thread takes its turn
        text = secrets.token_bytes(1_280).translate(_BASE32).decode()
        _ids.extend(text[at : at + 20] for at in range(0, len(text), 20))
    return _ids.pop()


def versions_of(tags: str) -> tuple[int, ...]:
    """The versions that an If-Match names; a tag that is no version of ours matches none.

    Some clients send the number alone. Raises Problem 400 `precondition-unsupported` for what is no tag at all.
    """
    found = _TAG.findall(tags) or [tags.strip()]
    if not _TAG.search(tags) and not _VERSION.fullmatch(found[0]):
        text = 'an If-Match is the ETag of the version that was read: W/"3"'
        raise Problem("precondition-unsupported", 400, "invalid", text)
    return tuple(int(tag) for tag in found if _VERSION.fullmatch(tag))


def problem_of(error: HilumError) -> Problem | HilumError:
    """A refusal of the repository as the API says it; what is none stays what it is."""
    if isinstance(error, WriteRefused):
        status, kind = STATUS.get(error.code, (422, "processing"))
        headers = {"Allow": "GET, HEAD"} if status == 405 else None
        return Problem(error.code, status, kind, error.message, headers=headers)
    if isinstance(error, MappingError):
        return Problem("id-invalid", 400, "value", "an id is 1 to 64 letters, digits, `-` and `.`")
    if error.code.startswith("search-"):
        return Problem(error.code, 400, "value", error.message, parameter=error.location)
    return error


def _hidden(type_: str) -> Problem:
    return Problem("resource-unknown", 404, "not-found", f"there is no {type_} with this id; search by its identifier")


def _done(written: Written) -> Issue:
    one = issue("write-done", "informational", _SAID[written.did])
    return Issue(one.type, one.text, one.code, IssueSeverity.INFORMATION)


_SAID = {
    Did.CREATED: "it was created",
    Did.UPDATED: "it was updated",
    Did.UNCHANGED: "it says this already; there is no new version",
    Did.FOUND: "there is one already that meets the condition; nothing was written",
    Did.DELETED: "it was deleted",
    Did.ABSENT: "there was nothing to delete",
}
