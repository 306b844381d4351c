"""FHIR over loopback on the real encrypted store, 16 connections.

Every read is audited before its first byte; every create is validated, indexed, audited and on the disk before its
answer. The client is another process that speaks plain HTTP/1.1 over raw sockets, so that it is not what is measured.
"""

from __future__ import annotations

import asyncio
import io
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop
from msgspec import Raw

from hilum.app.api import ApiSettings, StaticHealth, access_logger, create_app, listen, serve
from hilum.app.tokens import TOKENS_SCHEMA, Role, SqliteTokens
from hilum.journal import SCHEMA as JOURNAL_SCHEMA
from hilum.journal import SqliteJournal
from hilum.model import Draft, Effects
from hilum.repository import SCHEMA as REPOSITORY_SCHEMA
from hilum.repository import SqliteRepository
from hilum.store import Store

CONNECTIONS = 16
SECONDS = 6.0
PATIENTS = 2_000
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"


def run() -> dict[str, object]:
    """Requests per second, latencies in ms, and CPU of the server in us per request."""
    return uvloop.run(_run())


async def _run() -> dict[str, object]:
    figures: dict[str, object] = {"connections": CONNECTIONS, "patients": PATIENTS}
    async with serving() as (port, token, repository):
        for name, paths in _workloads().items():
            figures[name] = await load(port, token, paths)
        figures["observations_created"] = repository.type_counts()["Observation"] - PATIENTS
    return figures


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[int, str, SqliteRepository]]:
    """A server with patients and results, in a folder of its own: its port, a token that writes, its repository."""
    with tempfile.TemporaryDirectory() as folder:
        schemas = [JOURNAL_SCHEMA, REPOSITORY_SCHEMA, TOKENS_SCHEMA]
        with Store.open(Path(folder) / "bench.db", key=bytes(32), schemas=schemas, exclusive=True) as store:
            async with _served(store) as found:
                yield found


@asynccontextmanager
async def _served(store: Store) -> AsyncIterator[tuple[int, str, SqliteRepository]]:
    journal = SqliteJournal(store)
    repository = SqliteRepository(store, witness=journal.audit_in)
    tokens = SqliteTokens(store, journal)
    await _fill(repository)
    listener = listen(ApiSettings(port=0))
    log = access_logger(io.StringIO())
    app = create_app(repository, journal, tokens, health=StaticHealth(), base_url=listener.base_url, log=log)
    server = await serve(app, listener)
    yield listener.port, tokens.create("bench", Role.WRITER, 3_600, by="bench").text, repository
    await server.close()
    journal.close()


def _workloads() -> dict[str, list[str]]:
    """What each connection picks from: paths to get, or `path body` to post."""
    created = json.dumps({"resourceType": "Observation", **observation(1)})
    return {
        "read_by_id_audited": [f"/fhir/Patient/p{n}" for n in range(PATIENTS)],
        "search_by_patient_audited": [f"/fhir/Observation?patient=p{n}" for n in range(PATIENTS)],
        "search_by_patient_category_date_audited": [
            f"/fhir/Observation?patient=p{n}&category=laboratory&date=ge2023" for n in range(PATIENTS)
        ],
        "create_validated_durable": [
            f"/fhir/Observation {created.replace('Patient/p1', f'Patient/p{n}')}" for n in range(PATIENTS)
        ],
        "livez": ["/livez"],
    }


async def _fill(repository: SqliteRepository) -> None:
    for first in range(0, PATIENTS, 200):
        work = [
            Effects(seq=n + 1, partition=0, at=1_700_000_000_000_000 + n, drafts=[_patient(n), _observation(n)])
            for n in range(first, first + 200)
        ]
        await repository.apply(work, {0: first + 200})


def _patient(n: int) -> Draft:
    name = [{"use": "official", "family": f"Synthetic{n}", "given": ["Ada", "B"]}]
    elements = {
        "identifier": [{"system": "urn:oid:1.2.3", "value": str(100_000 + n)}],
        "active": True,
        "name": name,
        "telecom": [{"system": "phone", "value": "555-0100", "use": "home"}],
        "gender": "female",
        "birthDate": "1970-01-01",
        "address": [{"line": ["1 Test Street"], "city": "Springfield", "state": "IL", "postalCode": "62701"}],
    }
    return Draft("Patient", f"p{n}", {key: Raw(json.dumps(value).encode()) for key, value in elements.items()})


def _observation(n: int) -> Draft:
    return Draft(
        "Observation", f"o{n}", {key: Raw(json.dumps(value).encode()) for key, value in observation(n).items()}
    )


def observation(n: int) -> dict[str, Any]:
    """A result of one patient, as elements."""
    return {
        "status": "final",
        "category": [{"coding": [{"system": CATEGORY, "code": "laboratory"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7", "display": "Hemoglobin"}]},
        "subject": {"reference": f"Patient/p{n}"},
        "effectiveDateTime": "2024-01-01T08:00:00Z",
        "valueQuantity": {"value": 13.5, "unit": "g/dL", "system": "http://unitsofmeasure.org", "code": "g/dL"},
    }


async def load(port: int, token: str, paths: list[str]) -> dict[str, object]:
    """What 16 connections of another process get in some seconds, each picking from `paths` by chance."""
    before = _cpu()
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.api", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    async with asyncio.timeout(SECONDS + 30):
        told, _ = await child.communicate(json.dumps({"port": port, "token": token, "paths": paths}).encode())
    spent = _cpu() - before
    result: dict[str, object] = json.loads(told)
    requests = result["requests"]
    assert isinstance(requests, int)
    assert requests, result
    assert not result["failed"], result
    return result | {"server_cpu_us": round(spent / requests * 1e6, 1)}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class _Client(asyncio.Protocol):
    """One connection that sends the next request as soon as the answer of the last one is whole."""

    def __init__(self, requests: list[bytes], until: float) -> None:
        self._requests = requests
        self._until = until
        self._buffer = b""
        self._sent = 0.0
        self.times: list[float] = []
        self.failed = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport  # uvloop's transports are not asyncio.Transport
        self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(random.choice(self._requests))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        at = head.index(b"content-length: ") + 16
        if len(body) < int(head[at : head.find(b"\r", at) if b"\r" in head[at:] else None]):
            return
        self._buffer = b""
        self.times.append(time.perf_counter() - self._sent)
        self.failed += not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201"))
        if self._sent < self._until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


def _request(asked: str, token: str) -> bytes:
    path, _, body = asked.partition(" ")
    head = f"Host: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nAccept: application/fhir+json\r\n"
    if not body:
        return f"GET {path} HTTP/1.1\r\n{head}\r\n".encode()
    media = f"Content-Type: application/fhir+json\r\nContent-Length: {len(body)}\r\n"
    return f"POST {path} HTTP/1.1\r\n{head}{media}\r\n{body}".encode()


async def _client() -> None:
    asked = json.load(sys.stdin)
    requests = [_request(one, asked["token"]) for one in asked["paths"]]
    began = time.perf_counter()
    clients = [_Client(requests, began + SECONDS) for _ in range(CONNECTIONS)]
    loop = asyncio.get_running_loop()
    for client in clients:
        await loop.create_connection(lambda client=client: client, "127.0.0.1", asked["port"])
    await asyncio.gather(*(client.done for client in clients))
    seconds = time.perf_counter() - began
    times = sorted(time for client in clients for time in client.times)
    result = {
        "requests": len(times),
        "per_second": round(len(times) / seconds),
        "p50_ms": round(times[len(times) // 2] * 1000, 2),
        "p99_ms": round(times[len(times) * 99 // 100] * 1000, 2),
        "failed": sum(client.failed for client in clients),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    uvloop.run(_client())
