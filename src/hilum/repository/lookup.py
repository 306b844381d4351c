"""Searching: the clause that leaves least comes first, the others are tested on its rows, and bodies last of all."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import apsw
from msgspec import Struct
from msgspec.structs import replace

from hilum import definitions
from hilum.errors import HilumError
from hilum.formats import fhir

from .arranging import Inclusion, Sort, inclusions_of, sorts_of
from .bodies import near, needles, needs_body, numbers_of, subject_in
from .body import serve, served_text
from .chunks import CHUNK, Texts
from .clauses import Clause, clause_of, date_conditions
from .criteria import compartment_numbers, criteria_of, limits_of
from .criterion import Criterion, Mode
from .cursor import read_cursor, write_cursor
from .implied import without_implied
from .including import include
from .keys import TYPE_NUMBERS, id_in
from .matching import is_within, meets
from .names import find_rids
from .packaged import indexed_upto, opposite, packaged_clause
from .past import Past, Versions, past_versions
from .seam import Limits, Page, Query, Stored
from .sorting import ID_OF, Order, beyond, order_of
from .sql import Row, as_json, number, rows

__all__ = ["search", "versions"]

SECONDS = 10.0  # after which a search is given up
PAGE_BYTES = 16 * 1024 * 1024  # of bodies on one page
STEPS = 20_000  # of SQLite's machine between two looks at the clock

_COLUMNS = f"v.rid, v.type, v.version, c.at, v.seq, {CHUNK}, v.place"
_MORE = "CROSS JOIN apply_commit c ON c.tick = v.tick"


class _Found(Struct, frozen=True):
    """One row of a page."""

    rid: int
    type: int
    version: int
    updated: int
    seq: int
    text: bytes

    @property
    def type_name(self) -> str:
        return fhir.RESOURCE_TYPES[self.type - 1]

    def stored(self) -> Stored:
        """As the seam gives it."""
        id_, whole = serve(self.type_name, self.text, self.version, self.updated)
        return Stored(self.type_name, id_, self.version, self.updated * 1000, whole, self.seq)


class _Select(Struct, frozen=True):
    """FROM and WHERE of a search."""

    tables: str
    where: str
    values: Row


def search(connection: apsw.Connection, query: Query, texts: Texts, seconds: float = SECONDS) -> Page:
    """One page on one snapshot. Raises HilumError `search-...`."""
    with _clock(connection, seconds) as check:
        return _Search(connection, texts, check, query.limits).page(query)


def versions(connection: apsw.Connection, past: Past, texts: Texts, seconds: float = SECONDS) -> Versions:
    """One page of the past on one snapshot. Raises HilumError `search-too-slow`."""
    with _clock(connection, seconds) as check:
        seen = _Search(connection, texts, check, past.limits)
        rids = find_rids(connection, (f"{past.type}/{past.id}",)) if past.id else {}
        return past_versions(connection, past, next(iter(rids.values()), None), seen.visible, texts)


@contextmanager
def _clock(connection: apsw.Connection, seconds: float) -> Iterator[Callable[[], None]]:
    """Give up what takes too long, in SQLite and beside it."""
    end = time.monotonic() + seconds

    def check() -> None:
        if time.monotonic() > end:
            raise _too_slow(seconds)

    connection.set_progress_handler(lambda: time.monotonic() > end, STEPS)
    try:
        yield check
    except apsw.InterruptError:
        raise _too_slow(seconds) from None
    finally:
        connection.set_progress_handler(None)


def _id_in(*key: Any) -> str:
    return id_in(key[0])


def _too_slow(seconds: float) -> HilumError:
    return HilumError(
        f"the search was given up after {seconds:.0f} s: name a patient, or a parameter that fewer resources meet",
        code="search-too-slow",
        location="_search",
    )


class _Search:
    """One search over one snapshot."""

    def __init__(
        self, connection: apsw.Connection, texts: Texts, check: Callable[[], None], limits: dict[str, Limits] | None
    ) -> None:
        self._connection, self._texts, self._check, self._limits = connection, texts, check, limits

    def page(self, query: Query) -> Page:
        sorts, cursor = sorts_of(query), read_cursor(query)
        forward, backward = inclusions_of(query.include, "_include"), inclusions_of(query.revinclude, "_revinclude")
        select = self._everything(query) if not query.type else self._select(query.type, criteria_of(query))
        if query.total_only or query.count <= 0:
            return Page((), (), self._total(select))
        order = order_of(sorts)
        if any(one.is_by_id for one in sorts):
            self._connection.create_scalar_function(ID_OF, _id_in, 1, deterministic=True)
        place = None if cursor is None else (*cursor.key, cursor.rid)
        found = self._found(select, order, sorts, place, query.count + 1)
        page = _fitting(found[: query.count])
        is_last = len(page) == len(found)
        total = -1
        if query.with_total:
            total = len(found) if cursor is None and is_last else self._total(select)
        next_ = "" if is_last else write_cursor(query, page[-1][1], page[-1][0].rid)
        matches = [one for one, _ in page]

        def seen(some: list[_Found]) -> list[_Found]:
            return [one for one in some if query.limits is None or _is_seen(one, query)]

        more = include(
            matches,
            forward,
            backward,
            lambda frontier, steps: seen(self._followed(frontier, steps)),
            lambda frontier, steps: seen(self._traced(frontier, steps)),
        )
        return Page(tuple(one.stored() for one in matches), tuple(one.stored() for one in more), total, next_)

    # which

    def rids(self, type_: str, criterion: Criterion) -> list[int]:
        """The resources of a type that meet one criterion, of those that may be seen: no chain leads past them."""
        select = self._select(type_, [criterion, *limits_of(type_, self._limits)])
        return [rid for (rid,) in self._rows(f"SELECT v.rid FROM {select.tables} WHERE {select.where}", select.values)]  # noqa: S608

    def visible(self, type_: str) -> list[int]:
        """The resources of a type that may be seen."""
        select = self._select(type_, limits_of(type_, self._limits))
        return [rid for (rid,) in self._rows(f"SELECT v.rid FROM {select.tables} WHERE {select.where}", select.values)]  # noqa: S608

    def _select(self, type_: str, criteria: Sequence[Criterion]) -> _Select:
        criteria = without_implied(criteria)
        clauses: list[Clause] = []
        tested: list[Criterion] = []
        for one in criteria:
            clause = self._packaged(type_, one) if needs_body(one) else self._clause(type_, one)
            if clause is None:
                tested.append(one)
            else:
                clauses.append(clause)
        if not tested:
            return _select(type_, clauses)
        about = [self._clause(type_, one) for each in tested for one in near(type_, each)]
        exact = (self._packaged(type_, replace(one, mode=Mode.IS)) for one in tested if one.mode is Mode.EXACT)
        about += [clause for clause in exact if clause is not None]
        rids = as_json(list(self._tested(type_, _select(type_, [*clauses, *about]), tested)))
        source = "SELECT value AS rid FROM json_each(?)"
        return _select(type_, [Clause(f"v.rid IN ({source})", (rids,), source, (rids,), 0)])

    def _clause(self, type_: str, one: Criterion) -> Clause:
        return clause_of(self._connection, type_, one, self.rids)

    def _packaged(self, type_: str, one: Criterion) -> Clause | None:
        """By the index of a package's parameter, and by the bodies of what was committed after it; None: by bodies."""
        if len(one.numbers) != 1 or one.numbers[0] < fhir.OFFERED:
            return None
        upto = indexed_upto(self._connection, type_)
        if upto < 0 or packaged_clause(one, "", upto, ()) is None:
            return None
        later = _select(type_, [Clause("v.tick > ?", (upto,))])
        rids = list(self._tested(type_, later, [replace(one, mode=opposite(one.mode))]))
        return packaged_clause(one, fhir.parameter(one.numbers[0]).name, upto, rids)

    def _tested(self, type_: str, select: _Select, criteria: Sequence[Criterion]) -> Iterator[int]:
        """Of the resources that the index leaves, those whose bodies meet the rest."""
        parameters = [fhir.parameter(n) for n in dict.fromkeys(numbers_of(criteria))]
        sql = f"SELECT {_COLUMNS} FROM {select.tables} {_MORE} WHERE {select.where}"  # noqa: S608
        marks = [some for criterion in criteria if (some := needles(criterion))]
        for one in self._rows(sql, select.values):
            self._check()
            found = self._resource(one)
            if not all(any(text in found.text for text in some) for some in marks):
                continue
            subject = subject_in(type_, found.text, found.updated, parameters)
            if all(meets(criterion, subject) for criterion in criteria):
                yield found.rid

    def _everything(self, query: Query) -> _Select:
        """All of a compartment, whatever its type, and its owner; without a compartment all of some types."""
        owner, _, _ = query.compartment.partition("/")
        types = list(query.types)
        if owner:
            types = [one for one in (types or _compartment_types(owner)) if one == owner or _is_in(owner, one)]
        if query.limits is not None:
            types = [one for one in types if one in query.limits]
        rids: set[int] = set()
        for type_ in types:
            criteria = criteria_of(_within(query, type_))
            select = self._select(type_, criteria)
            sql = f"SELECT v.rid FROM {select.tables} WHERE {select.where}"  # noqa: S608
            rids.update(rid for (rid,) in self._rows(sql, select.values))
        source = "SELECT value AS rid FROM json_each(?)"
        values = (as_json(sorted(rids)),)
        return _Select(f"({source}) d CROSS JOIN resource v ON v.rid = d.rid", "v.type > 0", values)

    def _total(self, select: _Select) -> int:
        sql = f"SELECT count(*) FROM {select.tables} WHERE {select.where}"  # noqa: S608
        return number(self._connection, sql, select.values)

    def _found(
        self, select: _Select, order: Order, sorts: Sequence[Sort], place: Row | None, limit: int
    ) -> list[tuple[_Found, Row]]:
        """(row, its sort keys), in order, after `place`."""
        where, values = select.where, (*_join_values(select, order), *select.values[_split(select) :])
        if place is not None:
            after, given = beyond(order, sorts, place)
            where, values = f"{where} AND {after}", (*values, *given)
        sql = (
            f"SELECT {_COLUMNS}, {', '.join(order.keys)} FROM {select.tables}{order.joins} {_MORE} "  # noqa: S608
            f"WHERE {where} ORDER BY {order.clause(sorts)} LIMIT {limit:d}"
        )
        width = len(order.keys)
        return [(self._resource(one[:-width]), one[-width:]) for one in self._rows(sql, values)]

    # includes

    def _followed(self, frontier: Collection[_Found], steps: Sequence[Inclusion]) -> list[_Found]:
        targets = {target for one in frontier for target in _targets(one, steps)}
        return self._by_rids(find_rids(self._connection, targets).values())

    def _traced(self, frontier: Collection[_Found], steps: Sequence[Inclusion]) -> list[_Found]:
        found: list[_Found] = []
        for step in steps:
            rids = [one.rid for one in frontier if step.target in ("", one.type_name)]
            where = "" if not step.numbers else f" AND parameter IN ({', '.join(map(str, step.numbers))})"
            sql = f"SELECT rid FROM fact_reference WHERE target IN (SELECT value FROM json_each(?)){where}"  # noqa: S608
            some = self._by_rids({rid for (rid,) in self._rows(sql, (as_json(rids),))})
            found += [one for one in some if step.type in ("*", one.type_name)]
        return found

    def _by_rids(self, rids: Iterable[int]) -> list[_Found]:
        wanted = sorted(rids)
        if not wanted:
            return []
        sql = (
            f"SELECT {_COLUMNS} FROM json_each(?) j CROSS JOIN resource v ON v.rid = j.value "  # noqa: S608
            f"{_MORE} WHERE v.type > 0"
        )
        return [self._resource(one) for one in self._rows(sql, (as_json(wanted),))]

    def _rows(self, sql: str, values: Row = ()) -> list[Row]:
        return rows(self._connection, sql, values)

    def _resource(self, row: Row) -> _Found:
        rid, type_, version, updated, seq, *where = row
        return _Found(rid, type_, version, updated, seq, self._texts.text(self._connection, *where))


def _select(type_: str, clauses: Sequence[Clause]) -> _Select:
    first = min((clause for clause in clauses if clause.source), key=lambda clause: clause.rank, default=None)
    tables = "resource v"
    values: Row = ()
    if first is not None:
        source, values = _narrowed(first, clauses)
        tables = f"(SELECT DISTINCT rid FROM ({source})) d CROSS JOIN resource v ON v.rid = d.rid"  # noqa: S608
    where = [f"v.type = {TYPE_NUMBERS.get(type_, 0) or -1}"]
    for clause in clauses:
        if clause is not first:
            where.append(clause.where)
            values = (*values, *clause.values)
    return _Select(tables, " AND ".join(where), values)


def _split(select: _Select) -> int:
    """How many of the values stand in the tables, before any join."""
    return select.tables.count("?")


def _join_values(select: _Select, order: Order) -> Row:
    return (*select.values[: _split(select)], *order.values)


def _narrowed(first: Clause, clauses: Sequence[Clause]) -> tuple[str, Row]:
    """A patient's references carry the ordering date: rows outside the dates asked for are never touched."""
    source, values = first.source, first.source_values
    if not first.targets:
        return source, values
    for clause in clauses:
        if clause.dates:
            parts, more = date_conditions(clause.dates, "f.")
            source += f" AND ({' OR '.join(parts)} OR f.span = 0)"
            values = (*values, *more)
    return source, values


def _fitting(found: list[tuple[_Found, Row]]) -> list[tuple[_Found, Row]]:
    """As many as one page may hold in bytes; one at least."""
    size = 0
    for at, (one, _) in enumerate(found):
        size += len(one.text)
        if at and size > PAGE_BYTES:
            return found[:at]
    return found


def _targets(found: _Found, steps: Sequence[Inclusion]) -> Iterator[str]:
    """What a resource refers to by these inclusions."""
    mine = [one for one in steps if one.type in ("*", found.type_name)]
    if not mine:
        return
    body, _ = served_text(found.text)
    for n, target, _ in fhir.facts_of(found.type_name, body).references:
        for one in mine:
            if (not one.numbers or n in one.numbers) and (not one.target or target.startswith(f"{one.target}/")):
                yield target


def _is_seen(found: _Found, query: Query) -> bool:
    assert query.limits is not None
    limits = query.limits.get(found.type_name)
    return limits is not None and (() in limits or is_within(found.stored(), limits))


def _within(query: Query, type_: str) -> Query:
    return Query(type_, query.terms, compartment=query.compartment, care=query.care, limits=query.limits)


@lru_cache(maxsize=8)
def _compartment_types(owner: str) -> tuple[str, ...]:
    return (owner, *(one for one in definitions.compartment(owner) if one != owner))


@lru_cache(maxsize=1_024)
def _is_in(owner: str, type_: str) -> bool:
    try:
        return bool(compartment_numbers(owner, type_))
    except HilumError:
        return False
