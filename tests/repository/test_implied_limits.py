"""Limits that a search says already are left out, and the same is found."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hilum.formats.fhir import Kind
from hilum.repository.criterion import Criterion
from hilum.repository.implied import without_implied
from hilum.repository.matching import Subject, meets

RECORDS = ("Patient/a", "Patient/b", "Patient/c")


def refers(numbers: tuple[int, ...], values: tuple[str, ...]) -> Criterion:
    return Criterion(Kind.REFERENCE.value, numbers, values)


SOME = st.lists(st.sampled_from(RECORDS), min_size=1, max_size=3, unique=True).map(tuple)
NUMBERS = st.lists(st.sampled_from([1, 2, 3]), min_size=1, max_size=2, unique=True).map(tuple)
REFERS = st.builds(refers, NUMBERS, SOME)
NAMED = st.builds(lambda ids: Criterion("id", (), ids), st.lists(st.sampled_from("xyz"), min_size=1).map(tuple))
CODED = st.just(Criterion(Kind.TOKEN.value, (9,), ((None, "lab"),)))
ANY = st.one_of(REFERS, NAMED, CODED)
LIMITS = st.lists(st.lists(ANY, min_size=1, max_size=2).map(tuple), min_size=1, max_size=4).map(
    lambda conjunctions: Criterion("limits", (), tuple(conjunctions))
)
FACTS = st.lists(
    st.one_of(st.tuples(st.sampled_from([1, 2, 3]), st.sampled_from(RECORDS), st.just("")), st.just((9, "lab", "")))
)
SUBJECTS = st.builds(lambda id_, facts: Subject(id_, 0, {}, facts), st.sampled_from("xyz"), FACTS)


@given(st.lists(ANY, max_size=2), LIMITS, st.lists(SUBJECTS, max_size=8))
def test_what_is_implied_makes_no_difference_to_what_is_found(
    asked: list[Criterion], limits: Criterion, subjects: list[Subject]
) -> None:
    whole = [*asked, limits]
    for one in subjects:
        assert all(meets(each, one) for each in without_implied(whole)) == all(meets(each, one) for each in whole)


def test_a_patient_who_is_named_is_not_looked_for_among_those_who_may_be_seen() -> None:
    limits = Criterion("limits", (), ((refers((1,), RECORDS),), (refers((2,), RECORDS),)))
    subject, either = refers((1,), RECORDS[:1]), refers((1, 2), RECORDS[:1])
    assert without_implied([subject, limits]) == [subject]
    assert without_implied([either, limits]) == [either]
    hidden = refers((1,), ("Patient/z",))
    assert without_implied([hidden, limits]) == [hidden, limits]
