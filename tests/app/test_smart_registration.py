"""Apps that register themselves (RFC 7591): only where the folder says so, with its token, within its scopes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from smart_support import EC, PORTAL, Browser, SmartWorld, keys

from hilum.app.smart.keys import guarded
from hilum.app.smart.records import digest
from hilum.config import Secret, Smart, SmartRegistration
from hilum.errors import HilumError

pytestmark = pytest.mark.anyio

TOKEN = "given-to-developers-of-apps"
ALLOWED = "openid fhirUser launch/patient offline_access patient/*.rs system/Observation.rs"
PAGE = {"redirect_uris": [PORTAL], "token_endpoint_auth_method": "none", "client_name": "Diary"}
PROGRAM = {
    "grant_types": ["client_credentials"],
    "token_endpoint_auth_method": "private_key_jwt",
    "jwks": json.loads(keys(EC)),
}


def settings(tmp_path: Path, token: str = TOKEN, scopes: str = ALLOWED, jwks_uris: tuple[str, ...] = ()) -> Smart:
    path = tmp_path / "registration"
    path.write_text(token)
    path.chmod(0o600)
    return Smart(registration=SmartRegistration(Secret(f"file:{path}"), scopes, list(jwks_uris)))


@pytest.fixture
async def world(tmp_path: Path) -> SmartWorld:
    made = SmartWorld(tmp_path, settings(tmp_path))
    await made.fill()
    return made


@pytest.fixture(autouse=True)
def closed(world: SmartWorld) -> Iterator[None]:
    yield
    world.close()


async def register(world: SmartWorld, metadata: Any, status: int = 201, token: str = TOKEN) -> dict[str, Any]:
    async with world.client(token) as client:
        answer = await client.post("/smart/register", json=metadata)
    assert answer.status_code == status, answer.text
    assert answer.headers["cache-control"] == "no-store"
    said: dict[str, Any] = answer.json()
    return said


async def test_a_page_registers_itself_and_is_launched(world: SmartWorld) -> None:
    said = await register(world, PAGE | {"scope": "launch/patient patient/Patient.rs user/*.rs", "logo_uri": "x"})
    assert said["scope"] == "launch/patient patient/Patient.rs", "within what may be registered"
    assert "client_secret" not in said
    assert {name: said[name] for name in PAGE} == PAGE
    async with world.client() as client:
        browser = Browser(client)
        code = await browser.code("launch/patient patient/*.rs", client_id=said["client_id"])
        token = (await browser.exchange(code, client_id=said["client_id"])).json()
        assert token["scope"] == "launch/patient patient/Patient.rs"
    assert ("registration", "app-add", said["client_id"], "ok") in world.audited()


async def test_an_app_with_a_server_gets_a_secret_once(world: SmartWorld) -> None:
    said = await register(world, {"redirect_uris": [PORTAL]})
    assert said["token_endpoint_auth_method"] == "client_secret_basic"
    assert said["client_secret_expires_at"] == 0
    assert said["scope"] == ALLOWED.removesuffix(" system/Observation.rs"), "no word of scopes: all that may be"
    async with world.client() as client:
        browser = Browser(client)
        code = await browser.code("launch/patient patient/*.rs", client_id=said["client_id"])
        proof = {"client_id": said["client_id"], "client_secret": said["client_secret"]}
        assert (await browser.exchange(code, **proof)).status_code == 200


async def test_a_program_registers_its_keys(world: SmartWorld) -> None:
    said = await register(world, PROGRAM)
    assert said["scope"] == "system/Observation.rs"
    answer = await world.backend("system/*.rs", said["client_id"], key=EC, alg="ES384")
    assert answer.json()["scope"] == "system/Observation.rs"


async def test_an_app_reads_changes_and_ends_its_registration(world: SmartWorld) -> None:
    """RFC 7592."""
    said = await register(world, PAGE)
    at, own = said["registration_client_uri"], said["registration_access_token"]
    async with world.client() as client:
        browser = Browser(client)
        code = await browser.code("launch/patient patient/*.rs", client_id=said["client_id"])
        access = (await browser.exchange(code, client_id=said["client_id"])).json()["access_token"]
    async with world.client(own) as client:
        assert (await client.get(at)).json() == said
        more = "https://portal.example/other"
        kept = {name: said[name] for name in ("client_id", "token_endpoint_auth_method")}
        changed = kept | {
            "redirect_uris": [PORTAL, more],
            "client_name": "Journal",
            "scope": "launch/patient patient/Patient.rs",
        }
        answer = await client.put(at, json=changed)
        assert answer.status_code == 200, answer.text
        assert {name: answer.json()[name] for name in changed} == changed
        assert (await client.get(at)).json() == answer.json()
        app = world.smart.apps.find(said["client_id"])
        assert app is not None
        assert (app.title, app.redirects, app.scopes) == ("Journal", (PORTAL, more), changed["scope"])
    async with world.client(access) as client:
        assert (await client.get("/fhir/Patient")).status_code == 401, "what it was given as another app has ended"
    async with world.client(own) as client:
        for wrong in (
            changed | {"client_id": "portal"},
            {name: value for name, value in changed.items() if name != "client_id"},
            changed | {"registration_access_token": own},
            changed | {"client_secret": "guess"},
            changed | {"redirect_uris": []},
            changed | {"scope": "user/*.cruds"},
            [],
        ):
            assert (await client.put(at, json=wrong)).status_code == 400, wrong
        assert (await client.delete(at)).status_code == 204
        assert (await client.get(at)).status_code == 401
        assert (await client.post("/smart/register", json=PAGE)).status_code == 401, "it is no token to register with"
    assert world.smart.apps.find(said["client_id"]) is None


async def test_only_an_apps_own_token_opens_its_registration(world: SmartWorld) -> None:
    one, other = await register(world, {"redirect_uris": [PORTAL]}), await register(world, PAGE)
    at = one["registration_client_uri"]
    for token in ("", TOKEN, other["registration_access_token"], one["client_secret"], world.token("op")):
        async with world.client(token) as client:
            for method in ("GET", "PUT", "DELETE"):
                answer = await client.request(method, at, json=PAGE)
                assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
                assert answer.headers["www-authenticate"].startswith("Bearer")
            elsewhere = at.rpartition("/")[0] + "/portal"
            assert (await client.get(elsewhere)).status_code == 401, "an app that an operator registered"
    async with world.client(one["registration_access_token"]) as client:
        same = {"client_id": one["client_id"], "redirect_uris": [PORTAL], "client_secret": one["client_secret"]}
        kept = await client.put(at, json=same)
        assert "client_secret" not in kept.json()
        app = world.smart.apps.find(one["client_id"])
        assert app is not None
        assert app.secret == digest(one["client_secret"]), "the secret stays"
        to_keys = {"client_id": one["client_id"], **PROGRAM}
        assert (await client.put(at, json=to_keys)).json()["scope"] == "system/Observation.rs"
        back = (await client.put(at, json=same | {"client_secret": None})).json()
        assert back["client_secret"] not in ("", one["client_secret"])


REFUSED = [
    (PAGE | {"redirect_uris": ["http://portal.example/cb"]}, "invalid_redirect_uri"),
    (PAGE | {"redirect_uris": ["https://portal.example/*"]}, "invalid_redirect_uri"),
    (PAGE | {"redirect_uris": []}, "invalid_redirect_uri"),
    (PAGE | {"redirect_uris": PORTAL}, "invalid_client_metadata"),
    (PAGE | {"scope": "user/*.rs"}, "invalid_client_metadata"),
    (PAGE | {"scope": "system/Observation.rs"}, "invalid_client_metadata"),
    (PAGE | {"grant_types": ["implicit"]}, "invalid_client_metadata"),
    (PAGE | {"grant_types": ["refresh_token"]}, "invalid_client_metadata"),
    (PAGE | {"grant_types": ["authorization_code", "client_credentials"]}, "invalid_client_metadata"),
    (PAGE | {"response_types": ["token"]}, "invalid_client_metadata"),
    (PAGE | {"client_name": "x" * 101}, "invalid_client_metadata"),
    (PAGE | {"token_endpoint_auth_method": "tls_client_auth"}, "invalid_client_metadata"),
    (PROGRAM | {"jwks": {"keys": []}}, "invalid_client_metadata"),
    (PROGRAM | {"jwks": {"keys": [EC.as_dict(private=True)]}}, "invalid_client_metadata"),
    (PROGRAM | {"jwks": None}, "invalid_client_metadata"),
    ([], "invalid_client_metadata"),
    (PAGE | {"client_name": "x" * 70_000}, "invalid_client_metadata"),
]


async def test_metadata_that_cannot_be_right_is_refused_in_the_words_of_the_rfc(world: SmartWorld) -> None:
    before = len(world.smart.apps.all())
    for metadata, error in REFUSED:
        said = await register(world, metadata, 400)
        assert said["error"] == error, metadata
        assert said["error_description"]
    assert len(world.smart.apps.all()) == before


async def test_nobody_registers_without_the_token(world: SmartWorld) -> None:
    for token in ("", "wrong", TOKEN + "x", world.token()):
        said = await register(world, PAGE, 401, token)
        assert said["error"] == "invalid_token"
    async with world.client() as client:
        assert (await client.get("/smart/register")).status_code == 405
        found = (await client.get("/fhir/.well-known/smart-configuration")).json()
        assert found["registration_endpoint"] == f"{world.base}/smart/register"


async def test_it_is_off_unless_the_folder_says_so_and_refuses_settings_of_no_use(tmp_path: Path) -> None:
    for token, scopes, code in (
        ("short", ALLOWED, "registration-token-short"),
        (TOKEN, "everything", "app-scopes-invalid"),
        (TOKEN, "openid", "app-scopes-invalid"),
    ):
        with pytest.raises(HilumError) as caught:
            SmartWorld(tmp_path / "other", settings(tmp_path, token, scopes))
        assert caught.value.code == code
    off = SmartWorld(tmp_path / "off")
    async with off.client(TOKEN) as client:
        assert (await client.post("/smart/register", json=PAGE)).status_code == 404
        assert "registration_endpoint" not in (await client.get("/fhir/.well-known/smart-configuration")).json()
    off.close()


async def test_keys_are_fetched_from_no_inner_address_unless_the_folder_allows_it(
    world: SmartWorld, tmp_path: Path
) -> None:
    program = {name: value for name, value in PROGRAM.items() if name != "jwks"}
    for inner in ("https://127.0.0.1/k", "https://10.0.0.8/k", "https://169.254.169.254/k", "https://localhost/k"):
        said = await register(world, program | {"jwks_uri": inner}, 400)
        assert said["error"] == "invalid_client_metadata"
    # what a name leads to shows when it is fetched
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        url = f"https://0x7f.1:{server.sockets[0].getsockname()[1]}/k"
        said = await register(world, program | {"jwks_uri": url})
        answer = await world.backend("system/Observation.rs", said["client_id"], key=EC, alg="ES384")
        assert answer.json()["error_description"].startswith("keys-unreachable")
        with pytest.raises(HilumError, match="inner network"):
            await guarded([])(url)
    with pytest.raises(HilumError, match="does not allow"):
        await guarded(["https://keys.example/"])("https://elsewhere.example/")
    (tmp_path / "other").mkdir()
    other = SmartWorld(tmp_path / "other", settings(tmp_path, jwks_uris=("https://10.0.0.8/",)))
    await register(other, program | {"jwks_uri": "https://10.0.0.8/k"})
    await register(other, program | {"jwks_uri": "https://keys.example/k"}, 400)
    other.close()
