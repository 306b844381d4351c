"""Breaking the glass: a record out of care is open for a while, with a reason, and its owner is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from api_support import code_of
from smart_support import SmartWorld

from hilum.app.smart import caring, glass
from hilum.app.tokens import Role
from hilum.config import BreakGlass, InCare, Tie

pytestmark = pytest.mark.anyio

DECLARED = BreakGlass(["emergency", "covering"], "privacy", 30)
URL = "/fhir/Patient/$break-glass"


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SmartWorld]:
    monkeypatch.setattr(caring, "KEPT_SECONDS", 0.0)
    made = SmartWorld(tmp_path, in_care=InCare([Tie.GENERAL_PRACTITIONER], break_glass=DECLARED))
    await made.fill()
    yield made
    made.close()


def asked(**values: Any) -> dict[str, Any]:
    listed = [{"name": name, **value} for name, value in values.items()]
    return {"resourceType": "Parameters", "parameter": listed}


def of(patient: str = "p2", reason: str = "emergency") -> dict[str, Any]:
    return asked(patient={"valueReference": {"reference": f"Patient/{patient}"}}, reason={"valueCode": reason})


async def drake(world: SmartWorld, scope: str = "user/*.rs") -> str:
    return str((await world.access(scope, user="drake"))["access_token"])


async def test_a_record_out_of_care_is_open_with_a_reason_and_its_owner_is_told(world: SmartWorld) -> None:
    async with world.client(await drake(world)) as client:
        assert (await client.get("/fhir/Observation/o2")).status_code == 404
        opened = await client.post(URL, json=of())
        assert opened.status_code == 200, opened.text
        said = {one["name"]: one for one in opened.json()["parameter"]}
        assert said["patient"]["valueReference"] == {"reference": "Patient/p2"}
        assert said["until"]["valueInstant"].endswith("Z")
        assert (await client.get("/fhir/Observation/o2")).status_code == 200
        assert (await client.get("/fhir/Patient")).json()["total"] == 2
    rows = world.audited("break-glass")
    assert [(target, outcome) for _, _, target, outcome in rows] == [("Patient/p2", "ok")]
    (item,) = world.repository.exceptions()
    assert (item.code, item.owner, item.location) == ("glass-broken", "privacy", "Patient/p2")
    assert "emergency" in item.message


async def test_it_is_open_to_nobody_else_and_for_so_long_only(
    world: SmartWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = await drake(world)
    async with world.client(text) as client:
        assert (await client.post(URL, json=of())).status_code == 200
        world.close()
        world.open()
    assert world.smart._glass is not None
    assert world.smart._glass.opened("d1") == {"p2"}, "a restart closes nothing"
    assert world.smart._glass.opened("d2") == frozenset()
    later = glass.microseconds() + 30 * 60 * 1_000_000
    monkeypatch.setattr(glass, "microseconds", lambda: later)
    async with world.client(text) as client:
        assert (await client.get("/fhir/Observation/o2")).status_code == 404


async def test_a_patient_is_named_by_a_number(world: SmartWorld) -> None:
    number = {"system": "urn:oid:2.999.7", "value": "4711"}
    async with world.client(world.token("w", Role.WRITER)) as client:
        for id_ in ("p8", "p9"):
            body = {"resourceType": "Patient", "id": id_, "identifier": [number | {"value": f"47{id_[-1]}"}]}
            assert (await client.put(f"/fhir/Patient/{id_}", json=body)).status_code == 201
    async with world.client(await drake(world)) as client:
        by_number = asked(identifier={"valueIdentifier": number | {"value": "479"}}, reason={"valueCode": "covering"})
        opened = await client.post(URL, json=by_number)
        assert opened.json()["parameter"][0]["valueReference"] == {"reference": "Patient/p9"}
        assert (await client.get("/fhir/Patient/p9")).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (of(reason="curious"), 400, "parameter-invalid"),
        (asked(patient={"valueString": "p2"}), 400, "parameter-invalid"),
        (asked(reason={"valueCode": "emergency"}), 400, "parameter-missing"),
        (of("never"), 404, "resource-unknown"),
        (of("a b"), 400, "parameter-invalid"),
        (
            asked(identifier={"valueString": "urn:oid:2.999.7|"}, reason={"valueCode": "emergency"}),
            400,
            "parameter-invalid",
        ),
        (asked(identifier={"valueString": "nobody|1"}, reason={"valueCode": "emergency"}), 404, "resource-unknown"),
        ({"resourceType": "Patient"}, 400, "parameters-malformed"),
    ],
)
async def test_what_is_asked_wrongly_opens_nothing_and_is_audited(
    world: SmartWorld, body: dict[str, Any], status: int, code: str
) -> None:
    async with world.client(await drake(world)) as client:
        answer = await client.post(URL, json=body)
        assert (answer.status_code, code_of(answer)) == (status, code)
        assert (await client.get("/fhir/Observation/o2")).status_code == 404
    assert [outcome for _, _, _, outcome in world.audited("break-glass")] == [code]
    assert list(world.repository.exceptions()) == []


async def test_only_practitioners_who_are_limited_and_may_see_patients_open_records(world: SmartWorld) -> None:
    async def refused(text: str) -> tuple[int, str]:
        async with world.client(text) as client:
            answer: httpx2.Response = await client.post(URL, json=of())
            return answer.status_code, code_of(answer)

    patient = (await world.access("launch/patient patient/*.rs"))["access_token"]
    program = (await world.backend("system/Patient.rs")).json()["access_token"]
    for text in (patient, program, world.token("reader", Role.READER)):
        assert await refused(text) == (403, "glass-not-yours")
    assert await refused(await drake(world, "user/Observation.rs")) == (403, "scope-insufficient")
    assert (await refused(""))[0] == 401


async def test_no_more_than_some_records_are_open_at_a_time(world: SmartWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glass, "MOST_OPEN", 1)
    async with world.client(world.token("w", Role.WRITER)) as client:
        await client.put("/fhir/Patient/p3", json={"resourceType": "Patient", "id": "p3"})
    async with world.client(await drake(world)) as client:
        told = [(await client.post(URL, json=of(one))).status_code for one in ("p2", "p3", "p2")]
    assert told == [200, 429, 200]


async def test_it_is_told_where_it_is_declared_and_is_not_there_elsewhere(world: SmartWorld, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = SmartWorld(tmp_path / "other", in_care=InCare([Tie.GENERAL_PRACTITIONER]))
    told = []
    for one in (world, other):
        async with one.client(one.token()) as client:
            (rest,) = (await client.get("/fhir/metadata")).json()["rest"]
            (patient,) = [found for found in rest["resource"] if found["type"] == "Patient"]
            paths = (await client.get("/openapi.json")).json()["paths"]
            answer = await client.post(URL, json=of())
            told.append(("break-glass" in patient.get("documentation", ""), URL in paths, answer.status_code))
    other.close()
    assert told == [(True, True, 403), (False, False, 404)]
