"""The webhook sender against a real HTTP server in this process: signed, once, and nothing but 2xx is a yes."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response
from structlog.testing import capture_logs

from hilum.config import Secret
from hilum.delivery import SIGNATURE_HEADER, WebhookDestination, WebhookSender, sign, verify_signature
from hilum.delivery.webhook import _retry_after
from hilum.errors import ConfigError, DeliveryError, Outcome
from hilum.model import Outgoing
from hilum.protocols import ClientTls
from wire_certificates import Authority

pytestmark = pytest.mark.anyio

SECRET = b"a secret of enough bytes"
BODY = b'{"resourceType":"Patient","id":"x"}'
RECORD = Outgoing("portal", "key", "17:Patient/x", BODY)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


class Portal:
    """What came, and what is answered."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.answer: Callable[[], Response] = lambda: Response(status_code=201)
        self.pause = 0.0
        self.url = ""

    def says(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.answer = lambda: Response(status_code=status, headers=headers)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        self.requests.append((dict(request.headers), await request.body()))
        if self.pause:
            await asyncio.sleep(self.pause)
        await self.answer()(scope, receive, send)


@asynccontextmanager
async def portal(**tls: Any) -> AsyncIterator[Portal]:
    app = Portal()
    config = uvicorn.Config(app, port=0, lifespan="off", log_level="critical", ws="none", **tls)
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    port = server.servers[0].sockets[0].getsockname()[1]
    app.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/hook"
    ticking = asyncio.create_task(server.main_loop())
    try:
        yield app
    finally:
        server.should_exit = True
        await ticking
        await server.shutdown()


@pytest.fixture
def secret(tmp_path: Path) -> Secret:
    (tmp_path / "secret").write_bytes(SECRET + b"\n")
    return Secret(f"file:{tmp_path / 'secret'}")


@asynccontextmanager
async def sending(url: str, secret: Secret, **settings: Any) -> AsyncIterator[WebhookSender]:
    sender = WebhookSender("portal", WebhookDestination(url=url, secret=secret, **settings))
    await sender.open()
    try:
        yield sender
    finally:
        await sender.close()


async def error_of(sender: WebhookSender, record: Outgoing = RECORD) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await sender.send(record)
    return caught.value


# -- the request --------------------------------------------------------------------------------------------------


async def test_a_record_is_posted_with_its_key_and_a_signature_that_holds(secret: Secret) -> None:
    async with portal() as app, sending(app.url, secret) as sender:
        app.answer = lambda: Response(status_code=201, headers={"Location": "/Patient/x"})
        receipt = await sender.send(RECORD)
        assert (receipt.reference, receipt.detail) == ("/Patient/x", "201")
        ((headers, body),) = app.requests
        assert body == BODY
        assert headers["content-type"] == "application/fhir+json"
        assert headers["idempotency-key"] == RECORD.idempotency_key
        signature = headers[SIGNATURE_HEADER.lower()]
        assert verify_signature(SECRET, signature, RECORD.idempotency_key, body, now=time.time())


async def test_every_attempt_carries_the_same_idempotency_key(secret: Secret) -> None:
    async with portal() as app, sending(app.url, secret) as sender:
        app.answer = lambda: Response(status_code=503)
        await error_of(sender)
        app.answer = lambda: Response(status_code=200)
        await sender.send(RECORD)
        assert {headers["idempotency-key"] for headers, _ in app.requests} == {RECORD.idempotency_key}


async def test_a_bearer_token_is_sent_where_configured(secret: Secret, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t0ken")
    token = Secret(f"file:{tmp_path / 'token'}")
    async with portal() as app, sending(app.url, secret, token=token) as sender:
        await sender.send(RECORD)
        assert app.requests[0][0]["authorization"] == "Bearer t0ken"


async def test_the_proxy_of_the_environment_is_not_used(secret: Secret, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with portal() as app, sending(app.url, secret) as sender:
        assert (await sender.send(RECORD)).detail == "201"


# -- the answer ---------------------------------------------------------------------------------------------------


async def test_any_2xx_is_a_yes(secret: Secret) -> None:
    async with portal() as app, sending(app.url, secret) as sender:
        for status in (200, 201, 202, 204):
            app.says(status)
            assert (await sender.send(RECORD)).detail == str(status)


async def test_what_will_pass_is_tried_again_when_the_partner_says(secret: Secret) -> None:
    async with portal() as app, sending(app.url, secret) as sender:
        for status in (408, 425, 429, 500, 502, 503, 504):
            app.says(status, {"Retry-After": "120"})
            error = await error_of(sender)
            assert (error.code, error.outcome, error.retry_after) == ("webhook-later", Outcome.RETRY, 120)


@pytest.mark.parametrize("refused", ["hold", "dead_letter"])
async def test_a_refusal_means_what_this_partner_means(secret: Secret, refused: str) -> None:
    async with portal() as app, sending(app.url, secret, refused=refused) as sender:
        for status in (400, 401, 403, 404, 409, 410, 413, 422):
            app.says(status)
            error = await error_of(sender)
            assert (error.code, error.outcome) == ("webhook-refused", Outcome(refused))
            assert str(status) in error.message


async def test_a_redirect_is_never_followed(secret: Secret) -> None:
    async with portal() as elsewhere, portal() as app, sending(app.url, secret) as sender:
        for status in (301, 302, 303, 307, 308):
            app.says(status, {"Location": elsewhere.url})
            error = await error_of(sender)
            assert (error.code, error.outcome) == ("webhook-redirect", Outcome.HOLD)
        assert elsewhere.requests == []


async def test_what_the_partner_wrote_is_neither_logged_nor_repeated(secret: Secret) -> None:
    async with portal() as app, sending(app.url, secret) as sender:
        app.answer = lambda: Response(b"patient DOE^JANE is unknown", status_code=422)
        with capture_logs() as logs:
            error = await error_of(sender)
        assert "DOE" not in str(error)
        assert "DOE" not in repr(logs)


async def test_a_very_long_answer_is_not_read_to_its_end(secret: Secret) -> None:
    async with portal() as app, sending(app.url, secret) as sender:
        app.answer = lambda: Response(b"x" * 50_000_000)
        assert (await sender.send(RECORD)).detail == "200"
        app.answer = lambda: Response()
        assert (await sender.send(RECORD)).detail == "200"


# -- no answer ----------------------------------------------------------------------------------------------------


async def test_a_partner_that_is_not_there_is_tried_again(secret: Secret) -> None:
    async with portal() as app:
        url = app.url
    async with sending(url, secret) as sender:
        error = await error_of(sender)
        assert (error.code, error.outcome) == ("webhook-connect-failed", Outcome.RETRY)


async def test_a_partner_that_is_silent_is_tried_again(secret: Secret) -> None:
    async with portal() as app, sending(app.url, secret, answer_seconds=0.1) as sender:
        app.pause = 0.5
        error = await error_of(sender)
        assert (error.code, error.outcome) == ("webhook-answer-late", Outcome.RETRY)


@asynccontextmanager
async def raw_partner(serve: Callable[[asyncio.StreamWriter], Any]) -> AsyncIterator[str]:
    """Its address. It reads one request and lets `serve` write whatever it likes."""
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await serve(writer)
        finally:
            writer.transport.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.create_task(talk(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        for one in talks:
            one.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        await asyncio.sleep(0.02)


async def test_an_answer_that_drips_is_not_waited_for_for_ever(secret: Secret) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(100):
            writer.write(b"x")
            await asyncio.sleep(0.02)

    settings = {"connect_seconds": 0.1, "answer_seconds": 0.2}
    async with raw_partner(drip) as url, sending(url, secret, **settings) as sender:
        assert (await error_of(sender)).code == "webhook-answer-late"


@pytest.mark.parametrize("answer", [b"", b"MSA|AA\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx"])
async def test_an_answer_that_breaks_off_or_is_no_http_is_tried_again(secret: Secret, answer: bytes) -> None:
    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    async with raw_partner(write) as url, sending(url, secret) as sender:
        error = await error_of(sender)
        assert (error.code, error.outcome) == ("webhook-connection-lost", Outcome.RETRY)


# -- TLS and configuration ----------------------------------------------------------------------------------------


async def test_records_go_through_tls_that_is_checked(secret: Secret, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("server")
    async with portal(ssl_certfile=pair.certificate, ssl_keyfile=pair.key) as app:
        async with sending(app.url, secret, tls=ClientTls(ca=authority.ca)) as sender:
            assert (await sender.send(RECORD)).detail == "201"
        async with sending(app.url, secret) as sender:
            error = await error_of(sender)
            assert (error.code, error.outcome) == ("webhook-tls-failed", Outcome.RETRY)
        assert len(app.requests) == 1


async def test_mutual_tls_shows_our_certificate(secret: Secret, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair, ours = authority.issue("server"), authority.issue("ours")
    asked = {"ssl_ca_certs": str(authority.ca), "ssl_cert_reqs": ssl.CERT_REQUIRED}
    tls = ClientTls(ca=authority.ca, certificate=ours.certificate, key=ours.key)
    async with (
        portal(ssl_certfile=pair.certificate, ssl_keyfile=pair.key, **asked) as app,
        sending(app.url, secret, tls=tls) as sender,
    ):
        assert (await sender.send(RECORD)).detail == "201"


@pytest.mark.parametrize(("name", "is_named"), [("", True), ("localhost", True), ("other.example", False)])
async def test_the_certificate_must_carry_the_name_that_the_file_says(
    secret: Secret, tmp_path: Path, name: str, is_named: bool
) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("server")
    async with (
        portal(ssl_certfile=pair.certificate, ssl_keyfile=pair.key) as app,
        sending(app.url, secret, tls=ClientTls(ca=authority.ca, server_name=name)) as sender,
    ):
        found = [finding.code for finding in await sender.probe()]
        assert found == ([] if is_named else ["webhook-tls-failed"])
        if is_named:
            assert (await sender.send(RECORD)).detail == "201"
        else:
            assert (await error_of(sender)).code == "webhook-tls-failed"
        assert len(app.requests) == int(is_named)


async def test_a_partner_who_is_not_there_is_said_before_anything_is_sent(secret: Secret) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    sender = WebhookSender("portal", WebhookDestination(url=f"http://127.0.0.1:{port}/", secret=secret))
    assert [finding.code for finding in await sender.probe()] == ["webhook-connect-failed"]


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://portal.example/hook", "webhook-not-https"),
        ("http://10.0.0.1/hook", "webhook-not-https"),
        ("https://portal.example:port/", "webhook-url-invalid"),
        ("https://", "webhook-url-invalid"),
    ],
)
async def test_an_address_that_does_not_do_is_said_when_opening(secret: Secret, url: str, code: str) -> None:
    sender = WebhookSender("portal", WebhookDestination(url=url, secret=secret))
    assert [finding.code for finding in await sender.probe()] == [code]
    with pytest.raises(ConfigError) as caught:
        await sender.open()
    assert caught.value.code == code


async def test_a_secret_that_is_short_or_missing_is_said_when_opening(tmp_path: Path) -> None:
    (tmp_path / "short").write_text("short")
    for name, code in (("short", "webhook-secret-short"), ("none", "secret-missing")):
        secret = Secret(f"file:{tmp_path / name}")
        sender = WebhookSender("portal", WebhookDestination(url="https://portal.example/", secret=secret))
        assert [finding.code for finding in await sender.probe()] == [code]


async def test_a_key_that_no_header_can_carry_is_held(secret: Secret) -> None:
    async with sending("https://portal.example/", secret) as sender:
        for key in ("", "a b", "a\r\nX: y", "ä", "x" * 256):
            error = await error_of(sender, Outgoing("portal", "", key, BODY))
            assert (error.code, error.outcome) == ("webhook-key-unusable", Outcome.HOLD)


async def test_a_sender_that_is_not_open_sends_nothing(secret: Secret) -> None:
    sender = WebhookSender("portal", WebhookDestination(url="https://portal.example/", secret=secret))
    assert (await error_of(sender)).code == "webhook-closed"


# -- the signature ------------------------------------------------------------------------------------------------


def test_the_signature_is_the_documented_one() -> None:
    """`printf '1764000000.k-1.{}' | openssl dgst -sha256 -hmac 0123456789abcdef` says the same."""
    documented = "t=1764000000,v1=00859cbada04fccf24432c23ec4b9dc51000c063ab080441b84f96ded339a265"
    assert sign(b"0123456789abcdef", "k-1", b"{}", 1764000000) == documented


@given(
    st.binary(min_size=16, max_size=40), st.text("abc-_:/", min_size=1), st.binary(max_size=99), st.integers(0, 10**10)
)
def test_a_signature_holds_for_exactly_what_was_signed(secret: bytes, key: str, body: bytes, at: int) -> None:
    header = sign(secret, key, body, at)
    assert verify_signature(secret, header, key, body, now=at + 300)
    assert not verify_signature(secret, header, key, body, now=at + 301)
    assert not verify_signature(secret, header, key, body, now=at - 301)
    assert not verify_signature(secret, header, key, body + b"x", now=at)
    assert not verify_signature(secret, header, key + "x", body, now=at)
    assert not verify_signature(secret + b"x", header, key, body, now=at)


@given(st.text())
def test_no_text_at_all_breaks_the_check(header: str) -> None:
    assert not verify_signature(b"s" * 16, header, "k", b"", now=0, tolerance=1e18)


def test_the_wait_that_a_partner_asks_for_is_read_in_both_forms() -> None:
    now = 1_764_000_000.0
    assert _retry_after("90", now) == 90
    assert _retry_after("Mon, 24 Nov 2025 16:02:00 GMT", now) == 120
    assert _retry_after("Mon, 24 Nov 2025 15:00:00 GMT", now) == 0
    for unreadable in ("", "soon", "-5", "1.5", "٣", "Mon, 99 Nov 2025"):
        assert _retry_after(unreadable, now) == 0
