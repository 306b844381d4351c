"""Writes of programs: create, update, delete, conditional or not, one or many, all of it or nothing. Pure.

What is asked is looked at against one state of the repository, that of the writer's transaction: two clients that
create on the same condition at the same time get one resource (R4 http.html#ccreate, #cond-update, #trules).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from hilum.errors import HilumError
from hilum.formats import fhir
from hilum.model import AuditEvent, Outgoing

from .body import Record, own_meta, pack, serve, served_text
from .ownership import CLOSED, OWNED, rewritten
from .patch import NOTHING, Stated
from .plan import Live, Planner
from .seam import Query, Stored

__all__ = [
    "Aftermath",
    "Change",
    "Did",
    "Done",
    "Verb",
    "WriteRefused",
    "Written",
    "carry_out",
    "chunks_needed",
    "conditions_of",
    "last_said",
    "stored_live",
]

PER_CHUNK = 16  # resources of one write that lie together

_elements = msgspec.json.Decoder(dict[str, Raw]).decode
_find = Callable[[Query], list[str]]


class Verb(StrEnum):
    """What is to be done."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class Change(Struct, frozen=True):
    """One thing to do. `elements` is the whole resource without resourceType and id; meta without what is ours.

    `where` makes it conditional: `id` is then the id of what is created if nothing matches. Others refer to what comes
    of it by `names` (`urn:uuid:...`), in the same write. `identities` are the ids that messages give to what bears the
    identifiers of this resource, best first: what is created gets the first of them that is free, unless it has an id
    of its own, and is refused where messages made one of them.
    """

    verb: Verb
    type: str
    id: str
    elements: dict[str, Raw] = {}
    where: Query | None = None
    if_versions: tuple[int, ...] | None = None  # If-Match: the current version is one of these
    if_present: bool = False  # If-Match: *
    if_absent: bool = False  # If-None-Match: *
    may_create: bool = True  # an update of what does not exist creates it
    is_own_id: bool = False  # of a conditional update: the id stands in the body, so what matches must have it
    names: tuple[str, ...] = ()
    identities: tuple[str, ...] = ()


class Did(StrEnum):
    """What came of a change."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"  # it says already what was to be written: no new version
    FOUND = "found"  # a conditional create found it
    DELETED = "deleted"
    ABSENT = "absent"  # there was nothing to delete


class Done(Struct, frozen=True):
    """What came of one change. `id` is the one it has; "" when there is none."""

    did: Did
    type: str
    id: str


class Written(Struct, frozen=True):
    """What came of one change, as it now stands; no `stored` where there is none. `last`: what a deleted one said."""

    did: Did
    stored: Stored | None
    last: bytes = b""


class Aftermath(Struct, frozen=True):
    """What is committed with a write: who did it, and what is sent on, each with the `seq` of what it speaks of."""

    audits: Sequence[AuditEvent] = ()
    outgoing: Sequence[tuple[int, Outgoing]] = ()
    also: Callable[[Any], None] | None = None  # rows of the caller's own, put in with the store's connection


class WriteRefused(HilumError):
    """A change that cannot be made; nothing of the write was. `index` is its place.

    Codes: `version-conflict`, `exists-already`, `match-not-unique`, `id-mismatch`, `create-by-id-refused`,
    `change-overlaps`, `reference-unresolved`, `identifier-taken`.
    """

    default_code = "write-refused"

    def __init__(self, message: str, *, code: str, index: int, location: str = "") -> None:
        super().__init__(message, code=code, location=location)
        self.index = index


def conditions_of(query: Query) -> Query:
    """A condition as a search: two matches are one too many."""
    return replace(query, count=2, after="", sort=(), include=(), revinclude=(), total_only=False, with_total=False)


def chunks_needed(changes: Sequence[Change]) -> int:
    """How many chunks a write takes; each needs a number of its own."""
    return max(1, -(-len(changes) // PER_CHUNK))


def carry_out(
    planner: Planner, changes: Sequence[Change], find: _find, references: Mapping[str, Query], first: int
) -> list[Done]:
    """Plan all changes, in the order given; what each became. `find` gives ids that match, two at most.

    `references` are conditional references (`Patient?identifier=...`) that stand in the bodies. `first` is the number
    that the first of these writes goes by: it and those below it, one for `PER_CHUNK` resources. Raises WriteRefused.
    """
    targets = _Targets(find, planner)
    ids = [targets.of(index, change) for index, change in enumerate(changes)]
    _check_overlaps(changes, ids)
    named = {name: f"{one.type}/{id_}" for one, id_ in zip(changes, ids, strict=True) for name in one.names if id_}
    named |= _resolved(references, find, changes)
    done: list[Done] = []
    for index, (change, id_) in enumerate(zip(changes, ids, strict=True)):
        writer = _Writer(planner, index, change, id_, first - len(done) // PER_CHUNK, targets.matched[index])
        done.append(writer.carry_out(named))
    return done


class _Targets:
    """Which resource each change is about."""

    def __init__(self, find: _find, planner: Planner) -> None:
        self._find, self._planner = find, planner
        self._same: dict[bytes, str] = {}  # the condition of a create in this write -> the id it gets
        self._given: set[str] = set()  # records that this write creates under the ids of their identifiers
        self.matched: list[bool] = []

    def of(self, index: int, change: Change) -> str:
        """Its id; "" for a conditional delete of nothing."""
        if change.where is None:
            self.matched.append(False)
            return self._fresh(index, change)
        found = self._find(change.where)
        if len(found) > 1:
            text = f"more than one {change.type} meets the condition: make it one that only one can meet"
            raise WriteRefused(text, code="match-not-unique", index=index)
        self.matched.append(bool(found))
        if found:
            if change.is_own_id and change.id != found[0]:
                text = "the resource that meets the condition has another id than the body: leave the id out"
                raise WriteRefused(text, code="id-mismatch", index=index)
            return found[0]
        if change.verb is Verb.DELETE:
            return ""
        if change.verb is not Verb.CREATE:
            return self._fresh(index, change)
        key = msgspec.msgpack.encode((change.type, change.where.terms))
        if key in self._same:  # the same condition twice in one write: one resource
            self.matched[-1] = True
        else:
            self._same[key] = self._fresh(index, change)
        return self._same[key]

    def _fresh(self, index: int, change: Change) -> str:
        """The id of what is created: that which messages give to the same identifier, so that both mean one record."""
        if not change.identities:
            return change.id
        records = {id_: f"{change.type}/{id_}" for id_ in change.identities}
        self._planner.look_up([f"{change.type}/{change.id}", *records.values()])
        if not self._planner.live(f"{change.type}/{change.id}").is_deleted:
            return change.id
        lives = {id_: self._planner.live(record) for id_, record in records.items()}
        if any(not live.is_deleted and live.stated.at != OWNED for id_, live in lives.items() if id_ != change.id):
            text = (
                f"messages made a {change.type} with this identifier already: find it by the identifier and update it, "
                "or create on the condition that there is none"
            )
            raise WriteRefused(text, code="identifier-taken", index=index)
        if change.is_own_id or (change.verb is Verb.UPDATE and change.where is None):
            return change.id
        free = (id_ for id_, live in lives.items() if live.is_deleted and records[id_] not in self._given)
        id_ = next(free, change.id)
        self._given.add(f"{change.type}/{id_}")
        return id_


def _check_overlaps(changes: Sequence[Change], ids: Sequence[str]) -> None:
    """R4 http.html#trules: no resource is changed twice by one transaction."""
    seen: set[str] = set()
    for index, (change, id_) in enumerate(zip(changes, ids, strict=True)):
        if change.verb is Verb.CREATE and change.where is not None:
            continue  # it changes nothing of what it finds
        record = f"{change.type}/{id_}"
        if id_ and record in seen:
            text = "two entries are about the same resource: put what they say into one"
            raise WriteRefused(text, code="change-overlaps", index=index)
        seen.add(record)


def _resolved(references: Mapping[str, Query], find: _find, changes: Sequence[Change]) -> dict[str, str]:
    """R4 http.html#trules: a conditional reference must match exactly one."""
    named: dict[str, str] = {}
    for text, query in references.items():
        found = find(query)
        if len(found) != 1:
            many = "more than one resource" if found else "nothing"
            raise WriteRefused(
                f"a conditional reference to {query.type} matches {many}: make it match exactly one",
                code="reference-unresolved",
                index=_index_of(text, changes),
            )
        named[text] = f"{query.type}/{found[0]}"
    return named


def _index_of(reference: str, changes: Sequence[Change]) -> int:
    """The first change in whose body this stands; -1 where it is written otherwise."""
    quoted = msgspec.json.encode(reference)
    found = (index for index, one in enumerate(changes) if any(quoted in bytes(raw) for raw in one.elements.values()))
    return next(found, -1)


class _Writer:
    """One change."""

    def __init__(self, planner: Planner, index: int, change: Change, id_: str, seq: int, matched: bool) -> None:
        self._planner, self._index, self._change, self._id, self._seq = planner, index, change, id_, seq
        self._matched = matched

    def carry_out(self, named: Mapping[str, str]) -> Done:
        if not self._id:
            return self._done(Did.ABSENT)
        if self._change.verb is Verb.CREATE and self._matched:
            return self._done(Did.FOUND)
        live = self._planner.live(f"{self._change.type}/{self._id}")
        self._check_preconditions(live)
        if self._change.verb is Verb.DELETE:
            return self._delete(live)
        return self._put(live, named)

    def _check_preconditions(self, live: Live) -> None:
        wanted = self._change.if_versions
        is_other = live.is_deleted or (wanted is not None and live.version not in wanted)
        if is_other and (wanted is not None or self._change.if_present):
            now = "there is none" if live.is_deleted else f"it is version {live.version}"
            raise self._refused(f"it is not the version that If-Match names ({now}): read it again", "version-conflict")
        if not live.is_deleted and (self._change.if_absent or self._change.verb is Verb.CREATE):
            raise self._refused("there is a resource of this id already: read it", "exists-already")
        if live.is_deleted and self._change.verb is Verb.UPDATE and not self._change.may_create and not live.version:
            raise self._refused(
                "nothing of this id exists, and ids are given by this server: create it by POST", "create-by-id-refused"
            )

    def _delete(self, live: Live) -> Done:
        if live.is_deleted:
            return self._done(Did.ABSENT)
        self._planner.state(live, CLOSED, self._seq, OWNED)
        return self._done(Did.DELETED)

    def _put(self, live: Live, named: Mapping[str, str]) -> Done:
        elements = self._change.elements
        if named:
            elements = {name: _renamed(raw, named) for name, raw in elements.items()}
        was_deleted = live.is_deleted
        before = NOTHING if was_deleted else live.stated
        stated: Stated = rewritten(before, {} if was_deleted else served_elements(live), elements)
        count = live.version
        self._planner.state(live, stated, self._seq, OWNED)
        if live.version == count:
            return self._done(Did.UNCHANGED)
        return self._done(Did.CREATED if was_deleted else Did.UPDATED)

    def _done(self, did: Did) -> Done:
        return Done(did, self._change.type, self._id)

    def _refused(self, text: str, code: str) -> WriteRefused:
        return WriteRefused(text, code=code, index=self._index, location=f"{self._change.type}/{self._id}")


def served_elements(live: Live) -> dict[str, Raw]:
    """What a client reads of a resource as it is stored, without type, id, version and time."""
    assert live.found is not None
    served = _elements(served_text(live.found.text)[0])
    meta = live.stated.elements.get("meta")
    own = own_meta(bytes(meta)) if meta is not None else b"{}"
    return {**served, "meta": Raw(own)} if len(own) > 2 else served


def _renamed(raw: Raw, named: Mapping[str, str]) -> Raw:
    text = bytes(raw)
    renamed = fhir.replace_references(text, named)
    return raw if renamed is text else Raw(renamed)


def last_said(live: Live) -> bytes:
    """What a resource said before it was deleted, without type, id and meta; b"" for one that was not."""
    return served_text(live.found.text)[0] if live.is_deleted and live.found is not None and live.found.text else b""


def stored_live(live: Live, now: int) -> Stored:
    """A resource with a new version, as it is served. `now` is the time of its commit in milliseconds."""
    body = b""
    if not live.is_deleted:
        body = serve(live.type, pack(Record(live.id, live.stated, live.overlay)), live.version, now)[1]
    return Stored(live.type, live.id, live.version, now * 1000, body, live.versions[-1].seq, live.is_deleted)
