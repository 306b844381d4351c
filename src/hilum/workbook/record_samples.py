"""From the `sample` cell of a row about records to the smallest record that holds it.

Columns: `MRN=1;[Last Name]=Li`, or the text of the column that the row reads. FHIR: JSON of a resource, JSON of the
element that the row copies, or the text of the element that it reads. What the key rows of the same kind read is filled
in where the sample does not say it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from hilum.errors import FormatError
from hilum.fhirpath import FhirPathError, decode, parse, r4_model
from hilum.fhirpath.syntax import Binary, Call, Chain, Literal, Member, Node
from hilum.formats import records
from hilum.mapping import Path, Rule, walk

__all__ = ["Given", "read_record", "read_record_sample"]

Given = tuple[records.RowRecord | records.ResourceRecord, dict[str, str]]  # the record, and params that it decides

_NAME = r"\[[^\[\]]+\]|[A-Za-z][\w-]*"
_PART = re.compile(rf";(?=\s*(?:(?:{_NAME})=|param\.[\w]+=|$))")  # a text may hold a semicolon
_ASSIGNED = re.compile(rf"\s*(?P<name>{_NAME})=(?P<text>.*)", re.DOTALL)
_PARAM = re.compile(r"\s*param\.(?P<name>\w+)=(?P<text>.*)", re.DOTALL)
_KIND = re.compile(r"((?:csv|fixed|xlsx|fhir):[A-Za-z][\w-]*)\s+(.*)", re.DOTALL)
_ONE = "1"  # what a key is, when nobody says


def read_record(text: str) -> Given | None:
    """A whole record as `tests.csv` writes it: `csv:people MRN=1;Name=Li`, `fhir:Patient {..}`; None for all else.

    Raises ValueError, saying what cannot be read.
    """
    match = _KIND.fullmatch(text.strip())
    if match is None:
        return None
    if records.is_resource_kind(match[1]):
        return _resource(match[1], _object(match[2])), {}
    cells, params = _assigned(match[2])
    return records.RowRecord(match[1], tuple(cells), list(cells.values())), params


def read_record_sample(text: str, rule: Rule, rules: Iterable[Rule]) -> Given:
    """The record of a row's sample. Raises ValueError."""
    kind = rule.applies[0]
    keys = [one for one in rules if one.target.role == "key" and not one.target.is_cell and kind in one.applies]
    if records.is_resource_kind(kind):
        return _of_elements(kind, text, rule, keys)
    if _PART.split(text) == [text] and _ASSIGNED.fullmatch(text) is None:
        text = f"[{_first(rule)}]={text}"
    cells, params = _assigned(text)
    for key in keys:
        for path in key.paths(source_only=True):
            cells.setdefault(path.column, _ONE)
    return records.RowRecord(kind, tuple(cells), list(cells.values())), params


def _assigned(text: str) -> tuple[dict[str, str], dict[str, str]]:
    cells: dict[str, str] = {}
    params: dict[str, str] = {}
    for part in filter(str.strip, _PART.split(text)):
        if (param := _PARAM.fullmatch(part)) is not None:
            params[param["name"]] = param["text"]
        elif (match := _ASSIGNED.fullmatch(part)) is not None:
            cells[match["name"].strip("[]").strip()] = match["text"]
        else:
            raise ValueError("the sample is neither a text nor columns such as MRN=1;[Last Name]=Li")
    return cells, params


def _first(rule: Rule) -> str:
    """The column or path that the row reads first."""
    for expression in (*rule.alternatives, rule.when):
        for part in walk(expression):
            if isinstance(part, Path) and part.column:
                return part.column
    raise ValueError("the row reads nothing: write what the sample holds as MRN=1, or as JSON of a resource")


# -- resources -----------------------------------------------------------------------------------------------------


def _of_elements(kind: str, text: str, rule: Rule, keys: list[Rule]) -> Given:
    type_ = kind.partition(":")[2]
    if text.lstrip().startswith("{") and '"resourceType"' in text:
        resource = _object(text)
    else:
        resource = {"resourceType": type_}
        value = _object(text) if text.lstrip().startswith("{") else text
        if not _put(resource, type_, _first(rule), value):
            text = f"`{_first(rule)}` does not say where the sample stands: write it as JSON of a {type_}"
            raise ValueError(text)
    for key in keys:
        for path in key.paths(source_only=True):
            _put(resource, type_, path.column, _ONE)
    resource.setdefault("id", _ONE)
    return _resource(kind, resource), {}


def _object(text: str) -> dict[str, Any]:
    try:
        found = decode(text)
    except FormatError:
        found = None
    if isinstance(found, dict):
        return found
    raise ValueError("the sample is no JSON object")


def _resource(kind: str, resource: dict[str, Any]) -> records.ResourceRecord:
    said = resource.setdefault("resourceType", kind.partition(":")[2])
    if f"fhir:{said}" != kind:
        raise ValueError(f"the sample is a {said}, and the row is about {kind}")
    return records.ResourceRecord(kind, resource)


def _put(resource: dict[str, Any], type_: str, path: str, value: Any) -> bool:
    """Put a value where a path of plain steps leads, unless something is there; false for any other path."""
    try:
        node = parse(path)
    except FhirPathError:
        return False
    links = [node.head, *node.links] if isinstance(node, Chain) else [node]
    here: Any = resource
    at = 0
    if len(links) > 1 and links[0] == Member(type_):
        links = links[1:]
    while at < len(links):
        link, facts = links[at], list(_facts(links[at + 1 :]))
        at += 1 + len(facts)
        if isinstance(link, Call) and link.name == "extension" and isinstance(link.arguments[0], Literal):
            name, type_, is_list = "extension", "Extension", True
            facts = [("url", link.arguments[0].value), *facts]
        elif isinstance(link, Member) and (found := _field(type_, link.name, facts)) is not None:
            name, type_, is_list = found
        else:
            return False
        last = at == len(links)
        inner = here.get(name)
        item = inner[0] if isinstance(inner, list) and inner else inner
        if last:
            if item is None:
                here[name] = [_typed(type_, value)] if is_list else _typed(type_, value)
            return True
        if item is None:
            item = {key: told for key, told in facts if key}
            here[name] = [item] if is_list else item
        here = item
    return False


def _facts(links: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """What follows a name and does not lead on: `where(use = 'official')` says a member, `first()` and [0] nothing."""
    for link in links:
        if isinstance(link, Call) and link.name == "where" and len(link.arguments) == 1:
            yield _equality(link.arguments[0])
        elif isinstance(link, Call) and link.name == "ofType" and isinstance(link.arguments[0], Member):
            yield "", link.arguments[0].name
        elif isinstance(link, Call) and link.name in ("first", "last"):
            yield "", None
        else:
            return


def _equality(node: Node) -> tuple[str, Any]:
    match node:
        case Binary(operator="=", left=Member(name=name), right=Literal(value=value)):
            return name, value
    return "", None


def _field(type_: str, name: str, facts: list[tuple[str, Any]]) -> tuple[str, str, bool] | None:
    """(JSON name, type, whether it is a list) of an element; a choice needs `ofType` or its JSON name."""
    for field in r4_model().fields(type_).values():
        chosen = next((told for key, told in facts if not key and told), "")
        if field.name == name and not field.is_choice:
            return name, field.types[0], field.is_list
        if field.name == name and chosen:
            return next(((key, one, False) for key, one in field.keys.items() if one == chosen), None)
        if name in field.keys:
            return name, field.keys[name], False
    return None


def _typed(type_: str, value: Any) -> Any:
    """A text as JSON has it where R4 wants a number or a boolean."""
    if isinstance(value, str) and type_ in ("boolean", "integer", "decimal", "positiveInt", "unsignedInt"):
        try:
            return decode(value)
        except FormatError:
            return value
    return value
