"""The MLLP sender: one record at a time on one connection, each waiting for its own answer."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import cast

import structlog

from hilum.delivery.hl7_answer import Answer, control_id, read_answer
from hilum.delivery.sections import MllpDestination
from hilum.errors import DeliveryError, FormatError, HilumError, Outcome
from hilum.model import Finding, Outgoing, Receipt
from hilum.protocols import Frame, MllpDecoder, certificate_findings, client_context, frame, tls_reason

__all__ = ["MllpSender"]

_REMEMBERED = 64  # control ids whose later AA is no surprise in enhanced mode

log = structlog.get_logger("hilum.delivery.mllp")


class _Link(asyncio.Protocol):
    """One connection. Whatever comes while nobody waits makes it unusable: the next answer could be the wrong one."""

    def __init__(self, answer_bytes: int, *, unasked: bool) -> None:
        self._decoder = MllpDecoder(answer_bytes)
        self._unasked = unasked  # enhanced mode: application answers may come at any time
        self._bodies: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._broken = ""

    @property
    def is_usable(self) -> bool:
        """Whether a record may be sent on it."""
        transport = self._transport
        if self._broken or transport is None or transport.is_closing():
            return False
        return self._unasked or not self._bodies

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready to send."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answers, or something that is none."""
        for event in self._decoder.feed(data):
            if isinstance(event, Frame):
                self._bodies.append(event.body)
            else:
                self._fail(event.code)
        if self._bodies and self._waiter is None and not self._unasked:
            self._fail("mllp-answer-unasked")
        if len(self._bodies) > _REMEMBERED:
            self._fail("mllp-answer-flood")
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Partner gone; what it sent whole before still counts."""
        for event in self._decoder.finish():
            if isinstance(event, Frame):
                self._bodies.append(event.body)
        self._fail("mllp-tls-failed" if isinstance(exc, ssl.SSLError) else "mllp-connection-lost")
        self._wake()

    def send(self, data: bytes) -> None:
        """Buffered by the transport; the answer's time limit covers it."""
        if self._transport is not None:
            self._transport.write(data)

    async def receive(self) -> bytes:
        """The next answer. Raises DeliveryError with the outcome retry when none can come any more."""
        while not self._bodies:
            if self._broken:
                raise DeliveryError("The partner did not answer on this connection", code=self._broken)
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._bodies.popleft()

    def close(self) -> None:
        """Let go at once: nothing that could still come would be believed."""
        self._fail("mllp-connection-lost")
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, code: str) -> None:
        self._broken = self._broken or code

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done() and (self._bodies or self._broken):
            self._waiter.set_result(None)


class MllpSender:
    """A `Destination`. Records wait for each other; a connection that cannot be trusted is closed, never reused."""

    def __init__(self, name: str, config: MllpDestination) -> None:
        self.name = name
        self._config = config
        self._tls: ssl.SSLContext | None = None
        self._turn = asyncio.Lock()
        self._link: _Link | None = None
        self._sent: deque[bytes] = deque(maxlen=_REMEMBERED)

    async def open(self) -> None:
        """Reads the TLS files; connects at the first send. Raises ConfigError with a `tls-` code."""
        self._tls = client_context(self._config.tls) if self._config.tls else None

    async def send(self, record: Outgoing) -> Receipt:
        """Receipt.reference is MSA-2. Errors are retry unless the partner's rules or the record say otherwise."""
        identity = control_id(record.payload)
        try:
            data = frame(record.payload)
        except FormatError as error:
            raise DeliveryError(error.message, code=error.code, outcome=Outcome.HOLD) from error
        async with self._turn:
            try:
                answer = await self._exchange(data, identity)
            except BaseException:  # a cancelled wait, too, leaves an answer on its way that is not the next one's
                self._drop()
                raise
        if not answer.is_positive:
            raise self._refusal(answer.code)
        return Receipt(identity.decode("ascii", "replace"), answer.code)

    async def close(self) -> None:
        """Let go of the connection."""
        self._drop()

    async def probe(self) -> list[Finding]:
        """Whether the TLS files do and the partner can be reached. Connects and sends nothing."""
        try:
            tls = client_context(self._config.tls) if self._config.tls else None
            (await self._connect(tls)).close()
        except HilumError as error:
            return [Finding(error.code, error.message, self.name)]
        certificate = self._config.tls.certificate if self._config.tls else None
        return certificate_findings(certificate) if certificate else []

    async def _exchange(self, data: bytes, identity: bytes) -> Answer:
        if self._link is None or not self._link.is_usable:
            self._drop()
            self._link = await self._connect(self._tls)
        link, config = self._link, self._config
        try:
            async with asyncio.timeout(config.ack_seconds):
                link.send(data)
                answer = await self._answer(link, identity)
                if config.ack == "enhanced" and config.application and answer.code == "CA":
                    answer = await self._answer(link, identity, after_commit=True)
        except TimeoutError:
            text = f"The partner did not answer within {config.ack_seconds:g} s; it is asked again"
            raise DeliveryError(text, code="mllp-answer-late") from None
        self._sent.append(identity)
        return answer

    async def _answer(self, link: _Link, identity: bytes, *, after_commit: bool = False) -> Answer:
        """The answer to this very message. Raises DeliveryError when what comes is none, or another message's."""
        while True:
            answer = read_answer(await link.receive())
            if answer is None:
                text = "The partner answered with something that is no acknowledgement"
                raise DeliveryError(text, code="mllp-answer-unreadable")
            if answer.control_id != identity:
                if self._is_late(answer):
                    continue
                text = "The partner answered for another message (MSA-2 is not the MSH-10 sent)"
                raise DeliveryError(text, code="mllp-answer-mismatch")
            if not (after_commit and answer.code == "CA"):
                return answer

    def _is_late(self, answer: Answer) -> bool:
        """An application answer to a record whose CA was enough for us."""
        return self._config.ack == "enhanced" and answer.code[0] == "A" and answer.control_id in self._sent

    def _refusal(self, code: str) -> DeliveryError:
        text = f"The partner refused the record with {code}"
        outcome = self._config.answers.outcome(code)
        return DeliveryError(text, code=f"mllp-answer-{code.lower()}", location=self.name, outcome=outcome)

    async def _connect(self, tls: ssl.SSLContext | None) -> _Link:
        config = self._config
        name = (config.tls.server_name or config.host) if config.tls else None
        try:
            async with asyncio.timeout(config.connect_seconds):
                _, link = await asyncio.get_running_loop().create_connection(
                    lambda: _Link(config.answer_bytes, unasked=config.ack == "enhanced"),
                    config.host,
                    config.port,
                    ssl=tls,
                    server_hostname=name,
                )
        except TimeoutError:
            text = f"{config.host} port {config.port} did not take the connection in time"
            raise DeliveryError(text, code="mllp-connect-failed") from None
        except ssl.SSLError as error:
            text = f"No TLS with {config.host} port {config.port}: {tls_reason(error)}"
            raise DeliveryError(text, code="mllp-tls-failed") from error
        except OSError as error:
            text = f"{config.host} port {config.port} cannot be reached: {error.strerror or 'no such name'}"
            raise DeliveryError(text, code="mllp-connect-failed") from error
        log.info("connected", destination=self.name, tls=tls is not None)
        return link

    def _drop(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
