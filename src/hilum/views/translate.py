"""From FHIRPath to DuckDB SQL: literals, paths, operators. Functions are in `functions.py`.

A path is first compiled by `hilum.fhirpath` in strict mode, so that names and types are checked there; here it becomes
one SQL expression over the JSON of a resource. What has no translation is an error, never another meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from hilum.fhirpath import Quantity, Temporal, r4_model, syntax
from hilum.views import functions
from hilum.views.scope import Scope, unsupported
from hilum.views.sql import Piece, sql_text
from hilum.views.steps import at_index, child, exists

__all__ = ["condition", "literal", "translate"]

_DATES = frozenset({"date", "dateTime", "instant", "Date", "DateTime"})
_TIMES = frozenset({"time", "Time"})
_NUMBERS = frozenset({"integer", "positiveInt", "unsignedInt", "integer64", "decimal", "Integer", "Decimal"})
_MANY = "a path that is compared gives several values; use first() or where()"


def translate(node: syntax.Node, scope: Scope) -> Piece:
    """The SQL of a path. Raises FhirPathError `view-unsupported`."""
    match node:
        case syntax.Literal():
            return literal(node.value, node.at)
        case syntax.Empty():
            return Piece("NULL")
        case syntax.Variable(name="this"):
            return scope.this
        case syntax.Environment():
            return _environment(node, scope)
        case syntax.Member() | syntax.Call():
            return _head(node, scope)
        case syntax.Chain():
            return _chain(node, scope)
        case syntax.Polarity():
            return _signed(node, scope)
        case syntax.TypeTest():
            operand = translate(node.operand, scope)
            return functions.type_test(operand, node.operator, node.type[-1], scope, node.at)
        case syntax.Binary():
            return _BINARY[node.operator](node, scope)
    raise unsupported(f"${node.name}", node.at)


def literal(value: object, at: int = -1) -> Piece:
    """A value that is known now."""
    match value:
        case bool():
            return Piece(str(value).lower(), "Boolean")
        case int():
            return Piece(f"({value})" if value < 0 else str(value), "Integer")
        case float():
            return Piece(f"({value!r})::DOUBLE", "Decimal")
        case Decimal():
            return Piece(f"({value:f})::DOUBLE", "Decimal")
        case str():
            return Piece(sql_text(value), "String")
        case Temporal():
            kind = {"date": "Date", "dateTime": "DateTime", "time": "Time"}[value.kind]
            return Piece(sql_text(value.text), kind)
        case Quantity():
            raise unsupported("a quantity", at)
    raise unsupported("this value", at)


def condition(node: syntax.Node, scope: Scope) -> str:
    """The SQL of a path that gives a boolean."""
    piece = translate(node, scope)
    if piece.type not in ("boolean", "Boolean"):
        raise unsupported(f"a {piece.type or 'value'} as a condition: use exists()", node.at)
    return piece.one("a condition gives several values").value().sql


def _environment(node: syntax.Environment, scope: Scope) -> Piece:
    if node.name == "rowIndex":
        return Piece(f"({scope.row_index})", "Integer")
    if node.name in scope.constants:
        return scope.constants[node.name]
    if node.name in ("resource", "rootResource", "context"):
        return scope.root
    raise unsupported(f"%{node.name}", node.at)


def _head(node: syntax.Member | syntax.Call, scope: Scope) -> Piece:
    if isinstance(node, syntax.Call):
        return functions.call(scope.this, node, scope)
    if node.name[:1].isupper() and scope.this.type and r4_model().is_a(scope.this.type, node.name):
        return scope.this
    return child(scope.this, node.name, scope, node.at)


def _chain(node: syntax.Chain, scope: Scope) -> Piece:
    piece = translate(node.head, scope)
    for link in node.links:
        match link:
            case syntax.Member():
                piece = child(piece, link.name, scope, link.at)
            case syntax.Call():
                piece = functions.call(piece, link, scope)
            case syntax.Index():
                piece = at_index(piece, _index(link.index, scope))
    return piece


def _index(node: syntax.Node, scope: Scope) -> int:
    piece = translate(node, scope)
    if not piece.sql.isdigit():
        raise unsupported("an index that is no number", node.at)
    return int(piece.sql)


def _signed(node: syntax.Polarity, scope: Scope) -> Piece:
    piece = _number(translate(node.operand, scope), node.at)
    return Piece(f"({node.sign}{piece.sql})", piece.type)


def _number(piece: Piece, at: int) -> Piece:
    if piece.type not in _NUMBERS:
        raise unsupported(f"calculating with a {piece.type or 'value'}", at)
    return piece.one(_MANY).value()


def _is_integer(piece: Piece) -> bool:
    return piece.type not in ("decimal", "Decimal")


def _arithmetic(node: syntax.Binary, scope: Scope) -> Piece:
    left, right = translate(node.left, scope), translate(node.right, scope)
    if node.operator == "+" and left.type not in _NUMBERS:
        return Piece(f"({_text(left, node.at)} || {_text(right, node.at)})", "String")
    left, right = _number(left, node.at), _number(right, node.at)
    whole = _is_integer(left) and _is_integer(right)
    first, second = left.sql, right.sql
    match node.operator:
        case "/":
            return Piece(f"round(({first})::DOUBLE / nullif({second}, 0), 8)", "Decimal")
        case "div":
            return Piece(f"trunc(({first})::DOUBLE / nullif({second}, 0))::BIGINT", "Integer")
        case "mod":
            sql = f"({first} % nullif({second}, 0))"
        case operator:
            sql = f"({first} {operator} {second})"
    return Piece(sql, "Integer") if whole else Piece(f"round({sql}, 8)", "Decimal")


def _text(piece: Piece, at: int) -> str:
    if piece.type in _NUMBERS or piece.type in ("boolean", "Boolean") or not _is_scalar(piece):
        raise unsupported(f"a {piece.type or 'value'} as a text", at)
    return piece.one(_MANY).value().sql


def _is_scalar(piece: Piece) -> bool:
    return not piece.is_json or r4_model().is_primitive(piece.type)


def _concatenate(node: syntax.Binary, scope: Scope) -> Piece:
    parts = [translate(part, scope) for part in (node.left, node.right)]
    sql = " || ".join(f"coalesce({'NULL' if part.sql == 'NULL' else _text(part, node.at)}, '')" for part in parts)
    return Piece(f"({sql})", "String")


def _logic(node: syntax.Binary, scope: Scope) -> Piece:
    left, right = condition(node.left, scope), condition(node.right, scope)
    match node.operator:
        case "implies":
            sql = f"((NOT ({left})) OR ({right}))"
        case "xor":
            sql = f"(({left}) <> ({right}))"
        case operator:
            sql = f"(({left}) {operator.upper()} ({right}))"
    return Piece(sql, "Boolean")


def _equality(node: syntax.Binary, scope: Scope) -> Piece:
    left, right = translate(node.left, scope), translate(node.right, scope)
    negated = node.operator == "!="
    if "NULL" in (left.sql, right.sql):
        return Piece("NULL::BOOLEAN", "Boolean")
    if not left.is_many and not right.is_many:
        sql = _same(left.value(), right.value(), node.at)
    else:
        sql = _same_lists(left, right, node.at, scope)
    return Piece(f"(NOT {sql})" if negated else sql, "Boolean")


def _same_lists(left: Piece, right: Piece, at: int, scope: Scope) -> str:
    """Collections of one item compare by item; nothing on one side is unknown, several are not equal to one."""
    if left.is_many and right.is_many:
        raise unsupported("comparing two lists", at)
    many, one = (left, right) if left.is_many else (right, left)
    first = at_index(many, 0).value()
    single = one.value()
    return (
        f"(CASE WHEN NOT {exists(many, scope)} OR {single.sql} IS NULL THEN NULL WHEN len({many.sql}) > 1 THEN false "
        f"ELSE {_same(first, single, at)} END)"
    )


def _kinds(left: Piece, right: Piece, at: int) -> str:
    """What two values are compared as: date, time, number, or plain."""
    types = {left.type, right.type}
    for kind, members in (("date", _DATES), ("time", _TIMES), ("number", _NUMBERS)):
        if types <= members or (types & members and types & {"string", "String", ""}):
            return kind
    if types & (_DATES | _TIMES | _NUMBERS) or not (_is_scalar(left) and _is_scalar(right)):
        raise unsupported(f"comparing {left.type or 'a value'} with {right.type or 'a value'}", at)
    return "plain"


def _same(left: Piece, right: Piece, at: int) -> str:
    kind = _kinds(left, right, at)
    if kind in ("date", "time"):
        return f"fhir_same{'' if kind == 'date' else '_time'}({left.sql}, {right.sql})"
    return f"({left.sql} = {right.sql})"


def _order(node: syntax.Binary, scope: Scope) -> Piece:
    left, right = (translate(part, scope).one(_MANY).value() for part in (node.left, node.right))
    kind = _kinds(left, right, node.at)
    if kind in ("number", "plain"):
        return Piece(f"({left.sql} {node.operator} {right.sql})", "Boolean")
    macro = "fhir_before" if kind == "date" else "fhir_before_time"
    first, second = (left, right) if node.operator in ("<", ">=") else (right, left)
    sql = f"{macro}({first.sql}, {second.sql})"
    return Piece(f"(NOT {sql})" if len(node.operator) == 2 else sql, "Boolean")


def _membership(node: syntax.Binary, scope: Scope) -> Piece:
    item, among = (node.left, node.right) if node.operator == "in" else (node.right, node.left)
    wanted = translate(item, scope).one(_MANY).value()
    tests = [_among(wanted, translate(part, scope), node.at, scope) for part in _parts(among)]
    return Piece(f"(CASE WHEN {wanted.sql} IS NOT NULL THEN {' OR '.join(tests)} END)", "Boolean")


def _parts(node: syntax.Node) -> list[syntax.Node]:
    """The operands of a union."""
    if isinstance(node, syntax.Binary) and node.operator == "|":
        return [*_parts(node.left), *_parts(node.right)]
    return [node]


def _among(wanted: Piece, part: Piece, at: int, scope: Scope) -> str:
    if not part.is_many:
        return f"coalesce({_same(wanted, part.value(), at)}, false)"
    name = next(scope.names)
    values = part.value()
    test = _same(wanted, Piece(name, values.type), at)
    return f"(coalesce(len(list_filter({values.sql}, lambda {name}: coalesce({test}, false))), 0) > 0)"


def _union(node: syntax.Binary, _scope: Scope) -> Piece:
    raise unsupported("`|`, except on the right of `in`,", node.at)


def _equivalence(node: syntax.Binary, _scope: Scope) -> Piece:
    raise unsupported(f"`{node.operator}`", node.at)


_BINARY: dict[str, Callable[[syntax.Binary, Scope], Piece]] = {
    **dict.fromkeys(("and", "or", "xor", "implies"), _logic),
    **dict.fromkeys(("=", "!="), _equality),
    **dict.fromkeys(("~", "!~"), _equivalence),
    **dict.fromkeys(("<", "<=", ">", ">="), _order),
    **dict.fromkeys(("in", "contains"), _membership),
    **dict.fromkeys(("+", "-", "*", "/", "div", "mod"), _arithmetic),
    "&": _concatenate,
    "|": _union,
}
