"""A watched folder: each file is one arrival, taken whole, and moved away once it was answered.

A file is whole-file atomic: either every message of it is journaled, each to be applied, held or rejected with its
code, or none is. It is answered when the journal has it. Only then findings are written, its hash goes into the ledger,
and it moves: to `processed` when any message of it was taken, else to `failed`. A crash in between repeats a step: what
is in the ledger is moved and not taken again; what is not in the ledger yet is handed over again, and the journal knows
it by `Arrival.once`, which it wrote in the transaction that took the file. Large files of records go part by part, see
`parts.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping

import structlog

from hilum.errors import HilumError
from hilum.formats import records
from hilum.intake.disk import FolderDisk
from hilum.intake.folder import Content, Look, file_tag
from hilum.intake.parts import LARGE, Claim, PartedFile, leftovers
from hilum.intake.sections import FilesSource
from hilum.model import Ack, Arrival, Finding

__all__ = ["FolderWatch"]

log = structlog.get_logger("hilum.intake.files")


class FolderWatch(FolderDisk):
    """A `Source`. All disk work happens in a thread, so that a slow share does not stop the rest."""

    def __init__(self, name: str, config: FilesSource) -> None:
        super().__init__(name, config)
        self._ripe: deque[Look] = deque()
        self._unanswered = 0
        self._answers: list[tuple[Content, Ack]] = []
        self._arrivals: list[Arrival] = []
        self._arrived = asyncio.Event()
        self._nudge = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._has_leftovers, self._resume_at = True, 0.0

    @property
    def counts(self) -> Mapping[str, int]:
        """How often each `files-` code was seen since it opened, files taken, and files without an answer."""
        return {**self._counts, "unanswered": self._unanswered}

    # -- Source -------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Raises ConfigError `files-folder-unusable` or StoreError `files-ledger-damaged`."""
        await asyncio.to_thread(self._prepare)
        self._closed = False
        self._task = asyncio.get_running_loop().create_task(self._watch())
        log.info("watching", source=self.name, taken_before=len(self._ledger))

    async def read(self) -> list[Arrival]:
        """All files that are ready and were not handed out; for one reader."""
        while not self._arrivals:
            if self._closed:
                self._raise_if_broken()
                return []
            self._arrived.clear()
            await self._arrived.wait()
        arrivals, self._arrivals = self._arrivals, []
        return arrivals

    async def close(self) -> None:
        """Take no more; move what is answered within `drain_seconds`. The rest stays and is taken next time."""
        self._closed = True
        self._arrived.set()
        self._nudge.set()
        if self._task is None:
            return
        await asyncio.wait({self._task})
        self._task = None
        await asyncio.to_thread(self._ledger.close)

    async def probe(self) -> list[Finding]:
        """Whether the folders can be used. Makes the missing ones, as `open` does."""
        try:
            await asyncio.to_thread(self._prepare_folders)
        except HilumError as error:
            return [Finding(error.code, error.message, self.name)]
        return []

    # -- the loop -----------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        try:
            await self._look_and_take()
            await self._drain()
        finally:  # also after a fault of our own: whoever reads hears of it
            self._closed = True
            self._arrived.set()

    def _raise_if_broken(self) -> None:
        if self._task is not None and self._task.done():
            self._task.result()

    async def _look_and_take(self) -> None:
        next_look = 0.0
        while not self._closed:
            try:
                await self._settle()
                await self._resume()
                if not self._ripe and time.monotonic() >= next_look:
                    next_look = time.monotonic() + self._config.poll_seconds
                    self._ripe = await asyncio.to_thread(self._look)
                await self._take_ripe()
            except OSError as error:
                self._note("files-folder-unreachable", reason=error.strerror)
                next_look = time.monotonic() + self._config.poll_seconds
            await self._rest(max(0.0, next_look - time.monotonic()))

    async def _rest(self, seconds: float) -> None:
        """Until the next look, or until an answer comes."""
        try:
            await asyncio.wait_for(self._nudge.wait(), seconds)
        except TimeoutError:
            return

    async def _drain(self) -> None:
        deadline = time.monotonic() + self._config.limits.drain_seconds
        while self._unanswered and (left := deadline - time.monotonic()) > 0:
            await self._rest(left)
            self._nudge.clear()
        try:
            await self._settle()
        except OSError as error:
            self._note("files-folder-unreachable", reason=error.strerror)

    async def _take_ripe(self) -> None:
        limits = self._config.limits
        while self._ripe and not self._closed and self._unanswered < limits.unanswered_files:
            held = sum(len(content.body) for content in self._open.values())
            if self._open and held + self._ripe[0].size > limits.unanswered_bytes:
                return
            seen = self._ripe.popleft()
            if self._is_parted(seen):
                claimed = await asyncio.to_thread(self._claim, seen)
                if claimed is not None:
                    await self._take_parts(claimed)
                continue
            content = await asyncio.to_thread(self._read, seen)
            if content is not None:
                self._arrive(content)

    def _is_parted(self, seen: Look) -> bool:
        is_sheet = isinstance(self._config.format, records.Spreadsheet)  # a small one may unpack to a large one
        is_large = isinstance(self._config.format, records.Text) and seen.size > LARGE
        return seen.is_regular and (is_sheet or is_large)

    async def _resume(self) -> None:
        """Hand over again what was left on its way, also by a process before; the journal knows the parts it has."""
        if self._has_leftovers and time.monotonic() >= self._resume_at:
            self._has_leftovers = False
            for claimed in await asyncio.to_thread(leftovers, self._state):
                await self._take_parts(claimed)

    async def _take_parts(self, claimed: Claim) -> None:
        """One large file, part by part; files behind it wait. What is stopped in between is taken up again."""
        content, format_ = claimed.content, self._config.format
        if content.digest in self._ledger:  # it was put away, and its process ended before the copy went
            await asyncio.to_thread(self._move, content.look, self._processed)
            await asyncio.to_thread(claimed.forget)
            return
        assert format_ is not None
        self._has_leftovers, self._resume_at = True, time.monotonic() + self._config.poll_seconds
        self._open[content.look.name] = content
        self._unanswered += 1
        self._counts["taken"] += 1
        try:
            wait = self._config.limits.drain_seconds
            ack = await PartedFile(self.name, claimed, format_, self._hand, wait).hand_over(lambda: self._closed)
            if ack is not None:
                await asyncio.to_thread(self._put_away, content, ack)
                await asyncio.to_thread(claimed.forget)
        finally:
            self._unanswered -= 1
            self._open.pop(content.look.name, None)
            self._since.pop(content.look.name, None)

    def _hand(self, arrival: Arrival) -> None:
        self._arrivals.append(arrival)
        self._arrived.set()

    def _arrive(self, content: Content) -> None:
        self._open[content.look.name] = content
        self._unanswered += 1
        self._counts["taken"] += 1
        once = _Answer(self, content)
        peer = file_tag(content.look.name)
        self._arrivals.append(Arrival(self.name, peer, time.time_ns() // 1000, content.body, once, once=content.once))
        self._arrived.set()

    def answered(self, content: Content, ack: Ack) -> None:
        """The first answer to a file decides."""
        self._unanswered -= 1
        self._answers.append((content, ack))
        self._nudge.set()

    async def _settle(self) -> None:
        self._nudge.clear()
        while self._answers:
            content, ack = self._answers.pop(0)
            try:
                await asyncio.to_thread(self._put_away, content, ack)
            finally:
                self._open.pop(content.look.name, None)
                self._since.pop(content.look.name, None)


class _Answer:
    """The answer to one file; what comes after the first one changes nothing."""

    __slots__ = ("_content", "_watch")

    def __init__(self, watch: FolderWatch, content: Content) -> None:
        self._watch: FolderWatch | None = watch
        self._content = content

    def __call__(self, ack: Ack) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.answered(self._content, ack)
