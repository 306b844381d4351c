"""FHIRPath to places in a resource: where in the JSON the elements stand that an expression leads to. Pure.

The engine gives values, which do not say where they stand. So it is run over a copy in which every element bears a
mark: parts of resources are known by their identity, primitives by an `_name` of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hilum.errors import FormatError
from hilum.fhirpath import Element, FhirPathError, compile_expression, parse, syntax

__all__ = ["Keys", "Marked"]

Keys = tuple[str | int, ...]

MAX_PATH = 1_000  # characters of one path
# What R4 fhirpatch.html calls the simple subset, and tests within where(): nothing that can take long.
_STEPS = ("where", "first", "last", "single", "ofType", "as", "extension")
_TESTS = ("exists", "empty", "not", "count", "all", "is", "startsWith", "endsWith", "contains")
_FUNCTIONS = frozenset((*_STEPS, *_TESTS))
_MARK = {"\0": 0}


class Marked:
    """A resource whose elements can be found. Good until the resource changes."""

    def __init__(self, resource: dict[str, Any]) -> None:
        self._at: dict[int, Keys] = {}
        self._resource = resource
        self._type = str(resource.get("resourceType", ""))
        self._copy = self._part(resource, ())

    @property
    def size(self) -> int:
        """How many elements it has."""
        return len(self._at)

    def find(self, path: str) -> list[Keys]:
        """Where the elements stand, in the order of the result.

        Raises FormatError `patch-invalid` for what is no simple path, or leads to values that were computed.
        """
        if len(path) > MAX_PATH:
            raise _invalid(f"a path has at most {MAX_PATH} characters")
        try:
            names = {one.name for one in syntax.walk(parse(path)) if isinstance(one, syntax.Call)}
            if names - _FUNCTIONS:
                known = ", ".join(sorted(_FUNCTIONS))
                raise _invalid(f"a path is made of elements, [index] and the functions {known}")
            items = compile_expression(path, type=self._type).items(self._copy)
        except FhirPathError as error:
            raise _invalid(f"the path cannot be used: {error.message}") from None
        found = [self._place(item) for item in items]
        if None in found and path.endswith(".id"):  # of primitives, whose id bears no mark
            found = [keys for parent in self.find(path.removesuffix(".id")) for keys in self._ids(parent)]
        if None in found:
            raise _invalid("the path leads to a value that is no element of the resource")
        return [keys for keys in found if keys is not None]

    def _ids(self, parent: Keys) -> Iterator[Keys]:
        """Where the id of an element stands, if it has one; of a primitive in its `_name`."""
        places: list[Keys] = [(*parent, "id")]
        if parent and isinstance(parent[-1], str):
            places.append((*parent[:-1], f"_{parent[-1]}", "id"))
        elif parent:
            places.append((*parent[:-2], f"_{parent[-2]}", parent[-1], "id"))
        for keys in places:
            held: Any = self._resource
            for key in keys:
                held = _below(held, key)
            if held is not None:
                yield keys

    def _place(self, item: Any) -> Keys | None:
        if type(item) is Element:
            return self._at.get(id(item.extra)) or self._at.get(id(item.value))
        return self._at.get(id(item)) if type(item) is dict else None

    def _part(self, part: dict[str, Any], keys: Keys) -> dict[str, Any]:
        copy: dict[str, Any] = {}
        for name in dict.fromkeys(key.removeprefix("_") for key in part):
            value, under = part.get(name), part.get(f"_{name}")
            if name == "resourceType":
                copy[name] = value
            elif _is_complex(value):
                copy[name] = self._below(value, (*keys, name))
            else:
                copy |= self._primitives(name, value, under, keys)
        self._at[id(copy)] = keys
        return copy

    def _below(self, value: Any, keys: Keys) -> Any:
        if isinstance(value, list):
            return [self._part(one, (*keys, at)) if isinstance(one, dict) else one for at, one in enumerate(value)]
        return self._part(value, keys)

    def _primitives(self, name: str, value: Any, under: Any, keys: Keys) -> dict[str, Any]:
        if not isinstance(value, list) and not isinstance(under, list):
            return {name: value, f"_{name}": self._mark(under, keys, (*keys, name), (f"_{name}",))}
        values, extras = _list(value), _list(under)
        marks = [
            self._mark(extras[at] if at < len(extras) else None, keys, (*keys, name, at), (f"_{name}", at))
            for at in range(max(len(values), len(extras)))
        ]
        return {name: values, f"_{name}": marks}

    def _mark(self, under: Any, keys: Keys, place: Keys, below: Keys) -> dict[str, Any]:
        mark = {**(self._part(under, (*keys, *below)) if isinstance(under, dict) else {}), **_MARK}
        self._at[id(mark)] = place
        return mark


def _below(held: Any, key: str | int) -> Any:
    if isinstance(held, list):
        return held[key] if isinstance(key, int) and key < len(held) else None
    return held.get(key) if isinstance(held, dict) else None


def _is_complex(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(one, dict) for one in value))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _invalid(why: str) -> FormatError:
    return FormatError(why, code="patch-invalid")
