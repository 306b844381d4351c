"""Criteria -> SQL over the tables of facts. Terms and rids are looked up first: a clause holds integers, mostly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import apsw
from msgspec import Struct

from hilum.formats import fhir
from hilum.formats.fhir import Kind, Prefix

from .criterion import Criterion, Mode
from .keys import TYPE_NUMBERS
from .matching import unit_meets
from .names import find_rids
from .sql import as_json, row, rows

__all__ = ["Clause", "Finder", "clause_of", "date_conditions", "number_condition"]


class Clause(Struct, frozen=True):
    """One criterion in SQL.

    `where` is a condition on `v` (a row of resource). `source` gives the rids alone; a search starts from the source of
    lowest `rank`. `?` stand for `values` and `source_values`.
    """

    where: str
    values: tuple[Any, ...] = ()
    source: str = ""
    source_values: tuple[Any, ...] = ()
    rank: int = 9
    targets: str = ""  # of a reference: JSON of their rids
    dates: tuple[Any, ...] = ()  # of the ordering date: its alternatives, to narrow a patient's references by


NONE = Clause("0", (), "SELECT rid FROM resource WHERE 0", (), 0)
_LAST = chr(0x10FFFF)
_NEVER = 1 << 62


Finder = Callable[[str, Criterion], list[int]]


def clause_of(connection: apsw.Connection, type_: str, criterion: Criterion, find: Finder) -> Clause:
    """The clause of one criterion over resources of one type. `find` gives the rids that meet one over another type."""
    if criterion.kind == "id":
        rids = find_rids(connection, [f"{type_}/{id_}" for id_ in criterion.values])
        return _source("SELECT value AS rid FROM json_each(?)", (as_json(sorted(rids.values())),), 0)
    if criterion.kind == "updated":
        return _updated(connection, criterion)
    if criterion.kind == "limits":
        return _limits(connection, type_, criterion, find)
    if criterion.kind == "chain":
        return _chain(criterion, find)
    if criterion.kind == "has":
        return _has(criterion, find)
    if criterion.mode in (Mode.MISSING, Mode.PRESENT):
        return _missing(criterion)
    return _MAKE[Kind(criterion.kind)](connection, criterion)


def _source(sql: str, values: tuple[Any, ...], rank: int) -> Clause:
    return Clause(f"v.rid IN ({sql})", values, sql, values, rank)


def _limits(connection: apsw.Connection, type_: str, criterion: Criterion, find: Finder) -> Clause:
    """One of several conjunctions."""
    parts: list[str] = []
    values: list[Any] = []
    for terms in criterion.values:
        clauses = [clause_of(connection, type_, one, find) for one in terms]
        parts.append(" AND ".join(f"({one.where})" for one in clauses))
        values += [value for one in clauses for value in one.values]
    return Clause(_any(parts), tuple(values))


def _chain(criterion: Criterion, find: Finder) -> Clause:
    """What points to those that meet the rest of the chain."""
    targets = sorted({rid for type_, inner in criterion.inner for rid in find(type_, inner)})
    return _pointing(criterion.numbers, targets)


def _has(criterion: Criterion, find: Finder) -> Clause:
    """What those that meet the rest point to: looked up from their target, which is how references are kept."""
    ((type_, inner),) = criterion.inner
    where = (
        "EXISTS (SELECT 1 FROM fact_reference f WHERE f.target = v.rid "  # noqa: S608 - integers of ours
        f"AND f.parameter IN ({_list(criterion.numbers)}) AND f.rid IN (SELECT value FROM json_each(?)))"
    )
    return Clause(where, (as_json(find(type_, inner)),))


def _updated(connection: apsw.Connection, criterion: Criterion) -> Clause:
    """Times rise with ticks: a range of times is a range of ticks."""

    def tick(at: int) -> int:
        found = row(connection, "SELECT tick FROM apply_commit WHERE at >= ? ORDER BY at, tick LIMIT 1", (at,))
        return found[0] if found else _NEVER

    parts: list[str] = []
    values: list[int] = []
    for prefix, first, after in criterion.values:
        match prefix:
            case Prefix.EQ:
                parts.append("v.tick >= ? AND v.tick < ?")
                values += [tick(first), tick(after)]
            case Prefix.NE:
                parts.append("NOT (v.tick >= ? AND v.tick < ?)")
                values += [tick(first), tick(after)]
            case Prefix.GT | Prefix.SA:
                parts.append("v.tick >= ?")
                values.append(tick(after))
            case Prefix.GE:
                parts.append("v.tick >= ?")
                values.append(tick(first))
            case Prefix.LT | Prefix.EB:
                parts.append("v.tick < ?")
                values.append(tick(first))
            case Prefix.LE:
                parts.append("v.tick < ?")
                values.append(tick(after))
    return Clause(_any(parts), tuple(values))


def _missing(criterion: Criterion) -> Clause:
    numbers = as_json(criterion.numbers)
    among = "IN (SELECT value FROM json_each(?))"
    values: tuple[Any, ...] = (numbers,)
    match criterion.kind:
        case Kind.DATE if fhir.parameter(criterion.numbers[0]).ordering:
            return Clause("v.span = 0" if criterion.mode is Mode.MISSING else "v.span > 0")
        case Kind.TOKEN:
            sql = f"SELECT rid FROM fact_token WHERE term IN (SELECT id FROM term WHERE parameter {among})"  # noqa: S608
        case Kind.REFERENCE if criterion.target:
            sql = (
                f"SELECT rid FROM fact_reference WHERE parameter {among} "  # noqa: S608
                "AND target IN (SELECT rid FROM resource_name WHERE substr(key, -1) = ?)"
            )
            values = (numbers, bytes([TYPE_NUMBERS[criterion.target]]))
        case _:
            sql = f"SELECT rid FROM {_TABLES[Kind(criterion.kind)]} WHERE parameter {among}"  # noqa: S608
    maybe = "NOT " if criterion.mode is Mode.MISSING else ""
    return Clause(f"v.rid {maybe}IN ({sql})", values)


def _token(connection: apsw.Connection, criterion: Criterion) -> Clause:
    terms: set[int] = set()
    for number in criterion.numbers:
        for system, code in criterion.values:
            terms.update(_terms(connection, number, system, code))
    wanted = as_json(sorted(terms))
    probe = "EXISTS (SELECT 1 FROM fact_token t WHERE t.term IN (SELECT value FROM json_each(?)) AND t.rid = v.rid)"
    if criterion.mode is Mode.NOT:
        return Clause(f"NOT {probe}", (wanted,))
    source = "SELECT rid FROM fact_token WHERE term IN (SELECT value FROM json_each(?))"
    return Clause(probe, (wanted,), source, (wanted,), 4) if terms else NONE


def _terms(connection: apsw.Connection, number: int, system: str | None, code: str | None) -> list[int]:
    sql = "SELECT id FROM term WHERE parameter = ?"
    given: list[Any] = [number]
    if code is not None:
        sql += " AND code = ?"
        given.append(code)
    if system is not None:
        sql += " AND system = ?"
        given.append(system)
    return [id_ for (id_,) in rows(connection, sql, tuple(given))]


def _identifier(connection: apsw.Connection, criterion: Criterion) -> Clause:
    parts: list[str] = []
    values: list[Any] = []
    for system, code in criterion.values:
        terms = None if system is None else _terms(connection, 0, "", system) if system else [0]
        if terms == []:
            continue
        part = "parameter = ?"
        values.append(criterion.numbers[0])
        if code is not None:
            part += " AND value = ?"
            values.append(code)
        if terms:
            part += " AND system = ?"
            values.append(terms[0])
        parts.append(part)
    if criterion.mode is Mode.NOT:
        sql = f"SELECT rid FROM fact_label WHERE {_any(parts)}"  # noqa: S608
        return Clause(f"v.rid NOT IN ({sql})", tuple(values)) if parts else Clause("1")
    return _union("fact_label", parts, values, 1)


def _string(_: apsw.Connection, criterion: Criterion) -> Clause:
    parts: list[str] = []
    values: list[Any] = []
    for number in criterion.numbers:
        for folded, _ in criterion.values:
            match criterion.mode:
                case Mode.CONTAINS:
                    parts.append("parameter = ? AND instr(value, ?) > 0")
                    values += [number, folded]
                case Mode.EXACT:
                    parts.append("parameter = ? AND value = ?")
                    values += [number, folded]
                case _:
                    parts.append("parameter = ? AND value >= ? AND value < ?")
                    values += [number, folded, folded + _LAST]
    return _union("fact_label", parts, values, 3)


def _uri(_: apsw.Connection, criterion: Criterion) -> Clause:
    parts = ["parameter = ? AND value = ?" for _ in criterion.values]
    values = [given for text in criterion.values for given in (criterion.numbers[0], text)]
    return _union("fact_label", parts, values, 1)


def _date(_: apsw.Connection, criterion: Criterion) -> Clause:
    parts, values = date_conditions(criterion.values, "")
    if fhir.parameter(criterion.numbers[0]).ordering:
        own, own_values = date_conditions(criterion.values, "v.")
        return Clause(_any(own), tuple(own_values), dates=criterion.values)
    parts = [f"parameter = {criterion.numbers[0]} AND ({part})" for part in parts]
    return _union("fact_date", parts, values, 5)


def date_conditions(alternatives: Sequence[tuple[Prefix, int, int]], at: str) -> tuple[list[str], list[int]]:
    """R4 search.html#prefix over the columns first and span; see formats/fhir/dates.py."""
    low, high = f"{at}first", f"({at}first + {at}span)"
    inside = f"{low} >= ? AND {low} < ? AND {high} <= ?"
    parts: list[str] = []
    values: list[int] = []
    for prefix, x, y in alternatives:
        text, given = {
            Prefix.EQ: (inside, [x, y, y]),
            Prefix.NE: (f"NOT ({inside})", [x, y, y]),
            Prefix.GT: (f"{high} > ?", [y]),
            Prefix.LT: (f"{low} < ?", [x]),
            Prefix.GE: (f"{high} > ? OR ({inside})", [y, x, y, y]),
            Prefix.LE: (f"{low} < ? OR ({inside})", [x, x, y, y]),
            Prefix.SA: (f"{low} >= ?", [y]),
            Prefix.EB: (f"{high} <= ?", [x]),
            Prefix.AP: (f"{low} < ? AND {high} > ?", [y, x]),
        }[prefix]
        parts.append(f"{at}span > 0 AND ({text})")
        values += given
    return parts, values


def _reference(connection: apsw.Connection, criterion: Criterion) -> Clause:
    return _pointing(criterion.numbers, sorted(find_rids(connection, criterion.values).values()))


def _pointing(numbers: Sequence[int], rids: Sequence[int]) -> Clause:
    if not rids:
        return NONE
    targets = as_json(rids)
    sql = (
        "SELECT rid FROM fact_reference f WHERE target IN (SELECT value FROM json_each(?)) "  # noqa: S608
        f"AND parameter IN ({_list(numbers)})"
    )
    return Clause(f"v.rid IN ({sql})", (targets,), sql, (targets,), 2, targets)


def _quantity(connection: apsw.Connection, criterion: Criterion) -> Clause:
    number = criterion.numbers[0]
    units = rows(connection, "SELECT id, code FROM term WHERE parameter = ?", (number,))
    parts: list[str] = []
    values: list[Any] = []
    for value in criterion.values:
        text, given = number_condition(value, "value")
        fitting = [id_ for id_, unit in units if unit_meets(value, unit)]
        parts.append(f"parameter = {number} AND {text} AND unit IN ({_list(fitting)})")
        values += given
    return _union("fact_quantity", parts, values, 6)


def number_condition(value: Any, column: str) -> tuple[str, list[float]]:
    """R4 search.html#number over a column: what `number_meets` says of a number."""
    prefix, low, middle, high, *_ = value
    conditions: dict[Prefix, tuple[str, list[float]]] = {
        Prefix.EQ: (f"{column} >= ? AND {column} < ?", [low, high]),
        Prefix.NE: (f"NOT ({column} >= ? AND {column} < ?)", [low, high]),
        Prefix.GT: (f"{column} > ?", [middle]),
        Prefix.SA: (f"{column} > ?", [middle]),
        Prefix.LT: (f"{column} < ?", [middle]),
        Prefix.EB: (f"{column} < ?", [middle]),
        Prefix.GE: (f"{column} >= ?", [middle]),
        Prefix.LE: (f"{column} <= ?", [middle]),
    }
    return conditions[prefix]


def _union(table: str, parts: list[str], values: list[Any], rank: int) -> Clause:
    """Alternatives over one table, each looked up by its own range."""
    if not parts:
        return NONE
    sql = " UNION ".join(f"SELECT rid FROM {table} WHERE {part}" for part in parts)  # noqa: S608
    return _source(sql, tuple(values), rank)


def _any(parts: list[str]) -> str:
    return "(" + " OR ".join(f"({part})" for part in parts) + ")" if parts else "0"


def _list(numbers: Sequence[int]) -> str:
    """Integers of ours, written into the SQL."""
    return ",".join(map(str, numbers))


_TABLES = {
    Kind.IDENTIFIER: "fact_label",
    Kind.STRING: "fact_label",
    Kind.DATE: "fact_date",
    Kind.REFERENCE: "fact_reference",
    Kind.QUANTITY: "fact_quantity",
    Kind.NUMBER: "fact_quantity",
    Kind.URI: "fact_label",
}

_MAKE = {
    Kind.TOKEN: _token,
    Kind.IDENTIFIER: _identifier,
    Kind.STRING: _string,
    Kind.DATE: _date,
    Kind.REFERENCE: _reference,
    Kind.QUANTITY: _quantity,
    Kind.NUMBER: _quantity,
    Kind.URI: _uri,
}
