"""Searching over HTTP beyond the plain: parts of resources, compartments, operations, limits of what is seen."""

from __future__ import annotations

from typing import Any

import pytest
from api_support import FHIR, World, code_of, draft, observation, patient, store

from hilum.app.api.sight import Sight
from hilum.repository import SearchTerm

pytestmark = pytest.mark.anyio


async def ward() -> World:
    world = World()
    await store(
        world.repository,
        draft("Practitioner", "d1", name=[{"family": "House"}]),
        patient(
            "p1",
            "Adler",
            gender="female",
            text={"status": "generated", "div": "<div>x</div>"},
            maritalStatus={"text": "M"},
        ),
        patient("p2", "Berger", gender="male", generalPractitioner=[{"reference": "Practitioner/d1"}]),
        *(observation(f"o{n}", "p1", "718-7" if n % 2 else "2345-7") for n in range(5)),
        draft(
            "Observation",
            "dated",
            status="final",
            code={"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
            subject={"reference": "Patient/p1"},
            effectiveDateTime="2026-05-05",
            performer=[{"reference": "Practitioner/d1"}],
            category=[{"coding": [{"code": "laboratory"}]}],
        ),
        draft("CarePlan", "c1", status="active", intent="plan", subject={"reference": "Patient/p1"}),
        draft(
            "DocumentReference",
            "doc",
            status="current",
            subject={"reference": "Patient/p1"},
            context={"period": {"start": "2026-01-01", "end": "2026-01-02"}},
        ),
    )
    return world


def ids(bundle: dict[str, Any], mode: str = "match") -> list[str]:
    return [one["resource"]["id"] for one in bundle.get("entry", []) if one["search"]["mode"] == mode]


@pytest.mark.parametrize(
    ("query", "there", "absent"),
    [
        ("_summary=true", {"name", "gender"}, {"maritalStatus", "text"}),
        ("_summary=text", {"text"}, {"name", "gender", "maritalStatus"}),
        ("_summary=data", {"name", "gender", "maritalStatus"}, {"text"}),
        ("_elements=gender", {"gender"}, {"name", "text"}),
        ("_summary=false", {"name", "text", "maritalStatus"}, set()),
    ],
)
async def test_parts_of_resources_are_served_and_marked(query: str, there: set[str], absent: set[str]) -> None:
    world = await ward()
    async with world.client() as client:
        found = (await client.get(f"/fhir/Patient?_id=p1&{query}")).json()["entry"][0]["resource"]
        read = (await client.get(f"/fhir/Patient/p1?{query}")).json()
        bad = await client.get("/fhir/Patient?_summary=some")
    assert read == found
    assert found.keys() >= there | {"resourceType", "id", "meta"}
    assert not found.keys() & absent
    is_part = any(tag["code"] == "SUBSETTED" for tag in found["meta"].get("tag", []))
    assert is_part == (query != "_summary=false")
    assert (bad.status_code, code_of(bad)) == (400, "parameter-invalid")


async def test_parts_stay_parts_on_the_next_page_and_mandatory_elements_stay() -> None:
    world = await ward()
    async with world.client() as client:
        first = (await client.get("/fhir/Observation?_elements=subject&_count=2")).json()
        url = next(link["url"] for link in first["link"] if link["relation"] == "next")
        second = (await client.get(url)).json()
    assert all(
        one["resource"].keys() == {"resourceType", "id", "meta", "status", "code", "subject"}
        for one in (*first["entry"], *second["entry"])
    )


async def test_a_total_that_is_not_asked_for_is_not_told() -> None:
    world = await ward()
    async with world.client() as client:
        assert "total" not in (await client.get("/fhir/Patient?_total=none")).json()
        assert (await client.get("/fhir/Patient?_total=accurate")).json()["total"] == 2


async def test_chains_and_reverse_chains_over_http() -> None:
    world = await ward()
    async with world.client() as client:
        for url, expected in (
            ("/fhir/Observation?subject:Patient.name=adler&code=2345-7", ["o0", "o2", "o4"]),
            ("/fhir/Patient?_has:Observation:patient:code=718-7", ["p1"]),
            ("/fhir/Patient?general-practitioner.name=house", ["p2"]),
        ):
            assert sorted(ids((await client.get(url)).json())) == expected, url
        ignored = (await client.get("/fhir/Patient?general-practitioner.shoes=1")).json()
        assert ids(ignored, "match") == ["p1", "p2"]
        assert ignored["link"][0]["url"] == f"{FHIR}/Patient"
        bad = await client.get("/fhir/Observation?patient.birthdate=soon")
        assert (bad.status_code, code_of(bad)) == (400, "search-value-invalid")


async def test_a_compartment_is_searched_and_paged_by_its_address() -> None:
    world = await ward()
    async with world.client() as client:
        all_ = (await client.get("/fhir/Patient/p1/Observation?code=718-7&_count=2")).json()
        assert all_["total"] == 3
        url = next(link["url"] for link in all_["link"] if link["relation"] == "next")
        assert url.startswith(f"{FHIR}/Patient/p1/Observation?_cursor=")
        assert len(ids((await client.get(url)).json())) == 1
        elsewhere = await client.get(url.replace("/Patient/p1/Observation", "/Patient/p2/Observation"))
        assert (elsewhere.status_code, code_of(elsewhere)) == (400, "cursor-invalid")
        assert (await client.get("/fhir/Patient/p2/Observation")).json()["total"] == 0
        unknown = await client.get("/fhir/Location/x/Observation")
        assert (unknown.status_code, code_of(unknown)) == (404, "compartment-unknown")
    assert world.audited[0][2] == "Patient/p1/Observation?code"


async def test_everything_is_the_compartment_and_what_it_refers_to() -> None:
    world = await ward()
    async with world.client() as client:
        bundle = (await client.get("/fhir/Patient/p1/$everything")).json()
        assert sorted(ids(bundle)) == ["c1", "dated", "doc", "o0", "o1", "o2", "o3", "o4", "p1"]
        assert ids(bundle, "include") == ["d1"]
        seen: list[str] = []
        url = "/fhir/Patient/p1/$everything?_count=4"
        while url:
            page = (await client.get(url)).json()
            seen += ids(page)
            url = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
        assert sorted(seen) == sorted(ids(bundle))
        some = (await client.get("/fhir/Patient/p1/$everything?_type=CarePlan,Patient")).json()
        assert sorted(ids(some)) == ["c1", "p1"]
        assert (await client.get("/fhir/Patient/p1/$everything?_since=2099-01-01")).json()["total"] == 0
        assert (await client.get("/fhir/Patient/nobody/$everything")).status_code == 404


@pytest.mark.parametrize(
    ("query", "dated"),
    [
        ("start=2026-05-06", []),
        ("start=2026-05-05&end=2026-05-05", ["dated"]),
        ("start=2026-01-02&end=2026-01-02", ["doc"]),
        ("end=2026-05-04", ["doc"]),
        ("end=2025", []),
    ],
)
async def test_everything_of_some_time_has_the_care_of_that_time_and_what_has_no_date(
    query: str, dated: list[str]
) -> None:
    world = await ward()
    undated = ["c1", "o0", "o1", "o2", "o3", "o4", "p1"]
    start, _, end = query.partition("&")
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": name, "valueDate": value} for name, _, value in (one.partition("=") for one in (start, end) if one)
        ],
    }
    async with world.client() as client:
        found = (await client.get(f"/fhir/Patient/p1/$everything?{query}")).json()
        posted = (await client.post("/fhir/Patient/p1/$everything", json=body)).json()
        paged: list[str] = []
        url = f"/fhir/Patient/p1/$everything?{query}&_count=3"
        while url:
            page = (await client.get(url)).json()
            paged += ids(page)
            url = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
    assert sorted(ids(found)) == sorted(undated + dated) == sorted(paged)
    assert ids(posted) == ids(found)
    assert found["total"] == len(ids(found))


async def test_everything_of_some_types_holds_no_other_and_those_outside_come_with_what_names_them() -> None:
    world = await ward()
    async with world.client() as client:
        some = (await client.get("/fhir/Patient/p1/$everything?_type=Observation")).json()
        assert ids(some, "include") == []
        outside = (await client.get("/fhir/Patient/p1/$everything?_type=Practitioner,CarePlan")).json()
        assert (ids(outside), ids(outside, "include")) == (["c1"], ["d1"])
        since = (await client.get("/fhir/Patient/p1/$everything?_since=2099-01-01")).json()
        assert "entry" not in since


@pytest.mark.parametrize("asked", ["start=soon", "end=ge2020", "_since=x", "_type=Shoe", "_count=-1"])
async def test_everything_refuses_what_it_cannot_read(asked: str) -> None:
    world = await ward()
    async with world.client() as client:
        bad = await client.get(f"/fhir/Patient/p1/$everything?{asked}")
    assert (bad.status_code, code_of(bad)) == (400, "parameter-invalid")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ([1], "parameters-malformed"),
        ({"resourceType": "Patient"}, "parameters-malformed"),
        ({"resourceType": "Parameters", "parameter": {}}, "parameters-malformed"),
        ({"resourceType": "Parameters", "parameter": [{"name": "start"}]}, "parameters-malformed"),
        ({"resourceType": "Parameters", "parameter": [{"name": "start", "valuePeriod": {}}]}, "parameter-invalid"),
    ],
)
async def test_an_operation_is_posted_as_parameters(body: Any, code: str) -> None:
    world = await ward()
    async with world.client() as client:
        bad = await client.post("/fhir/Patient/p1/$everything", json=body)
    assert (bad.status_code, code_of(bad)) == (400, code)


async def test_lastn_gives_the_newest_of_each_code() -> None:
    world = await ward()
    async with world.client() as client:
        newest = (await client.get("/fhir/Observation/$lastn?patient=p1&code=718-7,2345-7")).json()
        assert ids(newest)[0] == "dated"
        assert len(ids(newest)) == 2
        two = (await client.get("/fhir/Observation/$lastn?patient=p1&code=718-7&max=2")).json()
        assert len(ids(two)) == 2
        assert ids((await client.get("/fhir/Observation/$lastn?patient=p1&category=laboratory")).json()) == ["dated"]
        for query in ("patient=p1", "patient=p1&code=", "patient=&code=718-7", "patient=p1&code=718-7&max=0"):
            bad = await client.get(f"/fhir/Observation/$lastn?{query}")
            assert (bad.status_code, code_of(bad)) == (400, "parameter-missing"), query


async def test_docref_finds_documents_by_patient_and_time() -> None:
    world = await ward()
    async with world.client() as client:
        found = (await client.get("/fhir/DocumentReference/$docref?patient=p1&start=2025-01-01&end=2026-12-31")).json()
        none = (await client.get("/fhir/DocumentReference/$docref?patient=p1&start=2027-01-01")).json()
        at_once = (
            await client.get("/fhir/DocumentReference/$docref?patient=p1&start=2026-01-02&end=2026-01-02")
        ).json()
        wrong = await client.get("/fhir/DocumentReference/$docref?patient=p1&start=soon")
        bad = await client.get("/fhir/DocumentReference/$docref")
    assert (ids(found), ids(none), ids(at_once)) == (["doc"], [], ["doc"])
    assert (wrong.status_code, code_of(wrong)) == (400, "parameter-invalid")
    assert (bad.status_code, code_of(bad)) == (400, "parameter-missing")


LIMITED = Sight(
    {
        "Observation": ((SearchTerm("code", ("718-7",)),),),
        "Patient": ((SearchTerm("gender", ("female",)),),),
        "CarePlan": ((),),
    }
)


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hilum.app.api.application.sight_of", lambda *_: LIMITED)


@pytest.mark.usefixtures("limited")
async def test_what_is_out_of_sight_is_as_absent_as_what_never_was() -> None:
    from hilum.app.tokens import Role

    world = await ward()
    async with world.client(world.token("limited", Role.WRITER)) as client:

        async def same(method: str, hidden: str, never: str, **more: Any) -> None:
            one, other = await client.request(method, hidden, **more), await client.request(method, never, **more)
            drop = ("x-request-id",)
            headers = [{k: v for k, v in answer.headers.items() if k not in drop} for answer in (one, other)]
            text = one.text.replace(hidden, never)
            assert (one.status_code, text, headers[0]) == (other.status_code, other.text, headers[1]), (
                hidden,
                one.text,
            )

        await same("GET", "/fhir/Patient/p2", "/fhir/Patient/never")
        await same("GET", "/fhir/Observation/o0", "/fhir/Observation/xx")
        await same("GET", "/fhir/Observation/o0/_history", "/fhir/Observation/xx/_history")
        await same("GET", "/fhir/Observation/o0/_history/1", "/fhir/Observation/xx/_history/1")
        await same("GET", "/fhir/Practitioner/d1", "/fhir/Practitioner/xx")
        await same("GET", "/fhir/Patient/p2/$everything", "/fhir/Patient/xx/$everything")
        patch = {"json": [], "headers": {"Content-Type": "application/json-patch+json"}}
        await same("PATCH", "/fhir/Patient/p2", "/fhir/Patient/xx", **patch)
        for url, expected in (
            ("/fhir/Patient", ["p1"]),
            ("/fhir/Patient?_id=p2", []),
            ("/fhir/Observation?code=2345-7", []),
            ("/fhir/Practitioner", []),
            ("/fhir/Patient?general-practitioner.name=house", []),
            ("/fhir/Patient/p1/Observation?code=2345-7", []),
        ):
            bundle = (await client.get(url)).json()
            assert (ids(bundle), bundle["total"]) == (expected, len(expected)), url
        counted = (await client.get("/fhir/Observation?_summary=count")).json()
        assert counted["total"] == 3
        with_all = (await client.get("/fhir/Observation?_include=*&_revinclude=*")).json()
        assert sorted(ids(with_all, "include")) == ["p1"]
        everything = (await client.get("/fhir/Patient/p1/$everything")).json()
        assert sorted(ids(everything)) == ["c1", "dated", "o1", "o3", "p1"]
        assert ids(everything, "include") == []
        page = (await client.get("/fhir/Observation?_count=1")).json()
        url = next(link["url"] for link in page["link"] if link["relation"] == "next")
        assert (await client.get(url)).json()["total"] == 3
        outside = await client.post("/fhir/Patient", json={"resourceType": "Patient", "gender": "male"})
        assert (outside.status_code, code_of(outside)) == (403, "out-of-scope")
        inside = await client.post("/fhir/Patient", json={"resourceType": "Patient", "gender": "female"})
        assert inside.status_code == 201
        hidden = await client.put("/fhir/Patient/p2", json={"resourceType": "Patient", "id": "p2", "gender": "female"})
        assert hidden.status_code == 404
        assert (await client.delete("/fhir/Observation/o0")).status_code == 404
    assert world.repository.get("Patient", "p2").version == 1


@pytest.mark.usefixtures("limited")
async def test_a_paging_link_does_not_carry_the_sight_of_its_maker() -> None:
    world = await ward()
    async with world.client() as client:
        page = (await client.get("/fhir/Observation?_count=1")).json()
        url = next(link["url"] for link in page["link"] if link["relation"] == "next")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("hilum.app.api.application.sight_of", lambda *_: Sight({"Patient": ((),)}))
            other = (await client.get(url)).json()
    assert (ids(other), other["total"]) == ([], 0)
