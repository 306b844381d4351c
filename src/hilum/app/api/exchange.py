"""One request and its answer, as thin as ASGI allows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.types import Receive, Scope, Send

from hilum.app.api.negotiation import FHIR_JSON
from hilum.app.api.outcomes import Problem
from hilum.formats.fhir import operation_outcome

__all__ = ["Call", "Endpoint", "Handler", "Reply", "problem_reply"]

MAX_BODY = 65_536  # bytes of a _search form; it is the only body that is read
BODY_SECONDS = 10.0


class Call:
    """A request, and what its handler tells the audit: `target` and `detail` hold ids and counts, never values."""

    __slots__ = ("_headers", "detail", "outcome", "params", "receive", "scope", "target")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.params: Mapping[str, Any] = scope.get("path_params", {})
        self.target = ""
        self.detail = ""
        self.outcome = "ok"
        self._headers: dict[bytes, bytes] | None = None

    @property
    def query(self) -> bytes:
        """The query string as sent."""
        raw = self.scope["query_string"]
        assert isinstance(raw, bytes)
        return raw

    def header(self, name: str) -> str:
        """One header, "" when absent. One that stands several times is joined by commas (RFC 9110 5.3)."""
        if self._headers is None:
            self._headers = {}
            for key, value in self.scope["headers"]:
                before = self._headers.get(key)
                self._headers[key] = value if before is None else before + b", " + value
        return self._headers.get(name.encode(), b"").decode("latin-1")

    async def body(self) -> bytes:
        """The whole body. Raises Problem 413 `body-too-large`, 408 `body-too-slow`, 400 `body-cut-off`."""
        length = self.header("content-length")
        if length.isdigit() and int(length) > MAX_BODY:
            raise _too_large()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                return await self._read_body()
        except TimeoutError:
            raise Problem(
                "body-too-slow", 408, "timeout", f"the body did not arrive within {BODY_SECONDS:.0f} s; send it again"
            ) from None

    async def _read_body(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            event = await self.receive()
            if event["type"] == "http.disconnect":
                raise Problem("body-cut-off", 400, "incomplete", "the connection ended within the body; send it again")
            parts.append(event.get("body", b""))
            size += len(parts[-1])
            if size > MAX_BODY:
                raise _too_large()
            if not event.get("more_body", False):
                return b"".join(parts)


class Reply:
    """A whole answer. A HEAD gets the headers of its GET and no body."""

    __slots__ = ("body", "headers", "status")

    def __init__(
        self,
        status: int,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        content_type: str = FHIR_JSON,
    ) -> None:
        self.status = status
        self.body = body
        self.headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
        if status != 304:
            self.headers.append((b"content-type", content_type.encode()))
            self.headers.append((b"content-length", b"%d" % len(body)))

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        body = b"" if scope["method"] == "HEAD" else self.body
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": body})


Handler = Callable[[Call], Awaitable[Reply]]


class Endpoint:
    """What a route leads to. `template` stands for the path in logs and metrics, where ids have no place."""

    def __init__(self, template: str, handler: Handler) -> None:
        self.template = template
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reply = await self._handler(Call(scope, receive))
        await reply(scope, receive, send)


def problem_reply(problem: Problem) -> Reply:
    """The answer that a Problem stands for."""
    return Reply(problem.status, operation_outcome(problem.issues), problem.headers)


def _too_large() -> Problem:
    # the rest of the body is not read, so the connection cannot be used again
    return Problem(
        "body-too-large",
        413,
        "too-long",
        f"a body is at most {MAX_BODY} bytes long; split the search",
        headers={"Connection": "close"},
    )
