"""`hilum explain`: which message, field and workbook row a stored value comes from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from msgspec import Raw, Struct

from hilum.app.arguments import Environment, Folder, Json, is_folder
from hilum.app.opening import Opened, open_folder
from hilum.app.printing import print_json, print_table, when
from hilum.app.running import plan_of
from hilum.app.stored_values import StoredValues
from hilum.errors import HilumError, NotFound
from hilum.formats.stored import read_stored
from hilum.mapping import Context, Plan, Trace
from hilum.model import DECISIONS, Message

__all__ = ["command"]

MOST_VERSIONS = 1000
_INDEX = re.compile(r"\[\d+\]")


CHANGED = "stored otherwise"


class _Found(Struct, frozen=True):
    """The version whose message gave a value, and the trace of that value.

    `stored` is what is stored, in JSON. It is not what the trace says when the workbook has changed since.
    """

    version: int
    message: Message
    trace: Trace
    stored: str
    is_changed: bool


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

    The mapping is pure, so the answer is found by running it again over the journaled message with tracing on. Where
    the workbook of today makes another value of the message than is stored, that is said, and the stored one is shown.
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
    rows = [_facts(one, with_value=bool(reason)) for one in found]
    if json:
        for row in rows:
            row |= {name: Raw(row[name].encode()) for name in ("value", "value_now") if name in row}
        print_json({"resource": f"{type_}/{id_}", "values": rows})
        return 0
    _show(found, rows, with_value=bool(reason))
    return 0


def _show(found: list[_Found], rows: list[dict[str, Any]], *, with_value: bool) -> None:
    columns = ["element", "field", "row", "map", "owner", "message", "version", "received"]
    columns += ["value"] if with_value else []
    changed = any(one.is_changed for one in found)
    if changed:
        columns.append("since")
        rows = [{**row, "since": CHANGED if row["changed"] else ""} for row in rows]
    print_table(columns, [[row[name] for name in columns] for row in rows], empty="")
    if changed:
        print(
            f"{CHANGED}: the workbook of today makes another value of that message than is stored: it changed since, "
            "or something else wrote the element; row, map and owner are those of today"
        )


def _explain(opened: Opened, type_: str, id_: str, path: str) -> list[_Found]:
    """Newest version first: the first message that gave an element the value that is stored is where it comes from.

    Where none makes that value today, it is the newest that gave the element any.
    """
    plan = plan_of(opened)
    versions = opened.repository.history(type_, id_, MOST_VERSIONS)
    stored = StoredValues(next((version.body for version in versions if version.body), None))
    found: dict[str, list[_Found]] = {}  # by element, all of one message
    for version in versions:
        if version.seq <= 0:
            continue
        message = opened.journal.get(version.seq)
        given: dict[str, list[_Found]] = {}
        for trace in _traces(plan, message, type_, id_):
            if _is_under(trace.path, path) and stored.has(trace.path):
                one = _compared(version.version, message, trace, stored)
                given.setdefault(_element(trace.path), []).append(one)
        for element, these in given.items():
            if element not in found or (_all_changed(found[element]) and not _all_changed(these)):
                found[element] = these
        if path and found and not any(map(_all_changed, found.values())):
            break
    return [one for these in found.values() for one in these]


def _compared(version: int, message: Message, trace: Trace, stored: StoredValues) -> _Found:
    same = stored.holds(trace.path, trace.value)
    return _Found(version, message, trace, trace.value if same else stored.at(trace.path), not same)


def _all_changed(found: Iterable[_Found]) -> bool:
    return all(one.is_changed for one in found)


def _traces(plan: Plan, message: Message, type_: str, id_: str) -> list[Trace]:
    if message.envelope.source == DECISIONS and type_ == "Patient":
        return []  # a decision says nothing of the patients themselves
    record = read_stored(message.body, message.envelope.charset)
    traces = plan.trace(record, Context.of(message.envelope))
    return [trace for trace in traces if (trace.type, trace.id) == (type_, id_)]


def _is_under(traced: str, asked: str) -> bool:
    """Whether a traced path is the asked one or below it; an index that was not asked for does not matter."""
    if "[" not in asked:
        traced = _INDEX.sub("", traced)
    return not asked or traced == asked or traced.startswith((f"{asked}.", f"{asked}["))


def _element(path: str) -> str:
    return re.split(r"[.\[]", path, maxsplit=1)[0]


def _facts(found: _Found, *, with_value: bool) -> dict[str, Any]:
    trace = found.trace
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
        "changed": found.is_changed,
    }
    if with_value:
        facts["value"] = found.stored
        if found.is_changed:
            facts["value_now"] = trace.value
    return facts
