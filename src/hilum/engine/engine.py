"""The engine: sources in, workers in the middle, senders out, all in one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

import structlog

from hilum.delivery import BreakerPolicy, Destination, RetryPolicy
from hilum.engine.answers import Answers
from hilum.engine.flow import Flow
from hilum.engine.making import Makes
from hilum.engine.pace import Pace
from hilum.engine.partition import PARTITIONS, Progress
from hilum.engine.replay import Reload, Replays
from hilum.engine.sender import Sender
from hilum.engine.settings import SourceSettings
from hilum.engine.stopping import Stop
from hilum.engine.worker import HeldKeys, Worker
from hilum.errors import NotFound, StoreError
from hilum.formats import hl7v2
from hilum.intake import Source
from hilum.journal import Journal
from hilum.model import DECISIONS, Finding
from hilum.repository import DeliveryState, HoldState, Repository
from hilum.translator import Turner

__all__ = ["Engine"]

DRAIN_SECONDS = 10.0  # for what is at hand; a partner that does not answer gets the record again after the next start

log = structlog.get_logger(__name__)


class Engine:
    """Runs until `stop`. It keeps nothing that matters in memory: killing it is safe, starting it again is recovery."""

    def __init__(
        self,
        journal: Journal,
        repository: Repository,
        turner: Turner,
        settings: Mapping[str, SourceSettings],
        sources: Sequence[Source],
    ) -> None:
        self._journal, self._repository, self._turner = journal, repository, turner
        self._sources = sources
        settings = {**settings, DECISIONS: SourceSettings(DECISIONS, hl7v2.Rules())}
        self._answers, self._stop = Answers(settings), Stop()
        self._flow = Flow(journal, repository, turner, settings, self._answers, self._wake_workers, self._wake_senders)
        self._progress = Progress(repository.positions())
        held = HeldKeys(repository)
        orders = {name: one.order for name, one in settings.items()}
        self._pace = Pace()
        self._workers = [
            Worker(partition, self._flow, journal, self._progress, held, orders, self._stop, self._pace, turner.batch)
            for partition in range(PARTITIONS)
        ]
        self._replays = Replays(repository, self._workers, held, self._stop, self._take_workbook)
        self._reload: Reload | None = None
        self._senders: list[Sender] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._readers: list[asyncio.Task[None]] = []

    def add_destination(
        self, destination: Destination, policy: RetryPolicy, breaker: BreakerPolicy, maker: Makes | None = None
    ) -> None:
        """Before `start`: one more way out; with `maker` it is sent HL7 v2 that is made of resources."""
        told = self._delivery_ended
        self._senders.append(
            Sender(destination, self._repository, self._journal, policy, breaker, told, self._stop, maker)
        )

    def use_maker(self, destination: str, maker: Makes | None) -> None:
        """From now on HL7 v2 for this destination is made by another one."""
        for sender in self._senders:
            if sender.name == destination:
                sender.use(maker)

    def on_reload(self, reload: Reload) -> None:
        """Before `start`: what takes the workbook as it is now, when somebody asks for it."""
        self._reload = reload

    async def _take_workbook(self) -> None:
        if self._reload is not None:
            await self._reload()

    async def start(self) -> None:
        """Open every source; raises HilumError, with everything closed again, when one cannot be opened."""
        opened: list[Source] = []
        try:
            await self._turner.start()
            for source in self._sources:
                await source.open()
                opened.append(source)
        except BaseException:
            for source in opened:
                await source.close()
            await self._turner.close()
            raise
        self._readers = [_spawn(self._receive(source), f"source {source.name}") for source in self._sources]
        self._tasks = [_spawn(worker.run(), f"worker {worker.partition}") for worker in self._workers]
        self._tasks += [_spawn(sender.run(), f"destination {sender.name}") for sender in self._senders]
        self._tasks.append(_spawn(self._replays.run(), "replays"))

    async def until_failure(self) -> None:
        """Return when a part has ended that should not; raises what ended it."""
        done, _ = await asyncio.wait([*self._tasks, *self._readers], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def stop(self) -> None:
        """Take no more, answer what was taken, finish the batches at hand."""
        await asyncio.gather(*(source.close() for source in self._sources), return_exceptions=True)
        await asyncio.gather(*self._readers, return_exceptions=True)
        self._stop.set()
        await self._progress.stop()
        self._wake_workers(range(PARTITIONS))
        self._wake_senders()
        if self._tasks:
            _, hanging = await asyncio.wait(self._tasks, timeout=DRAIN_SECONDS)
            for task in hanging:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._turner.close()

    def failures(self) -> list[str]:
        """Names of the parts that have ended: empty while all is well."""
        return [task.get_name() for task in (*self._tasks, *self._readers) if task.done()]

    async def _receive(self, source: Source) -> None:
        while arrivals := await source.read():
            self._pace.hear(len(arrivals))
            for seq in await self._flow.receive(arrivals):
                self._tell(self._tell_of_copy, seq)

    def _wake_workers(self, partitions: Iterable[int]) -> None:
        for partition in partitions:
            self._workers[partition].wake()

    def _wake_senders(self) -> None:
        for sender in self._senders:
            sender.wake()

    def _delivery_ended(self, seq: int) -> None:
        self._tell(self._tell_of_delivery, seq)

    def _tell(self, what: Callable[[int], None], seq: int) -> None:
        """Whoever does not hear it sends again, and is told then."""
        try:
            what(seq)
        except StoreError as error:
            log.warning("a sender could not be told", seq=seq, code=error.code)

    def _tell_of_copy(self, seq: int) -> None:
        """A copy of a stored message whose sender waits for more than the journal: say what became of the first."""
        partition = self._journal.get(seq).partition
        if self._progress.committed[partition] < seq:
            return
        try:
            hold = self._repository.hold(seq)
        except NotFound:
            hold = None
        if hold is not None and hold.state is not HoldState.APPLIED:
            self._answers.not_applied(seq, Finding(hold.code, "stored, but not applied"))
        else:
            self._answers.applied((seq,))
            self._tell_of_delivery(seq)

    def _tell_of_delivery(self, seq: int) -> None:
        """A delivery of this message has reached its end; the sender hears of it when all have."""
        if seq not in self._answers.awaited:
            return
        states = {one.state for one in self._repository.deliveries_of(seq)}
        if DeliveryState.HELD in states:
            text = "stored and applied, but a destination refused it: a person has to look at the delivery"
            self._answers.not_applied(seq, Finding("delivery-held", text))
        elif states & {DeliveryState.DEAD, DeliveryState.DISCARDED}:
            self._answers.not_applied(seq, Finding("delivery-dead", "stored and applied, but a delivery was given up"))
        elif states <= {DeliveryState.DELIVERED}:
            self._answers.delivered((seq,))


def _spawn(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    return asyncio.create_task(work, name=name)
