"""Lines of NDJSON that are FHIR resources: each with its kind, the time it was last changed, and whom it is about."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from hilum.errors import FormatError

__all__ = ["Record", "ResourceRecord", "about", "changed_at", "key_reader", "read_resource"]

DEEPEST = 100  # levels of brackets
# Escapes of characters below 32 but tab and line breaks (R4, 2.24.0.1 string); JSON refuses them as they are.
_CONTROL = re.compile(rb"(?<!\\)(?:\\\\)*\\(?:[bf]|u00(?:0[0-8bBcCeEfF]|1[0-9a-fA-F]))")
_TYPE = re.compile(r"[A-Z][A-Za-z]{1,63}")
# Elements that name the patient of a resource, most telling first (https://hl7.org/fhir/R4/compartmentdefinition-patient.html).
_PATIENT = ("subject", "patient", "beneficiary", "individual", "for", "person", "actor")
_REFERENCE = re.compile(r"(?:.*/)?(Patient/[A-Za-z0-9.-]{1,64})(?:/_history/.*)?", re.DOTALL)
_NAME = re.compile(rb'"\s*:')
_decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode

Resolve = Callable[[str], Mapping[str, Any] | None]


class Record(Struct, frozen=True):
    """What the mapping engine asks of any record, where a message of HL7 v2 has segments and fields."""

    kind: str  # "csv:patients", "fhir:Patient"

    @property
    def names(self) -> tuple[str, ...]:
        """What comes after the colon, where a message has the names of its segments."""
        return (self.kind.partition(":")[2],)

    def get(self, _path: str, /) -> str:
        """A record has no fields of HL7 v2."""
        return ""

    def all(self, _path: str, /) -> list[str]:
        """A record has no fields of HL7 v2."""
        return []


class ResourceRecord(Record, frozen=True):
    """One resource, as the mapping engine takes it."""

    resource: dict[str, Any]
    deletes: bool = False
    resolve: Resolve | None = None


def read_resource(raw: bytes) -> dict[str, Any]:
    """A line of NDJSON; decimals keep their digits. Raises FormatError `record-json` or `record-type`."""
    try:
        found = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise FormatError("this is no JSON object in UTF-8", code="record-json") from None
    if raw.count(b"{") + raw.count(b"[") > DEEPEST and _depth(found) > DEEPEST:
        raise FormatError(f"it is nested deeper than {DEEPEST} levels", code="record-json")
    if b"\\" in raw and _CONTROL.search(raw):
        raise FormatError("a text in it holds a control character, as no text of FHIR may", code="record-json")
    twice = _named_twice(raw, found)
    if twice:
        raise FormatError(f"`{twice}` stands twice in one object: which of the two is meant?", code="record-json")
    type_ = found.get("resourceType")
    if not isinstance(type_, str) or not _TYPE.fullmatch(type_):
        raise FormatError("`resourceType` does not name a type of resource", code="record-type")
    return found


def _named_twice(raw: bytes, found: dict[str, Any]) -> str:
    """A name that an object of the text has twice, of which a reader takes one in silence; "" for none.

    Read again, slowly, only where the text has more names than what came of it: a text may look like one.
    """
    names, waiting = 0, [found]
    while waiting:
        one = waiting.pop()
        names += len(one)
        for value in one.values():
            inner = value if isinstance(value, list) else (value,)
            waiting += [item for item in inner if isinstance(item, dict)]
    if len(_NAME.findall(raw)) == names:
        return ""
    twice: list[str] = []

    def look(pairs: list[tuple[str, Any]]) -> None:
        counted = Counter(name for name, _ in pairs)
        twice.extend(name for name, times in counted.items() if times > 1)

    json.loads(raw, object_pairs_hook=look, parse_int=str, parse_float=str)
    return next((name for name in twice if name.isidentifier()), "?" if twice else "")


def _depth(value: Any) -> int:
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        one, depth = waiting.pop()
        deepest = max(deepest, depth)
        if isinstance(one, dict | list):
            waiting += [(inner, depth + 1) for inner in (one.values() if isinstance(one, dict) else one)]
    return deepest


def changed_at(resource: Mapping[str, Any]) -> int:
    """`meta.lastUpdated` in microseconds since 1970; 0 when it is not there, or no instant."""
    meta = resource.get("meta")
    text = meta.get("lastUpdated") if isinstance(meta, dict) else None
    if not isinstance(text, str):
        return 0
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return 0
    return int(at.timestamp() * 1_000_000) if at.tzinfo is not None and at.year >= 1970 else 0


def about(resource: Mapping[str, Any]) -> str:
    """`Patient/1`: the patient that a resource is, or refers to; else `Type/id`; "" for one without an id."""
    type_, id_ = resource.get("resourceType"), resource.get("id")
    if type_ != "Patient":
        for name in _PATIENT:
            named = resource.get(name)
            reference = named.get("reference") if isinstance(named, dict) else None
            match = _REFERENCE.fullmatch(reference) if isinstance(reference, str) else None
            if match:
                return match[1]
    return f"{type_}/{id_}" if isinstance(id_, str) and id_ else ""


@lru_cache(64)
def key_reader(paths: tuple[str, ...]) -> Callable[[Mapping[str, Any]], str]:
    """What orders resources: the first of the paths that gives one, `about` without paths. Raises ValueError."""
    if not paths:
        return about
    from hilum.fhirpath import FhirPathError, compile_expression  # what it needs takes 0.1 s to import

    try:
        expressions = [compile_expression(path) for path in paths]
    except FhirPathError as error:
        raise ValueError(f"`key`: {error.message}") from None

    def key(resource: Mapping[str, Any]) -> str:
        for expression in expressions:
            try:
                found = expression(dict(resource))
            except FhirPathError:
                continue
            if found and isinstance(found[0], str):
                return found[0]
        return ""

    return key
