"""FHIRPath Patch (R4 fhirpatch.html) over a decoded resource. Pure: the resource given is not changed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from hilum import definitions
from hilum.errors import FormatError

from .lists import extras, pad, realign
from .locating import Keys, Marked
from .values import kind_of, member_of, value_of

__all__ = ["apply_fhirpath_patch"]

MAX_OPERATIONS = 1_000
MOST_WORK = 300_000  # elements that are looked at, over all operations


class _Operation(Struct, frozen=True):
    """One operation, read. `value` is its part named value, or None."""

    type: str
    path: str
    name: str = ""
    index: int = -1
    source: int = -1
    destination: int = -1
    value: dict[str, Any] | None = None


def apply_fhirpath_patch(resource: dict[str, Any], parameters: Any) -> dict[str, Any]:
    """The resource after all operations, or none of them.

    Raises FormatError `patch-invalid` (not such a patch), `patch-path-missing` (no element there),
    `patch-path-ambiguous` (several), `patch-element-there` (add to what may be there once); location is `/index`.
    """
    operations = parameters.get("parameter") if isinstance(parameters, dict) else None
    if not isinstance(operations, list) or len(operations) > MAX_OPERATIONS:
        raise _invalid(f"a FHIRPath Patch is a Parameters resource of at most {MAX_OPERATIONS} operations")
    work = copy.deepcopy(resource)
    done = 0
    for index, given in enumerate(operations):
        try:
            marked = Marked(work)
            done += marked.size
            if index and done > MOST_WORK:
                raise _invalid("there are too many operations for so large a resource: send them in parts")
            one = _read(given)
            _STEPS[one.type](work, one, marked.find(one.path))
        except FormatError as error:
            raise FormatError(error.message, code=error.code, location=f"/{index}") from None
    return work


def _read(given: Any) -> _Operation:
    listed = given.get("part") if isinstance(given, dict) else None
    if not isinstance(listed, list) or given.get("name") != "operation":
        raise _invalid("each parameter is named `operation` and has parts")
    parts = {one["name"]: one for one in listed if isinstance(one, dict) and isinstance(one.get("name"), str)}
    kind, path = _text(parts, "type"), _text(parts, "path")
    if kind not in _STEPS or not path:
        raise _invalid(f"an operation has a `type` ({', '.join(_STEPS)}) and a `path`")
    needed = {"add": ("name", "value"), "insert": ("index", "value"), "replace": ("value",)}.get(kind, ())
    needed = ("source", "destination") if kind == "move" else needed
    missing = [name for name in needed if name not in parts]
    if missing:
        raise _invalid(f"`{kind}` needs a part named `{missing[0]}`")
    index, source, destination = (_whole(parts, name) for name in ("index", "source", "destination"))
    return _Operation(kind, path, _text(parts, "name"), index, source, destination, parts.get("value"))


def _text(parts: dict[str, Any], name: str) -> str:
    part = parts.get(name, {})
    found = next((value for key, value in part.items() if key.startswith("value")), "")
    return found if isinstance(found, str) else ""


def _whole(parts: dict[str, Any], name: str) -> int:
    if name not in parts:
        return -1
    found = next((value for key, value in parts[name].items() if key.startswith("value")), None)
    if isinstance(found, bool) or not isinstance(found, int) or found < 0:
        raise _invalid(f"`{name}` is a whole number, 0 or more")
    return found


# the operations


def _add(work: dict[str, Any], one: _Operation, places: list[Keys]) -> None:
    at = _single(places)
    holder, type_, path = _holder(work, at)
    key, is_list = member_of(type_, path, one.name, kind_of(one.value))
    value = value_of(one.value, type_, f"{path}.{key}".lstrip("."))
    if is_list:
        holder.setdefault(key, []).append(value)
        realign(holder, key)
    elif key in holder or f"_{key}" in holder:
        raise FormatError(f"`{key}` is there already: replace it", code="patch-element-there")
    else:
        holder[key] = value


def _insert(work: dict[str, Any], one: _Operation, places: list[Keys]) -> None:
    holder, key, at = _list_of(work, places)
    if one.index > len(holder[key]):
        raise _missing(f"the list has {len(holder[key])} items")
    type_, path = _typed(work, at[:-1])
    holder[key].insert(one.index, value_of(one.value, type_, path))
    extras(holder, key, lambda beside: beside.insert(one.index, None))


def _delete(work: dict[str, Any], _: _Operation, places: list[Keys]) -> None:
    if not places:
        return  # R4: no error where there is none
    at = _single(places)
    if not at:
        raise _invalid("the whole resource is removed by DELETE")
    if isinstance(at[-1], str):
        holder = _get(work, at[:-1])
        holder.pop(at[-1], None)
        holder.pop(f"_{at[-1]}", None)
        _prune(work, at[:-1])
        return
    holder, key = _get(work, at[:-2]), str(at[-2])
    index = int(at[-1])
    del holder.get(key, [])[index : index + 1]
    extras(holder, key, lambda beside: beside.pop(index))
    for name in (key, f"_{key}"):
        if name in holder and not any(item is not None for item in holder[name]):
            del holder[name]
    _prune(work, at[:-2])


def _prune(work: dict[str, Any], at: Keys) -> None:
    """What is empty now goes, too: FHIR has no empty objects (json.html 2.6.2); in lists null holds its place."""
    if not at or _get(work, at):
        return
    holder, key = _get(work, at[:-1]), at[-1]
    if isinstance(key, str):
        del holder[key]
        _prune(work, at[:-1])
        return
    if str(at[-2]).startswith("_"):
        holder[key] = None
    else:
        del holder[key]
    if not any(holder):
        del _get(work, at[:-2])[at[-2]]
        _prune(work, at[:-2])


def _replace(work: dict[str, Any], one: _Operation, places: list[Keys]) -> None:
    at = _single(places)
    if not at:
        raise _invalid("the whole resource is replaced by PUT")
    type_, path = _typed(work, at)
    if isinstance(at[-1], int):
        holder, key, index = _get(work, at[:-2]), str(at[-2]), at[-1]
        held = holder.setdefault(key, [])
        held += [None] * (index + 1 - len(held))
        held[index] = value_of(one.value, type_, path)
        extras(holder, key, lambda beside: beside.__setitem__(index, None))
        return
    holder, key = _get(work, at[:-1]), at[-1]
    key_now = _chosen(work, at, kind_of(one.value))
    value = value_of(one.value, type_, f"{path.rpartition('.')[0]}.{key_now}".lstrip("."))
    for name in (key, f"_{key}"):
        holder.pop(name, None)
    holder[key_now] = value


def _move(work: dict[str, Any], one: _Operation, places: list[Keys]) -> None:
    holder, key, _ = _list_of(work, places)
    if max(one.source, one.destination) >= len(holder[key]):
        raise _missing(f"the list has {len(holder[key])} items")
    holder[key].insert(one.destination, holder[key].pop(one.source))
    extras(holder, key, lambda beside: beside.insert(one.destination, beside.pop(one.source)))


_STEPS: dict[str, Callable[[dict[str, Any], _Operation, list[Keys]], None]] = {
    "add": _add,
    "insert": _insert,
    "delete": _delete,
    "replace": _replace,
    "move": _move,
}


# where


def _single(places: list[Keys]) -> Keys:
    if not places:
        raise _missing("nothing is at this path: read the resource again")
    if len(places) > 1:
        text = f"the path leads to {len(places)} elements, and must lead to one: add [index] or where(...)"
        raise FormatError(text, code="patch-path-ambiguous")
    return places[0]


def _list_of(work: dict[str, Any], places: list[Keys]) -> tuple[dict[str, Any], str, Keys]:
    """What holds the one list that all places are in, its name there, and the first place."""
    if not places:
        raise _missing("nothing is at this path: `add` puts the first item")
    lists = {at[:-1] for at in places if at and isinstance(at[-1], int)}
    if len(lists) != 1 or not all(at and isinstance(at[-1], int) for at in places):
        raise _invalid("the path must lead to the items of one list")
    (at,) = lists
    holder = _get(work, at[:-1])
    holder.setdefault(at[-1], [])
    pad(holder, str(at[-1]))
    return holder, str(at[-1]), places[0]


def _get(work: Any, keys: Keys) -> Any:
    for key in keys:
        work = work[key]
    return work


def _step(found: Any, key: str | int) -> Any:
    """What is there; None where a primitive has extensions only."""
    if isinstance(found, list):
        return found[int(key)] if int(key) < len(found) else None
    return found.get(key) if isinstance(found, dict) else None


def _holder(work: dict[str, Any], at: Keys) -> tuple[dict[str, Any], str, str]:
    """The object that an element is added to, with its type and path; of a primitive that is `_name`."""
    found: Any = work
    for key in at:
        found = _step(found, key)
    if isinstance(found, dict):
        return found, *_typed(work, at)
    if isinstance(at[-1], int):
        holder, name, index = _get(work, at[:-2]), f"_{at[-2]}", at[-1]
        held = holder.setdefault(name, [])
        held += [None] * (index + 1 - len(held))
        held[index] = held[index] or {}
        return held[index], "Element", ""
    holder = _get(work, at[:-1])
    return holder.setdefault(f"_{at[-1]}", {}), "Element", ""


def _typed(work: dict[str, Any], at: Keys) -> tuple[str, str]:
    """The type that a place is below, and its path there: ("Patient", "contact.name")."""
    type_, path = str(work.get("resourceType")), ""
    found: Any = work
    for key in at:
        found = _step(found, key)
        if isinstance(found, dict) and isinstance(found.get("resourceType"), str):
            type_, path = found["resourceType"], ""
        elif isinstance(key, str):
            type_, path = ("Element", "") if key.startswith("_") else (type_, f"{path}.{key}".lstrip("."))
    return type_, path


def _chosen(work: dict[str, Any], at: Keys, kind: str) -> str:
    """The JSON name of an element that is replaced: of a choice that of the new value's type."""
    key = str(at[-1])
    type_, path = _typed(work, at[:-1])
    known = definitions.children(type_, path)
    one = known.get(key)
    if one is None or not one.is_choice:
        return key
    name = f"{one.name.removesuffix('[x]')}{kind}"
    return name if name in known else key


def _invalid(why: str) -> FormatError:
    return FormatError(why, code="patch-invalid")


def _missing(why: str) -> FormatError:
    return FormatError(why, code="patch-path-missing")
