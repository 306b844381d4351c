"""The API with its authorization server on a real store, apps of each kind, two people, a browser without scripts."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
from api_support import BASE, FHIR, READY, draft, observation, patient, store
from argon2 import PasswordHasher
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from hilum.app.api import create_app
from hilum.app.bulk.exports import Exports
from hilum.app.bulk.tables import BULK_SCHEMA
from hilum.app.smart.apps import new_app
from hilum.app.smart.records import SMART_SCHEMA, Kind
from hilum.app.smart.surface import Authorization
from hilum.app.smart.users import new_user
from hilum.app.subscriptions.service import Subscriptions
from hilum.app.subscriptions.settings import Topic, Trigger
from hilum.app.subscriptions.tables import SUBSCRIPTIONS_SCHEMA
from hilum.app.tokens import TOKENS_SCHEMA, Role, SqliteTokens
from hilum.config import Smart
from hilum.journal import SCHEMA as JOURNAL_SCHEMA
from hilum.journal import SqliteJournal
from hilum.repository import SCHEMA as REPOSITORY_SCHEMA
from hilum.repository import SqliteRepository
from hilum.store import Store

PORTAL = "https://portal.example/app/callback"
MOBILE = "com.example.app:/callback"
CHART = "https://chart.example/done"
PASSWORD = "correct horse battery"
HASH = PasswordHasher(1, 8, 1).hash(PASSWORD)  # as cheap as argon2id gets: the cost is tested once, not everywhere
VERIFIER = "v" * 60
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
RSA = RSAKey.generate_key(2048, {"kid": "rsa", "alg": "RS384", "use": "sig"})
SIGNING = RSAKey.generate_key(2048).as_pem(private=True)  # one for all: that a server makes its own is tested once
EC = ECKey.generate_key("P-384", {"kid": "ec", "alg": "ES384", "use": "sig"})
LAB = "http://terminology.hl7.org/CodeSystem/observation-category|laboratory"
ALL = "openid fhirUser launch launch/patient offline_access online_access patient/*.cruds user/*.cruds"

__all__ = [
    "BASE",
    "CHALLENGE",
    "CHART",
    "FHIR",
    "LAB",
    "MOBILE",
    "PASSWORD",
    "PORTAL",
    "VERIFIER",
    "Browser",
    "SmartWorld",
    "draft",
    "patient",
    "store",
]


def category(code: str) -> list[dict[str, Any]]:
    return [{"coding": [{"system": LAB.partition("|")[0], "code": code}]}]


def keys(*some: Any) -> str:
    import json

    return json.dumps({"keys": [one.as_dict(private=False) for one in some]})


class SmartWorld:
    """Two patients with results, behind the API; everything in one file that can be opened again."""

    def __init__(self, folder: Path, settings: Smart | None = None, base: str = BASE, **more: Any) -> None:
        self.folder, self.settings, self.base, self.more = folder, settings or Smart(), base, more
        self.open()

    def open(self) -> None:
        schemas = (JOURNAL_SCHEMA, REPOSITORY_SCHEMA, TOKENS_SCHEMA, BULK_SCHEMA, SMART_SCHEMA, SUBSCRIPTIONS_SCHEMA)
        self.store = Store.open(self.folder / "hilum.db", key=bytes(32), schemas=schemas)
        self.journal = SqliteJournal(self.store)
        self.repository = SqliteRepository(self.store, witness=self.journal.audit_in)
        self.own = SqliteTokens(self.store, self.journal)
        signing = self.store.path.with_suffix(".signing.pem")
        signing.write_bytes(SIGNING)
        signing.chmod(0o600)
        self.smart = Authorization(
            self.store, self.journal, self.repository, self.own, self.settings, self.base, **self.more
        )
        self.exports = Exports(self.store)
        topic = Topic("https://hilum.example/topics/results", [Trigger("Observation", ["create"])])
        self.subscriptions = Subscriptions(
            self.store, self.journal, self.repository, [topic], {}, base_url=self.base, may=lambda *_: True
        )
        self.app = create_app(
            self.repository,
            self.journal,
            self.smart.tokens,
            health=READY,
            base_url=self.base,
            authorization=self.smart,
            exports=self.exports,
            subscriptions=self.subscriptions,
        )

    def close(self) -> None:
        self.journal.close()
        self.store.close()

    async def fill(self) -> None:
        await store(
            self.repository,
            patient(
                "p1",
                "Rivera",
                gender="female",
                birthDate="1980-02-03",
                generalPractitioner=[{"reference": "Practitioner/d1"}],
            ),
            patient("p2", "Okafor", gender="male"),
            draft("Practitioner", "d1", name=[{"family": "House"}]),
            draft("Encounter", "e1", status="finished", subject={"reference": "Patient/p1"}),
            observation("o1", "p1"),
            draft(
                "Observation",
                "l1",
                status="final",
                category=category("laboratory"),
                code={"text": "a"},
                subject={"reference": "Patient/p1"},
            ),
            draft(
                "Observation",
                "v1",
                status="final",
                category=category("vital-signs"),
                code={"text": "b"},
                subject={"reference": "Patient/p1"},
            ),
            draft(
                "Observation",
                "o2",
                status="final",
                category=category("laboratory"),
                code={"text": "c"},
                subject={"reference": "Patient/p2"},
            ),
            draft(
                "Group",
                "g1",
                type="person",
                actual=True,
                member=[{"entity": {"reference": f"Patient/{one}"}} for one in ("p1", "p2")],
            ),
        )
        self.register("portal", Kind.PUBLIC, (PORTAL, MOBILE), ALL, launch="https://portal.example/launch")
        self.secret = self.register("chart", Kind.SECRET, (CHART,), ALL)
        self.register("keyed", Kind.KEYS, ("https://keyed.example/cb",), ALL + " system/*.rs", jwks=keys(RSA, EC))
        self.register("loader", Kind.KEYS, (), "system/*.rs system/Patient.cud", jwks=keys(RSA, EC))
        for name, record in (("ana", "Patient/p1"), ("drake", "Practitioner/d1")):
            self.smart.users.add(new_user(name, record=record, hashed=HASH), by="test")

    def register(self, name: str, kind: Kind, redirects: tuple[str, ...], scopes: str, **more: str) -> str:
        app, secret = new_app(name, kind=kind, redirects=redirects, scopes=scopes, **more)
        self.smart.apps.add(app, by="test")
        return secret

    def token(self, name: str = "operator", role: Role = Role.ADMIN) -> str:
        return self.own.create(name, role, 3600, by="test").text

    def audited(self, action: str = "") -> list[tuple[str, str, str, str]]:
        rows = self.store.read(
            lambda connection: connection.execute(
                "SELECT actor, action, target, outcome FROM audit ORDER BY rowid"
            ).fetchall()
        )
        return [row for row in rows if not action or row[1] == action]

    @asynccontextmanager
    async def client(self, token: str = "", **headers: str) -> AsyncIterator[httpx2.AsyncClient]:
        if token:
            headers["Authorization"] = f"Bearer {token}"
        transport = httpx2.ASGITransport(app=self.app, client=("203.0.113.9", 4711), raise_app_exceptions=True)
        async with httpx2.AsyncClient(transport=transport, base_url=self.base, headers=headers) as client:
            yield client

    def assertion(self, client: str = "loader", key: Any = RSA, alg: str = "RS384", **claims: Any) -> str:
        now = int(time.time())
        given = {
            "iss": client,
            "sub": client,
            "aud": f"{self.base}/smart/token",
            "exp": now + 120,
            "jti": hashlib.sha256(str(time.perf_counter_ns()).encode()).hexdigest(),
        } | claims
        header = {"alg": alg, "kid": key.kid, "typ": "JWT"}
        return jwt.encode(header, {name: value for name, value in given.items() if value is not None}, key, [alg])

    async def backend(self, scope: str, client: str = "loader", **more: Any) -> httpx2.Response:
        async with self.client() as http:
            return await http.post("/smart/token", data=self.backend_form(scope, client, **more))

    def backend_form(self, scope: str, client: str = "loader", **more: Any) -> dict[str, str]:
        return {
            "grant_type": "client_credentials",
            "scope": scope,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": more.pop("text", None) or self.assertion(client, **more),
        }

    async def access(self, scope: str, *, user: str = "ana", patient: str = "", **more: str) -> dict[str, Any]:
        """The token response of a whole launch by the portal."""
        async with self.client() as client:
            browser = Browser(client)
            code = await browser.code(scope, user=user, patient=patient, **more)
            answer = await browser.exchange(code)
        assert answer.status_code == 200, answer.text
        return answer.json()


class Browser:
    """What a person does with the pages."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client
        self.page = ""

    async def ask(
        self, scope: str = "launch/patient patient/*.rs", method: str = "GET", **more: str | None
    ) -> httpx2.Response:
        given: dict[str, str | None] = {
            "response_type": "code",
            "client_id": "portal",
            "redirect_uri": PORTAL,
            "scope": scope,
            "state": "st-1",
            "aud": FHIR,
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        given |= more
        asked = {name: value for name, value in given.items() if value is not None}
        if method == "POST":
            return self._took(await self.client.post("/smart/authorize", data=asked))
        return self._took(await self.client.get(f"/smart/authorize?{urlencode(asked)}"))

    async def submit(self, action: str, **fields: Any) -> httpx2.Response:
        return self._took(await self.client.post(f"/smart/{action}", data={"request": self.sealed, **fields}))

    @property
    def sealed(self) -> str:
        found = re.search(r'name="request" value="([^"]+)"', self.page)
        assert found, self.page
        return unescape(found[1])

    @property
    def choices(self) -> list[str]:
        return [unescape(one) for one in re.findall(r"<small>([^<]*)</small>", self.page)]

    def _took(self, answer: httpx2.Response) -> httpx2.Response:
        self.page = answer.text
        return answer

    async def code(
        self, scope: str, *, user: str = "ana", patient: str = "", drop: tuple[str, ...] = (), **more: str
    ) -> str:
        answer = await self.ask(scope, **more)
        assert answer.status_code == 200, answer.headers.get("location", answer.text)
        if 'name="password"' in self.page:
            answer = await self.submit("login", name=user, password=PASSWORD)
        if 'name="q"' in self.page:
            answer = await self.submit("patient", patient=patient)
        places = [str(at) for at, one in enumerate(self.choices) if one not in drop]
        answer = await self.submit("consent", scope=places, decision="allow")
        assert answer.status_code == 303, answer.text
        found = parse_qs(urlsplit(answer.headers["location"]).query)
        assert found["state"] == ["st-1"], found
        return found["code"][0]

    async def exchange(self, code: str, **more: str | None) -> httpx2.Response:
        given: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": PORTAL,
            "client_id": "portal",
            "code_verifier": VERIFIER,
        }
        given |= more
        return await self.client.post(
            "/smart/token", data={name: value for name, value in given.items() if value is not None}
        )
