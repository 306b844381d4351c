"""The page where people see which apps may see their data, end that, and sign out; and signing in as somebody else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from smart_support import PASSWORD, PORTAL, Browser, SmartWorld

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path: Path) -> SmartWorld:
    made = SmartWorld(tmp_path)
    await made.fill()
    return made


@pytest.fixture(autouse=True)
def closed(world: SmartWorld) -> Iterator[None]:
    yield
    world.close()


async def allowed(browser: Browser, scope: str) -> str:
    """An access token of the portal, which works."""
    said = (await browser.exchange(await browser.code(scope))).json()
    assert await status(browser.client, said["access_token"]) == 200
    return str(said["access_token"])


async def status(client: httpx2.AsyncClient, token: str) -> int:
    return (await client.get("/fhir/Patient/p1", headers={"Authorization": f"Bearer {token}"})).status_code


async def test_people_see_and_end_what_apps_may_do(world: SmartWorld) -> None:
    async with world.client() as client:
        browser = Browser(client)
        token = await allowed(browser, "launch/patient offline_access patient/Patient.rs")
        again = await allowed(browser, "launch/patient patient/Observation.rs?category=laboratory patient/Patient.r")
        page = browser._took(await client.get("/smart/account")).text
        assert page.count("<section>") == 1, "one for each app"
        for words in (
            "portal",
            "see your name, birth date",
            "see your results",
            "laboratory",
            "when you are not using it",
        ):
            assert words in page
        answer = await browser.submit("account", decision="end", app="portal")
        assert (answer.status_code, answer.headers["location"]) == (303, f"{world.base}/smart/account")
        assert [await status(client, one) for one in (token, again)] == [401, 401]
        assert "No app may see your data" in (await client.get("/smart/account")).text
        assert ("user/ana", "consent-end", "app/portal/ana", "ok") in world.audited()


async def test_signing_out_ends_the_session_and_what_lasts_as_long_as_it(world: SmartWorld) -> None:
    async with world.client() as client:
        browser = Browser(client)
        while_here = await allowed(browser, "launch/patient online_access patient/Patient.rs")
        for_long = await allowed(browser, "launch/patient offline_access patient/Patient.rs")
        browser._took(await client.get("/smart/account"))
        cookie = client.cookies["__Host-hilum"]
        answer = await browser.submit("account", decision="sign-out")
        assert "You are signed out" in answer.text
        assert "Max-Age=0" in answer.headers["set-cookie"]
        assert [await status(client, one) for one in (while_here, for_long)] == [401, 200]
        client.cookies.set("__Host-hilum", cookie, domain=urlsplit(world.base).hostname or "", path="/")
        await browser.ask()
        assert 'name="password"' in browser.page, "the cookie of before opens nothing"
        assert world.audited("sign-out") == [("user/ana", "sign-out", "Patient/p1", "ok")]


async def test_the_account_page_asks_who_it_is_and_leads_back(world: SmartWorld) -> None:
    async with world.client() as client:
        browser = Browser(client)
        browser._took(await client.get("/smart/account"))
        assert "which apps may see your health data" in browser.page
        answer = await browser.submit("login", name="ana", password="wrong")
        assert "is not right" in answer.text
        answer = await browser.submit("login", name="ana", password=PASSWORD)
        assert (answer.status_code, answer.headers["location"]) == (303, f"{world.base}/smart/account")
        assert "signed in as <strong>ana</strong>" in (await client.get("/smart/account")).text
    async with world.client() as client:
        browser = Browser(client)
        browser._took(await client.get("/smart/account"))
        await browser.submit("login", name="drake", password=PASSWORD)
        assert "No app may act for you" in (await client.get("/smart/account")).text


async def test_forms_of_other_sites_and_browsers_end_nothing(world: SmartWorld) -> None:
    async with world.client() as client, world.client() as other:
        browser = Browser(client)
        token = await allowed(browser, "launch/patient offline_access patient/Patient.rs")
        sealed = re.search(r'name="request" value="([^"]+)"', (await client.get("/smart/account")).text)
        assert sealed
        form = {"request": sealed[1], "decision": "end", "app": "portal"}
        assert (await other.post("/smart/account", data=form)).status_code == 400
        evil = await client.post("/smart/account", data=form, headers={"Origin": "https://evil.example"})
        assert evil.status_code == 400
        assert (await client.post("/smart/account", data={**form, "request": "x"})).status_code == 400
        await browser.ask()
        assert (await client.post("/smart/account", data={**form, "request": browser.sealed})).status_code == 400
        assert await status(client, token) == 200


async def test_somebody_else_may_sign_in_at_the_consent_page(world: SmartWorld) -> None:
    async with world.client() as client:
        browser = Browser(client)
        await browser.ask("launch/patient patient/Patient.rs")
        await browser.submit("login", name="ana", password=PASSWORD)
        assert "portal.example" in browser.page, "where the answer goes"
        consent = browser.page
        assert re.search(r"<form[^>]*>(?:(?!</form>).)*switch(?:(?!</form>).)*</form>.*value=\"allow\"", consent)
        await browser.submit("consent", decision="switch")
        assert 'name="password"' in browser.page
        await browser.submit("login", name="drake", password=PASSWORD)
        assert 'name="q"' in browser.page, "a practitioner chooses the patient: that of before is forgotten"


async def signed_in(browser: Browser) -> tuple[str, str]:
    """Access and id_token of the portal, of a session that goes on."""
    said = (await browser.exchange(await browser.code("openid online_access launch/patient patient/Patient.rs"))).json()
    return str(said["access_token"]), str(said["id_token"])


async def test_an_app_signs_a_person_out_and_gets_them_back(world: SmartWorld) -> None:
    async with world.client() as client:
        browser = Browser(client)
        token, hint = await signed_in(browser)
        asked = {"id_token_hint": hint, "post_logout_redirect_uri": PORTAL, "state": "s 1"}
        answer = await client.get("/smart/logout", params=asked)
        assert (answer.status_code, answer.headers["location"]) == (303, f"{PORTAL}?state=s+1")
        assert await status(client, token) == 401, "it was allowed while the session lasts"
        assert ("user/ana", "sign-out", "Patient/p1", "ok") in world.audited()
        await browser.ask()
        assert 'name="password"' in browser.page
        again = await client.post("/smart/logout", data=asked)
        assert again.headers["location"] == f"{PORTAL}?state=s+1", "who is signed out stays so"
        found = (await client.get("/.well-known/openid-configuration")).json()
        assert found["end_session_endpoint"] == f"{world.base}/smart/logout"


async def test_nobody_is_signed_out_or_sent_elsewhere_without_proof(world: SmartWorld) -> None:
    async with world.client() as client:
        browser = Browser(client)
        token, hint = await signed_in(browser)
        head, body, mark = hint.split(".")
        forged = f"{head}.{body}.{mark[::-1]}"
        none = ".".join(["eyJhbGciOiJub25lIn0", body, ""])
        for asked in (
            {},
            {"id_token_hint": forged},
            {"id_token_hint": none},
            {"id_token_hint": hint, "client_id": "chart"},
        ):
            answer = await client.get("/smart/logout", params=asked | {"post_logout_redirect_uri": PORTAL})
            assert answer.headers["location"] == f"{world.base}/smart/account", asked
            assert await status(client, token) == 200
        async with world.client() as other:
            await (drake := Browser(other)).ask("user/*.rs")
            await drake.submit("login", name="drake", password=PASSWORD)
            answer = await other.get("/smart/logout", params={"id_token_hint": hint})
            assert answer.headers["location"] == f"{world.base}/smart/account", "it is about somebody else"
        for to in ("https://evil.example/", f"{PORTAL}/x", "javascript:alert(1)", ""):
            answer = await client.get("/smart/logout", params={"id_token_hint": hint, "post_logout_redirect_uri": to})
            assert answer.status_code == 200
            assert "You are signed out" in answer.text
            assert to not in answer.text or not to
        twice = await client.get("/smart/logout?state=a&state=b")
        assert twice.status_code == 400
