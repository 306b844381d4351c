"""Reading by the sequence of commits: the store as it was after one of them, and what came after one of them.

A tick is the number of a commit. It grows with every commit and never goes back, so it tells what a reader has seen,
where times cannot: two commits may share a millisecond.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import apsw
from msgspec import Struct

from hilum.formats import fhir
from hilum.store import Store

from .body import serve
from .chunks import CHUNK, Texts
from .keys import TYPE_NUMBERS
from .names import find_rids
from .seam import Stored
from .snapshot import last_tick
from .sql import as_json, row, rows

__all__ = ["Feed", "Moment", "Step", "Version"]


class Moment(Struct, frozen=True):
    """The store after commit `tick`. `at` in milliseconds; no resource with a number above `last_rid` was there."""

    tick: int
    at: int
    last_rid: int


class Version(Struct, frozen=True):
    """One version of a resource, by its number in the store. Reading it again gives the same."""

    rid: int
    stored: Stored


class Step(Struct, frozen=True, order=True):
    """That a commit made this version, in the order of commits."""

    tick: int
    rid: int
    version: int
    type: str


_COLUMNS = f"v.rid, v.type, v.version, v.tick, c.at, v.seq, {CHUNK}, v.place"
_PAGE = (
    f"SELECT {_COLUMNS} FROM resource v CROSS JOIN apply_commit c ON c.tick = v.tick "  # noqa: S608 - names of ours
    "WHERE v.rid > ? AND v.rid <= ? ORDER BY v.rid LIMIT ?"
)
_ONE = (
    f"SELECT v.version, v.tick, c.at, v.seq, {CHUNK}, v.place FROM %s v "  # noqa: S608 - names of ours
    "CROSS JOIN apply_commit c ON c.tick = v.tick WHERE v.rid = ? AND %s"
)
_BEFORE = _ONE % ("resource_history", "v.tick <= ? ORDER BY v.version DESC LIMIT 1")
_CURRENT = _ONE % ("resource", "v.version = ?")
_THEN = _ONE % ("resource", "v.tick <= ?")
_FORMER = _ONE % ("resource_history", "v.version = ?")
_NAMED = f"SELECT {CHUNK}, v.place FROM resource_history v WHERE v.rid = ? AND v.place IS NOT NULL LIMIT 1"  # noqa: S608
_CHANGED = "SELECT rid, version, tick, type FROM resource WHERE type = ? AND tick > ? AND tick <= ?"
_PASSED = (
    "SELECT h.rid, h.version, h.tick FROM json_each(?) j CROSS JOIN resource_history h ON h.rid = j.value "
    "WHERE h.tick > ? AND h.tick <= ?"
)


class Feed:
    """Reads the store. Make one for each thread: what it has read of bodies it remembers."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._texts = Texts()

    def now(self) -> Moment:
        """The last commit."""
        found = self._store.read(last_tick)
        return Moment(found.tick, found.at, found.last_rid)

    def page(self, moment: Moment, types: Iterable[str], after: int, limit: int) -> tuple[list[Version], int]:
        """The resources of these types as they were at a moment, with numbers above `after`, in their order.

        Looks at `limit` numbers at most; the second value is the last of them, or `moment.last_rid` at the end. Those
        that were deleted then are told as deleted.
        """
        numbers = {TYPE_NUMBERS[one] for one in types}
        return self._store.read(lambda connection: self._page(connection, moment, numbers, after, limit))

    def steps(self, types: Iterable[str], after: int, upto: int) -> list[Step]:
        """All versions of these types that the commits after `after` and up to `upto` made, in order."""
        return self._store.read(lambda connection: self._steps(connection, sorted(types), after, upto))

    def version(self, type_: str, rid: int, version: int) -> Stored | None:
        """One version; None when it is not there."""
        return self._store.read(lambda connection: self._version(connection, type_, rid, version))

    def named(self, moment: Moment, type_: str, id_: str) -> Stored | None:
        """The resource of this name as it was at a moment; None when it was not there."""
        return self._store.read(lambda connection: self._named(connection, moment, type_, id_))

    def _page(
        self, connection: apsw.Connection, moment: Moment, numbers: set[int], after: int, limit: int
    ) -> tuple[list[Version], int]:
        found: list[Version] = []
        seen = rows(connection, _PAGE, (after, moment.last_rid, limit))
        for rid, number, version, tick, *rest in seen:
            if abs(number) not in numbers:
                continue
            type_ = fhir.RESOURCE_TYPES[abs(number) - 1]
            if tick > moment.tick:
                former = row(connection, _BEFORE, (rid, moment.tick))
                if former is None:  # it came later
                    continue
                version, tick, *rest = former
            found.append(Version(rid, self._stored(connection, type_, rid, version, *rest)))
        return found, seen[-1][0] if len(seen) == limit else moment.last_rid

    def _steps(self, connection: apsw.Connection, types: Sequence[str], after: int, upto: int) -> list[Step]:
        """Of what was changed again since, the versions between are in the history."""
        found: list[Step] = []
        last = max(upto, last_tick(connection).tick)
        for type_ in types:
            number = TYPE_NUMBERS[type_]
            current = [one for sign in (number, -number) for one in rows(connection, _CHANGED, (sign, after, last))]
            found += [Step(tick, rid, version, type_) for rid, version, tick, _ in current if tick <= upto]
            rids = as_json([rid for rid, version, *_ in current if version > 1])
            passed = rows(connection, _PASSED, (rids, after, upto))
            found += [Step(tick, rid, version, type_) for rid, version, tick in passed]
        return sorted(found)

    def _named(self, connection: apsw.Connection, moment: Moment, type_: str, id_: str) -> Stored | None:
        record = f"{type_}/{id_}"
        rid = find_rids(connection, (record,)).get(record)
        if rid is None:
            return None
        found = row(connection, _THEN, (rid, moment.tick)) or row(connection, _BEFORE, (rid, moment.tick))
        if found is None:
            return None
        version, _, *rest = found
        return self._stored(connection, type_, rid, version, *rest)

    def _version(self, connection: apsw.Connection, type_: str, rid: int, version: int) -> Stored | None:
        found = row(connection, _CURRENT, (rid, version)) or row(connection, _FORMER, (rid, version))
        if found is None:
            return None
        version, _, *rest = found
        return self._stored(connection, type_, rid, version, *rest)

    def _stored(
        self,
        connection: apsw.Connection,
        type_: str,
        rid: int,
        version: int,
        at: int,
        seq: int,
        chunk: int,
        place: int | None,
    ) -> Stored:
        if place is None:
            return Stored(type_, self._id_of(connection, rid), version, at * 1000, b"", seq, deleted=True)
        id_, body = serve(type_, self._texts.text(connection, chunk, place), version, at)
        return Stored(type_, id_, version, at * 1000, body, seq)

    def _id_of(self, connection: apsw.Connection, rid: int) -> str:
        """The id of a deleted resource, from a version that was not; "" when none is left."""
        found = row(connection, _NAMED, (rid,))
        return self._texts.text(connection, *found).partition(b"\0")[0].decode() if found else ""
