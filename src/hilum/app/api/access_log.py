"""One line of JSON for each request: templates, names, numbers; no id, no value, no PHI."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TextIO

import msgspec
from msgspec import Struct

__all__ = ["AccessLog", "access_logger"]

_encode = msgspec.json.Encoder().encode


class _Answered(Struct):
    method: str
    route: str
    status: int
    bytes: int
    ms: float
    actor: str
    request_id: str
    timestamp: datetime
    event: str = "http"
    level: str = "info"


class _Failed(Struct):
    request_id: str
    error: str
    code: str
    at: Sequence[str]
    timestamp: datetime
    event: str = "http-failed"
    level: str = "error"


class AccessLog:
    """Writes to a text stream that is flushed after every line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def answered(
        self, method: str, route: str, status: int, size: int, seconds: float, actor: str, request_id: str
    ) -> None:
        """An answer of `size` bytes. `route` is the template of the address, `actor` the name of the token."""
        ms = round(seconds * 1000, 2)
        self._write(_Answered(method, route, status, size, ms, actor, request_id, datetime.now(UTC)))

    def failed(self, request_id: str, error: str, code: str, at: Sequence[str]) -> None:
        """A fault of hilum: the type of the exception, and the places in the code."""
        self._write(_Failed(request_id, error, code, at, datetime.now(UTC)))

    def _write(self, line: Struct) -> None:
        self._stream.write(_encode(line).decode() + "\n")
        self._stream.flush()


def access_logger(stream: TextIO | None = None) -> AccessLog:
    """A log to `stream` (standard error as it is now)."""
    return AccessLog(stream or sys.stderr)
