"""`hilum app` and `hilum user` as operators use them, and a whole launch over TLS on a real socket."""

from __future__ import annotations

import asyncio
import json
import ssl
import stat
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc.jwk import ECKey, RSAKey
from smart_support import EC, RSA, Browser, SmartWorld, keys

from hilum.app.api import listen, serve
from hilum.app.cli import main
from hilum.app.smart.signing import signing_key
from hilum.config import Api, Smart, Tls
from hilum.errors import ConfigError
from wire_certificates import Authority


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["init", str(tmp_path), "--template", "minimal"]) == 0
    capsys.readouterr()
    (tmp_path / "password").write_text("correct horse battery\n")
    (tmp_path / "password").chmod(0o600)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> Any:
    assert main([*words, "--json"]) == status
    out = capsys.readouterr()
    return json.loads(out.out or out.err)


def test_apps_are_added_listed_and_removed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = str(folder)
    (folder / "keys.json").write_text(json.dumps({"keys": [*OTHERS, RSA.as_dict(private=False)]}))
    scopes = ("--scopes", "launch/patient patient/*.rs")
    page = said(capsys, "app", "add", "portal", here, *scopes, "--redirect", "http://127.0.0.1:9000/cb")
    assert page["kind"] == "public"
    assert "client_secret" not in page
    kept = said(capsys, "app", "add", "chart", here, *scopes, "--kind", "secret", "--redirect", "https://c.example/cb")
    assert kept["client_secret"].startswith("hilumx_")
    loader = said(capsys, "app", "add", "loader", here, "--scopes", "system/*.rs", "--jwks", str(folder / "keys.json"))
    assert loader["kind"] == "keys"
    assert said(capsys, "app", "remove", "chart", here)["state"] == "removed"
    listed = said(capsys, "app", "list", here)["apps"]
    assert [(one["client_id"], one["state"]) for one in listed] == [
        ("portal", "active"),
        ("chart", "removed"),
        ("loader", "active"),
    ]
    assert kept["client_secret"] not in json.dumps(listed)
    assert main(["app", "list", here]) == 0
    assert "portal" in capsys.readouterr().out


# what stands beside the key that is meant in the JWK Sets of other programs: none of them proves an assertion
OTHERS: list[Any] = [
    ECKey.generate_key("P-256", {"kid": "small", "use": "sig"}).as_dict(private=False),
    RSAKey.generate_key(2048, {"kid": "sealing", "use": "enc"}).as_dict(private=False),
    {**EC.as_dict(private=False), "kid": "signs", "key_ops": ["sign"]},
    {name: value for name, value in EC.as_dict(private=False).items() if name != "kid"},
    {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "curve"},
    {"kty": "new", "kid": "unknown"},
]

BAD_APPS = [
    (("portal", "--scopes", "patient/*.rs"), "app-redirect-invalid"),
    (("portal", "--scopes", "patient/*.rs", "--redirect", "http://portal.example/cb"), "app-redirect-invalid"),
    (("portal", "--scopes", "patient/*.rs", "--redirect", "https://portal.example/*"), "app-redirect-invalid"),
    (("portal", "--scopes", "patient/*.rs", "--redirect", "https://portal.example/cb#x"), "app-redirect-invalid"),
    (("portal", "--scopes", "patient/*.rs", "--redirect", "https://a@portal.example/"), "app-redirect-invalid"),
    (("portal", "--scopes", "patient/*.rs", "--redirect", "javascript:alert(1)"), "app-redirect-invalid"),
    (("portal", "--scopes", "patient/*.rs", "--redirect", "portal:/cb"), "app-redirect-invalid"),
    (("portal", "--scopes", "everything", "--redirect", "https://p.example/"), "app-scopes-invalid"),
    (("portal", "--scopes", "openid", "--redirect", "https://p.example/"), "app-scopes-invalid"),
    (("portal", "--scopes", "patient/Bogus.rs", "--redirect", "https://p.example/"), "app-scopes-invalid"),
    (("por tal", "--scopes", "patient/*.rs", "--redirect", "https://p.example/"), "app-name-invalid"),
    (("loader", "--scopes", "patient/*.rs", "--jwks", "keys.json"), "app-scopes-invalid"),
    (("loader", "--scopes", "system/*.rs", "--jwks", "private.json"), "app-keys-invalid"),
    (("loader", "--scopes", "system/*.rs", "--jwks", "empty.json"), "app-keys-invalid"),
    (("loader", "--scopes", "system/*.rs", "--jwks", "text.json"), "app-keys-invalid"),
    (("loader", "--scopes", "system/*.rs", "--jwks", "others.json"), "app-keys-invalid"),
    (("loader", "--scopes", "system/*.rs", "--jwks-uri", "http://k.example/"), "app-keys-invalid"),
    (("loader", "--scopes", "user/*.rs", "--kind", "keys", "--redirect", "https://k.example/"), "app-keys-invalid"),
]


def test_apps_that_cannot_be_right_are_refused_with_a_code(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "keys.json").write_text(keys(RSA))
    (folder / "private.json").write_text(json.dumps({"keys": [RSA.as_dict(private=True)]}))
    (folder / "others.json").write_text(json.dumps({"keys": OTHERS}))
    (folder / "empty.json").write_text('{"keys": []}')
    (folder / "text.json").write_text("no JSON")
    for words, code in BAD_APPS:
        assert main(["app", "add", *words]) == 1
        assert code in capsys.readouterr().err, words
    good = ["app", "add", "portal", "--scopes", "patient/*.rs", "--redirect", "https://p.example/"]
    assert main(good) == 0
    assert main(good) == 1
    assert "app-exists" in capsys.readouterr().err
    assert main(["app", "remove", "nobody"]) == 1
    assert "app-not-found" in capsys.readouterr().err


def test_people_are_added_locked_and_given_a_new_password(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = str(folder)
    monkeypatch.setenv("WEAK", "short")
    added = said(capsys, "user", "add", "ana", here, "--record", "Patient/p1", "--password-from", "file:password")
    assert added["state"] == "open"
    elsewhere = said(capsys, "user", "add", "drake", here, "--record", "Practitioner/d1", "--subject", "sub-1")
    assert elsewhere["signs in"] == "elsewhere"
    assert said(capsys, "user", "lock", "ana", here)["state"] == "locked"
    assert said(capsys, "user", "unlock", "ana", here)["state"] == "open"
    assert said(capsys, "user", "passwd", "ana", here, "--password-from", "file:password")["name"] == "ana"
    assert [one["name"] for one in said(capsys, "user", "list", here)["users"]] == ["ana", "drake"]
    for words, code in (
        (("add", "ana", "--record", "Patient/p1", "--subject", "x"), "user-exists"),
        (("add", "bob", "--record", "Patient/p1", "--subject", "sub-1"), "user-exists"),
        (("add", "bob", "--record", "Device/p1", "--subject", "x"), "user-record-invalid"),
        (("add", "b b", "--record", "Patient/p1", "--subject", "x"), "user-name-invalid"),
        (("add", "bob", "--record", "Patient/p1", "--password-from", "env:WEAK"), "password-weak"),
        (("add", "bob", "--record", "Patient/p1", "--password-from", "plain"), "secret-literal"),
        (("add", "bob", "--record", "Patient/p1"), "password-missing"),
        (("lock", "bob"), "user-not-found"),
    ):
        command, name, *rest = words
        assert main(["user", command, name, here, *rest]) == 1
        assert code in capsys.readouterr().err, words


@pytest.mark.anyio
async def test_a_whole_launch_works_over_tls_on_a_real_socket(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate = authority.issue("localhost")
    listener = listen(Api(port=0, tls=Tls(certificate.certificate, certificate.key)))
    base = f"https://localhost:{listener.port}"
    world = SmartWorld(tmp_path, Smart(access_minutes=5), base=base)
    await world.fill()
    server = await serve(world.app, listener)
    context = ssl.create_default_context(cafile=str(authority.ca))
    async with httpx2.AsyncClient(base_url=base, verify=context, trust_env=False) as client:
        told = (await client.get("/fhir/.well-known/smart-configuration")).json()
        assert told["token_endpoint"] == f"{base}/smart/token"
        browser = Browser(client)
        code = await browser.code("openid launch/patient offline_access patient/*.rs", aud=f"{base}/fhir")
        answers = await asyncio.gather(*(browser.exchange(code) for _ in range(4)))
        assert sorted(one.status_code for one in answers) == [200, 400, 400, 400]
        code = await browser.code("launch/patient patient/*.rs", aud=f"{base}/fhir")
        token = (await browser.exchange(code)).json()
        assert token["expires_in"] == 300
        client.cookies.clear()
        bearer = {"Authorization": f"Bearer {token['access_token']}"}
        assert (await client.get("/fhir/Patient/p1", headers=bearer)).status_code == 200
        assert (await client.get("/fhir/Patient/p2", headers=bearer)).status_code == 404
        assert "strict-transport-security" in (await client.get("/smart/jwks.json")).headers
    await server.close()
    world.close()


def test_a_server_makes_its_signing_key_once_and_keeps_it_from_others(tmp_path: Path) -> None:
    file = tmp_path / "hilum.signing.pem"
    made = signing_key(None, file)
    assert [one.name for one in tmp_path.iterdir()] == [file.name]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert signing_key(None, file).thumbprint() == made.thumbprint()
    file.chmod(0o640)
    with pytest.raises(ConfigError) as error:
        signing_key(None, file)
    assert error.value.code == "signing-key-exposed"
