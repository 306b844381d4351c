"""A small world behind the API: a few synthetic resources, a journal that can fail, tokens, and a client on it."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import msgspec
from msgspec import Raw

from hilum.app.api import Check, Health, StaticHealth, access_logger, create_app
from hilum.app.tokens import MemoryTokens, Role, Tokens
from hilum.journal import Journal, MemoryJournal
from hilum.model import AuditEvent, Draft, Effects
from hilum.repository import MemoryRepository, Repository

BASE = "https://hilum.example"
FHIR = f"{BASE}/fhir"
YEAR = 365 * 86_400
READY = StaticHealth([Check("journal", True, "12 GB free"), Check("source:adt", True)])


def draft(type_: str, id_: str, **elements: object) -> Draft:
    """One synthetic resource; element names as in FHIR."""
    return Draft(type_, id_, {name: Raw(msgspec.json.encode(value)) for name, value in elements.items()})


def patient(id_: str, family: str, **more: object) -> Draft:
    return draft("Patient", id_, name=[{"family": family}], **more)


def observation(id_: str, subject: str, code: str = "718-7") -> Draft:
    return draft(
        "Observation",
        id_,
        status="final",
        code={"coding": [{"system": "http://loinc.org", "code": code}]},
        subject={"reference": f"Patient/{subject}"},
    )


async def store(repository: Repository, *drafts: Draft, seq: int = 1, at: int = 1_700_000_000_000_000) -> None:
    """Apply drafts as one message would."""
    await repository.apply([Effects(seq=seq, partition=0, at=at + seq, drafts=list(drafts))], {0: seq})


class SpyJournal:
    """Remembers audit rows; `failure` makes it refuse them, `before` is called with each."""

    def __init__(self) -> None:
        self.rows: list[AuditEvent] = []
        self.failure: Exception | None = None

    async def audit(self, events: Sequence[AuditEvent]) -> None:
        if self.failure is not None:
            raise self.failure
        self.rows.extend(events)


class World:
    """The app and everything behind it."""

    def __init__(
        self,
        repository: Repository | None = None,
        journal: Journal | SpyJournal | None = None,
        tokens: Tokens | None = None,
        health: Health = READY,
        **settings: Any,
    ) -> None:
        self.journal = journal or SpyJournal()
        self.repository = repository or MemoryRepository(witness=self._take)
        self.tokens = tokens or MemoryTokens()
        self.log = io.StringIO()
        self.app = create_app(
            self.repository,
            self.journal,
            self.tokens,
            health=health,
            base_url=BASE,
            log=access_logger(self.log),
            **settings,
        )

    def _take(self, events: Sequence[AuditEvent]) -> None:
        assert isinstance(self.journal, SpyJournal)
        if self.journal.failure is not None:
            raise self.journal.failure
        self.journal.rows.extend(events)

    def token(self, name: str = "portal", role: Role = Role.READER, seconds: int = YEAR) -> str:
        """The text of a fresh token."""
        return self.tokens.create(name, role, seconds, by="test").text

    @property
    def audited(self) -> list[tuple[str, str, str, str]]:
        """Actor, action, target, outcome of each row."""
        assert isinstance(self.journal, SpyJournal)
        return [(row.actor, row.action, row.target, row.outcome) for row in self.journal.rows]

    @asynccontextmanager
    async def client(
        self, token: str | None = "", peer: str = "203.0.113.9", **headers: str
    ) -> AsyncIterator[httpx2.AsyncClient]:
        """A client with a fresh reader's token, with `token`, or with none."""
        text = self.token() if token == "" else token
        if text is not None:
            headers["Authorization"] = f"Bearer {text}"
        transport = httpx2.ASGITransport(app=self.app, client=(peer, 4711), raise_app_exceptions=True)
        async with httpx2.AsyncClient(transport=transport, base_url=BASE, headers=headers) as client:
            yield client


def code_of(response: httpx2.Response) -> str:
    """hilum's code of an OperationOutcome; fails on anything that is none."""
    outcome = response.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert response.headers["content-type"].startswith("application/fhir+json")
    assert all(issue["diagnostics"] for issue in outcome["issue"])
    code = outcome["issue"][0]["details"]["coding"][0]["code"]
    assert isinstance(code, str)
    return code


__all__ = [
    "BASE",
    "FHIR",
    "READY",
    "YEAR",
    "MemoryJournal",
    "SpyJournal",
    "World",
    "code_of",
    "draft",
    "observation",
    "patient",
    "store",
]
