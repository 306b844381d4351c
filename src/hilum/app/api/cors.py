"""Cross-origin requests (Fetch standard, "CORS protocol"): pages of registered apps only, without cookies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Cors"]

_ALLOWED = (
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
    (
        b"access-control-allow-headers",
        b"authorization, content-type, accept, prefer, if-match, if-none-match, if-modified-since, if-none-exist, "
        b"x-request-id, x-security-context",
    ),
    (b"access-control-max-age", b"600"),
)
_EXPOSED = (
    b"access-control-expose-headers",
    b"etag, last-modified, location, content-location, www-authenticate, retry-after, x-progress, x-request-id",
)
# public documents, and addresses that no script has any business with
_ANYBODY = ("/fhir/metadata", "/openapi.json", "/smart/jwks.json")
_OPEN = ("/fhir", "/smart/token", "/smart/revoke", "/smart/introspect")


class Cors:
    """ASGI middleware. `is_known` says whether an origin is a registered app's."""

    def __init__(self, app: ASGIApp, *, is_known: Callable[[str], bool]) -> None:
        self._app, self._is_known = app, is_known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = _header(scope, b"origin") if scope["type"] == "http" else b""
        if not origin:
            await self._app(scope, receive, send)
            return
        allowed = await self._allowed(scope["path"], origin)
        if scope["method"] == "OPTIONS" and _header(scope, b"access-control-request-method"):
            headers = [*allowed, *_ALLOWED] if allowed else []
            headers += [(b"vary", b"origin"), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 204 if allowed else 403, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return

        async def sender(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *allowed, (b"vary", b"origin"), _EXPOSED]}
            await send(message)

        await self._app(scope, receive, sender)

    async def _allowed(self, path: str, origin: bytes) -> list[tuple[bytes, bytes]]:
        if path in _ANYBODY or "/.well-known/" in path:
            return [(b"access-control-allow-origin", b"*")]
        if not any(path == one or path.startswith(f"{one}/") for one in _OPEN):
            return []
        text = origin.decode("latin-1")
        is_known = len(text) <= 300 and await asyncio.to_thread(self._is_known, text)
        return [(b"access-control-allow-origin", origin)] if is_known else []


def _header(scope: Scope, name: bytes) -> bytes:
    return next((value for key, value in scope["headers"] if key == name), b"")
