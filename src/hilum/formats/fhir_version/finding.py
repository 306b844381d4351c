"""What a stored text is found by, and drafts made ready before they are saved. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from hilum import definitions
from hilum.formats import fhir
from hilum.model import Draft, FoundBy, Ready

from .patch import NOTHING, patch
from .text import Record, meta_text, parts_of, served_text

__all__ = ["definition_digest", "found_by", "make_ready"]

FACTS_VERSION = 3  # raise it when facts are read differently though the table of parameters is the same

# A resource without the date that orders its type sorts first; its span of 0 keeps it out of searches by date.
NO_DATE = fhir.FAR_PAST - 1


def definition_digest() -> str:
    """Stands for the search parameters, their numbers and how facts are read."""
    table = msgspec.json.encode((FACTS_VERSION, fhir.PARAMETERS, definitions.version()))
    return hashlib.sha256(table).hexdigest()[:16]


def found_by(type_: str, text: bytes) -> FoundBy:
    """What the version with this stored text is found by."""
    body, redirected = served_text(text)
    return _found_by(type_, meta_text(text), body, redirected)


def _found_by(type_: str, meta: bytes, body: bytes, redirected: Iterable[str] = ()) -> FoundBy:
    facts = fhir.facts_of(type_, body)
    if meta:
        facts.tokens += fhir.meta_facts(meta)
    references = [(parameter, target) for parameter, target, _ in facts.references]
    # where a reference pointed before a merge: how an unmerge finds it again
    references += [(fhir.OTHER_REFERENCE, target) for target in redirected]
    number = fhir.ordering_of(type_)
    dates = [(parameter, first, after - first) for parameter, first, after in facts.dates if parameter != number]
    return FoundBy(facts.tokens, facts.labels, references, dates, facts.quantities, _ordering(facts, number))


def _ordering(facts: fhir.Facts, number: int | None) -> tuple[int, int] | None:
    """It is a column; the other dates are facts of their own."""
    if number is None:
        return None
    found = [(first, after - first) for parameter, first, after in facts.dates if parameter == number]
    return min(found) if found else (NO_DATE, 0)


def make_ready(draft: Draft) -> Ready:
    """What the draft comes to where nothing is stored, whenever it was said.

    Raises msgspec.DecodeError or FormatError for an element that is no JSON.
    """
    meta, body, extra = parts_of(Record(draft.id, patch(NOTHING, draft, 0)))
    return Ready(b"\0".join((draft.id.encode(), meta, body, extra)), _found_by(draft.type, meta, body))
