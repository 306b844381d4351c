"""Searching: the clause that leaves least comes first, the others are tested on its rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw
from msgspec import Struct

from hilum.formats import fhir

from .body import serve, served_text
from .chunks import CHUNK, Texts
from .clauses import Clause, clause_of, date_conditions
from .criteria import Inclusion, Sort, criteria_of, inclusions_of, sort_of
from .cursor import read_cursor, write_cursor
from .keys import TYPE_NUMBERS
from .names import find_rids
from .seam import Page, Query, Stored
from .sql import Row, as_json, number, rows

__all__ = ["search"]

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
    """FROM and WHERE of a search, and what it is sorted by."""

    tables: str
    where: str
    values: Row
    key: str


def search(connection: apsw.Connection, query: Query, texts: Texts) -> Page:
    """One page on one snapshot."""
    criteria, sort, cursor = criteria_of(query), sort_of(query), read_cursor(query)
    inclusions = inclusions_of(query.include, "_include")
    reversals = inclusions_of(query.revinclude, "_revinclude")
    select = _select(query.type, [clause_of(connection, query.type, one, texts) for one in criteria], sort)
    if query.total_only or query.count <= 0:
        return Page((), (), _total(connection, select))
    place = None if cursor is None else (cursor.key, cursor.rid)
    found = _found(connection, select, sort, place, query.count + 1, texts)
    page = [one for one, _ in found[: query.count]]
    is_whole = cursor is None and len(found) <= query.count
    total = len(found) if is_whole else _total(connection, select)
    next_ = write_cursor(query, found[query.count - 1][1], page[-1].rid) if len(found) > query.count else ""
    more = _included(connection, page, inclusions) | _reversed(connection, query.type, page, reversals)
    included = _by_rids(connection, more - {one.rid for one in page}, texts)
    return Page(tuple(one.stored() for one in page), tuple(one.stored() for one in included), total, next_)


def _select(type_: str, clauses: Sequence[Clause], sort: Sort) -> _Select:
    first = min((clause for clause in clauses if clause.source), key=lambda clause: clause.rank, default=None)
    tables = "resource v"
    values: Row = ()
    if first is not None:
        source, values = _narrowed(first, clauses)
        tables = f"(SELECT DISTINCT rid FROM ({source})) d CROSS JOIN resource v ON v.rid = d.rid"  # noqa: S608
    key = "v.first" if sort.number else "v.tick"
    if sort.is_string:
        key = "coalesce(s.value, '')"
        tables += " LEFT JOIN (SELECT rid, min(value) AS value FROM fact_label WHERE parameter = ? GROUP BY rid) s"
        tables += " ON s.rid = v.rid"
        values = (*values, sort.number)
    where = [f"v.type = {TYPE_NUMBERS.get(type_, 0) or -1}"]
    for clause in clauses:
        if clause is not first:
            where.append(clause.where)
            values = (*values, *clause.values)
    return _Select(tables, " AND ".join(where), values, key)


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


def _total(connection: apsw.Connection, select: _Select) -> int:
    sql = f"SELECT count(*) FROM {select.tables} WHERE {select.where}"  # noqa: S608
    return number(connection, sql, select.values)


def _found(
    connection: apsw.Connection, select: _Select, sort: Sort, place: tuple[Any, int] | None, limit: int, texts: Texts
) -> list[tuple[_Found, Any]]:
    """(row, its sort key), in order, after `place`."""
    direction, beyond = ("DESC", "<") if sort.is_descending else ("ASC", ">")
    where, values = select.where, select.values
    if place is not None:
        where = f"{where} AND ({select.key}, v.rid) {beyond} (?, ?)"
        values = (*values, *place)
    sql = (
        f"SELECT {_COLUMNS}, {select.key} FROM {select.tables} {_MORE} "  # noqa: S608
        f"WHERE {where} ORDER BY {select.key} {direction}, v.rid {direction} LIMIT {limit:d}"
    )
    return [(_resource(connection, one[:-1], texts), one[-1]) for one in rows(connection, sql, values)]


def _included(connection: apsw.Connection, page: Sequence[_Found], inclusions: Sequence[Inclusion]) -> set[int]:
    """What resources of the page refer to."""
    targets: set[str] = set()
    for one in inclusions:
        for found in page:
            if found.type_name == one.type:
                targets.update(_targets(found, one))
    return set(find_rids(connection, targets).values())


def _targets(found: _Found, one: Inclusion) -> list[str]:
    body, _ = served_text(found.text)
    facts = fhir.facts_of(found.type_name, body).references
    wanted = f"{one.target}/" if one.target else ""
    return [target for number, target, _ in facts if number in one.numbers and target.startswith(wanted)]


def _reversed(
    connection: apsw.Connection, type_: str, page: Sequence[_Found], reversals: Sequence[Inclusion]
) -> set[int]:
    """What refers to resources of the page."""
    rids = as_json([found.rid for found in page])
    numbers = [number for one in reversals if one.target in ("", type_) for number in one.numbers]
    found = rows(
        connection,
        "SELECT rid FROM fact_reference WHERE target IN (SELECT value FROM json_each(?)) "
        "AND parameter IN (SELECT value FROM json_each(?))",
        (rids, as_json(numbers)),
    )
    return {rid for (rid,) in found}


def _by_rids(connection: apsw.Connection, rids: set[int], texts: Texts) -> list[_Found]:
    if not rids:
        return []
    found = rows(
        connection,
        f"SELECT {_COLUMNS} FROM json_each(?) j CROSS JOIN resource v ON v.rid = j.value "  # noqa: S608
        f"{_MORE} WHERE v.type > 0",
        (as_json(sorted(rids)),),
    )
    return [_resource(connection, one, texts) for one in found]


def _resource(connection: apsw.Connection, row: Row, texts: Texts) -> _Found:
    rid, type_, version, updated, seq, *where = row
    return _Found(rid, type_, version, updated, seq, texts.text(connection, *where))
