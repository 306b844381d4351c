"""Query strings: what is asked, what is ignored, what is refused; nothing that comes over a wire may surprise it."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hilum.app.api.outcomes import Problem
from hilum.app.api.query import MAX_QUERY, Asked, ask, parse_pairs, self_query, split_values, without
from hilum.repository import SearchTerm

NAMES = st.sampled_from(
    ["name", "birthdate", "_count", "_sort", "_summary", "_include", "_revinclude", "_total", "_id", "x:y", ""]
)


def asked(query: str, max_count: int = 500):
    return ask("Observation", parse_pairs(query.encode()), max_count=max_count)


def problem_of(query: str) -> Problem:
    with pytest.raises(Problem) as caught:
        asked(query)
    return caught.value


def outcome_of(job: Callable[[], Asked]) -> Asked | int:
    """What was asked, or the status of the refusal."""
    try:
        return job()
    except Problem as problem:
        return problem.status


def test_terms_keep_order_modifier_and_alternatives() -> None:
    terms = asked("code=a,b&subject:Patient=c&code=d").query.terms
    assert terms == (
        SearchTerm("code", ("a", "b")),
        SearchTerm("subject", ("c",), "Patient"),
        SearchTerm("code", ("d",)),
    )


def test_an_escaped_comma_does_not_split_and_other_escapes_stay() -> None:
    assert split_values(r"a\,b,c\|d,e\\,f\$") == ("a,b", r"c\|d", r"e\\", r"f\$")


def test_an_escaped_backslash_before_a_comma_does_not_escape_the_comma() -> None:
    assert split_values(r"a\\,b") == (r"a\\", "b")


def test_answer_shaping_parameters_are_taken_out() -> None:
    result = asked("_count=7&_sort=-date,code&_include=Observation:subject&_revinclude=Provenance:target&_total=none")
    assert result.query.terms == ()
    assert (result.query.count, result.query.sort) == (7, ("-date", "code"))
    assert result.query.include == ("Observation:subject",)
    assert result.query.revinclude == ("Provenance:target",)
    assert result.ignored == ()


def test_count_is_limited_to_the_largest_page() -> None:
    assert asked("_count=999999", max_count=20).query.count == 20


def test_no_count_gives_no_more_than_the_largest_page() -> None:
    assert asked("", max_count=20).query.count == 20


def test_count_zero_and_summary_count_ask_for_the_total_only() -> None:
    assert asked("_count=0").query.total_only
    assert asked("_summary=count").query.total_only
    assert not asked("_summary=false").query.total_only


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("_count=-1", "parameter-invalid"),
        ("_count=many", "parameter-invalid"),
        ("_count=%D9%A3", "parameter-invalid"),  # an Arabic digit is not one of FHIR's
        ("_count=99999999999999999999", "parameter-invalid"),
        ("_count=1&_count=2", "parameter-repeated"),
        ("_summary=everything", "parameter-invalid"),
        ("_total=maybe", "parameter-invalid"),
        ("_sort=;drop", "parameter-invalid"),
        ("_include=Observation", "parameter-invalid"),
        ("_revinclude=*:*:*", "parameter-invalid"),
        ("name=%FF", "query-malformed"),
        ("name=%C3%28", "query-malformed"),
        ("&".join(f"a{n}=1" for n in range(101)), "query-malformed"),
        ("code=" + ",".join("x" * 201), "parameter-invalid"),
        ("name=" + "x" * MAX_QUERY, "query-too-long"),
    ],
)
def test_a_query_that_cannot_be_honoured_is_refused_with_a_code(query: str, code: str) -> None:
    assert problem_of(query).code == code


@pytest.mark.parametrize("name", ["_text", "_contained", "_list"])
def test_what_is_not_offered_is_told_as_ignored(name: str) -> None:
    assert [item.name for item in asked(f"{name}=x").ignored] == [name]


def test_a_parameter_without_a_value_is_told_as_ignored() -> None:
    result = asked("name=&code=x")
    assert [item.name for item in result.ignored] == ["name"]
    assert [term.name for term in result.query.terms] == ["code"]


def test_a_paging_link_may_be_longer_than_a_search() -> None:
    assert parse_pairs(b"_cursor=" + b"x" * MAX_QUERY)


def test_the_self_query_repeats_what_was_honoured() -> None:
    pairs = parse_pairs("name=Müller & Söhne&nonsense=1&code=http://loinc.org|1,2".encode())
    assert self_query(pairs, ask("Patient", [("_list", "1")], max_count=5).ignored) == self_query(pairs, ())
    written = self_query([p for p in pairs if p[0] != "nonsense"], ())
    assert parse_pairs(written.encode()) == [p for p in pairs if p[0] != "nonsense"]


def test_a_dropped_parameter_leaves_the_others() -> None:
    query = asked("gender=male&name:exact=A&name=B&_sort=foo").query
    assert [term.name for term in without(query, "gender").terms] == ["name", "name"]
    assert [term.modifier for term in without(query, "name:exact").terms] == ["", ""]
    assert without(query, "_sort").sort == ()


@given(st.binary(max_size=300))
@example(b"%00=%00&\xff=1")
@example(b"=&&==&;&a")
def test_any_bytes_are_read_or_refused_with_a_code(raw: bytes) -> None:
    result = outcome_of(lambda: ask("Patient", parse_pairs(raw), max_count=100))
    assert result == 400 if isinstance(result, int) else 0 <= result.query.count <= 100


@given(st.lists(st.tuples(NAMES, st.text(max_size=20)), max_size=8))
def test_any_parameters_are_read_or_refused_with_a_code(pairs: list[tuple[str, str]]) -> None:
    result = outcome_of(lambda: ask("Patient", pairs, max_count=100))
    assert result == 400 if isinstance(result, int) else len(result.query.terms) + len(result.ignored) <= len(pairs)


@given(st.lists(st.text(min_size=1, max_size=10).filter(lambda text: "\\" not in text), min_size=1, max_size=5))
def test_alternatives_survive_joining_with_escaped_commas(values: list[str]) -> None:
    joined = ",".join(value.replace(",", "\\,") for value in values)
    assert split_values(joined) == tuple(values)


@given(st.lists(st.tuples(st.text(min_size=1, max_size=10), st.text(min_size=1, max_size=10)), max_size=5))
def test_the_self_query_reads_back_as_itself(pairs: list[tuple[str, str]]) -> None:
    assert parse_pairs(self_query(pairs, ()).encode()) == pairs


@given(st.dictionaries(st.sampled_from(["name", "code"]), st.text(max_size=40), max_size=2))
def test_encoded_text_comes_back_as_it_was(values: dict[str, str]) -> None:
    assert dict(parse_pairs(urlencode(values, quote_via=quote).encode())) == values
