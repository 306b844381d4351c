"""A plan -> rows (pure, but for looking numbers up), and rows -> tables (the only part that the writer has to do)."""

from __future__ import annotations

from collections.abc import Iterable

import apsw
from msgspec import Struct

from hilum.formats import fhir
from hilum.formats.fhir import DATE, LABEL, OTHER_REFERENCE, QUANTITY, REFERENCE, TOKEN, Fact
from hilum.model import Accounting

from .body import PLAIN, Record, pack, served_elements, unpack
from .codec import compress
from .keys import TYPE_NUMBERS, pack_name
from .names import Numbers
from .plan import Live, Plan
from .sql import Row

__all__ = ["FACT_TABLES", "NO_DATE", "Rows", "dated_facts", "fact_rows", "insert_facts", "rows_of", "write"]

# Tables of facts in the order of the kinds in formats/fhir/facts.py: columns, all of them part of the key.
FACT_TABLES = (
    ("fact_token", ("term", "rid")),
    ("fact_label", ("parameter", "value", "system", "rid")),
    ("fact_reference", ("target", "parameter", "first", "rid", "span")),
    ("fact_date", ("parameter", "first", "rid", "span")),
    ("fact_quantity", ("parameter", "value", "unit", "rid")),
)

_ORDERING = {one.type: one.number for one in fhir.PARAMETERS if one.ordering}


class Rows(Struct):
    """What the writer puts into the tables, apart from what depends on its commit (tick and time)."""

    resources: list[Row] = []  # rid, type, version, seq, at, first, span, body
    restated: list[Row] = []  # at, body, rid: told again, the version stays
    superseded: list[Row] = []  # rid, version: committed versions that go to the history
    skipped: list[Row] = []  # rid, version, seq, body: versions made and superseded in this plan
    facts: tuple[list[Row], ...] = ([], [], [], [], [])
    gone: tuple[list[Row], ...] = ([], [], [], [], [])


def rows_of(lives: Iterable[Live], numbers: Numbers, rows: Rows) -> None:
    """Add the rows of these resources."""
    changed = list(lives)
    facts = {live.record: _facts(live) for live in changed}
    numbers.know({fact[2] for found, _ in facts.values() for fact in found if fact[0] == REFERENCE})
    for live in changed:
        rid = numbers.rid(live.record)
        new, date = facts[live.record]
        if live.versions:
            _version_rows(live, rid, date, rows)
            _fact_changes(live, rid, new, date, numbers, rows)
        elif live.is_restated() and live.found is not None:
            rows.restated.append((live.stated.at, _body(live), rid))


# A resource without the date that orders its type sorts first; its span of 0 keeps it out of searches by date.
NO_DATE = fhir.FAR_PAST - 1

Dated = tuple[int, int] | None  # first, span; None: nothing orders this type


def _facts(live: Live) -> tuple[set[Fact], Dated]:
    if live.is_deleted or not live.versions:
        return set(), None
    return dated_facts(live.type, Record(live.id, live.stated, live.overlay))


def dated_facts(type_: str, record: Record) -> tuple[set[Fact], Dated]:
    """The facts without the date that orders the type, and that date: it is a column."""
    facts = fhir.facts_of(type_, served_elements(record))
    if record.overlay is not PLAIN:  # where a reference pointed before a merge: how an unmerge finds it again
        facts.update((REFERENCE, OTHER_REFERENCE, target, "") for target in record.overlay.redirect)
    number = _ORDERING.get(type_)
    if number is None:
        return facts, None
    dates = [fact for fact in facts if fact[1] == number]
    if not dates:
        return facts, (NO_DATE, 0)
    first, after = min(fact[2:] for fact in dates)
    facts.difference_update(dates)
    return facts, (first, after - first)


def _version_rows(live: Live, rid: int, date: Dated, rows: Rows) -> None:
    number = TYPE_NUMBERS.get(live.type, 0)
    last = live.versions[-1]
    first, span = date or (None, None)
    type_ = -number if live.is_deleted else number
    rows.resources.append((rid, type_, live.version, last.seq, live.stated.at, first, span, _body(live)))
    if live.found is not None:
        rows.superseded.append((rid, live.found.version))
    for version in live.versions[:-1]:
        text = b"" if version.is_deleted else pack(Record(live.id, version.stated, version.overlay))
        rows.skipped.append((rid, version.number, version.seq, compress(text)))


def _body(live: Live) -> bytes:
    return b"" if live.is_deleted else compress(pack(Record(live.id, live.stated, live.overlay)))


def _fact_changes(live: Live, rid: int, new: set[Fact], date: Dated, numbers: Numbers, rows: Rows) -> None:
    found = live.found
    if found is None or not found.text:
        for kind, row in fact_rows(new, date, rid, numbers):
            rows.facts[kind].append(row)
        return
    old, old_date = dated_facts(live.type, unpack(found.text, found.at))
    numbers.know({fact[2] for fact in old if fact[0] == REFERENCE})
    before = set(fact_rows(old, old_date, rid, numbers))
    after = set(fact_rows(new, date, rid, numbers))
    for kind, row in before - after:
        rows.gone[kind].append(row)
    for kind, row in after - before:
        rows.facts[kind].append(row)


def fact_rows(facts: Iterable[Fact], date: Dated, rid: int, numbers: Numbers) -> list[tuple[int, Row]]:
    """(kind, row for the table of this kind)."""
    found: list[tuple[int, Row]] = []
    for kind, number, a, b in facts:
        row: Row
        if kind == TOKEN:
            row = (numbers.term((number, b, a)), rid)
        elif kind == REFERENCE:
            first, span = date if date is not None and a.startswith("Patient/") else (0, 0)
            row = (numbers.rid(a), number, first, rid, span)
        elif kind == LABEL:
            row = (number, b, numbers.term((0, a, "")) if a else 0, rid)
        elif kind == DATE:
            row = (number, a, rid, b - a)
        else:
            row = (number, b, numbers.term((number, a, "")), rid)
        found.append((kind, row))
    return found


assert (TOKEN, LABEL, REFERENCE, DATE, QUANTITY) == (0, 1, 2, 3, 4)

_INSERT_FACT = tuple(
    f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608
    for table, columns in FACT_TABLES
)
_DELETE_FACT = tuple(
    f"DELETE FROM {table} WHERE {' AND '.join(f'{column} = ?' for column in columns)}"  # noqa: S608
    for table, columns in FACT_TABLES
)

_HISTORY = (
    "INSERT INTO resource_history SELECT rid, version, tick, seq, body FROM resource WHERE rid = ? AND version = ?"
)
_RESOURCE = (
    "INSERT OR REPLACE INTO resource (rid, type, version, tick, seq, at, first, span, body) VALUES (?,?,?,?,?,?,?,?,?)"
)


def insert_facts(connection: apsw.Connection, rows: Iterable[tuple[int, Row]]) -> None:
    """Each into the table of its kind."""
    for kind, row in rows:
        connection.execute(_INSERT_FACT[kind], row)


def write(connection: apsw.Connection, rows: Rows, plan: Plan, numbers: Numbers, tick: int) -> None:
    """Put the rows into the tables, sorted by key so that neighbours share pages."""
    many = connection.executemany
    many(
        "INSERT INTO resource_name (key, rid) VALUES (?, ?)",
        sorted((pack_name(record), rid) for record, rid in numbers.new_rids.items()),
    )
    many(
        "INSERT INTO term (id, parameter, code, system) VALUES (?, ?, ?, ?)",
        [(id_, *term) for term, id_ in numbers.new_terms.items()],
    )
    many(_HISTORY, sorted(rows.superseded))
    many(
        "INSERT INTO resource_history (rid, version, tick, seq, body) VALUES (?, ?, ?, ?, ?)",
        sorted((rid, version, tick, seq, body) for rid, version, seq, body in rows.skipped),
    )
    many(_RESOURCE, sorted((rid, type_, version, tick, *rest) for rid, type_, version, *rest in rows.resources))
    many("UPDATE resource SET at = ?, body = ? WHERE rid = ?", rows.restated)
    for delete, gone in zip(_DELETE_FACT, rows.gone, strict=True):
        many(delete, sorted(gone))
    for insert, facts in zip(_INSERT_FACT, rows.facts, strict=True):
        many(insert, sorted(facts))
    many("INSERT INTO outcome VALUES (?, ?, ?, ?, ?)", [_outcome(*one) for one in plan.applied.items()])
    many(
        "INSERT INTO merge_op (at, seq, ordinal, survivor, retired, undo) VALUES (?, ?, ?, ?, ?, ?)",
        [(op.at, op.seq, op.ordinal, op.survivor, op.retired, op.undo) for op in plan.ops],
    )
    many("DELETE FROM merge_link WHERE retired = ?", [(one,) for one in plan.links])
    many("INSERT INTO merge_link VALUES (?, ?)", [(a, b) for a, b in plan.links.items() if b is not None])


def _outcome(seq: int, fields: Accounting) -> Row:
    return seq, fields.valued, fields.mapped, fields.ignored, fields.exceptions
