"""The whole thing on real sockets and the real encrypted store."""

from __future__ import annotations

import asyncio
import datetime
import io
import signal
import socket
import ssl
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from api_support import READY, YEAR, code_of, observation, patient, store
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hilum.app.api import ApiSettings, Listener, create_app, listen, protocol, serve
from hilum.app.api.access_log import access_logger
from hilum.app.tokens import TOKENS_SCHEMA, Role, SqliteTokens
from hilum.config import Tls
from hilum.errors import HilumError
from hilum.journal import SCHEMA as JOURNAL_SCHEMA
from hilum.journal import SqliteJournal
from hilum.repository import SCHEMA as REPOSITORY_SCHEMA
from hilum.repository import SqliteRepository
from hilum.store import Store

pytestmark = pytest.mark.anyio

KEY = bytes(range(32))
SCHEMAS = [JOURNAL_SCHEMA, REPOSITORY_SCHEMA, TOKENS_SCHEMA]
ANY = ApiSettings(port=0)


class Running:
    """A served store, and a reader's token."""

    def __init__(self, opened: Store, listener: Listener) -> None:
        self.listener = listener
        self.journal = SqliteJournal(opened)
        self.repository = SqliteRepository(opened)
        self.tokens = SqliteTokens(opened, self.journal)
        self.token = self.tokens.create("portal", Role.READER, YEAR, by="test").text
        self.app = create_app(
            self.repository,
            self.journal,
            self.tokens,
            health=READY,
            base_url=listener.base_url,
            log=access_logger(io.StringIO()),
        )

    def client(self, **settings: object) -> httpx2.AsyncClient:
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx2.AsyncClient(base_url=self.listener.base_url, headers=headers, **settings)


@asynccontextmanager
async def running(folder: Path, settings: ApiSettings = ANY) -> AsyncIterator[Running]:
    with Store.open(folder / "hilum.db", key=KEY, schemas=SCHEMAS, exclusive=True) as opened:
        listener = listen(settings)
        made = Running(opened, listener)
        people = [patient(f"p{n}", f"Family{n}") for n in range(20)]
        await store(made.repository, *people, *(observation(f"o{n}", f"p{n % 4}") for n in range(40)))
        server = await serve(made.app, listener)
        try:
            yield made
        finally:
            await server.close()
            made.journal.close()


async def test_read_search_history_and_paging_work_on_the_real_store(tmp_path: Path) -> None:
    async with running(tmp_path) as made, made.client() as client:
        read = await client.get("/fhir/Patient/p1")
        assert read.json()["name"] == [{"family": "Family1"}]
        assert read.headers["etag"] == 'W/"1"'
        assert (await client.get("/fhir/Patient/p1/_history/1")).content == read.content
        assert (await client.get("/fhir/Patient/p1/_history")).json()["total"] == 1
        seen: list[str] = []
        url = "/fhir/Observation?patient=p1&_count=3&_include=Observation:subject"
        while url:
            bundle = (await client.get(url)).json()
            assert bundle["total"] == 10
            seen += [e["resource"]["id"] for e in bundle["entry"] if e["search"]["mode"] == "match"]
            url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
        assert len(seen) == len(set(seen)) == 10
        assert (await client.get("/fhir/Patient/p1", headers={"If-None-Match": 'W/"1"'})).status_code == 304


async def test_every_access_of_many_clients_is_in_the_verified_chain(tmp_path: Path) -> None:
    async with running(tmp_path) as made, made.client() as client:
        answers = await asyncio.gather(*(client.get(f"/fhir/Patient/p{n % 20}") for n in range(200)))
        assert all(answer.status_code == 200 for answer in answers)
        assert [answer.json()["id"] for answer in answers] == [f"p{n % 20}" for n in range(200)]
        rows = [event for _, event in made.journal.audits(limit=1000) if event.action == "read"]
        assert len(rows) == 200
        assert (await made.journal.verify()).ok


async def test_a_paging_link_outlives_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as made, made.client() as client:
        bundle = (await client.get("/fhir/Patient?_count=15")).json()
        cursor = next(link["url"] for link in bundle["link"] if link["relation"] == "next").partition("?")[2]
        token = made.token
    with Store.open(tmp_path / "hilum.db", key=KEY, schemas=SCHEMAS) as opened:
        journal = SqliteJournal(opened)
        app = create_app(
            SqliteRepository(opened),
            journal,
            SqliteTokens(opened, journal),
            health=READY,
            log=access_logger(io.StringIO()),
        )
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://x") as client:
            response = await client.get(f"/fhir/Patient?{cursor}", headers={"Authorization": f"Bearer {token}"})
        assert len(response.json()["entry"]) == 5


async def test_a_revocation_by_another_process_closes_the_door_at_once(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import sys
        from pathlib import Path
        from hilum.app.tokens import TOKENS_SCHEMA, SqliteTokens
        from hilum.journal import SCHEMA, SqliteJournal
        from hilum.store import Store
        with Store.open(Path(sys.argv[1]), key=bytes(range(32)), schemas=[SCHEMA, TOKENS_SCHEMA]) as store:
            SqliteTokens(store, SqliteJournal(store)).revoke("portal", by="cli:ann")
    """)
    async with running(tmp_path) as made, made.client() as client:
        assert (await client.get("/fhir/Patient/p1")).status_code == 200
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(tmp_path / "hilum.db"))
        assert await child.wait() == 0
        response = await client.get("/fhir/Patient/p1")
        assert (response.status_code, code_of(response)) == (401, "token-revoked")
        assert (await made.journal.verify()).ok


async def test_the_operating_system_must_not_hold_bytes_that_a_failed_audit_forbids(tmp_path: Path) -> None:
    """Over a socket: with the store closed under it, the server answers 503 and shows no resource."""
    async with running(tmp_path) as made, made.client() as client:
        assert (await client.get("/fhir/Patient/p1")).status_code == 200

        async def refuse(_: object) -> None:
            raise OSError("no space")

        made.journal.audit = refuse  # type: ignore[method-assign]
        response = await client.get("/fhir/Patient/p1")
        assert (response.status_code, code_of(response)) == (503, "audit-unavailable")
        assert b"Family1" not in response.content


async def raw(port: int, sent: bytes) -> bytes:
    """What comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    received = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    return received


@pytest.mark.parametrize("sent", [b"HELO mail\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"\0\0\r\n\r\n"])
async def test_bytes_that_are_not_http_get_an_outcome(tmp_path: Path, sent: bytes) -> None:
    async with running(tmp_path) as made:
        answer = await raw(made.listener.port, sent)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"http-malformed" in body


async def test_a_head_without_an_end_is_refused_at_its_limit(tmp_path: Path) -> None:
    async with running(tmp_path) as made:
        reader, writer = await asyncio.open_connection("127.0.0.1", made.listener.port)
        writer.write(b"GET /livez HTTP/1.1\r\n")
        writer.write(b"".join(b"X-%d: " % number + b"y" * 8_000 + b"\r\n" for number in range(5)))
        answer = await asyncio.wait_for(reader.read(), 20)
        writer.close()
    assert b" 431 " in answer.partition(b"\r\n")[0]
    assert b"head-too-large" in answer


async def test_silent_and_slow_heads_end_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
    async with running(tmp_path) as made:
        assert await raw(made.listener.port, b"") == b""
        assert await raw(made.listener.port, b"GET /livez HT") == b""
        reader, writer = await asyncio.open_connection("127.0.0.1", made.listener.port)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"alive")
        writer.write(b"GET /livez HT")
        assert b"HTTP" not in await asyncio.wait_for(reader.read(), 20)
        writer.close()


async def test_connections_beyond_the_limit_are_told_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "MAX_CONNECTIONS", 1)
    async with running(tmp_path) as made:
        first = await asyncio.open_connection("127.0.0.1", made.listener.port)
        first[1].write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        await first[0].readuntil(b"alive")
        answer = await raw(made.listener.port, b"")
        first[1].close()
    assert b" 503 " in answer.partition(b"\r\n")[0]
    assert b"too-many-connections" in answer


async def test_pipelined_requests_are_answered_in_order(tmp_path: Path) -> None:
    async with running(tmp_path) as made:
        one = "GET /fhir/Patient/p{} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n{}\r\n"
        sent = "".join(one.format(n, made.token, "Connection: close\r\n" if n == 9 else "") for n in range(10))
        answer = (await raw(made.listener.port, sent.encode())).decode()
    assert [answer.find(f'"family":"Family{n}"') for n in range(10)] == sorted(
        answer.find(f'"family":"Family{n}"') for n in range(10)
    )
    assert answer.count("HTTP/1.1 200") == 10


async def test_stopping_answers_what_was_asked(tmp_path: Path) -> None:
    with Store.open(tmp_path / "hilum.db", key=KEY, schemas=SCHEMAS) as opened:
        made = Running(opened, listen(ANY))
        await store(made.repository, patient("p1", "Family1"))
        asked, go_on = asyncio.Event(), asyncio.Event()
        audit = made.journal.audit

        async def slow(events) -> None:
            asked.set()
            await go_on.wait()
            await audit(events)

        made.journal.audit = slow  # type: ignore[method-assign]
        server = await serve(made.app, made.listener)
        async with made.client() as client:
            reading = asyncio.create_task(client.get("/fhir/Patient/p1"))
            await asked.wait()
            closing = asyncio.create_task(server.close())
            await asyncio.sleep(0)
            go_on.set()
            assert (await reading).status_code == 200
            await asyncio.wait_for(closing, 20)
            with pytest.raises(httpx2.ConnectError):
                await client.get("/livez")
        made.journal.close()


# -- binding ----------------------------------------------------------------------------------------------------------


def refused(settings: ApiSettings) -> HilumError:
    with pytest.raises(HilumError) as caught:
        listen(settings)
    return caught.value


def test_loopback_is_the_default_and_the_base_url_follows() -> None:
    listener = listen(ANY)
    assert listener.base_url == f"http://127.0.0.1:{listener.port}"
    listener.close()


def test_a_configured_base_url_is_used_without_its_last_slash() -> None:
    listener = listen(ApiSettings(port=0, base_url="https://hilum.example/x/"))
    assert listener.base_url == "https://hilum.example/x"
    listener.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_other_addresses_without_tls_are_refused(host: str) -> None:
    assert refused(ApiSettings(host=host, port=0)).code == "api-bind-unsafe"


def test_other_addresses_without_tls_must_be_allowed_by_name() -> None:
    listener = listen(ApiSettings(host="0.0.0.0", port=0, insecure_allowed=True))
    listener.close()


def test_a_port_in_use_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        error = refused(ApiSettings(port=taken.getsockname()[1]))
    assert (error.code, error.location) == ("api-port-in-use", "api.port")


@pytest.mark.parametrize("host", ["", "no such host", "999.1.1.1", "x" * 300, "203.0.113.7"])
def test_a_host_that_is_not_ours_is_told(host: str) -> None:
    error = refused(ApiSettings(host=host, port=0, insecure_allowed=True))
    assert error.code == "api-address-invalid"


# -- TLS --------------------------------------------------------------------------------------------------------------


def certificate(folder: Path) -> Tls:
    """A certificate for localhost, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return Tls(folder / "cert.pem", folder / "key.pem")


async def test_over_tls_browsers_are_told_to_stay_there(tmp_path: Path) -> None:
    settings = ApiSettings(host="localhost", port=0, tls=certificate(tmp_path))
    context = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    async with running(tmp_path, settings) as made:
        assert made.listener.base_url.startswith("https://localhost:")
        async with made.client(verify=context) as client:
            response = await client.get("/fhir/Patient/p1")
            assert response.status_code == 200
            assert response.headers["strict-transport-security"] == "max-age=31536000"


def test_a_certificate_that_cannot_be_used_is_told_before_anything_listens(tmp_path: Path) -> None:
    tls = certificate(tmp_path)
    tls.key.write_text("nonsense")
    assert refused(ApiSettings(port=0, tls=tls)).code.startswith("tls-")
    tls.key.unlink()
    assert refused(ApiSettings(port=0, tls=tls)).code.startswith("tls-")


# -- killing ----------------------------------------------------------------------------------------------------------

SERVER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_api_server import running
async def main():
    async with running(Path(sys.argv[1])) as made:
        print(made.listener.port, made.token, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_whatever_was_answered_before_a_kill_is_in_the_audit(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SERVER, str(tmp_path), str(Path(__file__).parent)]
    child = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert child.stdout is not None
    port, token = (await child.stdout.readline()).decode().split()
    answered = 0
    async with httpx2.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {token}"}
    ) as client:

        async def read_on() -> None:
            nonlocal answered
            while True:
                try:
                    response = await client.get("/fhir/Patient/p1")
                except httpx2.TransportError:
                    return
                answered += response.status_code == 200
                if answered == 100:
                    child.send_signal(signal.SIGKILL)

        await asyncio.gather(*(read_on() for _ in range(8)))
    await child.wait()
    with Store.open(tmp_path / "hilum.db", key=KEY, schemas=SCHEMAS) as opened:
        journal = SqliteJournal(opened)
        audited = sum(event.action == "read" for _, event in journal.audits(limit=10_000))
        assert audited >= answered >= 100
        assert journal.verify_now().ok
