"""One worker per partition: reads after its position, turns messages into effects, saves both together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence

import structlog
from msgspec import structs

from hilum.engine.flow import Flow
from hilum.engine.pace import Pace
from hilum.engine.partition import Progress, partitions_of
from hilum.engine.settings import Order
from hilum.engine.stopping import Stop, Stopped
from hilum.errors import HilumError, NotFound, StoreError
from hilum.journal import Journal
from hilum.model import Effects, Entry, Held, Message, Sighted
from hilum.repository import Repository
from hilum.translator import hold

__all__ = ["HeldKeys", "Worker"]

BATCH = 32  # messages per commit: enough to share a sync, few enough not to delay an acknowledgement
GATHER = 0.005  # seconds after the first message of a quiet partition: what comes meanwhile shares its commit

log = structlog.get_logger(__name__)


class HeldKeys:
    """Keys with a held message. The store is the truth; this is what workers look at for every message."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._stored: set[str] = set()
        self._fresh: set[str] = set()  # held in memory, on their way to the store
        self.reread()

    def __contains__(self, key: str) -> bool:
        return bool(key) and (key in self._stored or key in self._fresh)

    def add(self, *keys: str) -> None:
        """From now on later messages of these keys wait."""
        self._fresh.update(key for key in keys if key)

    def saved(self, *keys: str) -> None:
        """The store has them now."""
        self._stored.update(self._fresh.intersection(keys))
        self._fresh.difference_update(keys)

    def forget(self, *keys: str) -> None:
        """What was decided about these was not saved."""
        self._fresh.difference_update(keys)

    def reread(self) -> dict[str, int]:
        """A person may have settled something: look again. Returns key -> lowest seq held."""
        lowest = self._repository.held_keys()
        self._stored = set(lowest)
        return lowest


class Worker:
    """Advances one partition. It may be killed at any point: it repeats work then, never effects."""

    def __init__(
        self,
        partition: int,
        flow: Flow,
        journal: Journal,
        progress: Progress,
        held: HeldKeys,
        orders: dict[str, Order],
        stop: Stop,
        pace: Pace,
        batch: int,
    ) -> None:
        """`pace` is shared by all workers; `batch` messages are turned at once."""
        self.partition = partition
        self._flow, self._journal, self._progress, self._held = flow, journal, progress, held
        self._orders, self._stop, self._pace, self._batch = orders, stop, pace, batch
        self._wake = asyncio.Event()
        self._replays: deque[tuple[int, asyncio.Future[Effects | Held]]] = deque()
        self._has_ended = False

    def wake(self) -> None:
        """There is something new to read, or it is time to stop."""
        self._wake.set()

    async def replay(self, seq: int) -> Effects | Held:
        """Run a held message again, in this partition's own order; returns what became of it. Raises Stopped."""
        if self._has_ended:
            raise Stopped
        done: asyncio.Future[Effects | Held] = asyncio.get_running_loop().create_future()
        self._replays.append((seq, done))
        self.wake()
        return await done

    async def run(self) -> None:
        """Read, turn, save, until it is time to stop; the batch at hand is finished where that is possible."""
        try:
            while not self._stop.is_set:
                await self._step()
        except Stopped:
            return
        finally:
            self._has_ended = True
            for _, done in self._replays:
                done.set_exception(Stopped())

    async def _step(self) -> None:
        self._wake.clear()
        while self._replays:
            await self._replay_next()
        after = self._progress.committed[self.partition]
        entries = await self._stop.insist(lambda: self._journal.read(self.partition, after, BATCH))
        if entries:
            await self._advance(entries)
        else:
            await self._wake.wait()
            await asyncio.sleep(GATHER)

    async def _advance(self, entries: Sequence[Entry]) -> None:
        for run in _runs(entries):
            first = run[0]
            if first.barrier:
                await self._progress.reach(self.partition, first.seq)
                await self._progress.until_committed(first.home, first.seq)
                await self._commit([], first.seq)
            else:
                for other in partitions_of(first.message.envelope)[1:]:
                    await self._progress.until_reached(other, first.seq)
                await self._save([entry.message for entry in run])
            await asyncio.sleep(0)

    async def _turn(self, messages: Sequence[Message]) -> list[Effects | Held]:
        """In order: what an earlier one of these does to its key, a later one knows."""
        doors = [None if self._is_behind(one) else self._flow.held_at_the_door(one) for one in messages]
        asked = [one for one, door in zip(messages, doors, strict=True) if door is None and not self._is_behind(one)]
        turned = dict(zip([one.seq for one in asked], await self._flow.turn(asked), strict=True))
        return [self._decide(one, door or turned.get(one.seq)) for one, door in zip(messages, doors, strict=True)]

    def _decide(self, message: Message, work: Effects | Held | None) -> Effects | Held:
        """`work` is what the message does by itself; None for one that was behind another from the start."""
        envelope = message.envelope
        if work is None or self._is_behind(message):
            waits = hold(message, "behind-held", "waits behind an earlier message of its key")
            work = structs.replace(waits, behind=True, sighted=work.sighted if work else ())
        if isinstance(work, Held) and self._waits(message):
            self._held.add(envelope.key, envelope.other_key)
        return work

    def _waits(self, message: Message) -> bool:
        return self._orders.get(message.envelope.source, Order.WAIT) is Order.WAIT

    def _is_behind(self, message: Message) -> bool:
        envelope = message.envelope
        return self._waits(message) and (envelope.key in self._held or envelope.other_key in self._held)

    async def _replay_next(self) -> None:
        seq, done = self._replays[0]
        try:
            message = await self._stop.look(lambda: self._journal.get(seq))
        except NotFound as error:  # retention deleted it while it was held
            self._replays.popleft()
            done.set_exception(error)
            return
        work = self._flow.gate_again(message) or (await self._flow.turn([message]))[0]
        try:
            await self._commit([work])
        except (StoreError, Stopped):
            raise
        except Exception as error:  # noqa: BLE001 - one bad message is held, the feed goes on
            work = self._give_up(message, error, work.sighted)
            await self._commit([work])
        await self._stop.look(self._held.reread)
        self._replays.popleft()
        done.set_result(work)

    async def _save(self, messages: Sequence[Message], sighted: tuple[Sighted, ...] = ()) -> None:
        """`sighted`: what was seen of a message alone when its effects were not saved; it is not told again."""
        work: list[Effects | Held] = []
        for start in range(0, len(messages), self._batch):
            work += await self._turn(messages[start : start + self._batch])
        if sighted:
            work[0] = structs.replace(work[0], sighted=(*sighted, *work[0].sighted))
        await self._pace.until_due(len(messages), messages[0].envelope.received_at)
        try:
            await self._commit(work, messages[-1].seq)
        except (StoreError, Stopped):
            raise
        except Exception as error:  # noqa: BLE001 - one bad message is held, the feed goes on
            self._held.forget(*[key for one in messages for key in (one.envelope.key, one.envelope.other_key)])
            if len(messages) == 1:
                await self._commit([self._give_up(messages[0], error, work[0].sighted)], messages[0].seq)
            else:  # one of these cannot be saved: find it, and let the others through
                for message, done in zip(messages, work, strict=True):
                    await self._save([message], done.sighted)

    def _give_up(self, message: Message, error: Exception, sighted: tuple[Sighted, ...]) -> Held:
        code = error.code if isinstance(error, HilumError) else "apply-failed"
        log.error("effects could not be saved", seq=message.seq, code=code, error=type(error).__name__)
        envelope = message.envelope
        if self._waits(message):
            self._held.add(envelope.key, envelope.other_key)
        return structs.replace(hold(message, code, "its effects could not be saved"), sighted=sighted)

    async def _commit(self, work: Sequence[Effects | Held], position: int = 0) -> None:
        positions = {self.partition: position} if position else {}
        await self._stop.insist(lambda: self._flow.save(work, positions))
        self._held.saved(*[key for one in work if isinstance(one, Held) for key in (one.key, one.other_key)])
        if position:
            await self._progress.commit(self.partition, position)


def _runs(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Split a batch so that a barrier, and a merge that has one elsewhere, each stand alone."""
    run: list[Entry] = []
    for entry in entries:
        if entry.barrier or len(partitions_of(entry.message.envelope)) > 1:
            if run:
                yield run
                run = []
            yield [entry]
        else:
            run.append(entry)
    if run:
        yield run
