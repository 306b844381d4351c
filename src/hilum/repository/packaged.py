"""The index of search parameters that packages bring: it follows the resources, and is never in the way of a write.

For each type it says up to which commit it goes. What was committed later is tested on bodies, so a search is right at
any moment, also while old resources are taken in after a package was added, and after a kill in the middle of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import apsw
import msgspec
from msgspec import Struct

from hilum.formats import fhir
from hilum.formats.fhir import Kind, Parameter

from .body import served_text
from .chunks import CHUNK, Texts
from .clauses import Clause, date_conditions, number_condition
from .criterion import Criterion, Mode
from .keys import TYPE_NUMBERS
from .sql import Row, as_json, many, row, rows

__all__ = ["Batch", "batch_of", "indexed_upto", "opposite", "packaged_clause", "take_in"]

VERSION = 2  # raise it when values are read differently
BATCH = 500  # resources that are taken in at once, and those of the same commit
_LAST = chr(0x10FFFF)
_OPPOSITES = {Mode.NOT: Mode.IS, Mode.MISSING: Mode.PRESENT}


class Batch(Struct, frozen=True):
    """Some resources of a type, in the order of commits: what is known of them after `before`, up to `upto`."""

    type: str
    digest: str
    before: int
    upto: int
    rids: tuple[int, ...]
    facts: tuple[Row, ...]  # rid, parameter, text, system, first, span


def indexed_upto(connection: apsw.Connection, type_: str) -> int:
    """The last commit that the index of a type has; -1 where it was made by other definitions, or is not there."""
    found = row(connection, "SELECT digest, tick FROM package_index WHERE type = ?", (TYPE_NUMBERS[type_],))
    return found[1] if found is not None and found[0] == _digest(fhir.offered_of(type_)) else -1


def opposite(mode: Mode) -> Mode:
    """What all those meet that do not meet this one; the mode itself, where it says what is there."""
    return _OPPOSITES.get(mode, mode)


def packaged_clause(criterion: Criterion, name: str, upto: int, later: Sequence[int]) -> Clause | None:
    """A criterion over a parameter of a package; `later` are rids of later commits that meet it (or its opposite).

    None where the index cannot tell.
    """
    condition = _condition(criterion)
    if condition is None:
        return None
    text, given = condition
    sql = (
        "SELECT p.rid FROM package_fact p CROSS JOIN resource r ON r.rid = p.rid AND r.tick <= ? "  # noqa: S608 - ours
        f"WHERE p.parameter = ? AND ({text}) UNION SELECT value FROM json_each(?)"
    )
    values = (upto, name, *given, as_json(list(later)))
    if criterion.mode in _OPPOSITES:
        return Clause(f"v.rid NOT IN ({sql})", values)
    return Clause(f"v.rid IN ({sql})", values, sql, values, 4)


def _condition(criterion: Criterion) -> tuple[str, list[Any]] | None:
    if criterion.mode in (Mode.MISSING, Mode.PRESENT):
        if criterion.kind == Kind.REFERENCE and criterion.target:
            return "p.text >= ? AND p.text < ?", [f"{criterion.target}/", f"{criterion.target}/{_LAST}"]
        return ("1", []) if criterion.kind in _KINDS else None
    match criterion.kind:
        case Kind.TOKEN | Kind.IDENTIFIER if criterion.mode in (Mode.IS, Mode.NOT):
            return _any(_coded(system, code) for system, code in criterion.values)
        case Kind.STRING if criterion.mode is Mode.IS:
            return _any(("p.text >= ? AND p.text < ?", [one, one + _LAST]) for one, _ in criterion.values)
        case Kind.STRING if criterion.mode is Mode.CONTAINS:
            return _any(("instr(p.text, ?) > 0", [one]) for one, _ in criterion.values)
        case Kind.URI | Kind.REFERENCE if criterion.mode is Mode.IS:
            return _any(("p.text = ?", [one]) for one in criterion.values)
        case Kind.DATE if criterion.mode is Mode.IS:
            parts, values = date_conditions(criterion.values, "p.")
            return " OR ".join(f"({part})" for part in parts), values
        case Kind.QUANTITY | Kind.NUMBER if criterion.mode is Mode.IS:
            return _any(_counted(value) for value in criterion.values)
    return None


def _counted(value: Any) -> tuple[str, list[Any]]:
    """A number in a unit, which is kept as `system|code|human text`; see `unit_meets`."""
    number, given = number_condition(value, "p.first")
    *_, system, code = value
    rest = "substr(p.system, instr(p.system, '|') + 1)"
    parts = [f"({number})"]
    values: list[Any] = list(given)
    if system is not None:
        parts.append("substr(p.system, 1, ?) = ?")
        values += [len(system) + 1, f"{system}|"]
    if code is not None:
        is_code = f"substr({rest}, 1, ?) = ?"
        is_human = f" OR substr({rest}, instr({rest}, '|') + 1) = ?" if system is None else ""
        parts.append(f"({is_code}{is_human})")
        values += [len(code) + 1, f"{code}|", *((code,) if system is None else ())]
    return " AND ".join(parts), values


def _coded(system: str | None, code: str | None) -> tuple[str, list[Any]]:
    parts = [(name, value) for name, value in (("p.text = ?", code), ("p.system = ?", system)) if value is not None]
    return " AND ".join(name for name, _ in parts) or "1", [value for _, value in parts]


def _any(alternatives: Iterator[tuple[str, list[Any]]]) -> tuple[str, list[Any]]:
    some = list(alternatives)
    return " OR ".join(f"({text})" for text, _ in some), [value for _, values in some for value in values]


# taking in


def batch_of(connection: apsw.Connection, type_: str, texts: Texts) -> Batch | None:
    """What of a type is to be taken in next; None where the index goes to the last commit."""
    parameters, number = fhir.offered_of(type_), TYPE_NUMBERS[type_]
    before = max(indexed_upto(connection, type_), 0)
    found = row(connection, _UPTO, (number, before, BATCH))
    upto = found[0] if found is not None else None
    if upto is None:
        return None
    facts: list[Row] = []
    rids: list[int] = []
    for rid, *where in rows(connection, _SOME, (number, before, upto)):
        rids.append(rid)
        resource = fhir.decode(served_text(texts.text(connection, *where))[0])
        for one in parameters:
            facts += {(rid, one.name, *_columns(one.kind, a, b)) for a, b in _values(resource, one)}
    return Batch(type_, _digest(parameters), before, upto, tuple(rids), tuple(facts))


def take_in(connection: apsw.Connection, batch: Batch) -> None:
    """In a transaction: all of a batch, unless somebody else has taken it in."""
    number = TYPE_NUMBERS[batch.type]
    if max(indexed_upto(connection, batch.type), 0) != batch.before:
        return
    many(connection, "DELETE FROM package_fact WHERE rid = ?", [(rid,) for rid in batch.rids])
    many(connection, "INSERT OR IGNORE INTO package_fact VALUES (?, ?, ?, ?, ?, ?)", sorted(batch.facts))
    values = (number, batch.digest, batch.upto)
    connection.execute("INSERT OR REPLACE INTO package_index VALUES (?, ?, ?)", values)


def _values(resource: dict[str, Any], one: Parameter) -> Iterator[tuple[Any, Any]]:
    return fhir.values_of(resource, one.kind, one.places) if one.kind in _KINDS else iter(())


def _columns(kind: Kind, a: Any, b: Any) -> tuple[str, str, float, int]:
    """text, system, first, span; a number stands in `first`, and its unit in `system`."""
    if kind in (Kind.QUANTITY, Kind.NUMBER):
        return "", b, a, 0
    return ("", "", a, b - a) if kind is Kind.DATE else (a, b, 0, 0)


@lru_cache(maxsize=64)
def _digest(parameters: tuple[Parameter, ...]) -> str:
    """Stands for what is read of a resource."""
    told = msgspec.json.encode((VERSION, sorted((one.name, one.kind.value, one.places) for one in parameters)))
    return hashlib.sha256(told).hexdigest()[:16]


_KINDS = frozenset(Kind) - {Kind.COMPOSITE}
_UPTO = (
    "SELECT max(tick) FROM (SELECT tick FROM resource INDEXED BY resource_by_commit "
    "WHERE type = ? AND tick > ? ORDER BY tick LIMIT ?)"
)
_SOME = f"SELECT v.rid, {CHUNK}, v.place FROM resource v WHERE v.type = ? AND v.tick > ? AND v.tick <= ?"  # noqa: S608
