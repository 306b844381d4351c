"""Binary as bytes, and who may read it by what its securityContext names."""

from __future__ import annotations

import base64
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from smart_support import SmartWorld

from hilum.app.tokens import Role
from hilum.config import InCare, Tie

pytestmark = pytest.mark.anyio

_numbers = itertools.count()

PDF = b"%PDF-1.4 a letter"
AS_FHIR = {"Accept": "application/fhir+json"}
_numbers = itertools.count()


def binary(id_: str, context: str = "", **more: str) -> dict[str, Any]:
    made = {
        "resourceType": "Binary",
        "id": id_,
        "contentType": "application/pdf",
        "data": base64.b64encode(PDF).decode(),
    }
    return made | ({"securityContext": {"reference": context}} if context else {}) | more


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[SmartWorld]:
    made = SmartWorld(tmp_path)
    await made.fill()
    async with writer(made) as client:
        for who in ("p1", "p2"):
            document = {
                "resourceType": "DocumentReference",
                "id": f"d-{who}",
                "status": "current",
                "subject": {"reference": f"Patient/{who}"},
                "content": [{"attachment": {"url": f"Binary/b-{who}"}}],
            }
            assert (await client.put(f"/fhir/DocumentReference/d-{who}", json=document)).status_code == 201
            for body in (binary(f"b-{who}", f"DocumentReference/d-{who}"), binary(f"q-{who}", f"Patient/{who}")):
                assert (await client.put(f"/fhir/Binary/{body['id']}", json=body)).status_code == 201
        for body in (
            binary("free"),
            binary("loop", "Binary/q-p1"),
            binary("far", "https://other.example/fhir/Patient/p1"),
        ):
            assert (await client.put(f"/fhir/Binary/{body['id']}", json=body)).status_code == 201
    yield made
    made.close()


def writer(world: SmartWorld) -> Any:
    return world.client(world.own.create(f"w{next(_numbers)}", Role.WRITER, 3600, by="test").text)


async def told(client: httpx2.AsyncClient, id_: str) -> int:
    return (await client.get(f"/fhir/Binary/{id_}")).status_code


async def test_content_is_served_as_it_is_and_saved_rather_than_shown(world: SmartWorld) -> None:
    async with writer(world) as client:
        for accept in ("*/*", "application/pdf", "application/*;q=0.5", ""):
            answer = await client.get("/fhir/Binary/b-p1", headers={"Accept": accept})
            assert (answer.content, answer.headers["content-type"]) == (PDF, "application/pdf"), accept
            assert answer.headers["content-disposition"] == "attachment"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "sandbox" in answer.headers["content-security-policy"]
        for headers, query in ((AS_FHIR, ""), ({"Accept": "application/json"}, ""), ({}, "?_format=json")):
            answer = await client.get(f"/fhir/Binary/b-p1{query}", headers=headers)
            assert answer.json()["contentType"] == "application/pdf"
        assert (await client.get("/fhir/Binary/b-p1", headers={"Accept": "image/png"})).status_code == 406
        assert (await client.get("/fhir/Binary/b-p1", headers={"Accept": "application/fhir+xml"})).status_code == 406
        again = await client.get("/fhir/Binary/b-p1", headers={"If-None-Match": 'W/"1"'})
        assert (again.status_code, again.content) == (304, b"")
        inner = {
            "resourceType": "Bundle",
            "type": "batch",
            "entry": [{"request": {"method": "GET", "url": "Binary/b-p1"}}],
        }
        (entry,) = (await client.post("/fhir", json=inner)).json()["entry"]
        assert entry["resource"]["id"] == "b-p1"


async def test_content_that_is_posted_becomes_a_binary_with_its_context(world: SmartWorld) -> None:
    async with writer(world) as client:
        headers = {"Content-Type": "text/plain; charset=utf-8", "X-Security-Context": "DocumentReference/d-p1"}
        made = await client.post("/fhir/Binary", content=b"caf\xc3\xa9", headers=headers)
        assert made.status_code == 201, made.text
        body = made.json()
        assert body["securityContext"] == {"reference": "DocumentReference/d-p1"}
        plain = await client.get(f"/fhir/Binary/{body['id']}")
        assert (plain.text, plain.headers["content-type"]) == ("caf\xe9", "text/plain; charset=utf-8")
        put = await client.put("/fhir/Binary/mine", content=b"\x00\x01", headers={"Content-Type": "image/png"})
        assert (put.status_code, put.json()["contentType"]) == (201, "image/png")
        for name, value, status in (
            ("X-Security-Context", "Binary/q-p1", 400),
            ("X-Security-Context", "p1", 400),
            ("X-Security-Context", "https://other.example/fhir/Patient/p1", 400),
            ("Content-Type", "nonsense", 415),
            ("Content-Type", "application/fhir+xml", 415),
        ):
            refused = await client.post(
                "/fhir/Binary", content=b"x", headers={"Content-Type": "image/png", name: value}
            )
            assert refused.status_code == status, value
            assert refused.json()["resourceType"] == "OperationOutcome"
        assert (
            await client.post("/fhir/Patient", content=b"x", headers={"Content-Type": "image/png"})
        ).status_code == 415


async def test_a_media_type_that_is_none_is_served_as_bytes(world: SmartWorld) -> None:
    async with writer(world) as client:
        odd = binary("odd", contentType="text/html\u00e9 bad")
        assert (await client.put("/fhir/Binary/odd", json=odd)).status_code in (201, 422)
        empty = {"resourceType": "Binary", "id": "empty", "contentType": "application/pdf"}
        assert (await client.put("/fhir/Binary/empty", json=empty)).status_code == 201
        assert (await client.get("/fhir/Binary/empty")).json()["id"] == "empty", "there is nothing else to send"


async def test_a_binary_is_read_by_whom_may_read_what_it_belongs_to(world: SmartWorld) -> None:
    text = (await world.access("launch/patient patient/Binary.rs patient/DocumentReference.rs"))["access_token"]
    async with world.client(text) as client:
        assert (await client.get("/fhir/Binary/b-p1")).content == PDF
        assert [await told(client, id_) for id_ in ("q-p1", "b-p2", "q-p2", "free", "loop", "far", "never")] == [
            200,
            *[404] * 6,
        ]
        assert await told(client, "q-p1/_history/1") == 200
        assert await told(client, "q-p2/_history/1") == 404
        hidden, never = [await client.get(f"/fhir/Binary/{id_}") for id_ in ("b-p2", "never")]
        assert hidden.text == never.text
        for address in ("Binary", "Binary?_id=b-p1", "Binary/_history"):
            answer = await client.get(f"/fhir/{address}")
            assert answer.status_code == 403 or not answer.json().get("entry"), address
        bundle = {
            "resourceType": "Bundle",
            "type": "batch",
            "entry": [{"request": {"method": "GET", "url": "Binary/b-p2"}}],
        }
        assert '"404' in (await client.post("/fhir", json=bundle)).text
    async with writer(world) as operator:
        moved = binary("b-p1", "DocumentReference/d-p2")
        assert (await operator.put("/fhir/Binary/b-p1", json=moved)).status_code == 200
        assert (await operator.delete("/fhir/DocumentReference/d-p2")).status_code == 204
    async with world.client(text) as client:
        assert await told(client, "b-p1") == 404
        assert await told(client, "b-p1/_history/1") == 404, "it belongs to somebody else now"


async def test_a_practitioner_reads_binaries_of_patients_in_their_care(tmp_path: Path) -> None:
    world = SmartWorld(tmp_path, in_care=InCare([Tie.GENERAL_PRACTITIONER]))
    await world.fill()
    async with writer(world) as client:
        for who in ("p1", "p2"):
            assert (await client.put(f"/fhir/Binary/q-{who}", json=binary(f"q-{who}", f"Patient/{who}"))).is_success
    text = (await world.access("user/*.cruds", user="drake"))["access_token"]
    async with world.client(text) as client:
        assert [await told(client, id_) for id_ in ("q-p1", "q-p2", "never")] == [200, 404, 404]
        assert (await client.put("/fhir/Binary/q-p1", json=binary("q-p1", "Patient/p1"))).status_code == 403
    world.close()


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        ("launch/patient patient/Binary.r", 404),  # nothing says that it may read documents
        ("launch/patient patient/DocumentReference.rs", 403),
        ("launch/patient patient/Binary.s patient/DocumentReference.rs", 403),
        ("launch/patient patient/*.rs?_tag=a", 403),
        ("user/*.cruds", 200),
    ],
)
async def test_scopes_for_binaries_open_what_they_say(world: SmartWorld, scope: str, status: int) -> None:
    text = (await world.access(scope))["access_token"]
    async with world.client(text) as client:
        assert await told(client, "b-p1") == status
        for method, url in (("PUT", "Binary/q-p1"), ("POST", "Binary"), ("DELETE", "Binary/q-p1")):
            body = {"json": binary("q-p1", "Patient/p1")} if method != "DELETE" else {}
            assert (await client.request(method, f"/fhir/{url}", **body)).status_code in (403, 404), (method, scope)
