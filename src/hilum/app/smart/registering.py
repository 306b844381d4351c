"""Apps that register themselves (RFC 7591), where the folder allows it: with its token, within its scopes."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from typing import Any, Literal

import msgspec
from msgspec import Struct

from hilum.app.api.auditor import Auditor
from hilum.app.api.auth import peer
from hilum.app.api.exchange import Call, Reply
from hilum.app.api.outcomes import Problem
from hilum.app.smart.apps import Apps, new_app
from hilum.app.smart.problems import OAuthProblem
from hilum.app.smart.records import SECOND, App, Kind
from hilum.app.smart.service import error_reply, json_reply
from hilum.config import SmartRegistration
from hilum.errors import HilumError
from hilum.safeguards import Level, Scopes, narrow, parse_scopes, print_scopes

__all__ = ["Registering", "registered"]

SHORTEST_TOKEN = 16  # bytes
PEOPLE, ITSELF = "authorization_code", "client_credentials"
_KINDS = {"none": Kind.PUBLIC, "private_key_jwt": Kind.KEYS}

_Method = Literal["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]
_Grant = Literal["authorization_code", "refresh_token", "client_credentials"]


class Metadata(Struct, frozen=True):
    """RFC 7591 2; what this server does not know of is ignored. `initiate_login_uri`: where a launch leads."""

    redirect_uris: tuple[str, ...] = ()
    token_endpoint_auth_method: _Method = "client_secret_basic"  # noqa: S105 - a word of the RFC
    grant_types: tuple[_Grant, ...] = ("authorization_code",)
    response_types: tuple[Literal["code"], ...] = ("code",)
    client_name: str = ""
    scope: str = ""
    jwks: dict[str, Any] | None = None
    jwks_uri: str = ""
    initiate_login_uri: str = ""


class Registering:
    """Answers JSON. Raises HilumError `registration-token-short`, `app-scopes-invalid` for settings of no use."""

    def __init__(self, apps: Apps, auditor: Auditor, settings: SmartRegistration) -> None:
        self._apps, self._auditor = apps, auditor
        self._token = settings.token.resolve_bytes()
        if len(self._token) < SHORTEST_TOKEN:
            text = f"the token of smart.registration has fewer than {SHORTEST_TOKEN} bytes: make a longer one"
            raise HilumError(text, code="registration-token-short", location="integration.yaml")
        self._allowed = parse_scopes(settings.scopes)
        if self._allowed.unknown or not self._allowed.resources:
            text = "smart.registration.scopes are words such as launch/patient, openid, patient/*.rs"
            raise HilumError(text, code="app-scopes-invalid", location="integration.yaml")

    async def register(self, call: Call) -> Reply:
        """`POST /smart/register`."""
        try:
            self._check(call)
            app, secret, said = registered(await _body(call), self._allowed)
            await asyncio.to_thread(self._apps.add, app, by="registration")
        except OAuthProblem as problem:
            await self._auditor.stranger("register", "", problem.code, f"peer={peer(call)}")
            return error_reply(problem)
        facts: dict[str, Any] = {"client_id": app.id, "client_id_issued_at": app.created // SECOND}
        if secret:
            facts |= {"client_secret": secret, "client_secret_expires_at": 0}
        return json_reply(facts | said, 201)

    def _check(self, call: Call) -> None:
        scheme, _, text = call.header("authorization").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(text.strip().encode(), self._token):
            text = "send the token that this server's operator gives to those who may register apps"
            raise OAuthProblem("invalid_token", text, code="registration-refused", status=401, scheme="Bearer")


async def _body(call: Call) -> bytes:
    try:
        return await call.body()
    except Problem as problem:
        raise _invalid(problem.issues[0].text) from None


def registered(body: bytes, allowed: Scopes) -> tuple[App, str, dict[str, Any]]:
    """The app that is asked for, its secret ("" for none), and its metadata as registered. Raises OAuthProblem."""
    try:
        asked = msgspec.json.decode(body, type=Metadata)
    except msgspec.DecodeError as error:
        raise _invalid(f"the metadata cannot be taken: {error}") from None
    kind = _KINDS.get(asked.token_endpoint_auth_method, Kind.SECRET)
    is_for_people = PEOPLE in asked.grant_types
    if not is_for_people and ITSELF not in asked.grant_types:
        raise _invalid(f"grant_types have {PEOPLE} or {ITSELF}")
    if ITSELF in asked.grant_types and kind is not Kind.KEYS:
        raise _invalid(f"{ITSELF} takes token_endpoint_auth_method private_key_jwt")
    if is_for_people and not asked.redirect_uris:
        raise OAuthProblem("invalid_redirect_uri", "redirect_uris are missing", code="app-redirect-invalid")
    scopes = _scopes(asked, allowed)
    try:
        app, secret = new_app(
            f"app-{secrets.token_hex(10)}",
            title=asked.client_name,
            kind=kind,
            redirects=asked.redirect_uris if is_for_people else (),
            scopes=print_scopes(scopes),
            jwks=msgspec.json.encode(asked.jwks).decode() if asked.jwks is not None else "",
            jwks_uri=asked.jwks_uri,
            launch=asked.initiate_login_uri,
        )
    except HilumError as error:
        name = "invalid_redirect_uri" if error.code == "app-redirect-invalid" else "invalid_client_metadata"
        raise OAuthProblem(name, error.message, code=error.code) from None
    said = {"redirect_uris": app.redirects, "client_name": app.title, "scope": app.scopes, "jwks": asked.jwks}
    return app, secret, {name: value for name, value in (msgspec.structs.asdict(asked) | said).items() if value}


def _scopes(asked: Metadata, allowed: Scopes) -> Scopes:
    """What is asked for (or all) within what may be registered: of people, of a program by itself, or of both."""
    left = narrow(parse_scopes(asked.scope), allowed) if asked.scope else allowed
    is_for_people, by_itself = PEOPLE in asked.grant_types, ITSELF in asked.grant_types
    kept = [one for one in left.resources if (by_itself if one.level is Level.SYSTEM else is_for_people)]
    if not kept:
        raise _invalid(
            f"none of these scopes may be registered for these grant_types; there are {print_scopes(allowed)}"
        )
    return Scopes(left.plain if is_for_people else (), tuple(kept))


def _invalid(text: str) -> OAuthProblem:
    return OAuthProblem("invalid_client_metadata", text, code="registration-invalid")
