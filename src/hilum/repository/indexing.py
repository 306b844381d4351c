"""Facts -> rows of the fact tables. Pure, but for looking numbers up."""

from __future__ import annotations

import apsw

from hilum.formats import fhir
from hilum.formats.fhir import DATE, LABEL, OTHER_REFERENCE, QUANTITY, REFERENCE, TOKEN, Fact

from .body import served_text
from .names import Numbers
from .sql import Row

__all__ = ["FACT_TABLES", "NO_DATE", "Dated", "PerKind", "delete_rows", "index", "insert_rows", "per_kind"]

# Tables of facts in the order of the kinds in formats/fhir/facts.py: columns, all of them part of the key.
FACT_TABLES = (
    ("fact_token", ("term", "rid")),
    ("fact_label", ("parameter", "value", "system", "rid")),
    ("fact_reference", ("target", "parameter", "first", "rid", "span")),
    ("fact_date", ("parameter", "first", "rid", "span")),
    ("fact_quantity", ("parameter", "value", "unit", "rid")),
)
assert (TOKEN, LABEL, REFERENCE, DATE, QUANTITY) == (0, 1, 2, 3, 4)

# A resource without the date that orders its type sorts first; its span of 0 keeps it out of searches by date.
NO_DATE = fhir.FAR_PAST - 1

Dated = tuple[int, int] | None  # first, span; None: nothing orders this type
PerKind = tuple[list[Row], ...]

_ORDERING = {one.type: one.number for one in fhir.PARAMETERS if one.ordering}


def per_kind() -> PerKind:
    """An empty list for each table of facts."""
    return tuple([] for _ in FACT_TABLES)


def index(type_: str, text: bytes, rid: int, numbers: Numbers, rows: PerKind) -> Dated:
    """Append the rows of one resource, given as its stored text; returns the date that orders its type."""
    body, redirected = served_text(text)
    facts = fhir.facts_of(type_, body)
    # where a reference pointed before a merge: how an unmerge finds it again
    facts += [(REFERENCE, OTHER_REFERENCE, target, "") for target in redirected]
    date = _date(facts, _ORDERING.get(type_))
    tokens, labels, references, dates, quantities = rows
    for fact in facts:
        kind, number, a, b = fact
        if kind == TOKEN:
            tokens.append((numbers.term(fact[1:]), rid))
        elif kind == REFERENCE:
            first, span = date if date is not None and a.startswith("Patient/") else (0, 0)
            references.append((numbers.rid(a), number, first, rid, span))
        elif kind == LABEL:
            labels.append((number, a, numbers.term((0, b, "")) if b else 0, rid))
        elif kind == QUANTITY:
            quantities.append((number, a, numbers.term((number, b, "")), rid))
        elif number != _ORDERING.get(type_):
            dates.append((number, a, rid, b - a))
    return date


def _date(facts: list[Fact], number: int | None) -> Dated:
    """It is a column; the other dates are facts of their own."""
    if number is None:
        return None
    found = [fact for fact in facts if fact[1] == number]
    if not found:
        return NO_DATE, 0
    first, after = min(fact[2:] for fact in found) if len(found) > 1 else found[0][2:]
    return first, after - first


_INSERT = tuple(
    f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608
    for table, columns in FACT_TABLES
)
_DELETE = tuple(
    f"DELETE FROM {table} WHERE {' AND '.join(f'{column} = ?' for column in columns)}"  # noqa: S608
    for table, columns in FACT_TABLES
)


def insert_rows(connection: apsw.Connection, rows: PerKind) -> None:
    """Sorted by key, so that neighbours share pages."""
    for sql, some in zip(_INSERT, rows, strict=True):
        connection.executemany(sql, sorted(some))


def delete_rows(connection: apsw.Connection, rows: PerKind) -> None:
    """Rows of what a resource no longer says."""
    for sql, some in zip(_DELETE, rows, strict=True):
        connection.executemany(sql, sorted(some))
