"""Searches over several types at once, and what is said of creates with conditions in their URL."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from api_support import World, code_of, draft, observation, patient, store

from hilum.app.tokens import Role
from hilum.journal import SCHEMA as JOURNAL_SCHEMA
from hilum.repository import SCHEMA, MemoryRepository, Repository, SqliteRepository
from hilum.store import Store

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["memory", "sqlite"])
async def world(request: pytest.FixtureRequest, tmp_path: Any) -> Any:
    opened = Store.open(tmp_path / "x.db", key=bytes(32), schemas=(JOURNAL_SCHEMA, SCHEMA))
    repository: Repository = MemoryRepository() if request.param == "memory" else SqliteRepository(opened)
    drafts = [patient("p1", "Rivera"), patient("p2", "Okafor"), observation("o1", "p1"), observation("o2", "p2")]
    await store(repository, *drafts, draft("Encounter", "e1", status="finished", subject={"reference": "Patient/p1"}))
    yield World(repository)
    opened.close()


def ids(answer: httpx2.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return sorted(one["resource"]["id"] for one in answer.json().get("entry", ()) if one["search"]["mode"] != "outcome")


async def test_several_types_are_searched_by_what_they_have_in_common(world: World) -> None:
    async with world.client() as client:
        assert ids(await client.get("/fhir?_type=Patient,Observation")) == ["o1", "o2", "p1", "p2"]
        assert ids(await client.get("/fhir?_type=Encounter,Observation&patient=p1")) == ["e1", "o1"]
        assert ids(await client.get("/fhir?_id=p1,e1,nobody")) == ["e1", "p1"]
        assert ids(await client.get("/fhir?_type=Encounter&_include=Encounter:subject")) == ["e1", "p1"]
        assert ids(await client.post("/fhir/_search", data={"_type": "Patient", "_id": "p2"})) == ["p2"]
        assert (await client.get("/fhir?_type=Patient,Encounter&_summary=count")).json()["total"] == 3


async def test_a_page_leads_to_the_next_until_all_were_seen(world: World) -> None:
    async with world.client() as client:
        seen: list[str] = []
        url = "/fhir?_type=Patient,Observation,Encounter&_count=2"
        while url:
            answer = await client.get(url)
            seen += ids(answer)
            url = next((one["url"] for one in answer.json()["link"] if one["relation"] == "next"), "")
        assert sorted(seen) == ["e1", "o1", "o2", "p1", "p2"]
        first = (await client.get("/fhir?_count=2")).json()["link"]
        cursor = next(one["url"] for one in first if one["relation"] == "next").partition("?")[2]
        for other in ("/fhir/Patient", "/fhir/Patient/p1/$everything", "/fhir/_history"):
            assert (await client.get(f"{other}?{cursor}")).status_code == 400, "a link is one of its address"


async def test_what_not_all_types_have_is_told(world: World) -> None:
    async with world.client() as client:
        lenient = await client.get("/fhir?_type=Patient,Observation&birthdate=1980")
        assert "parameter-ignored" in lenient.text
        assert "birthdate" not in lenient.json()["link"][0]["url"]
        strict = await client.get(
            "/fhir?_type=Patient,Observation&birthdate=1980", headers={"Prefer": "handling=strict"}
        )
        assert code_of(strict) == "parameter-unsupported"
        assert code_of(await client.get("/fhir?_type=Patient,Parameters")) == "parameter-invalid"
        inner = {"request": {"method": "GET", "url": "?_type=Encounter"}}
        batch = await client.post("/fhir", json={"resourceType": "Bundle", "type": "batch", "entry": [inner]})
        assert batch.json()["entry"][0]["resource"]["total"] == 1


async def test_a_condition_of_a_create_does_not_stand_in_its_url() -> None:
    """As one client sends it: taken no notice of, it would make a second resource each time."""
    world = World()
    async with world.client(world.token("w", Role.WRITER)) as client:
        body = {"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": "1"}]}
        refused = await client.post("/fhir/Patient?identifier=urn:x|1", json=body)
        assert (refused.status_code, code_of(refused)) == (400, "condition-unusable")
        assert "If-None-Exist" in refused.text
        assert (await client.post("/fhir/Patient?_format=json", json=body)).status_code == 201
