"""What other processes ask for: held messages are run again in their place, new decisions are read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import structlog

from hilum.engine.stopping import Stop, Stopped
from hilum.engine.worker import HeldKeys, Worker
from hilum.errors import HilumError, NotFound
from hilum.model import Effects
from hilum.repository import RELOAD, Hold, Repository

__all__ = ["Reload", "Replays"]

Reload = Callable[[], Awaitable[None]]

LOOK_AGAIN = 0.5  # seconds; requests and decisions are written by other processes

log = structlog.get_logger(__name__)


class Replays:
    """Answers replay requests. A message behind a held one is run only when nothing earlier of its key is held."""

    def __init__(
        self, repository: Repository, workers: Sequence[Worker], held: HeldKeys, stop: Stop, reload: Reload
    ) -> None:
        """`reload` takes the workbook as it is now; it raises HilumError when that cannot be used."""
        self._repository, self._workers, self._held, self._stop = repository, workers, held, stop
        self._reload = reload
        self._lowest: dict[str, int] = {}

    async def run(self) -> None:
        """Look for requests until it is time to stop."""
        try:
            while True:
                for request in await self._stop.look(self._repository.requests):
                    await self._answer(request.id, request.seq)
                await self._release_freed()
                for worker in self._workers:  # a command may have added to the journal
                    worker.wake()
                await self._stop.sleep(LOOK_AGAIN)
        except Stopped:
            return

    async def _answer(self, request: int, seq: int) -> None:
        if seq == RELOAD:
            await self._take_workbook()
        else:
            await self._replay(seq)
        await self._stop.insist(lambda: self._repository.answer_requests([request]))

    async def _take_workbook(self) -> None:
        try:
            await self._reload()
        except HilumError as error:
            log.warning("the workbook was not taken, the one before goes on", code=error.code)
        else:
            log.info("the workbook was taken as it is now")

    async def _replay(self, seq: int) -> None:
        try:
            hold = await self._stop.look(lambda: self._repository.hold(seq))
            if not await self._may_run(hold):
                log.info("not replayed: an earlier message of its key is held", seq=seq)
            else:
                work = await self._workers[hold.partition].replay(seq)
                log.info("replayed", seq=seq, applied=isinstance(work, Effects))
        except NotFound as error:
            log.warning("a replay was not possible", seq=seq, code=error.code)

    async def _release_freed(self) -> None:
        """Run what waits behind nothing any more: the one before it was applied, or discarded by a person."""
        lowest = await self._stop.look(self._held.reread)
        changed = [key for key, seq in lowest.items() if self._lowest.get(key) != seq]
        self._lowest = lowest
        for key in changed:
            await self._release(key)

    async def _release(self, key: str) -> None:
        for hold in await self._stop.look(lambda: self._repository.holds(key=key)):
            if not hold.behind or not await self._may_run(hold):
                return
            try:
                work = await self._workers[hold.partition].replay(hold.seq)
            except NotFound as error:
                log.warning("a message that waited is not there any more", seq=hold.seq, code=error.code)
                return
            if not isinstance(work, Effects):
                return

    async def _may_run(self, hold: Hold) -> bool:
        """Whether nothing earlier of its keys is held; only those that wait behind something must ask."""
        lowest = await self._stop.look(self._held.reread)
        return not hold.behind or all(lowest.get(key, hold.seq) >= hold.seq for key in (hold.key, hold.other_key))
