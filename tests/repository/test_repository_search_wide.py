"""Chains, reverse chains, composites, modifiers, several sort keys, limits, compartments: one suite for every store."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from clinical_samples import LOINC, MR, body, draft, find, query, send
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from hilum.errors import HilumError
from hilum.formats import fhir
from hilum.model import Draft, Effects
from hilum.repository import SCHEMA, MemoryRepository, Query, SearchTerm, SqliteRepository
from hilum.store import Store

pytestmark = pytest.mark.anyio


def quantity(value: float, code: str = "mm[Hg]") -> dict[str, Any]:
    return {"value": value, "unit": code, "system": "http://unitsofmeasure.org", "code": code}


def coded(code: str, system: str = LOINC, **more: Any) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, **more}]}


def ref(target: str, **more: Any) -> dict[str, Any]:
    return {"reference": target, **more}


def hospital() -> list[Draft]:
    """Two patients with a doctor each, what belongs to them, and what programs only write."""
    mrn = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}
    pressure = [
        {"code": coded("8480-6"), "valueQuantity": quantity(120)},
        {"code": coded("8462-4"), "valueQuantity": quantity(80)},
    ]
    return [
        draft("Practitioner", "d1", name=[{"family": "House", "given": ["Greta"]}]),
        draft("Practitioner", "d2", name=[{"family": "Wilson"}]),
        draft(
            "Patient",
            "p1",
            identifier=[{"system": MR, "value": "1", "type": mrn}],
            name=[{"family": "Adler", "given": ["Ada"]}],
            gender="female",
            birthDate="1980-05-01",
            telecom=[{"system": "email", "value": "ada@example.org"}, {"system": "phone", "value": "555"}],
            address=[{"city": "Springfield", "line": ["1 Main Street"]}],
            generalPractitioner=[ref("Practitioner/d1")],
            meta={"tag": [{"system": "urn:t", "code": "vip"}], "profile": ["http://example.org/p"]},
        ),
        draft(
            "Patient",
            "p2",
            identifier=[{"system": MR, "value": "2"}],
            name=[{"family": "Berger"}],
            gender="male",
            birthDate="1990-05-01",
            generalPractitioner=[ref("Practitioner/d2")],
            deceasedBoolean=True,
        ),
        draft(
            "Observation",
            "o1",
            status="final",
            code={**coded("55284-4", display="Blood pressure"), "text": "BP of the left arm"},
            subject=ref("Patient/p1"),
            effectiveDateTime="2026-01-01",
            component=pressure,
        ),
        draft(
            "Observation",
            "o2",
            status="final",
            code=coded("718-7"),
            subject=ref("Patient/p2"),
            effectiveDateTime="2026-02-01",
            valueQuantity=quantity(13.5, "g/dL"),
            performer=[ref("Practitioner/d1")],
        ),
        draft(
            "Observation",
            "o3",
            status="preliminary",
            code=coded("718-7"),
            subject={"identifier": {"system": MR, "value": "1"}},
            valueQuantity=quantity(9.5, "g/dL"),
            hasMember=[ref("Observation/o2")],
        ),
        draft("CarePlan", "c1", status="active", category=[coded("assess-plan")], subject=ref("Patient/p1")),
        draft(
            "RiskAssessment", "r1", status="final", subject=ref("Patient/p1"), prediction=[{"probabilityDecimal": 0.5}]
        ),
        draft("Questionnaire", "q1", url="http://example.org/Q", status="active"),
        draft("QuestionnaireResponse", "qr1", questionnaire="http://example.org/Q", subject=ref("Patient/p2")),
        draft("Provenance", "v1", target=[ref("Observation/o1"), ref("Patient/p1")], recorded="2026-01-02T00:00:00Z"),
    ]


FOUND = [
    # chains
    ("Observation", "subject:Patient.name=adler", "o1"),
    ("Observation", "subject.name=adler", "o1"),
    ("Observation", "patient.gender=male", "o2"),
    ("Observation", "patient.name:exact=Adler", "o1"),
    ("Observation", "patient._id=p1", "o1"),
    ("Observation", "patient.identifier=2", "o2"),
    ("Observation", "patient.general-practitioner.name=wilson", "o2"),
    ("Observation", "subject:Patient.general-practitioner:Practitioner.family=house", "o1"),
    ("Observation", "patient.email=ada@example.org", "o1"),
    ("Observation", "subject:Patient.name=nobody", ""),
    ("CarePlan", "subject:Patient.birthdate=lt1985", "c1"),
    # reverse chains
    ("Patient", "_has:Observation:patient:code=718-7", "p2"),
    ("Patient", "_has:Observation:patient:status=final", "p1 p2"),
    ("Patient", "_has:Observation:subject:_id=o1", "p1"),
    ("Patient", "_has:CarePlan:patient:category=assess-plan", "p1"),
    ("Practitioner", "_has:Patient:general-practitioner:_has:Observation:patient:code=718-7", "d2"),
    ("Practitioner", "_has:Observation:performer:code=718-7", "d1"),
    ("Observation", "patient._has:CarePlan:patient:status=active", "o1"),
    # parameters that are not indexed
    ("Patient", "email=ada@example.org", "p1"),
    ("Patient", "phone=ada@example.org", ""),
    ("Patient", "telecom=555", "p1"),
    ("Patient", "address-city=spring", "p1"),
    ("Patient", "address=1 main", "p1"),
    ("Patient", "address:contains=main", "p1"),
    ("Patient", "address-city:exact=springfield", ""),
    ("Patient", "deceased=true", "p2"),
    ("Patient", "deceased=false", "p1"),
    ("Patient", "email:missing=true", "p2"),
    ("Patient", "email:missing=false&gender=female", "p1"),
    ("Patient", "phone:not=555", "p2"),
    ("Observation", "component-code=8480-6", "o1"),
    ("Observation", "combo-code=718-7,8480-6", "o1 o2 o3"),
    # composites
    ("Observation", "code-value-quantity=718-7$gt10", "o2"),
    ("Observation", f"code-value-quantity={LOINC}|718-7$lt10,718-7$13.5", "o2 o3"),
    ("Observation", "component-code-value-quantity=8480-6$gt100", "o1"),
    ("Observation", "component-code-value-quantity=8462-4$gt100", ""),
    ("Observation", "combo-code-value-quantity=8462-4$80,718-7$gt10", "o1 o2"),
    ("Observation", "code-value-quantity:missing=false", "o2 o3"),
    # modifiers
    ("Observation", "code:text=blood", "o1"),
    ("Observation", "code:text=left", "o1"),
    ("Observation", "code:text=ressure", ""),
    ("Observation", f"subject:identifier={MR}|1", "o3"),
    ("Patient", "identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|1", "p1"),
    ("Patient", "identifier:of-type=|MR|2", ""),
    # common parameters
    ("Patient", "_tag=urn:t|vip", "p1"),
    ("Patient", "_tag:not=vip", "p2"),
    ("Patient", "_profile=http://example.org/p", "p1"),
    ("Patient", "_security=x", ""),
    # other kinds
    ("RiskAssessment", "probability=0.5", "r1"),
    ("RiskAssessment", "probability=gt0.5", ""),
    ("RiskAssessment", "probability=ge0.5", "r1"),
    ("Questionnaire", "url=http://example.org/Q", "q1"),
    ("Questionnaire", "url=http://example.org/", ""),
    ("QuestionnaireResponse", "questionnaire=http://example.org/Q", "qr1"),
    ("Observation", "value-quantity=ap13|http://unitsofmeasure.org|g/dL", "o2"),
    ("Patient", "birthdate=ap1980-05-01", "p1"),
]


async def test_what_is_asked_for_is_found(repository: Any) -> None:
    await send(repository, *hospital())
    for type_, terms, expected in FOUND:
        assert sorted(find(repository, type_, terms)) == expected.split(), (type_, terms)


async def test_several_keys_sort_one_after_the_other(repository: Any) -> None:
    people = [
        draft("Patient", f"p{n}", name=[{"family": family}], gender=gender, birthDate=born)
        for n, (family, gender, born) in enumerate(
            [
                ("B", "male", "1990"),
                ("A", "male", "1980"),
                ("B", "female", "1990"),
                ("A", "female", "1980"),
                ("C", "male", "1980"),
            ]
        )
    ]
    await send(repository, *people, draft("Patient", "none"))
    for sort, expected in (
        (("birthdate", "family"), ["none", "p1", "p3", "p4", "p0", "p2"]),
        (("gender", "-family"), ["none", "p2", "p3", "p4", "p0", "p1"]),
        (("-gender", "family", "-_lastUpdated"), ["p1", "p0", "p4", "p3", "p2", "none"]),
    ):
        assert find(repository, "Patient", sort=sort) == expected
        seen: list[str] = []
        after = ""
        while True:
            page = repository.search(Query("Patient", count=2, after=after, sort=sort))
            seen += [one.id for one in page.matches]
            after = page.next
            if not after:
                break
        assert seen == expected


async def test_includes_follow_as_far_as_they_are_told(repository: Any) -> None:
    await send(repository, *hospital())

    def included(type_: str, terms: str, **more: Any) -> list[str]:
        return sorted(f"{one.type}/{one.id}" for one in repository.search(query(type_, terms, **more)).included)

    assert included("Observation", "_id=o3", include=("Observation:has-member",)) == ["Observation/o2"]
    again = ("Observation:has-member", "iterate|Observation:patient", "iterate|Patient:general-practitioner")
    assert included("Observation", "_id=o3", include=again) == ["Observation/o2", "Patient/p2", "Practitioner/d2"]
    assert included("Observation", "_id=o2", include=("*",)) == ["Patient/p2", "Practitioner/d1"]
    assert included("Observation", "_id=o2", include=("Observation:*",)) == ["Patient/p2", "Practitioner/d1"]
    assert included("Patient", "_id=p1", revinclude=("Provenance:target",)) == ["Provenance/v1"]
    assert included("Patient", "_id=p1", revinclude=("*",)) == [
        "CarePlan/c1",
        "Observation/o1",
        "Provenance/v1",
        "RiskAssessment/r1",
    ]


async def test_a_compartment_holds_what_belongs_to_a_patient(repository: Any) -> None:
    await send(repository, *hospital())
    assert find(repository, "Observation", compartment="Patient/p1") == ["o1"]
    assert find(repository, "Observation", "code=718-7", compartment="Patient/p1") == []
    everything = repository.search(Query("", compartment="Patient/p1"))
    assert [one.id for one in everything.matches] == ["p1", "o1", "c1", "r1", "v1"]
    some = repository.search(Query("", compartment="Patient/p1", types=("CarePlan", "Observation")))
    assert [one.id for one in some.matches] == ["o1", "c1"]
    first = repository.search(Query("", compartment="Patient/p1", count=2))
    rest = repository.search(Query("", compartment="Patient/p1", count=5, after=first.next))
    assert [one.id for one in (*first.matches, *rest.matches)] == ["p1", "o1", "c1", "r1", "v1"]
    with pytest.raises(HilumError) as refused:
        find(repository, "Organization", compartment="Patient/p1")
    assert refused.value.code == "search-parameter-unknown"


async def test_care_of_some_time_leaves_out_what_is_dated_otherwise(repository: Any) -> None:
    condition = {"subject": {"reference": "Patient/p9"}}
    await send(
        repository,
        draft("Patient", "p9", birthDate="1950-01-01"),
        draft("Condition", "onset", onsetDateTime="2020-03", recordedDate="2024-01-01", **condition),
        draft("Condition", "recorded", recordedDate="2020-03-04", **condition),
        draft("Condition", "timeless", **condition),
    )

    def care(first: str, last: str = "2099") -> Query:
        window = (fhir.date_range(first) or (0, 0))[0], (fhir.date_range(last) or (0, 0))[1]
        return Query("", compartment="Patient/p9", care=window)

    def ids(asked: Query) -> list[str]:
        return [one.id for one in repository.search(asked).matches]

    assert ids(care("2020-03-31", "2020-03-31")) == ["p9", "onset", "timeless"]
    assert ids(care("2020-03-04", "2020-03-04")) == ["p9", "onset", "recorded", "timeless"]
    assert ids(care("2020-04-01")) == ["p9", "timeless"]
    whole = care("1900", "2020-03-03")
    one = repository.search(replace(whole, count=2))
    rest = repository.search(replace(whole, after=one.next))
    assert [found.id for found in (*one.matches, *rest.matches)] == ["p9", "onset", "timeless"]


async def test_limits_are_part_of_the_search(repository: Any) -> None:
    await send(repository, *hospital())
    limits = {
        "Observation": ((SearchTerm("code", ("718-7",)),), (SearchTerm("status", ("nothing",)),)),
        "Patient": ((SearchTerm("email", ("ada@example.org",)),),),
        "CarePlan": ((),),
    }

    def ids(type_: str, **more: Any) -> list[str]:
        return [one.id for one in repository.search(Query(type_, limits=limits, **more)).matches]

    assert ids("Observation") == ["o2", "o3"]
    assert ids("Patient") == ["p1"]
    assert ids("CarePlan") == ["c1"]
    assert ids("Practitioner") == []
    assert repository.search(Query("Observation", limits=limits, total_only=True)).total == 2
    page = repository.search(Query("Observation", limits=limits, include=("*",), revinclude=("*",)))
    assert [f"{one.type}/{one.id}" for one in page.included] == []
    page = repository.search(Query("CarePlan", limits=limits, include=("*",)))
    assert [f"{one.type}/{one.id}" for one in page.included] == ["Patient/p1"]
    assert ids("CarePlan", terms=(SearchTerm("patient.gender", ("female",)),)) == ["c1"]
    hiding = {"CarePlan": ((),), "Observation": ((),)}
    hidden = Query("CarePlan", (SearchTerm("patient.gender", ("female",)),), limits=hiding)
    assert repository.search(hidden).total == 0
    everything = repository.search(Query("", compartment="Patient/p1", limits=limits))
    assert [one.id for one in everything.matches] == ["p1", "c1"]


async def test_a_total_is_counted_only_when_it_is_asked_for(repository: Any) -> None:
    await send(repository, *hospital())
    assert repository.search(Query("Observation", count=1, with_total=False)).total == -1
    assert repository.search(Query("Observation", count=1)).total == 3


async def test_too_much_included_is_refused(repository: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hilum.repository.including.MOST_INCLUDED", 2)
    await send(repository, *hospital())
    with pytest.raises(HilumError) as refused:
        repository.search(Query("Patient", revinclude=("*",)))
    assert refused.value.code == "search-too-wide"


async def test_a_search_that_takes_too_long_is_given_up(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from hilum.repository import lookup

    with Store.open(tmp_path / "hilum.db", key=bytes(32), schemas=[SCHEMA]) as store:
        repository = SqliteRepository(store)
        await send(repository, *hospital())

        def impatient(*given: Any) -> Any:
            return lookup.search(*given[:3], -1.0)

        monkeypatch.setattr("hilum.repository.sqlite.search", impatient)
        with pytest.raises(HilumError) as refused:
            find(repository, "Patient", "email=x")
        assert refused.value.code == "search-too-slow"
        monkeypatch.undo()
        assert find(repository, "Patient", "email=ada@example.org") == ["p1"]


async def test_a_page_is_limited_by_its_bytes(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hilum.repository.lookup.PAGE_BYTES", 1_000)
    with Store.open(tmp_path / "hilum.db", key=bytes(32), schemas=[SCHEMA]) as store:
        repository = SqliteRepository(store)
        big = [draft("Observation", f"o{n}", note=[{"text": "x" * 600}]) for n in range(5)]
        await send(repository, *big)
        seen: list[str] = []
        after = ""
        for _ in range(5):
            page = repository.search(Query("Observation", count=50, after=after))
            assert (len(page.matches), page.total) == (1, 5)
            seen += [one.id for one in page.matches]
            after = page.next
        assert (seen, after) == ([f"o{n}" for n in range(5)], "")


# both stores, whatever is stored and asked

CODES = st.sampled_from(["a", "b", "c"])
SYSTEMS = st.sampled_from(["urn:x", "urn:y"])
DATES = st.sampled_from(["2026", "2026-01", "2026-01-15", "2026-02-01T10:00:00Z", "2025-12-31T23:30:00-01:00"])
NUMBERS = st.sampled_from([1, 1.5, 2, 10])
WORDS = st.sampled_from(["Adler", "adler-x", "Bérger", "C"])
IDS = st.sampled_from(["1", "2", "3"])


def concepts() -> st.SearchStrategy[Any]:
    coding = st.fixed_dictionaries({"code": CODES}, optional={"system": SYSTEMS, "display": WORDS})
    return st.fixed_dictionaries({"coding": st.lists(coding, min_size=1, max_size=2)}, optional={"text": WORDS})


def quantities() -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({"value": NUMBERS}, optional={"unit": CODES, "code": CODES, "system": SYSTEMS})


def observations() -> st.SearchStrategy[Draft]:
    part = st.fixed_dictionaries({"code": concepts()}, optional={"valueQuantity": quantities()})
    elements = {
        "status": CODES,
        "code": concepts(),
        "category": st.lists(concepts(), min_size=1, max_size=2),
        "subject": IDS.map(lambda id_: ref(f"Patient/{id_}")),
        "effectiveDateTime": DATES,
        "effectivePeriod": st.fixed_dictionaries({}, optional={"start": DATES, "end": DATES}).filter(bool),
        "valueQuantity": quantities(),
        "component": st.lists(part, min_size=1, max_size=2),
        "hasMember": st.lists(IDS.map(lambda id_: ref(f"Observation/{id_}")), min_size=1, max_size=2),
    }
    return st.builds(
        lambda id_, some: draft("Observation", id_, **some), IDS, st.fixed_dictionaries({}, optional=elements)
    )


def patients() -> st.SearchStrategy[Draft]:
    name = st.fixed_dictionaries({}, optional={"family": WORDS, "given": st.lists(WORDS, min_size=1, max_size=2)})
    elements = {
        "name": st.lists(name.filter(bool), min_size=1, max_size=2),
        "gender": CODES,
        "birthDate": st.sampled_from(["1980", "1980-05", "1990-01-01"]),
        "telecom": st.lists(
            st.fixed_dictionaries({"system": st.just("email"), "value": CODES}), min_size=1, max_size=2
        ),
        "identifier": st.lists(
            st.fixed_dictionaries({"value": CODES}, optional={"system": SYSTEMS}), min_size=1, max_size=1
        ),
        "meta": st.fixed_dictionaries(
            {"tag": st.lists(st.fixed_dictionaries({"code": CODES}), min_size=1, max_size=1)}
        ),
    }
    return st.builds(lambda id_, some: draft("Patient", id_, **some), IDS, st.fixed_dictionaries({}, optional=elements))


def plans() -> st.SearchStrategy[Draft]:
    elements = {
        "status": CODES,
        "category": st.lists(concepts(), min_size=1, max_size=1),
        "subject": IDS.map(lambda id_: ref(f"Patient/{id_}")),
        "period": st.fixed_dictionaries({}, optional={"start": DATES, "end": DATES}).filter(bool),
    }
    return st.builds(
        lambda id_, some: draft("CarePlan", id_, **some), IDS, st.fixed_dictionaries({}, optional=elements)
    )


PREFIXES = st.sampled_from(["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"])
TOKENS = st.one_of(CODES, st.builds("{}|{}".format, SYSTEMS, CODES), CODES.map("|{}".format), SYSTEMS.map("{}|".format))
DATED = st.builds("{}{}".format, PREFIXES, DATES)
NUMBERED = st.builds("{}{}{}".format, PREFIXES, NUMBERS, st.sampled_from(["", "|urn:x|a", "||b"]))
TRUTH = st.sampled_from(["true", "false"])
POINTED = st.one_of(IDS, IDS.map("Patient/{}".format))
ASKED: dict[str, list[tuple[str, st.SearchStrategy[str]]]] = {
    "Observation": [
        *[(name, TOKENS) for name in ("code", "code:not", "category", "status", "combo-code", "component-code")],
        *[(name, DATED) for name in ("date", "_lastUpdated")],
        *[
            (f"{name}:missing", TRUTH)
            for name in ("code", "date", "subject", "patient", "component-code", "value-quantity")
        ],
        *[(name, NUMBERED) for name in ("value-quantity", "combo-value-quantity")],
        *[(name, POINTED) for name in ("subject", "patient", "subject:Patient")],
        ("code:text", WORDS),
        ("code-value-quantity", st.builds("{}${}".format, TOKENS, NUMBERED)),
        ("component-code-value-quantity", st.builds("{}${}".format, TOKENS, NUMBERED)),
        ("patient.gender", TOKENS),
        ("subject:Patient.name", WORDS),
        ("patient.email", TOKENS),
        ("patient._has:CarePlan:patient:status", CODES),
        ("has-member.code", TOKENS),
        ("_has:Observation:has-member:status", CODES),
    ],
    "Patient": [
        *[(name, WORDS) for name in ("name", "family", "given:exact", "name:contains", "family:exact")],
        *[
            (name, TOKENS)
            for name in ("gender", "gender:not", "identifier", "identifier:not", "email", "email:not", "_tag")
        ],
        *[(f"{name}:missing", TRUTH) for name in ("name", "gender", "birthdate", "email", "_tag")],
        ("birthdate", DATED),
        ("_id", IDS),
        ("_has:Observation:patient:code", TOKENS),
        ("_has:Observation:patient:component-code", TOKENS),
        ("_has:CarePlan:subject:category", TOKENS),
    ],
    "CarePlan": [
        *[(name, TOKENS) for name in ("category", "status", "status:not", "category:text")],
        ("date", DATED),
        ("date:missing", TRUTH),
        ("patient", POINTED),
        ("patient.name", WORDS),
    ],
}
SORTS = {
    "Observation": ["date", "code", "value-quantity", "_lastUpdated", "status"],
    "Patient": ["birthdate", "family", "name", "gender", "_lastUpdated"],
    "CarePlan": ["date", "status", "_lastUpdated"],
}
INCLUDES = ["Observation:subject", "Observation:has-member", "iterate|Observation:has-member", "CarePlan:patient", "*"]
REVERSALS = ["Observation:patient", "CarePlan:subject", "*", "iterate|Observation:has-member"]


@st.composite
def queries(draw: st.DrawFn) -> Query:
    type_ = draw(st.sampled_from(sorted(ASKED)))
    terms = []
    for name, values in draw(st.lists(st.sampled_from(ASKED[type_]), max_size=3, unique_by=lambda one: one[0])):
        many = 1 if name.endswith(":missing") else 2
        base, _, modifier = name.partition(":")
        terms.append(SearchTerm(base, tuple(draw(st.lists(values, min_size=1, max_size=many))), modifier))
    signs = st.sampled_from(["", "-"])
    keys = draw(
        st.lists(st.sampled_from([key for key in SORTS[type_] if key != "_lastUpdated"]), max_size=2, unique=True)
    )
    # every draft has a commit of its own, so this decides between equals; the numbers of resources differ by store
    sort = (
        tuple(draw(signs) + key for key in [*keys, "_lastUpdated"])
        if keys
        else draw(st.sampled_from([(), ("-_lastUpdated",)]))
    )
    within = draw(st.sampled_from(["", "", "Patient/1"]))
    limits = draw(
        st.none()
        | st.just({"Observation": ((SearchTerm("status", ("a",)),), (SearchTerm("code", ("b",)),)), "Patient": ((),)})
    )
    include = tuple(draw(st.lists(st.sampled_from(INCLUDES), max_size=2)))
    revinclude = tuple(draw(st.lists(st.sampled_from(REVERSALS), max_size=1)))
    count = draw(st.sampled_from([2, 50]))
    return Query(type_, tuple(terms), count, "", sort, include, revinclude, compartment=within, limits=limits)


def answer(repository: Any, asked: Query) -> Any:
    """All pages: ids of matches, of includes, and the total; or the code of the refusal."""
    pages = []
    try:
        while True:
            page = repository.search(asked)
            included = sorted((one.type, one.id) for one in page.included)
            pages.append(([body(one)["id"] for one in page.matches], included, page.total))
            if not page.next:
                return pages
            asked = Query(*(page.next if name == "after" else getattr(asked, name) for name in Query.__struct_fields__))
    except HilumError as error:
        return error.code, error.location


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tmp_path_factory.mktemp("shelf")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.one_of(observations(), patients(), plans()), max_size=12), st.lists(queries(), min_size=6, max_size=12)
)
def test_both_stores_answer_alike(shelf: Any, stored: list[Draft], asked: list[Query]) -> None:
    ticks = iter(range(1_800_000_000_000_000, 1_900_000_000_000_000, 1_000_000))
    times = [next(ticks) for _ in range(40)]
    for path in shelf.glob("hilum.db*"):
        path.unlink()
    with Store.open(shelf / "hilum.db", key=None, schemas=[SCHEMA]) as store:
        here, there = iter(times), iter(times)
        stores = [MemoryRepository(clock=lambda: next(here)), SqliteRepository(store, clock=lambda: next(there))]

        async def fill() -> None:
            for seq, one in enumerate(stored, 1):
                for repository in stores:
                    await repository.apply([Effects(seq, 0, seq, drafts=[one])], {0: seq})

        asyncio.run(fill())
        for one in asked:
            first, second = (answer(repository, one) for repository in stores)
            assert first == second, one
