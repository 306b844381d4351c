"""One sender per destination: takes what is due from the outbox, sends it, writes down what came of it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence

import msgspec
import structlog

from hilum.delivery import BreakerPolicy, CircuitBreaker, Destination, RetryPolicy
from hilum.engine.making import Makes, untold
from hilum.engine.stopping import Stop, Stopped
from hilum.errors import DeliveryError, HilumError, NotFound, Outcome
from hilum.formats import fhir
from hilum.journal import Journal
from hilum.model import Outgoing, Receipt
from hilum.repository import Delivery, Repository, Stored
from hilum.store import fault
from hilum.translator import BUNDLE, MADE, RAW, refs_of

__all__ = ["Sender", "render"]

LOOK_AGAIN = 1.0  # seconds; a delivery made by another process, or one whose wait is over, is seen within this
AT_ONCE = 16  # records of different keys on their way to one destination

fault.declare("engine.before_send", "a delivery is due, nothing has been sent")
fault.declare("engine.after_send", "the destination took a record, nothing is written down: it is sent again")

NOTHING_NEW = Receipt(detail="nothing new was said, so nothing was sent")

log = structlog.get_logger(__name__)


class Sender:
    """Keeps the order of each key: the outbox gives out one record per key at a time."""

    def __init__(
        self,
        destination: Destination,
        repository: Repository,
        journal: Journal,
        policy: RetryPolicy,
        breaker: BreakerPolicy,
        done: Callable[[int], None],
        stop: Stop,
        maker: Makes | None = None,
    ) -> None:
        """`done(seq)` hears of every delivery that reached its end; `maker` makes HL7 v2 where that is sent."""
        self.name = destination.name
        self._destination, self._repository, self._journal = destination, repository, journal
        self._policy, self._done, self._stop, self._maker = policy, done, stop, maker
        self._breaker = CircuitBreaker(breaker)
        self._wake = asyncio.Event()

    @property
    def breaker(self) -> CircuitBreaker:
        """Whether the partner is being left alone, for the health page."""
        return self._breaker

    def wake(self) -> None:
        """Something new may be due, or it is time to stop."""
        self._wake.set()

    def use(self, maker: Makes | None) -> None:
        """From the next record on."""
        self._maker = maker

    async def run(self) -> None:
        """Send what is due, until it is time to stop; what is on its way comes to its end."""
        await self._destination.open()
        try:
            await self._stop.insist(lambda: self._repository.release(self.name))
            while not self._stop.is_set:
                await self._step()
        except Stopped:
            return
        finally:
            await self._destination.close()

    async def _step(self) -> None:
        self._wake.clear()
        due = await self._stop.look(self._due)
        if not due:
            await self._rest()
            return
        try:
            await self._stop.insist(lambda: self._repository.claim([one.id for one in due]))
        except NotFound:  # a person has decided about one of them: look again
            return
        ends = await asyncio.gather(*(self._send(one) for one in due), return_exceptions=True)
        for end in ends:
            if end is not None:
                raise end

    def _due(self) -> list[Delivery]:
        allowed, asked = self._breaker.ask(time.monotonic())
        if not allowed:
            return []
        is_trial = asked is not self._breaker
        due = self._repository.due(self.name, _now(), 1 if is_trial else AT_ONCE)
        if due:
            self._breaker = asked
        return due

    async def _rest(self) -> None:
        pause = min(LOOK_AGAIN, self._breaker.wait(time.monotonic()) or LOOK_AGAIN)
        try:
            await asyncio.wait_for(self._wake.wait(), pause)
        except TimeoutError:
            return

    async def _send(self, due: Delivery) -> None:
        fault.reach("engine.before_send")
        try:
            record = await self._stop.look(lambda: render(due, self._repository, self._journal, self._maker))
            receipt = await self._destination.send(record) if record is not None else NOTHING_NEW
        except HilumError as error:
            await self._failed(due, error)
            return
        except Stopped:
            raise
        except Exception as error:  # noqa: BLE001 - one bad record waits for a person, other keys go on
            log.warning("a destination failed on a record", destination=self.name, error=type(error).__name__)
            text = "sending it met a defect"
            await self._failed(due, DeliveryError(text, code="delivery-crashed", outcome=Outcome.HOLD))
            return
        fault.reach("engine.after_send")
        self._breaker = self._breaker.succeeded()
        await self._tell_untold(due)
        await self._stop.insist(lambda: self._repository.delivered(due.id, receipt))
        self._done(due.seq)

    async def _tell_untold(self, due: Delivery) -> None:
        """A person hears of deletions of which the destination does not."""
        maker = self._maker
        if maker is None or due.outgoing.content_type != MADE:
            return
        items = await self._stop.look(lambda: untold(due, self._repository, maker))
        if items:
            await self._stop.insist(lambda: self._repository.report(items))

    async def _failed(self, due: Delivery, error: HilumError) -> None:
        if error.outcome is Outcome.RETRY:
            self._breaker = self._breaker.failed(time.monotonic())
        else:  # a partner that refuses a record is alive
            self._breaker = self._breaker.succeeded()
        decision = self._policy.decide(due.attempts + 1, error, random.random)
        log.warning("delivery failed", destination=self.name, code=error.code, then=decision.outcome.value)
        if decision.outcome is Outcome.RETRY:
            next_at = _now() + int(decision.delay * 1e6)
            await self._stop.insist(lambda: self._repository.failed(due.id, next_at, error.code))
            return
        end = self._repository.dead if decision.outcome is Outcome.DEAD_LETTER else self._repository.refused
        await self._stop.insist(lambda: end(due.id, error.code))
        self._done(due.seq)


def render(due: Delivery, repository: Repository, journal: Journal, maker: Makes | None = None) -> Outgoing | None:
    """The record as it is sent: the same bytes on every attempt, as journal rows and versions never change.

    None when the message told nothing new: it made no version of anything. Raises DeliveryError with the outcome hold
    when HL7 v2 cannot be made of it.
    """
    outgoing = due.outgoing
    if outgoing.content_type == RAW:
        payload = journal.get(due.seq).body
    elif outgoing.content_type == MADE:
        if maker is None:
            text = "this destination was sent messages that hilum made, and its file does not say `send` any more"
            raise DeliveryError(text, code="send-unset", outcome=Outcome.HOLD)
        made = maker.make(due, repository)
        if made is None:
            return None
        payload = made
    elif outgoing.content_type == BUNDLE:
        versions = _versions(due, repository)
        if not versions:
            return None
        payload = _bundle(versions)
    else:
        payload = outgoing.payload
    return msgspec.structs.replace(outgoing, payload=payload)


def _versions(due: Delivery, repository: Repository) -> list[Stored]:
    versions = [repository.version_by(due.seq, type_, id_) for type_, id_ in refs_of(due.outgoing.payload)]
    return [one for one in versions if one is not None]


def _bundle(versions: Sequence[Stored]) -> bytes:
    """A collection; a history where something was deleted, as only its entries say so (R4 bundle.html, bdl-3)."""
    if any(one.deleted for one in versions):
        return b'{"resourceType":"Bundle","type":"history","entry":[%s]}' % b",".join(map(_step, versions))
    entries = b",".join(b'{"fullUrl":"%s","resource":%s}' % (_address(one), one.body) for one in versions)
    return b'{"resourceType":"Bundle","type":"collection","entry":[%s]}' % entries


def _step(one: Stored) -> bytes:
    url = _address(one)
    method, status = (b"DELETE", b"204") if one.deleted else (b"PUT", b"201" if one.version == 1 else b"200")
    body = b"" if one.deleted else b'"resource":%s,' % one.body
    at = fhir.format_instant(one.updated // 1000).encode()
    return (
        b'{"fullUrl":"%s",%s"request":{"method":"%s","url":"%s"},'
        b'"response":{"status":"%s","etag":"W/\\"%d\\"","lastModified":"%s"}}'
    ) % (url, body, method, url, status, one.version, at)


def _address(one: Stored) -> bytes:
    return f"{one.type}/{one.id}".encode()


def _now() -> int:
    return time.time_ns() // 1000
