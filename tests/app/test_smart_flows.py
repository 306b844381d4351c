"""Apps are let in as SMART says: launches, sign-in, consent, tokens, refresh, revocation; and what people see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from smart_support import SmartWorld

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[SmartWorld]:
    made = SmartWorld(tmp_path)
    await made.fill()
    yield made
    made.close()


async def test_a_patient_lets_a_portal_see_their_record_and_nothing_else(world: SmartWorld) -> None:
    said = await world.access("openid fhirUser launch/patient patient/Patient.rs patient/Observation.rs")
    assert said["patient"] == "p1"
    assert said["scope"] == "openid fhirUser launch/patient patient/Patient.rs patient/Observation.rs"
    assert said["expires_in"] == 3600
    assert "refresh_token" not in said
    async with world.client(said["access_token"]) as client:
        assert (await client.get("/fhir/Patient/p1")).status_code == 200
        assert (await client.get("/fhir/Patient/p2")).status_code == 404
        found = (await client.get("/fhir/Observation")).json()
        assert sorted(one["resource"]["id"] for one in found["entry"]) == ["l1", "o1", "v1"]
        assert found["total"] == 3
        assert (await client.get("/fhir/Condition")).status_code == 403
