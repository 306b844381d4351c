"""The row of a load in the store: where it goes on, and what it has done so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from hilum.errors import StoreError

if TYPE_CHECKING:
    import apsw

__all__ = ["Counts", "Job", "Place", "begin", "finish", "move"]


class Place(Struct, frozen=True):
    """Where a load goes on: after this many lines (or entries of a bundle) and bytes of this file."""

    file: int = 0
    line: int = 0
    offset: int = 0


class Counts(Struct, frozen=True):
    """What came of resources, and of bodies that were not taken."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    rejected: int = 0
    held: int = 0
    warned: int = 0  # taken with findings

    def plus(self, more: Counts) -> Counts:
        """Both together."""
        return Counts(*(getattr(self, name) + getattr(more, name) for name in self.__struct_fields__))

    @property
    def taken(self) -> int:
        """Resources that are in the store as they were given."""
        return self.created + self.updated + self.unchanged + self.deleted


class Job(Struct, frozen=True):
    """One load. `is_resumed`: it was begun before."""

    id: int
    place: Place
    findings: int
    counts: Counts
    is_resumed: bool = False


_COLUMNS = ", ".join(Counts.__struct_fields__)
_OPEN = f"SELECT id, file, line, offset, findings, {_COLUMNS} FROM load_job WHERE digest = ? AND finished = 0"  # noqa: S608
_BEGIN = "INSERT INTO load_job (digest, started) VALUES (?, ?) RETURNING id"
_MOVE = (
    "UPDATE load_job SET file = ?, line = ?, offset = ?, findings = ?, "  # noqa: S608 - names of ours
    f"{', '.join(f'{name} = ?' for name in Counts.__struct_fields__)} "
    "WHERE id = ? AND file = ? AND line = ? AND offset = ? AND finished = 0"
)
_FINISH = "UPDATE load_job SET finished = ? WHERE id = ?"


def begin(connection: apsw.Connection, digest: str, now: int) -> Job:
    """The load of these files that was not finished, or a new one."""
    found = connection.execute(_OPEN, (digest,)).fetchone()
    if found is None:
        id_ = connection.execute(_BEGIN, (digest, now)).get
        assert isinstance(id_, int)
        return Job(id_, Place(), 0, Counts())
    id_, file, line, offset, findings, *counts = found
    return Job(id_, Place(file, line, offset), findings, Counts(*counts), is_resumed=True)


def move(connection: apsw.Connection, job: Job, place: Place, findings: int, more: Counts) -> Job:
    """Save how far it is now. Raises StoreError `load-taken` when another process moved it meanwhile."""
    moved = replace(job, place=place, findings=findings, counts=job.counts.plus(more))
    values = (place.file, place.line, place.offset, findings, *_values(moved.counts))
    connection.execute(_MOVE, (*values, job.id, job.place.file, job.place.line, job.place.offset))
    if connection.changes() != 1:
        raise StoreError("another `hilum load` is at the same files: let it end", code="load-taken")
    return moved


def finish(connection: apsw.Connection, job: Job, now: int) -> None:
    """It is done: the same files again are another load."""
    connection.execute(_FINISH, (now, job.id))


def _values(counts: Counts) -> list[int]:
    return [getattr(counts, name) for name in Counts.__struct_fields__]
