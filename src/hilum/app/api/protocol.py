"""HTTP/1.1 on a socket: uvicorn's, with three rules of ours.

A head that does not come whole within 10 s or is over 32 KiB ends the connection (else silent callers would use up all
files), beyond 1,000 connections new ones are told to come back, and bytes that are not HTTP get an OperationOutcome
like any error.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from hilum.app.api.joined import Joined
from hilum.app.api.negotiation import FHIR_JSON
from hilum.app.api.outcomes import issue
from hilum.app.api.query import MAX_HEAD
from hilum.formats.fhir import operation_outcome

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol as Base
else:
    try:  # a third of the CPU per request, where there is a wheel for the platform
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as Base
    except ImportError:
        from uvicorn.protocols.http.h11_impl import H11Protocol as Base

__all__ = ["Protocol"]

HEAD_SECONDS = 10.0
MAX_CONNECTIONS = 1_000

_NOT_HTTP = issue(
    code="http-malformed",
    kind="invalid",
    text="this is not HTTP/1.1; speak HTTP, and TLS where it is set up",
)
_TOO_LARGE = issue(
    code="head-too-large", kind="too-long", text=f"URL and headers together are at most {MAX_HEAD} bytes; send less"
)
_BUSY = issue(
    code="too-many-connections", kind="throttled", text="all connections are taken; close idle ones and try again"
)


class Protocol(Base):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Joined(transport, self.loop))
        if len(self.connections) > MAX_CONNECTIONS:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, operation_outcome([_BUSY]))
            return
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._head_bytes += len(data)
        super().data_received(data)
        if not self._awaits_head:
            self._stop_timer()
        elif self._head_bytes > MAX_HEAD:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, operation_outcome([_TOO_LARGE]))
        elif self._head_timer is None:
            self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def send_400_response(self, _: str) -> None:
        """What uvicorn calls for bytes that are not HTTP."""
        self._refuse(HTTPStatus.BAD_REQUEST, operation_outcome([_NOT_HTTP]))

    @property
    def _awaits_head(self) -> bool:
        """Whether no request is being answered: what has come is at most a part of a head."""
        return self.cycle is None or self.cycle.response_complete

    def _refuse(self, status: HTTPStatus, body: bytes) -> None:
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: {FHIR_JSON}\r\ncontent-length: {len(body)}\r\n"
            "cache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _start_timer(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_timer(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
