"""`$export`: kick-off, manifest, files, what is in them, who may have them, and going on after a kill."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from bulk_support import observation_line, patient_line
from msgspec import Raw

from hilum.app.api import StaticHealth, access_logger, create_app
from hilum.app.bulk.exports import Exports, exports_folder, sweep_exports
from hilum.app.bulk.sealed_files import SealedSize, SealedWriter, read_sealed
from hilum.app.bulk.tables import BULK_SCHEMA
from hilum.app.tokens import TOKENS_SCHEMA, Role, SqliteTokens
from hilum.errors import StoreCorrupt
from hilum.formats import fhir
from hilum.journal import SCHEMA as JOURNAL_SCHEMA
from hilum.journal import SqliteJournal
from hilum.repository import SCHEMA as REPOSITORY_SCHEMA
from hilum.repository import Change, Feed, SqliteRepository, Verb
from hilum.store import Store

BASE = "http://127.0.0.1:8080"
ASYNC = {"Prefer": "respond-async"}
SCHEMAS = (JOURNAL_SCHEMA, REPOSITORY_SCHEMA, TOKENS_SCHEMA, BULK_SCHEMA)

pytestmark = pytest.mark.anyio


def change(resource: dict[str, Any], verb: Verb = Verb.UPDATE) -> Change:
    elements = {k: Raw(json.dumps(v).encode()) for k, v in resource.items() if k not in ("resourceType", "id")}
    return Change(verb, resource["resourceType"], resource["id"], elements)


class World:
    """A store on the disk, and the app on it with exports that run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store.open(folder / "store.db", key=bytes(32), schemas=SCHEMAS)
        self.journal = SqliteJournal(self.store)
        self.repository = SqliteRepository(self.store, witness=self.journal.audit_in)
        self.tokens = SqliteTokens(self.store, self.journal)
        self.exports = Exports(self.store)
        self.app = create_app(
            self.repository,
            self.journal,
            self.tokens,
            health=StaticHealth(),
            log=access_logger(io.StringIO()),
            exports=self.exports,
        )
        self._token = self.tokens.create("analytics", Role.READER, 3_600, by="test").text

    async def put(self, *resources: dict[str, Any]) -> None:
        await self.repository.write([change(one) for one in resources])

    async def delete(self, type_: str, id_: str) -> None:
        await self.repository.write([Change(Verb.DELETE, type_, id_)])

    @asynccontextmanager
    async def client(self, token: str = "", *, runs: bool = True) -> AsyncIterator[httpx2.AsyncClient]:
        if runs:
            self.exports.start()
        headers = {"Authorization": f"Bearer {token or self._token}"}
        transport = httpx2.ASGITransport(app=self.app, client=("203.0.113.9", 4711))
        async with httpx2.AsyncClient(transport=transport, base_url=BASE, headers=headers) as client:
            yield client
        await self.exports.close()

    def close(self) -> None:
        self.journal.close()
        self.store.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


async def finished(client: httpx2.AsyncClient, status: str) -> httpx2.Response:
    async with asyncio.timeout(20):
        while True:
            answer = await client.get(status)
            if answer.status_code != 202:
                return answer
            assert answer.headers["retry-after"] == "2"
            assert answer.headers["x-progress"].endswith("% done")
            await asyncio.sleep(0.01)


async def exported(
    client: httpx2.AsyncClient, address: str, **params: str
) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """The manifest, and the resources of its files by type (deletions under `deleted`, notes under `error`)."""
    answer = await client.get(f"/fhir/{address}", params=params, headers=ASYNC)
    assert answer.status_code == 202, answer.text
    done = await finished(client, answer.headers["content-location"])
    assert done.status_code == 200, done.text
    assert done.headers["content-type"] == "application/json"
    assert "expires" in done.headers
    manifest = done.json()
    found: dict[str, list[Any]] = {}
    for kind in ("output", "deleted", "error"):
        for one in manifest[kind]:
            file = await client.get(one["url"], headers={"Accept-Encoding": "identity"})
            assert file.status_code == 200
            zipped = await client.get(one["url"], headers={"Accept-Encoding": "br;q=1.0, gzip;q=0.8, *;q=0.1"})
            assert (zipped.headers["content-encoding"], zipped.content) == ("gzip", file.content)
            assert file.headers["content-type"] == "application/fhir+ndjson"
            assert int(file.headers["content-length"]) == len(file.content)
            lines = [json.loads(line) for line in file.text.splitlines()]
            assert len(lines) == one["count"]
            assert {line["resourceType"] for line in lines} == {one["type"]}
            found.setdefault(one["type"] if kind == "output" else kind, []).extend(lines)
    return manifest, found


async def fill(world: World) -> None:
    await world.put(*[patient_line(n) for n in range(5)])
    await world.put(*[observation_line(n, n % 5) for n in range(20)])
    await world.put({"resourceType": "Practitioner", "id": "d1", "name": [{"family": "Doctor"}]})
    members = [{"entity": {"reference": f"Patient/p{n}"}} for n in (1, 2)]
    members.append({"entity": {"reference": "Patient/p3"}, "inactive": True})  # type: ignore[dict-item]
    await world.put({"resourceType": "Group", "id": "g1", "type": "person", "actual": True, "member": members})


async def test_a_system_export_has_everything_and_a_manifest_that_says_so(world: World) -> None:
    await fill(world)
    async with world.client() as client:
        manifest, found = await exported(client, "$export")
    assert {type_: len(some) for type_, some in found.items()} == {
        "Patient": 5,
        "Observation": 20,
        "Practitioner": 1,
        "Group": 1,
    }
    assert manifest["requiresAccessToken"] is True
    assert manifest["request"] == f"{BASE}/fhir/$export"
    assert manifest["deleted"] == manifest["error"] == []
    one = next(each for each in found["Patient"] if each["id"] == "p1")
    assert one["meta"]["versionId"] == "1"
    assert manifest["transactionTime"] >= one["meta"]["lastUpdated"]


async def test_exports_of_patients_and_groups_keep_to_compartments(world: World) -> None:
    await fill(world)
    async with world.client() as client:
        _, found = await exported(client, "Patient/$export")
        assert {type_: len(some) for type_, some in found.items()} == {"Patient": 5, "Observation": 20, "Group": 1}
        _, found = await exported(client, "Group/g1/$export", _type="Patient,Observation")
        assert {one["id"] for one in found["Patient"]} == {"p1", "p2"}
        assert {one["subject"]["reference"] for one in found["Observation"]} == {"Patient/p1", "Patient/p2"}
        assert (await client.get("/fhir/Group/none/$export", headers=ASYNC)).status_code == 404
        body = {
            "resourceType": "Parameters",
            "parameter": [
                {"name": "patient", "valueReference": {"reference": "Patient/p4"}},
                {"name": "_type", "valueString": "Observation"},
            ],
        }
        answer = await client.post("/fhir/Patient/$export", json=body, headers=ASYNC)
        manifest = (await finished(client, answer.headers["content-location"])).json()
        assert [(one["type"], one["count"]) for one in manifest["output"]] == [("Observation", 4)]
        assert manifest["error"] == []


@pytest.mark.parametrize(
    ("address", "why"), [("Patient", "are not here"), ("Group/g1", "are no members of this group")]
)
async def test_patients_that_are_asked_for_and_not_there_are_told(world: World, address: str, why: str) -> None:
    await fill(world)
    asked = [{"name": "patient", "valueReference": {"reference": f"Patient/{one}"}} for one in ("p1", "nobody")]
    async with world.client() as client:
        body = {"resourceType": "Parameters", "parameter": asked}
        answer = await client.post(f"/fhir/{address}/$export", json=body, headers=ASYNC)
        manifest = (await finished(client, answer.headers["content-location"])).json()
        told = await client.get(manifest["error"][0]["url"])
    assert f"1 of those that were asked for {why}: Patient/nobody" in told.text


async def test_types_filters_elements_and_times_narrow_an_export(world: World) -> None:
    await fill(world)
    await world.put(observation_line(100, 1, status="preliminary"))
    async with world.client() as client:
        _, found = await exported(
            client, "$export", _typeFilter="Observation?status=preliminary", _type="Observation,Patient"
        )
        assert [one["id"] for one in found["Observation"]] == ["o100"]
        assert len(found["Patient"]) == 5
        _, found = await exported(client, "$export", _type="Patient", _elements="Patient.gender")
        assert all("gender" in one and "name" not in one for one in found["Patient"])
        assert found["Patient"][0]["meta"]["tag"][0]["code"] == "SUBSETTED"


async def test_since_tells_what_changed_and_what_was_deleted_without_a_gap(world: World) -> None:
    await fill(world)
    async with world.client() as client:
        first, _ = await exported(client, "$export")
        await world.put(patient_line(1, gender="male"), patient_line(9))
        await world.delete("Patient", "p2")
        second, found = await exported(client, "$export", _since=first["transactionTime"], _type="Patient")
        assert {one["id"] for one in found["Patient"]} >= {"p1", "p9"}
        assert [one["entry"][0]["request"] for one in found["deleted"]] == [{"method": "DELETE", "url": "Patient/p2"}]
        assert all(one["id"] != "p2" for one in found["Patient"])
        assert second["transactionTime"] > first["transactionTime"]


async def test_an_export_is_of_one_moment_whatever_is_written_meanwhile(world: World) -> None:
    await fill(world)
    async with world.client(runs=False) as client:
        answer = await client.get("/fhir/$export", params={"_type": "Patient"}, headers=ASYNC)
        await world.put(patient_line(1, gender="male"), patient_line(77))
        await world.delete("Patient", "p2")
        await world.put(patient_line(1, gender="other"))
        world.exports.start()
        manifest = (await finished(client, answer.headers["content-location"])).json()
        lines = (await client.get(manifest["output"][0]["url"])).text.splitlines()
    found = {one["id"]: one for one in map(json.loads, lines)}
    assert sorted(found) == ["p0", "p1", "p2", "p3", "p4"]
    assert found["p1"]["gender"] == "female"
    assert all(one["meta"]["lastUpdated"] <= manifest["transactionTime"] for one in found.values())


async def test_a_kick_off_that_cannot_be_honoured_is_refused_or_told(world: World) -> None:
    await fill(world)
    async with world.client() as client:

        async def code(address: str, **headers: str) -> tuple[int, str]:
            answer = await client.get(f"/fhir/{address}", headers={**ASYNC, **headers})
            return answer.status_code, answer.json()["issue"][0]["details"]["coding"][0]["code"]

        plain = await client.get("/fhir/$export")
        assert plain.status_code == 400
        assert await code("$export?_outputFormat=text/csv") == (400, "export-format-unsupported")
        assert await code("$export?_type=Nothing") == (400, "parameter-invalid")
        assert await code("$export?_since=yesterday") == (400, "parameter-invalid")
        assert await code("$export?_typeFilter=Patient?nothing=1") == (400, "parameter-invalid")
        assert await code("$export?_elements=a-b") == (400, "parameter-invalid")
        for chain in ("Observation?subject:Patient.name=x", "Patient?_has:Observation:patient:code=1"):
            assert await code(f"$export?_typeFilter={chain}") == (400, "parameter-invalid")
        assert (await client.head("/fhir/$export", headers=ASYNC)).status_code == 405
        assert await code("$export?strange=1", Prefer="respond-async, handling=strict") == (
            400,
            "parameter-unsupported",
        )
        assert await code("$export", Accept="application/xml") == (406, "format-unsupported")
        posted = await client.post("/fhir/$export", json={"resourceType": "Patient"}, headers=ASYNC)
        assert posted.status_code == 400
        _, found = await exported(client, "$export", _type="Patient", strange="1")
        assert [one["issue"][0]["details"]["coding"][0]["code"] for one in found["error"]] == ["parameter-ignored"]


async def test_an_export_belongs_to_its_token(world: World) -> None:
    await fill(world)
    other = world.tokens.create("other", Role.READER, 3_600, by="test").text
    async with world.client() as client:
        answer = await client.get("/fhir/$export", headers=ASYNC)
        status = answer.headers["content-location"]
        manifest = (await finished(client, status)).json()
        url = manifest["output"][0]["url"]
        stranger = {"Authorization": f"Bearer {other}"}
        assert (await client.get(status, headers=stranger)).status_code == 404
        assert (await client.delete(status, headers=stranger)).status_code == 404
        assert (await client.get(url, headers=stranger)).status_code == 404
        assert (await client.get(url, headers={"Authorization": ""})).status_code == 401
        world.tokens.revoke("analytics", by="test")
        assert (await client.get(url)).status_code == 401
    rows = [row for _, row in world.journal.audits(limit=1_000) if row.action == "export" and row.outcome == "ok"]
    assert {row.target.split("/")[0] for row in rows} == {"$export"}


async def test_delete_ends_an_export_and_takes_its_files(world: World) -> None:
    await fill(world)
    async with world.client() as client:
        answer = await client.get("/fhir/$export", headers=ASYNC)
        status = answer.headers["content-location"]
        await finished(client, status)
        assert list(exports_folder(world.store).iterdir())
        assert (await client.delete(status)).status_code == 202
        assert (await client.get(status)).status_code == 404
        assert not list(exports_folder(world.store).iterdir())
    async with world.client(runs=False) as client:
        waiting = (await client.get("/fhir/$export", headers=ASYNC)).headers["content-location"]
        assert (await client.get(waiting)).headers["x-progress"] == "0% done"
        assert (await client.delete(waiting)).status_code == 202
        assert (await client.get(waiting)).status_code == 404


async def test_one_token_may_have_two_exports_under_way(world: World) -> None:
    async with world.client(runs=False) as client:
        answers = [await client.get("/fhir/$export", headers=ASYNC) for _ in range(3)]
        assert [one.status_code for one in answers] == [202, 202, 429]
        assert answers[2].headers["retry-after"] == "60"
        client.headers["Authorization"] = f"Bearer {world.tokens.create('scraper', Role.OPERATOR, 60, by='test').text}"
        lines = (await client.get("/metrics")).text.splitlines()
        assert {'hilum_exports{state="open"} 2.0', 'hilum_exports{state="failed"} 0.0'} <= set(lines)
        assert "hilum_export_oldest_timestamp_seconds 0.0" not in lines


async def test_files_are_sealed_and_go_when_they_expire(world: World) -> None:
    await fill(world)
    async with world.client() as client:
        answer = await client.get("/fhir/$export", headers=ASYNC)
        status = answer.headers["content-location"]
        manifest = (await finished(client, status)).json()
        files = [path for path in exports_folder(world.store).rglob("*") if path.is_file()]
        assert len(files) == 4
        for path in files:
            assert path.stat().st_mode & 0o077 == 0
            assert b"Synthetic" not in path.read_bytes()
        assert sweep_exports(world.store, 3_600) == 0
        assert sweep_exports(world.store, 0) == 1
        assert not list(exports_folder(world.store).iterdir())
        assert (await client.get(status)).status_code == 404
        assert (await client.get(manifest["output"][0]["url"])).status_code == 404


async def test_an_empty_store_exports_nothing(world: World) -> None:
    async with world.client() as client:
        manifest, found = await exported(client, "$export")
    assert found == {}
    assert manifest["output"] == []


async def test_what_is_offered_stands_in_the_statement_and_the_document(world: World) -> None:
    async with world.client() as client:
        rest = (await client.get("/fhir/metadata")).json()["rest"][0]
        assert [one["name"] for one in rest["operation"]] == ["export"]
        by_type = {one["type"]: [op["name"] for op in one["operation"]] for one in rest["resource"]}
        assert "export" in by_type["Patient"]
        assert "export" in by_type["Group"]
        paths = (await client.get("/openapi.json")).json()["paths"]
        assert {"/fhir/$export", "/fhir/$export-status/{job}", "/fhir/$export-file/{job}/{name}"} <= paths.keys()


CHILD = """
import asyncio, sys
from pathlib import Path
import hilum.app.bulk.exporting as exporting
exporting.PAGE, exporting.SAVE_AFTER = 50, 100
from test_bulk_export import SCHEMAS
from hilum.app.bulk.exports import Exports
from hilum.app.bulk.asking import Export
from hilum.store import Store

async def main():
    with Store.open(Path(sys.argv[1]), key=bytes(32), schemas=SCHEMAS) as store:
        exports = Exports(store)
        if sys.argv[2] == "begin":
            await exports.take("analytics", Export("", ("Patient", "Observation")))
        exports.start()
        while exports._next() is not None:
            await asyncio.sleep(0.01)
        await exports.close()

asyncio.run(main())
"""


@pytest.mark.parametrize("point", ["export.after_save:2", "store.before_commit:3", "store.after_commit:3"])
async def test_a_killed_export_goes_on_and_ends_as_if_nothing_had_happened(world: World, point: str) -> None:
    await world.put(*[patient_line(n) for n in range(100)])
    await world.put(*[observation_line(n, n % 100) for n in range(400)])
    path = str(world.folder / "store.db")

    def child(what: str, crash_at: str) -> int:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parent)])}
        environment |= {"HILUM_CRASH_AT": crash_at} if crash_at else {}
        return subprocess.run([sys.executable, "-c", CHILD, path, what], env=environment, check=False).returncode

    assert await asyncio.to_thread(child, "begin", point) == -9
    assert await asyncio.to_thread(child, "go on", "") == 0
    found = world.store.read(lambda c: c.execute("SELECT id FROM export_job").get)
    job = world.exports.find(str(found))
    assert job is not None
    assert job.ended
    lines = [line for one in job.files for line in b"".join(world.exports.read(job, one)).splitlines()]
    ids = [fhir.decode(line)["id"] for line in lines]
    assert len(ids) == len(set(ids)) == 500
    assert sum(one.count for one in job.files) == 500


def test_a_sealed_file_goes_on_where_it_was_synced_and_shows_any_change(tmp_path: Path) -> None:
    path, key = tmp_path / "one", bytes(32)
    writer = SealedWriter(path, key, SealedSize())
    writer.write(b"a" * 100_000)
    size = writer.sync()
    writer.write(b"lost" * 50_000)
    writer.close()
    again = SealedWriter(path, key, size)
    again.write(b"b" * 10)
    size = again.sync()
    again.close()
    assert b"".join(read_sealed(path, key, size)) == b"a" * 100_000 + b"b" * 10
    raw = bytearray(path.read_bytes())
    raw[40] ^= 1
    path.write_bytes(bytes(raw))
    with pytest.raises(StoreCorrupt, match="export-file-damaged"):
        list(read_sealed(path, key, size))


async def test_the_feed_tells_every_version_in_the_order_of_commits(world: World) -> None:
    feed = Feed(world.store)
    before = feed.now().tick
    await world.put(patient_line(1))
    await world.put(patient_line(1, gender="male"), patient_line(2))
    await world.delete("Patient", "p1")
    await world.put(observation_line(1, 2))
    steps = feed.steps(["Patient"], before, feed.now().tick)
    told = [(feed.version(one.type, one.rid, one.version), one.version) for one in steps]
    assert [(s.id, n, s.deleted) for s, n in told if s] == [
        ("p1", 1, False),
        ("p1", 2, False),
        ("p2", 1, False),
        ("p1", 3, True),
    ]
    assert [one.tick for one in steps] == sorted(one.tick for one in steps)
    middle = steps[1].tick
    assert len(feed.steps(["Patient"], before, middle)) + len(feed.steps(["Patient"], middle, feed.now().tick)) == 4
