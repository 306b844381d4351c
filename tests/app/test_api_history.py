"""The histories of a type and of the whole server through the API."""

from __future__ import annotations

from typing import Any

import pytest
from api_support import FHIR, World, code_of, observation, patient, store

from hilum.app.api.sight import Sight
from hilum.app.tokens import Role
from hilum.repository import SearchTerm

pytestmark = pytest.mark.anyio


async def ward() -> World:
    world = World()
    await store(world.repository, patient("p1", "Adler"), patient("p2", "Berg"), observation("o1", "p1"))
    await store(world.repository, patient("p1", "Adler-Berg"), seq=2)
    async with world.client(world.token("writer", Role.WRITER)) as client:
        assert (await client.delete("/fhir/Patient/p2")).status_code == 204
    return world


def told(bundle: dict[str, Any]) -> list[str]:
    return [
        f"{e['request']['method']} {e['request']['url']} {e['response']['etag'][3:-1]}" for e in bundle.get("entry", [])
    ]


async def test_the_history_of_a_type_tells_of_deletions() -> None:
    world = await ward()
    async with world.client() as client:
        bundle = (await client.get("/fhir/Patient/_history")).json()
    assert (bundle["type"], told(bundle)) == (
        "history",
        ["DELETE Patient/p2 2", "PUT Patient/p1 2", "PUT Patient/p2 1", "PUT Patient/p1 1"],
    )
    assert "resource" not in bundle["entry"][0]
    assert world.audited[-1] == ("portal", "history", "Patient/_history", "ok")


async def test_the_history_of_the_server_goes_through_all_pages_while_it_is_written_to() -> None:
    world = await ward()
    found: list[str] = []
    url = f"{FHIR}/_history?_count=2"
    async with world.client() as client:
        while url:
            bundle = (await client.get(url)).json()
            found += told(bundle)
            url = {link["relation"]: link["url"] for link in bundle["link"]}.get("next", "")
            await store(world.repository, patient("p1", f"Name{len(found)}"), seq=10 + len(found))
    assert len(found) == len(set(found)) == 5
    assert found[0] == "DELETE Patient/p2 2"


async def test_since_and_at_are_honoured_and_what_cannot_be_read_is_refused() -> None:
    world = await ward()
    async with world.client() as client:
        last = (await client.get("/fhir/Patient/p1")).json()["meta"]["lastUpdated"]
        assert "PUT Patient/p1 2" in told((await client.get(f"/fhir/Patient/_history?_since={last}")).json())
        assert told((await client.get("/fhir/Patient/p1/_history?_since=2999-01-01T00:00:00Z")).json()) == []
        assert told((await client.get("/fhir/_history?_at=1999")).json()) == []
        assert len(told((await client.get("/fhir/_history?_at=1999-01-01")).json())) == 0
        for query in ("_since=yesterday", "_since=2026-01-01", "_since=2026-13-01T00:00:00Z", "_at=x", "_count=-1"):
            refused = await client.get(f"/fhir/Patient/_history?{query}")
            assert (refused.status_code, code_of(refused)) == (400, "parameter-invalid"), query
        strict = await client.get("/fhir/_history?gender=female", headers={"Prefer": "handling=strict"})
        assert (strict.status_code, code_of(strict)) == (400, "parameter-unsupported")
        lenient = (await client.get("/fhir/_history?gender=female")).json()
        assert lenient["link"][0]["url"] == f"{FHIR}/_history"
        unknown = await client.get("/fhir/Nothing/_history")
        assert (unknown.status_code, code_of(unknown)) == (404, "type-unknown")


async def test_a_page_link_of_one_history_opens_no_other() -> None:
    world = await ward()
    async with world.client() as client:
        bundle = (await client.get("/fhir/Patient/_history?_count=1")).json()
        cursor = bundle["link"][1]["url"].partition("?")[2]
        for path in ("/fhir/Patient", "/fhir/_history", "/fhir/Observation/_history", "/fhir/Patient/p1/_history"):
            refused = await client.get(f"{path}?{cursor}")
            assert (refused.status_code, code_of(refused)) == (400, "cursor-invalid"), path
        search = (await client.get("/fhir/Patient?_count=0")).json()
        assert search["total"] == 1


async def test_a_limited_caller_is_told_only_of_what_may_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await ward()
    limits = {"Patient": ((SearchTerm("_id", ("p1",)),),)}
    monkeypatch.setattr("hilum.app.api.application.sight_of", lambda *_: Sight(limits))
    async with world.client() as client:
        assert told((await client.get("/fhir/_history")).json()) == ["PUT Patient/p1 2", "PUT Patient/p1 1"]
        assert told((await client.get("/fhir/Observation/_history")).json()) == []


async def test_the_capability_statement_and_batches_know_the_histories() -> None:
    world = await ward()
    async with world.client() as client:
        rest = (await client.get("/fhir/metadata")).json()["rest"][0]
        batch = {"resourceType": "Bundle", "type": "batch", "entry": []}
        batch["entry"] = [{"request": {"method": "GET", "url": "Patient/_history?_count=1"}}]  # type: ignore[list-item]
        answer = (await client.post("/fhir", json=batch)).json()
    assert {"code": "history-system"} in rest["interaction"]
    assert all({"code": "history-type"} in one["interaction"] for one in rest["resource"])
    assert told(answer["entry"][0]["resource"]) == ["DELETE Patient/p2 2"]


async def test_what_was_posted_is_told_as_posted_and_what_was_put_as_put() -> None:
    world = await ward()
    resource = {"resourceType": "Basic", "code": {"text": "x"}}
    entry = {"resource": resource, "request": {"method": "POST", "url": "Basic"}}
    async with world.client(world.token("other", Role.WRITER)) as client:
        await client.post("/fhir/Basic", json=resource)
        await client.post("/fhir", json={"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
        await client.put("/fhir/Basic/b1", json=resource | {"id": "b1"})
        bundle = (await client.get("/fhir/Basic/_history")).json()
    assert told(bundle) == ["PUT Basic/b1 1", "POST Basic 1", "POST Basic 1"]
