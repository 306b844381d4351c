"""An export holds what a search with the same token finds, under every kind of scope: neither more nor less."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from msgspec import Raw
from smart_support import SmartWorld

from hilum.app.bulk import compartments, exporting
from hilum.app.bulk.asking import Export
from hilum.app.bulk.compartments import ties_of
from hilum.app.bulk.exporting import Exporter
from hilum.app.bulk.sealed_files import read_sealed
from hilum.formats import fhir
from hilum.repository import Change, Feed, Stored, Verb
from hilum.safeguards import SUPPORTING_TYPES

pytestmark = pytest.mark.anyio

ASYNC = {"Prefer": "respond-async"}
OF_PATIENTS = compartments.of_patients()
WANTED = sorted(OF_PATIENTS | SUPPORTING_TYPES)


def tied(type_: str, who: str) -> dict[str, Any]:
    """A resource of this type that belongs to a patient, by the first element that can say so."""
    record = {"reference": f"Patient/{who}"}
    for one in fhir.parameters_of(type_):
        for place in one.places:
            element: Any = record
            for name in reversed(place.path):
                element = {name: element}
            made = {"resourceType": type_, "id": f"{type_.lower()}-{who}", **element}
            if ties_of(Stored(type_, "x", 1, 0, json.dumps(made).encode(), 0)).belongs(frozenset([who])):
                return made
    raise AssertionError(f"{type_} cannot belong to a patient")


async def fill(world: SmartWorld) -> None:
    await world.fill()
    resources = [tied(type_, who) for type_ in sorted(OF_PATIENTS - {"Patient", "Group"}) for who in ("p1", "p2")]
    assert len(resources) > 100
    await world.repository.write([put(one.pop("resourceType"), one.pop("id"), **one) for one in resources])
    await world.repository.write(
        [
            put("Practitioner", "d2", name=[{"family": "Nobody"}]),
            put("Organization", "w1", name="Ward"),
            put(
                "PractitionerRole",
                "r1",
                practitioner={"reference": "Practitioner/d1"},
                organization=to("Organization/w1"),
            ),
            put("Location", "room", managingOrganization=to("Organization/w1")),
            put(
                "Encounter",
                "e9",
                status="finished",
                subject=to("Patient/p1"),
                participant=[{"individual": to("PractitionerRole/r1")}],
                location=[{"location": to("Location/room")}],
            ),
        ]
    )


def put(type_: str, id_: str, **elements: Any) -> Change:
    return Change(Verb.UPDATE, type_, id_, {name: Raw(json.dumps(one).encode()) for name, one in elements.items()})


def to(record: str) -> dict[str, str]:
    return {"reference": record}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[SmartWorld]:
    made = SmartWorld(tmp_path)
    await fill(made)
    made.exports.start()
    yield made
    await made.exports.close()
    made.close()


async def finished(client: httpx2.AsyncClient, begun: httpx2.Response) -> httpx2.Response:
    assert begun.status_code == 202, begun.text
    async with asyncio.timeout(20):
        while (done := await client.get(begun.headers["content-location"])).status_code == 202:
            await asyncio.sleep(0.01)
    return done


async def exported(client: httpx2.AsyncClient, address: str, **params: str) -> dict[str, set[str]]:
    done = await finished(client, await client.get(f"/fhir/{address}", params=params, headers=ASYNC))
    found: dict[str, set[str]] = {}
    for one in done.json()["output"]:
        lines = (await client.get(one["url"])).text.splitlines()
        ids = [json.loads(line)["id"] for line in lines]
        assert len(ids) == len(set(ids)) == one["count"]
        found[one["type"]] = set(ids)
    return found


async def searched(client: httpx2.AsyncClient, types: Any) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for type_ in types:
        answer = await client.get(f"/fhir/{type_}", params={"_count": "500"})
        if answer.status_code == 200:
            ids = {one["resource"]["id"] for one in answer.json().get("entry", ())}
            found |= {type_: ids} if ids else {}
        else:
            assert answer.status_code == 403
    return found


async def token(world: SmartWorld, level: str, scope: str) -> str:
    if level == "system":
        return str((await world.backend(scope)).json()["access_token"])
    who = {"user": {"user": "drake"}, "patient": {"user": "drake", "patient": "p1"}, "own": {"user": "ana"}}[level]
    return str((await world.access(scope, **who))["access_token"])


SCOPES = (
    ("system", "system/*.rs"),
    ("system", "system/Encounter.rs system/Condition.rs system/Practitioner.rs"),
    ("user", "openid user/*.rs"),
    ("own", "openid user/*.rs"),
    ("patient", "launch/patient patient/*.rs"),
    ("own", "launch/patient patient/*.rs"),
    ("own", "launch/patient patient/Encounter.rs patient/Observation.rs?category=laboratory patient/Location.rs"),
)


async def test_an_export_holds_what_a_search_with_the_same_token_finds(world: SmartWorld) -> None:
    for level, scope in SCOPES:
        async with world.client(await token(world, level, scope)) as client:
            seen = await searched(client, WANTED)
            assert seen, "there is something to see"
            asked = {"_type": ",".join(WANTED)}
            manifest = (await finished(client, await client.get("/fhir/$export", params=asked, headers=ASYNC))).json()
            counts = {one["type"]: one["count"] for one in manifest["output"]}
            assert counts == {type_: len(ids) for type_, ids in seen.items()}, scope
            of_patients = await exported(client, "Patient/$export")
        for type_ in sorted(OF_PATIENTS):
            assert of_patients.get(type_, set()) == seen.get(type_, set()), (scope, type_)
        for type_ in sorted(SUPPORTING_TYPES):
            assert of_patients.get(type_, set()) <= seen.get(type_, set()), (scope, type_)
        if level in ("own", "patient"):
            assert not any(id_.endswith("p2") for ids in of_patients.values() for id_ in ids)
        assert ("Location" in of_patients) == ("Location" in seen)
        if "*" in scope:
            assert len(of_patients) > 60
            assert of_patients["Practitioner"] == {"d1"}, "the one that is referred to, also by a role"
            assert of_patients["Organization"] == {"w1"}, "over the room, which the encounter names"


async def test_types_that_a_token_may_not_see_are_told_or_refused(world: SmartWorld) -> None:
    async with world.client(await token(world, "system", "system/Encounter.rs")) as client:
        asked = {"_type": "Encounter,Condition"}
        strict = {"Prefer": "respond-async, handling=strict"}
        refused = await client.get("/fhir/Patient/$export", params=asked, headers=strict)
        assert (refused.status_code, refused.json()["resourceType"]) == (403, "OperationOutcome")
        refused = await client.get("/fhir/Patient/$export", params={"_type": "Condition"}, headers=ASYNC)
        assert "scope-insufficient" in refused.text
        begun = await client.get("/fhir/Patient/$export", params=asked, headers=ASYNC)
        manifest = (await finished(client, begun)).json()
        assert {one["type"] for one in manifest["output"]} == {"Encounter"}
        (error,) = manifest["error"]
        assert "Condition" in (await client.get(error["url"])).text


async def test_a_group_export_has_its_members_and_what_they_refer_to(world: SmartWorld) -> None:
    group = put("Group", "one", type="person", actual=True, member=[{"entity": to("Patient/p1")}])
    await world.repository.write([group])
    async with world.client(world.token()) as client:
        found = await exported(client, "Group/one/$export")
        assert not any(id_.endswith("-p2") or id_ == "p2" for ids in found.values() for id_ in ids)
        assert {"Encounter", "Condition", "Procedure", "Provenance", "CarePlan", "Device"} <= set(found)
        assert found["PractitionerRole"] == {"r1"}
        found = await exported(client, "Group/one/$export", _type="Practitioner")
        assert found == {"Practitioner": {"d1"}}
    for scope in ("system/Patient.rs system/Encounter.rs", "system/Encounter.rs", "system/Patient.rs?gender=male"):
        async with world.client(await token(world, "system", scope)) as client:
            if scope == "system/Patient.rs system/Encounter.rs":  # no word of Group, and all that it has may be seen
                found = await exported(client, "Group/one/$export")
                assert set(found) == {"Patient", "Encounter"}
                continue
            told = [await client.get(f"/fhir/Group/{id_}/$export", headers=ASYNC) for id_ in ("one", "never")]
            assert [one.status_code for one in told] == [403, 403], scope
            assert told[0].text == told[1].text


async def test_a_deletion_is_told_to_whom_the_resource_was_told(world: SmartWorld) -> None:
    await world.repository.write(
        [Change(Verb.DELETE, "Condition", f"condition-{who}") for who in ("p1", "p2")]
        + [Change(Verb.DELETE, "Practitioner", "d2")]
    )
    mine = (await world.access("launch/patient patient/*.rs"))["access_token"]
    for text, address, expected in (
        (mine, "Patient/$export", {"Condition/condition-p1"}),
        (mine, "$export", {"Condition/condition-p1", "Practitioner/d2"}),
        (world.token(), "Patient/$export", {"Condition/condition-p1", "Condition/condition-p2"}),
        (world.token("other"), "$export", {"Condition/condition-p1", "Condition/condition-p2", "Practitioner/d2"}),
    ):
        async with world.client(text) as client:
            begun = await client.get(f"/fhir/{address}", params={"_since": "2020-01-01T00:00:00Z"}, headers=ASYNC)
            (file,) = (await finished(client, begun)).json()["deleted"]
            lines = [json.loads(line) for line in (await client.get(file["url"])).text.splitlines()]
            assert {one["entry"][0]["request"]["url"] for one in lines} == expected, address


async def test_an_export_goes_on_among_what_records_refer_to(
    world: SmartWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roles = [put("PractitionerRole", f"r{n}", practitioner=to(f"Practitioner/x{n}")) for n in range(20)]
    doctors = [put("Practitioner", f"x{n}", name=[{"family": f"X{n}"}]) for n in range(20)]
    visits = [put("Encounter", f"v{n}", subject=to("Patient/p1"), participant=doctor(n)) for n in range(20)]
    await world.repository.write([*doctors, *roles, *visits])
    monkeypatch.setattr(exporting, "PAGE", 3)
    monkeypatch.setattr(exporting, "SAVE_AFTER", 6)
    await world.exports.close()
    asked = Export("x", ("Practitioner", "PractitionerRole"), is_of_patients=True, patients=("p1",))
    job = await world.exports.take("me", asked)
    feed, folder, needs, rounds = Feed(world.store), tmp_path / "exports" / job.id, list[str](), 0
    while job.state == "open":  # killed after every commit, with a part that was not committed
        exporter = Exporter(feed, job, needs, folder, bytes(32))
        while not exporter.step():
            continue
        job, new = exporter.save()
        needs += [name for _, name in new]
        if job.state == "open":
            exporter.step()
        exporter.close()
        rounds += 1
    assert rounds > 20
    found = {one.type: b"".join(read_sealed(folder / one.name, bytes(32), one.size)) for one in job.files}
    for type_, prefix in (("Practitioner", "x"), ("PractitionerRole", "r")):
        ids = [json.loads(line)["id"] for line in found[type_].splitlines()]
        assert len(ids) == len(set(ids))
        assert set(ids) >= {f"{prefix}{n}" for n in range(20)}


def doctor(n: int) -> list[dict[str, Any]]:
    return [{"individual": to(f"PractitionerRole/r{n}")}]
