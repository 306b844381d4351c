"""A piece of SQL with what is known of its values: the currency of the translation from FHIRPath."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["SEVERAL", "SQL_TYPES", "Piece", "Reads", "sql_text", "sql_type"]

SEVERAL = "view-several-values "  # begins what DuckDB's error() says, so that the code is found again
# FHIR and system types that have an SQL type of their own; all others are texts. Dates stay texts: their precision is
# part of them.
SQL_TYPES = {
    "boolean": "BOOLEAN",
    "integer": "INTEGER",
    "positiveInt": "INTEGER",
    "unsignedInt": "INTEGER",
    "integer64": "BIGINT",
    "decimal": "DOUBLE",
    "Boolean": "BOOLEAN",
    "Integer": "BIGINT",
    "Decimal": "DOUBLE",
}


def sql_type(type_: str) -> str:
    """The SQL type of a FHIR or system type."""
    return SQL_TYPES.get(type_, "VARCHAR")


def sql_text(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


class Reads:
    """What is read from the resource itself. All of it is read at once: DuckDB parses JSON anew for each call."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._fields: dict[str, int] = {}

    def json(self, base: str, path: str) -> str:
        """The JSON at a path; a list where the path has `[*]`."""
        if base != self.root or path == "$":
            return base if path == "$" else f"json_extract({base}, {sql_text(path)})"
        start, wildcard, rest = path.partition("[*]")
        field = f"fields[{self._fields.setdefault(start, len(self._fields) + 1)}]"
        return f"json_extract({field}, {sql_text('$[*]' + rest)})" if wildcard else field

    def text(self, base: str, path: str) -> str:
        """The text of what a path without `[*]` leads to."""
        if base != self.root:
            return f"json_extract_string({base}, {sql_text(path)})"
        return f"json_extract_string({self.json(base, path)}, '$')"

    def columns(self) -> str:
        """What the innermost SELECT reads."""
        paths = ", ".join(map(sql_text, self._fields))
        return f"{self.root}, json_extract({self.root}, [{paths}]) AS fields"


@dataclass(frozen=True, slots=True)
class Piece:
    """SQL of one value (NULL for none) or, `is_many`, of a list of them.

    `type` is the FHIR type (`code`, `HumanName`, `Patient.contact`) or system type (`Boolean`) of the values, "" when
    it is not known. `is_json`: the values are JSON as it stands in the resource; otherwise they have their SQL type.
    `path`: set while the values are one JSON path below `base`, so that the next step can lengthen it.
    """

    sql: str
    type: str = ""
    is_many: bool = False
    is_json: bool = False
    base: str = ""
    path: str = ""
    reads: Reads | None = None  # set together with `path`
    choices: tuple[tuple[str, str], ...] = ()  # of a choice: (JSON key, type), still to be told apart

    def one(self, message: str) -> Piece:
        """The only value. More than one is the error `view-several-values` at run time, with the message."""
        if not self.is_many:
            return self
        sql = f"CASE WHEN len({self.sql}) > 1 THEN error({sql_text(SEVERAL + message)}) ELSE ({self.sql})[1] END"
        return Piece(sql, self.type, is_json=self.is_json)

    def value(self) -> Piece:
        """The same values with their SQL type instead of JSON."""
        if not self.is_json:
            return self
        target = sql_type(self.type)
        if self.is_many:
            sql = f"list_transform({self.sql}, lambda v: {_cast('v', target)})"
        else:
            sql = self.reads.text(self.base, self.path) if self.reads is not None else _cast(self.sql, "VARCHAR")
            sql = f"TRY_CAST({sql} AS {target})" if target != "VARCHAR" else sql
        return Piece(sql, self.type, is_many=self.is_many)

    def typed(self, type_: str) -> Piece:
        """The same SQL, of another type."""
        return replace(self, type=type_)

    def cast(self, type_: str) -> Piece:
        """As values of the SQL type that a FHIR type has."""
        target, found = sql_type(type_), self.value()
        if target == sql_type(found.type) and found.type:
            return found.typed(type_)
        sql = (
            f"list_transform({found.sql}, lambda v: TRY_CAST(v AS {target}))"
            if self.is_many
            else f"TRY_CAST({found.sql} AS {target})"
        )
        return Piece(sql, type_, is_many=self.is_many)


def _cast(sql: str, target: str) -> str:
    text = f"json_extract_string({sql}, '$')"
    return text if target == "VARCHAR" else f"TRY_CAST({text} AS {target})"
