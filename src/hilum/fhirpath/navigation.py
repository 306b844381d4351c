"""Reading elements out of JSON: one closure per step of a path, made for the types that the compiler knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from hilum.fhirpath.model import Field, Model
from hilum.fhirpath.values import PRIMITIVES, Element, system_values

__all__ = [
    "Reach",
    "child",
    "children",
    "choice",
    "complex_child",
    "lift",
    "of_primitive",
    "primitive_child",
    "type_name",
]

Reach = Callable[[list[Any]], list[Any]]


def complex_child(key: str) -> Reach:
    """Parts of resources (dicts) below dicts."""

    def reach(items: list[Any]) -> list[Any]:
        out: list[Any] = []
        for item in items:
            found = item.get(key)
            if type(found) is list:
                out += [one for one in found if type(one) is dict]
            elif type(found) is dict:
                out.append(found)
        return out

    return reach


def primitive_child(key: str, type_: str) -> Reach:
    """Bare primitives below dicts; those with an id or extensions come as Elements."""
    under = f"_{key}"

    def reach(items: list[Any]) -> list[Any]:
        out: list[Any] = []
        for item in items:
            found = item.get(key)
            if under in item:
                out += [
                    one if extra is None else Element(type_, one, extra) for one, extra in _paired(found, item[under])
                ]
            elif type(found) is list:
                out += [one for one in found if type(one) in PRIMITIVES]
            elif type(found) in PRIMITIVES:
                out.append(found)
        return out

    return reach


def _paired(found: Any, under: Any) -> Iterator[tuple[Any, dict[str, Any] | None]]:
    """Each value with what JSON says of it in `_name`; values and extensions may each be missing."""
    values = found if type(found) is list else [found]
    extras = under if type(under) is list else [under]
    for index in range(max(len(values), len(extras))):
        value = values[index] if index < len(values) else None
        extra = extras[index] if index < len(extras) else None
        value = value if type(value) in PRIMITIVES else None
        extra = extra if type(extra) is dict and extra else None
        if value is not None or extra is not None:
            yield value, extra


def choice(field: Field) -> Reach:
    """The value of a choice with its type: `valueQuantity` for `value`."""
    keys = field.keys
    name = field.name

    def reach(items: list[Any]) -> list[Any]:
        out: list[Any] = []
        for item in items:
            for key in item:
                plain = key[1:] if key[:1] == "_" else key
                type_ = keys.get(plain)
                if type_ is None or (plain is not key and plain in item) or not plain.startswith(name):
                    continue
                out += _typed(type_, item.get(plain), item.get(f"_{plain}"))
        return out

    return reach


def _typed(type_: str, found: Any, under: Any) -> list[Any]:
    """Elements of one type from what JSON holds under one name."""
    if under is not None:
        return [Element(type_, value, extra) for value, extra in _paired(found, under)]
    values = found if type(found) is list else [found]
    return [Element(type_, value) for value in values if value is not None and type(value) is not list]


def of_primitive(name: str) -> Reach | None:
    """What a primitive has below it: `extension`, `id`, and `value`, the system value of it."""
    if name == "value":
        return system_values
    if name == "extension":
        return lambda items: [
            one for item in items if type(item) is Element and item.extra for one in _list(item.extra.get("extension"))
        ]
    if name == "id":
        return lambda items: [
            item.extra["id"]
            for item in items
            if type(item) is Element and item.extra and type(item.extra.get("id")) is str
        ]
    return None


def _list(found: Any) -> list[Any]:
    return [one for one in found if type(one) is dict] if type(found) is list else []


def type_name(item: Any) -> str:
    """The FHIR type that an item says of itself; "" for system values and parts without a type."""
    if type(item) is Element:
        return item.type
    if type(item) is dict:
        found = item.get("resourceType")
        return found if type(found) is str else ""
    return ""


def lift(type_: str) -> Reach:
    """Bare JSON of one type as items that say their type."""
    return lambda items: [item if type(item) is Element else Element(type_, item) for item in items]


def child(model: Model | None, name: str) -> Reach:
    """One step below items that say their type, each in its own way."""
    known: dict[str, Reach] = {}

    def reach(items: list[Any]) -> list[Any]:
        out: list[Any] = []
        for item in items:
            kind = type(item)
            if kind is not dict and kind is not Element:
                continue
            type_ = type_name(item)
            step = known.get(type_)
            if step is None:
                step = known[type_] = _step(model, type_, name)
            out += step([item])
        return out

    return reach


def _step(model: Model | None, type_: str, name: str) -> Reach:
    if model is not None and type_ and model.is_primitive(type_):
        below = of_primitive(name)
        if name == "extension" and below is not None:
            return lambda items: [Element("Extension", one) for one in below(items)]
        return below or _nothing
    inner = _inner(model, type_, name)
    return lambda items: inner([value for item in items if type(value := _bare(item)) is dict])


def _inner(model: Model | None, type_: str, name: str) -> Reach:
    """Below dicts of one type; items that say their type."""
    fields = model.fields(type_) if model is not None and type_ else {}
    if not fields or model is None:
        return _untyped(name)
    field = fields.get(name)
    if field is None:
        return _nothing
    if field.is_choice:
        return choice(field)
    only = field.types[0]
    if model.is_primitive(only):
        plain = primitive_child(name, only)
        return lambda items: [one if type(one) is Element else Element(only, one) for one in plain(items)]
    below = complex_child(name)
    if model.is_resource(only):
        return below
    return lambda items: [Element(only, one) for one in below(items)]


def _untyped(name: str) -> Reach:
    """Below JSON whose type nobody knows: as it stands there."""

    def reach(items: list[Any]) -> list[Any]:
        out: list[Any] = []
        for item in items:
            found = item.get(name)
            if type(found) is list:
                out += [one for one in found if one is not None and type(one) is not list]
            elif found is not None:
                out.append(found)
        return out

    return reach


def _nothing(_items: list[Any]) -> list[Any]:
    return []


def _bare(item: Any) -> Any:
    return item.value if type(item) is Element else item


def children(model: Model | None) -> Reach:
    """All that stands right below items that say their type, in the order of JSON (5.8 "Tree navigation")."""
    reaches: dict[tuple[str, str], Reach] = {}

    def reach(items: list[Any]) -> list[Any]:
        out: list[Any] = []
        for item in items:
            if type(item) is Element and item.extra is not None:
                out += _step(model, item.type, "extension")([item])
            value = _bare(item)
            if type(value) is not dict:
                continue
            type_ = type_name(item)
            for name in _names(model, type_, value):
                step = reaches.get((type_, name))
                if step is None:
                    step = reaches[type_, name] = _inner(model, type_, name)
                out += step([value])
        return out

    return reach


def _names(model: Model | None, type_: str, value: dict[str, Any]) -> list[str]:
    """The names of elements that JSON holds: `value` for `valueQuantity`, `given` where only `_given` is there."""
    fields = model.fields(type_) if model is not None and type_ else {}
    found: dict[str, None] = {}
    for key in value:
        plain = key.removeprefix("_")
        if plain in fields or not fields:
            found[plain] = None
            continue
        name = next((one.name for one in fields.values() if plain in one.keys), "")
        if name:
            found[name] = None
    found.pop("resourceType", None)
    return list(found)
