"""Apps that register themselves (RFC 7591), where the folder allows it: with its token, within its scopes."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from hilum.app.api.exchange import Call
from hilum.app.api.outcomes import Problem
from hilum.app.smart.apps import new_app
from hilum.app.smart.problems import OAuthProblem
from hilum.app.smart.records import App, Kind
from hilum.config import SmartRegistration, may_be_called
from hilum.errors import HilumError
from hilum.safeguards import Level, Scopes, narrow, parse_scopes, print_scopes

__all__ = ["Made", "allowed_of", "body_of", "registered"]

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


class Made(Struct, frozen=True):
    """An app as it is asked for, its secret ("" for none), and its metadata as registered."""

    app: App
    secret: str
    said: dict[str, Any]


def allowed_of(settings: SmartRegistration) -> Scopes:
    """All that such apps may ask for. Raises HilumError `app-scopes-invalid` for what is of no use."""
    allowed = parse_scopes(settings.scopes)
    if allowed.unknown or not allowed.resources:
        text = "smart.registration.scopes are words such as launch/patient, openid, patient/*.rs"
        raise HilumError(text, code="app-scopes-invalid", location="integration.yaml")
    return allowed


async def body_of(call: Call) -> bytes:
    """The metadata as sent. Raises OAuthProblem."""
    try:
        return await call.body()
    except Problem as problem:
        raise _invalid(problem.issues[0].text) from None


def registered(body: bytes, allowed: Scopes, addresses: Sequence[str] = (), id_: str = "") -> Made:
    """The app that is asked for, new or of this id; `addresses`: where its keys may be. Raises OAuthProblem."""
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
    if asked.jwks_uri and not may_be_called(asked.jwks_uri, addresses):
        raise _invalid("jwks_uri is no address that this server fetches keys from: use another, or send them as jwks")
    scopes = _scopes(asked, allowed)
    try:
        app, secret = new_app(
            id_ or f"app-{secrets.token_hex(10)}",
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
    shown = {name: value for name, value in (msgspec.structs.asdict(asked) | said).items() if value}
    return Made(app, secret, shown)


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
