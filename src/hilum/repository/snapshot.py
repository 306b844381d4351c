"""The planner's view of one snapshot of the store."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import apsw
from msgspec import Struct

from hilum.formats import fhir

from .chunks import CHUNK
from .links import MergeOp
from .names import Numbers, Remembered, find_rids
from .patch import DEFAULTED
from .plan import Found
from .seam import HoldState
from .sql import Row, row, rows

__all__ = ["Snapshot", "Tick", "last_tick", "merges_of", "newest_merges"]


_APPLIED = "SELECT o.seq FROM carray(?) k CROSS JOIN outcome o ON o.seq = k.value"
_HELD = "SELECT h.seq, h.state FROM carray(?) k CROSS JOIN hold h ON h.seq = k.value"
_FIND = (
    f"SELECT v.rid, v.version, v.at, {CHUNK}, v.place FROM carray(?) k "  # noqa: S608 - a name of ours
    "CROSS JOIN resource v ON v.rid = k.value"
)

_OP = "SELECT at, seq, ordinal, survivor, retired, undo FROM merge_op"
_SAID = f"{_OP} WHERE survivor = ?1 OR retired = ?1"
_NEWEST = f"{_OP} ORDER BY seq DESC, ordinal DESC LIMIT ?"
_REFERRERS = (
    f"SELECT v.type, {CHUNK}, v.place FROM resource v "  # noqa: S608 - a name of ours
    "WHERE v.type > 0 AND v.rid IN (SELECT rid FROM fact_reference WHERE target = ?)"
)


class Tick(Struct, frozen=True):
    """The last commit of effects, and the last numbers given out."""

    tick: int = 0
    at: int = 0  # milliseconds
    last_rid: int = 0
    last_term: int = 0


def last_tick(connection: apsw.Connection) -> Tick:
    """Where the repository stands."""
    last = row(connection, "SELECT tick, at, last_rid, last_term FROM apply_commit ORDER BY tick DESC LIMIT 1")
    return Tick(*last) if last else Tick()


class Snapshot:
    """Reads for one plan. Between its reads it may be given another connection, as long as the tick is the same."""

    def __init__(self, connection: apsw.Connection, remembered: Remembered) -> None:
        self.tick = last_tick(connection)
        self.numbers = Numbers(connection, remembered, self.tick.last_rid, self.tick.last_term)
        self._texts = remembered.texts
        self._connection = connection
        self._seen: set[int] = set()
        self._applied: set[int] = set()
        self._holds: dict[int, HoldState] = {}
        self._has_links = bool(connection.execute("SELECT EXISTS (SELECT 1 FROM merge_link)").get)
        self._links: dict[str, str | None] = {}

    def rebind(self, connection: apsw.Connection) -> None:
        """Go on reading here."""
        self._connection = connection
        self.numbers.rebind(connection)

    def know_seqs(self, seqs: Iterable[int]) -> None:
        """Look up what became of these messages in one go."""
        asked = array("q", seqs)
        if not asked:
            return
        self._seen.update(asked)
        self._applied.update(seq for (seq,) in rows(self._connection, _APPLIED, (apsw.carray(asked),)))
        holds = rows(self._connection, _HELD, (apsw.carray(asked),))
        self._holds.update((seq, HoldState(state)) for seq, state in holds)

    def find(self, records: Iterable[str]) -> dict[str, Found]:
        rids = {rid: one for one, rid in self.numbers.know(list(records)).items()}
        if not rids:
            return {}
        found = rows(self._connection, _FIND, (apsw.carray(array("q", rids)),))
        return {rids[rid]: self._found(rid, *rest) for rid, *rest in found}

    def _found(self, rid: int, version: int, at: int | None, chunk: int, place: int | None) -> Found:
        if place is None:
            return Found(rid, version, DEFAULTED if at is None else at, b"")
        said_at, text = self._texts.said(self._connection, chunk, place)
        return Found(rid, version, said_at if at is None else at, text)

    def is_applied(self, seq: int) -> bool:
        if seq not in self._seen:
            self.know_seqs((seq,))
        return seq in self._applied

    def hold_state(self, seq: int) -> HoldState | None:
        if seq not in self._seen:
            self.know_seqs((seq,))
        return self._holds.get(seq)

    def has_links(self) -> bool:
        return self._has_links

    def link(self, record: str) -> str | None:
        if not self._has_links:
            return None
        if record not in self._links:
            found = self._connection.execute("SELECT survivor FROM merge_link WHERE retired = ?", (record,)).get
            self._links[record] = found if isinstance(found, str) else None
        return self._links[record]

    def merge_ops(self, records: Iterable[str]) -> set[MergeOp]:
        return merges_of(self._connection, records)

    def referrers(self, record: str) -> Iterable[str]:
        rid = find_rids(self._connection, (record,)).get(record)
        if rid is None:
            return []
        found = rows(self._connection, _REFERRERS, (rid,))
        return [_record(type_, self._texts.text(self._connection, *where)) for type_, *where in found]


def merges_of(connection: apsw.Connection, records: Iterable[str]) -> set[MergeOp]:
    """Merges and unmerges that name one of these on either side."""
    return {_op(one) for record in records for one in rows(connection, _SAID, (record,))}


def newest_merges(connection: apsw.Connection, limit: int) -> list[MergeOp]:
    """The last that messages said, the latest first."""
    return [_op(one) for one in rows(connection, _NEWEST, (limit,))]


def _op(one: Row) -> MergeOp:
    at, seq, ordinal, survivor, retired, undo = one
    return MergeOp(at, seq, ordinal, survivor, retired, bool(undo))


def _record(type_: int, text: bytes) -> str:
    id_, _, _ = text.partition(b"\0")
    return f"{fhir.RESOURCE_TYPES[type_ - 1]}/{id_.decode()}"
