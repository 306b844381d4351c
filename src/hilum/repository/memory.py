"""The repository's twin in memory: the same planner and the same rules, dicts instead of tables, nothing kept."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from hilum.errors import NotFound
from hilum.formats import fhir
from hilum.formats.fhir import Fact
from hilum.model import Accounting, Effects, Held, Receipt

from .body import Record, pack, serve, served_text, unpack
from .criteria import Criterion, Inclusion, Sort, criteria_of, inclusions_of, sort_of
from .cursor import read_cursor, write_cursor
from .links import MergeOp
from .matching import meets
from .plan import Found, Live, Planner
from .rules import check_positions, missing, with_sample
from .seam import (
    Delivery,
    DeliveryState,
    ExceptionRecord,
    Hold,
    HoldState,
    Page,
    Query,
    ReplayRequest,
    RepositoryCounts,
    Stored,
)

__all__ = ["MemoryRepository"]


class _Version(Struct, frozen=True):
    number: int
    tick: int
    updated: int  # milliseconds
    seq: int
    text: bytes


class _Row(Struct):
    rid: int
    type: str
    id: str
    at: int
    versions: list[_Version]
    elements: dict[str, Raw] = {}
    facts: frozenset[Fact] = frozenset()


class MemoryRepository:
    """See `Repository`. `clock` gives microseconds."""

    def __init__(self, *, clock: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        self._clock = clock
        self._tick = 0
        self._now = 0  # milliseconds of the last commit
        self._rows: dict[str, _Row] = {}
        self._positions: dict[int, int] = {}
        self._applied: dict[int, Accounting] = {}
        self._holds: dict[int, Hold] = {}
        self._exceptions: dict[int, ExceptionRecord] = {}
        self._deliveries: dict[int, Delivery] = {}
        self._requests: dict[int, ReplayRequest] = {}
        self._links: dict[str, str] = {}
        self._ops: list[MergeOp] = []

    # apply

    async def apply(
        self,
        work: Sequence[Effects | Held],
        positions: Mapping[int, int],
        expected: Mapping[int, int] | None = None,
    ) -> None:
        check_positions(self._positions, positions, expected)
        planner = Planner(self)
        for one in work:
            planner.add(one)
        plan = planner.plan
        self._tick += 1
        self._now = max(self._clock() // 1000, self._now + 1)
        for live in plan.changed.values():
            self._write(live)
        self._applied.update(plan.applied)
        for seq in plan.settled:
            self._settle_hold(seq, HoldState.APPLIED, "engine", "")
        for held in plan.held.values():
            self._hold(held)
        for seq, item in plan.exceptions:
            record = ExceptionRecord(
                0, item.code, item.message, item.location, item.owner, item.row, item.group, 0, self.now, self.now, ()
            )
            self._count_exception(record, seq)
        for seq, outgoing in plan.outgoing:
            known = {(one.outgoing.destination, one.outgoing.idempotency_key) for one in self._deliveries.values()}
            if (outgoing.destination, outgoing.idempotency_key) not in known:
                id_ = len(self._deliveries) + 1
                self._deliveries[id_] = Delivery(id_, seq, outgoing, DeliveryState.DUE, 0, 0, "", self.now)
        self._ops.extend(plan.ops)
        for retired, survivor in plan.links.items():
            if survivor is None:
                self._links.pop(retired, None)
            else:
                self._links[retired] = survivor
        self._positions.update(positions)

    @property
    def now(self) -> int:
        """Microseconds of the last commit."""
        return self._now * 1000

    def _write(self, live: Live) -> None:
        row = self._rows.get(live.record)
        if row is None:
            row = self._rows[live.record] = _Row(len(self._rows) + 1, live.type, live.id, 0, [])
        for version in live.versions:
            text = b"" if version.is_deleted else pack(Record(live.id, version.stated, version.overlay))
            row.versions.append(_Version(version.number, self._tick, self._now, version.seq, text))
        row.at = live.stated.at
        last = row.versions[-1]
        if live.is_deleted:
            row.elements, row.facts = {}, frozenset()
            return
        text = pack(Record(live.id, live.stated, live.overlay))
        row.versions[-1] = replace(last, text=text)
        body, _ = served_text(text)
        row.elements = msgspec.json.decode(body, type=dict[str, Raw])
        row.facts = frozenset(fhir.facts_of(live.type, body).all())

    # what the planner reads

    def find(self, records: Iterable[str]) -> dict[str, Found]:
        found = ((record, self._rows.get(record)) for record in records)
        return {
            record: Found(row.rid, row.versions[-1].number, row.at, row.versions[-1].text)
            for record, row in found
            if row is not None
        }

    def is_applied(self, seq: int) -> bool:
        return seq in self._applied

    def hold_state(self, seq: int) -> HoldState | None:
        return self._holds[seq].state if seq in self._holds else None

    def has_links(self) -> bool:
        return bool(self._links)

    def link(self, record: str) -> str | None:
        return self._links.get(record)

    def merge_ops(self, records: Iterable[str]) -> set[MergeOp]:
        wanted = set(records)
        return {op for op in self._ops if op.survivor in wanted or op.retired in wanted}

    def referrers(self, record: str) -> Iterable[str]:
        for row in self._rows.values():
            last = row.versions[-1]
            if last.text:
                stored = unpack(last.text, row.at)
                stated = {one for raw in stored.stated.elements.values() for one in fhir.local_references(bytes(raw))}
                if record in stated:
                    yield f"{row.type}/{row.id}"

    # resources

    def get(self, type_: str, id_: str, version: int | None = None) -> Stored:
        row = self._row(type_, id_)
        for one in reversed(row.versions):
            if version in (None, one.number):
                return self._stored(row, one)
        raise NotFound("there is no such version", code="not-found", location=f"{type_}/{id_}")

    def history(self, type_: str, id_: str, limit: int = 100) -> list[Stored]:
        row = self._row(type_, id_)
        return [self._stored(row, one) for one in reversed(row.versions)][:limit]

    def _row(self, type_: str, id_: str) -> _Row:
        row = self._rows.get(f"{type_}/{id_}")
        if row is None:
            raise NotFound("there is no such resource", location=f"{type_}/{id_}")
        return row

    def _stored(self, row: _Row, version: _Version | None = None) -> Stored:
        one = version or row.versions[-1]
        body = serve(row.type, one.text, one.number, one.updated)[1] if one.text else b""
        return Stored(row.type, row.id, one.number, one.updated * 1000, body, one.seq, not one.text)

    def search(self, query: Query) -> Page:
        criteria, sort, cursor = criteria_of(query), sort_of(query), read_cursor(query)
        inclusions = inclusions_of(query.include, "_include")
        reversals = inclusions_of(query.revinclude, "_revinclude")
        rows = [row for row in self._rows.values() if self._matches(row, query.type, criteria)]
        if query.total_only or query.count <= 0:
            return Page((), (), len(rows))
        rows.sort(key=lambda row: (_sort_key(row, sort), row.rid), reverse=sort.is_descending)
        rest = rows if cursor is None else [row for row in rows if _is_after(row, sort, (cursor.key, cursor.rid))]
        page = rest[: query.count]
        next_ = write_cursor(query, _sort_key(page[-1], sort), page[-1].rid) if len(rest) > len(page) else ""
        included = self._included(page, inclusions) | self._reversed(page, reversals)
        more = [self._stored(self._rows[record]) for record in sorted(included - {_name(row) for row in page})]
        return Page(tuple(self._stored(row) for row in page), tuple(more), len(rows), next_)

    def _matches(self, row: _Row, type_: str, criteria: Sequence[Criterion]) -> bool:
        last = row.versions[-1]
        if row.type != type_ or not last.text:
            return False
        return all(meets(one, row.id, last.updated, row.elements, row.facts) for one in criteria)

    def _included(self, page: Sequence[_Row], inclusions: Sequence[Inclusion]) -> set[str]:
        found: set[str] = set()
        for one in inclusions:
            for row in page:
                if row.type == one.type:
                    found |= _targets(row, one)
        return {record for record in found if record in self._rows and self._rows[record].versions[-1].text}

    def _reversed(self, page: Sequence[_Row], reversals: Sequence[Inclusion]) -> set[str]:
        wanted = {_name(row) for row in page}
        return {
            _name(row)
            for one in reversals
            for row in self._rows.values()
            if row.type == one.type and row.versions[-1].text and _targets(row, one) & wanted
        }

    # holds and replays

    def positions(self) -> dict[int, int]:
        return dict(self._positions)

    def counts(self) -> RepositoryCounts:
        holds = list(self._holds.values())
        return RepositoryCounts(
            applied=len(self._applied),
            held=sum(one.state is HoldState.OPEN and not one.behind for one in holds),
            behind=sum(one.state is HoldState.OPEN and one.behind for one in holds),
            discarded=sum(one.state is HoldState.DISCARDED for one in holds),
            fields=Accounting(
                *(sum(getattr(one, name) for one in self._applied.values()) for name in Accounting.__struct_fields__)
            ),
            exceptions=sum(one.is_open for one in self._exceptions.values()),
            resources=sum(bool(row.versions[-1].text) for row in self._rows.values()),
            deliveries={
                state.value: sum(one.state is state for one in self._deliveries.values()) for state in DeliveryState
            },
        )

    def held_keys(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for one in self._open_holds():
            for key in (one.key, one.other_key):
                found.setdefault(key, one.seq)
        found.pop("", None)
        return found

    def holds(
        self,
        *,
        key: str | None = None,
        code: str | None = None,
        state: HoldState | None = HoldState.OPEN,
        after: int = 0,
        limit: int = 100,
    ) -> list[Hold]:
        found = (
            one
            for one in sorted(self._holds.values(), key=lambda one: one.seq)
            if one.seq > after
            and (key in (None, one.key) or (key and key == one.other_key))
            and code in (None, one.code)
            and state in (None, one.state)
        )
        return list(found)[:limit]

    def hold(self, seq: int) -> Hold:
        if seq not in self._holds:
            raise missing("hold", seq)
        return self._holds[seq]

    async def discard(self, seq: int, by: str, note: str) -> None:
        self._open_hold(seq)
        self._settle_hold(seq, HoldState.DISCARDED, by, note)

    async def request_replay(self, seq: int | None, by: str, *, code: str | None = None) -> int:
        holds = self._open_holds() if seq is None else [self._open_hold(seq)]
        wanted = [one.seq for one in holds if code in (None, one.code)]
        for one in wanted:
            if one not in {request.seq for request in self._requests.values()}:
                id_ = max(self._requests, default=0) + 1
                self._requests[id_] = ReplayRequest(id_, one, by, self._clock())
        return len(wanted)

    def requests(self, limit: int = 1000) -> list[ReplayRequest]:
        return sorted(self._requests.values(), key=lambda one: one.seq)[:limit]

    async def answer_requests(self, ids: Sequence[int]) -> None:
        for id_ in ids:
            self._requests.pop(id_, None)

    def _open_holds(self) -> list[Hold]:
        return [one for _, one in sorted(self._holds.items()) if one.state is HoldState.OPEN]

    def _open_hold(self, seq: int) -> Hold:
        if self.hold_state(seq) is not HoldState.OPEN:
            raise missing("hold", seq)
        return self._holds[seq]

    def _hold(self, held: Held) -> None:
        before = self._holds.get(held.seq)
        self._holds[held.seq] = Hold(
            held.seq,
            held.partition,
            held.key,
            held.code,
            held.message,
            held.location,
            held.owner,
            held.behind,
            at=before.at if before else self.now,
            tries=(before.tries if before else 0) + 1,
            other_key=held.other_key,
        )

    def _settle_hold(self, seq: int, state: HoldState, by: str, note: str) -> None:
        at = self._clock() if state is HoldState.DISCARDED else self.now
        self._holds[seq] = replace(self._holds[seq], state=state, settled_at=at, settled_by=by, note=note)
        self._requests = {id_: one for id_, one in self._requests.items() if one.seq != seq}

    # exceptions

    def exceptions(
        self,
        *,
        code: str | None = None,
        owner: str | None = None,
        is_open: bool | None = True,
        after: int = 0,
        limit: int = 100,
    ) -> list[ExceptionRecord]:
        found = (
            one
            for one in self._exceptions.values()
            if one.id > after
            and code in (None, one.code)
            and owner in (None, one.owner)
            and is_open in (None, one.is_open)
        )
        return list(found)[:limit]

    def exception(self, id_: int) -> ExceptionRecord:
        if id_ not in self._exceptions:
            raise missing("exception", id_)
        return self._exceptions[id_]

    async def settle(self, id_: int, by: str, note: str) -> None:
        record = self.exception(id_)
        if not record.is_open:
            raise missing("exception", id_)
        self._exceptions[id_] = replace(record, is_open=False, settled_at=self._clock(), settled_by=by, note=note)

    def _count_exception(self, record: ExceptionRecord, seq: int) -> None:
        known = [one for one in self._exceptions.values() if one.group and one.group == record.group]
        id_ = known[0].id if known else len(self._exceptions) + 1
        before = known[0] if known else record
        self._exceptions[id_] = replace(
            record,
            id=id_,
            count=before.count + 1,
            first_at=before.first_at,
            samples=with_sample(before.samples, seq),
        )

    # outbox

    def due(self, destination: str, now: int, limit: int = 100) -> list[Delivery]:
        heads = [one for one in self._heads(destination) if one.state is DeliveryState.DUE and one.next_at <= now]
        first = sorted(heads, key=lambda one: (one.next_at, one.id))[:limit]
        return sorted(first, key=lambda one: one.id)

    def next_due(self, destination: str) -> int | None:
        return min((one.next_at for one in self._heads(destination) if one.state is DeliveryState.DUE), default=None)

    def _heads(self, destination: str) -> list[Delivery]:
        heads: dict[str, Delivery] = {}
        for one in self._deliveries.values():
            is_open = one.state in (DeliveryState.DUE, DeliveryState.CLAIMED)
            if one.outgoing.destination == destination and is_open:
                heads.setdefault(one.outgoing.key, one)
        return list(heads.values())

    def deliveries(
        self,
        destination: str | None = None,
        *,
        state: DeliveryState | None = None,
        after: int = 0,
        limit: int = 100,
    ) -> list[Delivery]:
        found = (
            one
            for one in self._deliveries.values()
            if one.id > after and destination in (None, one.outgoing.destination) and state in (None, one.state)
        )
        return list(found)[:limit]

    def deliveries_of(self, seq: int) -> list[Delivery]:
        return [one for _, one in sorted(self._deliveries.items()) if one.seq == seq]

    def delivery_counts(self) -> dict[tuple[str, str], int]:
        return dict(Counter((one.outgoing.destination, one.state.value) for one in self._deliveries.values()))

    def type_counts(self) -> dict[str, int]:
        return dict(Counter(name.partition("/")[0] for name, row in self._rows.items() if row.versions[-1].text))

    async def claim(self, ids: Sequence[int]) -> None:
        for id_ in ids:
            one = self._delivery(id_, DeliveryState.DUE)
            self._deliveries[id_] = replace(one, state=DeliveryState.CLAIMED, attempts=one.attempts + 1)

    async def release(self, destination: str | None = None) -> list[Delivery]:
        found = self.deliveries(destination, state=DeliveryState.CLAIMED, limit=len(self._deliveries))
        for one in found:
            self._deliveries[one.id] = replace(one, state=DeliveryState.DUE)
        return found

    async def delivered(self, id_: int, receipt: Receipt) -> None:
        one = self._delivery(id_, DeliveryState.DUE, DeliveryState.CLAIMED)
        self._deliveries[id_] = replace(
            one,
            state=DeliveryState.DELIVERED,
            attempts=_attempts(one),
            receipt=receipt,
            outgoing=replace(one.outgoing, payload=b""),
        )

    async def failed(self, id_: int, next_at: int, code: str) -> None:
        one = self._delivery(id_, DeliveryState.DUE, DeliveryState.CLAIMED)
        self._deliveries[id_] = replace(
            one, state=DeliveryState.DUE, attempts=_attempts(one), next_at=next_at, code=code
        )

    async def dead(self, id_: int, code: str) -> None:
        one = self._delivery(id_, DeliveryState.DUE, DeliveryState.CLAIMED)
        self._deliveries[id_] = replace(one, state=DeliveryState.DEAD, attempts=_attempts(one), code=code)

    async def revive(self, id_: int) -> None:
        one = self._delivery(id_, DeliveryState.DEAD)
        self._deliveries[id_] = replace(one, state=DeliveryState.DUE, next_at=0)

    def _delivery(self, id_: int, *states: DeliveryState) -> Delivery:
        one = self._deliveries.get(id_)
        if one is None or one.state not in states:
            raise missing("delivery", id_)
        return one


def _attempts(one: Delivery) -> int:
    """An attempt that was not claimed before it was made counts when its outcome is told."""
    return one.attempts + (one.state is DeliveryState.DUE)


def _name(row: _Row) -> str:
    return f"{row.type}/{row.id}"


def _targets(row: _Row, one: Inclusion) -> set[str]:
    return {
        fact[1]
        for fact in row.facts
        if fact[0] in one.numbers and (not one.target or fact[1].startswith(f"{one.target}/"))
    }


def _sort_key(row: _Row, sort: Sort) -> int | str:
    if sort.number == 0:
        return row.versions[-1].tick
    if sort.is_string:
        return min((fact[1] for fact in row.facts if fact[0] == sort.number), default="")
    return min((fact[1] for fact in row.facts if fact[0] == sort.number), default=fhir.FAR_PAST - 1)


def _is_after(row: _Row, sort: Sort, place: tuple[int | str, int]) -> bool:
    mine = (_sort_key(row, sort), row.rid)
    return mine < place if sort.is_descending else mine > place
