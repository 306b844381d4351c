"""Apps are let in as SMART says: launches, sign-in, consent, tokens, refresh, revocation; and what people see."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from smart_support import BASE, CHART, EC, FHIR, MOBILE, PASSWORD, VERIFIER, Browser, SmartWorld

from hilum.app.tokens import Role

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[SmartWorld]:
    made = SmartWorld(tmp_path)
    await made.fill()
    yield made
    made.close()


async def test_a_patient_lets_a_portal_see_their_record_and_nothing_else(world: SmartWorld) -> None:
    said = await world.access("openid fhirUser launch/patient patient/Patient.rs patient/Observation.read")
    assert said["patient"] == "p1"
    assert said["scope"] == "openid fhirUser launch/patient patient/Patient.rs patient/Observation.read"
    assert said["expires_in"] == 3600
    assert "refresh_token" not in said
    async with world.client(said["access_token"]) as client:
        assert (await client.get("/fhir/Patient/p1")).status_code == 200
        assert (await client.get("/fhir/Patient/p2")).status_code == 404
        found = (await client.get("/fhir/Observation")).json()
        assert sorted(one["resource"]["id"] for one in found["entry"]) == ["l1", "o1", "v1"]
        assert found["total"] == 3
        assert (await client.get("/fhir/Condition")).status_code == 403
        public = (await client.get("/smart/jwks.json")).json()
    claims = jwt.decode(said["id_token"], KeySet.import_key_set(public), algorithms=["RS256"]).claims
    assert (claims["iss"], claims["aud"], claims["sub"]) == (BASE, "portal", "ana")
    assert claims["fhirUser"] == f"{FHIR}/Patient/p1"
    actions = [(actor, action) for actor, action, _, _ in world.audited()]
    assert ("user/ana", "sign-in") in actions
    assert ("app/portal/ana", "consent") in actions
    assert ("app/portal/ana", "token-issue") in actions
    assert ("app/portal/ana", "search") in actions


async def test_what_a_person_takes_away_is_not_granted(world: SmartWorld) -> None:
    said = await world.access("launch/patient offline_access patient/*.rs", drop=("offline_access",))
    assert "refresh_token" not in said
    said = await world.access(
        "launch/patient patient/Observation.rs patient/Condition.rs", drop=("patient/Observation.rs",)
    )
    assert said["scope"] == "launch/patient patient/Condition.rs"


async def test_a_person_who_says_no_is_heard(world: SmartWorld) -> None:
    async with world.client() as client:
        browser = Browser(client)
        await browser.ask()
        await browser.submit("login", name="ana", password=PASSWORD)
        answer = await browser.submit("consent", decision="deny")
        told = parse_qs(urlsplit(answer.headers["location"]).query)
        assert (told["error"], told["state"]) == (["access_denied"], ["st-1"])
        await browser.ask()
        answer = await browser.submit("consent", decision="allow")
        assert "error=access_denied" in answer.headers["location"]


async def test_a_practitioner_chooses_the_patient(world: SmartWorld) -> None:
    async with world.client() as client:
        browser = Browser(client)
        await browser.ask("launch/patient patient/*.rs")
        await browser.submit("login", name="drake", password=PASSWORD)
        await browser.submit("patient", q="Okaf")
        assert "Okafor" in browser.page
        assert "Rivera" not in browser.page
        await browser.submit("patient", q="nobody at all")
        assert "Nobody was found" in browser.page
        await browser.submit("patient", patient="p2")
        assert "Okafor" in browser.page
        answer = await browser.submit("consent", scope=["0"], decision="allow")
        code = parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]
        said = (await browser.exchange(code)).json()
    assert said["patient"] == "p2"
    assert ("app/portal/drake", "search", "Patient?name,identifier", "ok") in world.audited()
    async with world.client(said["access_token"]) as client:
        assert (await client.get("/fhir/Patient/p2")).status_code == 200
        assert (await client.get("/fhir/Patient/p1")).status_code == 404


async def test_the_ehr_launches_an_app_about_a_patient_and_an_encounter(world: SmartWorld) -> None:
    operator = world.token("ehr", Role.READER)
    async with world.client(operator) as client:
        made = await client.post("/smart/launch", json={"app": "portal", "patient": "p1", "encounter": "e1"})
        assert made.status_code == 201, made.text
        launch = made.json()["launch"]
        assert made.json()["url"].startswith("https://portal.example/launch?iss=")
        for bad in ({"app": "chart", "patient": "p1"}, {"app": "portal"}, {"app": "no", "patient": "p1"}, []):
            assert (await client.post("/smart/launch", json=bad)).status_code == 400
        assert (await client.post("/smart/launch", json={"app": "portal", "patient": "no"})).status_code == 404
    async with world.client() as client:
        assert (await client.post("/smart/launch", json={"app": "portal", "patient": "p1"})).status_code == 401
    said = await world.access("launch patient/*.rs", user="drake", launch=launch)
    assert (said["patient"], said["encounter"]) == ("p1", "e1")
    async with world.client() as client:
        answer = await Browser(client).ask("launch patient/*.rs", launch=launch)
        assert "launch-unknown" in answer.headers["location"]
    assert ("ehr", "launch", "Patient/p1", "ok") in world.audited()


async def test_a_launch_for_another_patient_is_refused_to_a_patient(world: SmartWorld) -> None:
    async with world.client(world.token()) as client:
        launch = (await client.post("/smart/launch", json={"app": "portal", "patient": "p2"})).json()["launch"]
    async with world.client() as client:
        browser = Browser(client)
        await browser.ask("launch patient/*.rs", launch=launch)
        answer = await browser.submit("login", name="ana", password=PASSWORD)
        assert "patient-mismatch" in answer.headers["location"]


async def test_confidential_apps_prove_themselves_in_every_way(world: SmartWorld) -> None:
    chart = {"client_id": "chart", "redirect_uri": CHART}
    for proof in ("basic", "post"):
        async with world.client() as client:
            browser = Browser(client)
            code = await browser.code("launch/patient patient/*.rs", **chart)
            if proof == "post":
                answer = await browser.exchange(code, **chart, client_secret=world.secret)
            else:
                client.auth = ("chart", world.secret)
                answer = await browser.exchange(code, redirect_uri=CHART, client_id=None)
        assert answer.status_code == 200, answer.text
    keyed = {"client_id": "keyed", "redirect_uri": "https://keyed.example/cb"}
    async with world.client() as client:
        browser = Browser(client)
        code = await browser.code("launch/patient patient/*.rs", **keyed)
        form = world.backend_form("", "keyed", key=EC, alg="ES384")
        form |= {"grant_type": "authorization_code", "code": code, "code_verifier": VERIFIER, **keyed}
        answer = await client.post("/smart/token", data={n: v for n, v in form.items() if n != "scope"})
    assert answer.status_code == 200, answer.text


async def test_refreshing_rotates_and_may_narrow(world: SmartWorld) -> None:
    first = await world.access("launch/patient offline_access patient/Observation.rs patient/Condition.rs")
    async with world.client() as client:
        form = {"grant_type": "refresh_token", "client_id": "portal", "refresh_token": first["refresh_token"]}
        second = (await client.post("/smart/token", data=form | {"scope": "patient/Observation.r"})).json()
        assert second["scope"] == "patient/Observation.r"
        assert second["patient"] == "p1"
        assert second["refresh_token"] != first["refresh_token"]
        more = {"grant_type": "refresh_token", "client_id": "portal", "refresh_token": second["refresh_token"]}
        wider = await client.post("/smart/token", data=more | {"scope": "user/*.rs"})
        assert (wider.status_code, wider.json()["error"]) == (400, "invalid_scope")
        third = (await client.post("/smart/token", data=more)).json()
        assert third["scope"] == first["scope"]
    async with world.client(second["access_token"]) as client:
        assert (await client.get("/fhir/Observation/o1")).status_code == 200
        assert (await client.get("/fhir/Observation")).status_code == 403


async def test_a_public_app_may_refresh_without_naming_itself(world: SmartWorld) -> None:
    """SMART "Refresh" asks public apps for the refresh token alone; fhir-client.js sends no more."""
    first = await world.access("launch/patient offline_access patient/*.rs")
    async with world.client() as client:
        form = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
        second = await client.post("/smart/token", data=form)
        assert second.json()["patient"] == "p1"
        for wrong in (first["refresh_token"], "hilumr_none", first["access_token"], ""):
            refused = await client.post("/smart/token", data=form | {"refresh_token": wrong})
            assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
        browser = Browser(client)
        code = await browser.code("launch/patient offline_access patient/*.rs", client_id="chart", redirect_uri=CHART)
        proof = {"client_id": None, "redirect_uri": CHART}
        refused = await browser.exchange(code, **proof)
        assert refused.json()["error"] == "invalid_client", "an app with a secret proves itself"
        basic = httpx2.BasicAuth("chart", world.secret)
        given = {"grant_type": "authorization_code", "code": code, "redirect_uri": CHART, "code_verifier": VERIFIER}
        said = (await client.post("/smart/token", data=given, auth=basic)).json()
        form = {"grant_type": "refresh_token", "refresh_token": said["refresh_token"]}
        assert (await client.post("/smart/token", data=form)).json()["error"] == "invalid_client"


async def test_a_program_acts_by_itself_with_its_keys(world: SmartWorld) -> None:
    for key in ({}, {"key": EC, "alg": "ES384"}):
        said = (await world.backend("system/Observation.rs system/Condition.cruds openid", **key)).json()
        assert said["scope"] == "system/Observation.rs system/Condition.rs"
        assert said["expires_in"] <= 300
        assert "refresh_token" not in said
    async with world.client(said["access_token"]) as client:
        assert (await client.get("/fhir/Observation")).json()["total"] == 4
        assert (await client.get("/fhir/Patient/p1")).status_code == 403
        refused = await client.post("/fhir/Condition", json={"resourceType": "Condition"})
        assert refused.status_code == 403


async def test_revocation_holds_at_once_everywhere(world: SmartWorld) -> None:
    said = await world.access("launch/patient offline_access patient/*.rs")
    other = await world.access("launch/patient patient/*.rs")

    async def status(token: str) -> int:
        async with world.client(token) as client:
            return (await client.get("/fhir/Patient/p1")).status_code

    assert await status(said["access_token"]) == 200
    async with world.client() as client:
        stolen = await client.post(
            "/smart/revoke", data={"client_id": "chart", "client_secret": world.secret, "token": said["refresh_token"]}
        )
        assert stolen.status_code == 200
        assert await status(said["access_token"]) == 200
        done = await client.post("/smart/revoke", data={"client_id": "portal", "token": said["refresh_token"]})
        assert (done.status_code, done.content) == (200, b"")
        again = await client.post("/smart/revoke", data={"client_id": "portal", "token": said["refresh_token"]})
        assert again.status_code == 200
    assert await status(said["access_token"]) == 401
    assert await status(other["access_token"]) == 200
    world.smart.users.lock("ana", locked=True, by="test")
    assert await status(other["access_token"]) == 401
    world.smart.users.lock("ana", locked=False, by="test")
    assert await status(other["access_token"]) == 401
    last = await world.access("launch/patient patient/*.rs")
    world.smart.apps.remove("portal", by="test")
    assert await status(last["access_token"]) == 401


async def test_introspection_tells_apps_of_their_own_tokens_and_operators_of_all(world: SmartWorld) -> None:
    said = await world.access("openid fhirUser launch/patient offline_access patient/*.rs", client_id="portal")
    operator = world.token()
    async with world.client(operator) as client:
        told = (await client.post("/smart/introspect", data={"token": said["access_token"]})).json()
        assert told["active"]
        assert (told["client_id"], told["sub"], told["patient"]) == ("portal", "ana", "p1")
        assert told["fhirUser"] == f"{FHIR}/Patient/p1"
        assert (await client.post("/smart/introspect", data={"token": "x"})).json() == {"active": False}
    async with world.client() as client:
        asked = {"token": said["access_token"], "client_id": "chart", "client_secret": world.secret}
        assert (await client.post("/smart/introspect", data=asked)).json() == {"active": False}
        public = await client.post("/smart/introspect", data={"token": "x", "client_id": "portal"})
        assert (public.status_code, public.json()["error"]) == (401, "invalid_client")
    async with world.client(world.token("reader", Role.READER)) as client:
        assert (await client.post("/smart/introspect", data={"token": "x"})).status_code == 403


async def test_discovery_names_what_is_there(world: SmartWorld) -> None:
    async with world.client() as client:
        told = (await client.get("/fhir/.well-known/smart-configuration")).json()
        paths = {route.path for route in world.app.routes}
        for name in ("authorization", "token", "introspection", "revocation", "management"):
            assert urlsplit(told[f"{name}_endpoint"]).path in paths
        assert told["code_challenge_methods_supported"] == ["S256"]
        openid = (await client.get("/.well-known/openid-configuration")).json()
        assert openid["issuer"] == BASE
        assert (await client.get("/.well-known/oauth-authorization-server")).json() == openid
        security = (await client.get("/fhir/metadata")).json()["rest"][0]["security"]
        assert security["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"


async def test_pages_are_safe_and_readable(world: SmartWorld) -> None:
    world.register("evil", world.smart.apps.all()[0].kind, ("https://e.example/",), "patient/*.rs", title='<script>"x"')
    async with world.client() as client:
        browser = Browser(client)
        answer = await browser.ask(client_id="evil", redirect_uri="https://e.example/")
        assert "<script" not in browser.page
        assert "&lt;script&gt;" in browser.page
        policy = answer.headers.get_list("content-security-policy")
        assert len(policy) == 1
        assert "script-src" not in policy[0]
        assert policy[0].startswith("default-src 'none'")
        assert "form-action 'self' https://e.example" in policy[0]
        assert "cache-control" in answer.headers
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-hilum=")
        assert all(word in cookie for word in ("HttpOnly", "SameSite=Lax", "Secure", "Path=/"))
        for page in (browser.page, (await browser.submit("login", name="ana", password=PASSWORD)).text):
            inputs = re.findall(r'<input id="(\w+)"', page)
            assert [one for one in inputs if f'<label for="{one}">' not in page] == []
            assert '<html lang="en">' in page
        assert (await client.get("/smart/style.css")).headers["content-type"] == "text/css"


async def test_signing_in_once_is_enough_for_the_session_and_prompt_asks_again(world: SmartWorld) -> None:
    async with world.client() as client:
        browser = Browser(client)
        await browser.code("launch/patient patient/*.rs")
        before = client.cookies["__Host-hilum"]
        await browser.ask()
        assert 'value="allow"' in browser.page
        await browser.ask(prompt="login")
        assert 'name="password"' in browser.page
        await browser.submit("login", name="ana", password=PASSWORD)
        assert client.cookies["__Host-hilum"] != before


async def test_a_mobile_app_gets_its_answer_by_its_own_scheme(world: SmartWorld) -> None:
    async with world.client() as client:
        browser = Browser(client)
        answer = await browser.ask(redirect_uri=MOBILE, method="POST")
        assert "form-action 'self' com.example.app:" in answer.headers["content-security-policy"]
        await browser.submit("login", name="ana", password=PASSWORD)
        answer = await browser.submit("consent", scope=["0"], decision="allow")
        assert answer.headers["location"].startswith("com.example.app:/callback?code=")


async def test_a_restart_keeps_sessions_tokens_and_assertions(world: SmartWorld) -> None:
    said = await world.access("launch/patient offline_access patient/*.rs")
    form = world.backend_form("system/Patient.rs")
    async with world.client() as client:
        assert (await client.post("/smart/token", data=form)).status_code == 200
        browser = Browser(client)
        await browser.code("launch/patient patient/*.rs")
        world.close()
        world.open()
        async with world.client() as fresh:
            fresh.cookies = client.cookies
            again = Browser(fresh)
            await again.ask()
            assert 'value="allow"' in again.page
            assert (await fresh.post("/smart/token", data=form)).json()["error"] == "invalid_client"
            form = {"grant_type": "refresh_token", "client_id": "portal", "refresh_token": said["refresh_token"]}
            assert (await fresh.post("/smart/token", data=form)).status_code == 200
    async with world.client(said["access_token"]) as client:
        assert (await client.get("/fhir/Patient/p1")).status_code == 200


async def test_pages_of_registered_apps_may_ask_across_origins_and_no_others(world: SmartWorld) -> None:
    said = await world.access("launch/patient patient/*.rs")
    asking = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    async with world.client(said["access_token"], Origin="https://portal.example") as client:
        read = await client.get("/fhir/Patient/p1")
        assert read.headers["access-control-allow-origin"] == "https://portal.example"
        assert "access-control-allow-credentials" not in read.headers
        hidden = await client.get("/fhir/Patient/p2")
        assert hidden.headers["access-control-allow-origin"] == "https://portal.example"
        before = await client.options("/fhir/Patient/p1", headers=asking)
        assert (before.status_code, "authorization" in before.headers["access-control-allow-headers"]) == (204, True)
        assert "access-control-allow-origin" not in (await client.get("/smart/style.css")).headers
    async with world.client(said["access_token"], Origin="https://other.example") as client:
        assert "access-control-allow-origin" not in (await client.get("/fhir/Patient/p1")).headers
        assert (await client.options("/fhir/Patient/p1", headers=asking)).status_code == 403
        told = await client.get("/fhir/.well-known/smart-configuration")
        assert told.headers["access-control-allow-origin"] == "*"
