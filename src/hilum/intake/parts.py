"""Large files of records and sheets, taken part by part: memory holds one, and the file is taken whole or not at all.

A file is copied into the state folder first. From the moment that the copy is there (its `.json` is written last, and
synced) every record of it gets into the journal, whatever is killed and whatever becomes of the file itself: at the
next start the copy is handed over again, and the journal knows by `Arrival.once` which parts it has. A file that is
none of its format is refused before anything of it is handed over: lines are looked through, a sheet is written out as
lines beside its copy.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from hilum.errors import FormatError
from hilum.formats import records
from hilum.intake.folder import Content, Look, file_tag, open_seen, same_file
from hilum.model import Ack, Arrival, Finding, Part
from hilum.protocols import sync_folder, write_all
from hilum.store import fault

__all__ = ["LARGE", "Claim", "PartedFile", "claim", "leftovers"]

LARGE = 1024 * 1024  # bytes; a smaller file is one arrival
PART = 256 * 1024  # bytes handed over at once: few enough that nobody else waits long for the journal
MOST_FINDINGS = 1000  # kept for the notes beside a file; the others are counted
KEPT = 64 * 1024  # bytes of a refused file that the journal keeps
_CHUNK = 1024 * 1024
_PREFIX = "taking-"
_PARTIAL = f"{_PREFIX}partial"

_COPIED = fault.declare("parts.copied", "a large file is copied, nothing says yet that the copy is whole")
_CLAIMED = fault.declare("parts.claimed", "a large file is to be taken whole, nothing of it is handed over")
_HANDED = fault.declare("parts.handed", "the journal has a part of a large file, and not the others")


class Claim(Struct, frozen=True):
    """A large file that is being taken. `copy` is where its bytes lie."""

    content: Content  # without its body
    copy: Path

    def forget(self) -> None:
        """The file is put away: the copy goes, what says that it is whole first."""
        _facts(self.copy).unlink(missing_ok=True)
        self.rows.unlink(missing_ok=True)
        self.copy.unlink(missing_ok=True)

    @property
    def rows(self) -> Path:
        """Where a sheet lies as lines; made anew whenever the copy is handed over."""
        return self.copy.with_name(f"{self.copy.name}.rows")


class _Facts(Struct):
    """What is written beside a copy. Names are bytes for the disk, so they are kept as hexadecimal digits."""

    name: str
    numbers: tuple[int, int, int, int, int]  # inode, size, changed, mode, put
    digest: str


def _facts(copy: Path) -> Path:
    return copy.with_name(f"{copy.name}.json")


def claim(folder: Path, state: Path, seen: Look, limit: int) -> Claim | None:
    """Copy a file that still is what was seen; None when it is gone or still changing. Raises Unusable, OSError."""
    descriptor = open_seen(folder, seen, limit)
    if descriptor is None:
        return None
    partial = state / _PARTIAL
    with os.fdopen(descriptor, "rb") as file:
        digest = _copy(file.fileno(), partial)
        if not same_file(os.fstat(file.fileno()), seen):
            partial.unlink()
            return None
    content = Content(seen, b"", digest)
    copy = state / f"{_PREFIX}{content.once.hex()}"
    partial.replace(copy)
    fault.reach(_COPIED)
    numbers = (seen.inode, seen.size, seen.changed, seen.mode, seen.put)
    facts = _Facts(os.fsencode(seen.name).hex(), numbers, digest.hex())
    beside = partial.with_suffix(".json")
    _write(beside, msgspec.json.encode(facts))
    beside.replace(_facts(copy))
    sync_folder(state)
    fault.reach(_CLAIMED)
    return Claim(content, copy)


def _copy(source: int, target: Path) -> bytes:
    """The SHA-256 of what was copied, which is on the disk."""
    found = hashlib.sha256()
    with os.fdopen(_opened(target), "wb") as file:
        while chunk := os.read(source, _CHUNK):
            found.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return found.digest()


def _opened(target: Path) -> int:
    return os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _write(target: Path, data: bytes) -> None:
    descriptor = _opened(target)
    try:
        write_all(descriptor, data)
    finally:
        os.close(descriptor)


def leftovers(state: Path) -> list[Claim]:
    """Files that a process left while it took them, oldest first. Copies that never became whole are removed."""
    found = []
    for path in sorted(state.glob(f"{_PREFIX}*")):
        facts = _facts(path)
        if path.name.startswith(_PARTIAL):
            path.unlink()
        elif path.suffix == ".json":
            if not path.with_suffix("").exists():
                path.unlink()
        elif not facts.exists():
            path.unlink()
        else:
            said = msgspec.json.decode(facts.read_bytes(), type=_Facts)
            inode, size, changed, mode, put = said.numbers
            seen = Look(os.fsdecode(bytes.fromhex(said.name)), inode, size, changed, mode, put)
            found.append(Claim(Content(seen, b"", bytes.fromhex(said.digest)), path))
    return sorted(found, key=lambda one: (one.content.look.changed, one.content.look.name))


class PartedFile:
    """One large file on its way: its parts one after the other, and what was said of them."""

    def __init__(
        self, source: str, claimed: Claim, format_: records.Format, arrive: Callable[[Arrival], None], wait: float
    ) -> None:
        """`arrive` hands one part over; `wait` is how long an answer is awaited when the source closes, seconds."""
        self._source, self._claim, self._format = source, claimed, format_
        self._arrive, self._wait = arrive, wait
        self._findings: list[Finding] = []
        self._more = self._taken = 0

    async def hand_over(self, is_closed: Callable[[], bool]) -> Ack | None:
        """The answer to the whole file; None when it is to be handed over again: stopped, or not stored."""
        refused = await asyncio.to_thread(_problem, self._claim, self._format)
        if refused is not None:
            with self._claim.copy.open("rb") as file:
                return await self._send(file.read(KEPT), None, refused, is_closed)
        is_sheet = isinstance(self._format, records.Spreadsheet)
        with (self._claim.rows if is_sheet else self._claim.copy).open("rb") as file:
            tag = self._claim.content.digest.hex()[:16]
            parts = records.split_records(file, self._format, tag, PART)
            while (found := await asyncio.to_thread(_next, parts)) is not None:
                ack = None if is_closed() else await self._send(found[1], found[0], None, is_closed)
                if ack is None or (ack.finding is not None and ack.finding.code.startswith("store-")):
                    return None
                self._note(found[0], ack)
                fault.reach(_HANDED)
        if self._more:
            text = f"{self._more} more were found; `hilum messages list` has them all"
            self._findings.append(Finding("files-findings-left-out", text))
        code, worst = ("AA", None) if self._taken or not self._findings else ("AR", self._findings[0])
        return Ack(code, b"", worst, self._taken, tuple(self._findings))

    async def _send(
        self, body: bytes, part: Part | None, refused: Finding | None, is_closed: Callable[[], bool]
    ) -> Ack | None:
        answered: asyncio.Future[Ack] = asyncio.get_running_loop().create_future()

        def answer(ack: Ack) -> None:
            if not answered.done():
                answered.set_result(ack)

        content = self._claim.content
        line = part.line if part is not None else 0
        once = hashlib.sha256(content.once + line.to_bytes(8, "big")).digest()[:16]
        peer, now = file_tag(content.look.name), time.time_ns() // 1000
        self._arrive(Arrival(self._source, peer, now, body, answer, refused, once=once, part=part))
        patience = self._wait
        while not answered.done():
            await asyncio.wait({answered}, timeout=0.2)
            patience -= 0.2 if is_closed() else 0
            if patience < 0:
                return None
        return answered.result()

    def _note(self, part: Part, ack: Ack) -> None:
        self._taken += ack.taken or ack.code in ("AA", "CA")
        found = list(ack.findings)
        if ack.finding is not None and not ack.taken and ack.code not in ("AA", "CA"):
            found.insert(0, Finding(ack.finding.code, ack.finding.message, f"the part that begins in line {part.line}"))
        room = max(0, MOST_FINDINGS - len(self._findings))
        self._findings += found[:room]
        self._more += len(found) - len(found[:room])


def _next(parts: Iterator[tuple[Part, bytes]]) -> tuple[Part, bytes] | None:
    return next(parts, None)


def _problem(claimed: Claim, format_: records.Format) -> Finding | None:
    """Why a file is none of its format. A sheet that is one lies as lines in `Claim.rows` afterwards."""
    try:
        with claimed.copy.open("rb") as file:
            if not isinstance(format_, records.Spreadsheet):
                records.check_file(file, format_)
            else:
                with os.fdopen(_opened(claimed.rows), "wb") as rows:
                    records.unpack_sheet(file, format_, rows)
    except FormatError as error:
        return Finding(error.code, error.message, error.location)
    return None
