"""What attackers try at the authorization server, and that it gets them nothing."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from smart_support import BASE, CHALLENGE, CHART, EC, PASSWORD, PORTAL, RSA, VERIFIER, Browser, SmartWorld

from hilum.app.smart import ledger, records, users
from hilum.app.tokens import microseconds

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[SmartWorld]:
    made = SmartWorld(tmp_path)
    await made.fill()
    yield made
    made.close()


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    for module in ("ledger", "seal", "users", "service"):
        monkeypatch.setattr(f"hilum.app.smart.{module}.microseconds", lambda: microseconds() + int(seconds * 1e6))


REQUESTS: list[tuple[dict[str, Any], str]] = [
    ({"aud": "https://other.example/fhir"}, "audience-wrong"),
    ({"aud": None}, "audience-wrong"),
    ({"code_challenge": None}, "challenge-missing"),
    ({"code_challenge_method": None}, "challenge-missing"),
    ({"code_challenge_method": "plain"}, "challenge-missing"),
    ({"code_challenge": "short"}, "challenge-missing"),
    ({"state": None}, "state-missing"),
    ({"response_type": "token"}, "request-unsupported"),
    ({"response_mode": "fragment"}, "request-unsupported"),
    ({"request": "x.y.z"}, "request-unsupported"),
    ({"prompt": "none"}, "interaction-required"),
    ({"launch": "hiluml_guess"}, "launch-unknown"),
    ({"scope": "launch patient/*.rs", "launch": "hiluml_guess"}, "launch-unknown"),
    ({"scope": "system/*.rs"}, "scope-refused"),
    ({"scope": "bogus"}, "scope-refused"),
    ({"scope": ""}, "scope-refused"),
]


async def test_a_request_that_is_not_right_is_refused_to_the_app(world: SmartWorld) -> None:
    for given, code in REQUESTS:
        async with world.client() as client:
            answer = await Browser(client).ask(**({"scope": "patient/*.rs"} | given))
        assert answer.status_code == 303
        assert answer.headers["location"].startswith(f"{PORTAL}?")
        told = parse_qs(urlsplit(answer.headers["location"]).query)
        assert told["error_description"][0].startswith(f"{code}:")
        assert "code" not in told
        assert any(outcome == code for _, _, _, outcome in world.audited("authorize"))


ADDRESSES: list[dict[str, Any]] = [
    {"redirect_uri": f"{PORTAL}/"},
    {"redirect_uri": f"{PORTAL}?x=1"},
    {"redirect_uri": "https://evil.example/"},
    {"redirect_uri": CHART},
    {"redirect_uri": None},
    {"client_id": "nobody"},
    {"client_id": "loader", "redirect_uri": ""},
    {"client_id": None},
]


async def test_nothing_is_sent_to_an_address_that_is_not_registered(world: SmartWorld) -> None:
    for given in ADDRESSES:
        async with world.client() as client:
            answer = await Browser(client).ask(**given)
        assert answer.status_code == 400
        assert "location" not in answer.headers
        assert answer.headers["content-type"].startswith("text/html")


async def test_a_parameter_that_stands_twice_is_refused(world: SmartWorld) -> None:
    async with world.client() as client:
        answer = await client.get(
            f"/smart/authorize?client_id=portal&redirect_uri={PORTAL}&redirect_uri=https://e.example"
        )
    assert answer.status_code == 400


async def test_a_long_list_of_scopes_is_taken_and_one_without_end_is_refused_in_words(world: SmartWorld) -> None:
    scope = " ".join(["launch/patient", *(f"patient/Observation.rs?code=http://codes.example|{n}" for n in range(70))])
    assert len(quote(scope)) < 8_192 < len(quote(scope * 2))
    async with world.client() as client:
        browser = Browser(client)
        assert (await browser.ask(scope, method="POST")).status_code == 200
        form = {"grant_type": "client_credentials", "client_assertion": "a" * 40_000}
        told = await client.post("/smart/token", data=form)
        assert (told.status_code, told.json()["error"]) == (400, "invalid_request")
        assert told.json()["error_description"].startswith("form-expected: ")
        assert (await client.post("/smart/token", data={"x": "y" * 70_000})).status_code == 413


EXCHANGES: list[tuple[dict[str, Any], str]] = [
    ({"code_verifier": None}, "verifier-wrong"),
    ({"code_verifier": ""}, "verifier-wrong"),
    ({"code_verifier": "w" * 60}, "verifier-wrong"),
    ({"code_verifier": CHALLENGE}, "verifier-wrong"),
    ({"code_verifier": VERIFIER + " "}, "verifier-wrong"),
    ({"redirect_uri": "https://portal.example/other"}, "redirect-mismatch"),
    ({"redirect_uri": None}, "redirect-mismatch"),
    ({"client_id": "chart"}, "client-unproven"),
    ({"client_id": "keyed"}, "client-unproven"),
    ({"client_id": None}, "client-unproven"),
    ({"grant_type": "password"}, "grant-unsupported"),
    ({"grant_type": None}, "grant-unsupported"),
    ({"grant_type": "client_credentials"}, "grant-unsupported"),
    ({"code": "hilumc_guess"}, "code-unknown"),
]


async def test_a_code_is_worth_nothing_without_its_verifier_address_and_app(world: SmartWorld) -> None:
    for given, code in EXCHANGES:
        async with world.client() as client:
            browser = Browser(client)
            asked = {"code": await browser.code("launch/patient patient/*.rs")} | given
            answer = await browser.exchange(**asked)
        assert answer.status_code in (400, 401)
        assert answer.json()["error_description"].startswith(f"{code}:")
        assert any(outcome == code for _, _, _, outcome in world.audited("token"))


async def test_a_verifier_that_equals_its_challenge_proves_nothing(world: SmartWorld) -> None:
    same = "A" * 43
    async with world.client() as client:
        browser = Browser(client)
        code = await browser.code("launch/patient patient/*.rs", code_challenge=same)
        assert (await browser.exchange(code, code_verifier=same)).status_code == 400


async def test_a_code_that_another_app_presents_still_works_for_its_own(world: SmartWorld) -> None:
    async with world.client() as client:
        browser = Browser(client)
        code = await browser.code("launch/patient patient/*.rs")
        stolen = await browser.exchange(code, client_id="chart", client_secret=world.secret)
        assert stolen.json()["error_description"].startswith("code-unknown")
        assert (await browser.exchange(code)).status_code == 200


async def test_a_code_lives_for_a_minute(world: SmartWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world.client() as client:
        browser = Browser(client)
        code = await browser.code("launch/patient patient/*.rs")
        later(monkeypatch, 61)
        assert (await browser.exchange(code)).json()["error_description"].startswith("code-expired")


async def test_a_code_that_is_used_twice_ends_all_that_came_of_it(world: SmartWorld) -> None:
    async with world.client() as client:
        browser = Browser(client)
        code = await browser.code("launch/patient offline_access patient/*.rs")
        answers = await asyncio.gather(*(browser.exchange(code) for _ in range(6)))
        won = [one for one in answers if one.status_code == 200]
        assert len(won) == 1
        assert {one.json()["error"] for one in answers if one.status_code != 200} == {"invalid_grant"}
        said = won[0].json()
        form = {"grant_type": "refresh_token", "client_id": "portal", "refresh_token": said["refresh_token"]}
        assert (await client.post("/smart/token", data=form)).status_code == 400
    async with world.client(said["access_token"]) as client:
        refused = await client.get("/fhir/Patient/p1")
        assert refused.status_code == 401
        assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    assert any(outcome == "code-reused" for _, _, _, outcome in world.audited("grant-revoke"))


async def test_a_refresh_token_that_is_used_twice_ends_the_family(world: SmartWorld) -> None:
    first = await world.access("launch/patient offline_access patient/*.rs")
    form = {"grant_type": "refresh_token", "client_id": "portal", "refresh_token": first["refresh_token"]}
    async with world.client() as client:
        other = await client.post("/smart/token", data=form | {"client_id": "chart", "client_secret": world.secret})
        assert other.json()["error"] == "invalid_grant"
        answers = await asyncio.gather(*(client.post("/smart/token", data=form) for _ in range(4)))
        (won,) = [one.json() for one in answers if one.status_code == 200]
        newest = {"grant_type": "refresh_token", "client_id": "portal", "refresh_token": won["refresh_token"]}
        assert (await client.post("/smart/token", data=newest)).status_code == 400
    for token in (first["access_token"], won["access_token"]):
        async with world.client(token) as client:
            assert (await client.get("/fhir/Patient/p1")).status_code == 401


async def test_tokens_expire_and_are_not_each_others_kind(world: SmartWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    said = await world.access("openid launch/patient offline_access patient/*.rs")
    for wrong in (said["refresh_token"], said["id_token"], said["access_token"][:-1], said["access_token"] + "x", ""):
        async with world.client(wrong or "none") as client:
            assert (await client.get("/fhir/Patient/p1")).status_code == 401
    async with world.client() as client:
        form = {"grant_type": "refresh_token", "client_id": "portal", "refresh_token": said["access_token"]}
        assert (await client.post("/smart/token", data=form)).status_code == 400
        later(monkeypatch, 3_601)
        async with world.client(said["access_token"]) as bearer:
            assert (await bearer.get("/fhir/Patient/p1")).status_code == 401
        later(monkeypatch, 91 * 86_400)
        form["refresh_token"] = said["refresh_token"]
        assert (await client.post("/smart/token", data=form)).status_code == 400


async def test_a_token_of_another_hilum_opens_nothing(world: SmartWorld, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = SmartWorld(tmp_path / "other")
    await other.fill()
    said = await other.access("launch/patient patient/*.rs")
    async with world.client(said["access_token"]) as client:
        assert (await client.get("/fhir/Patient/p1")).status_code == 401
    async with other.client() as client:
        browser = Browser(client)
        await browser.ask()
        page = browser.sealed
    async with world.client() as client:
        answer = await client.post("/smart/login", data={"request": page, "name": "ana", "password": PASSWORD})
        assert answer.status_code == 400
    other.close()


def forged(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    parts = [json.dumps(one).encode() for one in (header, claims)] + [signature]
    return ".".join(base64.urlsafe_b64encode(one).decode().rstrip("=") for one in parts)


async def refusal(world: SmartWorld, **more: Any) -> str:
    answer = await world.backend("system/Patient.rs", **more)
    assert answer.status_code == 401, answer.text
    assert answer.json()["error"] == "invalid_client"
    return str(answer.json()["error_description"].partition(":")[0])


CLAIMS: list[tuple[dict[str, Any], str]] = [
    ({"aud": f"{BASE}/fhir"}, "assertion-audience"),
    ({"aud": "https://other.example/smart/token"}, "assertion-audience"),
    ({"aud": [f"{BASE}/smart/token", "https://other.example"]}, "assertion-audience"),
    ({"aud": [BASE, "https://other.example"]}, "assertion-audience"),
    ({"aud": []}, "assertion-audience"),
    ({"aud": [[BASE]]}, "assertion-audience"),
    ({"aud": None}, "assertion-audience"),
    ({"exp": 1}, "assertion-expired"),
    ({"exp": int(time.time()) + 3_600}, "assertion-expired"),
    ({"exp": None}, "assertion-expired"),
    ({"exp": "never"}, "assertion-expired"),
    ({"exp": True}, "assertion-expired"),
    ({"iat": int(time.time()) + 3_600}, "assertion-expired"),
    ({"nbf": int(time.time()) + 3_600}, "assertion-expired"),
    ({"jti": None}, "assertion-replayed"),
    ({"jti": 7}, "assertion-replayed"),
    ({"sub": "keyed"}, "assertion-issuer"),
    ({"iss": "keyed"}, "assertion-issuer"),
    ({"iss": "nobody", "sub": "nobody"}, "client-unproven"),
    ({"iss": "chart", "sub": "chart"}, "client-unproven"),
]


async def test_assertions_with_a_wrong_claim_are_refused(world: SmartWorld) -> None:
    for claims, code in CLAIMS:
        assert await refusal(world, **claims) == code


@pytest.mark.parametrize("aud", [f"{BASE}/smart/token", [f"{BASE}/smart/token"], BASE, [BASE, f"{BASE}/smart/token"]])
async def test_assertions_name_the_token_endpoint_or_the_issuer(world: SmartWorld, aud: Any) -> None:
    assert (await world.backend("system/Patient.rs", aud=aud)).status_code == 200


async def test_assertions_that_are_not_signed_by_the_app_are_refused(world: SmartWorld) -> None:
    claims = jwt.decode(world.assertion(), RSA, algorithms=["RS384"]).claims
    stranger = RSAKey.generate_key(2048, {"kid": "rsa"})
    plain = RSAKey.import_key(RSA.as_pem(private=True), {"kid": "rsa"})
    good = world.assertion()
    shared = forged({"alg": "HS384", "kid": "rsa"}, claims)
    mac = hmac.digest(RSA.as_pem(private=False), shared.rpartition(".")[0].encode(), "sha384")
    shared = forged({"alg": "HS384", "kid": "rsa"}, claims, mac)
    told = {
        "none": forged({"alg": "none"}, claims),
        "none with a kid": forged({"alg": "none", "kid": "rsa"}, claims),
        "None": forged({"alg": "None", "kid": "rsa"}, claims),
        "another key of the same kid": world.assertion(key=stranger),
        "the public key as a shared secret": shared,
        "a weaker algorithm": world.assertion(key=plain, alg="RS256"),
        "a kid that is not there": jwt.encode({"alg": "RS384", "kid": "other"}, claims, RSA, ["RS384"]),
        "no kid": jwt.encode({"alg": "RS384"}, claims, RSA, ["RS384"]),
        "the wrong kind of key": forged({"alg": "ES384", "kid": "rsa"}, claims, bytes(96)),
        "no signature": good.rpartition(".")[0] + ".",
        "another body": ".".join(
            [good.split(".")[0], forged({}, claims | {"jti": "z"}).split(".")[1], good.split(".")[2]]
        ),
        "a key in the header": forged(
            {"alg": "RS384", "kid": "rsa", "jwk": stranger.as_dict(private=False)}, claims, bytes(256)
        ),
        "no JWT": "a.b",
        "no JSON": "e30.e30.e30",
        "much too long": "a." * 3_000,
    }
    for name, text in told.items():
        code = await refusal(world, text=text)
        assert code.startswith(("assertion-", "client-")), (name, code)
    assert (await world.backend("system/Patient.rs", text=good)).status_code == 200


async def test_an_assertion_is_taken_once_also_when_it_comes_many_times_at_once(world: SmartWorld) -> None:
    form = world.backend_form("system/Patient.rs", key=EC, alg="ES384")
    async with world.client() as client:
        answers = await asyncio.gather(*(client.post("/smart/token", data=form) for _ in range(6)))
    assert sorted(one.status_code for one in answers) == [200, 401, 401, 401, 401, 401]
    refused = next(one for one in answers if one.status_code == 401)
    assert refused.json()["error_description"].startswith("assertion-replayed")


PROOFS: list[dict[str, str]] = [
    {"client_secret": "wrong"},
    {"client_secret": ""},
    {"client_id": "portal", "client_secret": "x"},
    {"client_id": "nobody", "client_secret": "x"},
    {"client_assertion": "x"},
    {"client_assertion": "x", "client_secret": "x"},
]


async def test_an_app_that_does_not_prove_itself_gets_nothing(world: SmartWorld) -> None:
    for given in PROOFS:
        form = {"grant_type": "authorization_code", "client_id": "chart", "code": "x"} | given
        async with world.client() as client:
            answer = await client.post("/smart/token", data=form)
            assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
            for header in ("Basic !", "Basic " + base64.b64encode(b"chart").decode(), "Digest x"):
                answer = await client.post("/smart/token", data={"grant_type": "x"}, headers={"Authorization": header})
                assert answer.status_code == 401
            assert (await client.post("/smart/token", json=form)).json()["error"] == "invalid_request"
            twice = await client.post(
                "/smart/token",
                content=b"grant_type=a&grant_type=b",
                headers={"Content-Type": "application/x-www-form-urlencoded"},
            )
            assert twice.json()["error"] == "invalid_request"


async def test_forms_of_other_sites_browsers_and_pages_are_refused(
    world: SmartWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.client() as client:
        browser = Browser(client)
        await browser.ask()
        sealed = browser.sealed
        async with world.client() as other:
            stolen = await other.post("/smart/login", data={"request": sealed, "name": "ana", "password": PASSWORD})
            assert stolen.status_code == 400
        crossed = await client.post(
            "/smart/login",
            data={"request": sealed, "name": "ana", "password": PASSWORD},
            headers={"Origin": "https://evil.example"},
        )
        assert crossed.status_code == 400
        jumped = await browser.submit("consent", scope=["0"], decision="allow")
        assert jumped.status_code == 400
        await browser.ask()
        await browser.submit("login", name="ana", password=PASSWORD)
        consent = browser.sealed
        picked = await client.post("/smart/patient", data={"request": consent, "patient": "p2"})
        assert picked.status_code == 400
        later(monkeypatch, 601)
        late = await client.post("/smart/consent", data={"request": consent, "scope": "0", "decision": "allow"})
        assert late.status_code == 400
        for broken in ("", "x", consent[:-4] + "AAAA"):
            answer = await client.post("/smart/consent", data={"request": broken, "decision": "allow"})
            assert answer.status_code == 400


async def test_a_cookie_that_was_there_before_signing_in_is_not_the_session(world: SmartWorld) -> None:
    async with world.client() as client:
        client.cookies.set("__Host-hilum", "planted")
        browser = Browser(client)
        await browser.ask()
        await browser.submit("login", name="ana", password=PASSWORD)
        async with world.client() as attacker:
            attacker.cookies.set("__Host-hilum", "planted")
            spying = Browser(attacker)
            await spying.ask()
            assert 'name="password"' in spying.page


async def test_wrong_passwords_are_slowed_down_and_names_are_not_told_apart(
    world: SmartWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.client() as client:
        browser = Browser(client)
        await browser.ask()

        async def told(name: str, password: str) -> str:
            page = (await browser.submit("login", name=name, password=password)).text
            return page.partition('role="alert">')[2].partition("<")[0]

        assert await told("ana", "wrong") == await told("nobody", "wrong") != ""
        for _ in range(users.FREE_TRIES):
            await told("ana", "wrong")
        assert await told("ana", PASSWORD) != ""
        assert any(outcome == "sign-in-waiting" for _, _, _, outcome in world.audited("sign-in"))
        later(monkeypatch, 31)
        await browser.ask()
        await browser.submit("login", name="ana", password=PASSWORD)
        assert 'value="allow"' in browser.page
        user = world.smart.users.find("ana")
        assert user is not None
        assert user.failures == 0
    rows = [row for row in world.audited("sign-in") if row[0] == "unknown"]
    assert rows
    assert all("nobody" not in part for row in rows for part in row)


async def test_tries_at_once_do_not_get_around_the_wait(world: SmartWorld) -> None:
    answers = await asyncio.gather(*(world.smart.users.sign_in("ana", "wrong") for _ in range(12)))
    codes = [code for _, code in answers]
    assert codes.count("sign-in-failed") == users.FREE_TRIES
    assert codes.count("sign-in-waiting") == 12 - users.FREE_TRIES


async def test_secrets_are_kept_as_hashes_only(world: SmartWorld) -> None:
    said = await world.access("openid launch/patient offline_access patient/*.rs")
    secrets = [said["access_token"], said["refresh_token"], world.secret, PASSWORD]

    def everything(connection: Any) -> str:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return repr(
            [connection.execute(f"SELECT * FROM {name}").fetchall() for name in tables if name.startswith("smart")]
        )

    kept = world.store.read(everything)
    assert len(kept) > 1_000
    assert not [one for one in secrets if one in kept]
    assert repr(hashlib.sha256(said["access_token"].encode()).digest()) in kept
    assert records.digest("x") == hashlib.sha256(b"x").digest()
    assert ledger.CODE_SECONDS == 60
