"""The repository's twin in memory: the same planner and the same rules, dicts instead of tables, nothing kept."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import groupby

from msgspec import Struct
from msgspec.structs import replace

from hilum.errors import HilumError, NotFound
from hilum.formats import fhir
from hilum.formats.fhir import Fact, Kind
from hilum.model import AuditEvent, Effects, Held

from .arranging import Inclusion, Sort, inclusions_of, sorts_of
from .body import Record, meta_text, pack, serve, served_text, unpack
from .criteria import criteria_of, limits_of
from .criterion import Criterion
from .cursor import read_cursor, write_cursor
from .including import include
from .links import MergeOp
from .matching import Subject, is_within, meets, subject_of
from .memory_desk import MemoryDesk
from .merging import MergeRecord, merge_records
from .past import Past, Place, Versions, is_told
from .plan import Found, Live, Planner
from .rules import check_positions
from .seam import Limits, Page, Query, Stored
from .sorting import NO_NUMBER
from .writes import Aftermath, Change, Done, Written, carry_out, chunks_needed, conditions_of, last_said, stored_live

__all__ = ["MemoryRepository"]


NOBODY = Subject("", 0, {}, ())


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
    subject: Subject = NOBODY
    references: tuple[Fact, ...] = ()

    @property
    def type_name(self) -> str:
        return self.type


class MemoryRepository(MemoryDesk):
    """See `Repository`. `clock` gives microseconds. `witness(events)` takes the audit rows of a `write`."""

    def __init__(
        self,
        *,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
        witness: Callable[[Sequence[AuditEvent]], None] | None = None,
    ) -> None:
        super().__init__(clock)
        self._witness = witness
        self._tick = 0
        self._now = 0  # milliseconds of the last commit
        self._rows: dict[str, _Row] = {}
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
        self._take(plan, self._now * 1000)
        self._ops.extend(plan.ops)
        for retired, survivor in plan.links.items():
            if survivor is None:
                self._links.pop(retired, None)
            else:
                self._links[retired] = survivor
        self._positions.update(positions)

    async def write(
        self,
        changes: Sequence[Change],
        *,
        references: Mapping[str, Query] = {},
        then: Callable[[Sequence[Written]], Aftermath] = lambda _: Aftermath(),
    ) -> list[Written]:
        planner = Planner(self)

        def find(query: Query) -> list[str]:
            return [one.id for one in self.search(conditions_of(query)).matches]

        done = carry_out(planner, changes, find, references, -(self._tick + 1))
        now = max(self._clock() // 1000, self._now)
        written = [self._written(one, planner, now) for one in done]
        more = then(written)
        if more.also is not None:
            raise ValueError("there is no store to put rows of one's own into")
        if more.audits:
            if self._witness is None:
                raise ValueError("there is no witness to write audit rows")
            self._witness(more.audits)
        self._tick, self._now = self._tick + chunks_needed(changes), now
        for live in planner.plan.changed.values():
            self._write(live)
        planner.plan.outgoing.extend(more.outgoing)
        self._take(planner.plan, now * 1000)
        return written

    def _written(self, done: Done, planner: Planner, now: int) -> Written:
        live = planner.plan.changed.get(f"{done.type}/{done.id}")
        if live is not None and live.versions:
            return Written(done.did, stored_live(live, now), last_said(live))
        row = self._rows.get(f"{done.type}/{done.id}")
        return Written(done.did, None if row is None else self._stored(row))

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
            row.subject, row.references = NOBODY, ()
            return
        text = pack(Record(live.id, live.stated, live.overlay))
        row.versions[-1] = replace(last, text=text)
        body, _ = served_text(text)
        row.subject = subject_of(live.type, live.id, last.updated, body, meta_text(text))
        row.references = tuple(fhir.facts_of(live.type, body).references)

    # what the planner reads

    def find(self, records: Iterable[str]) -> dict[str, Found]:
        found = ((record, self._rows.get(record)) for record in records)
        return {
            record: Found(row.rid, row.versions[-1].number, row.at, row.versions[-1].text)
            for record, row in found
            if row is not None
        }

    def has_links(self) -> bool:
        return bool(self._links)

    def link(self, record: str) -> str | None:
        return self._links.get(record)

    def merge_ops(self, records: Iterable[str]) -> set[MergeOp]:
        wanted = set(records)
        return {op for op in self._ops if op.survivor in wanted or op.retired in wanted}

    def merges(self, record: str | None = None, limit: int = 100) -> list[MergeRecord]:
        newest = sorted(self._ops, key=lambda op: (op.seq, op.ordinal), reverse=True)[:limit]
        return merge_records(self.merge_ops, record, newest)

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

    def versions(self, past: Past) -> Versions:
        found = [
            ((one.tick, row.rid, one.number), self._stored(row, one))
            for row in self._rows.values()
            if past.type in ("", row.type) and past.id in ("", row.id) and is_told(past, self._stored(row))
            for one in row.versions
            if _is_of(past, row, one)
        ]
        below = [one for one in sorted(found, key=_place, reverse=True) if past.after is None or one[0] < past.after]
        page = below[: max(past.count, 0)]
        told = tuple(stored for _, stored in page if is_told(past, stored))
        return Versions(told, page[-1][0] if page and len(below) > len(page) else None)

    def version_by(self, seq: int, type_: str, id_: str) -> Stored | None:
        row = self._rows.get(f"{type_}/{id_}")
        versions = row.versions if row is not None else []
        return next((self._stored(row, one) for one in versions if row is not None and one.seq == seq), None)

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
        sorts, cursor = sorts_of(query), read_cursor(query)
        forward, backward = inclusions_of(query.include, "_include"), inclusions_of(query.revinclude, "_revinclude")
        rows = (
            self._everything(query) if not query.type else self._of_type(query.type, criteria_of(query), query.limits)
        )
        if query.total_only or query.count <= 0:
            return Page((), (), len(rows))
        for sort in reversed(sorts):
            rows.sort(key=lambda row, by=sort: _sort_key(row, by), reverse=sort.is_descending)  # type: ignore[misc]
        rows = _by_number(rows, sorts)
        rest = rows if cursor is None else rows[_after(rows, sorts, (*cursor.key, cursor.rid)) :]
        page = rest[: query.count]
        key = tuple(_sort_key(page[-1], sort) for sort in sorts) if page else ()
        next_ = write_cursor(query, key, page[-1].rid) if len(rest) > len(page) else ""
        more = include(
            page,
            forward,
            backward,
            lambda frontier, steps: self._seen(self._followed(frontier, steps), query),
            lambda frontier, steps: self._seen(self._traced(frontier, steps), query),
        )
        total = len(rows) if query.with_total else -1
        return Page(tuple(map(self._stored, page)), tuple(map(self._stored, more)), total, next_)

    def _of_type(self, type_: str, criteria: Sequence[Criterion], limits: dict[str, Limits] | None) -> list[_Row]:
        resolved = [self._resolved(one, limits) for one in criteria]
        rows = (row for row in self._rows.values() if row.type == type_ and row.versions[-1].text)
        return [row for row in rows if all(self._meets(one, row) for one in resolved)]

    def _resolved(self, criterion: Criterion, limits: dict[str, Limits] | None) -> Criterion:
        """A criterion about others, as one about the resource itself. Others are those that may be seen."""

        def of(type_: str, inner: Criterion) -> list[_Row]:
            return self._of_type(type_, [inner, *limits_of(type_, limits)], limits)

        match criterion.kind:
            case "chain":
                found = {_name(row) for type_, inner in criterion.inner for row in of(type_, inner)}
                return Criterion(Kind.REFERENCE.value, criterion.numbers, tuple(found))
            case "has":
                ((type_, inner),) = criterion.inner
                facts = (fact for row in of(type_, inner) for fact in row.subject.facts)
                return replace(criterion, values=tuple({a for n, a, _ in facts if n in criterion.numbers}))
        return criterion

    def _meets(self, criterion: Criterion, row: _Row) -> bool:
        if criterion.kind == "has":
            return _name(row) in criterion.values
        return meets(criterion, row.subject)

    def _everything(self, query: Query) -> list[_Row]:
        types = {row.type for row in self._rows.values()} & set(query.types or fhir.RESOURCE_TYPES)
        found: list[_Row] = []
        for type_ in types:
            try:
                asked = replace(query, type=type_, types=(), after="")
                found += self._of_type(type_, criteria_of(asked), query.limits)
            except HilumError as error:
                if error.location != "compartment":
                    raise
        return found

    def _seen(self, rows: Iterable[_Row], query: Query) -> list[_Row]:
        if query.limits is None:
            return list(rows)
        return [row for row in rows if is_within(self._stored(row), query.limits.get(row.type, ()))]

    def _followed(self, frontier: Collection[_Row], steps: Sequence[Inclusion]) -> list[_Row]:
        wanted = {
            target for one in steps for row in frontier if one.type in ("*", row.type) for target in _targets(row, one)
        }
        return [row for name in wanted if (row := self._rows.get(name)) is not None and row.versions[-1].text]

    def _traced(self, frontier: Collection[_Row], steps: Sequence[Inclusion]) -> list[_Row]:
        found: list[_Row] = []
        for one in steps:
            wanted = {_name(row) for row in frontier if one.target in ("", row.type)}
            rows = (row for row in self._rows.values() if one.type in ("*", row.type) and row.versions[-1].text)
            found += [row for row in rows if _targets(row, replace(one, target="")) & wanted]
        return found

    def type_counts(self) -> dict[str, int]:
        return dict(Counter(name.partition("/")[0] for name, row in self._rows.items() if row.versions[-1].text))


def _place(one: tuple[Place, Stored]) -> Place:
    return one[0]


def _is_of(past: Past, row: _Row, one: _Version) -> bool:
    """Whether a version is of the times asked for."""
    if past.since is not None and one.updated < past.since:
        return False
    if past.at is None:
        return True
    later = next((other.updated for other in row.versions if other.number == one.number + 1), None)
    return one.updated < past.at[1] and (later is None or later > past.at[0])


def _name(row: _Row) -> str:
    return f"{row.type}/{row.id}"


def _targets(row: _Row, one: Inclusion) -> set[str]:
    return {
        fact[1]
        for fact in row.references
        if (not one.numbers or fact[0] in one.numbers) and (not one.target or fact[1].startswith(f"{one.target}/"))
    }


def _sort_key(row: _Row, sort: Sort) -> int | float | str:
    if sort.is_by_id:
        return row.id
    if sort.kind is None:
        return row.versions[-1].tick
    absent: int | float | str = ""
    if sort.kind is Kind.DATE:
        absent = fhir.FAR_PAST - 1
    elif sort.kind in (Kind.QUANTITY, Kind.NUMBER):
        absent = NO_NUMBER
    return min((fact[1] for fact in row.subject.facts if fact[0] == sort.number), default=absent)


def _by_number(rows: list[_Row], sorts: Sequence[Sort]) -> list[_Row]:
    """Among equals the number of the resource decides, in the direction of the last key."""

    def keys(row: _Row) -> tuple[int | float | str, ...]:
        return tuple(_sort_key(row, sort) for sort in sorts)

    ordered: list[_Row] = []
    for _, equal in groupby(rows, keys):
        ordered += sorted(equal, key=lambda row: row.rid, reverse=sorts[-1].is_descending)
    return ordered


def _after(rows: Sequence[_Row], sorts: Sequence[Sort], place: tuple[int | float | str, ...]) -> int:
    """Where the rows after a place begin."""
    descending = [sort.is_descending for sort in sorts]
    descending.append(descending[-1])

    def is_after(row: _Row) -> bool:
        mine = (*(_sort_key(row, sort) for sort in sorts), row.rid)
        for a, b, down in zip(mine, place, descending, strict=True):
            if a != b:
                return a < b if down else a > b  # type: ignore[operator]
        return False

    return next((at for at, row in enumerate(rows) if is_after(row)), len(rows))
