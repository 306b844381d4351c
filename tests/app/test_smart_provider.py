"""People who sign in at an OpenID Connect provider: only what it signed, for this sign-in here, lets them in."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from smart_support import Browser, SmartWorld

from hilum.app.smart.provider import Provider
from hilum.app.smart.users import new_user
from hilum.config import SmartProvider
from hilum.errors import HilumError

pytestmark = pytest.mark.anyio

ISSUER = "https://login.example/realm"
KEYS = {
    "RS256": RSAKey.generate_key(2048, {"kid": "r"}),
    "ES256": ECKey.generate_key("P-256", {"kid": "e"}),
}
CALLBACK = "https://hilum.example/smart/callback"


class Elsewhere:
    """A provider that signs what it is told to."""

    def __init__(self) -> None:
        self.claims: dict[str, Any] = {}
        self.algorithm = "RS256"
        self.key: Any = None
        self.down = False
        self.forms: list[dict[str, str]] = []
        self.nonce = ""

    async def get(self, url: str, **form: str) -> bytes:
        if self.down:
            raise HilumError("down", code="fetch-failed")
        if url.endswith("openid-configuration"):
            names = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "jwks"}
            found = {name: f"https://login.example/{path}" for name, path in names.items()}
            return json.dumps(found | {"issuer": ISSUER}).encode()
        if url.endswith("jwks"):
            return json.dumps({"keys": [one.as_dict(private=False) for one in KEYS.values()]}).encode()
        self.forms.append(form)
        return json.dumps({"id_token": self.signed()}).encode()

    def signed(self) -> str:
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": "hilum",
            "sub": "sub-ana",
            "iat": now,
            "exp": now + 60,
            "nonce": self.nonce,
        } | self.claims
        key = self.key or KEYS[self.algorithm]
        given = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": self.algorithm, "kid": key.kid}, given, key, [self.algorithm])


class Fixture:
    def __init__(self, folder: Path) -> None:
        self.elsewhere = Elsewhere()
        settings = SmartProvider(ISSUER, "hilum", title="Example Clinic")
        self.world = SmartWorld(folder, provider=Provider(settings, CALLBACK, self.elsewhere.get))

    async def signs_in(self, **more: Any) -> Browser:
        """The page after coming back."""
        async with self.world.client() as client:
            browser = Browser(client)
            await browser.ask()
            assert "Sign in with Example Clinic" in browser.page
            left = await browser.submit("provider")
            asked = {name: values[0] for name, values in parse_qs(urlsplit(left.headers["location"]).query).items()}
            assert left.headers["location"].startswith("https://login.example/authorize?")
            assert asked["code_challenge_method"] == "S256"
            self.elsewhere.nonce = asked["nonce"]
            back = {"code": "c", "state": asked["state"]} | more
            browser.page = (await client.get("/smart/callback", params=back)).text
        return browser


@pytest.fixture
async def fixture(tmp_path: Path) -> AsyncIterator[Fixture]:
    made = Fixture(tmp_path)
    await made.world.fill()
    made.world.smart.users.add(new_user("ana2", record="Patient/p1", subject="sub-ana"), by="test")
    yield made
    made.world.close()


@pytest.mark.parametrize("algorithm", KEYS)
async def test_a_person_who_is_linked_gets_to_the_consent_page(fixture: Fixture, algorithm: str) -> None:
    fixture.elsewhere.algorithm = algorithm
    browser = await fixture.signs_in()
    assert 'value="allow"' in browser.page
    assert "ana2" in browser.page
    (form,) = fixture.elsewhere.forms
    assert len(form["code_verifier"]) >= 43
    assert form["redirect_uri"] == CALLBACK


BAD: list[dict[str, Any]] = [
    {"iss": "https://other.example"},
    {"aud": "another"},
    {"aud": ["another"]},
    {"aud": ["hilum", "another"], "azp": "another"},
    {"nonce": "guess"},
    {"nonce": None},
    {"exp": 1},
    {"exp": None},
    {"iat": int(time.time()) + 3_600},
    {"sub": None},
    {"sub": "sub-stranger"},
]


async def test_what_the_provider_did_not_say_for_this_sign_in_lets_nobody_in(fixture: Fixture) -> None:
    for claims in BAD:
        fixture.elsewhere.claims = claims
        browser = await fixture.signs_in()
        assert 'value="allow"' not in browser.page, claims
        assert 'role="alert"' in browser.page
    outcomes = {outcome for _, action, _, outcome in fixture.world.audited("sign-in")}
    assert outcomes == {"provider-refused", "provider-stranger"}


async def test_tokens_of_other_keys_and_algorithms_let_nobody_in(fixture: Fixture) -> None:
    shared = OctKey.import_key("s" * 32, {"kid": "r"})
    for algorithm, key in (("RS256", RSAKey.generate_key(2048, {"kid": "r"})), ("HS256", shared)):
        fixture.elsewhere.algorithm, fixture.elsewhere.key = algorithm, key
        assert 'value="allow"' not in (await fixture.signs_in()).page
    fixture.elsewhere.signed = lambda: "eyJhbGciOiJub25lIn0.e30."  # type: ignore[method-assign]
    assert 'value="allow"' not in (await fixture.signs_in()).page


async def test_errors_and_locked_people_end_at_the_sign_in_page(fixture: Fixture) -> None:
    for more in ({"error": "access_denied"}, {"code": ""}, {"iss": "https://other.example"}):
        assert 'value="allow"' not in (await fixture.signs_in(**more)).page
    assert "too old" in (await fixture.signs_in(state="guess")).page
    fixture.world.smart.users.lock("ana2", locked=True, by="test")
    assert 'value="allow"' not in (await fixture.signs_in()).page


async def test_a_provider_that_is_down_leaves_local_accounts_alone(fixture: Fixture) -> None:
    fixture.elsewhere.down = True
    async with fixture.world.client() as client:
        browser = Browser(client)
        await browser.ask()
        answer = await browser.submit("provider")
        assert (answer.status_code, "cannot be reached" in answer.text) == (400, True)
        assert await browser.code("launch/patient patient/*.rs")
