"""The versions of one resource, of a type or of all, newest first, by the sequence of commits (R4 http.html#history).

What a commit made never changes, and later commits have higher numbers: a page goes on where the one before it ended,
whatever is written meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import apsw
from msgspec import Struct

from hilum.formats import fhir

from .body import serve
from .chunks import CHUNK, Texts
from .keys import TYPE_NUMBERS
from .matching import is_within
from .seam import Limits, Stored
from .sql import as_json, row, rows

__all__ = ["Past", "Place", "Versions", "is_told", "open_types", "past_versions"]

Place = tuple[int, int, int]  # commit, number of the resource, version
Visible = Callable[[str], Sequence[int]]

_FEW = 2_000  # resources of a type with older versions that are looked at one by one


class Past(Struct, frozen=True):
    """What is asked of the past. `since` in milliseconds, `at` as (first, after): versions that were current then.

    With `id` only of that resource; with `type` "" of all types. `limits`: what the caller may see, by type; a version
    is told where it and the resource as it is now may be seen.
    """

    type: str = ""
    id: str = ""
    count: int = 50
    after: Place | None = None
    since: int | None = None
    at: tuple[int, int] | None = None
    limits: dict[str, Limits] | None = None


class Versions(Struct, frozen=True):
    """One page, at most as long as asked; `next` is where the one after it begins, None at the end."""

    versions: tuple[Stored, ...]
    next: Place | None = None


class _Step(Struct, frozen=True, array_like=True, order=True):
    """That a commit made a version."""

    tick: int
    rid: int
    version: int
    type: int


def open_types(past: Past) -> list[str]:
    """The types asked for of which everything may be seen, also what was deleted."""
    types = [past.type] if past.type else list(fhir.RESOURCE_TYPES)
    return types if past.limits is None else [one for one in types if () in past.limits.get(one, ())]


def is_told(past: Past, stored: Stored) -> bool:
    """Whether one version may be seen."""
    if past.limits is None:
        return True
    limits = past.limits.get(stored.type, ())
    return () in limits or (not stored.deleted and bool(limits) and is_within(stored, limits))


def past_versions(connection: apsw.Connection, past: Past, rid: int | None, visible: Visible, texts: Texts) -> Versions:
    """One page. `rid` is the number of the one resource asked for; `visible` gives those of a type that may be seen."""
    if past.count <= 0:
        return Versions(())
    found = sorted(_Reader(connection, past).steps(rid, visible), reverse=True)
    page = found[: past.count]
    made = [_stored(connection, one, texts) for one in page]
    last = page[-1] if len(found) > len(page) else None
    place = None if last is None else (last.tick, last.rid, last.version)
    return Versions(tuple(one for one in made if one is not None and is_told(past, one)), place)


class _Reader:
    """Finds the newest versions below a place: of each table one more than a page holds."""

    def __init__(self, connection: apsw.Connection, past: Past) -> None:
        self._connection, self._past = connection, past
        self._limit = past.count + 1
        self._where, self._values, self._former, self._former_values = self._bounds()

    def _bounds(self) -> tuple[str, list[Any], str, list[Any]]:
        """SQL on `v` for all versions, and what more superseded ones must meet."""
        past = self._past
        parts, values, former, more = ["1"], [], "", []
        if past.after is not None:
            parts, values = ["(v.tick, v.rid, v.version) < (?, ?, ?)"], list(past.after)
        if past.since is not None:
            parts.append("v.tick >= ?")
            values.append(self._tick("at >= ? ORDER BY at, tick", past.since))
        if past.at is not None:
            first, after = past.at
            parts.append("v.tick < ?")
            values.append(self._tick("at >= ? ORDER BY at, tick", after))
            former = "".join(_SUPERSEDED % table for table in ("resource", "resource_history"))
            more = [self._tick("at <= ? ORDER BY at DESC, tick DESC", first, 0)] * 2
        return " AND ".join(parts), values, former, more

    def _tick(self, which: str, at: int, otherwise: int = 1 << 62) -> int:
        found = row(self._connection, f"SELECT tick FROM apply_commit WHERE {which} LIMIT 1", (at,))  # noqa: S608
        return found[0] if found else otherwise

    def steps(self, rid: int | None, visible: Visible) -> list[_Step]:
        past = self._past
        if past.id:
            return [] if rid is None else self._of([rid])
        found = self._of_types(open_types(past))
        for type_, limits in (past.limits or {}).items():
            if () not in limits and past.type in ("", type_):
                found += self._of(visible(type_))
        return found

    def _of(self, rids: Sequence[int]) -> list[_Step]:
        """Of these resources."""
        source = "json_each(?) j CROSS JOIN %s v ON v.rid = j.value"
        return self._read(source % "resource", (as_json(rids),)) + self._read_former(
            source % "resource_history" + " CROSS JOIN resource r ON r.rid = v.rid", (as_json(rids),)
        )

    def _of_types(self, types: Collection[str]) -> list[_Step]:
        found: list[_Step] = []
        numbers = [TYPE_NUMBERS[one] for one in types]
        for number in numbers:
            for sign in (number, -number):
                found += self._read("resource v", (), "v.type = ? AND ", (sign,))
        if len(numbers) == 1:
            sql = "SELECT rid FROM resource WHERE type IN (?, ?) AND version > 1 LIMIT ?"
            few = [rid for (rid,) in rows(self._connection, sql, (numbers[0], -numbers[0], _FEW))]
            if len(few) < _FEW:
                source = "json_each(?) j CROSS JOIN resource_history v ON v.rid = j.value"
                return found + self._read_former(f"{source} CROSS JOIN resource r ON r.rid = v.rid", (as_json(few),))
        if numbers:
            every = len(numbers) == len(fhir.RESOURCE_TYPES)
            some = "" if every else "abs(r.type) IN (SELECT value FROM json_each(?)) AND "
            values = () if every else (as_json(numbers),)
            source = "resource_history v INDEXED BY resource_history_by_commit CROSS JOIN resource r ON r.rid = v.rid"
            found += self._read_former(source, (), some, values)
        return found

    def _read(self, source: str, given: tuple[Any, ...], some: str = "", values: tuple[Any, ...] = ()) -> list[_Step]:
        return self._rows(source, given, f"{some}{self._where}", (*values, *self._values), "v.type")

    def _read_former(
        self, source: str, given: tuple[Any, ...], some: str = "", values: tuple[Any, ...] = ()
    ) -> list[_Step]:
        where = f"{some}{self._where}{self._former}"
        return self._rows(source, given, where, (*values, *self._values, *self._former_values), "r.type")

    def _rows(
        self, source: str, given: tuple[Any, ...], where: str, values: tuple[Any, ...], type_: str
    ) -> list[_Step]:
        sql = (
            f"SELECT v.tick, v.rid, v.version, abs({type_}) FROM {source} WHERE {where} "  # noqa: S608 - names of ours
            "ORDER BY v.tick DESC, v.rid DESC, v.version DESC LIMIT ?"
        )
        return [_Step(*one) for one in rows(self._connection, sql, (*given, *values, self._limit))]


_SUPERSEDED = " AND NOT EXISTS (SELECT 1 FROM %s n WHERE n.rid = v.rid AND n.version = v.version + 1 AND n.tick <= ?)"
_ONE = (
    f"SELECT c.at, v.seq, {CHUNK}, v.place FROM %s v "  # noqa: S608 - names of ours
    "CROSS JOIN apply_commit c ON c.tick = v.tick WHERE v.rid = ? AND v.version = ?"
)
_TABLES = ("resource", "resource_history")
_NAMED = f"SELECT {CHUNK}, v.place FROM resource_history v WHERE v.rid = ? AND v.place IS NOT NULL LIMIT 1"  # noqa: S608


def _stored(connection: apsw.Connection, step: _Step, texts: Texts) -> Stored | None:
    found = next((one for table in _TABLES if (one := row(connection, _ONE % table, (step.rid, step.version)))), None)
    if found is None:
        return None
    at, seq, chunk, place = found
    type_ = fhir.RESOURCE_TYPES[step.type - 1]
    if place is not None:
        id_, body = serve(type_, texts.text(connection, chunk, place), step.version, at)
        return Stored(type_, id_, step.version, at * 1000, body, seq)
    named = row(connection, _NAMED, (step.rid,))
    id_ = texts.text(connection, *named).partition(b"\0")[0].decode() if named else ""
    return Stored(type_, id_, step.version, at * 1000, b"", seq, deleted=True) if id_ else None
