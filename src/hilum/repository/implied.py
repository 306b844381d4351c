"""What a search says already need not be tested again: a patient who is named is one of those who may be seen. Pure.

Limits are alternatives, such as `subject` or `performer` one of these 500 patients. A search for `subject` one of them
meets the first whatever else it finds, and looking up what all 500 have would cost more than the search.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from hilum.formats.fhir import Kind

from .criterion import Criterion, Mode

__all__ = ["without_implied"]

_Terms = tuple[Criterion, ...]


def without_implied(criteria: Sequence[Criterion]) -> list[Criterion]:
    """The same conjunction of criteria, shorter where some of them say what limits ask for."""
    said = [one for one in criteria if _names(one)]
    if not said:
        return list(criteria)
    return [left for one in criteria for left in ([one] if one.kind != "limits" else _left(one, said))]


def _left(limits: Criterion, said: Sequence[Criterion]) -> Iterator[Criterion]:
    """Nothing where one of the alternatives asks for no more than what is said."""
    alternatives: list[_Terms] = list(limits.values)
    for one in said:
        covered: dict[_Terms, set[int]] = {}
        for terms in limits.values:
            for at, term in enumerate(terms):
                if term.kind == one.kind and _names(term) and all(value in term.values for value in one.values):
                    covered.setdefault((*terms[:at], *terms[at + 1 :]), set()).update(term.numbers)
        met = [rest for rest, numbers in covered.items() if numbers.issuperset(one.numbers)]
        if () in met:
            return
        alternatives = [*met, *alternatives]
    yield replace(limits, values=tuple(dict.fromkeys(alternatives)))


def _names(one: Criterion) -> bool:
    return one.mode is Mode.IS and one.kind in ("id", Kind.REFERENCE)
