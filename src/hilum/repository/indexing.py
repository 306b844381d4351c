"""Facts -> rows of the fact tables. Pure, but for looking numbers up."""

from __future__ import annotations

import apsw

from hilum import store
from hilum.formats import fhir
from hilum.formats.fhir import OTHER_REFERENCE

from .body import meta_text, served_text
from .names import Numbers
from .sql import Row, many

__all__ = ["FACT_TABLES", "NO_DATE", "Dated", "PerKind", "delete_rows", "index", "insert_rows", "per_kind"]

# Tables of facts, in the order of `Facts`: columns, all of them part of the key.
FACT_TABLES = (
    ("fact_token", ("term", "rid")),
    ("fact_label", ("parameter", "value", "system", "rid")),
    ("fact_reference", ("target", "parameter", "first", "rid", "span")),
    ("fact_date", ("parameter", "first", "rid", "span")),
    ("fact_quantity", ("parameter", "value", "unit", "rid")),
)

# A resource without the date that orders its type sorts first; its span of 0 keeps it out of searches by date.
NO_DATE = fhir.FAR_PAST - 1

Dated = tuple[int, int] | None  # first, span; None: nothing orders this type
PerKind = tuple[list[Row], ...]


def per_kind() -> PerKind:
    """An empty list for each table of facts."""
    return tuple([] for _ in FACT_TABLES)


def index(type_: str, text: bytes, rid: int, numbers: Numbers, rows: PerKind) -> Dated:
    """Append the rows of one resource, given as its stored text; returns the date that orders its type."""
    body, redirected = served_text(text)
    facts = fhir.facts_of(type_, body)
    meta = meta_text(text)
    if meta:
        facts.tokens += fhir.meta_facts(meta)
    # where a reference pointed before a merge: how an unmerge finds it again
    facts.references += [(OTHER_REFERENCE, target, "") for target in redirected]
    ordering = fhir.ordering_of(type_)
    date = _date(facts, ordering)
    first, span = date or (0, 0)
    tokens, labels, references, dates, quantities = rows
    rids, terms = numbers.rids, numbers.terms
    tokens += [(terms[fact], rid) for fact in facts.tokens]
    references += [
        (rids[target], number, first, rid, span) if target.startswith("Patient/") else (rids[target], number, 0, rid, 0)
        for number, target, _ in facts.references
    ]
    labels += [(number, value, terms[0, system, ""] if system else 0, rid) for number, value, system in facts.labels]
    if facts.quantities:
        quantities += [(number, value, terms[number, unit, ""], rid) for number, value, unit in facts.quantities]
    if facts.dates:
        dates += [(number, at, rid, after - at) for number, at, after in facts.dates if number != ordering]
    return date


def _date(facts: fhir.Facts, number: int | None) -> Dated:
    """It is a column; the other dates are facts of their own."""
    if number is None:
        return None
    found = [(at, after - at) for one, at, after in facts.dates if one == number]
    return min(found) if found else (NO_DATE, 0)


_INSERT = tuple(f"INSERT OR IGNORE INTO {table} ({', '.join(columns)})" for table, columns in FACT_TABLES)
_DELETE = tuple(
    f"DELETE FROM {table} WHERE {' AND '.join(f'{column} = ?' for column in columns)}"  # noqa: S608
    for table, columns in FACT_TABLES
)


def insert_rows(connection: apsw.Connection, rows: PerKind) -> None:
    """Sorted by key, so that neighbours share pages."""
    for into, some in zip(_INSERT, rows, strict=True):
        store.insert_rows(connection, into, sorted(some))


def delete_rows(connection: apsw.Connection, rows: PerKind) -> None:
    """Rows of what a resource no longer says."""
    for sql, some in zip(_DELETE, rows, strict=True):
        many(connection, sql, sorted(some))
