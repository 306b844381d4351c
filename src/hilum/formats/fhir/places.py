"""Where the values of a search parameter are: the expressions of R4's search parameters as plain paths. Pure.

R4's expressions use a small part of FHIRPath: paths, `as`, one `where` on an element, `where(resolve() is X)`. They are
turned into paths of JSON names with the type at their end, so that taking values out costs a few dict lookups.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from msgspec import Struct

from hilum import definitions

__all__ = ["Place", "places_of", "values_at"]


class Place(Struct, frozen=True):
    """A path of JSON names to values of one datatype (`leaf`).

    Of the elements at `filtered`, only those whose member `has[0]` is `has[1]` count; of references, those to `target`.
    """

    path: tuple[str, ...]
    leaf: str
    filtered: int = 0  # how many names lead to the elements that are filtered
    has: tuple[str, str] | None = None
    target: str = ""


_AS = re.compile(r"^\((.+?) as (\w+)\)(.*)$")
_AS_CALL = re.compile(r"\.as\((\w+)\)")
_TARGET = re.compile(r"\.where\(resolve\(\) is (\w+)\)$")
_FILTER = re.compile(r"\.where\((\w+)\s*=\s*'([^']*)'\)")
_PATH = re.compile(r"[A-Z]\w*(?:\.[a-z]\w*)+")


def places_of(type_: str, expression: str) -> tuple[Place, ...]:
    """The places of an expression for one type; a part that is not of the small kind gives none."""
    return tuple(place for part in _split(expression) for place in _part(type_, part.strip()))


def _split(expression: str) -> list[str]:
    return expression.split(" | ") if expression else []


def _part(type_: str, text: str) -> Iterator[Place]:
    text = text.removeprefix("(") if text.count("(") > text.count(")") else text
    as_type = ""
    if match := _AS.match(text):
        text, as_type = match[1] + match[3], "" if match[3] else match[2]
        if match[3]:
            text = f"{match[1]}.as({match[2]}){match[3]}"
    target = ""
    if match := _TARGET.search(text):
        text, target = text[: match.start()], match[1]
    text = text.replace("[0]", "")
    has, filtered = None, 0
    if match := _FILTER.search(text):
        has, filtered = (match[1], match[2]), text[: match.start()].count(".")
        text = text[: match.start()] + text[match.end() :]
    if match := _AS_CALL.search(text):
        as_type = as_type or match[1]
        rest = text[match.end() :]
        text = text[: match.start()] + rest
        if rest:
            yield from _below_choice(type_, text, as_type, rest)
            return
    if not _PATH.fullmatch(text):
        return
    for path, leaf in _concrete(type_, text.split(".")[1:], as_type):
        yield _whole(Place(path, leaf, filtered, has, target)) if has else Place(path, leaf, filtered, has, target)


def _whole(place: Place) -> Place:
    """The code of an extension's value with its system: packages write `.value.code` for what is a Coding."""
    if place.path[-2:] == ("valueCoding", "code"):
        return Place(place.path[:-1], "Coding", place.filtered, place.has, place.target)
    if place.path[-3:] == ("valueCodeableConcept", "coding", "code"):
        return Place(place.path[:-2], "CodeableConcept", place.filtered, place.has, place.target)
    return place


def _below_choice(type_: str, text: str, as_type: str, rest: str) -> Iterator[Place]:
    """`(Observation.value as CodeableConcept).text`."""
    names = text.removesuffix(rest).split(".")[1:]
    for path, _ in _concrete(type_, names, as_type):
        yield Place((*path, *rest.strip(".").split(".")), "string")


def _concrete(type_: str, names: list[str], as_type: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """The JSON names of a path of element names, with the datatype at its end; a choice gives one for each type."""
    yield from _walk(type_, "", tuple(names), (), as_type)


def _walk(
    type_: str, at: str, names: tuple[str, ...], done: tuple[str, ...], as_type: str
) -> Iterator[tuple[tuple[str, ...], str]]:
    name, *rest = names
    here = f"{at}.{name}".lstrip(".")
    element = definitions.element(type_, here) or definitions.element(type_, f"{here}[x]")
    if element is None:
        return
    for ref in element.types:
        code = ref.code
        if not rest and as_type and code != as_type and as_type not in (code, "Quantity"):
            continue
        json_name = name if not element.is_choice or _is_typed(name, code) else definitions.choice_name(name, code)
        if not rest:
            if as_type in ("", code):
                yield (*done, json_name), code
        elif code in ("BackboneElement", "Element") or not code[:1].isupper():
            yield from _walk(type_, here, tuple(rest), (*done, json_name), as_type)
        else:
            yield from _walk(code, "", tuple(rest), (*done, json_name), as_type)


def _is_typed(name: str, code: str) -> bool:
    """`valueDateTime`: a choice that is named with its type already."""
    return name.endswith(code[:1].upper() + code[1:])


@lru_cache(maxsize=4_096)
def _members(path: tuple[str, ...], filtered: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return path[:filtered], path[filtered:]


def values_at(resource: Any, place: Place) -> Iterator[Any]:
    """The values at a place, one by one, arrays taken apart."""
    if place.has is None:
        yield from _values((resource,), place.path)
        return
    first, then = _members(place.path, place.filtered)
    name, wanted = place.has
    kept = [one for one in _values((resource,), first) if isinstance(one, dict) and one.get(name) == wanted]
    yield from _values(kept, then)


def _values(found: Iterable[Any], path: tuple[str, ...]) -> Iterable[Any]:
    for name in path:
        deeper: list[Any] = []
        for one in found:
            value = one.get(name) if isinstance(one, dict) else None
            if isinstance(value, list):
                deeper += value
            elif value is not None:
                deeper.append(value)
        if not deeper:
            return ()
        found = deeper
    return found
