"""HTTP/1.1 on a socket: uvicorn's, with three rules of ours.

A head that does not come whole within 10 s ends the connection (else silent callers would use up all files), beyond
1,000 connections new ones are told to come back, and bytes that are not HTTP get an OperationOutcome like any error.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from hilum.app.api.negotiation import FHIR_JSON
from hilum.app.api.outcomes import issue
from hilum.formats.fhir import operation_outcome

__all__ = ["Protocol"]

HEAD_SECONDS = 10.0
MAX_CONNECTIONS = 1_000

_NOT_HTTP = operation_outcome(
    [issue("http-malformed", "invalid", "this is not a valid HTTP/1.1 request, or its head is over 32 KiB")]
)
_BUSY = operation_outcome(
    [issue("too-many-connections", "throttled", "all connections are taken; close idle ones and try again")]
)


class Protocol(H11Protocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            self._refuse(503, _BUSY)
            return
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:  # a head has begun and is not whole
            if self._head_timer is None:
                self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)
        else:
            self._stop_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def send_400_response(self, _: str) -> None:
        """What uvicorn calls for bytes that are not HTTP."""
        self._refuse(400, _NOT_HTTP)

    def _refuse(self, status: int, body: bytes) -> None:
        headers = [
            (b"content-type", FHIR_JSON.encode()),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            (b"connection", b"close"),
        ]
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            response = h11.Response(status_code=status, headers=headers, reason=b"")
            for event in (response, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
