"""Batches and transactions."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from api_support import BASE, FHIR, World, code_of, patient, store

from hilum.app.tokens import Role
from shared_data import SHARED, needs_shared

pytestmark = pytest.mark.anyio

ADA = {"resourceType": "Patient", "name": [{"family": "Adler"}]}
MR = {"identifier": [{"system": "urn:oid:1.2.3", "value": "7"}]}
LAB = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}


def writer(world: World, **headers: str) -> Any:
    return world.client(world.token("writer", Role.WRITER), **headers)


def entry(method: str, url: str, resource: Any = None, full_url: str = "", **request: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"request": {"method": method, "url": url, **request}}
    if full_url:
        made["fullUrl"] = full_url
    return made if resource is None else {**made, "resource": resource}


def bundle(kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def statuses(answer: dict[str, Any]) -> list[str]:
    return [one["response"]["status"].split()[0] for one in answer["entry"]]


async def test_a_transaction_ties_its_resources_together() -> None:
    world = World()
    sent = bundle(
        "transaction",
        entry("POST", "Observation", {**LAB, "subject": {"reference": "urn:uuid:1"}}),
        entry("POST", "Patient", {**ADA, **MR}, "urn:uuid:1", ifNoneExist="identifier=urn:oid:1.2.3|7"),
        entry("PUT", "Organization/o", {"resourceType": "Organization", "id": "o", "name": "Ward"}),
        entry("GET", "Observation?status=final"),
        entry("DELETE", "Patient/never"),
    )
    async with writer(world) as client:
        answer = await client.post("/fhir", json=sent)
        again = await client.post("/fhir", json=sent)
        labs = (await client.get("/fhir/Observation?_include=Observation:subject")).json()
    assert answer.status_code == 200
    assert (answer.json()["type"], statuses(answer.json())) == (
        "transaction-response",
        ["201", "201", "201", "200", "204"],
    )
    assert statuses(again.json()) == ["201", "200", "200", "200", "204"]
    assert answer.json()["entry"][3]["resource"]["total"] == 1
    assert answer.json()["entry"][0]["response"]["location"].startswith(f"{FHIR}/Observation/")
    person = answer.json()["entry"][1]["response"]["location"].split("/")[-3]
    found = [one["resource"] for one in labs["entry"]]
    assert [one["subject"]["reference"] for one in found if one["resourceType"] == "Observation"] == [
        f"Patient/{person}"
    ] * 2
    assert [one["id"] for one in found if one["resourceType"] == "Patient"] == [person]
    actions = [row for row in world.audited if row[1] == "transaction"]
    assert len(actions) == 8


async def test_one_bad_entry_undoes_a_transaction() -> None:
    world = World()
    bad = [
        (entry("POST", "Patient", {"resourceType": "Patient", "name": []}), 422),
        (entry("PUT", "Patient/b", {**ADA, "id": "b"}, ifMatch='W/"3"'), 412),
        (entry("POST", "Observation", {**LAB, "subject": {"reference": "urn:uuid:nowhere"}}), 400),
        (entry("POST", "Observation", {**LAB, "subject": {"reference": "Patient?identifier=nobody"}}), 412),
        (entry("PUT", "Patient/b", {**ADA, "id": "c"}), 400),
        (entry("POST", "Shoe", {"resourceType": "Shoe"}), 404),
        (entry("POST", "Patient/b", ADA), 400),
        (entry("PUT", "Patient", {**ADA}), 400),
        (entry("PUT", "http://other.example/Patient/b", {**ADA, "id": "b"}), 400),
        (entry("JUMP", "Patient", ADA), 400),
        ({"resource": ADA}, 400),
        (entry("POST", "Patient", ADA, "urn:uuid:1"), 400),
        (entry("PUT", "Patient/a", {**ADA, "id": "a"}), 400),
    ]
    async with writer(world) as client:
        for one, status in bad:
            good = entry("POST", "Patient", ADA, "urn:uuid:1")
            put = entry("PUT", "Patient/a", {**ADA, "id": "a"})
            refused = await client.post("/fhir", json=bundle("transaction", good, put, one))
            assert refused.status_code == status, one
            code_of(refused)
        assert world.repository.type_counts() == {}


async def test_an_error_names_its_entry() -> None:
    world = World()
    sent = bundle("transaction", entry("POST", "Patient", ADA), entry("POST", "Patient", {**ADA, "name": []}))
    async with writer(world) as client:
        (issue,) = (await client.post("/fhir", json=sent)).json()["issue"]
    assert issue["expression"] == ["Bundle.entry[1]", "Patient.name"]


async def test_conditional_references_and_absolute_urls_are_resolved() -> None:
    world = World()
    await store(world.repository, patient("p1", "Berger", **MR))
    sent = bundle(
        "transaction",
        entry("POST", "Observation", {**LAB, "subject": {"reference": "Patient?identifier=urn:oid:1.2.3|7"}}),
        entry("POST", "Patient", ADA, "http://hospital.example/fhir/Patient/77"),
        entry("POST", "Observation", {**LAB, "subject": {"reference": "Patient/77"}}),
    )
    async with writer(world, Prefer="return=representation") as client:
        answer = (await client.post("/fhir", json=sent)).json()
    first, person, second = (one["resource"] for one in answer["entry"])
    assert first["subject"]["reference"] == "Patient/p1"
    assert second["subject"]["reference"] == f"Patient/{person['id']}"


async def test_a_transaction_patches() -> None:
    world = World()
    await store(world.repository, patient("p1", "Berger"))
    patch = base64.b64encode(json.dumps([{"op": "add", "path": "/gender", "value": "male"}]).encode()).decode()
    binary = {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": patch}
    async with writer(world) as client:
        answer = await client.post("/fhir", json=bundle("transaction", entry("PATCH", "Patient/p1", binary)))
        alone = await client.post("/fhir", json=bundle("batch", entry("PATCH", "Patient/p1", binary)))
        assert (await client.get("/fhir/Patient/p1")).json()["gender"] == "male"
    assert statuses(answer.json()) == statuses(alone.json()) == ["200"]


def setting(gender: str) -> dict[str, Any]:
    """A FHIRPath Patch."""
    parts = [
        {"name": "type", "valueCode": "add"},
        {"name": "path", "valueString": "Patient"},
        {"name": "name", "valueString": "gender"},
        {"name": "value", "valueCode": gender},
    ]
    return {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_bundles_take_conditional_and_fhirpath_patches(kind: str) -> None:
    world = World()
    await store(world.repository, patient("p1", "Berger", **MR), patient("p2", "Carus"), patient("p3", "Carus"))
    async with writer(world) as client:
        found = await client.post("/fhir", json=bundle(kind, entry("PATCH", "Patient?family=berger", setting("male"))))
        by_id = await client.post("/fhir", json=bundle(kind, entry("PATCH", "Patient/p2", setting("other"))))
        told = []
        for url in ("Patient?family=carus", "Patient?family=nobody", "Patient?shoes=1"):
            answer = await client.post("/fhir", json=bundle(kind, entry("PATCH", url, setting("male"))))
            told.append(int(statuses(answer.json())[0]) if kind == "batch" else answer.status_code)
        genders = [(await client.get(f"/fhir/Patient/{id_}")).json().get("gender") for id_ in ("p1", "p2", "p3")]
    assert statuses(found.json()) == statuses(by_id.json()) == ["200"]
    assert told == [412, 404, 400]
    assert genders == ["male", "other", None]


async def test_a_transaction_deletes_on_a_condition() -> None:
    world = World()
    await store(world.repository, patient("p1", "Berger"), patient("p2", "Carus"), patient("p3", "Carus"))
    async with writer(world) as client:
        gone = await client.post("/fhir", json=bundle("transaction", entry("DELETE", "Patient?family=berger")))
        none = await client.post("/fhir", json=bundle("transaction", entry("DELETE", "Patient?family=berger")))
        many = await client.post(
            "/fhir", json=bundle("transaction", entry("POST", "Patient", ADA), entry("DELETE", "Patient?family=carus"))
        )
        left = (await client.get("/fhir/Patient")).json()["total"]
    assert statuses(gone.json()) == statuses(none.json()) == ["204"]
    assert (many.status_code, code_of(many), left) == (412, "match-not-unique", 2)


async def test_a_transaction_patches_what_changed_meanwhile_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    await store(world.repository, patient("p1", "Berger", **MR))
    write = world.repository.write
    meanwhile = [True]

    async def late(changes: Any, **more: Any) -> Any:
        if meanwhile:
            meanwhile.clear()
            await store(world.repository, patient("p1", "Berger", birthDate="1970", **MR), seq=2)
        return await write(changes, **more)

    monkeypatch.setattr(world.repository, "write", late)
    async with writer(world) as client:
        done = await client.post(
            "/fhir", json=bundle("transaction", entry("PATCH", "Patient?family=berger", setting("male")))
        )
        now = (await client.get("/fhir/Patient/p1")).json()
    assert statuses(done.json()) == ["200"]
    assert (now["gender"], now["birthDate"]) == ("male", "1970")


async def test_the_entries_of_a_batch_stand_alone() -> None:
    world = World()
    sent = bundle(
        "batch",
        entry("POST", "Patient", ADA),
        entry("POST", "Patient", {**ADA, "name": []}),
        entry("GET", "Patient?family=adler"),
        entry("GET", f"{FHIR}/Patient/nobody"),
        entry("DELETE", "Patient/x"),
        entry("GET", "metadata"),
        entry("GET", "a//b"),
    )
    async with writer(world) as client:
        answer = (await client.post("/fhir", json=sent)).json()
    assert statuses(answer) == ["201", "422", "200", "404", "204", "200", "404"]
    assert answer["type"] == "batch-response"
    assert answer["entry"][2]["resource"]["total"] == 1
    assert answer["entry"][1]["response"]["outcome"]["resourceType"] == "OperationOutcome"
    assert [row[1] for row in world.audited] == ["create", "create", "search", "read", "delete", "bundle"]


async def test_an_entry_of_a_batch_that_cannot_be_read_is_answered_by_itself() -> None:
    world = World()
    sent = bundle(
        "batch",
        entry("GET", "https://other.example/fhir/Patient/1"),
        entry("FOO", "Patient"),
        {"resource": ADA},
        entry("POST", "Patient", ADA),
    )
    async with writer(world) as client:
        answer = (await client.post("/fhir", json=sent)).json()
        together = await client.post("/fhir", json={**sent, "type": "transaction"})
    assert statuses(answer) == ["400", "400", "400", "201"]
    first = answer["entry"][0]["response"]["outcome"]["issue"][0]
    assert first["expression"] == ["Bundle.entry[0]"]
    assert together.status_code == 400


async def test_an_error_of_a_conditional_reference_names_its_entry() -> None:
    world = World()
    nobody = {**LAB, "subject": {"reference": "Patient?identifier=urn:oid:1.2.3|nobody"}}
    async with writer(world) as client:
        answer = await client.post(
            "/fhir", json=bundle("transaction", entry("POST", "Patient", ADA), entry("POST", "Observation", nobody))
        )
    assert answer.status_code == 412
    assert answer.json()["issue"][0]["expression"] == ["Bundle.entry[1]"]


async def test_links_in_narratives_follow_a_transaction() -> None:
    world = World()
    mark = "urn:uuid:11111111-1111-4111-8111-111111111111"
    div = f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{mark}">her</a> {mark}</div>'
    told = {**LAB, "subject": {"reference": mark}, "text": {"status": "additional", "div": div}}
    sent = bundle("transaction", entry("POST", "Patient", ADA, mark), entry("POST", "Observation", told))
    async with writer(world, Prefer="return=representation") as client:
        patient_, result = [one["resource"] for one in (await client.post("/fhir", json=sent)).json()["entry"]]
    assert result["text"]["div"] == div.replace(f'"{mark}"', f'"Patient/{patient_["id"]}"')


async def test_a_reader_may_batch_reads() -> None:
    world = World()
    async with world.client() as client:
        answer = await client.post(
            "/fhir", json=bundle("batch", entry("GET", "Patient"), entry("POST", "Patient", ADA))
        )
        read = await client.post("/fhir", json=bundle("transaction", entry("GET", "Patient")))
    assert statuses(answer.json()) == ["200", "403"]
    assert statuses(read.json()) == ["200"]


@pytest.mark.parametrize(
    "body", [{}, [], ADA, bundle("collection"), {"resourceType": "Bundle", "type": "batch", "entry": 1}]
)
async def test_what_is_no_batch_or_transaction_is_refused(body: Any) -> None:
    world = World()
    async with writer(world) as client:
        refused = await client.post("/fhir", json=body)
    assert (refused.status_code, code_of(refused)) == (400, "bundle-expected")


async def test_too_many_entries_are_refused() -> None:
    world = World()
    async with writer(world) as client:
        refused = await client.post("/fhir", json=bundle("batch", *[entry("GET", "Patient")] * 5001))
    assert (refused.status_code, code_of(refused)) == (413, "bundle-too-large")


async def test_an_empty_transaction_is_answered() -> None:
    world = World()
    async with writer(world) as client:
        answer = await client.post("/fhir", json={"resourceType": "Bundle", "type": "transaction"})
    assert answer.json() == {"resourceType": "Bundle", "type": "transaction-response"}


@needs_shared
async def test_published_transactions_are_taken_whole() -> None:
    world = World()
    total = 0
    async with writer(world) as client:
        for path in sorted((SHARED / "fhir" / "synthea").glob("*.json"), key=lambda one: one.name[0].isupper()):
            sent = json.loads(path.read_text())
            answer = await client.post("/fhir", json=sent, timeout=60)
            assert answer.status_code == 200, answer.json()["issue"][0]
            assert set(statuses(answer.json())) <= {"200", "201"}
            total += len(sent["entry"])
    assert sum(world.repository.type_counts().values()) <= total
    assert BASE not in str(world.repository.search)
