"""SQL types that a view asks for by the tag `ansi/type` (SQL on FHIR v2, "Type Hinting with Tags").

The specification leaves open what becomes of a value that does not fit. Here the run fails: a table of numbers and days
has no rounded number, no day that was only a year, and no value that became NULL.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from hilum.views.sql import sql_text

__all__ = ["ANSI", "asked_type", "fitted"]

ANSI = "ansi/type"
UNFIT = "view-value-unfit "  # begins what DuckDB's error() says, so that the code is found again
_DECIMAL = re.compile(r"(?:DECIMAL|DEC|NUMERIC)(?:\((\d+)(?:,(\d+))?\))?")
_TEXT = re.compile(r"(?:CHARACTER VARYING|CHAR VARYING|VARCHAR)(?:\((\d+)\))?")
_PLAIN = {
    "BOOLEAN": "BOOLEAN",
    "SMALLINT": "SMALLINT",
    "INT": "INTEGER",
    "INTEGER": "INTEGER",
    "BIGINT": "BIGINT",
    "REAL": "REAL",
    "FLOAT": "DOUBLE",
    "DOUBLE PRECISION": "DOUBLE",
    "DATE": "DATE",
    "TIME": "TIME",
    "TIMESTAMP": "TIMESTAMP",
}
_WHOLE = {"SMALLINT", "INTEGER", "BIGINT"}


def asked_type(tags: Iterable[Mapping[str, Any]]) -> str:
    """The ANSI type of a column as written, in capitals and without needless blanks; "" where no tag asks for one."""
    asked = [one.get("value") for one in tags if one.get("name") == ANSI]
    return re.sub(r"\s*([(),])\s*", r"\1", " ".join(str(asked[-1]).upper().split())) if asked else ""


def _duckdb(ansi: str) -> str:
    """What DuckDB calls an ANSI type; "" for one that is not known."""
    decimal = _DECIMAL.fullmatch(ansi)
    if decimal:
        digits, places = int(decimal[1] or 18), int(decimal[2] or 0)
        return f"DECIMAL({digits},{places})" if 1 <= digits <= 38 and places <= digits else ""
    return "VARCHAR" if _TEXT.fullmatch(ansi) else _PLAIN.get(ansi, "")


def fitted(text: str, ansi: str, name: str) -> str | None:
    """SQL that makes a value of this type of a text, or fails with `view-value-unfit`; None: hilum knows no such type.

    `text` is SQL that stands there several times, `name` the column's.
    """
    type_ = _duckdb(ansi)
    if not type_:
        return None
    # the instant, in UTC: a plain cast would drop the offset
    utc = f"make_timestamp(epoch_us(TRY_CAST({text} AS TIMESTAMPTZ)))"
    made = utc if type_ == "TIMESTAMP" else f"TRY_CAST({text} AS {type_})"
    message = sql_text(f"{UNFIT}the column {name} has a value that is no {ansi}, and is not cut to one")
    return (
        f"CASE WHEN {text} IS NULL THEN NULL WHEN {_fits(text, made, type_, ansi)} THEN {made} "
        f"ELSE CAST(error({message}) AS {type_}) END"
    )


def _fits(text: str, made: str, type_: str, ansi: str) -> str:
    if type_ == "VARCHAR":
        most = _TEXT.fullmatch(ansi)
        return f"length({text}) <= {most[1]}" if most and most[1] else "true"
    is_there = f"{made} IS NOT NULL"
    if type_.startswith("DECIMAL") or type_ in _WHOLE:
        return f"({is_there} AND CAST({made} AS DOUBLE) = TRY_CAST({text} AS DOUBLE))"
    if type_ == "DATE":
        return f"({is_there} AND length({text}) = 10)"
    return f"({is_there} AND fhir_zoned({text}))" if type_ == "TIMESTAMP" else is_there
