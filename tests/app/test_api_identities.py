"""Programs and messages that name the same identifier mean one record, whoever comes first."""

from __future__ import annotations

from typing import Any

import pytest
from api_support import World, code_of, patient, store

from hilum.app.api.sight import Sight
from hilum.app.tokens import Role
from hilum.mapping import resource_id
from hilum.repository import SearchTerm

pytestmark = pytest.mark.anyio

SYSTEM, VALUE = "urn:oid:1.2.3", "12345"
MRN = {"type": {"coding": [{"code": "MR"}]}, "system": SYSTEM, "value": VALUE}
SSN = {"system": "http://hl7.org/fhir/sid/us-ssn", "value": "999-11-2222"}
ADA = {"resourceType": "Patient", "identifier": [SSN, MRN], "name": [{"family": "Adler"}]}
ID = resource_id("Patient", SYSTEM, VALUE)  # what a message gives
ON = f"{SYSTEM}|{VALUE}"


def writer(world: World) -> Any:
    return world.client(world.token("writer", Role.WRITER))


async def count(client: Any) -> int:
    found: int = (await client.get("/fhir/Patient?_summary=count")).json()["total"]
    return found


async def test_a_message_after_a_create_makes_no_second_patient() -> None:
    world = World()
    async with writer(world) as client:
        made = await client.post("/fhir/Patient", json=ADA)
        assert (made.status_code, made.json()["id"]) == (201, ID)
        await store(world.repository, patient(ID, "Message", identifier=[MRN]))
        assert await count(client) == 1
        assert (await client.get(f"/fhir/Patient/{ID}")).json()["name"] == [{"family": "Adler"}]
    assert [one.code for one in world.repository.exceptions()] == ["owned-by-api"]


async def test_a_create_after_a_message_is_refused_and_a_conditional_one_finds_it() -> None:
    world = World()
    await store(world.repository, patient(ID, "Message", identifier=[MRN]))
    async with writer(world) as client:
        refused = await client.post("/fhir/Patient", json=ADA)
        assert (refused.status_code, code_of(refused)) == (409, "identifier-taken")
        refused = await client.put("/fhir/Patient/mine", json={**ADA, "id": "mine"})
        assert (refused.status_code, code_of(refused)) == (409, "identifier-taken")
        found = await client.post("/fhir/Patient", json=ADA, headers={"If-None-Exist": f"identifier={ON}"})
        assert (found.status_code, found.json()["id"]) == (200, ID)
        updated = await client.put(f"/fhir/Patient?identifier={ON}", json=ADA)
        assert (updated.status_code, updated.json()["id"]) == (200, ID)
        assert await count(client) == 1


@pytest.mark.parametrize("verb", ["create", "update"])
async def test_what_a_condition_creates_is_the_record_of_later_messages(verb: str) -> None:
    world = World()
    async with writer(world) as client:
        if verb == "create":
            made = await client.post("/fhir/Patient", json=ADA, headers={"If-None-Exist": f"identifier={ON}"})
        else:
            made = await client.put(f"/fhir/Patient?identifier={ON}", json=ADA)
        assert (made.status_code, made.json()["id"]) == (201, ID)
        await store(world.repository, patient(ID, "Message", identifier=[MRN]))
        assert await count(client) == 1


async def test_entries_of_a_transaction_are_one_record_with_messages_too() -> None:
    world = World()
    entry = {"fullUrl": "urn:uuid:a", "request": {"method": "POST", "url": "Patient"}, "resource": ADA}
    visit = {
        "resourceType": "Encounter",
        "status": "planned",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": {"reference": "urn:uuid:a"},
    }
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [entry, {"request": {"method": "POST", "url": "Encounter"}, "resource": visit}],
    }
    async with writer(world) as client:
        assert (await client.post("/fhir", json=bundle)).status_code == 200
        assert (await client.get("/fhir/Encounter?patient=" + ID)).json()["total"] == 1
        await store(world.repository, patient("other", "Else"))
        twice = {**bundle, "entry": [entry, {**entry, "fullUrl": "urn:uuid:b"}]}
        assert (
            await client.post("/fhir", json=twice)
        ).status_code == 200  # the API's own are created as often as asked
        assert await count(client) == 4


async def test_a_patient_that_was_deleted_is_created_again_under_its_id() -> None:
    world = World()
    async with writer(world) as client:
        await client.post("/fhir/Patient", json=ADA)
        await client.delete(f"/fhir/Patient/{ID}")
        again = await client.post("/fhir/Patient", json=ADA)
    assert (again.status_code, again.json()["id"], again.json()["meta"]["versionId"]) == (201, ID, "3")


async def test_without_an_identifier_of_its_own_a_create_gets_an_id_of_chance() -> None:
    world = World()
    async with writer(world) as client:
        for identifier in ([{"value": "1"}], [{**MRN, "use": "old"}]):
            made = await client.post("/fhir/Patient", json={**ADA, "identifier": identifier})
            assert made.status_code == 201
            assert made.json()["id"] != ID


async def test_a_record_out_of_sight_is_not_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    await store(world.repository, patient(ID, "Message", identifier=[MRN], gender="male"))
    limits = {"Patient": ((SearchTerm("gender", ("female",)),),)}
    monkeypatch.setattr("hilum.app.api.application.sight_of", lambda *_: Sight(limits))
    async with writer(world) as client:
        made = await client.post("/fhir/Patient", json={**ADA, "identifier": [MRN], "gender": "female"})
    assert made.status_code == 201
    assert made.json()["id"] != ID
