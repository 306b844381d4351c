"""Many rows by few statements: around each step SQLite gives the interpreter away, and another thread may take it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import apsw

__all__ = ["insert_rows"]

MOST_ROWS = 32  # of one statement, a power of two
TEXTS = 256  # remembered: six for each table


def insert_rows(connection: apsw.Connection, into: str, rows: Sequence[Sequence[Any]]) -> None:
    """Insert in order. `into`: `INSERT INTO table (columns)`; all rows have as many values.

    Statements of 32, 16, 8... 1 rows, so that a table has six of them, which stay prepared.
    """
    start, size = 0, MOST_ROWS
    while start < len(rows):
        while size > len(rows) - start:
            size //= 2
        some = rows[start : start + size]
        connection.execute(_statement(into, len(some[0]), size), tuple(chain.from_iterable(some)))
        start += size


@lru_cache(maxsize=TEXTS)
def _statement(into: str, values: int, rows: int) -> str:
    row = f"({', '.join('?' * values)})"
    return f"{into} VALUES {', '.join([row] * rows)}"
