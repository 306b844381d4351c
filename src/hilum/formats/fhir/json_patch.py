"""JSON Patch (RFC 6902) with JSON Pointer (RFC 6901), and JSON Merge Patch (RFC 7396), over decoded JSON. Pure."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

from hilum.errors import FormatError

__all__ = ["apply_patch", "merge_patch"]

MAX_OPERATIONS = 1_000
_INDEX = re.compile("0|[1-9][0-9]*")


def apply_patch(document: Any, operations: Any) -> Any:
    """The document after all operations, or none of them.

    Raises FormatError `patch-invalid` (not a patch), `patch-path-missing` (a path that is not there),
    `patch-test-failed`; location is `/index` of the operation.
    """
    if not isinstance(operations, list) or len(operations) > MAX_OPERATIONS:
        raise _invalid("", f"a JSON Patch is an array of at most {MAX_OPERATIONS} operations")
    work = copy.deepcopy(document)
    for index, operation in enumerate(operations):
        work = _apply(work, operation, f"/{index}")
    return work


def merge_patch(document: Any, changes: Any) -> Any:
    """The document with what `changes` says: objects are merged, null takes away, all else replaces."""
    if not isinstance(changes, dict):
        return copy.deepcopy(changes)
    merged = dict(document) if isinstance(document, dict) else {}
    for name, value in changes.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def _apply(document: Any, operation: Any, at: str) -> Any:
    if not isinstance(operation, dict):
        raise _invalid(at, "an operation is an object")
    step = _STEPS.get(str(operation.get("op", "")))
    if step is None:
        raise _invalid(at, "`op` is add, remove, replace, move, copy or test")
    return step(document, operation, at)


def _add(document: Any, operation: dict[str, Any], at: str) -> Any:
    return _put(document, _pointer(operation, "path", at), copy.deepcopy(_value(operation, at)), at)


def _remove(document: Any, operation: dict[str, Any], at: str) -> Any:
    path = _pointer(operation, "path", at)
    if not path:
        raise _invalid(at, "the whole resource is removed by DELETE")
    _take(document, path, at)
    return document


def _replace(document: Any, operation: dict[str, Any], at: str) -> Any:
    path, value = _pointer(operation, "path", at), copy.deepcopy(_value(operation, at))
    if not path:
        return value
    holder = _find(document, path[:-1], at)
    key = _key(holder, path[-1], at)
    holder[key] = value
    return document


def _move(document: Any, operation: dict[str, Any], at: str) -> Any:
    source, target = _pointer(operation, "from", at), _pointer(operation, "path", at)
    if target[: len(source)] == source and target != source:
        raise _invalid(at, "nothing is moved into itself")
    if not source or source == target:
        return document
    return _put(document, target, _take(document, source, at), at)


def _copy(document: Any, operation: dict[str, Any], at: str) -> Any:
    found = _find(document, _pointer(operation, "from", at), at)
    return _put(document, _pointer(operation, "path", at), copy.deepcopy(found), at)


def _test(document: Any, operation: dict[str, Any], at: str) -> Any:
    if not _equal(_find(document, _pointer(operation, "path", at), at), _value(operation, at)):
        raise FormatError(
            "the value is another than the test names: read it again", code="patch-test-failed", location=at
        )
    return document


_STEPS: dict[str, Callable[[Any, dict[str, Any], str], Any]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}


def _equal(one: Any, other: Any) -> bool:
    """RFC 6902 4.6: numbers are equal by value, but a boolean is no number."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return bool(one == other)


def _pointer(operation: dict[str, Any], name: str, at: str) -> list[str]:
    text = operation.get(name)
    if not isinstance(text, str) or (text and not text.startswith("/")) or re.search("~(?![01])", text):
        raise _invalid(at, f"`{name}` is a JSON Pointer such as /name/0/family")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _value(operation: dict[str, Any], at: str) -> Any:
    if "value" not in operation:
        raise _invalid(at, "`value` is missing")
    return operation["value"]


def _find(document: Any, path: list[str], at: str) -> Any:
    for part in path:
        document = document[_key(document, part, at)]
    return document


def _key(holder: Any, part: str, at: str) -> Any:
    """The key of a member that is there."""
    if isinstance(holder, dict) and part in holder:
        return part
    if isinstance(holder, list) and _INDEX.fullmatch(part) and len(part) < 10 and int(part) < len(holder):
        return int(part)
    raise _missing(at)


def _put(document: Any, path: list[str], value: Any, at: str) -> Any:
    if not path:
        return value
    holder, last = _find(document, path[:-1], at), path[-1]
    if isinstance(holder, dict):
        holder[last] = value
    elif isinstance(holder, list) and last == "-":
        holder.append(value)
    elif isinstance(holder, list) and _INDEX.fullmatch(last) and len(last) < 10 and int(last) <= len(holder):
        holder.insert(int(last), value)
    else:
        raise _missing(at)
    return document


def _take(document: Any, path: list[str], at: str) -> Any:
    holder = _find(document, path[:-1], at)
    return holder.pop(_key(holder, path[-1], at))


def _invalid(at: str, why: str) -> FormatError:
    return FormatError(why, code="patch-invalid", location=at)


def _missing(at: str) -> FormatError:
    text = "the path is not there: read the resource again, and add what is above it first"
    return FormatError(text, code="patch-path-missing", location=at)
