"""People who sign in elsewhere: OpenID Connect, the code flow with PKCE and nonce (OpenID Connect Core 3.1)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey
from msgspec import Struct

from hilum.app.smart.assertions import header_of
from hilum.app.smart.keys import RemoteKeys, fetch, json_object
from hilum.app.smart.problems import OAuthProblem
from hilum.config import SmartProvider
from hilum.errors import HilumError

__all__ = ["Provider"]

SKEW = 60
_KEYS: dict[str, type[RSAKey | ECKey]] = {"RS256": RSAKey, "ES256": ECKey}

Fetch = Callable[..., Awaitable[bytes]]


class _Discovered(Struct, frozen=True):
    authorize: str
    token: str
    jwks: str


class Provider:
    """One provider; its discovery document is read when it is needed first."""

    def __init__(self, settings: SmartProvider, callback: str, get: Fetch = fetch) -> None:
        self._settings, self._callback, self._get = settings, callback, get
        self._keys = RemoteKeys(get, _parse)
        self._found: _Discovered | None = None
        self.title = settings.title
        parts = urlsplit(settings.issuer)
        self.origin = f"{parts.scheme}://{parts.netloc}"

    def new_secrets(self) -> str:
        """What only this sign-in knows: a nonce and a PKCE verifier."""
        return f"{secrets.token_urlsafe(24)} {secrets.token_urlsafe(48)}"

    async def url(self, state: str, own: str) -> str:
        """Where the browser goes. Raises OAuthProblem `temporarily_unavailable`."""
        nonce, _, verifier = own.partition(" ")
        try:
            found = await self._discover()
        except HilumError:
            text = "the other place to sign in cannot be reached now; try again"
            raise OAuthProblem("temporarily_unavailable", text, code="provider-unreachable") from None
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        asked = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._callback,
            "scope": "openid",
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{found.authorize}{'&' if urlsplit(found.authorize).query else '?'}{urlencode(asked)}"

    async def subject(self, given: dict[str, str], own: str) -> str:
        """Who the provider says it is: its `sub`. Raises HilumError `provider-refused`, `fetch-failed`."""
        nonce, _, verifier = own.partition(" ")
        if "error" in given or not given.get("code"):
            raise _refused("it gave no code")
        if given.get("iss", self._settings.issuer) != self._settings.issuer:
            raise _refused("another provider answered")
        found = await self._discover()
        form = {
            "grant_type": "authorization_code",
            "code": given["code"],
            "redirect_uri": self._callback,
            "code_verifier": verifier,
            "client_id": self._settings.client_id,
        }
        if self._settings.client_secret is not None:
            form["client_secret"] = self._settings.client_secret.resolve()
        answer = json_object(await self._get(found.token, **form))
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise _refused("it gave no id_token")
        return await self._proven(token, nonce, found.jwks)

    async def _proven(self, token: str, nonce: str, jwks: str) -> str:
        try:
            header = header_of(token)
            keys = await self._keys.of(jwks, token)
        except OAuthProblem as problem:
            raise _refused(problem.code) from None
        algorithm = str(header.get("alg"))
        kind = _KEYS.get(algorithm)
        named = [one for one in keys.keys if header.get("kid") in (None, one.kid)]
        for key in named:
            if kind is not None and isinstance(key, kind):
                try:
                    claims = jwt.decode(token, key, algorithms=[algorithm]).claims
                except (JoseError, ValueError):
                    continue
                return self._judged(claims, nonce)
        raise _refused("no key of its proves the id_token")

    def _judged(self, claims: dict[str, Any], nonce: str) -> str:
        """OpenID Connect Core 3.1.3.7."""
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        party = claims.get("azp", self._settings.client_id)
        now = time.time()
        expires, issued, subject = claims.get("exp"), claims.get("iat"), claims.get("sub")
        if claims.get("iss") != self._settings.issuer:
            raise _refused("iss is another")
        if self._settings.client_id not in audiences or party != self._settings.client_id:
            raise _refused("aud or azp is another client")
        if not isinstance(expires, int | float) or not isinstance(issued, int | float):
            raise _refused("exp or iat is missing")
        if now >= expires + SKEW or issued > now + SKEW:
            raise _refused("it is too old, or not valid yet")
        if not hmac.compare_digest(str(claims.get("nonce", "")), nonce):
            raise _refused("nonce is another")
        if not isinstance(subject, str) or not 0 < len(subject) <= 255:
            raise _refused("sub is missing")
        return subject

    async def _discover(self) -> _Discovered:
        if self._found is None:
            file = self._settings.discovery
            base = self._settings.issuer.rstrip("/")
            raw = file.read_bytes() if file else await self._get(f"{base}/.well-known/openid-configuration")
            told = json_object(raw)
            names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
            urls = [told.get(name) for name in names]
            if told.get("issuer") != self._settings.issuer:
                raise _refused("its discovery document is of another issuer")
            if not all(isinstance(url, str) and url.startswith("https://") for url in urls):
                raise _refused("its discovery document lacks an https address")
            self._found = _Discovered(*map(str, urls))
        return self._found


def _parse(text: str) -> KeySet:
    """Keys that can be used; providers publish others beside them."""
    try:
        return KeySet.import_key_set(
            {"keys": [one for one in json.loads(text)["keys"] if one.get("kty") in ("RSA", "EC")]}
        )
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        raise HilumError("this is no JWK Set", code="fetch-failed") from None


def _refused(why: str) -> HilumError:
    return HilumError(f"the OpenID Connect provider did not prove who it is: {why}", code="provider-refused")
