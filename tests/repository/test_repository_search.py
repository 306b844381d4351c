"""Searching: one suite for every implementation, and one question after another to all of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from clinical_samples import CATEGORY, LOINC, MR, Feed, body, draft, find, lab, patient, query, send, visit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import IMPLEMENTATIONS, opened
from hilum.errors import HilumError
from hilum.formats import fhir
from hilum.repository import Query, SearchTerm

pytestmark = pytest.mark.anyio


def code_of(repository: Any, asked: Query) -> tuple[str, str]:
    with pytest.raises(HilumError) as caught:
        repository.search(asked)
    return caught.value.code, caught.value.location


async def test_tokens_match_by_system_and_code(repository: Any) -> None:
    plain = draft("Observation", "o3", code={"coding": [{"code": "718-7"}, {"system": "urn:local", "code": "HB"}]})
    await send(repository, lab("o1", "p"), lab("o2", "p", code="2345-7"), plain)
    for terms, expected in {
        "code=718-7": ["o1", "o3"],
        f"code={LOINC}|718-7": ["o1"],
        "code=|718-7": ["o3"],
        f"code={LOINC}|": ["o1", "o2"],
        "code=urn:local|HB,2345-7": ["o2", "o3"],
        "code:not=718-7": ["o2"],
        "code=718-7&status=final": ["o1"],
        "status:missing=true": ["o3"],
        "status:missing=false": ["o1", "o2"],
        "code=hb": [],
        f"category={CATEGORY}|laboratory&code=718-7": ["o1"],
        "status:not=final": ["o3"],
        "code=718-7&code=HB": ["o3"],
    }.items():
        assert find(repository, "Observation", terms) == expected, terms


async def test_identifiers_match_by_system_and_value(repository: Any) -> None:
    bare = draft("Patient", "p3", identifier=[{"value": "MR-p1"}])
    await send(repository, patient("p1"), patient("p2"), bare, draft("Patient", "p4", gender="other"))
    for terms, expected in {
        "identifier=MR-p1": ["p1", "p3"],
        f"identifier={MR}|MR-p1": ["p1"],
        "identifier=|MR-p1": ["p3"],
        f"identifier={MR}|": ["p1", "p2"],
        "identifier=urn:nobody|MR-p1": [],
        "identifier=mr-p1": [],
        "identifier:not=MR-p1": ["p2", "p4"],
        "identifier:not=urn:nobody|x": ["p1", "p2", "p3", "p4"],
        "identifier:missing=true": ["p4"],
        "identifier=MR-p2,MR-p1": ["p1", "p2", "p3"],
    }.items():
        assert find(repository, "Patient", terms) == expected, terms


async def test_strings_match_without_case_and_accents_from_the_start(repository: Any) -> None:
    text = draft("Patient", "p4", name=[{"text": "Zoë van Dam"}])
    await send(
        repository, patient("p1", "Müller", "Åsa"), patient("p2", "Muller", "Bo"), patient("p3", "Łukasz", "Ana"), text
    )
    for terms, expected in {
        "family=mul": ["p1", "p2"],
        "family=MÜLLER": ["p1", "p2"],
        "family:exact=Müller": ["p1"],
        "family:exact=müller": [],
        "family:contains=lle": ["p1", "p2"],
        "family=ukasz": [],
        "family=lukasz": ["p3"],
        "given=asa": ["p1"],
        "name=a": ["p1", "p3"],
        "name=zoe van": ["p4"],
        "name:contains=dam": ["p4"],
        "name:exact=Zoë van Dam,Bo": ["p2", "p4"],
        "family=mul&given=bo": ["p2"],
        "family=100%": [],
        "family:missing=true": ["p4"],
        "family:contains=%": [],
    }.items():
        assert find(repository, "Patient", terms) == expected, terms


async def test_dates_match_by_the_ranges_of_both_sides(repository: Any) -> None:
    await send(
        repository,
        visit("e1", "p", "2026-03-01T08:00:00Z"),
        visit("e2", "p", period={"start": "2026-03-02", "end": "2026-03-05"}),
        visit("e3", "p", period={"end": "2026-02-01"}),
        draft("Encounter", "e4", status="planned"),
    )
    for terms, expected in {
        "date=2026-03": ["e2"],
        "date=ge2026-03-02": ["e1", "e2"],
        "date=sa2026-03-01": ["e2"],
        "date=eb2026-03-01": ["e3"],
        "date=lt2026-03-01T08:00:00Z": ["e3"],
        "date=le2026-03-02": ["e1", "e3"],
        "date=gt2026-03-05": ["e1"],
        "date=ge2026-03-02&date=lt2026-03-05": ["e1", "e2"],
        "date=ne2026-03": ["e1", "e3"],
        "date:missing=true": ["e4"],
        "date:missing=false": ["e1", "e2", "e3"],
        "date=2026-03,eb2026-02-02": ["e2", "e3"],
        "patient=p&date=ge2026-03-02": ["e1", "e2"],
        "patient=p&date=ge2026-03-02&status=in-progress": ["e1", "e2"],
    }.items():
        assert find(repository, "Encounter", terms) == expected, terms


async def test_dates_compare_across_zones_and_precisions(repository: Any) -> None:
    await send(repository, lab("o1", "p", "2026-03-01T23:30:00-06:00"), lab("o2", "p", "2026-03-02"))
    assert find(repository, "Observation", "date=2026-03-02T05:30:00Z") == ["o1"]
    assert find(repository, "Observation", "date=2026-03-02") == ["o1", "o2"]
    assert find(repository, "Observation", "date=2026-03-01T23:30-06:00") == ["o1"]
    assert find(repository, "Observation", "date=gt2026-03-02T05:30:01Z") == ["o2"]


async def test_a_date_that_does_not_order_its_type_is_searched_too(repository: Any) -> None:
    await send(
        repository,
        draft("Condition", "c1", recordedDate="2026-03-01", onsetDateTime="2020"),
        draft("Condition", "c2", recordedDate="2026-04-01", onsetPeriod={"start": "2019-05-01"}),
        draft("Condition", "c3"),
    )
    for terms, expected in {
        "recorded-date=2026-03": ["c1"],
        "recorded-date=ge2026-03&recorded-date=lt2026-04": ["c1"],
        "recorded-date:missing=true": ["c3"],
        "recorded-date=ne2026-03": ["c2"],
        "onset-date=2020": ["c1"],
        "onset-date=gt2021": ["c2"],
    }.items():
        assert find(repository, "Condition", terms) == expected, terms


async def test_references_match_as_id_type_and_url(repository: Any) -> None:
    feed = await send(repository, visit("e1", "p1", participant=[{"individual": {"reference": "Practitioner/d1"}}]))
    await feed(visit("e2", "p2"), draft("Encounter", "e3", status="planned"))
    for terms, expected in {
        "patient=p1": ["e1"],
        "patient=Patient/p1": ["e1"],
        "patient=https://example.org/fhir/Patient/p1": ["e1"],
        "subject=p1,p2": ["e1", "e2"],
        "subject=Group/p1": [],
        "subject:Patient=p2": ["e2"],
        "patient=Group/p1": [],
        "practitioner=d1": ["e1"],
        "participant=Practitioner/d1": ["e1"],
        "patient=nobody": [],
        "patient:missing=true": ["e3"],
        "practitioner:missing=true": ["e2", "e3"],
        "patient=p1&practitioner=d1": ["e1"],
    }.items():
        assert find(repository, "Encounter", terms) == expected, terms


async def test_quantities_match_by_value_and_unit(repository: Any) -> None:
    pulse = draft("Observation", "o3", valueQuantity={"value": 80, "unit": "beats"})
    await send(repository, lab("o1", "p", value="13.20"), lab("o2", "p", value="9.9"), pulse)
    for terms, expected in {
        "value-quantity=13.2": ["o1"],
        "value-quantity=13": ["o1"],
        "value-quantity=13.25": [],
        "value-quantity=gt10": ["o1", "o3"],
        "value-quantity=gt10|http://unitsofmeasure.org|g/dL": ["o1"],
        "value-quantity=le9.9||g/dL": ["o2"],
        "value-quantity=80||beats": ["o3"],
        "value-quantity=80||mg": [],
        "value-quantity=ne13.2": ["o2", "o3"],
        "value-quantity=lt9.9": [],
        "value-quantity=1.32e1": ["o1"],
        "value-quantity:missing=true": [],
    }.items():
        assert find(repository, "Observation", terms) == expected, terms


async def test_id_and_last_updated_are_searched_for_every_type(repository: Any) -> None:
    feed = await send(repository, patient("p1"))
    await feed(patient("p2"))
    first = fhir.format_instant(repository.get("Patient", "p1").updated // 1000)
    second = fhir.format_instant(repository.get("Patient", "p2").updated // 1000)
    for terms, expected in {
        "_id=p2": ["p2"],
        "_id=p2,p1,nobody": ["p1", "p2"],
        f"_lastUpdated={first}": ["p1"],
        f"_lastUpdated=gt{first}": ["p2"],
        f"_lastUpdated=ge{first}": ["p1", "p2"],
        f"_lastUpdated=lt{second}": ["p1"],
        f"_lastUpdated=le{second}": ["p1", "p2"],
        f"_lastUpdated=ne{second}": ["p1"],
        "_lastUpdated=sa2100": [],
        "_lastUpdated=eb2100": ["p1", "p2"],
        f"_id=p1&_lastUpdated=eb{first}": [],
    }.items():
        assert find(repository, "Patient", terms) == expected, terms
    await feed(draft("Basic", "b1", code={"text": "x"}))
    assert find(repository, "Basic", "_id=b1") == ["b1"]


async def test_what_changes_is_found_by_what_it_is_now(repository: Any) -> None:
    feed = await send(repository, patient("p1", "Before"), lab("o1", "p1", "2026-01-01"))
    await feed(patient("p1", "After"), lab("o1", "p2", "2026-02-01", value="5"))
    assert find(repository, "Patient", "family=before") == []
    assert find(repository, "Patient", "family=after") == ["p1"]
    assert find(repository, "Observation", "patient=p1") == []
    assert find(repository, "Observation", "patient=p2&date=2026-02") == ["o1"]
    assert find(repository, "Observation", "date=2026-01") == []
    assert find(repository, "Observation", "value-quantity=13.2") == []


async def test_pages_go_on_where_the_one_before_ended_whatever_is_written_between(repository: Any) -> None:
    feed = Feed(repository)
    for number in range(7):
        await feed(patient(f"p{number}"))
    first = repository.search(query("Patient", count=3))
    assert [one.id for one in first.matches] == ["p0", "p1", "p2"]
    assert first.total == 7
    await feed(patient("p1", "Changed"), patient("p9"))
    second = repository.search(query("Patient", count=3, after=first.next))
    assert [one.id for one in second.matches] == ["p3", "p4", "p5"]
    assert second.total == 8
    third = repository.search(query("Patient", count=3, after=second.next))
    assert {one.id for one in third.matches} == {"p6", "p1", "p9"}
    assert third.next == ""


async def test_sorting_by_date_name_and_time_pages_in_both_directions(repository: Any) -> None:
    feed = Feed(repository)
    days = ["2026-03-03", "2026-03-01", "2026-03-02", "2026-03-01"]
    for number, day in enumerate(days):
        await feed(lab(f"o{number}", "p", day), patient(f"p{number}", "DCBA"[number]))
    await feed(draft("Observation", "o9", status="final"), draft("Patient", "p9", gender="other"))
    for type_, sort, expected in (
        ("Observation", "date", ["o9", "o1", "o3", "o2", "o0"]),
        ("Observation", "-date", ["o0", "o2", "o3", "o1", "o9"]),
        ("Patient", "family", ["p9", "p3", "p2", "p1", "p0"]),
        ("Patient", "-name", ["p0", "p1", "p2", "p3", "p9"]),
        ("Patient", "-_lastUpdated", ["p9", "p3", "p2", "p1", "p0"]),
        ("Patient", "_lastUpdated", ["p0", "p1", "p2", "p3", "p9"]),
        ("Patient", "-_id", ["p9", "p3", "p2", "p1", "p0"]),
        ("Observation", "_id", ["o0", "o1", "o2", "o3", "o9"]),
    ):
        found: list[str] = []
        after = ""
        while True:
            page = repository.search(query(type_, count=2, sort=(sort,), after=after))
            found += [one.id for one in page.matches]
            after = page.next
            if not after:
                break
        assert found == expected, sort


async def test_a_count_without_a_page_is_counted(repository: Any) -> None:
    await send(repository, patient("p1"), patient("p2"), lab("o1", "p1"))
    for more in ({"total_only": True}, {"count": 0}):
        page = repository.search(query("Patient", **more))
        assert (page.matches, page.total, page.next) == ((), 2, "")
    assert repository.search(query("Observation", "patient=p1", total_only=True)).total == 1


async def test_included_resources_come_after_the_matches_and_once(repository: Any) -> None:
    await send(
        repository,
        patient("p1"),
        visit("e1", "p1"),
        lab("o1", "p1", encounter={"reference": "Encounter/e1"}),
        lab("o2", "p1", performer=[{"reference": "Practitioner/missing"}]),
        draft("Provenance", "x1", target=[{"reference": "Observation/o1"}, {"reference": "Observation/o2"}]),
    )

    def included(**more: Any) -> list[str]:
        page = repository.search(query("Observation", "patient=p1", **more))
        assert [one.id for one in page.matches] == ["o1", "o2"]
        return sorted(f"{one.type}/{one.id}" for one in page.included)

    assert included() == []
    assert included(include=("Observation:subject",)) == ["Patient/p1"]
    assert included(include=("Observation:patient", "Observation:encounter")) == ["Encounter/e1", "Patient/p1"]
    assert included(include=("Observation:performer", "Encounter:subject")) == []
    assert included(include=("Observation:subject:Group",)) == []
    assert included(revinclude=("Provenance:target",)) == ["Provenance/x1"]
    assert included(revinclude=("Provenance:target:Patient",)) == []
    page = repository.search(query("Patient", revinclude=("Encounter:patient", "Observation:subject")))
    assert sorted(one.id for one in page.included) == ["e1", "o1", "o2"]


@pytest.mark.parametrize(
    ("asked", "location"),
    [
        (query("Patient", "shoesize=44"), "shoesize"),
        (query("Observation", "subject.shoesize=x"), "subject.shoesize"),
        (query("Observation", "subject:Shoe.name=x"), "subject:Shoe.name"),
        (query("Observation", "code.name=x"), "code.name"),
        (query("Patient", "_has:Observation:code:code=x"), "_has:Observation:code:code"),
        (query("Patient", "_has:Observation=x"), "_has:Observation"),
        (query("Practitioner", "_has:Observation:patient:code=x"), "_has:Observation:patient:code"),
        (query("Patient", sort=("phone",)), "_sort"),
        (query("Patient", sort=("birthdate", "name", "gender", "family", "given")), "_sort"),
        (query("Patient", include=("Patient:nothing",)), "_include"),
        (query("Patient", include=("Patient:name",)), "_include"),
        (query("Kitten", "identifier=1"), "identifier"),
    ],
    ids=str,
)
async def test_a_parameter_that_is_not_known_is_named(repository: Any, asked: Query, location: str) -> None:
    assert code_of(repository, asked) == ("search-parameter-unknown", location)


@pytest.mark.parametrize(
    ("asked", "location"),
    [
        (query("Patient", "gender:in=x"), "gender:in"),
        (query("Observation", "code:below=x"), "code:below"),
        (query("Patient", "family:not=x"), "family:not"),
        (query("Observation", "date:exact=2026"), "date:exact"),
        (query("Observation", "subject:above=x"), "subject:above"),
        (query("Patient", "_id:missing=true"), "_id:missing"),
    ],
    ids=str,
)
async def test_a_modifier_that_a_parameter_does_not_take_is_named(repository: Any, asked: Query, location: str) -> None:
    assert code_of(repository, asked) == ("search-modifier-unknown", location)


@pytest.mark.parametrize(
    ("asked", "location"),
    [
        (query("Observation", "date=yesterday"), "date"),
        (query("Observation", "date=ap"), "date"),
        (query("Observation", "code-value-quantity=x"), "code-value-quantity"),
        (query("Observation", "code-value-quantity=x$y"), "code-value-quantity"),
        (query("RiskAssessment", "probability=x"), "probability"),
        (query("Observation", "date=2026-02-30"), "date"),
        (query("Observation", "value-quantity=high"), "value-quantity"),
        (query("Observation", "value-quantity=5|mg"), "value-quantity"),
        (query("Observation", "subject=#inner"), "subject"),
        (query("Observation", "code=a|b|c"), "code"),
        (query("Observation", "code=|"), "code"),
        (query("Observation", "code:missing=maybe"), "code:missing"),
        (query("Patient", "family=,a"), "family"),
        (query("Patient", "_lastUpdated=now"), "_lastUpdated"),
        (Query("Patient", (SearchTerm("family", ()),)), "family"),
    ],
    ids=str,
)
async def test_a_value_that_cannot_be_read_is_refused(repository: Any, asked: Query, location: str) -> None:
    assert code_of(repository, asked) == ("search-value-invalid", location)


async def test_a_page_link_of_another_search_is_refused(repository: Any) -> None:
    await send(repository, patient("p1"), patient("p2"))
    link = repository.search(query("Patient", count=1)).next
    for asked in (
        query("Patient", "family=a", after=link),
        query("Patient", sort=("-name",), after=link),
        query("Observation", after=link),
        query("Patient", after="gibberish"),
        query("Patient", after="é"),
    ):
        assert code_of(repository, asked) == ("search-cursor-invalid", "_cursor")


async def test_escaped_separators_are_part_of_a_value(repository: Any) -> None:
    await send(repository, draft("Patient", "p1", identifier=[{"value": "a|b,c"}], name=[{"family": "A|B"}]))
    assert find(repository, "Patient", r"identifier=a\|b\,c") == []  # the API splits at commas, here it was split
    assert [
        one.id for one in repository.search(Query("Patient", (SearchTerm("identifier", (r"a\|b,c",)),))).matches
    ] == ["p1"]
    assert [one.id for one in repository.search(Query("Patient", (SearchTerm("family", (r"a\|b",)),))).matches] == [
        "p1"
    ]


# The same random resources and questions to every implementation.

IDS = st.sampled_from(["p1", "p2", "p3"])
DAYS = st.sampled_from(
    ["2026", "2026-03", "2026-03-01", "2026-03-01T08:00:00Z", "2026-03-01T09:30:00.5+02:00", "2026-03-02"]
)
PREFIXES = st.sampled_from(["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"])
CODES = st.sampled_from(["718-7", "2345-7"])
NUMBERS = st.sampled_from(["13.2", "13.20", "9.9", "80"])


@st.composite
def results(make: Any) -> Any:
    made = lab(f"o{make(st.integers(1, 9))}", make(IDS), make(DAYS), make(CODES), make(NUMBERS))
    for name in make(st.sets(st.sampled_from(sorted(made.elements)))):
        del made.elements[name]
    return made


TERMS = st.one_of(
    st.tuples(st.just("date"), st.builds(str.__add__, PREFIXES, DAYS)),
    st.tuples(st.just("value-quantity"), st.builds(str.__add__, PREFIXES, NUMBERS)),
    st.tuples(st.sampled_from(["patient", "subject"]), IDS),
    st.tuples(st.sampled_from(["code", "code:not"]), CODES),
    st.tuples(
        st.sampled_from(["code:missing", "date:missing", "patient:missing", "value-quantity:missing"]), st.just("true")
    ),
    st.tuples(st.just("_id"), st.sampled_from(["o1", "o2,o3"])),
    st.tuples(st.just("status"), st.just("final")),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("search")


NUMBERED = itertools.count()


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.lists(results(), min_size=1, max_size=4), min_size=1, max_size=5),
    st.lists(st.lists(TERMS, min_size=1, max_size=3), min_size=10, max_size=25),
    st.sampled_from(["", "date", "-date", "-_lastUpdated"]),
)
def test_every_implementation_gives_the_same_answers(folder: Path, messages: Any, questions: Any, sort: str) -> None:
    async def answers(repository: Any) -> list[Any]:
        feed = Feed(repository)
        for drafts in messages:
            await feed(*drafts)
        asked = ["&".join(f"{name}={value}" for name, value in terms) for terms in questions]
        order = (sort,) if sort else ()
        return [(one, find(repository, "Observation", one, sort=order, count=100)) for one in asked]

    def run() -> Iterator[Any]:
        for make in IMPLEMENTATIONS:
            place = folder / str(next(NUMBERED))
            place.mkdir()
            for repository in opened(make, place):
                yield anyio.run(answers, repository)

    first, second = run()
    assert first == second


async def test_a_served_match_is_what_is_read_by_id(repository: Any) -> None:
    await send(repository, patient("p1"))
    (match,) = repository.search(query("Patient")).matches
    assert match == repository.get("Patient", "p1")
    assert body(match)["id"] == "p1"
