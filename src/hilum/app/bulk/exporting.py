"""One bulk export at work: resources as they were at one commit, page by page, into sealed files.

After every few thousand resources the files are synced and how far the export is is committed: after a kill it goes on
from there, and the files are cut back to what was committed. Memory does not grow with what is exported.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from hilum import definitions
from hilum.app.api.projections import Projection, projected
from hilum.app.api.sight import Sight
from hilum.app.bulk.asking import Export
from hilum.app.bulk.sealed_files import SealedSize, SealedWriter
from hilum.formats import fhir
from hilum.formats.fhir import IssueSeverity, operation_outcome
from hilum.repository import Feed, Moment, Stored, is_within

__all__ = ["ExportFile", "ExportJob", "ExportState", "Exporter", "read_job", "write_job"]

PAGE = 200  # resources read at once
SAVE_AFTER = 5_000  # resources between two commits of how far it is
MOST_IN_FILE = 100_000  # lines of one file

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
    """One export as the store knows it; times in microseconds."""

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
        """How much of the store it has looked at, 0 to 1."""
        return self.rid / self.moment.last_rid if self.moment.last_rid else 1.0

    @property
    def is_at_end(self) -> bool:
        """Whether all was looked at."""
        return self.rid >= self.moment.last_rid


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


def write_job(connection: Any, job: ExportJob) -> None:
    """Put a job into the store."""
    asked, files, moment = _pack(job.asked), _pack(job.files), job.moment
    values = (job.id, job.actor, asked, moment.tick, moment.at, job.state, job.rid, moment.last_rid, files)
    connection.execute(_PUT, (*values, job.code, job.created, job.ended))


class Exporter:
    """Writes the files of one export. Blocks; for a thread of its own."""

    def __init__(self, feed: Feed, job: ExportJob, folder: Path, key: bytes) -> None:
        self._feed, self._job, self._folder, self._key = feed, job, folder, key
        self._asked, self._sight = job.asked, Sight(job.asked.limits)
        self._patients = None if job.asked.patients is None else frozenset(job.asked.patients)
        self._files = {one.name: one for one in job.files}
        self._writers: dict[str, SealedWriter] = {}
        self._last: dict[tuple[str, str], str] = {}  # kind and type -> the file that is written to
        for one in job.files:
            self._last[one.kind, one.type] = one.name
        self._unsaved = 0
        self._rid = job.rid
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
        found, self._rid = self._feed.page(self._job.moment, self._asked.types, self._rid, PAGE)
        for one in found:
            self._take(one.stored)
        self._unsaved += PAGE
        return self._unsaved >= SAVE_AFTER or self._rid >= self._job.moment.last_rid

    def save(self) -> ExportJob:
        """Sync the files; the job to commit."""
        for name, writer in self._writers.items():
            self._files[name] = replace(self._files[name], size=writer.sync())
        self._unsaved = 0
        self._job = replace(self._job, rid=self._rid, files=tuple(self._files.values()))
        return self._job

    def close(self) -> None:
        """Let go of the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _take(self, stored: Stored) -> None:
        asked = self._asked
        if asked.since and stored.updated // 1000 < asked.since:
            return
        if stored.deleted:
            # who it belonged to is not known any more: only whole stores tell of deletions
            if asked.since and stored.id and not asked.is_of_patients and self._sight.sees(stored):
                self._append("deleted", "Bundle", _deletion(stored))
            return
        if asked.is_of_patients and not _belongs(stored, self._patients):
            return
        if not self._sight.sees(stored) or not _passes(stored, asked):
            return
        body = stored.body if b"\n" not in stored.body else fhir.encode(fhir.decode(stored.body))
        if asked.elements:
            names = (*asked.elements.get("", ()), *asked.elements.get(stored.type, ()))
            body = projected(stored.type, body, Projection(elements=names)) if names else body
        self._append("output", stored.type, body)

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


def _belongs(stored: Stored, patients: frozenset[str] | None) -> bool:
    """Whether it is in the compartment of one of these patients, or of any."""
    if stored.type == "Patient":
        return patients is None or stored.id in patients
    numbers = _ties(stored.type)
    body = stored.body
    for number, target, _ in fhir.facts_of(stored.type, body).references:
        type_, _, id_ = target.partition("/")
        if number in numbers and type_ == "Patient" and (patients is None or id_ in patients):
            return True
    return False


@lru_cache(maxsize=256)
def _ties(type_: str) -> frozenset[int]:
    """The parameters by which a type belongs to a patient (R4 compartmentdefinition-patient.html)."""
    names: Mapping[str, Any] = definitions.compartment("Patient")
    found = (fhir.find_parameter(type_, name) for name in names.get(type_, ()))
    return frozenset(one.number for one in found if one is not None)
