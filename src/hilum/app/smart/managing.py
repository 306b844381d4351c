"""Apps register themselves (RFC 7591) where the folder says so, and read, change and end that (RFC 7592)."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from hilum.app.api.auditor import Auditor
from hilum.app.api.auth import peer
from hilum.app.api.exchange import Call, Reply
from hilum.app.smart.apps import Apps
from hilum.app.smart.problems import OAuthProblem
from hilum.app.smart.records import SECOND, App, Kind, digest, fresh
from hilum.app.smart.registering import allowed_of, body_of, registered
from hilum.app.smart.service import error_reply, json_reply
from hilum.config import SmartRegistration
from hilum.errors import HilumError

__all__ = ["Registrations"]

PREFIX = "hilumm"
SHORTEST_TOKEN = 16  # bytes
# what the server says and an app does not (RFC 7592 2.2)
_OURS = ("registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at")


class Registrations:
    """Answers JSON. `base` is the address of registration.

    Raises HilumError `registration-token-short`, `app-scopes-invalid` for settings of no use.
    """

    def __init__(self, apps: Apps, auditor: Auditor, base: str, settings: SmartRegistration) -> None:
        self._apps, self._auditor, self._base = apps, auditor, base
        self._token = settings.token.resolve_bytes()
        if len(self._token) < SHORTEST_TOKEN:
            text = f"the token of smart.registration has fewer than {SHORTEST_TOKEN} bytes: make a longer one"
            raise HilumError(text, code="registration-token-short", location="integration.yaml")
        self._allowed, self._addresses = allowed_of(settings), settings.jwks_uris

    async def register(self, call: Call) -> Reply:
        """`POST /smart/register` (RFC 7591)."""
        try:
            if not _bears(call, digest(self._token.decode("latin-1"))):
                raise _refused("send the token that this server's operator gives to those who may register apps")
            made = registered(await body_of(call), self._allowed, self._addresses)
            token = fresh(PREFIX)
            metadata = msgspec.json.encode(made.said).decode()
            await asyncio.to_thread(self._apps.add, made.app, by="registration", registration=(digest(token), metadata))
        except OAuthProblem as problem:
            return await self._told(call, problem)
        return json_reply(self._facts(made.app, token, made.secret) | made.said, 201)

    async def read(self, call: Call) -> Reply:
        """`GET /smart/register/[client_id]`."""
        return await self._answer(call, self._read)

    async def update(self, call: Call) -> Reply:
        """`PUT /smart/register/[client_id]`: replaces the metadata; all tokens of the app end."""
        return await self._answer(call, self._update)

    async def remove(self, call: Call) -> Reply:
        """`DELETE /smart/register/[client_id]`: ends the app and all its tokens."""
        return await self._answer(call, self._remove)

    async def _answer(self, call: Call, do: Callable[[Call, App, str, str], Awaitable[Reply]]) -> Reply:
        try:
            found = self._apps.registration(call.params["client"])
            if found is None or not _bears(call, found[1]):
                raise _refused("send the registration_access_token that came with this client_id")
            return await do(call, found[0], _token(call), found[2])
        except OAuthProblem as problem:
            return await self._told(call, problem)

    async def _told(self, call: Call, problem: OAuthProblem) -> Reply:
        await self._auditor.stranger("register", "", problem.code, f"peer={peer(call)}")
        return error_reply(problem)

    def _facts(self, app: App, token: str, secret: str = "") -> dict[str, Any]:
        """What stands in every answer about a registration (RFC 7591 3.2.1, RFC 7592 3)."""
        facts: dict[str, Any] = {"client_id": app.id, "client_id_issued_at": app.created // SECOND}
        if secret:
            facts |= {"client_secret": secret, "client_secret_expires_at": 0}
        return facts | {"registration_access_token": token, "registration_client_uri": f"{self._base}/{app.id}"}

    async def _read(self, _: Call, app: App, token: str, metadata: str) -> Reply:
        await self._auditor.record(f"app/{app.id}", "registration-read", app.id)
        return json_reply(self._facts(app, token) | msgspec.json.decode(metadata, type=dict[str, Any]))

    async def _update(self, call: Call, app: App, token: str, _: str) -> Reply:
        body = await body_of(call)
        made = registered(body, self._allowed, self._addresses, app.id)
        self._check(body, app)
        keeps = app.kind is Kind.SECRET and made.app.kind is Kind.SECRET
        changed = replace(made.app, created=app.created, secret=app.secret if keeps else made.app.secret)
        await asyncio.to_thread(self._apps.change, changed, msgspec.json.encode(made.said).decode())
        return json_reply(self._facts(changed, token, "" if keeps else made.secret) | made.said)

    def _check(self, body: bytes, app: App) -> None:
        """RFC 7592 2.2: the app names itself, says nothing that is the server's to say, and no other secret."""
        given = msgspec.json.decode(body, type=dict[str, Any])
        secret = given.get("client_secret")
        wrong = next((name for name in _OURS if name in given), "")
        if given.get("client_id") != app.id:
            wrong = "client_id"
        elif secret is not None and not hmac.compare_digest(digest(str(secret)), app.secret):
            wrong = "client_secret"
        if wrong:
            text = f"{wrong} is left out, or is not this app's: send client_id and the metadata as they are to be"
            raise OAuthProblem("invalid_client_metadata", text, code="registration-invalid")

    async def _remove(self, _: Call, app: App, _token: str, _metadata: str) -> Reply:
        await asyncio.to_thread(self._apps.remove, app.id, by=f"app/{app.id}")
        return Reply(204, b"", {"Cache-Control": "no-store", "Pragma": "no-cache"})


def _token(call: Call) -> str:
    """The bearer token, "" for none."""
    scheme, _, token = call.header("authorization").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _bears(call: Call, hashed: bytes) -> bool:
    return hmac.compare_digest(digest(_token(call)), hashed)


def _refused(text: str) -> OAuthProblem:
    return OAuthProblem("invalid_token", text, code="registration-refused", status=401, scheme="Bearer")
