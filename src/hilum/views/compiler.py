"""From a ViewDefinition to one SELECT.

Each `forEach` unnests a list that is made by one expression from what stands in the row already; `unionAll` is one such
list, of structs. So a query streams: it needs no joins, and no more memory than a batch of resources.
"""

# ruff: noqa: S608 - names are checked by the reader, texts are quoted by sql_text, paths come from the R4 model

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import TypeVar

from hilum.fhirpath import FhirPathError, compile_expression, parse, parse_temporal, r4_model, syntax
from hilum.model import Finding
from hilum.views import steps
from hilum.views.definition import Column, Constant, Select, View, invalid
from hilum.views.scope import Scope
from hilum.views.sql import Piece, Reads, sql_text, sql_type
from hilum.views.tags import fitted
from hilum.views.translate import condition, literal, translate

__all__ = ["compile_view"]

T = TypeVar("T")
MOST_LAMBDAS = 9  # nested; the time to plan a query doubles with each
MOST_LEVELS = 64  # that `repeat` descends


@dataclass(frozen=True, slots=True)
class _Loop:
    """One list that rows are made from; `variable` stands for its items, `index` for their position, from 1."""

    sql: str
    variable: str
    index: str = ""


@dataclass(frozen=True, slots=True)
class _Rows:
    """Loops from the outside in, and the columns of each row, in order: (name, SQL)."""

    loops: tuple[_Loop, ...]
    columns: tuple[tuple[str, str], ...]


def compile_view(view: View, source: str) -> str:
    """The SELECT of a view over `source`, which has one JSON column `resource`.

    Raises ConfigError `view-invalid` with every path that is wrong or has no translation.
    """
    return _Compiler(view).query(source)


class _Compiler:
    def __init__(self, view: View) -> None:
        self.view = view
        self.findings: list[Finding] = []
        self.names = (f"v{number}" for number in count(1))
        self.variables = frozenset({one.name for one in view.constants} | {"rowIndex"})

    def query(self, source: str) -> str:
        reads = Reads("resource")
        root = Piece("resource", self.view.resource, is_json=True, base="resource", path="$", reads=reads)
        scope = Scope(root, root, self.names, reads, {one.name: _constant(one) for one in self.view.constants})
        rows = self.rows(self.view.select, scope, is_optional=False)
        tests = [f"{reads.text('resource', '$.resourceType')} = {sql_text(self.view.resource)}"]
        tests += [f"({sql})" for path, at in self.view.where if (sql := self.condition(path, scope, at))]
        if self.findings:
            raise invalid(self.findings)
        table = f"(SELECT * FROM (SELECT {reads.columns()} FROM {source}) WHERE {' AND '.join(tests)})"
        for position, loop in enumerate(rows.loops):
            later = " ".join([*(one.sql for one in rows.loops[position + 1 :]), *(sql for _, sql in rows.columns)])
            index = f", generate_subscripts({loop.sql}, 1) AS {loop.index}" if _uses(later, loop.index) else ""
            table = f"(SELECT *, unnest({loop.sql}) AS {loop.variable}{index} FROM {table})"
        query = "SELECT " + ", ".join(f'{sql} AS "{name}"' for name, sql in rows.columns) + f" FROM {table}"
        self.check_depth(query)
        return query

    def check_depth(self, sql: str) -> None:
        if _nesting(sql) > MOST_LAMBDAS:
            message = "loops, conditions and paths are nested too deep; move a forEach or a where() outward"
            raise invalid([Finding("view-too-deep", message, "$.select")])

    def rows(self, select: Select, scope: Scope, *, is_optional: bool) -> _Rows:
        """The rows of a select. `is_optional`: `$this` may be nothing, and then every column is."""
        loops: list[_Loop] = []
        entered = self.loop(select, scope)
        if entered is not None:
            loop, scope = entered
            loops.append(loop)
            is_optional = bool(select.for_each_or_null)
        elif select.for_each or select.for_each_or_null or select.repeat:
            return _Rows((), ())
        columns = [(column.name, self.column(column, scope, is_optional=is_optional)) for column in select.columns]
        for inner in select.selects:
            found = self.rows(inner, scope, is_optional=is_optional)
            loops += found.loops
            columns += found.columns
        if select.unions:
            parts = [self.rows(union, scope, is_optional=is_optional) for union in select.unions]
            variable = next(self.names)
            loops.append(_Loop(_concatenated([_build(part.loops, part.columns) for part in parts]), variable))
            columns += [(name, f'{variable}."{name}"') for name, _ in parts[0].columns]
        return _Rows(tuple(loops), tuple(columns))

    def loop(self, select: Select, scope: Scope) -> tuple[_Loop, Scope] | None:
        """The loop of a select, and the scope inside of it; None where it has none, or one that is wrong."""
        if select.repeat:
            return self.repeat(select, scope)
        path = select.for_each or select.for_each_or_null
        if not path:
            return None
        place = f"{select.at}.{'forEach' if select.for_each else 'forEachOrNull'}"
        piece = self.path(path, scope, place, translate)
        if piece is None:
            return None
        listed = steps.as_list(piece, scope)
        sql = listed.sql
        if select.for_each_or_null:
            nothing = "[NULL::JSON]" if listed.is_json else "[NULL]"
            sql = f"CASE WHEN coalesce(len({sql}), 0) = 0 THEN {nothing} ELSE {sql} END"
        return self.entered(sql, listed, scope)

    def entered(self, sql: str, piece: Piece, scope: Scope) -> tuple[_Loop, Scope]:
        variable, index = next(self.names), next(self.names)
        item = steps.variable(variable, piece, scope)
        return _Loop(sql, variable, index), replace(scope, this=item, row_index=f"{index} - 1")

    def repeat(self, select: Select, scope: Scope) -> tuple[_Loop, Scope] | None:
        """Level by level, each item with the way that led to it; sorting by the way gives the order of the resource."""
        first = self.steps(select, scope, is_start=True)
        if first is None:
            return None
        item = next(self.names)
        below = Piece(item, first.type, is_json=True, base=item, path="$", reads=scope.reads)
        later = self.steps(select, replace(scope, this=below), is_start=False)
        if later is None:
            return None
        if later.type != first.type:
            message = "the paths of `repeat` lead to items of different types"
            self.report("view-repeat-types", message, f"{select.at}.repeat")
            return None
        return self.entered(_closure(first.sql, later.sql, item, self.names), first, scope)

    def steps(self, select: Select, scope: Scope, *, is_start: bool) -> Piece | None:
        """What all paths of a repeat lead to in one step; at the start, those that the first type has."""
        before = len(self.findings)
        pieces = [
            self.path(path, scope, f"{select.at}.repeat[{index}]", translate)
            for index, path in enumerate(select.repeat)
        ]
        found = [steps.as_list(piece, scope) for piece in pieces if piece is not None]
        if not found or (len(found) < len(pieces) and not is_start):
            return None
        del self.findings[before:]
        return Piece(_concatenated([piece.sql for piece in found]), found[0].type, True, True)

    def column(self, column: Column, scope: Scope, *, is_optional: bool) -> str:
        piece = self.path(column.path, scope, f"{column.at}.path", translate)
        if piece is None:
            return "NULL"
        if piece.choices:
            message = "a choice is no column: say which type, as in value.ofType(Quantity)"
            self.report("view-unsupported", message, f"{column.at}.path")
            return "NULL"
        if column.is_collection:
            piece = steps.as_list(piece, scope)
        else:
            piece = piece.one(f"the column {column.name} has several values: use first(), where() or `collection`")
        is_complex = piece.is_json and not r4_model().is_primitive(piece.type)
        type_ = column.type if column.type and not is_complex else "string" if is_complex else piece.type
        if is_complex and column.sql:
            message = "a part of a resource has no SQL type; name an element of it"
            self.report("view-unsupported", message, f"{column.at}.tag")
        if column.sql:
            sql = _as_asked(piece, column)
        elif is_complex:
            sql = f"({piece.sql})::VARCHAR" + ("[]" if piece.is_many else "")
        else:
            sql = f"({piece.cast(type_).sql})::{sql_type(type_)}" + ("[]" if piece.is_many else "")
        return f"CASE WHEN {scope.this.sql} IS NOT NULL THEN {sql} END" if is_optional else sql

    def condition(self, path: str, scope: Scope, at: str) -> str:
        return self.path(path, scope, at, condition) or ""

    def path(self, text: str, scope: Scope, at: str, work: Callable[[syntax.Node, Scope], T]) -> T | None:
        """What `work` makes of a path that is checked first; None, and a finding, for one that is wrong."""
        if not text:
            return None
        try:
            type_ = scope.this.type
            if type_:
                compile_expression(text, type=type_, variables=self.variables)
            return work(parse(text), scope)
        except FhirPathError as error:
            located = error.within(text)
            place = f" at {located.location}" if located.location else ""
            self.report(error.code, f"{error.message}{place} in `{text[:200]}`", at)
            return None

    def report(self, code: str, message: str, at: str) -> None:
        self.findings.append(Finding(code, message, at))


def _as_asked(piece: Piece, column: Column) -> str:
    """The values of a column as the ANSI type that its tag asks for, made of their text."""
    text = piece.cast("string").sql
    if not piece.is_many:
        return f"list_transform([{text}], lambda t: {fitted('t', column.sql, column.name)})[1]"
    return f"list_transform({text}, lambda t: {fitted('t', column.sql, column.name)})"


def _constant(constant: Constant) -> Piece:
    value = constant.value
    for kind, type_ in (("date", "date"), ("dateTime", "dateTime"), ("instant", "dateTime"), ("time", "time")):
        if constant.type == kind and isinstance(value, str):
            found = parse_temporal(value, type_)
            value = value if found is None else found
    return literal(value)


def _build(loops: tuple[_Loop, ...], columns: tuple[tuple[str, str], ...]) -> str:
    """The list of all rows: loops nested, structs in the innermost."""
    struct = "struct_pack(" + ", ".join(f'"{name}" := {sql}' for name, sql in columns) + ")"
    if not loops:
        return f"[{struct}]"
    sql = struct
    for position, loop in enumerate(reversed(loops)):
        variables = f"({loop.variable}, {loop.index})" if loop.index else loop.variable
        sql = f"list_transform({loop.sql}, lambda {variables.strip('()')}: {sql})"
        if position:
            sql = f"flatten({sql})"
    return sql


def _concatenated(lists: list[str]) -> str:
    found = lists[0]
    for one in lists[1:]:
        found = f"list_concat({found}, {one})"
    return found


def _closure(first: str, later: str, item: str, names: Iterator[str]) -> str:
    """All that `first` leads to and `later` from there: parents before children, in the order of the resource."""
    state, step, node, child, place = (next(names) for _ in range(5))

    def placed(parent: str, items: str) -> str:
        struct = f"struct_pack(way := list_append({parent}, {place}), item := {child})"
        return f"list_transform({items}, lambda {child}, {place}: {struct})"

    start = placed("[]::BIGINT[]", first)
    below = later.replace(item, f"{node}.item") if item else later
    following = f"flatten(list_transform({state}.layer, lambda {node}: {placed(f'{node}.way', below)}))"
    empty = "[]::STRUCT(way BIGINT[], item JSON)[]"
    reduced = (
        f"list_reduce(range({MOST_LEVELS}), lambda {state}, {step}: "
        f"struct_pack(found := list_concat({state}.found, {state}.layer), layer := {following}), "
        f"struct_pack(found := {empty}, layer := {start}))"
    )
    checked = (
        f"list_transform([{reduced}], lambda {state}: CASE WHEN len({state}.layer) > 0 "
        f"THEN error('view-repeat-too-deep `repeat` descends more than {MOST_LEVELS} levels') "
        f"ELSE list_sort({state}.found) END)[1]"
    )
    return f"list_transform({checked}, lambda {node}: {node}.item)"


def _uses(sql: str, name: str) -> bool:
    return bool(name) and re.search(rf"\b{name}\b", sql) is not None


def _nesting(sql: str) -> int:
    """How deep lambdas are nested."""
    deepest, open_lambdas, parentheses = 0, list[int](), 0
    position = 0
    while position < len(sql):
        sign = sql[position]
        if sign == "'":
            position = sql.index("'", position + 1)
        elif sign == "(":
            parentheses += 1
        elif sign == ")":
            parentheses -= 1
            while open_lambdas and open_lambdas[-1] > parentheses:
                open_lambdas.pop()
        elif sql.startswith("lambda ", position):
            open_lambdas.append(parentheses)
            deepest = max(deepest, len(open_lambdas))
        position += 1
    return deepest
