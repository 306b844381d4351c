"""Practitioners see the patients in their care, where the folder says so; see also the probes of every route."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from api_support import draft, observation, patient, store
from smart_support import Browser, SmartWorld

from hilum.app.api.auth import Denied
from hilum.app.api.sight import Sight
from hilum.app.smart import caring
from hilum.app.smart.caring import Caring
from hilum.app.tokens import Role
from hilum.config import InCare, Tie
from hilum.repository import MemoryRepository, SearchTerm

pytestmark = pytest.mark.anyio

NOW = 1_790_000_000.0
ME, MY_ROLE = "Practitioner/d1", "PractitionerRole/r1"


def day(offset: int, now: float = NOW) -> str:
    return f"{datetime.fromtimestamp(now, UTC) + timedelta(days=offset):%Y-%m-%d}"


def to(record: str) -> dict[str, str]:
    return {"reference": record}


def encounter(who: str, status: str, period: dict[str, str] | None, me: str = ME) -> Any:
    more = {} if period is None else {"period": period}
    return draft(
        "Encounter",
        f"e-{who}",
        status=status,
        subject=to(f"Patient/{who}"),
        participant=[{"individual": to(me)}],
        **more,
    )


def appointment(who: str, status: str, at: str) -> Any:
    parts = [{"actor": to(one), "status": "accepted"} for one in (f"Patient/{who}", ME)]
    return draft("Appointment", f"a-{who}", status=status, start=f"{at}T10:00:00Z", participant=parts)


def team(who: str, member: str = ME, **more: Any) -> Any:
    return draft("CareTeam", f"t-{who}", subject=to(f"Patient/{who}"), participant=[{"member": to(member)}], **more)


def episode(who: str, status: str) -> Any:
    return draft("EpisodeOfCare", f"w-{who}", status=status, patient=to(f"Patient/{who}"), careManager=to(ME))


CASES = {
    Tie.GENERAL_PRACTITIONER: (
        [
            patient("own", "A", generalPractitioner=[to(ME)]),
            patient("role", "A", generalPractitioner=[to(MY_ROLE)]),
            patient("former", "A", generalPractitioner=[to("PractitionerRole/r0")]),
            patient("other", "A", generalPractitioner=[to("Practitioner/d2")]),
            encounter("visit", "in-progress", {"start": day(-1)}),
        ],
        {"own", "role"},
    ),
    Tie.ENCOUNTER: (
        [
            encounter("now", "in-progress", {"start": day(-400)}),
            encounter("left", "finished", {"start": day(-40), "end": day(-29)}),
            encounter("long-ago", "finished", {"start": day(-40), "end": day(-32)}),
            encounter("never", "cancelled", {"start": day(-1)}),
            encounter("undated", "in-progress", None),
            encounter("undated-end", "finished", None),
            encounter("as-role", "planned", {"start": day(3)}, MY_ROLE),
            encounter("theirs", "in-progress", {"start": day(-1)}, "Practitioner/d2"),
            patient("own", "A", generalPractitioner=[to(ME)]),
        ],
        {"now", "left", "undated", "as-role"},
    ),
    Tie.APPOINTMENT: (
        [
            appointment("soon", "booked", day(29)),
            appointment("seen", "fulfilled", day(-29)),
            appointment("later", "booked", day(32)),
            appointment("before", "fulfilled", day(-32)),
            appointment("away", "noshow", day(-1)),
        ],
        {"soon", "seen"},
    ),
    Tie.CARE_TEAM: (
        [
            team("plain"),
            team("active", status="active", period={"start": day(-9)}),
            team("today", status="active", period={"start": day(0), "end": day(0)}),
            team("ended", status="active", period={"start": day(-90), "end": day(-9)}),
            team("inactive", status="inactive"),
            team("theirs", "Practitioner/d2"),
            draft("CareTeam", "t-also", subject=to("Patient/a"), participant=[{"member": to("Patient/b")}]),
        ],
        {"plain", "active", "today"},
    ),
    Tie.EPISODE_OF_CARE: ([episode("open", "active"), episode("done", "finished")], {"open"}),
}


@pytest.mark.parametrize("tie", list(Tie))
async def test_who_is_in_care_follows_from_what_is_declared(tie: Tie) -> None:
    repository = MemoryRepository()
    drafts, expected = CASES[tie]
    roles = [
        draft("PractitionerRole", "r1", practitioner=to(ME)),
        draft("PractitionerRole", "r0", practitioner=to(ME), active=False),
    ]
    await store(repository, *drafts, *roles)
    assert await Caring(repository, InCare([tie]), clock=lambda: NOW).panel("d1") == expected
    assert await Caring(repository, InCare([tie]), clock=lambda: NOW).panel("nobody") == set()


async def test_any_of_several_ties_is_enough_and_all_pages_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caring, "PAGE", 2)
    repository = MemoryRepository()
    await store(repository, *[patient(f"p{n}", "A", generalPractitioner=[to(ME)]) for n in range(5)], team("t"))
    both = Caring(repository, InCare([Tie.CARE_TEAM, Tie.GENERAL_PRACTITIONER]), clock=lambda: NOW)
    assert await both.panel("d1") == {"t", *(f"p{n}" for n in range(5))}
    monkeypatch.setattr(caring, "MOST_PATIENTS", 3)
    with pytest.raises(Denied) as denied:
        await Caring(repository, InCare(list(Tie)), clock=lambda: NOW).panel("d1")
    assert (denied.value.code, denied.value.status) == ("panel-too-wide", 403)


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SmartWorld]:
    monkeypatch.setattr(caring, "KEPT_SECONDS", 0.0)
    made = SmartWorld(tmp_path, in_care=InCare([Tie.GENERAL_PRACTITIONER, Tie.CARE_TEAM, Tie.ENCOUNTER]))
    await made.fill()
    yield made
    made.close()


async def test_what_changes_in_care_changes_what_is_seen_at_once(world: SmartWorld) -> None:
    text = (await world.access("user/*.rs", user="drake"))["access_token"]
    async with world.client(text) as client, world.client(world.token()) as operator:
        assert (await client.get("/fhir/Patient")).json()["total"] == 1
        assert (await client.get("/fhir/Observation/o2")).status_code == 404
        made = {"resourceType": "CareTeam", "subject": to("Patient/p2"), "participant": [{"member": to(ME)}]}
        assert (await operator.put("/fhir/CareTeam/t", json={**made, "id": "t"})).status_code == 201
        assert (await client.get("/fhir/Patient")).json()["total"] == 2
        assert (await client.get("/fhir/Observation/o2")).status_code == 200
        assert (await client.get("/fhir/Group/g1")).status_code in (403, 404), "a group may name others"
        assert (await operator.put("/fhir/CareTeam/t", json={**made, "id": "t", "status": "inactive"})).is_success
        assert (await client.get("/fhir/Observation/o2")).status_code == 404


async def test_nobody_lets_themselves_into_a_record(world: SmartWorld) -> None:
    """Each of these would make p2 a patient of d1, or d1 somebody else."""
    text = (await world.access("launch/patient patient/*.cruds user/*.cruds", user="drake", patient="p1"))[
        "access_token"
    ]
    ours, theirs = to("Patient/p1"), to("Patient/p2")
    tries: list[tuple[str, dict[str, Any]]] = [
        (
            "Encounter",
            {
                "status": "in-progress",
                "class": {"code": "AMB"},
                "subject": theirs,
                "participant": [{"individual": to(ME)}],
            },
        ),
        ("CareTeam", {"subject": theirs, "participant": [{"member": to(ME)}, {"member": ours}]}),
        ("EpisodeOfCare", {"status": "active", "patient": theirs, "careManager": to(ME)}),
        (
            "Appointment",
            {
                "status": "booked",
                "participant": [{"actor": one, "status": "accepted"} for one in (ours, theirs, to(ME))],
            },
        ),
        ("PractitionerRole", {"practitioner": to(ME), "active": True}),
        ("Patient", {"generalPractitioner": [to(ME)]}),
    ]
    async with world.client(text) as client:
        for type_, elements in tries:
            body = {"resourceType": type_, **elements}
            assert (await client.post(f"/fhir/{type_}", json=body)).status_code == 403, type_
            entry = {"resource": body, "request": {"method": "POST", "url": type_}}
            bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
            assert (await client.post("/fhir", json=bundle)).is_client_error, type_
        assert (await client.put("/fhir/Patient/p2", json={"resourceType": "Patient", "id": "p2"})).status_code == 404
        result = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": ours}
        assert (await client.post("/fhir/Observation", json=result)).status_code == 201
        assert (await client.get("/fhir/Patient")).json()["total"] == 1


async def test_a_practitioner_without_patients_finds_none_and_is_not_refused(world: SmartWorld) -> None:
    async with world.client(world.token("writer", Role.WRITER)) as client:
        gone = {"resourceType": "Patient", "id": "p1", "name": [{"family": "Rivera"}]}
        assert (await client.put("/fhir/Patient/p1", json=gone)).status_code == 200
    text = (await world.access("user/*.rs", user="drake"))["access_token"]
    async with world.client(text) as client:
        for url in ("/fhir/Patient", "/fhir/Observation", "/fhir/Observation?patient=p1"):
            assert (await client.get(url)).json()["total"] == 0
        assert (await client.get("/fhir/Patient/p1")).status_code == 404
        assert (await client.get("/fhir/Practitioner/d1")).status_code == 200, "nobody's record"


async def test_a_practitioner_chooses_among_the_patients_in_their_care(world: SmartWorld) -> None:
    async with world.client() as client:
        browser = Browser(client)
        await browser.ask("launch/patient patient/*.rs")
        await browser.submit("login", name="drake", password="correct horse battery")
        for words, is_found in (("okafor", False), ("rivera", True)):
            await browser.submit("patient", q=words)
            assert (words.title() in browser.page) == is_found
        told = [(await browser.submit("patient", patient=id_)).text for id_ in ("p2", "xx")]
        assert all('name="q"' in one for one in told), "the search is shown again, as for nobody"
        assert "Rivera" in (await browser.submit("patient", patient="p1")).text


async def test_a_launch_about_a_patient_in_anothers_care_is_one_about_nobody(world: SmartWorld) -> None:
    async with world.client(world.token()) as operator, world.client() as client:
        told = []
        for id_ in ("p2", "p1"):
            begun = await operator.post("/smart/launch", json={"app": "portal", "patient": id_})
            browser = Browser(client)
            await browser.ask("launch patient/*.rs", launch=begun.json()["launch"], prompt="login")
            answer = await browser.submit("login", name="drake", password="correct horse battery")
            told.append((answer.status_code, "patient-gone" in answer.headers.get("location", "")))
        assert told == [(303, True), (200, False)]


async def test_a_patient_in_context_who_left_the_care_is_seen_no_more(world: SmartWorld) -> None:
    text = (await world.access("launch/patient patient/*.rs", user="drake", patient="p1"))["access_token"]
    async with world.client(text) as client, world.client(world.token()) as operator:
        assert (await client.get("/fhir/Observation/l1")).status_code == 200
        assert (await operator.put("/fhir/Patient/p1", json={"resourceType": "Patient", "id": "p1"})).is_success
        assert (await client.get("/fhir/Observation/l1")).status_code == 403


async def test_a_file_of_an_export_is_refused_once_a_patient_of_it_left_the_care(world: SmartWorld) -> None:
    await store(world.repository, team("p2"), observation("o9", "p2"), seq=9)
    text = (await world.access("user/*.rs", user="drake"))["access_token"]
    world.exports.start()
    async with world.client(text) as client, world.client(world.token()) as operator:
        begun = await client.get("/fhir/Patient/$export?_type=Patient", headers={"Prefer": "respond-async"})
        status = await client.get(begun.headers["content-location"])
        end = time.monotonic() + 20
        while status.status_code == 202 and time.monotonic() < end:
            await asyncio.sleep(0.02)
            status = await client.get(begun.headers["content-location"])
        (file,) = status.json()["output"]
        assert file["count"] == 2
        more = {"resourceType": "Patient", "id": "p3", "generalPractitioner": [to(ME)]}
        assert (await operator.put("/fhir/Patient/p3", json=more)).status_code == 201
        assert (await client.get(file["url"])).status_code == 200, "more patients may be seen than are in it"
        await operator.delete("/fhir/CareTeam/t-p2")
        refused = await client.get(file["url"])
        assert (refused.status_code, refused.json()["issue"][0]["details"]["coding"][0]["code"]) == (
            403,
            "export-scope-changed",
        )
    await world.exports.close()


def test_limits_cover_those_with_fewer_values_and_nothing_else() -> None:
    def sight(*terms: SearchTerm) -> dict[str, tuple[tuple[SearchTerm, ...], ...]]:
        return {"Observation": (terms,)}

    ab, a, lab = SearchTerm("subject", ("a", "b")), SearchTerm("subject", ("a",)), SearchTerm("category", ("lab",))
    assert Sight(None).covers(None)
    assert Sight(sight(ab)).covers(sight(a))
    assert Sight(sight(ab)).covers(sight(a, lab))
    assert Sight(sight()).covers(sight(a))
    assert not Sight(sight(a)).covers(sight(ab))
    assert not Sight(sight(a, lab)).covers(sight(a))
    assert not Sight(sight(ab)).covers(None)
    assert not Sight({}).covers(sight(a))
    without = SearchTerm("status", ("x", "y"), "not")
    assert not Sight(sight(without)).covers(sight(SearchTerm("status", ("x",), "not")))
