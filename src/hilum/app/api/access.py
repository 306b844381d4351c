"""Around every request: a request id, security headers, one line of log and one measured time, none of them with PHI.

Also the last net: an exception that nobody named becomes a 500 that tells nothing, and a log line that names the place
in the code but not the message of the exception, which may quote data.
"""

from __future__ import annotations

import os
import re
import sys
import time
import traceback
from typing import TextIO

import msgspec
import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from hilum.app.api.exchange import problem_reply
from hilum.app.api.metrics import HttpMetrics
from hilum.app.api.outcomes import Problem
from hilum.app.api.query import MAX_URL
from hilum.errors import HilumError, StoreError

__all__ = ["Access", "access_logger"]

_REQUEST_ID = re.compile(rb"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_QUIET = frozenset({"/livez", "/readyz"})

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
_NO_STORE = (b"cache-control", b"no-store")
_HSTS = (b"strict-transport-security", b"max-age=31536000")


def access_logger(stream: TextIO | None = None) -> FilteringBoundLogger:
    """A logger of JSON lines, one per request, to `stream` (standard error)."""
    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(stream or sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(20),
    )
    return logger.bind()


class Access:
    """ASGI middleware; see the module."""

    def __init__(self, app: ASGIApp, *, metrics: HttpMetrics, log: FilteringBoundLogger) -> None:
        self._app = app
        self._metrics = metrics
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        sender = _Sender(send, scope)
        try:
            await self._answer(scope, receive, sender)
        finally:
            self._tell(scope, sender, time.perf_counter() - began)

    async def _answer(self, scope: Scope, receive: Receive, sender: _Sender) -> None:
        try:
            _check_length(scope)
            await self._app(scope, receive, sender)
        except Problem as problem:
            reply = problem_reply(problem)
        except StoreError as error:
            self._report(error, sender)
            reply = problem_reply(_store_unavailable(error))
        except Exception as error:  # noqa: BLE001 - the last net: the place is logged, the message may quote data
            self._report(error, sender)
            reply = problem_reply(_internal())
        else:
            return
        if not sender.status:  # after the first byte nothing can be taken back; uvicorn ends the connection
            await reply(scope, receive, sender)

    def _report(self, error: BaseException, sender: _Sender) -> None:
        code = error.code if isinstance(error, HilumError) else ""
        places = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
        self._log.error(
            "http-failed", request_id=sender.request_id, error=type(error).__name__, code=code, at=places[-6:]
        )

    def _tell(self, scope: Scope, sender: _Sender, seconds: float) -> None:
        route = getattr(scope.get("endpoint"), "template", "none")
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        self._metrics.observe(route, method, sender.status, seconds)
        if route in _QUIET and sender.status == 200:
            return
        self._log.info(
            "http",
            method=method,
            route=route,
            status=sender.status,
            bytes=sender.size,
            ms=round(seconds * 1000, 2),
            actor=scope.get("hilum.actor", ""),
            request_id=sender.request_id,
        )


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class _Sender:
    """`send` that adds the headers and remembers what was sent."""

    __slots__ = ("_secure", "_send", "request_id", "size", "status")

    def __init__(self, send: Send, scope: Scope) -> None:
        self._send = send
        self._secure = scope["scheme"] == "https"
        self.request_id = _request_id(scope)
        self.status = 0
        self.size = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = {name for name, _ in message["headers"]}  # a page for people says itself what it may load
            safe = [one for one in _HEADERS if one[0] not in own]
            headers = [*message["headers"], *safe, (b"x-request-id", self.request_id.encode())]
            if not any(name == b"cache-control" for name, _ in headers):
                headers.append(_NO_STORE)
            if self._secure:
                headers.append(_HSTS)
            message = {**message, "headers": headers}
        elif message["type"] == "http.response.body":
            self.size += len(message.get("body", b""))
        await self._send(message)


def _request_id(scope: Scope) -> str:
    """The caller's id if it is a UUID, which cannot hold PHI; else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return str(value, "ascii")
    return os.urandom(16).hex()


def _json(value: object, **_: object) -> str:
    return msgspec.json.encode(value).decode()


def _check_length(scope: Scope) -> None:
    if len(scope["query_string"]) + len(scope["path"]) > MAX_URL:
        text = f"a URL is at most {MAX_URL} bytes long; post the search to _search instead"
        raise Problem("url-too-long", 414, "too-long", text)


def _store_unavailable(error: StoreError) -> Problem:
    return Problem(
        "store-unavailable",
        503,
        "transient",
        f"the store cannot answer now ({error.code}); try again, and see /readyz",
        headers={"Retry-After": "5"},
    )


def _internal() -> Problem:
    return Problem(
        "internal-error",
        500,
        "exception",
        "hilum failed and has logged the place; report the x-request-id of this answer to its operator",
    )
