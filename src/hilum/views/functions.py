"""Functions of FHIRPath that have a translation into SQL, and those that SQL on FHIR adds."""

from __future__ import annotations

from collections.abc import Callable

from hilum.fhirpath import r4_model, syntax
from hilum.views.scope import Scope, unsupported
from hilum.views.sql import Piece, sql_text
from hilum.views.steps import as_list, at_index, child, exists, filtered, of_type, variable

__all__ = ["FUNCTIONS", "call", "type_test"]

Translate = Callable[[Piece, syntax.Call, Scope], Piece]
_SEVERAL = "a function that takes one value met several; use first() or where()"


def call(piece: Piece, node: syntax.Call, scope: Scope) -> Piece:
    """A function applied to a piece. Raises FhirPathError `view-unsupported`."""
    work = FUNCTIONS.get(node.name)
    if work is None:
        raise unsupported(f"{node.name}()", node.at)
    return work(piece, node, scope)


def _translate(node: syntax.Node, scope: Scope) -> Piece:
    from hilum.views.translate import translate

    return translate(node, scope)


def _condition(node: syntax.Node, scope: Scope) -> str:
    from hilum.views.translate import condition

    return condition(node, scope)


def _type_in(node: syntax.Call) -> str:
    match node.arguments:
        case (syntax.Member(name=name),):
            return name
        case (syntax.Chain(links=(syntax.Member(name=name),)),):
            return name
    raise unsupported(f"{node.name}() without the name of a type", node.at)


def type_test(piece: Piece, operator: str, type_: str, scope: Scope, at: int) -> Piece:
    """`is` and `as`."""
    if operator == "as":
        return of_type(piece, type_, scope, at)
    if piece.choices:
        if not any(one == type_ for _, one in piece.choices):
            return Piece(f"CASE WHEN {exists(piece, scope)} THEN false END", "Boolean")
        return Piece(
            f"CASE WHEN {exists(piece, scope)} THEN {exists(of_type(piece, type_, scope, at), scope)} END", "Boolean"
        )
    known = str(bool(piece.type) and r4_model().is_a(piece.type, type_)).lower()
    return Piece(f"CASE WHEN {exists(piece, scope)} THEN {known} END", "Boolean")


def _where(piece: Piece, node: syntax.Call, scope: Scope) -> Piece:
    (argument,) = node.arguments
    if not piece.is_many:
        return Piece(
            f"CASE WHEN {_condition(argument, scope.within(piece))} THEN {piece.sql} END",
            piece.type,
            is_json=piece.is_json,
        )
    name = next(scope.names)
    return filtered(piece, name, _condition(argument, scope.within(variable(name, piece, scope))))


def _exists(piece: Piece, node: syntax.Call, scope: Scope) -> Piece:
    found = _where(piece, node, scope) if node.arguments else piece
    return Piece(exists(found, scope), "Boolean")


def _empty(piece: Piece, _node: syntax.Call, scope: Scope) -> Piece:
    return Piece(f"(NOT {exists(piece, scope)})", "Boolean")


def _all(piece: Piece, node: syntax.Call, scope: Scope) -> Piece:
    piece, name = as_list(piece, scope), next(scope.names)
    test = _condition(node.arguments[0], scope.within(variable(name, piece, scope)))
    return Piece(
        f"(coalesce(len(list_filter({piece.sql}, lambda {name}: NOT coalesce({test}, false))), 0) = 0)", "Boolean"
    )


def _not(piece: Piece, node: syntax.Call, _scope: Scope) -> Piece:
    if piece.type not in ("boolean", "Boolean"):
        raise unsupported(f"not() of a {piece.type or 'value'}", node.at)
    return Piece(f"(NOT {piece.one(_SEVERAL).value().sql})", "Boolean")


def _count(piece: Piece, _node: syntax.Call, scope: Scope) -> Piece:
    return Piece(f"coalesce(len({as_list(piece, scope).sql}), 0)", "Integer")


def _slice(first: str, last: str) -> Translate:
    def work(piece: Piece, node: syntax.Call, scope: Scope) -> Piece:
        count = ""
        if node.arguments:
            count = _translate(node.arguments[0], scope).sql
            if not count.isdigit():
                raise unsupported(f"{node.name}() of anything but a number", node.at)
        listed = as_list(piece, scope)
        low, high = first.format(n=count, m=int(count or 0) + 1), last.format(n=count)
        return Piece(f"({listed.sql})[{low}:{high}]", listed.type, True, listed.is_json)

    return work


def _of_type(piece: Piece, node: syntax.Call, scope: Scope) -> Piece:
    return of_type(piece, _type_in(node), scope, node.at)


def _is(piece: Piece, node: syntax.Call, scope: Scope) -> Piece:
    return type_test(piece, "is", _type_in(node), scope, node.at)


def _extension(piece: Piece, node: syntax.Call, scope: Scope) -> Piece:
    extensions, name = child(piece, "extension", scope, node.at), next(scope.names)
    url = _translate(node.arguments[0], scope).one(_SEVERAL).value().sql
    return filtered(extensions, name, f"json_extract_string({name}, '$.url') = {url}")


def _select(piece: Piece, node: syntax.Call, scope: Scope) -> Piece:
    piece, name = as_list(piece, scope), next(scope.names)
    inner = scope.within(variable(name, piece, scope))
    found = as_list(_translate(node.arguments[0], inner), inner)
    return Piece(f"flatten(list_transform({piece.sql}, lambda {name}: {found.sql}))", found.type, True, found.is_json)


def _iif(_piece: Piece, node: syntax.Call, scope: Scope) -> Piece:
    test, *branches = node.arguments
    pieces = [_translate(branch, scope).one(_SEVERAL).value() for branch in branches]
    otherwise = pieces[1].sql if len(pieces) > 1 else "NULL"
    return Piece(f"(CASE WHEN {_condition(test, scope)} THEN {pieces[0].sql} ELSE {otherwise} END)", pieces[0].type)


def _join(piece: Piece, node: syntax.Call, scope: Scope) -> Piece:
    separator = _translate(node.arguments[0], scope).value().sql if node.arguments else "''"
    return Piece(f"coalesce(array_to_string({as_list(piece, scope).value().sql}, {separator}), '')", "String")


def _boundary(side: str) -> Translate:
    def work(piece: Piece, node: syntax.Call, _scope: Scope) -> Piece:
        kinds = {"decimal": "number", "date": "date", "dateTime": "datetime", "instant": "datetime", "time": "time"}
        kind = kinds.get(piece.type)
        if kind is None or node.arguments:
            raise unsupported(f"{node.name}() of a {piece.type or 'value'}, or with a precision,", node.at)
        text = piece.one(_SEVERAL).typed("string").value().sql
        return Piece(f"fhir_{side}_{kind}({text})", piece.type)

    return work


def _resource_key(_piece: Piece, _node: syntax.Call, scope: Scope) -> Piece:
    id_ = scope.reads.text(scope.root.sql, '$."id"')
    return Piece(f"({sql_text(scope.root.type + '/')} || {id_})", "String")


def _reference_key(piece: Piece, node: syntax.Call, scope: Scope) -> Piece:
    """Of one reference or of a list; with a type, only references to that type."""
    text = child(piece, "reference", scope, node.at).value()
    wanted = f"{_type_in(node)}/" if node.arguments else ""

    def key(sql: str) -> str:
        found = f"fhir_key({sql})"
        return f"CASE WHEN starts_with({found}, {sql_text(wanted)}) THEN {found} END" if wanted else found

    if not text.is_many:
        return Piece(key(text.sql), "String")
    name = next(scope.names)
    each = f"list_transform({text.sql}, lambda {name}: {key(name)})"
    return Piece(f"list_filter({each}, lambda {name}: {name} IS NOT NULL)", "String", True)


def _texts(template: str, out: str = "String") -> Translate:
    """A function of one text: `{0}` is the text, `{1}`, `{2}` the arguments."""

    def work(piece: Piece, node: syntax.Call, scope: Scope) -> Piece:
        text = piece.one(_SEVERAL).value()
        if text.type not in ("String", "") and not (r4_model().is_primitive(text.type) and text.type not in _NOT_TEXTS):
            raise unsupported(f"{node.name}() of a {text.type}", node.at)
        arguments = [_translate(argument, scope).one(_SEVERAL).value().sql for argument in node.arguments]
        if len(arguments) != template.count("{") - template.count("{0}"):
            raise unsupported(f"{node.name}() with {len(arguments)} arguments", node.at)
        return Piece(f"({template.format(text.sql, *arguments)})", out)

    return work


_NOT_TEXTS = frozenset({"boolean", "integer", "decimal", "positiveInt", "unsignedInt"})


def _convert(type_: str) -> Translate:
    def work(piece: Piece, _node: syntax.Call, _scope: Scope) -> Piece:
        return piece.one(_SEVERAL).value().cast(type_)

    return work


def _numbers(template: str, out: str = "") -> Translate:
    def work(piece: Piece, node: syntax.Call, scope: Scope) -> Piece:
        number = piece.one(_SEVERAL).value()
        if number.type not in ("integer", "decimal", "positiveInt", "unsignedInt", "Integer", "Decimal"):
            raise unsupported(f"{node.name}() of a {number.type or 'value'}", node.at)
        places = _translate(node.arguments[0], scope).value().sql if node.arguments else "0"
        return Piece(f"({template.format(number.sql, places)})", out or number.type)

    return work


FUNCTIONS: dict[str, Translate] = {
    "where": _where,
    "exists": _exists,
    "empty": _empty,
    "all": _all,
    "not": _not,
    "count": _count,
    "first": lambda piece, _node, _scope: at_index(piece, 0),
    "last": lambda piece, _node, _scope: at_index(piece, -1),
    "tail": _slice("2", ""),
    "skip": _slice("{m}", ""),
    "take": _slice("1", "{n}"),
    "ofType": _of_type,
    "as": _of_type,
    "is": _is,
    "extension": _extension,
    "select": _select,
    "iif": _iif,
    "join": _join,
    "hasValue": lambda piece, _node, scope: Piece(exists(piece, scope), "Boolean"),
    "lowBoundary": _boundary("low"),
    "highBoundary": _boundary("high"),
    "getResourceKey": _resource_key,
    "getReferenceKey": _reference_key,
    "startsWith": _texts("starts_with({0}, {1})", "Boolean"),
    "endsWith": _texts("ends_with({0}, {1})", "Boolean"),
    "contains": _texts("contains({0}, {1})", "Boolean"),
    "upper": _texts("upper({0})"),
    "lower": _texts("lower({0})"),
    "trim": _texts("trim({0})"),
    "length": _texts("length({0})", "Integer"),
    "replace": _texts("replace({0}, {1}, {2})"),
    "matches": _texts("regexp_matches({0}, {1}, 's')", "Boolean"),
    "substring": lambda piece, node, scope: _substring(piece, node, scope),
    "toString": _convert("string"),
    "toInteger": _convert("integer"),
    "toDecimal": _convert("decimal"),
    "abs": _numbers("abs({0})"),
    "ceiling": _numbers("ceil({0})::BIGINT", "Integer"),
    "floor": _numbers("floor({0})::BIGINT", "Integer"),
    "truncate": _numbers("trunc({0})::BIGINT", "Integer"),
    "round": _numbers("round({0}, {1})", "Decimal"),
}


def _substring(piece: Piece, node: syntax.Call, scope: Scope) -> Piece:
    """Counted from 0; a start beyond the end gives nothing."""
    template = "CASE WHEN {1} < length({0}) THEN substr({0}, {1} + 1"
    template += ", {2}) END" if len(node.arguments) > 1 else ") END"
    text = piece.one(_SEVERAL).value()
    arguments = [_translate(argument, scope).one(_SEVERAL).value().sql for argument in node.arguments]
    return Piece(f"({template.format(text.sql, *arguments)})", "String")
