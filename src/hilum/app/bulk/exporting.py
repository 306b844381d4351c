"""One bulk export at work: resources as they were at one commit, page by page, into sealed files.

After every few thousand resources the files are synced and how far the export is is committed: after a kill it goes on
from there, and the files are cut back to what was committed. Memory does not grow with what is exported.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from hilum.app.api.projections import Projection, projected
from hilum.app.api.sight import Sight
from hilum.app.bulk.asking import Export
from hilum.app.bulk.compartments import Ties, of_patients, ties_of
from hilum.app.bulk.sealed_files import SealedSize, SealedWriter
from hilum.formats import fhir
from hilum.formats.fhir import IssueSeverity, operation_outcome
from hilum.repository import Feed, Moment, Stored, Version, is_within
from hilum.safeguards import SUPPORTING_TYPES

__all__ = ["ExportFile", "ExportJob", "ExportState", "Exporter", "delete_job", "needs_of", "read_job", "write_job"]

PAGE = 200  # resources read at once
SAVE_AFTER = 5_000  # resources between two commits of how far it is
MOST_IN_FILE = 100_000  # lines of one file

NO_TIES = Ties((), ())
OPEN, DONE, FAILED = "open", "done", "failed"
ExportState = str


class ExportFile(Struct, frozen=True):
    """One file of an export. `kind` is its place in the manifest: output, deleted or error."""

    name: str
    type: str
    kind: str
    count: int = 0
    size: SealedSize = SealedSize()


class ExportJob(Struct, frozen=True):
    """One export as the store knows it; times in microseconds.

    `rid` is how far it is: through the store up to `moment.last_rid`, then through what the records refer to.
    """

    id: str
    actor: str
    asked: Export
    moment: Moment
    state: ExportState
    rid: int
    files: tuple[ExportFile, ...]
    code: str
    created: int
    ended: int

    @property
    def share(self) -> float:
        """How much of the store it has looked at, 0 to 0.99."""
        return min(0.99, self.rid / max(1, self.moment.last_rid))


_COLUMNS = "id, actor, asked, tick, at, state, rid, last_rid, files, code, created, ended"
SELECT = f"SELECT {_COLUMNS} FROM export_job"  # noqa: S608 - names of ours
_PUT = f"INSERT OR REPLACE INTO export_job ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_pack = msgspec.msgpack.encode


def read_job(row: tuple[Any, ...]) -> ExportJob:
    """A row of `SELECT`."""
    id_, actor, asked, tick, at, state, rid, last_rid, files, code, created, ended = row
    return ExportJob(
        id_,
        actor,
        msgspec.msgpack.decode(asked, type=Export),
        Moment(tick, at, last_rid),
        state,
        rid,
        msgspec.msgpack.decode(files, type=tuple[ExportFile, ...]),
        code,
        created,
        ended,
    )


def write_job(connection: Any, job: ExportJob, needs: Sequence[tuple[int, str]] = ()) -> None:
    """Put a job into the store, with more of what its records refer to: places in the order, `Practitioner/d1`."""
    asked, files, moment = _pack(job.asked), _pack(job.files), job.moment
    values = (job.id, job.actor, asked, moment.tick, moment.at, job.state, job.rid, moment.last_rid, files)
    connection.execute(_PUT, (*values, job.code, job.created, job.ended))
    connection.executemany("INSERT INTO export_need VALUES (?, ?, ?)", [(job.id, *one) for one in needs])
    if job.ended:
        connection.execute("DELETE FROM export_need WHERE job = ?", (job.id,))


def needs_of(connection: Any, job: ExportJob) -> list[str]:
    """What its records refer to, as far as it was found before the last commit."""
    sql = "SELECT name FROM export_need WHERE job = ? ORDER BY place"
    return [name for (name,) in connection.execute(sql, (job.id,))]


def delete_job(connection: Any, id_: str) -> None:
    """Take a job out of the store."""
    connection.execute("DELETE FROM export_job WHERE id = ?", (id_,))
    connection.execute("DELETE FROM export_need WHERE job = ?", (id_,))


class Exporter:
    """Writes the files of one export. Blocks; for a thread of its own."""

    def __init__(self, feed: Feed, job: ExportJob, needs: Sequence[str], folder: Path, key: bytes) -> None:
        self._feed, self._job, self._folder, self._key = feed, job, folder, key
        self._asked, self._sight = job.asked, Sight(job.asked.limits)
        self._types = frozenset(job.asked.types)
        self._is_supported = job.asked.is_of_patients and not self._types.isdisjoint(SUPPORTING_TYPES)
        self._looked_at = of_patients() if self._is_supported else self._types
        self._needs = dict.fromkeys(needs)
        self._order, self._saved_needs = list(needs), len(needs)
        self._patients = None if job.asked.patients is None else frozenset(job.asked.patients)
        self._files = {one.name: one for one in job.files}
        self._writers: dict[str, SealedWriter] = {}
        self._last: dict[tuple[str, str], str] = {}  # kind and type -> the file that is written to
        for one in job.files:
            self._last[one.kind, one.type] = one.name
        self._unsaved = 0
        self._rid = min(job.rid, job.moment.last_rid)
        self._place = job.rid - self._rid  # in the order of needs
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        for path in folder.iterdir():
            if path.name not in self._files:  # made after the last commit
                path.unlink()

    def step(self) -> bool:
        """One page; whether it is time to save."""
        if self._rid == 0 and not self._files:
            for note in self._asked.notes:
                self._note(note)
        if self._rid < self._job.moment.last_rid:
            found, self._rid = self._feed.page(self._job.moment, self._looked_at, self._rid, PAGE)
            for one in found:
                (self._take_deleted if one.stored.deleted else self._take)(one)
        else:
            names = self._order[self._place : self._place + PAGE]
            for name in names:
                self._take_supporting(name)
            self._place += len(names)
        self._unsaved += PAGE
        return self._unsaved >= SAVE_AFTER or self._is_done

    @property
    def _is_done(self) -> bool:
        return self._rid >= self._job.moment.last_rid and self._place >= len(self._order)

    def save(self) -> tuple[ExportJob, list[tuple[int, str]]]:
        """Sync the files; the job to commit, and what was found newly that its records refer to."""
        for name, writer in self._writers.items():
            self._files[name] = replace(self._files[name], size=writer.sync())
        self._unsaved = 0
        state = DONE if self._is_done else OPEN
        rid = self._rid + self._place
        self._job = replace(self._job, rid=rid, files=tuple(self._files.values()), state=state)
        new = list(enumerate(self._order[self._saved_needs :], self._saved_needs))
        self._saved_needs = len(self._order)
        return self._job, new

    def close(self) -> None:
        """Let go of the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _take(self, one: Version) -> None:
        ties = self._ties(one.stored)
        if ties is not None:
            self._need(ties)
            self._put(one.stored)

    def _take_deleted(self, one: Version) -> None:
        """A deletion is told to whom the version before it could be told."""
        stored = one.stored
        if not self._asked.since or not stored.id or stored.type not in self._types or self._is_before(stored):
            return
        before = self._feed.version(stored.type, one.rid, stored.version - 1)
        if before is not None and not before.deleted and self._ties(before) is not None:
            self._append("deleted", "Bundle", _deletion(stored))

    def _ties(self, stored: Stored) -> Ties | None:
        """None where it is not of the patients that are asked for, or may not be seen."""
        ties = NO_TIES
        if self._asked.is_of_patients:
            ties = ties_of(stored)
            if not ties.belongs(self._patients):
                return None
        return ties if self._sight.sees(stored) else None

    def _take_supporting(self, name: str) -> None:
        """What a record refers to, which may refer to more."""
        type_, _, id_ = name.partition("/")
        stored = self._feed.named(self._job.moment, type_, id_)
        if stored is not None and not stored.deleted and self._sight.sees(stored):
            self._need(ties_of(stored))
            self._put(stored)

    def _need(self, ties: Ties) -> None:
        """Remember what a resource refers to, whether or not it is asked for itself."""
        if self._is_supported:
            for name in ties.supporting:
                if name not in self._needs:
                    self._needs[name] = None
                    self._order.append(name)

    def _put(self, stored: Stored) -> None:
        asked = self._asked
        if stored.type not in self._types or self._is_before(stored) or not _passes(stored, asked):
            return
        body = stored.body if b"\n" not in stored.body else fhir.encode(fhir.decode(stored.body))
        if asked.elements:
            names = (*asked.elements.get("", ()), *asked.elements.get(stored.type, ()))
            body = projected(stored.type, body, Projection(elements=names)) if names else body
        self._append("output", stored.type, body)

    def _is_before(self, stored: Stored) -> bool:
        return bool(self._asked.since) and stored.updated // 1000 < self._asked.since

    def _note(self, text: str) -> None:
        issue = fhir.Issue(type="not-supported", text=text, code="parameter-ignored", severity=IssueSeverity.WARNING)
        self._append("error", "OperationOutcome", operation_outcome([issue]))

    def _append(self, kind: str, type_: str, line: bytes) -> None:
        name = self._last.get((kind, type_), "")
        if not name or self._files[name].count >= MOST_IN_FILE:
            name = self._begin(kind, type_)
        if name not in self._writers:
            self._writers[name] = SealedWriter(self._folder / name, self._key, self._files[name].size)
        self._writers[name].write(line + b"\n")
        self._files[name] = replace(self._files[name], count=self._files[name].count + 1)

    def _begin(self, kind: str, type_: str) -> str:
        before = self._last.get((kind, type_))
        if before is not None and before in self._writers:  # full: synced and closed here, told with the next commit
            writer = self._writers.pop(before)
            self._files[before] = replace(self._files[before], size=writer.sync())
            writer.close()
        number = 1 + sum(one.kind == kind and one.type == type_ for one in self._files.values())
        prefix = "" if kind == "output" else f"{kind}-"
        name = f"{prefix}{type_}.{number}.ndjson"
        self._files[name] = ExportFile(name, type_, kind)
        self._last[kind, type_] = name
        return name


def _deletion(stored: Stored) -> bytes:
    """Bulk Data Access IG 2.0, deleted: a transaction that takes it away."""
    request = {"method": "DELETE", "url": f"{stored.type}/{stored.id}"}
    return msgspec.json.encode({"resourceType": "Bundle", "type": "transaction", "entry": [{"request": request}]})


def _passes(stored: Stored, asked: Export) -> bool:
    filters = asked.filters.get(stored.type)
    return not filters or is_within(stored, filters)
