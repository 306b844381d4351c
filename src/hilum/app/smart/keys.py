"""What is fetched from others: keys of an app or of a provider. Bounded in time, in size and in how often."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import httpx2
import msgspec
from joserfc.jwk import KeySet

from hilum.app.smart.assertions import check_keys, header_of
from hilum.app.smart.problems import OAuthProblem
from hilum.config import may_be_called
from hilum.errors import HilumError
from hilum.protocols import PUBLIC_ONLY

__all__ = ["RemoteKeys", "fetch", "guarded"]

KEPT_SECONDS = 300
LEAST_SECONDS = 30  # between two fetches of one address
MAX_BYTES = 256 * 1024
SECONDS = 5.0

Fetch = Callable[[str], Any]


async def fetch(url: str, *, extensions: Mapping[str, Any] = MappingProxyType({}), **form: str) -> bytes:
    """A document, or what is answered to a form. Redirects are not followed. Raises HilumError `fetch-failed`."""
    try:
        async with httpx2.AsyncClient(timeout=SECONDS, follow_redirects=False, trust_env=False) as client:
            request = client.build_request(
                "POST" if form else "GET", url, data=form or None, extensions=dict(extensions)
            )
            async with asyncio.timeout(2 * SECONDS):
                return await _read(client, request)
    except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
        raise _failed(type(error).__name__) from None


def guarded(allowed: Sequence[str]) -> Fetch:
    """`fetch` of addresses that strangers gave: of those that the folder allows, or of public ones."""

    async def get(url: str) -> bytes:
        if not may_be_called(url, allowed):
            raise _failed("the folder does not allow its address")
        return await fetch(url, extensions={} if allowed else PUBLIC_ONLY)

    return get


async def _read(client: httpx2.AsyncClient, request: httpx2.Request) -> bytes:
    answer = await client.send(request, stream=True)
    try:
        if answer.status_code != 200:
            raise _failed(f"status {answer.status_code}")
        parts, size = [], 0
        async for part in answer.aiter_bytes():
            size += len(part)
            if size > MAX_BYTES:
                raise _failed("it is too large")
            parts.append(part)
        return b"".join(parts)
    finally:
        await answer.aclose()


class RemoteKeys:
    """JWK Sets by address; one is fetched again when it is old, or when a key is asked for that it does not have."""

    def __init__(self, get: Callable[[str], Any] = fetch, parse: Callable[[str], KeySet] = check_keys) -> None:
        self._get, self._parse = get, parse
        self._kept: dict[str, tuple[float, KeySet]] = {}
        self._tried: dict[str, float] = {}

    async def of(self, url: str, token: str) -> KeySet:
        """The keys of an address, for a JWT that names one of them. Raises OAuthProblem `invalid_client`."""
        kid, now = header_of(token).get("kid"), time.monotonic()
        at, keys = self._kept.get(url, (0.0, None))
        is_known = keys is not None and any(one.kid == kid for one in keys.keys)
        is_old = keys is None or now - at > KEPT_SECONDS
        if (is_old or not is_known) and now - self._tried.get(url, -1e9) > LEAST_SECONDS:
            self._tried[url] = now
            keys = await self._fetched(url)
        if keys is None:
            raise _unreachable()
        return keys

    async def _fetched(self, url: str) -> KeySet:
        try:
            keys = self._parse((await self._get(url)).decode())
        except (HilumError, UnicodeDecodeError):
            raise _unreachable() from None
        self._kept[url] = (time.monotonic(), keys)
        return keys


def json_object(raw: bytes) -> dict[str, Any]:
    """A JSON object. Raises HilumError `fetch-failed`."""
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except msgspec.DecodeError:
        raise _failed("it is no JSON object") from None


def _failed(why: str) -> HilumError:
    return HilumError(f"what was asked for did not come: {why}", code="fetch-failed")


def _unreachable() -> OAuthProblem:
    text = "no key of this app that can be used was fetched from its jwks_uri; look at what is there, and try again"
    return OAuthProblem("invalid_client", text, code="keys-unreachable", status=401)
