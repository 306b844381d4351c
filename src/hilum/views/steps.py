"""Paths into JSON: elements, choices, indexes, and lists of parts."""

from __future__ import annotations

from dataclasses import replace

from hilum.fhirpath import r4_model
from hilum.views.scope import Scope, unsupported
from hilum.views.sql import Piece, Reads, sql_text

__all__ = ["as_list", "at_index", "child", "exists", "filtered", "key_of", "of_type", "variable"]


def child(piece: Piece, name: str, scope: Scope, at: int) -> Piece:
    """The element of that name below a piece."""
    if piece.choices or not piece.type:
        raise unsupported(f"`{name}` below a choice: say which type, as in value.ofType(Quantity),", at)
    if r4_model().is_primitive(piece.type):
        if name == "value":
            return piece
        raise unsupported(f"`{name}` of a primitive", at)
    field = r4_model().fields(piece.type).get(name)
    if field is None or not piece.is_json:
        raise unsupported(f"`{name}`, which {piece.type} does not have,", at)
    if field.is_choice:
        return replace(piece, choices=tuple(field.keys.items()))
    type_ = field.types[0]
    if r4_model().is_resource(type_):
        type_ = ""
    return key_of(piece, name, type_, scope, is_list=field.is_list)


def key_of(piece: Piece, key: str, type_: str, scope: Scope, *, is_list: bool) -> Piece:
    """What JSON holds under a name that has one type."""
    below = f'."{key}"' + ("[*]" if is_list else "")
    is_many = piece.is_many or is_list
    if piece.reads is not None:
        found = _read(piece.reads, piece.base, piece.path + below, type_, is_many=is_many)
    elif not piece.is_many:
        found = _read(scope.reads, piece.sql, "$" + below, type_, is_many=is_many)
    else:
        found = _read_each(piece, "$" + below, type_, scope, is_list=is_list)
    if is_list and type_ and r4_model().is_primitive(type_):
        # A list of primitives holds null where a value is missing and only its extension is there.
        name = next(scope.names)
        return Piece(f"list_filter({found.sql}, lambda {name}: json_type({name}) <> 'NULL')", type_, True, True)
    return found


def _read(reads: Reads, base: str, path: str, type_: str, *, is_many: bool) -> Piece:
    return Piece(reads.json(base, path), type_, is_many, True, base, path, reads)


def _read_each(piece: Piece, path: str, type_: str, scope: Scope, *, is_list: bool) -> Piece:
    name = next(scope.names)
    each = f"list_transform({piece.sql}, lambda {name}: json_extract({name}, {sql_text(path)}))"
    sql = f"flatten({each})" if is_list else f"list_filter({each}, lambda {name}: {name} IS NOT NULL)"
    return Piece(sql, type_, True, True)


def of_type(piece: Piece, type_: str, scope: Scope, at: int) -> Piece:
    """The values of one type: picks the key of a choice."""
    if piece.choices:
        key = next((key for key, one in piece.choices if one == type_), "")
        if not key:
            raise unsupported(f"ofType({type_}), which this choice does not have,", at)
        return key_of(replace(piece, choices=()), key, type_, scope, is_list=False)
    if piece.type and r4_model().is_a(piece.type, type_):
        return piece
    if piece.type:
        raise unsupported(f"ofType({type_}) of a {piece.type}", at)
    test = f"json_extract_string({{}}, '$.resourceType') = {sql_text(type_)}"
    if not piece.is_many:
        return Piece(f"CASE WHEN {test.format(piece.sql)} THEN {piece.sql} END", type_, is_json=True)
    name = next(scope.names)
    return Piece(f"list_filter({piece.sql}, lambda {name}: {test.format(name)})", type_, True, True)


def variable(name: str, items: Piece, scope: Scope) -> Piece:
    """One item of a list, as a variable of a lambda or a loop."""
    if not items.is_json:
        return Piece(name, items.type)
    return Piece(name, items.type, is_json=True, base=name, path="$", reads=scope.reads)


def as_list(piece: Piece, scope: Scope) -> Piece:
    """The same as a list; a choice becomes the list of what is there."""
    if piece.choices:
        return _any_choice(piece, scope)
    if piece.is_many:
        return piece
    return Piece(f"CASE WHEN {piece.sql} IS NULL THEN [] ELSE [{piece.sql}] END", piece.type, True, piece.is_json)


def _any_choice(piece: Piece, scope: Scope) -> Piece:
    paths = "[" + ", ".join(sql_text(f'$."{key}"') for key, _ in piece.choices) + "]"
    name, one = next(scope.names), replace(piece, choices=())
    if piece.is_many:
        each = f"flatten(list_transform({piece.sql}, lambda {name}: json_extract({name}, {paths})))"
    else:
        each = "[" + ", ".join(key_of(one, key, "", scope, is_list=False).sql for key, _ in piece.choices) + "]"
    return Piece(f"list_filter({each}, lambda {name}: {name} IS NOT NULL)", "", True, True)


def exists(piece: Piece, scope: Scope) -> str:
    """Whether there is anything."""
    if piece.is_many or piece.choices:
        return f"(coalesce(len({as_list(piece, scope).sql}), 0) > 0)"
    if piece.is_json and piece.type and r4_model().is_primitive(piece.type):
        return f"({piece.value().sql} IS NOT NULL)"
    return f"({piece.sql} IS NOT NULL)"


def at_index(piece: Piece, index: int) -> Piece:
    """One item of a list, counted from 0; -1 is the last."""
    if not piece.is_many:
        return (
            piece
            if index in (0, -1)
            else Piece("NULL::JSON" if piece.is_json else "NULL", piece.type, is_json=piece.is_json)
        )
    if index >= 0 and piece.reads is not None and piece.path.endswith("[*]") and piece.path.count("[*]") == 1:
        return _read(piece.reads, piece.base, f"{piece.path[:-3]}[{index}]", piece.type, is_many=False)
    return Piece(f"({piece.sql})[{index + 1 if index >= 0 else index}]", piece.type, is_json=piece.is_json)


def filtered(piece: Piece, name: str, condition: str) -> Piece:
    """The items for which a condition on the variable is true."""
    return Piece(
        f"list_filter({piece.sql}, lambda {name}: coalesce({condition}, false))", piece.type, True, piece.is_json
    )
