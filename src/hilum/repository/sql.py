"""The few ways in which the tables are asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw
import msgspec

__all__ = ["Row", "as_json", "many", "number", "row", "rows", "where_of"]

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


def where_of(*terms: tuple[str, Any]) -> tuple[str, Row]:
    """` AND column = ?` for each value that is given. Columns are names of ours."""
    given = [(column, value) for column, value in terms if value is not None]
    return "".join(f" AND {column} = ?" for column, _ in given), tuple(value for _, value in given)


def as_json(items: object) -> str:
    """A list for SQLite's json_each: one statement whatever its length."""
    return msgspec.json.encode(items).decode()
