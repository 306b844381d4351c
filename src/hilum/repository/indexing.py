"""Facts -> rows of the fact tables. Pure, but for looking numbers up."""

from __future__ import annotations

import apsw

from hilum import store
from hilum.model import FoundBy

from .names import Numbers
from .sql import Row, many

__all__ = ["FACT_TABLES", "Dated", "PerKind", "delete_rows", "index", "insert_rows", "per_kind"]

# Tables of facts, in the order of `Facts`: columns, all of them part of the key.
FACT_TABLES = (
    ("fact_token", ("term", "rid")),
    ("fact_label", ("parameter", "value", "system", "rid")),
    ("fact_reference", ("target", "parameter", "first", "rid", "span")),
    ("fact_date", ("parameter", "first", "rid", "span")),
    ("fact_quantity", ("parameter", "value", "unit", "rid")),
)

Dated = tuple[int, int] | None  # first, span; None: nothing orders this type
PerKind = tuple[list[Row], ...]


def per_kind() -> PerKind:
    """An empty list for each table of facts."""
    return tuple([] for _ in FACT_TABLES)


def index(found: FoundBy, rid: int, numbers: Numbers, rows: PerKind) -> Dated:
    """Append the rows of one resource; returns the date that orders its type."""
    first, span = found.ordering or (0, 0)
    tokens, labels, references, dates, quantities = rows
    rids, terms = numbers.rids, numbers.terms
    tokens += [(terms[fact], rid) for fact in found.tokens]
    references += [
        (rids[target], number, first, rid, span) if target.startswith("Patient/") else (rids[target], number, 0, rid, 0)
        for number, target in found.references
    ]
    labels += [(number, value, terms[0, system, ""] if system else 0, rid) for number, value, system in found.labels]
    if found.quantities:
        quantities += [(number, value, terms[number, unit, ""], rid) for number, value, unit in found.quantities]
    if found.dates:
        dates += [(number, at, rid, lasts) for number, at, lasts in found.dates]
    return found.ordering


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
