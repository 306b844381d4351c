"""HL7 v2 made of stored resources at the moment of sending: the same bytes on every attempt.

An outbox row names resources; what they were when its message was applied is read from versions, which never change.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, Protocol

import structlog
from msgspec import Struct

from hilum.errors import DeliveryError, FormatError, NotFound, Outcome
from hilum.formats import hl7v2
from hilum.mapping import outward
from hilum.model import ExceptionItem
from hilum.repository import Delivery, Query, Repository, SearchTerm, Stored
from hilum.translator import refs_of

__all__ = ["Maker", "Makes", "as_it_was", "control_id", "untold"]

MOST = 1000  # resources of one kind that one message can be about

log = structlog.get_logger(__name__)


class Makes(Protocol):
    """What makes the records of a destination that is sent some."""

    def make(self, due: Delivery, repository: Repository, /) -> bytes | None:
        """The record of one delivery; None when its cause gives nothing to say. Raises DeliveryError, outcome hold."""
        ...

    @property
    def types(self) -> Collection[str]:
        """What records can be about."""
        ...

    def tells(self, gone: Stored, due: Delivery, repository: Repository, /) -> bool:
        """Whether the record of this delivery says that this resource is deleted."""
        ...


def untold(due: Delivery, repository: Repository, maker: Makes) -> list[ExceptionItem]:
    """What the cause of a delivery deleted and its record does not tell of, of the types that records can be about."""
    gone = [repository.version_by(due.seq, *ref) for ref in refs_of(due.outgoing.payload) if ref[0] in maker.types]
    to = due.outgoing.destination
    return [
        ExceptionItem(
            "deletion-not-sent",
            f"{to} was not told that a {one.type} was deleted: what it is sent has no way to say so",
            one.type,
            group=f"deletion-not-sent|{to}|{one.type}",
        )
        for one in gone
        if one is not None and one.deleted and not maker.tells(one, due, repository)
    ]


class Maker(Struct, frozen=True):
    """What one destination is sent, and as whom. `deleted`: what it is sent when a patient's record is deleted."""

    plan: outward.OutwardPlan
    receiver: outward.Receiver
    deleted: outward.OutwardPlan | None = None

    @property
    def types(self) -> Collection[str]:
        """What its segments can be about."""
        return self.plan.types

    def make(self, due: Delivery, repository: Repository) -> bytes | None:
        """The message of one delivery; None when its cause made no version of anything and deleted no patient.

        Raises DeliveryError with the outcome hold and a code of docs/codes/outward.md.
        """
        found = _Gathering(due, repository, self.plan)
        if not found.made:
            return self._deletion(due, repository)
        context = outward.OutwardContext(
            self.receiver,
            control_id(due.outgoing.destination, found.made),
            due.created_at,
            root=found.root(),
            before=found.before(),
        )
        return self._bytes(self.plan, self.plan.run(found.resources(), context))

    def tells(self, gone: Stored, due: Delivery, repository: Repository) -> bool:
        """Only that the one patient is gone that its cause deleted, where it made nothing else."""
        return gone.type == "Patient" and self._gone(due, repository) == gone

    def _gone(self, due: Delivery, repository: Repository) -> Stored | None:
        """The one patient whose record the cause deleted; None where it deleted several, or made something else."""
        if self.deleted is None or _Gathering(due, repository, self.plan).made:
            return None
        refs = [ref for ref in refs_of(due.outgoing.payload) if ref[0] == "Patient"]
        found = [one for ref in refs if (one := repository.version_by(due.seq, *ref)) is not None and one.deleted]
        return found[0] if len(found) == 1 else None

    def _deletion(self, due: Delivery, repository: Repository) -> bytes | None:
        """The message that a patient's record is deleted, with what it said before."""
        gone = self._gone(due, repository)
        if gone is None or self.deleted is None:
            return None
        last = repository.get(gone.type, gone.id, gone.version - 1)
        context = outward.OutwardContext(
            self.receiver, control_id(due.outgoing.destination, [gone]), due.created_at, root=f"Patient/{gone.id}"
        )
        made = self.deleted.run({"Patient": [outward.read_resource(last.body)]}, context)
        return self._bytes(self.deleted, made)

    def _bytes(self, plan: outward.OutwardPlan, made: outward.Outward) -> bytes:
        if made.held is not None:
            raise DeliveryError(
                made.held.message, code=made.held.code, location=made.held.location, outcome=Outcome.HOLD
            )
        left = made.accounting.exceptions
        log.info("made a message", kind=plan.kind, elements=made.accounting.valued, not_sent=left)
        try:
            return hl7v2.build(made.segments, charset=self.receiver.charset)
        except FormatError as error:
            raise DeliveryError(
                error.message, code=error.code, location=error.location, outcome=Outcome.HOLD
            ) from error


def control_id(destination: str, versions: Sequence[Stored]) -> str:
    """MSH-10, 20 characters at most: the same whenever the same versions go to the same destination."""
    cause = "|".join([destination, *sorted(f"{one.type}/{one.id}/{one.version}" for one in versions)])
    return "H" + base64.b32encode(sha256(cause.encode()).digest()).decode("ascii")[:19]


class _Gathering:
    """The resources that a message may need, as they were when the cause of the delivery had been applied."""

    def __init__(self, due: Delivery, repository: Repository, plan: outward.OutwardPlan) -> None:
        self._seq, self._repository, self._plan = due.seq, repository, plan
        self._touched = [ref for ref in refs_of(due.outgoing.payload) if ref[0] in plan.types]
        found = [repository.version_by(due.seq, type_, id_) for type_, id_ in self._touched]
        self.made = [one for one in found if one is not None and not one.deleted]
        self._known: dict[tuple[str, str], Stored | None] = {}
        self._bodies: dict[str, dict[str, Any]] = {}
        if self.made:
            self._gather()

    def _gather(self) -> None:
        for type_, id_ in self._touched:
            self._take(type_, id_)
        given = tuple(self._bodies.values())
        self._follow(given, frozenset())
        for type_, id_ in [key for key, one in self._known.items() if one is not None and key[0] in self._plan.roots]:
            for other, element in self._plan.gathered:
                self._search(other, element, f"{type_}/{id_}")
        self._follow(tuple(self._bodies.values()), frozenset(self._plan.roots))

    def _take(self, type_: str, id_: str) -> dict[str, Any] | None:
        """One resource as it was then; None for one that was not there, or that no segment can be about."""
        if (type_, id_) in self._known or type_ not in self._plan.types:
            return None
        stored = self._known[type_, id_] = as_it_was(self._repository, self._seq, type_, id_)
        if stored is None:
            return None
        body = self._bodies[f"{type_}/{id_}"] = outward.read_resource(stored.body)
        return body

    def _follow(self, bodies: Sequence[Mapping[str, Any]], without: frozenset[str]) -> None:
        """What these refer to, and what that refers to; of the types in `without` no more than is there."""
        waiting = list(bodies)
        while waiting:
            for type_, id_ in _references(waiting.pop()):
                found = self._take(type_, id_) if type_ not in without else None
                if found is not None:
                    waiting.append(found)
                    without = without | frozenset(self._plan.roots)

    def _search(self, type_: str, element: str, reference: str) -> None:
        query = Query(type_, (SearchTerm(element, (reference,)),), count=MOST)
        for one in self._repository.search(query).matches:
            self._take(one.type, one.id)

    def resources(self) -> dict[str, list[dict[str, Any]]]:
        """By type."""
        found: dict[str, list[dict[str, Any]]] = {}
        for reference, body in self._bodies.items():
            found.setdefault(reference.partition("/")[0], []).append(body)
        return found

    def root(self) -> str:
        """The one touched resource that the message is about; "" when the resources say it themselves."""
        for type_ in reversed(self._plan.roots):
            touched = [f"{one}/{id_}" for one, id_ in self._touched if one == type_ and f"{one}/{id_}" in self._bodies]
            if len(touched) == 1:
                return touched[0]
        return ""

    def before(self) -> dict[str, dict[str, Any]]:
        """The versions before those that the cause made."""
        found = {}
        for one in self.made:
            if one.version > 1:
                earlier = self._repository.get(one.type, one.id, one.version - 1)
                if not earlier.deleted:
                    found[f"{one.type}/{one.id}"] = outward.read_resource(earlier.body)
        return found


def as_it_was(repository: Repository, seq: int, type_: str, id_: str) -> Stored | None:
    """A resource when the message `seq` had been applied; None when it was not there."""
    made = repository.version_by(seq, type_, id_)
    if made is not None:
        return None if made.deleted else made
    try:
        versions = repository.history(type_, id_)
    except NotFound:
        return None
    then = next((one for one in versions if one.seq <= seq), None)
    return None if then is None or then.deleted else then


def _references(value: Any) -> Iterator[tuple[str, str]]:
    """(type, id) of every reference in a body."""
    if isinstance(value, Mapping):
        text = value.get("reference")
        if isinstance(text, str) and text.count("/") == 1:
            type_, _, id_ = text.partition("/")
            yield type_, id_
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)
