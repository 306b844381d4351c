"""Which app talks to the token endpoint, and how it proves that (RFC 6749 2.3; SMART "Client Authentication")."""

from __future__ import annotations

import base64
import binascii
import hmac
import time
from urllib.parse import unquote_plus

from joserfc.jwk import KeySet

from hilum.app.smart.apps import Apps
from hilum.app.smart.assertions import ASSERTION_TYPE, check_keys, issuer_of, judge
from hilum.app.smart.keys import RemoteKeys
from hilum.app.smart.ledger import Ledger
from hilum.app.smart.problems import OAuthProblem
from hilum.app.smart.records import App, Kind, digest

__all__ = ["Clients"]

_NO_SECRET = bytes(32)


class Clients:
    """Proves apps. `audiences` are what assertions may name this server.

    `keys` fetches for apps of operators, `guarded` for those that registered themselves.
    """

    def __init__(
        self, apps: Apps, ledger: Ledger, keys: RemoteKeys, guarded: RemoteKeys, audiences: frozenset[str]
    ) -> None:
        self._apps, self._ledger, self._audiences = apps, ledger, audiences
        self._keys, self._guarded = keys, guarded

    async def prove(self, authorization: str, form: dict[str, str]) -> App:
        """The app behind a request, by the one way that it is registered with. Raises OAuthProblem `invalid_client`."""
        ways = [bool(authorization), "client_secret" in form, "client_assertion" in form]
        if sum(ways) > 1:
            raise _refused("prove who you are in one way, not in several", "client-proof-twice")
        if "client_assertion" in form:
            return await self._by_assertion(form)
        id_ = form.get("client_id", "")
        secret = form.get("client_secret")
        if authorization:
            id_, secret = _basic(authorization)
        elif not id_ and secret is None:
            id_ = self._bearer(form)
        if authorization and form.get("client_id", id_) != id_:
            raise _refused("client_id is not the one of the Authorization header", "client-proof-twice")
        app = self._apps.find(id_)
        if secret is None:
            if app is not None and app.kind is Kind.PUBLIC:
                return app
            raise _refused("this app is not registered, or it must prove who it is", "client-unproven")
        known = app.secret if app is not None and app.kind is Kind.SECRET else b""
        if not hmac.compare_digest(digest(secret), known or _NO_SECRET) or app is None or not known:
            raise _refused("client_id and client_secret do not fit", "client-unproven")
        return app

    def _bearer(self, form: dict[str, str]) -> str:
        """The app of a refresh token, for public apps that do not name themselves (SMART "Refresh", RFC 6749 6).

        Raises OAuthProblem `invalid_grant` when there is no such token.
        """
        if form.get("grant_type") != "refresh_token":
            return ""
        facts = self._ledger.look(form.get("refresh_token", ""))
        if facts is None or facts.kind != "refresh":
            text = "there is no such refresh token; the person signs in again"
            raise OAuthProblem("invalid_grant", text, code="token-unknown")
        return facts.grant.app

    async def _by_assertion(self, form: dict[str, str]) -> App:
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise _refused(f"client_assertion_type is {ASSERTION_TYPE}", "assertion-malformed")
        text = form["client_assertion"]
        id_ = issuer_of(text)
        app = self._apps.find(id_)
        if app is None or app.kind is not Kind.KEYS or form.get("client_id", id_) != id_:
            raise _refused("the issuer of the assertion is no app that is registered with keys", "client-unproven")
        known = await self._keys_of(app, text)
        assertion = judge(text, client=id_, audiences=self._audiences, keys=lambda _: known, now=time.time())
        await self._ledger.take_assertion(assertion)
        return app

    async def _keys_of(self, app: App, text: str) -> KeySet:
        if app.jwks:
            return check_keys(app.jwks)
        keys = self._keys if self._apps.registration(app.id) is None else self._guarded
        return await keys.of(app.jwks_uri, text)


def _basic(header: str) -> tuple[str, str]:
    """RFC 6749 2.3.1: both halves are form-encoded."""
    scheme, _, text = header.partition(" ")
    try:
        id_, colon, secret = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        id_, colon, secret = "", "", ""
    if scheme.lower() != "basic" or not colon:
        raise _refused("send Authorization: Basic with client_id and client_secret", "client-unproven")
    return unquote_plus(id_), unquote_plus(secret)


def _refused(text: str, code: str) -> OAuthProblem:
    return OAuthProblem("invalid_client", text, code=code, status=401)
