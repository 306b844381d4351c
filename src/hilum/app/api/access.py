"""Around every request: a request id, security headers, one line of log and one measured time, none of them with PHI.

Also the last net: an exception that nobody named becomes a 500 that tells nothing, and a log line that names the place
in the code but not the message of the exception, which may quote data.
"""

from __future__ import annotations

import re
import time
import traceback
from collections.abc import Awaitable, Callable
from functools import lru_cache
from random import getrandbits

from starlette.types import Message, Receive, Scope, Send

from hilum.app.api.access_log import AccessLog
from hilum.app.api.exchange import Reply, problem_reply
from hilum.app.api.metrics import HttpMetrics
from hilum.app.api.outcomes import Problem
from hilum.app.api.query import MAX_HEAD, MAX_URL
from hilum.errors import HilumError, StoreError

__all__ = ["Access"]

_REQUEST_ID = re.compile(rb"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_QUIET = frozenset({"/livez", "/readyz"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
_HSTS = (b"strict-transport-security", b"max-age=31536000")

Answer = Callable[[Scope, Receive], Awaitable[Reply]]


class Access:
    """ASGI app around `answer`; see the module. `answer` may leave `endpoint` and `hilum.actor` in the scope."""

    def __init__(self, answer: Answer, *, metrics: HttpMetrics, log: AccessLog) -> None:
        self._answer = answer
        self._metrics = metrics
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        sender = _Sender(send, scope)
        try:
            reply = await self._reply(scope, receive, sender)
            try:
                await reply(scope, receive, sender)
            except Exception as error:  # noqa: BLE001 - after the first byte nothing can be taken back: it is cut off
                self._report(error, sender)
                if not sender.status:
                    await problem_reply(_internal())(scope, receive, sender)
        finally:
            self._tell(scope, sender, time.perf_counter() - began)

    async def _reply(self, scope: Scope, receive: Receive, sender: _Sender) -> Reply:
        reply = await self._said(scope, receive, sender)
        return reply.indented() if b"_pretty=true" in scope["query_string"] else reply

    async def _said(self, scope: Scope, receive: Receive, sender: _Sender) -> Reply:
        try:
            _check_length(scope)
            scope["path"] = _without_slash(scope["path"])
            return await self._answer(scope, receive)
        except Problem as problem:
            return problem_reply(problem)
        except StoreError as error:
            self._report(error, sender)
            return problem_reply(_store_unavailable(error))
        except Exception as error:  # noqa: BLE001 - the last net: the place is logged, the message may quote data
            self._report(error, sender)
            return problem_reply(_internal())

    def _report(self, error: BaseException, sender: _Sender) -> None:
        code = error.code if isinstance(error, HilumError) else ""
        places = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
        self._log.failed(sender.request_id, type(error).__name__, code, places[-6:])

    def _tell(self, scope: Scope, sender: _Sender, seconds: float) -> None:
        endpoint = scope.get("endpoint")
        route = endpoint.template if endpoint is not None else "none"
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        self._metrics.observe(route, method, sender.status, seconds)
        if route in _QUIET and sender.status == 200:
            return
        actor = scope.get("hilum.actor", "")
        self._log.answered(method, route, sender.status, sender.size, seconds, actor, sender.request_id)


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
            headers = message["headers"]
            headers = [
                *headers,
                *_safety(tuple([name for name, _ in headers])),
                (b"x-request-id", self.request_id.encode()),
            ]
            if self._secure:
                headers.append(_HSTS)
            message["headers"] = headers
        elif message["type"] == "http.response.body":
            self.size += len(message.get("body", b""))
        await self._send(message)


@lru_cache(maxsize=512)
def _safety(own: tuple[bytes, ...]) -> tuple[tuple[bytes, bytes], ...]:
    """What is added to headers of these names: a page for people says itself what it may load."""
    return tuple(one for one in _HEADERS if one[0] not in own)


def _request_id(scope: Scope) -> str:
    """The caller's id if it is a UUID, which cannot hold PHI; else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return str(value, "ascii")
    return f"{getrandbits(128):032x}"  # tells answers apart, and opens nothing


def _check_length(scope: Scope) -> None:
    if len(scope["query_string"]) + len(scope["path"]) > MAX_URL:
        text = f"a URL is at most {MAX_URL} bytes long; post the search to _search instead"
        raise Problem("url-too-long", 414, "too-long", text)
    if sum([len(name) + len(value) + 4 for name, value in scope["headers"]]) > MAX_HEAD:  # whole in one read
        text = f"URL and headers together are at most {MAX_HEAD} bytes; send less"
        raise Problem("head-too-large", 431, "too-long", text, headers={"Connection": "close"})


def _without_slash(path: str) -> str:
    """`/fhir/` is `/fhir`, which is how some clients post bundles; no address of FHIR ends in a slash."""
    return path[:-1] if path.startswith("/fhir/") and path.endswith("/") and not path.endswith("//") else path


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
