"""One MLLP peer: bytes to arrivals, answers back in the order of the messages."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

from hilum.errors import FormatError
from hilum.intake.pressure import Pressure
from hilum.intake.sections import MllpLimits
from hilum.model import Ack, Arrival, Finding
from hilum.protocols import Fault, Frame, MllpDecoder, frame

__all__ = ["Hub", "MllpConnection"]

_FAULTS = {
    "mllp-cut-off": "The message was not ended before the next one began; only its beginning came in",
    "mllp-too-large": "The message is larger than this source takes; only its beginning was kept",
}


class Hub(Protocol):
    """What a connection needs of its listener."""

    name: str
    limits: MllpLimits
    pressure: Pressure

    def arrive(self, arrival: Arrival) -> None:
        """Hand one arrival to whoever reads."""
        ...

    def note(self, code: str, connection: MllpConnection) -> None:
        """Count, and log the first of its kind on this connection."""
        ...

    def came(self, connection: MllpConnection) -> None:
        """The connection is ready, TLS included."""
        ...

    def gone(self, connection: MllpConnection) -> None:
        """The connection is lost."""
        ...


class _Reply:
    """The answer to one arrival: called once, or for CA and then AA."""

    __slots__ = ("answered", "connection", "out", "size")

    def __init__(self, connection: MllpConnection, size: int) -> None:
        self.connection = connection
        self.size = size
        self.answered = False
        self.out: bytes | None = None  # framed, waiting for the answers before it

    def __call__(self, ack: Ack) -> None:
        connection = self.connection
        try:
            data = frame(ack.body) if ack.body else b""
        except FormatError:
            connection.retire("mllp-answer-unframeable")
            data = b""
        if not self.answered:
            self.answered = True
            self.out = data
            connection.answered(self)
        elif self.out is not None:
            self.out += data
        else:
            connection.write(data)


class MllpConnection(asyncio.Protocol):
    """Pauses its peer while too much is unanswered or unread; `sweep` enforces what only time can tell."""

    def __init__(self, hub: Hub, peer: str, *, secure: bool) -> None:
        self.peer = peer
        self.noted: set[str] = set()
        self._hub, self._limits, self._secure = hub, hub.limits, secure
        self._decoder = MllpDecoder(hub.limits.message_bytes)
        self._clock: Callable[[], float] = asyncio.get_running_loop().time
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[_Reply] = deque()  # in the order of arrival, until written
        self._unanswered = 0  # bytes
        self._pending = 0  # bytes of an incomplete message, as told to the hub
        self._reading = True
        self._heard = self._clock()
        self._begun = 0.0  # since when a message is incomplete
        self._stuck = 0.0  # since when the peer does not read its answers
        self._deadline = 0.0  # set once this connection ends
        self._came = 0  # messages, whole or not

    # -- what the event loop calls ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready to read."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=self._limits.write_bytes)
        self._hub.came(self)

    def data_received(self, data: bytes) -> None:
        """Hand on what is complete; slow the peer down when too much is open."""
        self._heard = now = self._clock()
        if self._deadline:
            return
        events = self._decoder.feed(data)
        pending = self._decoder.pending
        if not pending:
            self._begun = 0.0
        elif events or not self._begun:
            self._begun = now
        if pending != self._pending:
            self._account(pending)
        if events:
            self._take(events)

    def eof_received(self) -> bool:
        """The peer sends no more, but may still read: answer what it sent before closing."""
        self._take_last()
        if self._secure:  # TLS cannot close one direction alone
            return False
        self._end()
        return bool(self._waiting)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Whoever sent without an answer sends again."""
        self._take_last()
        self._transport = None
        self._waiting.clear()
        self._hub.pressure.forget(self)
        self._hub.gone(self)

    def pause_writing(self) -> None:
        """The peer does not read its answers: take no more of its messages."""
        self._stuck = self._clock()
        self._pause()

    def resume_writing(self) -> None:
        """It reads again."""
        self._stuck = 0.0
        self._resume_if_low()

    # -- answers ------------------------------------------------------------------------------------------------

    def answered(self, reply: _Reply) -> None:
        """Write what is next in order. The hub's count goes down even where the peer is gone."""
        if self._transport is not None and self._waiting and self._waiting[0] is reply:
            self._write_ready()
        self._hub.pressure.release(reply.size)

    def write(self, data: bytes) -> None:
        """To the peer, if it is still there."""
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _write_ready(self) -> None:
        waiting, ready = self._waiting, []
        while waiting and (out := waiting[0].out) is not None:
            reply = waiting.popleft()
            reply.out = None
            self._unanswered -= reply.size
            ready.append(out)
        self.write(ready[0] if len(ready) == 1 else b"".join(ready))
        self._heard = self._clock()
        if self._deadline:
            self._close_when_answered()
        elif not self._reading:
            self._resume_if_low()

    # -- messages -----------------------------------------------------------------------------------------------

    def _take(self, events: list[Frame | Fault]) -> None:
        received_at = time.time_ns() // 1000
        for event in events:
            if isinstance(event, Frame):
                for code in event.codes:
                    self._hub.note(code, self)
                self._arrive(received_at, event.body, None, event.codes)
            else:
                self._take_fault(event, received_at)
        self._pause_if_high()

    def _take_fault(self, fault: Fault, received_at: int) -> None:
        if fault.code != "mllp-garbage":
            self._hub.note(fault.code, self)
            self._arrive(received_at, fault.body, Finding(fault.code, _FAULTS[fault.code]), ())
        elif self._came:
            self._hub.note(fault.code, self)
        else:
            self.retire(fault.code)  # not a sender that stumbled: something else talks to this port

    def _take_last(self) -> None:
        """The peer sends no more. A message that it did not finish, it sends again: that one is only noted."""
        for event in self._decoder.finish():
            if isinstance(event, Frame):
                self._take([event])
            else:
                self._hub.note(event.code, self)
        self._account(0)

    def _account(self, pending: int) -> None:
        pressure = self._hub.pressure
        pressure.partial += pending - self._pending
        self._pending = pending
        if pending and pressure.is_overfull:
            self.retire("mllp-overloaded")

    def _arrive(self, received_at: int, body: bytes, fault: Finding | None, codes: tuple[str, ...]) -> None:
        size = len(body)
        self._came += 1
        reply = _Reply(self, size)
        self._waiting.append(reply)
        self._unanswered += size
        hub = self._hub
        hub.pressure.add(size)
        hub.arrive(Arrival(hub.name, self.peer, received_at, body, reply, fault, codes))

    # -- back-pressure ------------------------------------------------------------------------------------------

    def _pause_if_high(self) -> None:
        limits, pressure = self._limits, self._hub.pressure
        if pressure.is_high:
            pressure.wait(self, self._resume_if_low)
            self._pause()
        elif len(self._waiting) >= limits.connection_messages or self._unanswered >= limits.connection_bytes:
            self._pause()

    def _pause(self) -> None:
        if self._reading and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    def _resume_if_low(self) -> None:
        limits, transport = self._limits, self._transport
        if self._reading or self._stuck or self._deadline or transport is None or transport.is_closing():
            return
        if len(self._waiting) * 2 > limits.connection_messages or self._unanswered * 2 > limits.connection_bytes:
            return
        if self._hub.pressure.is_high:
            self._hub.pressure.wait(self, self._resume_if_low)
            return
        self._reading = True
        self._heard = now = self._clock()
        if self._begun:
            self._begun = now  # the time that we did not read is not the peer's
        transport.resume_reading()

    # -- the end ------------------------------------------------------------------------------------------------

    def retire(self, code: str) -> None:
        """Take no more from this peer, and say why; it is let go once it has its answers."""
        self._hub.note(code, self)
        self._end()
        self._close_when_answered()

    def end(self) -> None:
        """Take no more from this peer; it is let go once it has its answers."""
        self._end()
        self._close_when_answered()

    def abort(self) -> None:
        """Let go at once."""
        if self._transport is not None:
            self._transport.abort()

    def _end(self) -> None:
        self._pause()
        self._deadline = self._deadline or self._clock() + self._limits.drain_seconds

    def _close_when_answered(self) -> None:
        if self._transport is not None and not self._waiting:
            self._transport.close()

    def sweep(self, now: float) -> None:
        """Let go of peers that are silent, slow or deaf."""
        limits = self._limits
        if self._deadline:
            if now > self._deadline:
                self.abort()
        elif self._stuck and now - self._stuck > limits.write_seconds:
            self._hub.note("mllp-answers-unread", self)
            self.abort()
        elif self._reading:
            self._sweep_reading(now)

    def _sweep_reading(self, now: float) -> None:
        limits, silent = self._limits, now - self._heard
        if self._begun:
            if silent >= limits.end_seconds and self._decoder.ends_short:
                self._begun = 0.0
                self._take(self._decoder.flush())
                self._account(self._decoder.pending)
            elif now - self._begun > limits.frame_seconds:
                self.retire("mllp-too-slow")
        elif not self._waiting and silent > limits.idle_seconds:
            self.retire("mllp-idle")
