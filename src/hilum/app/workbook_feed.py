"""Messages for commands that run a workbook over many: of the journal by their numbers, or of files; in processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any, Generic, TypeVar

from msgspec import Struct, structs

from hilum.app.memory import settle_memory
from hilum.app.opening import Opened, open_folder
from hilum.app.record_show import RecordSource, record_source
from hilum.app.record_show import opened as opened_records
from hilum.errors import ConfigError, FormatError, HilumError, NotFound
from hilum.formats import hl7v2, records
from hilum.journal import MessageQuery
from hilum.mapping import Context

__all__ = ["Fed", "Feed", "Part", "Work", "feed_of_files", "feed_of_journal", "run_parts", "when_of"]

PAGE = 1_000
PART = 2_500  # messages of a part: its tally is small, and parts give the same whatever process takes them
ALONE = 2 * PART  # below this other processes are not worth their start

Result = TypeVar("Result")


class Fed(Struct, frozen=True):
    """One message, or why it is not to be had (`code`). `name`: its number in the journal, or `file:index`."""

    at: int
    name: str
    body: bytes = b""
    context: Context = Context()
    charset: str = "utf-8"
    code: str = ""


class Part(Struct, frozen=True):
    """Some messages: numbers of a journal, places of files (file, index from 0, count), or a file of records."""

    seqs: tuple[int, ...] = ()
    files: tuple[tuple[str, int, int, int], ...] = ()  # (file, first, count, order of the first)
    described: tuple[str, RecordSource, int, int] | None = None  # (file, how it is written, count, order of the first)

    def __len__(self) -> int:
        beside = self.described[2] if self.described is not None else 0
        return len(self.seqs) + sum(count for _, _, count, _ in self.files) + beside


class Feed(Struct, frozen=True):
    """Where messages come from, in parts; `left_out` were told apart by kind and sender and need not be read."""

    parts: tuple[Part, ...]
    folder: Path | None = None
    environment: str | None = None
    left_out: int = 0

    @property
    def total(self) -> int:
        """Messages, those left out too."""
        return self.left_out + sum(map(len, self.parts))


def when_of(text: str) -> int:
    """Microseconds of `2026-03-01` or `2026-03-01T08:00:00Z`; UTC where no zone is said. Raises ConfigError."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        message = f"`{text}` is no time such as 2026-03-01 or 2026-03-01T08:00:00Z"
        raise ConfigError(message, code="time-invalid") from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1_000_000)


def feed_of_journal(
    opened: Opened, environment: str | None, *, last: int, since: int, skips: Callable[[str, str], bool]
) -> Feed:
    """The last messages that were not refused at the door, or all since a time. `skips(kind, sender)` leaves out."""
    seqs: list[int] = []
    left_out = 0
    after = ""
    while last <= 0 or len(seqs) + left_out < last:
        page = opened.journal.messages(MessageQuery(since=since, limit=PAGE, after=after))
        for found in page.messages:
            if found.envelope.disposition.is_refusal or (0 < last <= len(seqs) + left_out):
                continue
            if skips(found.envelope.kind, found.envelope.sender):
                left_out += 1
            else:
                seqs.append(found.seq)
        after = page.next
        if not after:
            break
    seqs.sort()
    parts = [Part(seqs=tuple(seqs[at : at + PART])) for at in range(0, len(seqs), PART)]
    return Feed(tuple(parts), opened.tree.folder, environment, left_out)


def feed_of_files(files: Sequence[Path], folder: Path) -> Feed:
    """Every message of every file, batches taken apart; every record of files that a source of the folder describes.

    Raises OSError, or ConfigError when several sources describe a file.
    """
    parts: list[Part] = []
    gathered: list[tuple[str, int, int, int]] = []
    order = 0
    for path in sorted(_expanded(files)):
        source = record_source(folder, path, "")
        if source is not None:
            count = sum(1 for _ in _records_in(str(path), source, order))
            parts.append(Part(described=(str(path), source, count, order)))
            order += count
            continue
        count = len(_messages_in(path))
        for first in range(0, count, PART):
            gathered.append((str(path), first, min(PART, count - first), order))
            order += gathered[-1][2]
            if sum(one[2] for one in gathered) >= PART:
                parts.append(Part(files=tuple(gathered)))
                gathered = []
    if gathered:
        parts.append(Part(files=tuple(gathered)))
    return Feed(tuple(parts))


def _expanded(files: Sequence[Path]) -> Iterator[Path]:
    for path in files:
        if path.is_dir():
            yield from (one for one in path.rglob("*") if one.is_file() and not one.name.startswith("."))
        else:
            yield path


def _messages_in(path: Path) -> Sequence[bytes]:
    raw = path.read_bytes()
    return hl7v2.split_batch(raw).messages if hl7v2.is_batch(raw) else [raw]


def _records_in(file: str, source: RecordSource, order: int) -> Iterator[Fed]:
    """The records of a file as they are read; a file that is none of its format has one, which cannot be had."""
    path = Path(file)
    context = Context(source.name, source.format.sender_of(source.name))
    at = order - 1
    try:
        with opened_records(path, source) as content:
            for at, found in enumerate(records.read_records(content, source.format), order):
                code = found.finding.code if found.finding is not None else ""
                then = structs.replace(context, sent_at=found.at)
                yield Fed(at, f"{path.name}:{found.line}", found.body, then, code=code)
    except FormatError as error:
        yield Fed(at + 1, path.name, code=error.code)


def messages_of(part: Part, opened: Opened | None) -> Iterator[Fed]:
    """The messages of one part, in order."""
    for seq in part.seqs:
        assert opened is not None
        try:
            message = opened.journal.get(seq)
        except NotFound as error:  # retention may take it away meanwhile
            yield Fed(seq, str(seq), code=error.code)
            continue
        envelope = message.envelope
        yield Fed(seq, str(seq), message.body, Context.of(envelope), envelope.charset)
    if part.described is not None:
        name, source, _, start = part.described
        yield from _records_in(name, source, start)
    for file, first, count, order in part.files:
        for index, body in enumerate(_messages_in(Path(file))[first : first + count], first):
            admission = hl7v2.admit(body, hl7v2.Rules(), source="file", received_at=0)
            name = f"{Path(file).name}:{index + 1}"
            yield Fed(order + index - first, name, body, Context.of(admission.envelope), admission.envelope.charset)


class Work(Generic[Result]):
    """What a process does with a part. It is sent to other processes, so it holds what can be pickled; `prepare` is
    called once in each."""

    def prepare(self) -> None:
        """Compile what is needed."""
        raise NotImplementedError

    def take(self, messages: Iterator[Fed]) -> Result:
        """Run over one part."""
        raise NotImplementedError


def run_parts(feed: Feed, work: Work[Result], *, processes: int = 0) -> Iterator[tuple[int, Result]]:
    """(messages, result) of each part, in any order; in as many processes as there are cores, or in this (1)."""
    wanted = processes or min(os.cpu_count() or 1, 8)
    if wanted == 1 or feed.total - feed.left_out <= ALONE:
        work.prepare()
        with _opened(feed) as opened:
            for part in feed.parts:
                yield len(part), work.take(messages_of(part, opened))
        return
    context = multiprocessing.get_context("spawn")  # a store that is open must not be taken along by a fork
    with ProcessPoolExecutor(wanted, context, _begin, (feed, work)) as pool:
        try:
            for done in as_completed([pool.submit(_take, part) for part in feed.parts]):
                yield done.result()
        except BrokenProcessPool:
            message = "a process that runs messages ended; with less memory in use elsewhere it may go through"
            raise HilumError(message, code="process-ended") from None
        except BaseException:  # Ctrl-C, or a reader who has seen enough: nobody waits for parts that are under way
            for child in multiprocessing.active_children():
                child.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def _opened(feed: Feed) -> Iterator[Opened | None]:
    if feed.folder is None:
        yield None
        return
    with open_folder(feed.folder, feed.environment) as opened:
        yield opened


_HERE: dict[str, Any] = {}  # of a process that takes parts: its work and its open store


def _begin(feed: Feed, work: Work[Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the first process, which ends the others
    work.prepare()
    settle_memory()
    stack = ExitStack()
    _HERE.update(work=work, opened=stack.enter_context(_opened(feed)))
    Finalize(None, stack.close, exitpriority=10)  # a process does not end while the store's threads run


def _take(part: Part) -> tuple[int, Any]:
    return len(part), _HERE["work"].take(messages_of(part, _HERE["opened"]))
