"""Rows that are inserted by few statements are all there, in their order, and fail as a whole within a job."""

from __future__ import annotations

import apsw
import pytest

from hilum.store import insert_rows

INTO = "INSERT INTO thing (n, text)"


@pytest.fixture
def connection() -> apsw.Connection:
    opened = apsw.Connection(":memory:")
    opened.execute("CREATE TABLE thing (n INTEGER PRIMARY KEY, text TEXT)")
    return opened


@pytest.mark.parametrize("count", [0, 1, 2, 3, 31, 32, 33, 63, 100])
def test_rows_of_any_number_are_inserted_once_each(connection: apsw.Connection, count: int) -> None:
    rows = [(n, f"text {n}") for n in range(count)]
    insert_rows(connection, INTO, rows)
    assert connection.execute("SELECT n, text FROM thing ORDER BY n").fetchall() == rows


def test_rows_are_inserted_in_their_order(connection: apsw.Connection) -> None:
    insert_rows(connection, INTO, [(None, str(n)) for n in range(77)])
    assert [text for (text,) in connection.execute("SELECT text FROM thing ORDER BY n")] == [str(n) for n in range(77)]


def test_a_row_that_is_refused_is_told(connection: apsw.Connection) -> None:
    with pytest.raises(apsw.ConstraintError):
        insert_rows(connection, INTO, [(n % 40, "") for n in range(50)])


def test_rows_that_are_there_may_be_passed_over(connection: apsw.Connection) -> None:
    insert_rows(connection, "INSERT OR IGNORE INTO thing (n, text)", [(n % 40, str(n)) for n in range(50)])
    assert connection.execute("SELECT count(*), max(CAST(text AS INTEGER)) FROM thing").fetchone() == (40, 39)
