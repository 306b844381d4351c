"""What a bulk export is asked for: the parameters of a kick-off (Bulk Data Access IG 2.0, export). Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from msgspec import Struct

from hilum.app.api.outcomes import Problem
from hilum.app.api.query import Ignored, Pairs, condition, parse_pairs
from hilum.app.bulk.compartments import of_patients
from hilum.errors import HilumError
from hilum.formats import fhir
from hilum.repository import Limits, SearchTerm, Stored, is_within
from hilum.safeguards import SUPPORTING_TYPES

__all__ = ["Export", "absent_note", "asked_for"]

FORMATS = frozenset({"application/fhir+ndjson", "application/ndjson", "ndjson"})
_NEXT_FILTER = re.compile(r",(?=[A-Z][A-Za-z]*\?)")
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})")
_ELEMENT = re.compile("(?:([A-Z][A-Za-z]*)\\.)?([a-z][A-Za-z0-9]*)")
_NOT_STORED = frozenset({"OperationOutcome", "Parameters"})
MOST_FILTERS = 100
MOST_NAMED = 20  # patients in one note


class Export(Struct, frozen=True):
    """One export as it is asked for. `limits` are those of the caller's sight.

    `patients`: only the compartments of these; None with `is_of_patients` stands for all patients.
    """

    request: str  # the URL, for the manifest
    types: tuple[str, ...]
    since: int = 0  # milliseconds; 0: from the beginning
    elements: dict[str, tuple[str, ...]] = {}  # by type, "" for all types
    filters: dict[str, Limits] = {}
    limits: dict[str, Limits] | None = None
    is_of_patients: bool = False
    patients: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()  # parameters that were ignored, and why


def asked_for(
    request: str, pairs: Pairs, *, is_of_patients: bool, patients: Sequence[str] | None, strict: bool
) -> Export:
    """Read the parameters. Raises Problem 400: `export-format-unsupported`, `parameter-invalid`, `-unsupported`."""
    reader = _Reader(strict=strict)
    chosen = list(patients) if patients is not None else None
    absent: tuple[str, ...] = ()
    for name, value in pairs:
        if name in _READ:
            _READ[name](reader, value)
        elif name == "patient" and is_of_patients:
            chosen = [*(chosen or ()), _patient(value)] if patients is None else chosen
            if patients is not None:
                reader.picked.append(_patient(value))
        elif name != "_format":
            reader.ignore(name, "this server does not offer it")
    if patients is not None and reader.picked:
        chosen = [one for one in patients if one in set(reader.picked)]
        absent = absent_note(set(reader.picked) - set(patients), "are no members of this group")
    types = reader.types or [one for one in fhir.RESOURCE_TYPES if one not in _NOT_STORED]
    if is_of_patients:
        types = [one for one in types if one in of_patients() or one in SUPPORTING_TYPES]
        if not types:
            raise _invalid("_type", "no such type is about patients: ask for it on the level of the system")
    return Export(
        request,
        tuple(dict.fromkeys(types)),
        reader.since,
        {type_: tuple(names) for type_, names in reader.elements.items()},
        {type_: tuple(some) for type_, some in reader.filters.items()},
        None,
        is_of_patients,
        tuple(dict.fromkeys(chosen)) if chosen is not None else None,
        (*(f"{one.name} was ignored: {one.why}" for one in reader.ignored), *absent),
    )


class _Reader:
    """Collects what the parameters say."""

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        self.types: list[str] = []
        self.since = 0
        self.elements: dict[str, list[str]] = {}
        self.filters: dict[str, list[tuple[SearchTerm, ...]]] = {}
        self.picked: list[str] = []
        self.ignored: list[Ignored] = []

    def ignore(self, name: str, why: str) -> None:
        if self._strict:
            text = f"{name[:40]}: {why}; leave it out, or send Prefer: handling=lenient"
            raise Problem("parameter-unsupported", 400, "not-supported", text, parameter=name[:40])
        self.ignored.append(Ignored(name[:40], why))

    def format(self, value: str) -> None:
        if value.replace(" ", "+") not in FORMATS:
            text = "files are written as application/fhir+ndjson only"
            raise Problem("export-format-unsupported", 400, "not-supported", text, parameter="_outputFormat")

    def type(self, value: str) -> None:
        for one in filter(None, value.split(",")):
            if fhir.is_resource_type(one) and one not in _NOT_STORED:
                self.types.append(one)
            else:
                self.ignore("_type", "it names a type that R4 does not have")
        if not self.types:
            raise _invalid("_type", "it names no type of R4")

    def after(self, value: str) -> None:
        value = value.replace(" ", "+")
        if not _INSTANT.fullmatch(value):
            raise _invalid("_since", "it is an instant with a time zone, as in 2024-01-31T08:00:00Z")
        found = fhir.date_range(value)
        if found is None:
            raise _invalid("_since", "it is no time of the calendar")
        self.since = max(1, found[0])

    def element(self, value: str) -> None:
        for one in value.split(","):
            match = _ELEMENT.fullmatch(one)
            if match is None or (match[1] and not fhir.is_resource_type(match[1])):
                raise _invalid("_elements", "it is a list of elements, as in id,Patient.name")
            self.elements.setdefault(match[1] or "", []).append(match[2])

    def filter(self, value: str) -> None:
        for one in _NEXT_FILTER.split(value):
            type_, _, query = one.partition("?")
            if not fhir.is_resource_type(type_) or not query:
                raise _invalid("_typeFilter", "it is written Type?search, as in Observation?category=laboratory")
            self.filters.setdefault(type_, []).append(_terms(type_, query))
        if sum(map(len, self.filters.values())) > MOST_FILTERS:
            raise _invalid("_typeFilter", f"there are more than {MOST_FILTERS}")


def _terms(type_: str, query: str) -> tuple[SearchTerm, ...]:
    """A search that a resource meets by itself. Raises Problem 400."""
    try:
        terms = condition(type_, parse_pairs(query.encode())).terms
        if any(term.name == "_has" or "." in f"{term.name}{term.modifier}" for term in terms):
            raise _invalid("_typeFilter", "a search that leads to other resources is not taken")
        is_within(Stored(type_, "x", 1, 0, b'{"resourceType":"%b","id":"x"}' % type_.encode(), 0), (terms,))
    except Problem as problem:
        if problem.code == "parameter-invalid":
            raise
        raise _invalid("_typeFilter", problem.issues[0].text) from None
    except HilumError as error:
        raise _invalid("_typeFilter", f"{error.location}: {error.message}") from None
    return terms


_READ: Mapping[str, Any] = {
    "_outputFormat": _Reader.format,
    "_type": _Reader.type,
    "_since": _Reader.after,
    "_elements": _Reader.element,
    "_typeFilter": _Reader.filter,
}


def _patient(value: str) -> str:
    found = fhir.parse_reference(value)
    if found is None or found.type != "Patient":
        raise _invalid("patient", "it is a reference to a patient, as in Patient/123")
    return found.id


def _invalid(name: str, why: str) -> Problem:
    return Problem("parameter-invalid", 400, "value", f"{name} cannot be used: {why}", parameter=name)


def absent_note(ids: Collection[str], why: str) -> tuple[str, ...]:
    """What the error file says of patients that are asked for and not exported (Bulk Data IG 2.0, `patient`)."""
    if not ids:
        return ()
    named = ", ".join(f"Patient/{one}" for one in sorted(ids)[:MOST_NAMED])
    return (
        f"patient: {len(ids)} of those that were asked for {why}: {named}{' ...' if len(ids) > MOST_NAMED else ''}",
    )
