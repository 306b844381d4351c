"""A plan -> rows (pure, but for looking numbers up), and rows -> tables (the only part that the writer has to do)."""

from __future__ import annotations

from collections.abc import Iterable

import apsw
from msgspec import Struct, field

from hilum import store
from hilum.model import Accounting

from .body import Record, pack
from .chunks import Chunks, first_chunk
from .indexing import Dated, PerKind, delete_rows, index, insert_rows, per_kind
from .keys import TYPE_NUMBERS
from .names import Numbers
from .patch import Stated
from .plan import Live, Plan
from .sql import Row, many

__all__ = ["Rows", "rows_of", "write"]


class Rows(Struct):
    """What the writer puts into the tables, apart from what depends on its commit (tick and time)."""

    new: list[Row] = []  # rid, type, version, seq, at, first, span, chunk, place
    changed: list[Row] = []  # the same
    restated: list[Row] = []  # at, chunk, place, rid: told again, the version stays
    retimed: list[Row] = []  # at, rid: told again without any difference
    superseded: list[Row] = []  # rid, version: committed versions that go to the history
    skipped: list[Row] = []  # rid, version, seq, chunk, place: versions made and superseded in this plan
    facts: PerKind = field(default_factory=per_kind)
    gone: PerKind = field(default_factory=per_kind)
    chunks: Chunks = field(default_factory=Chunks)
    bodies: list[tuple[int, bytes]] = []  # piece, data; filled when all resources are in


def rows_of(lives: Iterable[Live], numbers: Numbers, rows: Rows) -> None:
    """Add the rows of these resources."""
    for live in lives:
        rid = numbers.rids[live.record]
        if not live.versions and live.found is not None and _is_repetition(live.stored, live.stated):
            rows.retimed.append((live.stated.at, rid))
            continue
        text = b"" if live.is_deleted else pack(Record(live.id, live.stated, live.overlay))
        if live.versions:
            date = _fact_changes(live, text, rid, numbers, rows)
            _version_rows(live, rid, date, text, rows)
        elif live.found is not None and text != live.found.text:
            where = rows.chunks.add(live.said_by, live.said_at, text)
            rows.restated.append((_at(live), *where, rid))


def _is_repetition(before: Stated, after: Stated) -> bool:
    """The same was said again, at another time; the elements are known to be the same."""
    return before.times == after.times and before.gone == after.gone and before.slots == after.slots


def _version_rows(live: Live, rid: int, date: Dated, text: bytes, rows: Rows) -> None:
    number = TYPE_NUMBERS[live.type]
    first, span = date or (None, None)
    seq = live.versions[-1].seq
    place = _place(rows.chunks, seq, live.said_by, live.said_at, text)
    type_ = -number if live.is_deleted else number
    row = (rid, type_, live.version, seq, _at(live) if text else live.stated.at, first, span, *place)
    if live.found is None:
        rows.new.append(row)
    else:
        rows.changed.append(row)
        rows.superseded.append((rid, live.found.version))
    for version in live.versions[:-1]:
        text = b"" if version.is_deleted else pack(Record(live.id, version.stated, version.overlay))
        place = _place(rows.chunks, version.seq, version.seq, version.at, text)
        rows.skipped.append((rid, version.number, version.seq, *place))


def _at(live: Live) -> int | None:
    """None: the time that its chunk tells."""
    return None if live.stated.at == live.said_at else live.stated.at


def _place(chunks: Chunks, seq: int, said_by: int, said_at: int, text: bytes) -> tuple[int | None, int | None]:
    """Where the text of a version of `seq` lies; the chunk that goes without saying is None."""
    if not text:
        return None, None
    chunk, place = chunks.add(said_by, said_at, text)
    return (None if chunk == first_chunk(seq) else chunk), place


def _fact_changes(live: Live, text: bytes, rid: int, numbers: Numbers, rows: Rows) -> Dated:
    """Rows of facts that are new and of those that are gone; returns the ordering date."""
    if live.found is None or not live.found.text:
        return index(live.type, text, rid, numbers, rows.facts) if text else None
    before, after = per_kind(), per_kind()
    index(live.type, live.found.text, rid, numbers, before)
    date = index(live.type, text, rid, numbers, after) if text else None
    for kind in range(len(before)):
        rows.gone[kind].extend(set(before[kind]) - set(after[kind]))
        rows.facts[kind].extend(set(after[kind]) - set(before[kind]))
    return date


_HISTORY = (
    "INSERT INTO resource_history SELECT rid, version, tick, seq, chunk, place FROM resource "
    "WHERE rid = ? AND version = ?"
)
_SKIPPED = "INSERT INTO resource_history (rid, version, tick, seq, chunk, place)"
_NEW = "INSERT INTO resource (rid, type, version, tick, seq, at, first, span, chunk, place)"
_CHANGED = (
    "UPDATE resource SET type = ?2, version = ?3, tick = ?4, seq = ?5, at = ?6, first = ?7, span = ?8, chunk = ?9, "
    "place = ?10 WHERE rid = ?1"
)
_OP = "INSERT INTO merge_op (at, seq, ordinal, survivor, retired, undo) VALUES (?, ?, ?, ?, ?, ?)"


def write(connection: apsw.Connection, rows: Rows, plan: Plan, numbers: Numbers, tick: int) -> None:
    """Put the rows into the tables, sorted by key so that neighbours share pages."""
    store.insert_rows(connection, "INSERT INTO resource_name (key, rid)", sorted(numbers.new_names()))
    terms = [(id_, *term) for term, id_ in numbers.terms.new.items()]
    store.insert_rows(connection, "INSERT INTO term (id, parameter, code, system)", terms)
    many(connection, _HISTORY, sorted(rows.superseded))
    store.insert_rows(connection, "INSERT INTO resource_body (piece, data)", rows.bodies)
    skipped = sorted((rid, version, tick, *rest) for rid, version, *rest in rows.skipped)
    store.insert_rows(connection, _SKIPPED, skipped)
    store.insert_rows(connection, _NEW, _with_tick(rows.new, tick))
    many(connection, _CHANGED, _with_tick(rows.changed, tick))
    many(connection, "UPDATE resource SET at = ?, chunk = ?, place = ? WHERE rid = ?", rows.restated)
    many(connection, "UPDATE resource SET at = ? WHERE rid = ?", rows.retimed)
    delete_rows(connection, rows.gone)
    insert_rows(connection, rows.facts)
    many(connection, "INSERT INTO outcome VALUES (?, ?, ?, ?, ?)", [_outcome(*one) for one in plan.applied.items()])
    many(connection, _OP, [(op.at, op.seq, op.ordinal, op.survivor, op.retired, op.undo) for op in plan.ops])
    many(connection, "DELETE FROM merge_link WHERE retired = ?", [(one,) for one in plan.links])
    many(connection, "INSERT INTO merge_link VALUES (?, ?)", [(a, b) for a, b in plan.links.items() if b is not None])


def _with_tick(resources: Iterable[Row], tick: int) -> list[Row]:
    return sorted((rid, type_, version, tick, *rest) for rid, type_, version, *rest in resources)


def _outcome(seq: int, fields: Accounting) -> Row:
    return seq, fields.valued, fields.mapped, fields.ignored, fields.exceptions
