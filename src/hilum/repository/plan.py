"""From effects to what must be written. Pure: it reads through a `View` of one snapshot and writes nothing.

Each message makes at most one version of a resource. What a message says is kept as it was said; what merges make of it
(`Overlay`) is computed anew whenever a link changes, so that taking a merge back restores everything, late traffic too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct

from hilum.errors import MappingError
from hilum.formats import fhir
from hilum.model import Accounting, Draft, Effects, ExceptionItem, Held, Merge, Outgoing, Sighted

from .body import PLAIN, Overlay, unpack
from .links import MergeOp, fold, root
from .ownership import CLOSED, OWNED, is_shared, refusal, without_owned
from .patch import DEFAULTED, NOTHING, Stated, patch
from .repointing import with_moved
from .seam import HoldState

__all__ = ["Found", "Live", "Plan", "Planner", "Version", "View"]


class Found(Struct, frozen=True):
    """A resource as the snapshot has it. `text` is its stored text, b"" when it is deleted."""

    rid: int
    version: int
    at: int
    text: bytes


class View(Protocol):
    """What the planner asks of a snapshot. Records are `Type/id`."""

    def find(self, records: Iterable[str]) -> dict[str, Found]:
        """Those of them that are stored."""
        ...

    def is_applied(self, seq: int) -> bool:
        """Whether this message has had its effects."""
        ...

    def hold_state(self, seq: int) -> HoldState | None:
        """Where its hold stands; None when it was never held."""
        ...

    def has_links(self) -> bool:
        """Whether any record is retired."""
        ...

    def link(self, record: str) -> str | None:
        """What this record was merged into."""
        ...

    def merge_ops(self, records: Iterable[str]) -> set[MergeOp]:
        """Merges and unmerges that name one of them on either side."""
        ...

    def referrers(self, record: str) -> Iterable[str]:
        """Resources with a reference that was stated to this record or points to it."""
        ...


class Version(Struct, frozen=True):
    """A version to write."""

    number: int
    seq: int
    at: int  # event time of that message
    stated: Stated
    overlay: Overlay
    is_deleted: bool


class Live:
    """One resource while messages change it.

    `stored` is what the snapshot has; `versions` are the new ones; `stated` may be newer than the last of them, and
    `said_by` is its message.
    """

    __slots__ = (
        "found",
        "id",
        "is_deleted",
        "overlay",
        "record",
        "said_at",
        "said_by",
        "stated",
        "stored",
        "type",
        "version",
        "versions",
    )

    def __init__(self, record: str, found: Found | None) -> None:
        self.record = record
        self.type, _, self.id = record.partition("/")
        self.found = found
        self.versions: list[Version] = []
        self.version = 0
        self.said_by = self.said_at = 0
        self.stated = self.stored = NOTHING
        self.overlay = PLAIN
        self.is_deleted = True
        if found is not None:
            self.version = found.version
            self.is_deleted = not found.text
            if found.text:
                stored = unpack(found.text, found.at)
                self.overlay = stored.overlay
                self.stated = self.stored = NOTHING if stored.stated.at == DEFAULTED else stored.stated
            elif found.at == OWNED:
                self.stated = self.stored = CLOSED

    def commit(self, stated: Stated, overlay: Overlay, seq: int, at: int) -> None:
        """Take what a message made of it; a version only when what is served differs."""
        is_deleted = stated is CLOSED or (stated is NOTHING and not (overlay.replaced_by or overlay.replaces))
        same = (
            is_deleted == self.is_deleted
            and overlay == self.overlay
            and (stated.elements is self.stated.elements or stated.elements == self.stated.elements)
        )
        self.stated, self.overlay, self.is_deleted = stated, overlay, is_deleted
        self.said_by, self.said_at = seq, at
        if not same:
            self.version += 1
            self.versions.append(Version(self.version, seq, at, stated, overlay, is_deleted))


class Plan(Struct):
    """What is to be written, in one transaction."""

    changed: dict[str, Live] = {}
    applied: dict[int, Accounting] = {}
    settled: list[int] = []  # open holds that these effects end
    held: dict[int, Held] = {}
    exceptions: list[tuple[int, ExceptionItem]] = []
    outgoing: list[tuple[int, Outgoing]] = []
    sighted: list[tuple[int, Sighted]] = []
    ops: list[MergeOp] = []
    links: dict[str, str | None] = {}  # retired -> survivor; None takes a link away


class Planner:
    """Collects the plan of several messages, in order."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._lives: dict[str, Live] = {}
        self.plan = Plan()
        self._has_links = view.has_links()

    def prefetch(self, work: Iterable[Effects | Held]) -> None:
        """Read what these messages will touch in one go."""
        wanted = {f"{d.type}/{d.id}" for one in work if isinstance(one, Effects) for d in one.drafts}
        self._load(wanted - self._lives.keys())

    def add(self, work: Effects | Held) -> None:
        """One message: its effects, or its hold. Nothing when it was applied or discarded before."""
        seq = work.seq
        state = self._view.hold_state(seq)
        if state in (HoldState.APPLIED, HoldState.DISCARDED) or seq in self.plan.applied or self._view.is_applied(seq):
            return
        if isinstance(work, Held):
            self.plan.held[seq] = work
            if state is None:  # held again after a replay is the same news
                self.plan.exceptions.extend((seq, item) for item in work.items)
            self.plan.sighted.extend((seq, one) for one in work.sighted)
            return
        self.plan.held.pop(seq, None)
        if state is HoldState.OPEN:
            self.plan.settled.append(seq)
        self.plan.applied[seq] = work.accounting
        self.plan.exceptions.extend((seq, item) for item in work.exceptions)
        self.plan.sighted.extend((seq, one) for one in work.sighted)
        self._save(work)

    def _save(self, effects: Effects) -> None:
        """Drafts, then merges; then each resource they touched gets its one version, and deliveries name them."""
        touched: dict[str, Stated] = {}
        for draft in effects.drafts:
            record = f"{draft.type}/{draft.id}"
            before = touched.get(record)
            if before is None:
                before = self._live(record).stated
            sayable = self._sayable(before, draft, effects.seq) if is_shared(before) else draft
            if sayable is not None:
                touched[record] = patch(before, sayable, effects.at)
        for ordinal, merge in enumerate(effects.merges):
            for record in self._merge(merge, effects, ordinal, touched):
                touched.setdefault(record, self._live(record).stated)
        for record, stated in touched.items():
            live = self._live(record)
            self.state(live, stated, effects.seq, effects.at)
        outgoing: Iterable[Outgoing] = effects.outgoing
        if outgoing and effects.merges:
            lives = [self._lives[record] for record in touched]
            changed = [live.record for live in lives if any(one.seq == effects.seq for one in live.versions)]
            outgoing = [part for item in outgoing for part in with_moved(item, changed)]
        self.plan.outgoing.extend((effects.seq, item) for item in outgoing)

    def look_up(self, records: Iterable[str]) -> None:
        """Read these in one go."""
        self._load(set(records) - self._lives.keys())

    def live(self, record: str) -> Live:
        """A resource as it stands in this plan. Raises MappingError `resource-name-invalid`."""
        return self._live(record)

    def state(self, live: Live, stated: Stated, seq: int, at: int) -> None:
        """Take what is now stated of a resource, by the message `seq` or by a write."""
        overlay = self._overlay(live, stated) if self._has_links and stated is not CLOSED else PLAIN
        if stated is not live.stated or overlay != live.overlay:
            live.commit(stated, overlay, seq, at)
            self.plan.changed[live.record] = live

    def _sayable(self, stated: Stated, draft: Draft, seq: int) -> Draft | None:
        """What a message may say of a resource that the API owns something of; the rest is for a person to see."""
        sayable, refused = without_owned(stated, draft)
        if refused:
            self.plan.exceptions.append((seq, refusal(draft.type, refused)))
        return sayable

    def _merge(self, merge: Merge, effects: Effects, ordinal: int, touched: Iterable[str]) -> set[str]:
        """Record one merge; returns the records whose links or references change."""
        op = MergeOp(
            effects.at,
            effects.seq,
            ordinal,
            f"{merge.type}/{merge.survivor}",
            f"{merge.type}/{merge.retired}",
            merge.undo,
        )
        known = self._component(op)
        problem = _problem(op, known)
        if problem is not None:
            self.plan.exceptions.append((effects.seq, problem))
        if op.survivor == op.retired:
            return set()
        before, after = fold(known), fold(known | {op})
        self.plan.ops.append(op)
        for record in before.keys() | after.keys():
            if before.get(record) != after.get(record):
                self.plan.links[record] = after.get(record)
        self._has_links = True
        members = {one for each in known | {op} for one in (each.survivor, each.retired)}
        moved = {one for one in members if root(before, one) != root(after, one)}
        return members | {referrer for one in moved for referrer in self._referrers(one, touched)}

    def _component(self, op: MergeOp) -> set[MergeOp]:
        """All that was ever said about merging these records, and those they were merged with, and so on."""
        seen: set[str] = set()
        todo = {op.survivor, op.retired}
        ops: set[MergeOp] = set()
        while todo:
            ops |= self._view.merge_ops(todo)
            ops |= {one for one in self.plan.ops if one.survivor in todo or one.retired in todo}
            seen |= todo
            todo = {record for one in ops for record in (one.survivor, one.retired)} - seen
        return ops

    def _referrers(self, record: str, touched: Iterable[str]) -> set[str]:
        """From the snapshot, from the messages of this plan before, and from the one at hand."""
        pending = {name for name, live in self._lives.items() if record in _references(live.stated)}
        return {*self._view.referrers(record), *pending, *touched}

    def _overlay(self, live: Live, stated: Stated) -> Overlay:
        """What the links that hold make of a resource."""
        targets = {one: self._root(one) for one in _references(stated)}
        redirect = {one: target for one, target in targets.items() if one != target}
        if live.type != "Patient":
            return Overlay(redirect) if redirect else PLAIN
        replaced_by = self._link(live.record) or ""
        replaces = self._replaces(live.record) if replaced_by or live.overlay is not PLAIN or self.plan.ops else ()
        if not (redirect or replaced_by or replaces):
            return PLAIN
        return Overlay(redirect, replaced_by, replaces)

    def _replaces(self, record: str) -> tuple[str, ...]:
        ops = self._component(MergeOp(0, 0, 0, record, record))
        return tuple(sorted(retired for retired, survivor in fold(ops).items() if survivor == record))

    def _root(self, record: str) -> str:
        while (next_ := self._link(record)) is not None:
            record = next_
        return record

    def _link(self, record: str) -> str | None:
        if record in self.plan.links:
            return self.plan.links[record]
        return self._view.link(record)

    def _live(self, record: str) -> Live:
        if record not in self._lives:
            self._load({record})
        return self._lives[record]

    def _load(self, records: set[str]) -> None:
        found = self._view.find(records)
        for record in records:
            if record not in found:
                _check_name(record)
            self._lives[record] = Live(record, found.get(record))


def _check_name(record: str) -> None:
    type_, _, id_ = record.partition("/")
    if not (fhir.is_resource_type(type_) and fhir.is_id(id_)):
        raise MappingError(
            "the workbook made a resource without a type or id that R4 allows", code="resource-name-invalid"
        )


def _references(stated: Stated) -> set[str]:
    """Relative references as messages stated them."""
    found: set[str] = set()
    for raw in stated.elements.values():
        text = bytes(raw)
        if b'"reference"' in text:
            found.update(fhir.local_references(text))
    return found


def _problem(op: MergeOp, known: set[MergeOp]) -> ExceptionItem | None:
    """A merge that cannot mean what it says is left to a person."""
    if op.survivor == op.retired:
        return ExceptionItem(
            "merge-into-itself",
            "a merge names the same record on both sides: nothing was merged",
            group="merge-into-itself",
        )
    if not op.undo or any(one.pair == op.pair and not one.undo for one in known):
        return None
    links = fold(known)
    if root(links, op.survivor) == root(links, op.retired):
        return ExceptionItem(
            "unmerge-indirect",
            "an unmerge names two records that are one only by way of a third: nothing was undone",
            group="unmerge-indirect",
        )
    return ExceptionItem(
        "unmerge-unknown",
        "an unmerge names a merge that was never heard of: nothing was undone",
        group="unmerge-unknown",
    )
