"""Reading one resource: bytes as stored, conditional requests, versions, deletions; every access audited."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from api_support import FHIR, SpyJournal, World, code_of, patient, store

from hilum.errors import NotFound
from hilum.repository import Page, Past, Query, Stored, Versions

pytestmark = pytest.mark.anyio

T = 1_700_000_000_500_000  # not on a full second


class Fixed:
    """A repository of given versions, the newest last."""

    def __init__(self, *versions: Stored) -> None:
        self.stored = versions

    def get(self, type_: str, id_: str, version: int | None = None) -> Stored:
        for stored in reversed(self.stored):
            if (stored.type, stored.id) == (type_, id_) and version in (None, stored.version):
                return stored
        raise NotFound("none")

    def history(self, type_: str, id_: str, limit: int = 100) -> list[Stored]:
        return list(reversed(self.stored))[:limit]

    def versions(self, past: Past) -> Versions:
        below = past.after[2] if past.after else 1 << 30
        found = [stored for stored in reversed(self.stored) if stored.version < below]
        page = found[: past.count]
        return Versions(tuple(page), (0, 0, page[-1].version) if page and len(found) > len(page) else None)

    def search(self, query: Query) -> Page:
        return Page((), (), 0)


def version(number: int, updated: int = T, *, deleted: bool = False) -> Stored:
    body = b"" if deleted else b'{"resourceType":"Patient","id":"p1","x":%d.50}' % number
    return Stored("Patient", "p1", number, updated, body, number, deleted)


async def test_a_body_goes_out_as_the_bytes_that_are_stored() -> None:
    world = World(Fixed(version(1)))
    async with world.client() as client:
        response = await client.get("/fhir/Patient/p1")
    assert response.status_code == 200
    assert response.content == version(1).body
    assert response.headers["etag"] == 'W/"1"'
    assert response.headers["last-modified"] == formatdate(T // 1_000_000, usegmt=True)
    assert response.headers["content-type"] == "application/fhir+json; charset=utf-8"
    assert world.audited == [("portal", "read", "Patient/p1", "ok")]


async def test_a_stored_patient_is_read_back() -> None:
    world = World()
    await store(world.repository, patient("p1", "Ångström"))
    async with world.client() as client:
        response = await client.get("/fhir/Patient/p1")
    assert response.json()["name"] == [{"family": "Ångström"}]
    assert response.json()["id"] == "p1"


async def test_phi_is_never_kept_by_caches_nor_guessed_at() -> None:
    world = World(Fixed(version(1)))
    async with world.client() as client:
        headers = (await client.get("/fhir/Patient/p1")).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "strict-transport-security" in headers  # the base of these tests is https


@pytest.mark.parametrize("tags", ['W/"2"', '"2"', 'W/"1", W/"2"', "*"])
async def test_who_has_this_version_gets_no_body(tags: str) -> None:
    world = World(Fixed(version(1), version(2)))
    async with world.client() as client:
        response = await client.get("/fhir/Patient/p1", headers={"If-None-Match": tags})
    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == 'W/"2"'
    assert world.audited[-1] == ("portal", "read", "Patient/p1", "not-modified")


async def test_who_has_another_version_gets_the_body_whatever_the_date() -> None:
    world = World(Fixed(version(1), version(2)))
    headers = {"If-None-Match": 'W/"1"', "If-Modified-Since": formatdate(T // 1_000_000 + 99, usegmt=True)}
    async with world.client() as client:
        assert (await client.get("/fhir/Patient/p1", headers=headers)).status_code == 200


@pytest.mark.parametrize(("shift", "status"), [(-1, 200), (0, 304), (5, 304)])
async def test_dates_of_whole_seconds_decide_when_there_is_no_tag(shift: int, status: int) -> None:
    world = World(Fixed(version(1)))
    headers = {"If-Modified-Since": formatdate(T // 1_000_000 + shift, usegmt=True)}
    async with world.client() as client:
        assert (await client.get("/fhir/Patient/p1", headers=headers)).status_code == status


async def test_two_versions_within_one_second_are_told_apart() -> None:
    world = World(Fixed(version(1), version(2, T + 1_000)))
    headers = {"If-Modified-Since": formatdate(T // 1_000_000, usegmt=True)}
    async with world.client() as client:
        assert (await client.get("/fhir/Patient/p1", headers=headers)).status_code == 200


async def test_a_date_that_cannot_be_read_changes_nothing() -> None:
    world = World(Fixed(version(1)))
    async with world.client() as client:
        assert (await client.get("/fhir/Patient/p1", headers={"If-Modified-Since": "soon"})).status_code == 200


async def test_head_gives_the_headers_of_get_and_no_body() -> None:
    world = World(Fixed(version(1)))
    async with world.client() as client:
        head, get = await client.head("/fhir/Patient/p1"), await client.get("/fhir/Patient/p1")
    assert head.content == b""
    drop = {"x-request-id"}
    assert {k: v for k, v in head.headers.items() if k not in drop} == {
        k: v for k, v in get.headers.items() if k not in drop
    }
    assert len(world.audited) == 2


async def test_what_was_never_there_is_404_and_audited() -> None:
    world = World()
    async with world.client() as client:
        response = await client.get("/fhir/Patient/nobody")
    assert (response.status_code, code_of(response)) == (404, "resource-unknown")
    assert world.audited == [("portal", "read", "Patient/nobody", "resource-unknown")]


async def test_what_was_deleted_is_410_and_keeps_its_history() -> None:
    world = World(Fixed(version(1), version(2, deleted=True)))
    async with world.client() as client:
        response = await client.get("/fhir/Patient/p1")
        history = (await client.get("/fhir/Patient/p1/_history")).json()
        first = await client.get("/fhir/Patient/p1/_history/1")
        second = await client.get("/fhir/Patient/p1/_history/2")
    assert (response.status_code, code_of(response), response.headers["etag"]) == (410, "resource-gone", 'W/"2"')
    assert [entry["request"]["method"] for entry in history["entry"]] == ["DELETE", "PUT"]
    assert "resource" not in history["entry"][0]
    assert first.content == version(1).body
    assert (second.status_code, code_of(second)) == (410, "resource-gone")


@pytest.mark.parametrize("written", ["3", "0", "01", "x", "-1", "1.0", "99999999999999999999"])
async def test_versions_that_are_not_there_are_404(written: str) -> None:
    world = World(Fixed(version(1)))
    async with world.client() as client:
        response = await client.get(f"/fhir/Patient/p1/_history/{written}")
    assert (response.status_code, code_of(response)) == (404, "version-unknown")


async def test_a_version_is_audited_with_its_number() -> None:
    world = World(Fixed(version(1), version(2)))
    async with world.client() as client:
        assert (await client.get("/fhir/Patient/p1/_history/1")).headers["etag"] == 'W/"1"'
    assert world.audited == [("portal", "vread", "Patient/p1/_history/1", "ok")]


async def test_history_is_a_bundle_newest_first_of_stored_bytes() -> None:
    world = World(Fixed(version(1), version(2)))
    async with world.client() as client:
        response = await client.get("/fhir/Patient/p1/_history")
    bundle = response.json()
    assert (bundle["type"], bundle["total"]) == ("history", 2)
    assert [entry["response"]["etag"] for entry in bundle["entry"]] == ['W/"2"', 'W/"1"']
    assert [entry["response"]["status"] for entry in bundle["entry"]] == ["200", "201"]
    assert version(2).body in response.content
    assert bundle["entry"][0]["response"]["lastModified"] == "2023-11-14T22:13:20.500Z"


async def test_history_pages_go_on_below_the_last_version_even_while_new_ones_come() -> None:
    fixed = Fixed(*(version(number) for number in range(1, 8)))
    world = World(fixed)
    seen: list[str] = []
    async with world.client() as client:
        url = f"{FHIR}/Patient/p1/_history?_count=3"
        while url:
            bundle = (await client.get(url)).json()
            seen += [entry["response"]["etag"] for entry in bundle["entry"]]
            links = {link["relation"]: link["url"] for link in bundle["link"]}
            url = links.get("next", "")
            fixed.stored = (*fixed.stored, version(len(fixed.stored) + 1))
    assert seen == [f'W/"{number}"' for number in range(7, 0, -1)]


async def test_a_version_that_retention_took_leaves_a_gap_in_the_history() -> None:
    world = World(Fixed(version(1), version(3)))
    async with world.client() as client:
        bundle = (await client.get("/fhir/Patient/p1/_history")).json()
    assert [entry["response"]["etag"] for entry in bundle["entry"]] == ['W/"3"', 'W/"1"']


async def test_a_history_of_no_entries_has_no_empty_array() -> None:
    world = World(Fixed(version(1)))
    async with world.client() as client:
        bundle = (await client.get("/fhir/Patient/p1/_history?_count=0")).json()
    assert "entry" not in bundle


async def test_unknown_types_are_404_with_the_types_that_are_served() -> None:
    world = World()
    async with world.client() as client:
        response = await client.get("/fhir/Pateint/p1")
    assert (response.status_code, code_of(response)) == (404, "type-unknown")
    assert "Patient" in response.text
    assert world.audited == [("portal", "read", "", "type-unknown")]


@pytest.mark.parametrize("id_", ["a_b", "x" * 65, "%C3%A9", "a%20b", "..%2F..%2Fetc", "a%00"])
async def test_what_cannot_be_an_id_leads_nowhere(id_: str) -> None:
    world = World()
    async with world.client() as client:
        response = await client.get(f"/fhir/Patient/{id_}")
    assert (response.status_code, code_of(response)) == (404, "address-unknown")


async def test_xml_is_refused_before_anything_is_shown() -> None:
    world = World(Fixed(version(1)))
    async with world.client(Accept="application/fhir+xml") as client:
        for path in ("/fhir/Patient/p1", "/fhir/Patient/p1/_history", "/fhir/Patient", "/fhir/metadata"):
            response = await client.get(path)
            assert (response.status_code, code_of(response)) == (406, "format-unsupported"), path
        assert (await client.get("/fhir/Patient/p1?_format=json")).status_code == 200


async def test_an_audit_that_cannot_be_written_stops_every_answer() -> None:
    journal = SpyJournal()
    world = World(Fixed(version(1)), journal)
    async with world.client() as client:
        journal.failure = OSError("disk full")
        for method, path in (
            ("GET", "/fhir/Patient/p1"),
            ("HEAD", "/fhir/Patient/p1"),
            ("GET", "/fhir/Patient/p1/_history"),
            ("GET", "/fhir/Patient/p1/_history/1"),
            ("GET", "/fhir/Patient"),
            ("POST", "/fhir/Patient/_search"),
            ("GET", "/fhir/Patient/nobody"),
        ):
            response = await client.request(method, path)
            assert response.status_code == 503, path
            assert response.headers["retry-after"] == "5"
            if method != "HEAD":
                assert code_of(response) == "audit-unavailable"
            assert b'resourceType":"Patient' not in response.content
            assert "disk full" not in response.text


async def test_the_row_is_committed_before_the_first_byte_leaves() -> None:
    """Sends of the app and rows of the journal, in the order in which they happened."""
    order: list[str] = []

    class Ordered(SpyJournal):
        async def audit(self, events) -> None:
            await super().audit(events)
            order.append("committed")

    world = World(Fixed(version(1)), Ordered())
    headers = [(b"authorization", f"Bearer {world.token()}".encode()), (b"host", b"x")]
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/fhir/Patient/p1",
        "query_string": b"",
        "headers": headers,
        "scheme": "http",
        "client": ("203.0.113.9", 1),
    }

    async def send(message) -> None:
        order.append(message["type"])

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    await world.app(scope, receive, send)
    assert order == ["committed", "http.response.start", "http.response.body"]
