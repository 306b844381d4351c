"""Judging what is loaded, in this process or in others: a core for what judges, and one for what writes.

The order of what comes out is that of what goes in. The processes end with the one that started them, however it ends.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from hilum.app.api.contents import Validator, by_definitions
from hilum.app.bulk.judging import Policy, Unit, units_of
from hilum.app.bulk.sources import Body
from hilum.definitions import Shelf, r4
from hilum.errors import HilumError

__all__ = ["Judges", "process_count", "validator_of"]

LARGE = 8 * 1024 * 1024  # bytes to load from which on processes of their own pay
CHUNK = 200  # bodies that are judged in one go
CHUNK_BYTES = 1024 * 1024

Judged = list[list[Unit]]


def process_count(size: int) -> int:
    """How many processes judge a load of so many bytes; 0: this one does."""
    return 0 if size < LARGE else min(4, max(0, (os.cpu_count() or 1) - 1))


def validator_of(folder: Path | None) -> Validator:
    """By R4 and the packages of a folder."""
    shelf = Shelf(folder) if folder is not None else None
    return by_definitions(shelf.definitions(r4()) if shelf is not None and shelf.contents() else None)


class Judges:
    """Judges bodies for one load. `packages` is the integration folder with them; `close` it."""

    def __init__(self, packages: Path | None, policy: Policy, processes: int) -> None:
        self._packages, self._policy, self._count = packages, policy, processes
        self._own: Validator | None = None
        self._pool: ProcessPoolExecutor | None = None

    def units(self, body: Body) -> Iterator[Unit]:
        """What one body holds, judged here."""
        if self._own is None:
            self._own = validator_of(self._packages)
        return units_of(body.raw, self._own, self._policy)

    def judged(self, bodies: Iterable[Body]) -> Iterator[tuple[Body, list[Unit]]]:
        """All of them in their order. Raises HilumError `load-judge-ended`."""
        chunks = _chunks(bodies)
        if not self._count:
            yield from ((body, list(self.units(body))) for chunk in chunks for body in chunk)
            return
        under_way: deque[tuple[list[Body], Future[Judged]]] = deque()
        try:
            for chunk in chunks:
                under_way.append((chunk, self._started().submit(_judge, [body.raw for body in chunk])))
                if len(under_way) > 2 * self._count:
                    yield from _answer(*under_way.popleft())
            while under_way:
                yield from _answer(*under_way.popleft())
        except BrokenProcessPool:
            text = "a process that validates was ended by the system, perhaps for its memory: run the command again"
            raise HilumError(text, code="load-judge-ended") from None

    def close(self) -> None:
        """End the processes."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._count, context, _begin, (self._packages, self._policy))
        return self._pool


def _answer(chunk: list[Body], future: Future[Judged]) -> Iterator[tuple[Body, list[Unit]]]:
    return zip(chunk, future.result(), strict=True)


def _chunks(bodies: Iterable[Body]) -> Iterator[list[Body]]:
    chunk: list[Body] = []
    size = 0
    for body in bodies:
        chunk.append(body)
        size += len(body.raw or b"")
        if len(chunk) >= CHUNK or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


# in the processes

_judge_by: list[tuple[Validator, Policy]] = []


def _begin(packages: Path | None, policy: Policy) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _judge_by.append((validator_of(packages), policy))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _judge(raws: Sequence[bytes | None]) -> Judged:
    validate, policy = _judge_by[0]
    return [list(units_of(raw, validate, policy)) for raw in raws]
