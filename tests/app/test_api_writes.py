"""Writing through the API: one resource at a time."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest
from api_support import FHIR, World, code_of, patient, store

from hilum.app.tokens import Role
from hilum.errors import StoreFull

pytestmark = pytest.mark.anyio

ADA = {"resourceType": "Patient", "name": [{"family": "Adler", "given": ["Ada"]}], "gender": "female"}
MR = {"identifier": [{"system": "urn:oid:1.2.3", "value": "7"}]}
PATCH = {"Content-Type": "application/json-patch+json"}


def writer(world: World, name: str = "writer", **headers: str) -> Any:
    return world.client(world.token(name, Role.WRITER), **headers)


async def test_a_create_gives_id_version_time_and_place() -> None:
    world = World()
    async with writer(world) as client:
        made = await client.post("/fhir/Patient", json={**ADA, "id": "mine", "meta": {"versionId": "9"}})
        body = made.json()
        read = await client.get(f"/fhir/Patient/{body['id']}")
    assert made.status_code == 201
    assert body["id"] != "mine"
    assert body["meta"]["versionId"] == "1"
    assert made.headers["location"] == f"{FHIR}/Patient/{body['id']}/_history/1"
    assert (made.headers["etag"], made.headers["last-modified"]) == (
        read.headers["etag"],
        read.headers["last-modified"],
    )
    assert read.json() == body
    assert world.audited[0] == ("writer", "create", f"Patient/{body['id']}", "ok")


async def test_decimals_and_unicode_come_back_as_they_were_written() -> None:
    world = World()
    text = '{"resourceType": "Observation", "status": "final", "code": {"text": "Größe"},'
    text += '\n "valueQuantity": {"value": 1.10}}'
    async with writer(world, **{"Content-Type": "application/fhir+json"}) as client:
        made = await client.post("/fhir/Observation", content=text.encode())
    assert b'"value":1.10' in made.content
    assert made.json()["code"]["text"] == "Größe"


@pytest.mark.parametrize(
    ("prefer", "kind"), [("", "Patient"), ("return=minimal", ""), ("return=OperationOutcome", "OperationOutcome")]
)
async def test_prefer_says_what_comes_back(prefer: str, kind: str) -> None:
    world = World()
    async with writer(world, Prefer=prefer) as client:
        made = await client.post("/fhir/Patient", json=ADA)
    assert made.status_code == 201
    assert (made.json()["resourceType"] if made.content else "") == kind


async def test_an_update_makes_a_version_and_may_create() -> None:
    world = World()
    async with writer(world) as client:
        first = await client.put("/fhir/Patient/mine", json={**ADA, "id": "mine"})
        second = await client.put("/fhir/Patient/mine", json={**ADA, "id": "mine", "gender": "other"})
        same = await client.put("/fhir/Patient/mine", json={**ADA, "id": "mine", "gender": "other"})
        found = (await client.get("/fhir/Patient?gender=other")).json()
    assert (first.status_code, second.status_code, same.status_code) == (201, 200, 200)
    assert (second.headers["etag"], same.headers["etag"]) == ('W/"2"', 'W/"2"')
    assert found["total"] == 1


async def test_update_as_create_can_be_switched_off() -> None:
    from hilum.app.api import WritingRules

    world = World(writing=WritingRules(update_creates=False))
    async with writer(world) as client:
        refused = await client.put("/fhir/Patient/mine", json={**ADA, "id": "mine"})
    assert (refused.status_code, code_of(refused)) == (405, "create-by-id-refused")


async def test_if_match_guards_against_others_changes() -> None:
    world = World()
    async with writer(world) as client:
        await client.put("/fhir/Patient/a", json={**ADA, "id": "a"})
        for tag, status in (('W/"7"', 412), ('"nonsense"', 412), ('W/"1"', 200), ("*", 200), ('"1", "2"', 200)):
            body = {**ADA, "id": "a", "gender": "male"}
            done = await client.put("/fhir/Patient/a", json=body, headers={"If-Match": tag})
            assert done.status_code == status, tag
            if status == 412:
                assert code_of(done) == "version-conflict"
        absent = await client.put("/fhir/Patient/b", json={**ADA, "id": "b"}, headers={"If-Match": "*"})
        exists = await client.put("/fhir/Patient/a", json={**ADA, "id": "a"}, headers={"If-None-Match": "*"})
        stale = await client.delete("/fhir/Patient/a", headers={"If-Match": 'W/"1"'})
    assert [one.status_code for one in (absent, exists, stale)] == [412, 412, 412]


async def test_what_was_deleted_is_gone_and_deleting_it_again_is_fine() -> None:
    world = World()
    async with writer(world) as client:
        await client.put("/fhir/Patient/a", json={**ADA, "id": "a"})
        assert (await client.delete("/fhir/Patient/a")).status_code == 204
        assert (await client.delete("/fhir/Patient/a")).status_code == 204
        assert (await client.delete("/fhir/Patient/never")).status_code == 204
        gone = await client.get("/fhir/Patient/a")
        assert (gone.status_code, code_of(gone)) == (410, "resource-gone")
        assert (await client.get("/fhir/Patient/a/_history/1")).status_code == 200
        assert (await client.get("/fhir/Patient?_id=a")).json()["total"] == 0
        told = await client.delete("/fhir/Patient/a", headers={"Prefer": "return=OperationOutcome"})
        assert told.json()["resourceType"] == "OperationOutcome"
        back = await client.put("/fhir/Patient/a", json={**ADA, "id": "a"})
        assert (back.status_code, back.headers["etag"]) == (201, 'W/"3"')


async def test_a_conditional_create_stays_single_under_many_clients() -> None:
    world = World()
    async with writer(world, **{"If-None-Exist": "identifier=urn:oid:1.2.3|7"}) as client:
        made = await asyncio.gather(*(client.post("/fhir/Patient", json={**ADA, **MR}) for _ in range(8)))
        total = (await client.get("/fhir/Patient")).json()["total"]
    assert sorted(one.status_code for one in made) == [200] * 7 + [201]
    assert len({one.json()["id"] for one in made}) == 1
    assert total == 1


async def test_conditional_update_and_delete() -> None:
    world = World()
    where = "/fhir/Patient?identifier=urn:oid:1.2.3|7"
    async with writer(world) as client:
        made = await client.put(where, json={**ADA, **MR})
        changed = await client.put(where, json={**ADA, **MR, "gender": "male"})
        wrong = await client.put(where, json={**ADA, **MR, "id": "other"})
        patched = await client.patch(where, json=[{"op": "remove", "path": "/gender"}], headers=PATCH)
        await client.post("/fhir/Patient", json={**ADA, **MR})
        many = [await client.put(where, json={**ADA, **MR}), await client.delete(where)]
        many.append(await client.patch(where, json=[], headers=PATCH))
        none = await client.delete("/fhir/Patient?identifier=nobody")
    assert (made.status_code, changed.status_code) == (201, 200)
    assert made.json()["id"] == changed.json()["id"] == patched.json()["id"]
    assert (wrong.status_code, code_of(wrong)) == (400, "id-mismatch")
    assert [(one.status_code, code_of(one)) for one in many] == [(412, "match-not-unique")] * 3
    assert none.status_code == 204


@pytest.mark.parametrize("where", ["", "shoe-size=44", "_count=5", "identifier="])
async def test_a_condition_that_cannot_be_used_whole_writes_nothing(where: str) -> None:
    world = World()
    async with writer(world) as client:
        done = [await client.put(f"/fhir/Patient?{where}", json=ADA), await client.delete(f"/fhir/Patient?{where}")]
        done.append(await client.post("/fhir/Patient", json=ADA, headers={"If-None-Exist": where or "x=1"}))
        assert (await client.get("/fhir/Patient")).json()["total"] == 0
    assert all(one.status_code in (400, 412) for one in done)


async def test_a_json_patch_changes_what_it_names() -> None:
    world = World()
    async with writer(world) as client:
        await client.put("/fhir/Patient/a", json={**ADA, "id": "a"})
        operations = [
            {"op": "test", "path": "/gender", "value": "female"},
            {"op": "replace", "path": "/name/0/family", "value": "Berger"},
        ]
        done = await client.patch("/fhir/Patient/a", json=operations, headers=PATCH)
        assert (done.status_code, done.json()["name"][0]["family"]) == (200, "Berger")
        failed = await client.patch("/fhir/Patient/a", json=[{"op": "remove", "path": "/x"}], headers=PATCH)
        assert (failed.status_code, code_of(failed)) == (422, "patch-path-missing")
        moved = [{"op": "replace", "path": "/id", "value": "b"}]
        assert (await client.patch("/fhir/Patient/a", json=moved, headers=PATCH)).status_code == 422
        stale = await client.patch("/fhir/Patient/a", json=operations, headers={**PATCH, "If-Match": 'W/"1"'})
        assert (stale.status_code, code_of(stale)) == (412, "version-conflict")
        assert (await client.patch("/fhir/Patient/b", json=operations, headers=PATCH)).status_code == 404
        plain = {"Content-Type": "text/plain"}
        assert (await client.patch("/fhir/Patient/a", json=operations, headers=plain)).status_code == 415


async def test_a_fhirpath_patch_changes_what_it_names() -> None:
    world = World()
    await store(world.repository, patient("a", "Adler", gender="female"))
    parts = [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": "Patient.gender"},
        {"name": "value", "valueCode": "other"},
    ]
    body = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}
    bad = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts[:1]}]}
    async with writer(world) as client:
        for media in ("application/fhir+json; charset=utf-8", "application/json"):
            done = await client.patch("/fhir/Patient/a", json=body, headers={"Content-Type": media})
            assert (done.status_code, done.json()["gender"]) == (200, "other")
        failed = await client.patch("/fhir/Patient/a", json=bad, headers={"Content-Type": "application/fhir+json"})
        assert (failed.status_code, code_of(failed)) == (422, "patch-invalid")
        for content, media in (
            (b"<x/>", "application/fhir+xml"),
            (b"{}", ""),
            (b'{"gender":"male"}', "application/fhir+json"),
        ):
            refused = await client.patch("/fhir/Patient/a", content=content, headers={"Content-Type": media})
            assert (refused.status_code, code_of(refused)) == (415, "media-unsupported")


@pytest.mark.parametrize("media", ["application/merge-patch+json", "application/json"])
async def test_a_merge_patch_changes_what_it_says(media: str) -> None:
    world = World()
    await store(world.repository, patient("a", "Adler", gender="female", birthDate="1970", maritalStatus={"text": "m"}))
    changes = {"gender": "other", "birthDate": None, "maritalStatus": {"coding": [{"code": "M"}]}}
    async with writer(world) as client:
        done = (await client.patch("/fhir/Patient/a", json=changes, headers={"Content-Type": media})).json()
        other = await client.patch("/fhir/Patient/a", json={"id": "b"}, headers={"Content-Type": media})
    assert (done["gender"], "birthDate" in done, done["name"]) == ("other", False, [{"family": "Adler"}])
    assert done["maritalStatus"] == {"text": "m", "coding": [{"code": "M"}]}
    assert (other.status_code, code_of(other)) == (422, "id-mismatch")


@pytest.mark.parametrize("before", ["", "?", "Patient?", "https://hilum.example/fhir/Patient?"])
async def test_a_condition_of_a_create_is_written_in_several_ways(before: str) -> None:
    world = World()
    await store(world.repository, patient("a", "Adler", gender="female"))
    where = f"{before}family=adler&gender=female"
    entry = {"request": {"method": "POST", "url": "Patient", "ifNoneExist": where}, "resource": ADA}
    async with writer(world) as client:
        found = await client.post("/fhir/Patient", json=ADA, headers={"If-None-Exist": where})
        other = await client.post("/fhir/Patient", json=ADA, headers={"If-None-Exist": "Observation?family=adler"})
        together = await client.post("/fhir", json={"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
    assert (found.status_code, found.json()["id"]) == (200, "a")
    assert (other.status_code, code_of(other)) == (400, "search-parameter-unknown")
    assert together.json()["entry"][0]["response"]["status"] == "200 OK"


async def test_a_slash_at_the_end_of_an_address_changes_nothing() -> None:
    world = World()
    await store(world.repository, patient("a", "Adler"))
    sent = {"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", "url": "Patient/a"}}]}
    async with writer(world) as client:
        assert (await client.post("/fhir/", json=sent)).json()["entry"][0]["response"]["status"] == "200 OK"
        assert (await client.get("/fhir/Patient/?_id=a")).json()["total"] == 1
        assert (await client.get("/fhir/Patient/a/")).json()["id"] == "a"
        assert (await client.get("/fhir/Patient//")).status_code == 404


async def test_patches_at_once_all_count() -> None:
    world = World()
    async with writer(world) as client:
        await client.put("/fhir/Patient/a", json={**ADA, "id": "a", "name": [{"given": ["x"]}]})
        patch = [{"op": "add", "path": "/name/0/given/-", "value": "y"}]
        done = await asyncio.gather(*(client.patch("/fhir/Patient/a", json=patch, headers=PATCH) for _ in range(4)))
        given = (await client.get("/fhir/Patient/a")).json()["name"][0]["given"]
    assert [one.status_code for one in done] == [200] * 4
    assert given == ["x", "y", "y", "y", "y"]


BAD = [
    (b"", 400, "body-not-json"),
    (b"{", 400, "body-not-json"),
    (b"\xff\xfe{}", 400, "body-not-json"),
    (b"[" * 100_000, 400, "body-not-json"),
    (b"[]", 400, "resource-not-object"),
    (b"{}", 400, "resource-type-wrong"),
    (b'{"resourceType":"Observation"}', 400, "resource-type-wrong"),
    (b'{"resourceType":"Patient","id":"a b"}', 400, "id-invalid"),
    (b'{"resourceType":"Patient","id":7}', 400, "id-invalid"),
    (b'{"resourceType":"Patient","gender":null}', 422, ""),
    (b'{"resourceType":"Patient","name":[]}', 422, ""),
    (b'{"resourceType":"Patient","name":[{"family":""}]}', 422, ""),
    (b'{"resourceType":"Patient","name":[{"family":"a\\u0000"}]}', 422, ""),
    (b'{"resourceType":"Patient","gender":"unsure"}', 422, ""),
    (b'{"resourceType":"Patient","birthDate":"2023-02-30"}', 422, ""),
    (b'{"resourceType":"Patient","deceasedBoolean":true,"deceasedDateTime":"2023"}', 422, ""),
    (b'{"resourceType":"Patient","shoeSize":44}', 422, ""),
]


@pytest.mark.parametrize(("body", "status", "code"), BAD)
async def test_what_may_not_be_stored_is_refused_with_a_code(body: bytes, status: int, code: str) -> None:
    world = World()
    async with writer(world, **{"Content-Type": "application/fhir+json"}) as client:
        refused = await client.post("/fhir/Patient", content=body)
        assert (await client.get("/fhir/Patient")).json()["total"] == 0
    assert (refused.status_code, code_of(refused)) == (status, code or code_of(refused))
    assert world.audited[0] == ("writer", "create", "Patient", code or "resource-invalid")


async def test_xml_is_refused_both_ways() -> None:
    world = World()
    async with writer(world) as client:
        sent = await client.post(
            "/fhir/Patient", content=b"<Patient/>", headers={"Content-Type": "application/fhir+xml"}
        )
        asked = await client.post("/fhir/Patient", json=ADA, headers={"Accept": "application/fhir+xml"})
        latin = {"Content-Type": "application/fhir+json; charset=latin-1"}
        other = await client.post("/fhir/Patient", content=b"{}", headers=latin)
    assert (sent.status_code, code_of(sent)) == (415, "media-unsupported")
    assert (asked.status_code, code_of(asked)) == (406, "format-unsupported")
    assert other.status_code == 415


async def test_only_writers_write() -> None:
    world = World()
    body = {**ADA, "id": "a"}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry("POST", "Patient", ADA)]}
    for role in (Role.READER, Role.OPERATOR):
        async with world.client(world.token(role.value, role)) as client:
            done = [
                await client.post("/fhir/Patient", json=ADA),
                await client.put("/fhir/Patient/a", json=body),
                await client.delete("/fhir/Patient/a"),
                await client.patch("/fhir/Patient/a", json=[], headers=PATCH),
                await client.post("/fhir", json=bundle),
            ]
            assert [(one.status_code, code_of(one)) for one in done] == [(403, "permission-denied")] * 5
    assert world.repository.type_counts() == {}
    async with world.client(None) as client:
        assert (await client.post("/fhir/Patient", json=ADA)).status_code == 401


def entry(method: str, url: str, resource: Any = None, **request: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"request": {"method": method, "url": url, **request}}
    return made if resource is None else {**made, "resource": resource}


async def test_a_write_that_cannot_be_audited_or_stored_is_not_done() -> None:
    world = World()
    async with writer(world) as client:
        world.journal.failure = StoreFull("full")
        refused = await client.post("/fhir/Patient", json=ADA)
        assert refused.status_code == 503
        world.journal.failure = None
        assert (await client.get("/fhir/Patient")).json()["total"] == 0


async def test_a_message_does_not_overwrite_what_the_api_wrote() -> None:
    world = World()
    async with writer(world) as client:
        await store(world.repository, patient("p1", "Berger", gender="male"))
        read = (await client.get("/fhir/Patient/p1")).json()
        await client.put("/fhir/Patient/p1", json={**read, "gender": "other"})
        await store(world.repository, patient("p1", "Cohen", gender="male"), seq=2)
        after = (await client.get("/fhir/Patient/p1")).json()
    assert (after["name"][0]["family"], after["gender"]) == ("Cohen", "other")


async def test_validate_says_what_is_wrong_and_stores_nothing() -> None:
    world = World()

    async def told(response: httpx2.Response) -> tuple[int, str]:
        return response.status_code, code_of(response)

    async with writer(world) as client:
        wrapped = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": ADA}]}
        assert await told(await client.post("/fhir/Patient/$validate", json=ADA)) == (200, "resource-valid")
        assert await told(await client.post("/fhir/Patient/$validate", json=wrapped)) == (200, "resource-valid")
        bad = {**ADA, "name": []}
        assert await told(await client.post("/fhir/Patient/$validate", json=bad)) != (200, "resource-valid")
        assert (await client.get("/fhir/Patient")).json()["total"] == 0
        await client.put("/fhir/Patient/a", json={**ADA, "id": "a"})
        assert await told(await client.get("/fhir/Patient/a/$validate")) == (200, "resource-valid")
        assert await told(await client.get("/fhir/Patient/b/$validate")) == (404, "resource-unknown")
