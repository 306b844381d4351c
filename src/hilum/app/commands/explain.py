"""`hilum explain`: which message, field and workbook row a stored value comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter
from msgspec import Raw, Struct

from hilum.app.arguments import Environment, Folder, Json, is_folder
from hilum.app.opening import Opened, open_folder
from hilum.app.printing import print_json, print_table, when
from hilum.app.running import plan_of
from hilum.errors import HilumError, NotFound
from hilum.formats.stored import read_stored
from hilum.mapping import Context, Plan, Trace
from hilum.model import DECISIONS, Message

__all__ = ["command"]

MOST_VERSIONS = 1000
_INDEX = re.compile(r"\[\d+\]")


class _Found(Struct, frozen=True):
    """The version whose message gave a value, and the traces of that value."""

    version: int
    message: Message
    traces: list[Trace]


def command(
    resource: Annotated[str, Parameter(help="Type and id: Patient/abc.")],
    path: Annotated[str, Parameter(help="The element: name.family, telecom[0].value. Empty: every value.")] = "",
    folder: Folder = Path(),
    *,
    reason: Annotated[str, Parameter(help="Why you look at PHI: shows the values, and is audited.")] = "",
    environment: Environment = None,
    json: Json = False,
) -> int:
    """Say where a stored value comes from: message, field, workbook row, map entry, owner, and when.

    The mapping is pure, so the answer is found by running it again over the journaled message with tracing on.
    """
    if path and folder == Path() and is_folder(path):  # `explain Patient/abc FOLDER`
        folder, path = Path(path), ""
    type_, _, id_ = resource.partition("/")
    if not id_:
        raise HilumError("write type and id with a slash between them: Patient/abc", code="reference-invalid")
    with open_folder(folder, environment) as opened:
        found = list(_explain(opened, type_, id_, path))
        if reason:
            opened.audit("explain", f"{type_}/{id_}", reason)
    if not found:
        raise NotFound(
            "no message gave this element a value; leave the path out to see all that have one",
            code="value-unexplained",
            location=f"{type_}/{id_} {path}",
        )
    rows = [_facts(one, trace, with_value=bool(reason)) for one in found for trace in one.traces]
    if json:
        values = [row | ({"value": Raw(row["value"].encode())} if reason else {}) for row in rows]
        print_json({"resource": f"{type_}/{id_}", "values": values})
        return 0
    columns = ("element", "field", "row", "map", "owner", "message", "version", "received")
    print_table(
        (*columns, "value") if reason else columns, [list(_shown(row, columns, reason)) for row in rows], empty=""
    )
    return 0


def _explain(opened: Opened, type_: str, id_: str, path: str) -> list[_Found]:
    """Newest version first: the first message that gave the element a value is where it comes from.

    Without a path every element is explained once, by the newest message that gave it.
    """
    plan = plan_of(opened)
    found: list[_Found] = []
    seen: set[str] = set()
    for version in opened.repository.history(type_, id_, MOST_VERSIONS):
        if version.seq <= 0:
            continue
        message = opened.journal.get(version.seq)
        there = set(_paths(msgspec.json.decode(version.body))) if version.body else set()
        traces = [
            trace
            for trace in _traces(plan, message, type_, id_)
            if _is_under(trace.path, path) and _plain(trace.path) in there
        ]
        fresh = [trace for trace in traces if _element(trace.path) not in seen]
        if fresh:
            found.append(_Found(version.version, message, fresh))
            seen |= {_element(trace.path) for trace in fresh}
            if path:
                break
    return found


def _traces(plan: Plan, message: Message, type_: str, id_: str) -> list[Trace]:
    if message.envelope.source == DECISIONS and type_ == "Patient":
        return []  # a decision says nothing of the patients themselves
    record = read_stored(message.body, message.envelope.charset)
    traces = plan.trace(record, Context.of(message.envelope))
    return [trace for trace in traces if (trace.type, trace.id) == (type_, id_)]


def _paths(value: Any, at: str = "") -> Iterator[str]:
    """Every element of a stored version without indices: rows that came later wrote nothing into it."""
    if isinstance(value, list):
        for one in value:
            yield from _paths(one, at)
        return
    yield at
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _paths(inner, f"{at}.{name.removeprefix('_')}".removeprefix("."))


def _plain(path: str) -> str:
    """A traced path as `_paths` says it."""
    return ".".join(step.removeprefix("_") for step in _INDEX.sub("", path).split("."))


def _is_under(traced: str, asked: str) -> bool:
    """Whether a traced path is the asked one or below it; an index that was not asked for does not matter."""
    if "[" not in asked:
        traced = _INDEX.sub("", traced)
    return not asked or traced == asked or traced.startswith((f"{asked}.", f"{asked}["))


def _element(path: str) -> str:
    return re.split(r"[.\[]", path, maxsplit=1)[0]


def _facts(found: _Found, trace: Trace, *, with_value: bool) -> dict[str, Any]:
    facts = {
        "element": trace.path,
        "field": trace.source or "constant",
        "row": trace.row,
        "map": trace.entry,
        "owner": trace.owner,
        "approver": trace.approver,
        "message": found.message.seq,
        "control_id": found.message.envelope.control_id,
        "version": found.version,
        "received": when(found.message.envelope.received_at),
    }
    return {**facts, "value": trace.value} if with_value else facts


def _shown(row: dict[str, Any], columns: tuple[str, ...], reason: str) -> list[Any]:
    return [row[name] for name in columns] + ([row["value"]] if reason else [])
