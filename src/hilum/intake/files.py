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
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from hilum.errors import ConfigError, HilumError
from hilum.formats import records
from hilum.intake.folder import (
    MARKER,
    Content,
    Look,
    Unusable,
    file_tag,
    is_still,
    look,
    move,
    read_whole,
    write_notes,
)
from hilum.intake.ledger import HashLedger
from hilum.intake.parts import LARGE, Claim, PartedFile, claim, leftovers
from hilum.intake.sections import FilesSource
from hilum.model import Ack, Arrival, Finding
from hilum.protocols import sync_folder
from hilum.store import fault

__all__ = ["FolderWatch"]

_ANSWERED = fault.declare("files.answered", "the journal has every message of a file, the ledger does not know it")
_NOTED = fault.declare("files.noted", "findings lie beside the place of a file, which still lies in its folder")
_LEDGERED = fault.declare("files.ledgered", "the ledger knows a file, it still lies in its folder")
_MOVED = fault.declare("files.moved", "a file was moved away, its marker may still be there")

log = structlog.get_logger("hilum.intake.files")


class FolderWatch:
    """A `Source`. All disk work happens in a thread, so that a slow share does not stop the rest."""

    def __init__(self, name: str, config: FilesSource) -> None:
        self.name = name
        self._config = config
        self._folder = config.folder
        self._processed = config.folder / config.processed
        self._failed = config.folder / config.failed
        self._state = config.folder / config.state
        self._ledger = HashLedger(self._state / "taken.sha256")
        self._since: dict[str, tuple[Look, float]] = {}  # since when a file looks like this
        self._ripe: deque[Look] = deque()
        self._open: dict[str, Content] = {}  # taken, not yet moved
        self._unanswered = 0
        self._answers: list[tuple[Content, Ack]] = []
        self._arrivals: list[Arrival] = []
        self._arrived = asyncio.Event()
        self._nudge = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._has_leftovers, self._resume_at = True, 0.0
        self._counts: Counter[str] = Counter()

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
        return isinstance(self._config.format, records.Text) and seen.is_regular and seen.size > LARGE

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
        assert isinstance(format_, records.Text)
        self._open[content.look.name] = content
        self._unanswered += 1
        self._counts["taken"] += 1
        try:
            wait = self._config.limits.drain_seconds
            ack = await PartedFile(self.name, claimed, format_, self._hand, wait).hand_over(lambda: self._closed)
            if ack is not None:
                await asyncio.to_thread(self._put_away, content, ack)
                await asyncio.to_thread(claimed.forget)
            else:
                self._has_leftovers, self._resume_at = True, time.monotonic() + self._config.poll_seconds
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

    # -- in a thread --------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        self._prepare_folders()
        try:
            self._ledger.open()
        except OSError as error:
            text = f"The ledger of taken files cannot be used: {error.strerror}: {error.filename}"
            raise ConfigError(text, code="files-folder-unusable") from error

    def _prepare_folders(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)  # not its parents: those say that the path is meant
            device = self._folder.stat().st_dev
            for folder in (self._processed, self._failed, self._folder / self._config.state):
                folder.mkdir(mode=0o700, exist_ok=True)
                if folder.stat().st_dev != device:
                    text = f"{folder} is on another disk than {self._folder}: files could not be moved in one step"
                    raise ConfigError(text, code="files-folder-unusable")
            sync_folder(self._folder)
        except OSError as error:
            text = f"The folder cannot be used: {error.strerror}: {error.filename}"
            raise ConfigError(text, code="files-folder-unusable") from error

    def _look(self) -> deque[Look]:
        looks, markers = look(self._folder, self._config.pattern)
        now = time.monotonic()
        before, self._since = self._since, {}
        ripe: deque[Look] = deque()
        for seen in looks:
            known = before.get(seen.name)
            since = known[1] if known is not None and known[0] == seen else now
            self._since[seen.name] = (seen, since)
            if seen.name not in self._open and self._is_ripe(seen, now - since, markers.get(seen.name)):
                ripe.append(seen)
        return ripe

    def _is_ripe(self, seen: Look, steady: float, marked: int | None) -> bool:
        ready = self._config.ready
        if not seen.is_regular or ready == "rename":
            return True
        if ready == "marker":
            return marked is not None and marked >= seen.changed  # an older one belonged to a file before
        # An empty file may be one that is about to be written: moving it would take it from under its writer.
        return seen.size > 0 and steady >= self._config.stable_seconds

    def _read(self, seen: Look) -> Content | None:
        """The file, or None when there is nothing to take: it changed, was taken before, or never can be."""
        try:
            content = read_whole(self._folder, seen, self._config.limits.file_bytes)
        except Unusable as unusable:
            self._refuse(seen, (unusable.finding,))
            return None
        if content is None or any(one.digest == content.digest for one in self._open.values()):
            return None
        if content.digest in self._ledger:
            self._note("files-duplicate", seen)
            self._move(seen, self._processed)
            return None
        return content

    def _claim(self, seen: Look) -> Claim | None:
        """A large file as a copy of its own; None as for `_read`."""
        limit = self._config.limits.record_file_bytes
        try:
            claimed = claim(self._folder, self._state, seen, limit)
        except Unusable as unusable:
            self._refuse(seen, (unusable.finding,))
            return None
        if claimed is not None and claimed.content.digest in self._ledger:
            self._note("files-duplicate", seen)
            self._move(seen, self._processed)
            claimed.forget()
            return None
        return claimed

    def _put_away(self, content: Content, ack: Ack) -> None:
        if ack.code in ("AA", "CA") or ack.taken:
            fault.reach(_ANSWERED)
            if ack.findings:
                notes = [str(finding) for finding in ack.findings]
                write_notes(self._processed, content.look.name, ".findings", notes)
            fault.reach(_NOTED)
            self._ledger.add(content.digest)
            fault.reach(_LEDGERED)
            self._move(content.look, self._processed)
            if ack.findings:
                self._note("files-with-findings", content.look, taken=str(ack.taken), answer=ack.code)
        elif ack.finding is not None and ack.finding.code.startswith("store-"):
            self._note("files-not-stored", content.look, reason=ack.finding.code)  # stays; taken again later
        else:
            findings = ack.findings or ((ack.finding,) if ack.finding else ())
            self._refuse(content.look, findings, ack.code)

    def _refuse(self, seen: Look, findings: Sequence[Finding], code: str = "") -> None:
        self._note(findings[0].code if findings else "files-refused", seen, answer=code)
        answer = [f"answered {code}"] if code else []
        write_notes(self._failed, seen.name, ".reason", answer + [str(finding) for finding in findings])
        self._move(seen, self._failed)

    def _move(self, seen: Look, folder: Path) -> None:
        """Nothing moves when the name belongs to another file by now: that one stays and is looked at."""
        if not is_still(self._folder, seen):
            return
        move(self._folder / seen.name, folder)
        fault.reach(_MOVED)
        if self._config.ready == "marker":
            (self._folder / (seen.name + MARKER)).unlink(missing_ok=True)

    def _note(self, code: str, seen: Look | None = None, **facts: str | None) -> None:
        self._counts[code] += 1
        file = file_tag(seen.name) if seen is not None else ""
        log.warning("files", code=code, source=self.name, file=file, **facts)


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
