"""A body -> what is to be written, and what is wrong with it. Pure.

Ids are those that the resources have. One without an id gets it from its `fullUrl` (`urn:uuid:...`), or from its
content: so the same file twice changes nothing. References to a fullUrl of the same bundle become references to the id.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from hilum.app.api.contents import Validator, content_of
from hilum.app.api.outcomes import Problem
from hilum.app.api.query import condition, parse_pairs, query_part
from hilum.errors import FormatError
from hilum.formats import fhir
from hilum.formats.fhir import Issue, IssueSeverity
from hilum.mapping import resource_id
from hilum.repository import Change, Query, Verb

__all__ = ["Policy", "Unit", "units_of"]

_UUID = re.compile(r"urn:uuid:([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})")
_SPLIT = ("batch", "collection", "searchset")
MOST_ISSUES = 20  # of one resource that are told


class Policy(StrEnum):
    """What becomes of a body that validation finds errors in."""

    REJECT = "reject"  # it is left out
    HOLD = "hold"  # it is left out, and kept in the store for a person
    ACCEPT_WARN = "accept-warn"  # it is taken all the same, if it can be stored at all


class Unit(Struct, frozen=True):
    """What is written together or not at all. `errors` say why it is not taken; `notes` are about what is.

    `entry` is the place in a bundle, -1 for a resource by itself or a whole transaction.
    """

    changes: tuple[Change, ...] = ()
    references: dict[str, Query] = {}
    errors: tuple[Issue, ...] = ()
    notes: tuple[Issue, ...] = ()
    entry: int = -1
    body: bytes = b""  # of one that is not taken: what is held


class _Entry(Struct, frozen=True):
    """One resource of a bundle, or one that stands alone."""

    resource: Any
    index: int = -1
    full_url: str = ""
    method: str = "PUT"
    url: str = ""
    condition: str = ""


def units_of(raw: bytes | None, validate: Validator, policy: Policy) -> Iterator[Unit]:
    """All that one body holds. `raw` None stands for one that is too long."""
    if raw is None:
        yield Unit(
            errors=(
                _issue(code="load-line-too-long", text="a line is longer than 32 MB: put it into a file of its own"),
            )
        )
        return
    try:
        body = fhir.decode(raw)
    except FormatError:
        text = "this is no JSON: NDJSON has one whole resource on every line"
        yield Unit(errors=(_issue(code="load-not-json", text=text),), body=raw)
        return
    kind = body.get("type") if isinstance(body, dict) and body.get("resourceType") == "Bundle" else None
    if kind == "transaction":
        yield _together(raw, _entries(body), validate, policy)
    elif kind in _SPLIT:
        yield from _apart(_entries(body), validate, policy)
    elif kind == "history":
        text = "a history of resources cannot be loaded: load them as they stand"
        yield Unit(errors=(_issue(code="load-bundle-type", text=text),), body=raw)
    else:
        yield _unit(_Entry(body), {}, validate, policy)


def _entries(bundle: Mapping[str, Any]) -> list[_Entry]:
    given = bundle.get("entry")
    return [_entry(index, one) for index, one in enumerate(given if isinstance(given, list) else ())]


def _entry(index: int, given: Any) -> _Entry:
    if not isinstance(given, dict):
        return _Entry(None, index)
    request = given.get("request")
    request = request if isinstance(request, dict) else {}
    texts = {name: _text(request, name) for name in ("method", "url", "ifNoneExist")}
    method = texts["method"] or "PUT"
    return _Entry(given.get("resource"), index, _text(given, "fullUrl"), method, texts["url"], texts["ifNoneExist"])


def _together(raw: bytes, entries: Sequence[_Entry], validate: Validator, policy: Policy) -> Unit:
    """R4 http.html#transaction: all of it or nothing."""
    names = _names(entries)
    units = [_unit(one, names, validate, policy) for one in entries]
    errors = tuple(_at(issue, unit.entry) for unit in units for issue in unit.errors)
    notes = tuple(_at(issue, unit.entry) for unit in units for issue in unit.notes)
    if errors:
        return Unit(errors=errors, notes=notes, body=raw)
    references = {name: query for unit in units for name, query in unit.references.items()}
    return Unit(tuple(change for unit in units for change in unit.changes), references, notes=notes, body=raw)


def _apart(entries: Sequence[_Entry], validate: Validator, policy: Policy) -> Iterator[Unit]:
    names = _names(entries)
    for one in entries:
        unit = _unit(one, names, validate, policy)
        yield replace(
            unit,
            errors=tuple(_at(issue, one.index) for issue in unit.errors),
            notes=tuple(_at(issue, one.index) for issue in unit.notes),
        )


def _names(entries: Sequence[_Entry]) -> dict[str, str]:
    """fullUrl -> `Type/id`, of those whose id is known before anything is looked up."""
    named: dict[str, str] = {}
    for one in entries:
        type_ = one.resource.get("resourceType") if isinstance(one.resource, dict) else None
        if one.full_url and isinstance(type_, str) and not one.condition and "?" not in one.url:
            named[one.full_url] = f"{type_}/{_id_of(one, type_)}"
            found = fhir.parse_reference(one.full_url)
            if found is not None and found.base:
                named[found.path] = named[one.full_url]
    return named


def _id_of(entry: _Entry, type_: str) -> str:
    asked = entry.url.partition("/")[2] if entry.method == "PUT" else ""
    own = entry.resource.get("id")
    if isinstance(own, str) and own:
        return own
    uuid = _UUID.fullmatch(entry.full_url)
    return asked or (uuid[1].lower() if uuid else resource_id(type_, "load", fhir.encode(entry.resource).decode()))


def _unit(entry: _Entry, names: Mapping[str, str], validate: Validator, policy: Policy) -> Unit:
    """One resource with what validation says of it."""
    if entry.method == "DELETE":
        return _deletion(entry)
    if entry.method not in ("PUT", "POST"):
        text = "only entries that create, update or delete can be loaded"
        return Unit(errors=(_issue(code="load-entry-unusable", text=text),), entry=entry.index)
    notes: list[Issue] = []

    def judge(raw: bytes) -> Sequence[Issue]:
        found = validate(raw)
        notes.extend(found)
        return () if policy is Policy.ACCEPT_WARN else found

    try:
        content = content_of(entry.resource, judge)
        change = _change(entry, Change(Verb.UPDATE, content.type, "", content.elements), names)
        references = _references(change, names)
    except Problem as problem:
        body = fhir.encode(entry.resource)
        return Unit(errors=problem.issues[:MOST_ISSUES], entry=entry.index, body=body)
    return Unit((change,), references, (), tuple(notes[:MOST_ISSUES]), entry.index)


def _change(entry: _Entry, change: Change, names: Mapping[str, str]) -> Change:
    """Raises Problem for a condition that cannot be used."""
    id_ = _id_of(entry, change.type)
    if not fhir.is_id(id_):
        raise Problem("id-invalid", 400, "value", "an id is 1 to 64 letters, digits, `-` and `.`")
    elements = change.elements
    if names:
        elements = {name: type(raw)(fhir.replace_references(bytes(raw), names)) for name, raw in elements.items()}
    text = entry.condition if entry.method == "POST" else entry.url.partition("?")[2]
    if not text:
        return replace(change, id=id_, elements=elements)
    where = condition(change.type, parse_pairs(query_part(text, change.type).encode()))
    verb = Verb.CREATE if entry.method == "POST" else Verb.UPDATE
    called = (entry.full_url,) if entry.full_url else ()
    return replace(change, verb=verb, id=id_, elements=elements, where=where, names=called)


def _references(change: Change, names: Mapping[str, str]) -> dict[str, Query]:
    """Conditional references in a body, with what they ask for."""
    found: dict[str, Query] = {}
    for raw in change.elements.values():
        text = bytes(raw)
        if b"?" in text and b'"reference"' in text:
            for one in fhir.all_references(text):
                type_, _, query = one.partition("?")
                if query and "://" not in one and one not in names and fhir.is_resource_type(type_):
                    found[one] = condition(type_, parse_pairs(query.encode()))
    return found


def _deletion(entry: _Entry) -> Unit:
    """As the files of deletions of a bulk export have them."""
    type_, _, id_ = entry.url.partition("/")
    if not (fhir.is_resource_type(type_) and fhir.is_id(id_)):
        text = "a deletion names what is deleted as Type/id in its request"
        return Unit(errors=(_issue(code="load-entry-unusable", text=text),), entry=entry.index)
    return Unit((Change(Verb.DELETE, type_, id_),), entry=entry.index)


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    return value if isinstance(value, str) else ""


def _issue(code: str, text: str) -> Issue:
    return Issue("invalid", text, code, IssueSeverity.ERROR)


def _at(issue: Issue, entry: int) -> Issue:
    """The same, told of an entry."""
    path = issue.expression[0].partition(".")[2] if issue.expression else ""
    where = f"Bundle.entry[{entry}].resource"
    return replace(issue, expression=(f"{where}.{path}" if path else where,))
