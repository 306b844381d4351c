"""The few ways in which the tables are asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw
import msgspec

__all__ = ["Row", "as_json", "many", "number", "row", "rows"]

Row = tuple[Any, ...]


def rows(connection: apsw.Connection, sql: str, values: Row = ()) -> list[Row]:
    """All rows."""
    return connection.execute(sql, values).fetchall()


def row(connection: apsw.Connection, sql: str, values: Row = ()) -> Row | None:
    """The first row, if any."""
    return connection.execute(sql, values).fetchone()


def number(connection: apsw.Connection, sql: str, values: Row = ()) -> int:
    """The one number that is asked for."""
    found = connection.execute(sql, values).get
    assert isinstance(found, int)
    return found


def many(connection: apsw.Connection, sql: str, values: Sequence[Row]) -> None:
    """Once for each; not at all for none."""
    if values:
        connection.executemany(sql, values)


def as_json(items: object) -> str:
    """A list for SQLite's json_each: one statement whatever its length."""
    return msgspec.json.encode(items).decode()
