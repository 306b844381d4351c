"""Searching: what matches, how it is paged, what is told, what is audited."""

from __future__ import annotations

import asyncio

import pytest
from api_support import BASE, FHIR, World, code_of, observation, patient, store

pytestmark = pytest.mark.anyio


async def hospital(**settings: int) -> World:
    world = World(**settings)
    people = [patient(f"p{n}", f"Family{n}", gender="female" if n % 2 else "male") for n in range(7)]
    await store(world.repository, *people, *(observation(f"o{n}", f"p{n % 3}") for n in range(9)))
    return world


def ids(bundle: dict, mode: str = "match") -> list[str]:
    return [e["resource"]["id"] for e in bundle.get("entry", []) if e["search"]["mode"] == mode]


def links(bundle: dict) -> dict[str, str]:
    return {link["relation"]: link["url"] for link in bundle["link"]}


async def test_a_search_answers_with_a_bundle_of_matches() -> None:
    world = await hospital()
    async with world.client() as client:
        bundle = (await client.get("/fhir/Patient?gender=male&family=family4")).json()
    assert (bundle["resourceType"], bundle["type"], bundle["total"]) == ("Bundle", "searchset", 1)
    assert bundle["entry"][0]["fullUrl"] == f"{FHIR}/Patient/p4"
    assert links(bundle) == {"self": f"{FHIR}/Patient?gender=male&family=family4"}


async def test_get_and_post_find_the_same() -> None:
    world = await hospital()
    async with world.client() as client:
        got = (await client.get("/fhir/Observation?patient=p1&code=718-7")).json()
        posted = (await client.post("/fhir/Observation/_search?code=718-7", data={"patient": "p1"})).json()
        empty = await client.post("/fhir/Observation/_search")
    assert ids(got) == ids(posted)
    assert len(ids(got)) == 3
    assert empty.json()["total"] == 9


async def test_pages_follow_next_links_until_everything_was_seen_once() -> None:
    world = await hospital()
    seen: list[str] = []
    async with world.client() as client:
        url = f"{FHIR}/Patient?_count=3"
        while url:
            bundle = (await client.get(url)).json()
            assert bundle["total"] == 7
            assert links(bundle)["self"] == url
            seen += ids(bundle)
            url = links(bundle).get("next", "")
    assert sorted(seen) == [f"p{n}" for n in range(7)]


async def test_a_paging_link_tells_nothing_and_starts_at_the_configured_base() -> None:
    world = await hospital()
    async with world.client() as client:
        response = await client.post(
            "/fhir/Patient/_search", data={"gender": "female", "_count": "1"}, headers={"Host": "evil.example"}
        )
    url = links(response.json())["next"]
    assert url.startswith(f"{BASE}/fhir/Patient?_cursor=")
    assert "female" not in url
    assert "evil" not in response.text


async def test_a_paging_link_works_for_its_own_address_only() -> None:
    world = await hospital()
    async with world.client() as client:
        url = links((await client.get("/fhir/Patient?_count=1")).json())["next"]
        cursor = url.partition("=")[2]
        for path in (f"/fhir/Observation?_cursor={cursor}", f"/fhir/Patient?_cursor={cursor[:-4]}AAAA"):
            response = await client.get(path)
            assert (response.status_code, code_of(response)) == (400, "cursor-invalid")
        history = await client.get(f"/fhir/Patient/p1/_history?_cursor={cursor}")
        assert (history.status_code, code_of(history)) == (400, "cursor-invalid")


@pytest.mark.parametrize("cursor", ["x", "AAAA", "%00", "a" * 4000, "é", "=" * 9])
async def test_a_cursor_that_is_none_of_ours_is_refused(cursor: str) -> None:
    world = await hospital()
    async with world.client() as client:
        response = await client.get("/fhir/Patient", params={"_cursor": cursor})
    assert (response.status_code, code_of(response)) == (400, "cursor-invalid")


async def test_included_resources_come_once_and_do_not_count() -> None:
    world = await hospital()
    async with world.client() as client:
        bundle = (await client.get("/fhir/Observation?patient=p1&_include=Observation:subject")).json()
        reverse = (await client.get("/fhir/Patient?_id=p2&_revinclude=Observation:subject")).json()
    assert bundle["total"] == 3
    assert ids(bundle, "include") == ["p1"]
    assert ids(reverse) == ["p2"]
    assert sorted(ids(reverse, "include")) == ["o2", "o5", "o8"]


@pytest.mark.parametrize("query", ["_summary=count", "_count=0"])
async def test_a_count_comes_without_entries(query: str) -> None:
    world = await hospital()
    async with world.client() as client:
        bundle = (await client.get(f"/fhir/Patient?gender=male&{query}")).json()
    assert bundle["total"] == 4
    assert "entry" not in bundle
    assert "next" not in links(bundle)


async def test_a_page_is_never_larger_than_the_server_allows() -> None:
    world = await hospital(max_count=2)
    async with world.client() as client:
        assert len(ids((await client.get("/fhir/Patient?_count=100")).json())) == 2
        assert len(ids((await client.get("/fhir/Patient")).json())) == 2


async def test_an_empty_result_has_no_empty_array() -> None:
    world = await hospital()
    async with world.client() as client:
        bundle = (await client.get("/fhir/Patient?family=nobody")).json()
    assert bundle["total"] == 0
    assert "entry" not in bundle


IGNORED = [
    "shoe-size=44",
    "_contained=true",
    "_include=Patient:shoes",
    "_sort=shoes",
    "_has:X:y:z=1",
]


@pytest.mark.parametrize("query", IGNORED)
async def test_an_ignored_parameter_is_told_and_leaves_the_self_link(query: str) -> None:
    world = await hospital()
    async with world.client() as client:
        bundle = (await client.get(f"/fhir/Patient?family=family1&{query}")).json()
    assert ids(bundle) == ["p1"]
    told = [e["resource"] for e in bundle["entry"] if e["search"]["mode"] == "outcome"]
    assert [issue["severity"] for issue in told[0]["issue"]] == ["warning"]
    assert told[0]["issue"][0]["details"]["coding"][0]["code"] == "parameter-ignored"
    assert links(bundle)["self"] == f"{FHIR}/Patient?family=family1"


@pytest.mark.parametrize("query", IGNORED)
async def test_strict_handling_refuses_what_would_be_ignored(query: str) -> None:
    world = await hospital()
    async with world.client(Prefer="handling=strict") as client:
        response = await client.get(f"/fhir/Patient?family=family1&{query}")
    assert (response.status_code, code_of(response)) == (400, "parameter-unsupported")


@pytest.mark.parametrize("query", ["birthdate=soon", "_lastUpdated=gt", "gender=|", "birthdate=2024-13-01"])
async def test_a_value_that_cannot_be_read_is_refused_in_either_handling(query: str) -> None:
    world = await hospital()
    for prefer in ("handling=strict", "handling=lenient"):
        async with world.client(world.token(prefer[9:]), Prefer=prefer) as client:
            response = await client.get(f"/fhir/Patient?{query}")
        assert response.status_code == 400
        assert code_of(response).startswith("search-")


async def test_only_forms_are_taken_by_post() -> None:
    world = await hospital()
    async with world.client() as client:
        response = await client.post("/fhir/Patient/_search", json={"gender": "male"})
        assert (response.status_code, code_of(response)) == (415, "content-type-unsupported")
        response = await client.post("/fhir/Patient/_search", data={"family": "x" * 9_000})
        assert (response.status_code, code_of(response)) == (413, "query-too-long")
        response = await client.post("/fhir/Patient/_search", data={"family": "x" * 70_000})
        assert (response.status_code, code_of(response)) == (413, "body-too-large")


async def test_a_body_without_a_length_is_stopped_at_the_limit() -> None:
    sent = 0

    async def endless():
        nonlocal sent
        while True:
            sent += 1
            yield b"a=" + b"x" * 16_384

    world = await hospital()
    async with world.client(**{"Content-Type": "application/x-www-form-urlencoded"}) as client:
        response = await asyncio.wait_for(client.post("/fhir/Patient/_search", content=endless()), 20)
    assert (response.status_code, code_of(response)) == (413, "body-too-large")
    assert sent < 24, "it is read on for a while, so that the answer is heard, and not for ever"


async def test_the_audit_holds_parameter_names_counts_and_ids_but_no_values() -> None:
    world = await hospital()
    async with world.client() as client:
        await client.get("/fhir/Observation?patient=p1&code=718-7&Smith=1&_include=Observation:subject")
    (row,) = world.journal.rows
    assert row.target == "Observation?code,patient,_include=Observation:subject"
    assert row.detail.startswith("total=3 returned=3+1 ignored=1 Observation:")
    assert row.detail.endswith("Patient:p1")
    assert "718-7" not in repr(row)
    assert "Smith" not in repr(row)


async def test_a_refused_search_is_audited_with_its_code() -> None:
    world = await hospital()
    async with world.client() as client:
        await client.get("/fhir/Patient?birthdate=soon")
    assert world.audited == [("portal", "search", "Patient", "search-value-invalid")]


async def test_unicode_is_searched_as_it_was_written() -> None:
    world = World()
    await store(world.repository, patient("p1", "Ångström-Łukasz 名前"))
    async with world.client() as client:
        for query in ("family=Ångström", "family=angstrom", "family=%C3%85ngstr%C3%B6m"):
            assert ids((await client.get(f"/fhir/Patient?{query}")).json()) == ["p1"], query


async def test_many_searches_at_once_give_each_caller_its_own_answer() -> None:
    world = await hospital()
    async with world.client() as client:
        answers = await asyncio.gather(*(client.get(f"/fhir/Patient?family=family{n % 7}") for n in range(60)))
    assert [ids(answer.json()) for answer in answers] == [[f"p{n % 7}"] for n in range(60)]
    assert len(world.audited) == 60
