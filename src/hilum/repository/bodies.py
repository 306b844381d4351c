"""Criteria that the index cannot tell: what it can say of them all the same, and what is looked at of a body. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from hilum.formats import fhir
from hilum.formats.fhir import Kind

from .body import meta_text, served_text
from .criterion import Criterion, Mode
from .matching import Subject

__all__ = ["near", "needles", "needs_body", "numbers_of", "subject_in"]


def needs_body(criterion: Criterion) -> bool:
    """Whether bodies must be read."""
    if criterion.kind == "limits":
        return any(needs_body(one) for terms in criterion.values for one in terms)
    return criterion.needs_body


def near(type_: str, criterion: Criterion) -> list[Criterion]:
    """What the index can say of a criterion that bodies decide: what does not meet these does not meet it."""
    if criterion.mode is Mode.EXACT and criterion.is_indexed and len(criterion.values) == 1:
        return [Criterion(criterion.kind, criterion.numbers, criterion.values)]
    if criterion.kind == Kind.COMPOSITE and criterion.mode is Mode.IS and len(criterion.parts) == 1:
        context, parts = criterion.parts[0]
        found = []
        for index, part in enumerate(parts):
            one = None if context else fhir.find_parameter(type_, part.name)
            if one is not None and one.is_indexed and one.kind is not Kind.IDENTIFIER and len(criterion.values) == 1:
                found.append(Criterion(one.kind.value, (one.number,), criterion.values[0][index]))
        return found
    return []


_PLAIN = re.compile(r"[A-Za-z0-9_.:/-]+")


def needles(criterion: Criterion) -> list[bytes]:
    """Texts one of which stands in the body of whatever meets this criterion: most need not be read. [] if unknown."""
    if criterion.kind not in (Kind.TOKEN, Kind.IDENTIFIER) or criterion.mode is not Mode.IS:
        return []
    codes = [code for _, code in criterion.values]
    if any(code is None or code in ("true", "false") or not _PLAIN.fullmatch(code) for code in codes):
        return []
    return [f'"{code}"'.encode() for code in codes]


def numbers_of(criteria: Iterable[Criterion]) -> Iterator[int]:
    """The parameters whose values are looked at."""
    for one in criteria:
        if one.kind == "limits":
            yield from (n for terms in one.values for n in numbers_of(terms))
        elif one.kind != Kind.COMPOSITE:
            yield from one.numbers


def subject_in(type_: str, text: bytes, updated: int, parameters: Sequence[fhir.Parameter]) -> Subject:
    """What is looked at of one resource: only the values of these parameters."""
    body, _ = served_text(text)
    resource = fhir.decode(body)
    meta = meta_text(text)
    if meta:
        resource["meta"] = fhir.decode(meta)
    facts = [(one.number, a, b) for one in parameters for a, b in fhir.values_of(resource, one.kind, one.places)]
    id_ = text.partition(b"\0")[0].decode()
    return Subject(id_, updated, {"resourceType": type_, **resource}, facts)
