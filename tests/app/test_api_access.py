"""Who gets in, and what everybody else is told: tokens, addresses, methods, health, metrics, logs."""

from __future__ import annotations

import base64
import json

import pytest
from api_support import World, code_of, patient, store

from hilum.app import tokens as tokens_module
from hilum.app.api import ArrivalCount, Check, DeliveryCount, StaticHealth, Totals
from hilum.app.tokens import Role
from hilum.errors import StoreFull
from hilum.formats import fhir

pytestmark = pytest.mark.anyio

PATHS = [
    ("GET", "/fhir/Patient/p1"),
    ("HEAD", "/fhir/Patient/p1"),
    ("GET", "/fhir/Patient/p1/_history"),
    ("GET", "/fhir/Patient/p1/_history/1"),
    ("GET", "/fhir/Patient"),
    ("GET", "/fhir/Patient?_summary=count"),
    ("POST", "/fhir/Patient/_search"),
    ("GET", "/metrics"),
]


async def world() -> World:
    made = World()
    await store(made.repository, patient("p1", "Secretname"))
    return made


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_without_a_token_nothing_is_shown_and_the_attempt_is_audited(method: str, path: str) -> None:
    made = await world()
    async with made.client(None) as client:
        response = await client.request(method, path)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="hilum"'
    assert "Secretname" not in response.text
    ((actor, _, _, outcome),) = made.audited
    assert (actor, outcome) == ("unknown", "token-missing")
    assert made.journal.rows[0].detail == "peer=203.0.113.9"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer hilum_x",
        "bearer hilum_aaaaaaaaaa_" + "A" * 43,
        "Basic " + base64.b64encode(b"admin:admin").decode(),
        "Bearer null",
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.",
        "Bearer " + "A" * 8_000,
        "Token hilum",
    ],
)
async def test_headers_that_hold_no_token_are_refused(header: str) -> None:
    made = await world()
    async with made.client(None, Authorization=header) as client:
        response = await client.get("/fhir/Patient/p1")
    assert response.status_code == 401
    assert code_of(response).startswith("token-")


async def test_two_authorization_headers_are_not_one_token() -> None:
    made = await world()
    text = made.token()
    async with made.client(None) as client:
        headers = [("Authorization", f"Bearer {text}"), ("Authorization", "Bearer x")]
        response = await client.get("/fhir/Patient/p1", headers=headers)
    assert response.status_code == 401


async def test_a_token_in_a_url_or_form_is_refused_even_when_it_is_valid() -> None:
    made = await world()
    text = made.token()
    async with made.client(None) as client:
        answers = [await client.get(f"/fhir/Patient/p1?access_token={text}")]
    async with made.client(text) as client:
        answers.append(await client.get(f"/fhir/Patient?name=x&access_token={text}"))
        answers.append(await client.post("/fhir/Patient/_search", data={"access_token": text}))
    for response in answers:
        assert (response.status_code, code_of(response)) == (400, "token-in-url")
        assert text not in response.text
    assert text not in made.log.getvalue()
    assert text not in repr(made.journal.rows)


async def test_an_expired_token_is_refused_and_audited_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    made = await world()
    async with made.client(made.token(seconds=60)) as client:
        assert (await client.get("/fhir/Patient/p1")).status_code == 200
        later = tokens_module.microseconds() + 61_000_000
        monkeypatch.setattr(tokens_module, "microseconds", lambda: later)
        response = await client.get("/fhir/Patient/p1")
    assert (response.status_code, code_of(response)) == (401, "token-expired")
    assert 'error="invalid_token"' in response.headers["www-authenticate"]
    assert made.audited[-1] == ("portal", "read", "Patient/p1", "token-expired")


async def test_a_revoked_token_is_refused_on_the_next_request_of_the_same_connection() -> None:
    made = await world()
    async with made.client() as client:
        assert (await client.get("/fhir/Patient/p1")).status_code == 200
        made.tokens.revoke("portal", by="test")
        response = await client.get("/fhir/Patient/p1")
    assert (response.status_code, code_of(response)) == (401, "token-revoked")


async def test_a_role_without_the_permission_is_forbidden_and_audited() -> None:
    made = await world()
    async with made.client() as client:
        response = await client.get("/metrics")
    assert (response.status_code, code_of(response)) == (403, "permission-denied")
    assert "insufficient_scope" in response.headers["www-authenticate"]
    assert made.audited == [("portal", "metrics", "", "permission-denied")]


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.ADMIN])
async def test_operators_and_admins_read_resources_and_metrics(role: Role) -> None:
    made = await world()
    async with made.client(made.token("ops", role)) as client:
        assert (await client.get("/metrics")).status_code == 200
        assert (await client.get("/fhir/Patient/p1")).status_code == 200


async def test_a_flood_of_strangers_is_throttled_and_counted_in_the_audit() -> None:
    made = await world()
    async with made.client(None) as client:
        answers = [await client.get("/fhir/Patient/p1") for _ in range(300)]
    throttled = [answer for answer in answers if answer.status_code == 429]
    assert {answer.status_code for answer in answers} == {401, 429}
    assert all(code_of(answer) == "too-many-refusals" for answer in throttled)
    async with made.app.router.lifespan_context(made.app):
        pass
    rows = made.journal.rows
    counted = sum(int(row.detail.split()[-2]) for row in rows if row.detail.endswith("more"))
    written = sum(row.outcome == "token-missing" for row in rows)
    assert written + counted == 300


@pytest.mark.parametrize("path", ["/", "/fhir//", "/fhir/Patient//", "/admin", "/fhir/Patient/p1/_history/1/x", "//"])
async def test_addresses_that_lead_nowhere_are_told_so(path: str) -> None:
    made = await world()
    async with made.client() as client:
        response = await client.get(f"https://hilum.example{path}", follow_redirects=False)
    assert (response.status_code, code_of(response)) == (404, "address-unknown")


ALLOWED = "DELETE, GET, HEAD, PATCH, PUT"


@pytest.mark.parametrize("method", ["POST", "OPTIONS", "TRACE", "BREW"])
async def test_other_methods_are_405_with_the_allowed_ones(method: str) -> None:
    made = await world()
    async with made.client() as client:
        one = await client.request(method, "/fhir/Patient/p1")
        metadata = await client.request(method, "/fhir/metadata")
        base = await client.request("DELETE", "/fhir")
        search = await client.request("GET", "/fhir/Patient/_search")
    assert (one.status_code, code_of(one), one.headers["allow"]) == (405, "method-not-allowed", ALLOWED)
    assert (metadata.status_code, metadata.headers["allow"]) == (405, "GET, HEAD")
    assert (base.status_code, base.headers["allow"]) == (405, "GET, HEAD, POST")
    assert (search.status_code, search.headers["allow"]) == (405, "POST")


async def test_a_url_beyond_the_limit_is_414() -> None:
    made = await world()
    async with made.client() as client:
        long = await client.get("/fhir/Patient?name=" + "x" * 20_000)
        longish = await client.get("/fhir/Patient?name=" + "x" * 9_000)
    assert (long.status_code, code_of(long)) == (414, "url-too-long")
    assert (longish.status_code, code_of(longish)) == (414, "query-too-long")


class Broken:
    """A repository that fails with a message that quotes data."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getattr__(self, _: str):
        def fail(*_: object, **__: object) -> None:
            raise self.error

        return fail


async def test_a_fault_of_hilum_is_a_500_that_tells_nothing() -> None:
    made = World(Broken(RuntimeError("Secretname 1970-01-01")))
    async with made.client() as client:
        for path in ("/fhir/Patient/p1", "/fhir/Patient?family=x"):
            response = await client.get(path)
            assert (response.status_code, code_of(response)) == (500, "internal-error")
            assert "Secretname" not in response.text
            assert "Traceback" not in response.text
    lines = [json.loads(line) for line in made.log.getvalue().splitlines()]
    failed = [line for line in lines if line["event"] == "http-failed"]
    assert failed[0]["error"] == "RuntimeError"
    assert failed[0]["at"]
    assert "Secretname" not in made.log.getvalue()


async def test_a_store_that_cannot_answer_is_a_503() -> None:
    made = World(Broken(StoreFull("no space for Secretname")))
    async with made.client() as client:
        response = await client.get("/fhir/Patient/p1")
    assert (response.status_code, code_of(response)) == (503, "store-unavailable")
    assert "Secretname" not in response.text


async def test_the_log_has_templates_and_names_but_no_ids_and_no_values() -> None:
    made = await world()
    async with made.client() as client:
        await client.get("/fhir/Patient/p1")
        await client.get("/fhir/Patient?family=Secretname")
        await client.get("/fhir/Patient/p1/_history/1", headers={"X-Request-Id": "0" * 32})
        await client.get("/Secretname")
        await client.get("/livez")
    lines = [json.loads(line) for line in made.log.getvalue().splitlines()]
    assert [(line["route"], line["status"], line["actor"]) for line in lines] == [
        ("/fhir/{type}/{id}", 200, "portal"),
        ("/fhir/{type}", 200, "portal"),
        ("/fhir/{type}/{id}/_history/{version}", 200, "portal"),
        ("none", 404, ""),
    ]
    assert lines[2]["request_id"] == "0" * 32
    assert "p1" not in made.log.getvalue()
    assert "Secretname" not in made.log.getvalue()


@pytest.mark.parametrize("sent", ["Secretname", "123-45-6789", "x" * 999, ""])
async def test_a_request_id_that_could_hold_data_is_replaced(sent: str) -> None:
    made = await world()
    async with made.client(None) as client:
        response = await client.get("/livez", headers={"X-Request-Id": sent})
    assert len(response.headers["x-request-id"]) == 32
    assert response.headers["x-request-id"] != sent


async def test_anyone_may_ask_whether_it_lives_and_what_it_can() -> None:
    made = await world()
    async with made.client(None) as client:
        assert (await client.get("/livez")).json() == {"status": "alive"}
        assert (await client.get("/fhir/metadata")).json()["resourceType"] == "CapabilityStatement"
        assert (await client.get("/openapi.json")).json()["openapi"] == "3.1.0"
    assert made.audited == []


async def test_ready_names_its_checks_and_shows_details_on_the_machine_only() -> None:
    made = await world()
    async with made.client(None) as client:
        assert (await client.get("/readyz")).json()["checks"] == [
            {"name": "journal", "ok": True},
            {"name": "source:adt", "ok": True},
        ]
    async with made.client(None, "127.0.0.1", Host="localhost:8080") as client:
        assert (await client.get("/readyz")).json()["checks"][0]["detail"] == "12 GB free"


async def test_not_ready_is_a_503_with_one_issue_per_failed_check() -> None:
    checks = [Check("journal", False, "disk full"), Check("workers", True), Check("source:adt", False, "port 2575")]
    made = World(health=StaticHealth(checks))
    async with made.client(None) as client:
        response = await client.get("/readyz")
    assert (response.status_code, code_of(response)) == (503, "not-ready")
    assert [issue["details"]["text"].split()[0] for issue in response.json()["issue"]] == ["journal", "source:adt"]
    assert "disk full" not in response.text


async def test_metrics_tell_the_control_totals_of_the_store() -> None:
    health = StaticHealth(
        [Check("journal", True)],
        Totals(received=10, applied=6, held=1, rejected=1, waiting=1, duplicates=3),
        [DeliveryCount("portal", "dead", 2)],
        [ArrivalCount("adt", 10, 1_700_000_000_000_000)],
    )
    made = World(health=health)
    async with made.client(None, "127.0.0.1", Host="127.0.0.1:8080") as client:
        await client.get("/livez")
        response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = response.text.splitlines()
    assert 'hilum_messages{state="received"} 10.0' in lines
    assert 'hilum_messages{state="waiting"} 1.0' in lines
    assert "hilum_messages_difference 1.0" in lines
    assert 'hilum_deliveries{destination="portal",state="dead"} 2.0' in lines
    assert 'hilum_arrivals_total{source="adt"} 10.0' in lines
    assert 'hilum_last_arrival_timestamp_seconds{source="adt"} 1.7e+09' in lines
    assert 'hilum_ready{check="journal"} 1.0' in lines
    assert 'hilum_http_request_seconds_count{method="GET",route="/livez",status="200"} 1.0' in lines


@pytest.mark.parametrize(
    ("peer", "headers"),
    [
        ("203.0.113.9", {"Host": "localhost"}),
        ("127.0.0.1", {"Host": "localhost", "X-Forwarded-For": "127.0.0.1"}),
        ("127.0.0.1", {"Host": "localhost", "Forwarded": "for=127.0.0.1"}),
        ("127.0.0.1", {"Host": "evil.example"}),  # a page that made its own name point here
        ("127.0.0.1", {"Host": "localhost.evil.example:80"}),
    ],
)
async def test_metrics_need_a_token_unless_the_caller_sits_on_the_machine(peer: str, headers: dict[str, str]) -> None:
    made = await world()
    async with made.client(None, peer, **headers) as client:
        assert (await client.get("/metrics")).status_code == 401


@pytest.mark.parametrize(
    ("peer", "host"), [("127.0.0.1", "localhost:80"), ("::1", "[::1]:80"), ("127.0.0.1", "127.0.0.1")]
)
async def test_metrics_on_the_machine_need_none(peer: str, host: str) -> None:
    made = await world()
    async with made.client(None, peer, Host=host) as client:
        assert (await client.get("/metrics")).status_code == 200


async def test_metrics_have_no_label_that_callers_choose() -> None:
    made = await world()
    async with made.client(None, "127.0.0.1", Host="localhost") as client:
        await client.request("SECRET", "/Secretname")
        await client.get("/fhir/Secretname/p1")
        text = (await client.get("/metrics")).text
    assert "SECRET" not in text
    assert "Secretname" not in text
    assert 'method="OTHER"' in text


async def test_the_capability_statement_is_cached_by_its_tag() -> None:
    made = await world()
    async with made.client(None) as client:
        first = await client.get("/fhir/metadata")
        again = await client.get("/fhir/metadata", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert first.headers["cache-control"] == "no-cache"


MAPPED = ("Patient", "Encounter", "Observation", "Provenance", "CarePlan", "Task")


def composite(type_: str, name: str, samples: dict[str, str]) -> str:
    """A value of each component."""
    found = fhir.find_parameter(type_, name)
    return "$".join(samples[part.kind.fhir] for part in found.parts[0][1])


async def test_the_capability_statement_says_nothing_that_is_not_so() -> None:
    made = await world()
    async with made.client(Prefer="handling=strict") as client:
        statement = (await client.get("/fhir/metadata")).json()
        resources = statement["rest"][0]["resource"]
        assert len(resources) >= 15
        samples = {"token": "x", "string": "x", "date": "2024", "reference": "Patient/p1", "quantity": "5"}
        samples |= {"uri": "http://example.org", "number": "5"}
        for resource in resources:
            for parameter in resource["searchParam"]:
                value = samples.get(parameter["type"]) or composite(resource["type"], parameter["name"], samples)
                query = {parameter["name"]: value}
                response = await client.get(f"/fhir/{resource['type']}", params=query)
                assert response.status_code == 200, (resource["type"], query, response.text)
            if resource["type"] not in MAPPED:
                continue  # 2,000 more requests that say the same
            for name, key in (("_include", "searchInclude"), ("_revinclude", "searchRevInclude")):
                for value in resource.get(key, []):
                    response = await client.get(f"/fhir/{resource['type']}", params={name: value})
                    assert response.status_code == 200, (resource["type"], value)
