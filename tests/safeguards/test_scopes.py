"""Scopes are read as SMART writes them, narrowing never widens, and rights never reach past the person."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.safeguards import (
    DECIDING_TYPES,
    Allowance,
    Interaction,
    Level,
    Person,
    ResourceScope,
    Rights,
    Scopes,
    allowances,
    covers,
    meet,
    narrow,
    parse_scope,
    parse_scopes,
    print_scope,
    print_scopes,
)

TYPES = ("*", "Observation", "Patient", "Condition")
VALUES = st.text("abc|:/%&=+,\\?# é", min_size=1, max_size=8).map(lambda text: text.replace("\\", "\\\\"))


def _one_value(text: str) -> str:
    return text.replace(",", "\\,")


TERMS = st.lists(
    st.tuples(
        st.sampled_from(["category", "code", "status", "_tag"]),
        st.lists(VALUES.map(_one_value), min_size=1, max_size=2).map(tuple),
    ),
    max_size=2,
).map(lambda terms: tuple(sorted(set(terms))))
SCOPES = st.builds(
    ResourceScope,
    st.sampled_from(Level),
    st.sampled_from(TYPES),
    st.sets(st.sampled_from("cruds"), min_size=1).map(lambda verbs: "".join(v for v in "cruds" if v in verbs)),
    TERMS,
)
RIGHTS = st.builds(
    Rights,
    st.lists(SCOPES, max_size=4).map(tuple),
    st.sampled_from(["", "p1", "p2"]),
    st.sampled_from(Person),
    st.sampled_from(["", "p1", "p2"]),
    st.sampled_from([None, frozenset[str](), frozenset({"p1"}), frozenset({"p1", "p2"})]),
)


@pytest.mark.parametrize(
    ("text", "level", "type_", "verbs"),
    [
        ("patient/Observation.rs", Level.PATIENT, "Observation", "rs"),
        ("user/*.cruds", Level.USER, "*", "cruds"),
        ("system/Patient.read", Level.SYSTEM, "Patient", "rs"),
        ("patient/Condition.write", Level.PATIENT, "Condition", "cud"),
        ("patient/*.*", Level.PATIENT, "*", "cruds"),
    ],
)
def test_scopes_of_both_versions_are_read_and_written_as_they_were(
    text: str, level: Level, type_: str, verbs: str
) -> None:
    scope = parse_scope(text)
    assert scope is not None
    assert (scope.level, scope.type, scope.verbs) == (level, type_, verbs)
    assert print_scope(scope) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "patient/Observation",
        "patient/Observation.",
        "patient/Observation.sr",
        "patient/Observation.rr",
        "patient/Observation.x",
        "patient/observation.r",
        "Patient/Observation.r",
        "patients/Observation.r",
        "patient/Observation.read?category=a",
        "patient/Observation.rs?",
        "patient/Observation.rs?category",
        "patient/Observation.rs?category=",
        "patient/Observation.rs?subject.name=a",
        "patient/Observation.rs?_has:Observation:patient:code=a",
        "patient/Observation.rs?code:not=a",
        "patient/Observation.rs?code=%ff",
        "patient/Observation.rs?code=%00",
        "patient/Observation.rs?code=a\n",
        'patient/Observation.rs?code="a"',
        "patient/Observation.rs\\",
        "patient/*.rs\x00",
        "patient/../Observation.rs",
    ],
)
def test_what_is_no_scope_opens_nothing(text: str) -> None:
    assert parse_scope(text) is None
    assert not parse_scopes(text).resources


def test_constraints_are_percent_decoded_and_split_at_commas() -> None:
    scope = parse_scope("patient/Observation.rs?status=final&category=http%3A%2F%2Fa.example|lab,b%5C%2Cc")
    assert scope is not None
    assert scope.terms == (("category", ("http://a.example|lab", "b\\,c")), ("status", ("final",)))


def test_a_parameter_is_read_word_by_word_and_says_what_it_does_not_know() -> None:
    scopes = parse_scopes("openid fhirUser  launch/patient patient/*.rs openid bogus patient/Bogus.zz")
    assert scopes.plain == ("openid", "fhirUser", "launch/patient")
    assert [print_scope(one) for one in scopes.resources] == ["patient/*.rs"]
    assert scopes.unknown == ("bogus", "patient/Bogus.zz")
    assert not parse_scopes("x" * 5_000 + " openid")


@given(SCOPES)
def test_what_is_printed_is_read_again(scope: ResourceScope) -> None:
    assert parse_scope(print_scope(scope)) == scope


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    scope = parse_scope(text)
    if scope is not None:
        again = parse_scope(print_scope(scope))
        assert again is not None
        assert covers(scope, again)
        assert covers(again, scope)


@given(SCOPES, SCOPES)
def test_what_two_scopes_share_is_covered_by_both_in_any_order(one: ResourceScope, other: ResourceScope) -> None:
    shared = meet(one, other)
    assert shared == meet(other, one)
    if shared is not None:
        assert covers(one, shared)
        assert covers(other, shared)
    assert meet(one, one) == one
    assert covers(one, other) == (meet(one, other) == other)


@given(st.lists(SCOPES, max_size=4), st.lists(SCOPES, max_size=4))
def test_narrowing_leaves_only_what_was_both_asked_for_and_allowed(
    asked: list[ResourceScope], allowed: list[ResourceScope]
) -> None:
    left = narrow(Scopes(resources=tuple(asked)), Scopes(resources=tuple(allowed)))
    for one in left.resources:
        assert any(covers(wide, one) for wide in asked)
        assert any(covers(wide, one) for wide in allowed)
    assert narrow(left, Scopes(resources=tuple(allowed))) == left


def test_narrowing_keeps_words_and_the_version_that_was_asked_for() -> None:
    asked = parse_scopes("openid offline_access patient/Observation.read patient/Condition.rs")
    allowed = parse_scopes("openid patient/*.rs")
    assert print_scopes(narrow(asked, allowed)) == "openid patient/Observation.read patient/Condition.rs"
    assert print_scopes(narrow(asked, parse_scopes("patient/*.r"))) == "patient/Observation.r patient/Condition.r"
    assert not narrow(asked, parse_scopes("user/*.rs"))


@given(RIGHTS, st.sampled_from(["Observation", "Patient"]), st.sampled_from(Interaction))
def test_rights_never_reach_past_the_person_or_the_scopes(rights: Rights, type_: str, verb: Interaction) -> None:
    for one in allowances(rights, type_, verb):
        behind = [scope for scope in rights.scopes if scope.allows(verb, type_) and scope.terms == one.terms]
        assert behind
        if rights.person is Person.PATIENT:
            assert one.patients == {rights.own} != {""}
        if rights.person is Person.PRACTITIONER:
            assert rights.panel is None or (one.patients is not None and one.patients <= rights.panel)
            assert one.patients in (None, rights.panel, {rights.patient})
        if rights.person is Person.NOBODY:
            assert {scope.level for scope in behind} & {Level.SYSTEM}


def test_each_level_is_about_somebody() -> None:
    scopes = parse_scopes("patient/Observation.rs user/Observation.r system/Observation.s").resources
    verb = Interaction.READ
    one, other = (Allowance(frozenset({id_})) for id_ in ("p1", "p2"))
    assert allowances(Rights(scopes, "p1", Person.PATIENT, "p1"), "Observation", verb) == (one,)
    assert allowances(Rights(scopes, "p2", Person.PRACTITIONER), "Observation", verb) == (Allowance(),)
    assert allowances(Rights(scopes, "p2", Person.PRACTITIONER), "Observation", Interaction.SEARCH) == (other,)
    assert allowances(Rights(scopes, "p2", Person.PATIENT, "p1"), "Observation", Interaction.SEARCH) == ()
    cares = Rights(scopes, "p2", Person.PRACTITIONER, "d1", frozenset({"p1"}))
    assert allowances(cares, "Observation", verb) == (one,)
    assert allowances(cares, "Observation", Interaction.SEARCH) == (), "the patient in context is in another's care"
    assert allowances(Rights(scopes), "Observation", verb) == ()
    assert allowances(Rights(scopes), "Observation", Interaction.SEARCH) == (Allowance(),)
    assert allowances(Rights(scopes, "p1", Person.PATIENT, "p1"), "Condition", verb) == ()


def test_who_is_limited_to_patients_in_their_care_does_not_write_what_says_so() -> None:
    scopes = parse_scopes("user/*.cruds patient/*.cruds").resources
    limited = Rights(scopes, "p1", Person.PRACTITIONER, "d1", frozenset({"p1"}))
    free = Rights(scopes, "p1", Person.PRACTITIONER, "d1")
    assert len(DECIDING_TYPES) == 4
    for type_ in DECIDING_TYPES:
        for verb in (Interaction.CREATE, Interaction.UPDATE, Interaction.DELETE):
            assert allowances(limited, type_, verb) == ()
            assert allowances(free, type_, verb)
        assert allowances(limited, type_, Interaction.SEARCH)
