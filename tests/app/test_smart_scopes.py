"""Scopes hold on every route: what a token may not see is as absent as what never was. A new route needs a probe."""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from smart_support import LAB, Browser, SmartWorld, draft, patient, store

from hilum.app.api import create_app
from hilum.app.api.sight import sight_of
from hilum.app.subscriptions.reading import Asked
from hilum.app.subscriptions.rows import Subscription, put
from hilum.app.tokens import Grant, Role
from hilum.config import InCare, Tie
from hilum.repository import Query
from hilum.safeguards import Interaction, Person, Rights, parse_scopes

pytestmark = pytest.mark.anyio

# laboratory results of one patient: to see, to change, to add; encounters to see only; nothing of practitioners
SCOPE = (
    f"launch/patient patient/Patient.rs patient/Observation.cruds?category={LAB} patient/Encounter.rs "
    "patient/Condition.c patient/Group.rs"
)
# the same for a practitioner without a patient in context, who sees those in their care: p1 is
IN_CARE = SCOPE.replace("launch/patient ", "").replace("patient/", "user/")
READING = (
    {},
    {"If-None-Match": "*"},
    {"If-None-Match": 'W/"1"'},
    {"If-Modified-Since": "Sat, 01 Jan 2050 00:00:00 GMT"},
)
WRITING = (
    {},
    {"If-Match": 'W/"1"'},
    {"If-Match": "*"},
    {"If-None-Match": "*"},
    {"Prefer": "return=representation"},
)
TEST = [{"op": "test", "path": "/status", "value": "final"}]
PATCHING = {"Content-Type": "application/json-patch+json"}


class Probe:
    """A practitioner's app that sees laboratory results of p1, and what it is told."""

    def __init__(self, world: SmartWorld, client: httpx2.AsyncClient) -> None:
        self.world, self.client = world, client

    async def same(self, method: str, hidden: str, never: str, **more: Any) -> httpx2.Response:
        """What is hidden and what never was are told in the same words, headers included."""
        answers = []
        for url in (hidden, never):
            given = {name: value(url) if callable(value) else value for name, value in more.items()}
            answers.append(await self.client.request(method, url, **given))
        one, other = answers
        text = one.text
        for here, there in zip(hidden.split("/"), never.split("/"), strict=True):
            text = text.replace(here.partition("?")[0], there.partition("?")[0]) if here != there else text
        skipped = ("x-request-id", "content-length")
        headers = [{name: value for name, value in a.headers.items() if name not in skipped} for a in answers]
        assert (one.status_code, text, headers[0]) == (other.status_code, other.text, headers[1]), hidden
        return one

    async def ids(self, url: str, **more: Any) -> list[str]:
        """The ids of a searchset, whose total is their number."""
        answer = await self.client.request(more.pop("method", "GET"), url, **more)
        assert answer.status_code == 200, answer.text
        bundle = answer.json()
        entries = [one for one in bundle.get("entry", []) if one["search"]["mode"] != "outcome"]
        matches = [one["resource"]["id"] for one in entries if one["search"]["mode"] == "match"]
        assert bundle.get("total", len(matches)) == len(matches), url
        return sorted(one["resource"]["id"] for one in entries)


def lab(id_: str, who: str = "p1", **more: Any) -> dict[str, Any]:
    system, _, code = LAB.partition("|")
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "category": [{"coding": [{"system": system, "code": code}]}],
        "code": {"text": "changed"},
        "subject": {"reference": f"Patient/{who}"},
    } | more


def of(url: str) -> dict[str, Any]:
    return lab(url.rpartition("/")[2])


HIDDEN = ("/fhir/Observation/v1", "/fhir/Observation/o2", "/fhir/Observation/dead", "/fhir/Patient/p2")


async def reads(probe: Probe) -> None:
    assert (await probe.client.get("/fhir/Observation/l1")).status_code == 200
    for hidden in HIDDEN:
        never = hidden.rpartition("/")[0] + "/xx"
        for headers in (
            {},
            {"If-None-Match": "*"},
            {"If-None-Match": 'W/"1"'},
            {"If-Modified-Since": "Sat, 01 Jan 2050 00:00:00 GMT"},
        ):
            assert (await probe.same("GET", hidden, never, headers=headers)).status_code == 404
            await probe.same("GET", f"{hidden}?_elements=id", f"{never}?_elements=id", headers=headers)
    assert (await probe.same("GET", "/fhir/Practitioner/d1", "/fhir/Practitioner/xx")).status_code == 403


async def updates(probe: Probe) -> None:
    for hidden in HIDDEN[:3]:
        never = "/fhir/Observation/xx"
        for headers in (
            {},
            {"If-Match": 'W/"1"'},
            {"If-Match": "*"},
            {"If-None-Match": "*"},
            {"Prefer": "return=representation"},
        ):
            assert (await probe.same("PUT", hidden, never, json=of, headers=headers)).status_code == 404
    moved = await probe.client.put("/fhir/Observation/l1", json=lab("l1", "p2"))
    assert moved.status_code == 403
    other = await probe.client.put("/fhir/Observation/l1", json=lab("l1", category=[]))
    assert other.status_code in (400, 403, 422)
    assert (await probe.client.put("/fhir/Observation/l1", json=lab("l1"))).status_code == 200
    assert (await probe.client.put("/fhir/Patient/p1", json={"resourceType": "Patient", "id": "p1"})).status_code == 403


async def patches(probe: Probe) -> None:
    asked = {"headers": PATCHING}
    for operations in (
        [],
        [{"op": "test", "path": "/status", "value": "final"}],
        [{"op": "remove", "path": "/nothing"}],
    ):
        for hidden in HIDDEN[:3]:
            told = await probe.same("PATCH", hidden, "/fhir/Observation/xx", json=operations, **asked)
            assert told.status_code == 404
    moving = [{"op": "replace", "path": "/subject/reference", "value": "Patient/p2"}]
    assert (await probe.client.patch("/fhir/Observation/l1", json=moving, **asked)).status_code == 403


async def deletes(probe: Probe) -> None:
    for hidden in HIDDEN[:3]:
        for headers in ({}, {"If-Match": 'W/"1"'}):
            assert (await probe.same("DELETE", hidden, "/fhir/Observation/xx", headers=headers)).status_code == 404
    assert (await probe.client.delete("/fhir/Encounter/e1")).status_code == 403


async def bundles(probe: Probe) -> None:
    patch = {
        "resourceType": "Binary",
        "contentType": "application/json-patch+json",
        "data": base64.b64encode(json.dumps(TEST).encode()).decode(),
    }

    def entry(method: str, id_: str) -> dict[str, Any]:
        made: dict[str, Any] = {"request": {"method": method, "url": f"Observation/{id_}"}}
        if method == "PUT":
            made["resource"] = lab(id_)
        if method == "PATCH":
            made["resource"] = patch
        return made

    for kind in ("batch", "transaction"):
        for method in ("GET", "PUT", "PATCH", "DELETE"):
            for hidden in ("v1", "o2", "dead"):
                told = []
                for id_ in (hidden, "xx"):
                    bundle = {"resourceType": "Bundle", "type": kind, "entry": [entry(method, id_)]}
                    told.append(await probe.client.post("/fhir", json=bundle))
                assert told[0].status_code == told[1].status_code
                assert told[0].text.replace(hidden, "xx") == told[1].text, (kind, method, hidden)
                assert '"404' in told[0].text or told[0].status_code == 404
        for where in ("_id=v1", "_id=xx"):
            conditional = {
                "resourceType": "Bundle",
                "type": kind,
                "entry": [{"request": {"method": "DELETE", "url": f"Observation?{where}"}}],
            }
            told.append(await probe.client.post("/fhir", json=conditional))
        assert told[-1].text == told[-2].text
        refs = []
        for name in ("p2", "xx"):
            made = lab("", subject={"reference": f"Patient?_id={name}"})
            body = {
                "resourceType": "Bundle",
                "type": "transaction",
                "entry": [
                    {
                        "resource": {k: v for k, v in made.items() if k != "id"},
                        "request": {"method": "POST", "url": "Observation"},
                    }
                ],
            }
            refs.append(await probe.client.post("/fhir", json=body))
        assert (refs[0].status_code, refs[0].text.replace("p2", "xx")) == (refs[1].status_code, refs[1].text)
        assert refs[0].status_code == 412


async def searches(probe: Probe, ask: Callable[..., Awaitable[list[str]]]) -> None:
    assert await ask("Observation", "") == ["l1"]
    assert await ask("Patient", "") == ["p1"]
    for query in (
        "_id=v1",
        "_id=o2",
        "subject=Patient/p2",
        "subject:Patient.name=okafor",
        "patient.gender=male",
        f"category={quote(LAB.replace('laboratory', 'vital-signs'))}",
        "performer:missing=false",
        "code:text=b",
    ):
        assert await ask("Observation", query) == [], query
    for query in (
        "_has:Observation:patient:code:text=c",
        "_has:Observation:patient:_id=v1",
        "general-practitioner.name=house",
        "_id=p2",
        "name=okafor",
    ):
        assert await ask("Patient", query) == [], query
    included = await ask("Patient", "_revinclude=*&_include=*&_include:iterate=*&_revinclude:iterate=*")
    assert included == ["e1", "l1", "p1"]
    assert await ask("Observation", "_include=*") == ["l1", "p1"]
    assert await ask("Observation", "_sort=-date&_total=none") == ["l1"]


async def by_get(probe: Probe) -> None:
    async def ask(type_: str, query: str) -> list[str]:
        return await probe.ids(f"/fhir/{type_}?{query}")

    await searches(probe, ask)
    for query, total in (
        ("_summary=count", 1),
        ("_count=0", 1),
        ("_id=v1&_summary=count", 0),
        ("subject=Patient/p2&_total=accurate", 0),
    ):
        assert (await probe.client.get(f"/fhir/Observation?{query}")).json()["total"] == total
    for type_ in ("Practitioner", "Condition", "Provenance", "AuditEvent"):
        for query in ("", "?_summary=count", "?_id=d1"):
            refused = await probe.client.get(f"/fhir/{type_}{query}")
            assert refused.status_code == 403
            assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]
    errors = [await probe.client.get(f"/fhir/Observation?{one}") for one in ("date=x&_id=v1", "date=x&_id=xx")]
    assert errors[0].text == errors[1].text


async def by_post(probe: Probe) -> None:
    async def ask(type_: str, query: str) -> list[str]:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        return await probe.ids(f"/fhir/{type_}/_search", method="POST", content=query, headers=form)

    await searches(probe, ask)


async def creates(probe: Probe) -> None:
    for body in (lab("", "p2"), lab("", category=[]), lab("", subject={"display": "nobody"})):
        given = {name: value for name, value in body.items() if name != "id" and value != []}
        told = await probe.client.post("/fhir/Observation", json=given)
        assert told.status_code == 403, told.text
    made = []
    for id_ in ("v1", "never"):
        given = {name: value for name, value in lab("").items() if name != "id"}
        made.append(await probe.client.post("/fhir/Observation", json=given, headers={"If-None-Exist": f"_id={id_}"}))
    assert [one.status_code for one in made] == [201, 201]
    for one in made:
        gone = await probe.client.delete(f"/fhir/Observation/{one.json()['id']}")
        assert gone.status_code in (200, 204)
    blind = {"resourceType": "Condition", "subject": {"reference": "Patient/p1"}}
    answer = await probe.client.post("/fhir/Condition", json=blind)
    assert (answer.status_code, answer.content) == (201, b""), "it may be added, and not be read"
    assert (await probe.client.get(f"/fhir/{answer.headers['location'].partition('/fhir/')[2]}")).status_code == 403


async def conditional_updates(probe: Probe) -> None:
    told = []
    for where in ("_id=v1", "_id=o2", "_id=never"):
        body = {name: value for name, value in lab("", "p2").items() if name != "id"}
        told.append(await probe.client.put(f"/fhir/Observation?{where}", json=body))
    assert {one.status_code for one in told} == {403}
    assert len({one.text for one in told}) == 1


async def conditional_patches(probe: Probe) -> None:
    test = [{"op": "test", "path": "/status", "value": "final"}]
    for where in ("_id=v1", "_id=o2", "code:text=b"):
        told = await probe.client.patch(f"/fhir/Observation?{where}", json=test, headers=PATCHING)
        assert told.status_code == 404


async def conditional_deletes(probe: Probe) -> None:
    told = [await probe.client.delete(f"/fhir/Observation?_id={id_}") for id_ in ("v1", "o2", "never")]
    assert {(one.status_code, one.content) for one in told} == {(204, b"")}


async def of_several(probe: Probe, method: str) -> None:
    async def ask(query: str) -> httpx2.Response:
        if method == "GET":
            return await probe.client.get(f"/fhir?{query}")
        return await probe.client.post("/fhir/_search", data=dict(one.split("=") for one in query.split("&")))

    async def ids(query: str) -> list[str]:
        bundle = (await ask(query)).json()
        assert bundle["total"] == len(bundle.get("entry", ()))
        return sorted(one["resource"]["id"] for one in bundle.get("entry", ()))

    assert await ids("_lastUpdated=gt2000") == ["e1", "l1", "p1"]
    assert await ids("_type=Patient,Observation") == ["l1", "p1"]
    assert await ids("_type=Observation&subject=Patient/p2") == []
    for id_ in ("v1", "o2", "p2", "d1", "g1"):
        assert await ids(f"_id={id_}") == []
    refused = [await ask(f"_type=Patient,{type_}") for type_ in ("Practitioner", "Condition")]
    assert {one.status_code for one in refused} == {403}


async def of_several_by_get(probe: Probe) -> None:
    await of_several(probe, "GET")


async def of_several_by_post(probe: Probe) -> None:
    await of_several(probe, "POST")


async def lastn(probe: Probe) -> None:
    assert await probe.ids("/fhir/Observation/$lastn?patient=p1&category=laboratory,vital-signs&max=9") == ["l1"]
    assert await probe.ids("/fhir/Observation/$lastn?patient=p2&category=laboratory") == []


async def docref(probe: Probe) -> None:
    assert (await probe.client.get("/fhir/DocumentReference/$docref?patient=p1")).status_code == 403


async def everything(probe: Probe) -> None:
    assert await probe.ids("/fhir/Patient/p1/$everything") == ["e1", "l1", "p1"]
    await probe.same("GET", "/fhir/Patient/p2/$everything", "/fhir/Patient/xx/$everything")


async def expansions(probe: Probe) -> None:
    for url in (
        "/fhir/ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/administrative-gender",
        "/fhir/ValueSet/x/$expand",
    ):
        for method in ("GET", "POST"):
            assert (await probe.client.request(method, url)).status_code == 403


def asking(**values: str) -> dict[str, Any]:
    listed = [{"name": name, "valueString": value} for name, value in values.items()]
    return {"json": {"resourceType": "Parameters", "parameter": listed}}


async def lastn_posted(probe: Probe) -> None:
    ask = asking(patient="p1", category="laboratory,vital-signs", max="9")
    assert await probe.ids("/fhir/Observation/$lastn", method="POST", **ask) == ["l1"]
    assert await probe.ids("/fhir/Observation/$lastn?patient=p2&category=laboratory", method="POST") == []


async def docref_posted(probe: Probe) -> None:
    assert (await probe.client.post("/fhir/DocumentReference/$docref?patient=p1")).status_code == 403


async def everything_posted(probe: Probe) -> None:
    ask = asking(_count="50", start="1900")
    assert await probe.ids("/fhir/Patient/p1/$everything", method="POST", **ask) == ["e1", "l1", "p1"]
    await probe.same("POST", "/fhir/Patient/p2/$everything", "/fhir/Patient/xx/$everything")


async def compartments(probe: Probe) -> None:
    assert await probe.ids("/fhir/Patient/p1/Observation") == ["l1"]
    assert await probe.ids("/fhir/Encounter/e1/Observation") == []
    told = await probe.same("GET", "/fhir/Patient/p2/Observation", "/fhir/Patient/xx/Observation")
    assert told.json()["total"] == 0
    assert (await probe.client.get("/fhir/Patient/p1/Condition")).status_code == 403


async def validates_type(probe: Probe) -> None:
    answers = [await probe.client.post("/fhir/Observation/$validate", json=lab("x", who)) for who in ("p2", "xx")]
    assert answers[0].text.replace("p2", "xx") == answers[1].text


async def validates_one(probe: Probe) -> None:
    for hidden in HIDDEN:
        never = hidden.rpartition("/")[0] + "/xx"
        assert (await probe.same("GET", f"{hidden}/$validate", f"{never}/$validate")).status_code == 404
        await probe.same("POST", f"{hidden}/$validate", f"{never}/$validate", json=lab("same"))


async def histories(probe: Probe) -> None:
    for hidden in HIDDEN:
        never = hidden.rpartition("/")[0] + "/xx"
        await probe.same("GET", f"{hidden}/_history", f"{never}/_history")
    told = (await probe.client.get("/fhir/Observation/was/_history")).json()
    shown = [one["resource"]["meta"]["versionId"] for one in told["entry"]]
    assert shown == ["2"], "what it was for another patient is hidden"
    assert "total" not in told


async def versions(probe: Probe) -> None:
    for hidden in HIDDEN:
        never = hidden.rpartition("/")[0] + "/xx"
        assert (await probe.same("GET", f"{hidden}/_history/1", f"{never}/_history/1")).status_code == 404
    was = await probe.client.get("/fhir/Observation/was/_history/1")
    none = await probe.client.get("/fhir/Observation/was/_history/7")
    assert (was.status_code, was.text) == (none.status_code, none.text)


async def history_of_type(probe: Probe) -> None:
    told = (await probe.client.get("/fhir/Observation/_history?_count=100")).json()
    shown = {(one["resource"]["id"], one["resource"]["meta"]["versionId"]) for one in told.get("entry", [])}
    assert shown == {("l1", "1"), ("was", "2")}
    assert told.get("total", 2) == 2
    assert (await probe.client.get("/fhir/Practitioner/_history")).status_code == 403


async def history_of_all(probe: Probe) -> None:
    told = (await probe.client.get("/fhir/_history?_count=100")).json()
    shown = {one["resource"]["id"] for one in told.get("entry", [])}
    assert shown == {"l1", "was", "p1", "e1"}
    assert told.get("total", 5) <= 5


async def metrics(probe: Probe) -> None:
    assert (await probe.client.get("/metrics")).status_code == 403


async def launches(probe: Probe) -> None:
    told = [await probe.client.post("/smart/launch", json={"app": "portal", "patient": id_}) for id_ in ("p2", "xx")]
    assert [one.status_code for one in told] == [404, 404]
    assert told[0].text == told[1].text
    hidden = {"app": "portal", "patient": "p1", "encounter": "e2"}
    told = [await probe.client.post("/smart/launch", json=hidden | {"encounter": id_}) for id_ in ("e2", "xx")]
    assert told[0].text == told[1].text


async def exports(probe: Probe) -> None:
    headers = {"Prefer": "respond-async"}
    for url in ("/fhir/$export", "/fhir/Patient/$export"):
        begun = await probe.client.get(url, headers=headers)
        assert begun.status_code == 202, begun.text
        place = begun.headers["content-location"]
        for _ in range(200):
            status = await probe.client.get(place)
            if status.status_code != 202:
                break
            await asyncio.sleep(0.05)
        assert status.status_code == 200, status.text
        found = {}
        for file in status.json()["output"]:
            lines = (await probe.client.get(file["url"])).text.splitlines()
            found[file["type"]] = sorted(json.loads(line)["id"] for line in lines)
        assert found == {"Encounter": ["e1"], "Observation": ["l1"], "Patient": ["p1"]}
        name = url.strip("/").replace("/", "-").replace("$", "")
        other = {"Authorization": f"Bearer {probe.world.token(name, Role.ADMIN)}"}
        never = place.rpartition("/")[0] + "/never"
        for method in ("GET", "DELETE"):
            told = [await probe.client.request(method, one, headers=other) for one in (place, never)]
            assert [one.status_code for one in told] == [404, 404]
            assert told[0].text == told[1].text


async def group_exports(probe: Probe) -> None:
    headers = {"Prefer": "respond-async"}
    await probe.same("GET", "/fhir/Group/g1/$export", "/fhir/Group/xx/$export", headers=headers)


async def subscriptions(probe: Probe) -> None:
    for url in ("/fhir/Subscription/$status", "/fhir/Subscription/x/$status", "/fhir/Subscription/x/$events"):
        for method in ("GET", "POST"):
            told = await probe.client.request(method, url)
            assert told.status_code == 403, "no patient/ scope opens what is nobody's record"


PROBES: dict[str, dict[str, Callable[[Probe], Awaitable[None]]]] = {
    "/fhir": {"GET": of_several_by_get, "POST": bundles},
    "/fhir/_search": {"POST": of_several_by_post},
    "/fhir/{type:fhirtype}": {
        "GET": by_get,
        "POST": creates,
        "PUT": conditional_updates,
        "PATCH": conditional_patches,
        "DELETE": conditional_deletes,
    },
    "/fhir/_history": {"GET": history_of_all},
    "/fhir/{type:fhirtype}/_history": {"GET": history_of_type},
    "/fhir/{type:fhirtype}/_search": {"POST": by_post},
    "/fhir/{type:fhirtype}/{id:fhirid}": {"GET": reads, "PUT": updates, "PATCH": patches, "DELETE": deletes},
    "/fhir/{type:fhirtype}/{id:fhirid}/_history": {"GET": histories},
    "/fhir/{type:fhirtype}/{id:fhirid}/_history/{version:fhirid}": {"GET": versions},
    "/fhir/{type:fhirtype}/$validate": {"POST": validates_type},
    "/fhir/{type:fhirtype}/{id:fhirid}/$validate": {"GET": validates_one, "POST": validates_one},
    "/fhir/{owner:fhirtype}/{id:fhirid}/{type:fhirtype}": {"GET": compartments},
    "/fhir/Patient/{id:fhirid}/$everything": {"GET": everything, "POST": everything_posted},
    "/fhir/ValueSet/$expand": {"GET": expansions, "POST": expansions},
    "/fhir/ValueSet/{id:fhirid}/$expand": {"GET": expansions, "POST": expansions},
    "/fhir/Observation/$lastn": {"GET": lastn, "POST": lastn_posted},
    "/fhir/DocumentReference/$docref": {"GET": docref, "POST": docref_posted},
    "/fhir/$export": {"GET": exports, "POST": exports},
    "/fhir/Patient/$export": {"GET": exports, "POST": exports},
    "/fhir/Group/{id:fhirid}/$export": {"GET": group_exports, "POST": group_exports},
    "/fhir/$export-status/{job:fhirid}": {"GET": exports, "DELETE": exports},
    "/fhir/$export-file/{job:fhirid}/{name}": {"GET": exports},
    "/fhir/Subscription/$status": {"GET": subscriptions, "POST": subscriptions},
    "/fhir/Subscription/{id:fhirid}/$status": {"GET": subscriptions, "POST": subscriptions},
    "/fhir/Subscription/{id:fhirid}/$events": {"GET": subscriptions, "POST": subscriptions},
    "/metrics": {"GET": metrics},
    "/smart/launch": {"POST": launches},
}
# no health data behind them, or guarded by something other than an access token
OPEN = {
    "/fhir/metadata",
    "/openapi.json",
    "/livez",
    "/readyz",
    "/fhir/.well-known/smart-configuration",
    "/.well-known/smart-configuration",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/smart/jwks.json",
    "/smart/style.css",
    "/smart/authorize",
    "/smart/login",
    "/smart/provider",
    "/smart/callback",
    "/smart/patient",
    "/smart/account",
    "/smart/logout",
    "/smart/consent",
    "/smart/token",
    "/smart/revoke",
    "/smart/introspect",
}


async def filled(made: SmartWorld) -> SmartWorld:
    await made.fill()
    await store(
        made.repository,
        draft("Encounter", "e2", status="finished", subject={"reference": "Patient/p2"}),
        patient("gone", "Gone"),
        seq=2,
    )
    async with made.client(made.token("writer", Role.WRITER)) as client:
        for body in (lab("was", "p2"), lab("was"), lab("dead", "p2")):
            assert (await client.put(f"/fhir/Observation/{body['id']}", json=body)).status_code in (200, 201)
        assert (await client.delete("/fhir/Observation/dead")).status_code == 204
    return made


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[SmartWorld]:
    made = await filled(SmartWorld(tmp_path))
    yield made
    made.close()


@pytest.fixture(params=["in context", "in care"])
async def probe(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Probe]:
    if request.param == "in care":
        world = await filled(SmartWorld(tmp_path, in_care=InCare([Tie.GENERAL_PRACTITIONER])))
        said = await world.access(IN_CARE, user="drake")
        assert "patient" not in said
    else:
        world = await filled(SmartWorld(tmp_path))
        said = await world.access(SCOPE, user="drake", patient="p1")
        assert said["patient"] == "p1"
    world.exports.start()
    async with world.client(said["access_token"]) as client:
        yield Probe(world, client)
    await world.exports.close()
    world.close()


def test_the_probed_app_has_all_that_an_app_can_have() -> None:
    parts = {name for name, one in inspect.signature(create_app).parameters.items() if one.default is None}
    assert parts == {"log", "writing", "exports", "authorization", "subscriptions"}, "give SmartWorld the new part, too"


def test_every_route_has_a_probe(tmp_path: Path) -> None:
    made = SmartWorld(tmp_path)
    served = {(route.path, method) for route in made.app.routes for method in route.methods if method != "HEAD"}
    made.close()
    probed = {(path, method) for path, methods in PROBES.items() for method in methods}
    assert len(probed) > 20
    assert {one for one in served if one[0] not in OPEN} == probed


@pytest.mark.parametrize("check", dict.fromkeys(one for methods in PROBES.values() for one in methods.values()))
async def test_what_is_hidden_is_as_absent_as_what_never_was(
    probe: Probe, check: Callable[[Probe], Awaitable[None]]
) -> None:
    if check not in (histories, versions, history_of_type, history_of_all):
        async with probe.world.client(probe.world.token("cleaner", Role.WRITER)) as client:
            await client.delete("/fhir/Observation/was")
    before = {
        type_: probe.world.repository.search(Query(type_, total_only=True)).total
        for type_ in ("Patient", "Practitioner")
    }
    await check(probe)
    for type_, total in before.items():
        assert probe.world.repository.search(Query(type_, total_only=True)).total == total
    for type_, id_ in (("Observation", "v1"), ("Observation", "o2"), ("Patient", "p2")):
        assert probe.world.repository.get(type_, id_).version == 1


async def test_a_patient_sees_their_own_record_under_user_scopes_too(world: SmartWorld) -> None:
    said = await world.access("user/*.rs")
    async with world.client(said["access_token"]) as client:
        assert (await client.get("/fhir/Patient")).json()["total"] == 1
        assert (await client.get("/fhir/Patient/p2")).status_code == 404
        assert (await client.get("/fhir/Group/g1")).status_code in (403, 404), "a group names its other members"
        assert (await client.get("/fhir/Practitioner/d1")).status_code == 200, "whom a record refers to"
        assert (await client.put("/fhir/Practitioner/d1", json={})).status_code == 403


async def test_a_practitioner_sees_all_patients_under_user_scopes(world: SmartWorld) -> None:
    said = await world.access("user/Patient.rs user/Observation.rs", user="drake")
    assert "patient" not in said
    async with world.client(said["access_token"]) as client:
        assert (await client.get("/fhir/Patient")).json()["total"] == 3
        assert (await client.get("/fhir/Encounter/e1")).status_code == 403


async def test_a_token_without_any_right_at_a_level_sees_nothing(world: SmartWorld) -> None:
    scopes = parse_scopes("patient/*.cruds user/*.cruds system/*.cruds").resources
    for rights in (Rights(scopes, "p1", Person.PATIENT, "p2"), Rights(scopes, "", Person.PATIENT, "")):
        sight = sight_of(Grant("x", Role.WRITER, 0, rights), Interaction.READ)
        assert not sight.sees(world.repository.get("Patient", "p1"))


async def test_constraints_that_cannot_be_kept_open_nothing(world: SmartWorld) -> None:
    world.register(
        "odd",
        world.smart.apps.all()[0].kind,
        ("https://odd.example/",),
        "patient/*.rs?nonsense=1 patient/*.rs?birthdate=x patient/Patient.rs",
    )
    odd = {"client_id": "odd", "redirect_uri": "https://odd.example/"}
    for scope in ("patient/Observation.rs?nonsense=1", "patient/*.rs?nonsense=1", "patient/Patient.rs?birthdate=x"):
        async with world.client() as client:
            browser = Browser(client)
            answer = await browser.exchange(await browser.code(scope, **odd), **odd)
        said = answer.json()
        async with world.client(said["access_token"]) as client:
            told = await client.get("/fhir/Observation/l1")
            assert told.status_code == 403, scope


async def test_a_narrower_token_of_the_same_program_is_not_told_of_events_that_it_may_not_see(
    world: SmartWorld,
) -> None:
    one = Subscription("s1", "app/loader", {"Observation": ((),)}, Asked("https://hilum.example/t", "x"), "active", 0)
    world.store.write_now(lambda connection: put(connection, one))
    told = []
    for scope in (
        "system/Subscription.rs system/Observation.rs",
        f"system/Subscription.rs system/Observation.rs?category={LAB}",
    ):
        async with world.client((await world.backend(scope)).json()["access_token"]) as client:
            answers = [await client.get(f"/fhir/Subscription/s1/{operation}") for operation in ("$status", "$events")]
            answers.append(await client.get("/fhir/Subscription/$status"))
            told.append(([answer.status_code for answer in answers], answers[-1].json()["total"]))
    assert told == [([200, 200, 200], 1), ([403, 403, 200], 0)]
