"""HTTP as other people's clients use it: compression, tags, bodies that are not quite JSON."""

from __future__ import annotations

import gzip
import json
import threading
from typing import Any

import pytest
from api_support import World, code_of, patient, store
from test_api_writes import ADA, writer

from hilum.app.api.writing import WritingRules

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/fhir+json"}


async def test_large_answers_are_compressed_for_who_takes_it() -> None:
    world = World()
    await store(world.repository, *(patient(f"p{n}", f"Family{n}") for n in range(60)))
    async with world.client() as client:
        plain = await client.get("/fhir/Patient", headers={"Accept-Encoding": "identity"})
        packed = await client.get("/fhir/Patient", headers={"Accept-Encoding": "br, gzip;q=0.5"})
        refused = await client.get("/fhir/Patient", headers={"Accept-Encoding": "gzip;q=0, deflate"})
        small = await client.get("/fhir/Patient/p1", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == "accept-encoding"
    assert packed.json()["entry"] == plain.json()["entry"] == refused.json()["entry"]
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 4
    assert all("content-encoding" not in one.headers for one in (plain, refused, small))


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        (b'{"resourceType":"Patient","gender":"male","gender":"female"}', "member-repeated", "stands twice"),
        (b'{"resourceType":"Patient","name":[{"family":"a","family" : "b"}]}', "member-repeated", "stands twice"),
        (b'{"resourceType":"Patient",}', "body-not-json", "byte 26"),
        (b'{"resourceType":"Pat', "body-not-json", "ends too early"),
        (b'{"resourceType":"Patient","name":"\xff"}', "body-not-json", "not UTF-8"),
        (b"[" * 100_000 + b"]" * 100_000, "body-not-json", "nested beyond reason"),
        (b'{"resourceType":"Patient","multipleBirthInteger":1' + b"1" * 5_000 + b"}", "body-not-json", "too long"),
    ],
)
async def test_a_body_that_cannot_be_read_is_told_why(body: bytes, code: str, said: str) -> None:
    world = World()
    async with writer(world) as client:
        refused = await client.post("/fhir/Patient", content=body, headers=JSON)
    assert (refused.status_code, code_of(refused)) == (400, code)
    assert said in refused.json()["issue"][0]["diagnostics"]


@pytest.mark.parametrize(
    "family",
    ['a": b', 'a" : b', '"', '\\":', "a\u2028b"],
)
async def test_texts_that_look_like_members_are_none(family: str) -> None:
    world = World()
    body = {"resourceType": "Patient", "name": [{"family": family}]}
    async with writer(world) as client:
        for written in (json.dumps(body), json.dumps(body, indent=2), json.dumps(body, separators=(" ,", " : "))):
            made = await client.post("/fhir/Patient", content=written.encode(), headers=JSON)
            assert (made.status_code, made.json()["name"]) == (201, [{"family": family}])


async def test_a_byte_order_mark_is_passed_over() -> None:
    world = World()
    async with writer(world) as client:
        made = await client.post("/fhir/Patient", content=b"\xef\xbb\xbf" + json.dumps(ADA).encode(), headers=JSON)
    assert made.status_code == 201


async def test_a_compressed_body_is_refused_and_not_guessed_at() -> None:
    world = World()
    async with writer(world) as client:
        packed = gzip.compress(json.dumps(ADA).encode())
        refused = await client.post("/fhir/Patient", content=packed, headers={**JSON, "Content-Encoding": "gzip"})
    assert (refused.status_code, code_of(refused)) == (415, "media-unsupported")
    assert refused.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("tag", "status"),
    [('W/"1"', 200), ('"1"', 200), ("1", 200), ('W/"7"', 412), ("7", 412), ('"x"', 412), ("garbage", 400), ("{}", 400)],
)
async def test_versions_are_guarded_by_tags(tag: str, status: int) -> None:
    world = World()
    await store(world.repository, patient("a", "Adler"))
    async with writer(world) as client:
        done = await client.put("/fhir/Patient/a", json={**ADA, "id": "a"}, headers={"If-Match": tag})
        entry: dict[str, Any] = {"method": "PUT", "url": "Patient/a", "ifMatch": tag}
        sent = {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [{"request": entry, "resource": {**ADA, "id": "a"}}],
        }
        if status != 200:
            assert (await client.post("/fhir", json=sent)).status_code == status
    assert done.status_code == status


async def test_an_indented_answer_says_the_same_with_the_same_numbers() -> None:
    world = World()
    body = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "valueQuantity": {"value": 1}}
    raw = json.dumps(body).replace('"value": 1', '"value": 1.50').encode()
    async with writer(world) as client:
        id_ = (await client.post("/fhir/Observation", content=raw, headers=JSON)).json()["id"]
        plain = await client.get(f"/fhir/Observation/{id_}")
        lines = await client.get(f"/fhir/Observation/{id_}?_pretty=true")
        head = await client.head(f"/fhir/Observation/{id_}?_pretty=true")
        same = await client.get(f"/fhir/Observation/{id_}?_pretty=false")
        found = await client.get("/fhir/Observation?_pretty=true", headers={"Prefer": "handling=strict"})
        unchanged = await client.get(
            f"/fhir/Observation/{id_}?_pretty=true", headers={"If-None-Match": plain.headers["etag"]}
        )
        missing = await client.get("/fhir/Observation/nothing?_pretty=true")
        misdirected = await client.put("/fhir/metadata?_pretty=true")
    for refused in (missing, misdirected):
        assert refused.json()["resourceType"] == "OperationOutcome"
        assert b"\n  " in refused.content, "errors are read by people, too"
    assert lines.json() == plain.json()
    assert b'\n    "value": 1.50\n' in lines.content
    assert lines.headers["etag"] == plain.headers["etag"]
    assert head.headers["content-length"] == str(len(lines.content))
    assert same.content == plain.content
    assert found.json()["total"] == 1
    assert b"\n" in found.content
    assert (unchanged.status_code, unchanged.content) == (304, b"")


@pytest.mark.parametrize(("release", "status"), [("4.0", 201), ('"4.0.1"', 201), ("3.0", 415), ("5.0", 415)])
async def test_bodies_of_another_release_are_refused(release: str, status: int) -> None:
    world = World()
    async with writer(world) as client:
        media = {"Content-Type": f"application/fhir+json; fhirVersion={release}"}
        answer = await client.post("/fhir/Patient", json=ADA, headers=media)
    assert answer.status_code == status


async def test_a_plus_that_arrives_as_a_space_is_part_of_a_time() -> None:
    world = World()
    await store(world.repository, patient("p1", "Adler"))
    async with world.client() as client:
        found = await client.get("/fhir/Patient?_lastUpdated=gt2001-01-01T00:00:00+02:00")
        past = await client.get("/fhir/Patient/_history?_since=2001-01-01T00:00:00+02:00")
        wrong = await client.get("/fhir/Patient?_lastUpdated=gt2001-01-01 00:00")
    assert (found.json()["total"], past.status_code, wrong.status_code) == (1, 200, 400)


@pytest.mark.parametrize("name", ["family:not", "gender:in", "birthdate:exact", "_id:exact"])
async def test_a_modifier_that_is_not_offered_is_refused_though_handling_is_lenient(name: str) -> None:
    world = World()
    async with world.client(Prefer="handling=lenient") as client:
        answer = await client.get(f"/fhir/Patient?{name}=x")
        unknown = await client.get("/fhir/Patient?shoesize:exact=x")
    assert (answer.status_code, code_of(answer)) == (400, "search-modifier-unknown")
    assert unknown.status_code == 200


async def test_large_bodies_are_judged_beside_the_event_loop() -> None:
    threads: list[threading.Thread] = []

    def judge(_: bytes) -> tuple[()]:
        threads.append(threading.current_thread())
        return ()

    world = World(writing=WritingRules(validate=judge))
    large = {**ADA, "name": [{"family": "x" * 200} for _ in range(1_000)]}
    async with writer(world) as client:
        id_ = (await client.post("/fhir/Patient", json=large)).json()["id"]
        await client.put(f"/fhir/Patient/{id_}", json={**large, "id": id_, "active": True})
        await client.post("/fhir/Patient/$validate", json=large)
        await client.get(f"/fhir/Patient/{id_}/$validate")
        patch = [{"op": "add", "path": "/gender", "value": "male"}]
        await client.patch(f"/fhir/Patient/{id_}", json=patch, headers={"Content-Type": "application/json-patch+json"})
    assert len(threads) == 5
    assert threading.main_thread() not in threads


async def test_references_by_a_condition_are_refused_where_nothing_resolves_them() -> None:
    world, reference = World(), "Patient?identifier=urn:x|1"
    await store(world.repository, patient("p1", "Adler"))
    body = {"resourceType": "Observation", "id": "o1", "status": "final", "code": {"text": "x"}}
    bad = body | {"subject": {"reference": reference}}
    entry = {"resource": bad, "request": {"method": "POST", "url": "Observation"}}
    async with writer(world) as client:
        answers = [
            await client.post("/fhir/Observation", json=bad),
            await client.put("/fhir/Observation/o1", json=bad),
        ]
        assert (await client.put("/fhir/Observation/o1", json=body)).status_code == 201
        patch = [{"op": "add", "path": "/subject", "value": {"reference": reference}}]
        answers.append(await client.patch("/fhir/Observation/o1", json=patch))
        batch = await client.post("/fhir", json={"resourceType": "Bundle", "type": "batch", "entry": [entry]})
    for refused in answers:
        assert (refused.status_code, code_of(refused)) == (422, "reference-unresolved"), refused.text
        assert refused.json()["issue"][0]["expression"] == ["Observation.subject"]
    assert batch.json()["entry"][0]["response"]["status"].startswith("422")


async def test_a_query_in_an_absolute_reference_or_a_text_is_no_condition() -> None:
    world = World()
    body = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "urn:x? a question?"},
        "subject": {"reference": "https://elsewhere.example/fhir/Patient/1?x=y"},
        "encounter": {"reference": "urn:uuid:0a2b8d2c-2f0b-4b8f-9a3d-3c9f4f6d7a11"},
    }
    async with writer(world) as client:
        made = await client.post("/fhir/Observation", json=body)
    assert made.status_code == 201, made.text
    assert made.json()["encounter"] == body["encounter"]


async def test_a_head_that_is_too_large_is_refused_however_it_arrives() -> None:
    world = World()
    async with world.client() as client:
        refused = await client.get("/fhir/Patient", headers={"X-Long": "a" * 33_000})
    assert (refused.status_code, code_of(refused)) == (431, "head-too-large")


async def test_a_document_keeps_the_references_among_its_own_entries() -> None:
    world = World()
    name = "urn:uuid:0a2b8d2c-2f0b-4b8f-9a3d-3c9f4f6d7a11"
    about = {"resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": name}}
    document = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {"fullUrl": name, "resource": {"resourceType": "Patient"}},
            {"fullUrl": "urn:uuid:0a2b8d2c-2f0b-4b8f-9a3d-3c9f4f6d7a12", "resource": about},
        ],
    }
    entry = {"resource": document, "request": {"method": "POST", "url": "Bundle"}}
    async with writer(world) as client:
        made = await client.post("/fhir/Bundle", json=document)
        sent = await client.post("/fhir", json={"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
        at = sent.json()["entry"][0]["response"]["location"]
        kept = (await client.get(at)).json()
    assert made.status_code == 201, made.text
    assert kept["entry"][1]["resource"]["subject"]["reference"] == name
