"""Secrets: fetched when needed, shown never."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType

import pytest

from hilum.config import Secret
from hilum.errors import ConfigError


def refused(secret: Secret) -> str:
    with pytest.raises(ConfigError) as caught:
        secret.resolve()
    assert "s3cret" not in str(caught.value)
    return caught.value.code


def test_a_literal_is_refused_without_being_repeated() -> None:
    for literal in (
        "hunter2",
        "",
        "env:",
        "env:1A",
        "env:A B",
        "file:",
        "keyring:x",
        "vault:a/b",
        "vault:a#b",
        "ENV:A",
    ):
        with pytest.raises(ConfigError) as caught:
            Secret(literal)
        assert caught.value.code == "secret-literal"
        assert not literal or literal not in str(caught.value) or ":" in literal


def test_a_secret_shows_its_reference_and_compares_by_it() -> None:
    assert repr(Secret("env:A")) == "Secret('env:A')"
    assert Secret("env:A") == Secret("env:A") != Secret("env:B")
    assert len({Secret("env:A"), Secret("env:A")}) == 1
    assert Secret("vault:a/b#c").kind == "vault"


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HILUM_TEST", "s3cret\n")
    assert Secret("env:HILUM_TEST").resolve() == "s3cret"
    monkeypatch.setenv("HILUM_TEST", "\n")
    assert refused(Secret("env:HILUM_TEST")) == "secret-empty"
    monkeypatch.delenv("HILUM_TEST")
    assert refused(Secret("env:HILUM_TEST")) == "secret-missing"


def test_a_file_is_read_from_the_folder_and_its_mode_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"s3cret\r\n")
    path.chmod(0o600)
    secret = Secret("file:key", tmp_path)
    assert secret.resolve() == "s3cret"
    assert secret.path == path
    assert secret.probe() == []
    path.chmod(0o644)
    assert [finding.code for finding in secret.probe()] == ["secret-file-open"]
    assert Secret(f"file:{path}").resolve() == "s3cret"


def test_a_file_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    assert refused(Secret("file:none", tmp_path)) == "secret-missing"
    assert refused(Secret("file:.", tmp_path)) == "secret-unreadable"
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    assert refused(Secret("file:bytes", tmp_path)) == "secret-unreadable"
    assert Secret("file:bytes", tmp_path).resolve_bytes() == b"\xff\xfe"
    (tmp_path / "huge").write_bytes(b"x" * 100_000)
    assert refused(Secret("file:huge", tmp_path)) == "secret-unreadable"
    assert [finding.code for finding in Secret("file:none", tmp_path).probe()] == ["secret-missing"]


def test_the_keyring_is_asked_when_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = ModuleType("keyring.errors")
    errors.KeyringError = type("KeyringError", (Exception,), {})  # type: ignore[attr-defined]
    keyring = ModuleType("keyring")
    keyring.get_password = {("hilum", "key"): "s3cret"}.get  # type: ignore[attr-defined]
    keyring.get_password = lambda service, name: {("hilum", "key"): "s3cret"}.get((service, name))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)
    assert Secret("keyring:hilum/key").resolve() == "s3cret"
    assert refused(Secret("keyring:hilum/other")) == "secret-missing"

    def locked(service: str, name: str) -> str:
        raise errors.KeyringError("s3cret")

    keyring.get_password = locked  # type: ignore[attr-defined]
    assert refused(Secret("keyring:hilum/key")) == "secret-unreadable"


def test_a_keyring_reference_without_the_extra_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert refused(Secret("keyring:hilum/key")) == "secret-backend-missing"


class Vault(BaseHTTPRequestHandler):
    """As much of a key-value store of version 2 as is asked for."""

    def do_GET(self) -> None:
        status, body = self.server.answers.get(self.path, (404, "{}"))  # type: ignore[attr-defined]
        if self.headers["X-Vault-Token"] != "s3cret-token":
            status, body = 403, "{}"
        self.send_response(status)
        if status == 307:
            self.send_header("Location", "/v1/secret/data/hilum")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), Vault)
    server.answers = {  # type: ignore[attr-defined]
        "/v1/secret/data/hilum": (200, '{"data": {"data": {"key": "s3cret", "number": 5}}}'),
        "/v1/secret/data/old": (200, '{"data": {"key": "s3cret"}}'),
        "/v1/secret/data/moved": (307, ""),
        "/v1/secret/data/broken": (200, "<html>s3cret"),
    }
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("VAULT_ADDR", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("VAULT_TOKEN", "s3cret-token")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_vault_is_read_like_its_own_command_reads_it(vault: HTTPServer) -> None:
    assert Secret("vault:secret/hilum#key").resolve() == "s3cret"
    assert Secret("vault:secret/data/hilum#key").resolve() == "s3cret"


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ("vault:secret/none#key", "secret-missing"),
        ("vault:secret/hilum#other", "secret-missing"),
        ("vault:secret/hilum#number", "secret-unreadable"),
        ("vault:secret/old#key", "secret-unreadable"),
        ("vault:secret/broken#key", "secret-unreadable"),
        ("vault:secret/moved#key", "secret-unreadable"),
    ],
)
def test_what_vault_does_not_have_is_named_and_no_redirect_is_followed(
    vault: HTTPServer, reference: str, code: str
) -> None:
    assert refused(Secret(reference)) == code


def test_vault_is_asked_over_https_or_on_this_machine_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", "s3cret-token")
    secret = Secret("vault:secret/hilum#key")
    for address, code in (
        ("http://vault.example.org:8200", "vault-unsafe"),
        ("ftp://127.0.0.1", "vault-unsafe"),
        ("http://127.0.0.1:port", "secret-unreadable"),
        ("http://127.0.0.1:1", "secret-unreadable"),
        ("", "secret-missing"),
    ):
        monkeypatch.setenv("VAULT_ADDR", address)
        assert refused(secret) == code


def test_a_token_that_cannot_be_a_header_is_not_repeated(vault: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", "s3cret\nx: y")
    assert refused(Secret("vault:secret/hilum#key")) == "secret-unreadable"
