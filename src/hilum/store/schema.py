"""Which tables the packages above put into the one file, and at which version they are."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import apsw
from msgspec import Struct

from hilum.errors import StoreUnsafe
from hilum.store.keys import KEY_BYTES

__all__ = ["Schema", "install", "stored_secret"]

_OWN = """
CREATE TABLE IF NOT EXISTS store_schema (name TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS store_secret (value BLOB NOT NULL);
"""


class Schema(Struct, frozen=True):
    """The tables of one package. `script` must also bring every earlier version to this one."""

    name: str
    version: int
    script: str


def install(connection: apsw.Connection, schemas: Sequence[Schema]) -> None:
    """Run the scripts that are newer than the file, all or none. Raises StoreUnsafe `store-newer`."""
    if _is_current(connection, schemas):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(_OWN)
        if not connection.execute("SELECT count(*) FROM store_secret").get:
            connection.execute("INSERT INTO store_secret VALUES (?)", (secrets.token_bytes(KEY_BYTES),))
        for schema in schemas:
            _upgrade(connection, schema)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _is_current(connection: apsw.Connection, schemas: Sequence[Schema]) -> bool:
    if not connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'store_schema'").get:
        return False
    found = dict(connection.execute("SELECT name, version FROM store_schema"))
    return all(found.get(schema.name) == schema.version for schema in schemas)


def _upgrade(connection: apsw.Connection, schema: Schema) -> None:
    found = connection.execute("SELECT version FROM store_schema WHERE name = ?", (schema.name,)).get or 0
    if found > schema.version:
        raise StoreUnsafe(
            f"a newer hilum wrote the {schema.name} tables (version {found}, this one knows {schema.version}): "
            "use that version of hilum",
            code="store-newer",
        )
    if found < schema.version:
        connection.execute(schema.script)
        connection.execute("INSERT OR REPLACE INTO store_schema VALUES (?, ?)", (schema.name, schema.version))


def stored_secret(connection: apsw.Connection) -> bytes:
    """32 random bytes of this store: what keys are derived from when the store has no key of its own."""
    value = connection.execute("SELECT value FROM store_secret").get
    assert isinstance(value, bytes)
    return value
