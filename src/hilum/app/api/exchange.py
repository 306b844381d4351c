"""One request and its answer, as thin as ASGI allows."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from hilum.app.api.negotiation import FHIR_JSON, takes_gzip
from hilum.app.api.outcomes import Problem
from hilum.app.api.sight import EVERYTHING, Sight
from hilum.formats.fhir import operation_outcome
from hilum.safeguards import Interaction

__all__ = ["MAX_RESOURCE", "Call", "Endpoint", "Handler", "Reply", "problem_reply"]

MAX_BODY = 65_536  # bytes of a _search form
MAX_RESOURCE = 16 * 1024 * 1024  # bytes of a resource or bundle
BODY_SECONDS = 10.0
COMPRESSED = 4_096  # bytes of an answer from which on it is compressed for who takes gzip
BESIDE = 256 * 1024  # bytes that are compressed beside the event loop
LINGER = 4  # times the limit that is read of a body that is too large
SLOWEST = 1024 * 1024  # bytes a second that a large body must come at


class Call:
    """A request, and what its handler tells the audit: `target` and `detail` hold ids and counts, never values."""

    __slots__ = (
        "_headers",
        "action",
        "actor",
        "detail",
        "is_audited",
        "outcome",
        "params",
        "permissions",
        "receive",
        "role",
        "scope",
        "sight",
        "sight_for",
        "target",
    )

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.params: Mapping[str, Any] = scope.get("path_params", {})
        self.target = ""
        self.detail = ""
        self.outcome = "ok"
        self.action = self.actor = self.role = ""
        self.permissions: frozenset[str] = frozenset()
        self.sight = EVERYTHING
        self.sight_for: Callable[[Interaction], Sight] = lambda _: EVERYTHING
        self.is_audited = False  # its audit row was committed with what it did
        self._headers: dict[bytes, bytes] | None = None

    def may(self, permission: str) -> bool:
        """Whether the caller's token holds this permission."""
        return permission in self.permissions

    @property
    def query(self) -> bytes:
        """The query string as sent."""
        raw = self.scope["query_string"]
        assert isinstance(raw, bytes)
        return raw

    def header(self, name: str) -> str:
        """One header, "" when absent. One that stands several times is joined by commas (RFC 9110 5.3)."""
        if self._headers is None:
            self._headers = _joined(self.scope["headers"])
        value = self._headers.get(name.encode())
        return "" if value is None else value.decode("latin-1")

    async def body(self, limit: int = MAX_BODY) -> bytes:
        """The whole body of at most `limit` bytes.

        Raises Problem 413 `body-too-large`, 415 `media-unsupported`, 408 `body-too-slow`, 400 `body-cut-off`.
        """
        if self.header("content-encoding").strip().lower() not in ("", "identity"):
            text = "a body is taken as it is, without Content-Encoding: send it uncompressed"
            raise Problem("media-unsupported", 415, "not-supported", text, headers={"Accept-Encoding": "identity"})
        length = self.header("content-length")
        if length.isdigit() and int(length) > (limit if self.header("expect") else limit * LINGER):
            raise _too_large(limit)
        try:
            async with asyncio.timeout(BODY_SECONDS + limit / SLOWEST):
                return await self._read_body(limit)
        except TimeoutError:
            text = "the body did not arrive in time; send it again"
            # the rest of it is not waited for
            raise Problem("body-too-slow", 408, "timeout", text, headers={"Connection": "close"}) from None

    async def _read_body(self, limit: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            event = await self.receive()
            if event["type"] == "http.disconnect":
                raise Problem("body-cut-off", 400, "incomplete", "the connection ended within the body; send it again")
            part = event.get("body", b"")
            size += len(part)
            is_last = not event.get("more_body", False)
            if size > limit:
                parts.clear()  # read on: who is still sending would get a reset connection, and never this answer
                if is_last or size > limit * LINGER:
                    raise _too_large(limit)
                continue
            parts.append(part)
            if is_last:
                return b"".join(parts)


def _joined(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """By name; what stands several times as one."""
    joined = dict(headers)
    if len(joined) < len(headers):
        joined = {}
        for name, value in headers:
            joined[name] = joined[name] + b", " + value if name in joined else value
    return joined


class Reply:
    """A whole answer. A HEAD gets the headers of its GET and no body."""

    __slots__ = ("body", "headers", "status")

    def __init__(
        self,
        status: int,
        body: bytes,
        headers: Mapping[str, str] = {},
        *,
        content_type: str = FHIR_JSON,
    ) -> None:
        self.status = status
        self.body = body
        self.headers = [(_name(name), value.encode("latin-1")) for name, value in headers.items()]
        if status not in (204, 304):
            if body:
                self.headers.append((b"content-type", content_type.encode()))
            self.headers.append((b"content-length", b"%d" % len(body)))

    def indented(self) -> Reply:
        """The same for people to read (R4 http.html#pretty); numbers keep their text. Itself when it is no JSON."""
        if (b"content-type", FHIR_JSON.encode()) not in self.headers:
            return self
        body = msgspec.json.format(self.body, indent=2)
        lines = Reply(self.status, body)
        lines.headers = [one for one in self.headers if one[0] != b"content-length"]
        lines.headers.append((b"content-length", b"%d" % len(body)))
        return lines

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        body, headers = b"" if scope["method"] == "HEAD" else self.body, self.headers
        if len(body) >= COMPRESSED and _takes_gzip(scope):
            body = await asyncio.to_thread(_gzip, body) if len(body) >= BESIDE else _gzip(body)
            headers = [one for one in headers if one[0] != b"content-length"]
            headers += [(b"content-encoding", b"gzip"), (b"content-length", b"%d" % len(body))]
            headers.append((b"vary", b"accept-encoding"))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@lru_cache(maxsize=256)
def _name(written: str) -> bytes:
    return written.lower().encode()


def _gzip(body: bytes) -> bytes:
    return gzip.compress(body, compresslevel=1, mtime=0)


def _takes_gzip(scope: Scope) -> bool:
    named = [value for name, value in scope["headers"] if name == b"accept-encoding"]
    return takes_gzip(b",".join(named).decode("latin-1"))


Handler = Callable[[Call], Awaitable[Reply]]


class Endpoint:
    """What a route leads to, by method. `template` stands for the path in logs and metrics: ids have no place there."""

    def __init__(self, template: str, handlers: Mapping[str, Handler]) -> None:
        self.template = template
        self._handlers = {**handlers, **({"HEAD": handlers["GET"]} if "GET" in handlers else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reply = await self.answer(Call(scope, receive))
        await reply(scope, receive, send)

    async def answer(self, call: Call) -> Reply:
        """The answer of the handler of this method. Raises Problem."""
        return await self._handlers[call.scope["method"]](call)


def problem_reply(problem: Problem) -> Reply:
    """The answer that a Problem stands for."""
    return Reply(problem.status, operation_outcome(problem.issues), problem.headers)


def _too_large(limit: int) -> Problem:
    # what is left of the body is not read, so the connection cannot be used again
    return Problem(
        "body-too-large",
        413,
        "too-long",
        f"a body is at most {limit} bytes long here; split it",
        headers={"Connection": "close"},
    )
