"""Loading files of FHIR resources: read, judge, write, a few hundred resources in a commit.

What a commit writes, where the load goes on after it, its counts and its audit row are one transaction: a kill at any
point neither loses nor doubles anything. While one commit is on its way to the disk the next resources are judged.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from hilum.app.bulk.findings import Findings
from hilum.app.bulk.jobs import Counts, Job, Place, begin, finish, move
from hilum.app.bulk.judges import Judges, process_count
from hilum.app.bulk.judging import Policy, Unit
from hilum.app.bulk.sources import SourceFile, bodies, digest_of
from hilum.errors import HilumError, StoreError
from hilum.formats.fhir import Issue
from hilum.journal import SqliteJournal
from hilum.model import AuditEvent
from hilum.repository import Aftermath, Did, SqliteRepository, WriteRefused, Written
from hilum.store import Store, fault

__all__ = ["LoadResult", "Loader", "load", "loads_folder"]

BATCH = 500  # resources in a commit
BATCH_BYTES = 4 * 1024 * 1024

fault.declare("load.after_commit", "a part of a load is on the disk, the next one is not begun")
_HELD = "INSERT INTO load_held (job, file, line, code, body) VALUES (?, ?, ?, ?, ?)"

Tell = Callable[[int, Counts], None]  # bytes of all files that were read, what came of them


class LoadResult(Struct, frozen=True):
    """What a load did, over all its runs. `findings` is the file with them, if there are any."""

    id: int
    counts: Counts
    findings: Path | None
    is_resumed: bool
    seconds: float


class _Part(Struct):
    """What goes into one commit."""

    units: list[tuple[int, int, Unit]] = []  # file, line
    records: set[str] = set()
    size: int = 0
    place: Place = Place()

    def takes(self, unit: Unit) -> bool:
        """No resource twice in a commit, and what asks the store first goes alone."""
        if not self.units:
            return True
        if _is_asking(unit) or _is_asking(self.units[-1][2]):
            return False
        return not any(f"{one.type}/{one.id}" in self.records for one in unit.changes)

    def add(self, file: int, line: int, unit: Unit, size: int) -> None:
        self.units.append((file, line, unit))
        self.records.update(f"{one.type}/{one.id}" for one in unit.changes)
        self.size += size

    @property
    def is_full(self) -> bool:
        return len(self.records) >= BATCH or len(self.units) >= BATCH or self.size >= BATCH_BYTES


def loads_folder(store: Store) -> Path:
    """Where findings files lie."""
    return store.path.parent / "loads"


async def load(
    store: Store,
    journal: SqliteJournal,
    repository: SqliteRepository,
    files: Sequence[SourceFile],
    *,
    packages: Path | None,
    policy: Policy,
    actor: str,
    tell: Tell = lambda _read, _counts: None,
    processes: int | None = None,
) -> LoadResult:
    """Load these files, or go on with them. `tell` hears after each commit. Raises HilumError; then run it again.

    `packages` is the folder with the packages to validate by. As many processes validate as pay, unless it is said.
    """
    began = time.monotonic()
    digest, now = digest_of(files, policy.value), time.time_ns() // 1000

    def start(connection: Any) -> Job:
        job = begin(connection, digest, now)
        size = sum(one.size for one in files)
        what = f"{'resumed' if job.is_resumed else 'begun'} files={len(files)} bytes={size} policy={policy.value}"
        journal.audit_in(connection, [AuditEvent(now, actor, "load", f"load/{job.id}", detail=what)])
        return job

    job = await store.write(start)
    findings = Findings(loads_folder(store) / f"load-{job.id}.findings.ndjson", job.findings)
    count = process_count(sum(one.size for one in files)) if processes is None else processes
    judges = Judges(packages, policy, count)
    loader = Loader(repository, files, judges, policy, actor, findings, job)
    try:
        ended = await loader.run(tell)
    finally:
        findings.close()
        judges.close()

    def end(connection: Any) -> None:
        finish(connection, ended, time.time_ns() // 1000)
        what = f"finished {_said(ended.counts)}"
        journal.audit_in(
            connection, [AuditEvent(time.time_ns() // 1000, actor, "load", f"load/{ended.id}", detail=what)]
        )
        if ended.counts.created or ended.counts.updated:
            connection.execute("PRAGMA analysis_limit = 1000")
            connection.execute("ANALYZE")

    await store.write(end)
    path = findings.path if findings.size else None
    return LoadResult(ended.id, ended.counts, path, job.is_resumed, time.monotonic() - began)


class Loader:
    """One run of a load."""

    def __init__(
        self,
        repository: SqliteRepository,
        files: Sequence[SourceFile],
        judges: Judges,
        policy: Policy,
        actor: str,
        findings: Findings,
        job: Job,
    ) -> None:
        self._repository, self._files, self._judges, self._policy = repository, files, judges, policy
        self._actor, self._findings, self._job = actor, findings, job

    async def run(self, tell: Tell) -> Job:
        """All that is left; the job as it then stands."""
        under_way: asyncio.Task[None] | None = None
        try:
            for part, read in self._parts():
                if under_way is not None:
                    await under_way
                    tell(read, self._job.counts)
                under_way = asyncio.create_task(self._commit(part))
                await asyncio.sleep(0)  # it is with the writer before the next part is judged
        finally:
            if under_way is not None:
                await under_way
        tell(sum(one.size for one in self._files), self._job.counts)
        return self._job

    def _parts(self) -> Iterator[tuple[_Part, int]]:
        """What is left, in parts that fit into a commit, with the bytes of all files that were read by then."""
        before = sum(one.size for one in self._files[: self._job.place.file])
        for index in range(self._job.place.file, len(self._files)):
            file = self._files[index]
            place = self._job.place if index == self._job.place.file else Place(index)
            yield from self._parts_of(index, file, place, before)
            before += file.size

    def _parts_of(self, index: int, file: SourceFile, place: Place, before: int) -> Iterator[tuple[_Part, int]]:
        part = _Part(place=place)
        read = 0
        given = self._lines(index, file, place) if file.has_lines else self._entries(index, file, place)
        for units, line, size, after, read in given:
            for unit in units:
                if not part.takes(unit):
                    yield part, before + read
                    part = _Part(place=part.place)
                part.add(index, line, unit, size // max(1, len(units)))
            part.place = after
            if part.is_full:
                yield part, before + read
                part = _Part(place=after)
        part.place = Place(index + 1)
        yield part, before + file.size

    def _lines(
        self, index: int, file: SourceFile, place: Place
    ) -> Iterator[tuple[Sequence[Unit], int, int, Place, int]]:
        for body, units in self._judges.judged(bodies(file, place.line, place.offset)):
            yield units, body.line, len(body.raw or b""), Place(index, body.line, body.offset), body.read

    def _entries(
        self, index: int, file: SourceFile, place: Place
    ) -> Iterator[tuple[Sequence[Unit], int, int, Place, int]]:
        for body in bodies(file):
            count = 0
            for count, unit in enumerate(self._judges.units(body), 1):
                if count > place.line:
                    yield [unit], 1, 0, Place(index, count), 0
                    place = Place(index, count)

    async def _commit(self, part: _Part) -> None:
        """Write one part; what the store refuses of it is left out, and told."""
        units = list(part.units)
        while True:
            taken = [one for one in units if not one[2].errors]
            changes = [change for _, _, unit in taken for change in unit.changes]
            references = {name: query for _, _, unit in taken for name, query in unit.references.items()}
            for file, line, unit in units:
                self._findings.add(self._files[file].name, line, unit)
            size = self._findings.sync()
            moved = self._job

            def then(written: Sequence[Written], units: Any = units, size: int = size) -> Aftermath:
                nonlocal moved
                counts = self._counts(written, units)
                now = time.time_ns() // 1000
                seqs = [one.stored.seq for one in written if one.stored is not None and one.did in _MADE]
                which = f" writes={min(seqs)}..{max(seqs)}" if seqs else ""
                target = f"load/{self._job.id}#{part.place.file}:{part.place.line}"
                audit = AuditEvent(now, self._actor, "load", target, detail=_said(counts) + which)

                def also(connection: Any) -> None:
                    nonlocal moved
                    moved = move(connection, self._job, part.place, size, counts)
                    connection.executemany(_HELD, self._held(units))

                return Aftermath([audit], also=also)

            try:
                await self._repository.write(changes, references=references, then=then)
            except StoreError:
                raise
            except HilumError as error:
                self._cut_back()
                units = _blamed(units, taken, error)
                continue
            self._job = moved
            fault.reach("load.after_commit")
            return

    def _cut_back(self) -> None:
        """Findings without those of a part that was not written."""
        self._findings.cut(self._job.findings)

    def _counts(self, written: Sequence[Written], units: Sequence[tuple[int, int, Unit]]) -> Counts:
        dids = [one.did for one in written]
        refused = sum(bool(unit.errors) for _, _, unit in units)
        is_held = self._policy is Policy.HOLD
        return Counts(
            created=dids.count(Did.CREATED),
            updated=dids.count(Did.UPDATED),
            unchanged=dids.count(Did.UNCHANGED) + dids.count(Did.FOUND) + dids.count(Did.ABSENT),
            deleted=dids.count(Did.DELETED),
            rejected=0 if is_held else refused,
            held=refused if is_held else 0,
            warned=sum(bool(unit.notes) and not unit.errors for _, _, unit in units),
        )

    def _held(self, units: Sequence[tuple[int, int, Unit]]) -> list[tuple[int, str, int, str, bytes]]:
        if self._policy is not Policy.HOLD:
            return []
        return [
            (self._job.id, self._files[file].name, line, unit.errors[0].code, unit.body)
            for file, line, unit in units
            if unit.errors
        ]


_MADE = (Did.CREATED, Did.UPDATED, Did.DELETED)


def _is_asking(unit: Unit) -> bool:
    return bool(unit.references) or any(one.where is not None for one in unit.changes)


def _blamed(
    units: list[tuple[int, int, Unit]], taken: Sequence[tuple[int, int, Unit]], error: HilumError
) -> list[tuple[int, int, Unit]]:
    """The same units, of which the one that the store refused has an error. What asks the store stands alone."""
    index = error.index if isinstance(error, WriteRefused) else -1
    culprit = taken[-1]
    for one in taken if index >= 0 else ():
        index -= len(one[2].changes)
        if index < 0:
            culprit = one
            break
    issue = Issue("processing", error.message, error.code)
    return [(f, n, replace(unit, errors=(issue,), changes=()) if unit is culprit[2] else unit) for f, n, unit in units]


def _said(counts: Counts) -> str:
    return " ".join(f"{name}={value}" for name in counts.__struct_fields__ if (value := getattr(counts, name)))
