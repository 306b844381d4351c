"""Taking all facts again when their definitions have changed: the index follows from the bodies."""

from __future__ import annotations

import hashlib

import apsw
import msgspec

from hilum import definitions
from hilum.formats import fhir
from hilum.store import Store

from .chunks import CHUNK, Texts
from .indexing import FACT_TABLES, index, insert_rows, per_kind
from .names import Numbers, Remembered
from .snapshot import last_tick
from .sql import rows

__all__ = ["ensure_facts", "rebuild_facts"]

FACTS_VERSION = 3  # raise it when facts are read differently though the table of parameters is the same
BATCH = 500


def definition_digest() -> str:
    """Stands for the search parameters, their numbers and how facts are read."""
    table = msgspec.json.encode((FACTS_VERSION, fhir.PARAMETERS, definitions.version()))
    return hashlib.sha256(table).hexdigest()[:16]


def ensure_facts(store: Store) -> None:
    """Rebuild the index if this hilum defines it otherwise than the one that wrote it."""
    digest = definition_digest()
    if store.read(lambda connection: connection.execute("SELECT digest FROM fact_definition").get) != digest:
        store.write_now(lambda connection: rebuild_facts(connection, digest))


def rebuild_facts(connection: apsw.Connection, digest: str) -> None:
    """All facts of all resources, in one transaction."""
    for table, _ in FACT_TABLES:
        connection.execute(f"DELETE FROM {table}")  # noqa: S608 - a name of ours
    connection.execute("DELETE FROM fact_definition")
    connection.execute("INSERT INTO fact_definition VALUES (?)", (digest,))
    tick = last_tick(connection)
    numbers = Numbers(connection, Remembered(), tick.last_rid, tick.last_term)
    texts = Texts()
    after = 0
    while batch := rows(connection, _BATCH, (after, BATCH)):
        found = per_kind()
        for rid, type_, *where in batch:
            date = index(fhir.RESOURCE_TYPES[type_ - 1], texts.text(connection, *where), rid, numbers, found)
            first, span = date or (None, None)
            connection.execute("UPDATE resource SET first = ?, span = ? WHERE rid = ?", (first, span, rid))
        insert_rows(connection, found)
        fresh = sorted(numbers.new_names())
        connection.executemany("INSERT OR IGNORE INTO resource_name (key, rid) VALUES (?, ?)", fresh)
        after = batch[-1][0]
    connection.executemany(
        "INSERT INTO term (id, parameter, code, system) VALUES (?, ?, ?, ?)",
        [(id_, *term) for term, id_ in numbers.terms.new.items()],
    )
    connection.execute(
        "UPDATE apply_commit SET last_term = ?, last_rid = ? WHERE tick = ?",
        (numbers.terms.last, numbers.rids.last, tick.tick),
    )


_BATCH = (
    f"SELECT v.rid, v.type, {CHUNK}, v.place FROM resource v "  # noqa: S608 - a name of ours
    "WHERE v.rid > ? AND v.type > 0 ORDER BY v.rid LIMIT ?"
)
