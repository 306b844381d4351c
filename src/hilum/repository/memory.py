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
from hilum.model import AuditEvent, Effects, Held

from .body import Record, pack, serve, served_text, unpack
from .criteria import Criterion, Inclusion, Sort, criteria_of, inclusions_of, sort_of
from .cursor import read_cursor, write_cursor
from .links import MergeOp
from .matching import meets
from .memory_desk import MemoryDesk
from .merging import MergeRecord, merge_records
from .plan import Found, Live, Planner
from .rules import check_positions
from .seam import Page, Query, Stored
from .writes import Aftermath, Change, Done, Written, carry_out, chunks_needed, conditions_of, stored_live

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
            return Written(done.did, stored_live(live, now))
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

    def type_counts(self) -> dict[str, int]:
        return dict(Counter(name.partition("/")[0] for name, row in self._rows.items() if row.versions[-1].text))


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
