"""TLS and mutual TLS of the listener: who is let in, who is not, and that the reason is said."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hilum.errors import ConfigError
from hilum.intake import MllpLimits, MllpListener, MllpSource
from hilum.model import Ack
from hilum.protocols import ServerTls
from wire_certificates import Authority, Pair
from wire_peers import Peer, answer_to, block, message, until

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def server(authority: Authority) -> Pair:
    return authority.issue("server")


@asynccontextmanager
async def listening(pair: Pair, client_ca: Path | None = None, **limits: float) -> AsyncIterator[MllpListener]:
    tls = ServerTls(certificate=pair.certificate, key=pair.key, client_ca=client_ca)
    settings = MllpLimits(**{"drain_seconds": 0.2, **limits})
    listener = MllpListener("adt", MllpSource(port=0, tls=tls, limits=settings))
    await listener.open()

    async def serve() -> None:
        while arrivals := await listener.read():
            for arrival in arrivals:
                arrival.answer(Ack("AA", answer_to(arrival.body)))

    serving = asyncio.create_task(serve())
    try:
        yield listener
    finally:
        await listener.close()
        await serving


def client(authority: Authority, pair: Pair | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.ca)
    if pair is not None:
        context.load_cert_chain(pair.certificate, pair.key)
    return context


async def one_message(port: int, context: ssl.SSLContext) -> None:
    async with Peer(port, tls=context) as peer:
        await peer.send(block(message(1)))
        await peer.answer()


async def refused(listener: MllpListener, context: ssl.SSLContext) -> None:
    """The peer gets no answer, and the listener counts why."""
    before = listener.counts.get("tls-handshake-failed", 0)
    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        await one_message(listener.port, context)
    await until(lambda: listener.counts.get("tls-handshake-failed", 0) == before + 1)


async def test_messages_and_answers_go_through_tls(authority: Authority, server: Pair) -> None:
    async with listening(server) as listener, Peer(listener.port, tls=client(authority)) as peer:
        count = 500
        sending = asyncio.create_task(peer.send(b"".join(block(message(number)) for number in range(count))))
        assert await peer.answered_ids(count) == [f"AA {number}" for number in range(count)]
        await sending


async def test_a_message_of_ten_megabytes_comes_through_tls(authority: Authority, server: Pair) -> None:
    async with listening(server) as listener, Peer(listener.port, tls=client(authority)) as peer:
        await peer.send(block(message(1, b"x" * 10_000_000)))
        assert await peer.answered_ids(1) == ["AA 1"]


async def test_a_peer_with_a_certificate_of_the_client_ca_may_send(authority: Authority, server: Pair) -> None:
    context = client(authority, authority.issue("partner"))
    async with listening(server, authority.ca) as listener, Peer(listener.port, tls=context) as peer:
        await peer.send(block(message(1)))
        assert await peer.answered_ids(1) == ["AA 1"]


async def test_a_peer_without_a_certificate_is_refused(authority: Authority, server: Pair) -> None:
    async with listening(server, authority.ca) as listener:
        with capture_logs() as logs:
            await refused(listener, client(authority))
        (entry,) = [one for one in logs if one["event"] == "tls-handshake-failed"]
        assert "certificate" in entry["reason"]
        assert entry["peer"].startswith("127.0.0.1:")


async def test_a_peer_with_an_expired_certificate_is_refused_and_the_reason_is_said(
    authority: Authority, server: Pair
) -> None:
    async with listening(server, authority.ca) as listener:
        with capture_logs() as logs:
            await refused(listener, client(authority, authority.issue("late", days=-1)))
        assert [one["reason"] for one in logs if one["event"] == "tls-handshake-failed"] == ["certificate has expired"]


async def test_peers_of_another_authority_or_none_are_refused(
    authority: Authority, server: Pair, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "stranger").issue("strange")
    async with listening(server, authority.ca) as listener:
        await refused(listener, client(authority, stranger))
        await refused(listener, client(authority, authority.issue("self", self_signed=True)))


async def test_a_client_that_does_not_trust_us_leaves_and_others_are_served(
    authority: Authority, server: Pair, tmp_path: Path
) -> None:
    async with listening(server) as listener:
        await refused(listener, client(Authority(tmp_path, "stranger")))
        async with Peer(listener.port, tls=client(authority)) as peer:
            await peer.send(block(message(1)))
            assert await peer.answered_ids(1) == ["AA 1"]


async def test_old_versions_of_tls_are_refused(authority: Authority, server: Pair) -> None:
    context = client(authority)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with listening(server) as listener:
        await refused(listener, context)


async def test_clear_text_on_a_tls_port_is_refused(server: Pair) -> None:
    async with listening(server) as listener, Peer(listener.port) as peer:
        await peer.send(block(message(1)))
        assert b"MSA" not in await peer.ended()
        await until(lambda: listener.counts.get("tls-handshake-failed") == 1)


async def test_a_peer_that_never_begins_tls_is_let_go(server: Pair) -> None:
    async with listening(server, handshake_seconds=0.1) as listener, Peer(listener.port) as peer:
        assert await peer.ended() == b""
        await until(lambda: listener.counts.get("tls-handshake-failed") == 1)


async def test_peers_that_never_finish_tls_fill_the_places_and_no_more(authority: Authority, server: Pair) -> None:
    async with (
        listening(server, handshake_seconds=0.3, connections=2) as listener,
        Peer(listener.port),
        Peer(listener.port),
        Peer(listener.port) as third,
    ):
        assert await third.ended() == b""
        assert listener.counts["mllp-connections-full"] == 1
        await until(lambda: listener.counts.get("tls-handshake-failed") == 2)
        await one_message(listener.port, client(authority))


async def test_closing_does_not_wait_for_handshakes(server: Pair) -> None:
    async with listening(server, handshake_seconds=60) as listener, Peer(listener.port) as peer:
        await peer.send(b"\x16\x03\x01")
        await until(lambda: listener._arriving == 1)
        await asyncio.wait_for(listener.close(), 10)


async def test_files_that_do_not_do_are_named_before_listening(authority: Authority, server: Pair) -> None:
    other = authority.issue("other", days=-1)
    tls = ServerTls(certificate=other.certificate, key=server.key)
    listener = MllpListener("adt", MllpSource(port=0, tls=tls))
    assert [finding.code for finding in await listener.probe()] == ["tls-key-mismatch"]
    with pytest.raises(ConfigError, match="not the private key"):
        await listener.open()


async def test_an_expired_certificate_of_ours_is_found_by_the_probe(authority: Authority) -> None:
    pair = authority.issue("old", days=-1)
    tls = ServerTls(certificate=pair.certificate, key=pair.key)
    findings = await MllpListener("adt", MllpSource(port=0, host="0.0.0.0", tls=tls)).probe()
    assert [finding.code for finding in findings] == ["tls-certificate-expired"]
