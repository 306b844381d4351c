"""`hilum map --to csv:KIND`: the lines of a table that FHIR resources in files turn into."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, structs

from hilum import mapping
from hilum.app.record_show import RecordSource, opened
from hilum.errors import ConfigError, FormatError
from hilum.formats import records
from hilum.model import Accounting, ExceptionItem

__all__ = ["MadeLine", "show_table"]

FINDINGS, USAGE = 1, 2


class MadeLine(Struct, frozen=True):
    """One line of the answer. `cells` by column; None when the resource makes no line. `held`: why it does not."""

    file: str
    line: int
    resource: str
    cells: dict[str, str] | None
    held: mapping.Problem | None
    exceptions: tuple[ExceptionItem, ...]
    accounting: Accounting
    traces: list[mapping.Trace] = []


def show_table(
    book: mapping.Workbook,
    params: Mapping[str, str | int | float | bool],
    kind: str,
    files: Sequence[Path],
    *,
    receiver: str = "",
    trace: bool = False,
    as_json: bool = False,
) -> int:
    """Print the table of all files, the names of its columns first; what is wrong goes to stderr. The exit status."""
    try:
        plan = mapping.compile_table(book, kind, params=params)
    except ConfigError as error:
        for finding in error.findings:
            print(finding, file=sys.stderr)
        if not error.findings:
            print(f"hilum: {error.code} {error.message}", file=sys.stderr)
        return FINDINGS if error.findings else USAGE
    try:
        others = _Others(files) if plan.follows else None
        context = mapping.Context("map", receiver if "|" in receiver else f"{receiver}|", time.time_ns() // 1000)
        found = (one for file in files for one in _lines(plan, file, context, others, trace=trace))
        return _show(plan, found, as_json=as_json)
    except BrokenPipeError:  # who read what is printed has gone: the file is fine
        raise
    except OSError as error:
        print(f"hilum: {error.filename} cannot be read: {error.strerror}", file=sys.stderr)
    return USAGE


class _Others:
    """The resources of all files by reference, for rows that follow references. Kept as they came, not as objects."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._bodies: dict[str, bytes] = {}
        for file in files:
            for _, body in _bodies(file):
                try:
                    found = records.read_resource(body)
                except FormatError:
                    continue
                self._bodies[f"{found['resourceType']}/{found.get('id')}"] = body

    def resolve(self, reference: str) -> Mapping[str, Any] | None:
        """The resource that `Patient/1` (or an address that ends so) names."""
        body = self._bodies.get("/".join(reference.split("/_history/")[0].split("/")[-2:]))
        return None if body is None else records.read_resource(body)


def _bodies(file: Path) -> Iterator[tuple[int, bytes]]:
    """(line, JSON) of every resource of a file, as they are read."""
    with opened(file, RecordSource("map", records.Ndjson())) as content:
        for number, line in enumerate(content, 1):
            if line.strip():
                yield number, line


def _lines(
    plan: mapping.TablePlan, file: Path, context: mapping.Context, others: _Others | None, *, trace: bool
) -> Iterator[MadeLine]:
    resolve = others.resolve if others is not None else None
    for number, body in _bodies(file):
        try:
            resource = records.read_resource(body)
        except FormatError as error:
            problem = mapping.Problem(error.code, f"line {number}", error.message)
            yield MadeLine(str(file), number, "", None, problem, (), Accounting())
            continue
        type_ = resource["resourceType"]
        if type_ not in plan.types:
            yield MadeLine(str(file), number, f"{type_}/", None, None, (), Accounting())
            continue
        record = records.ResourceRecord(f"fhir:{type_}", resource, resolve=resolve)
        made = plan.run(record, context)
        cells = None if made.cells is None else dict(zip(plan.columns, made.cells, strict=True))
        mapped = made.mapped
        traces = plan.trace(record, context) if trace else []
        name = f"{type_}/{resource.get('id', '')}"
        yield MadeLine(str(file), number, name, cells, mapped.held, mapped.exceptions, mapped.accounting, traces)


def _show(plan: mapping.TablePlan, found: Iterator[MadeLine], *, as_json: bool) -> int:
    total, lines, held, others = [0, 0, 0, 0], 0, 0, 0
    out = sys.stdout.buffer
    sys.stdout.flush()
    if not as_json:
        out.write(records.csv_line(plan.columns))
    for one in found:
        if one.resource and one.resource.partition("/")[0] not in plan.types:
            others += 1
            continue
        held += one.held is not None
        lines += one.cells is not None
        total = [a + b for a, b in zip(total, structs.astuple(one.accounting), strict=True)]
        if as_json:
            out.write(msgspec.json.encode(one) + b"\n")
        elif one.cells is not None:
            out.write(records.csv_line(one.cells.values()))
        if not as_json:
            _tell(one)
    out.flush()
    if not as_json:
        valued, mapped, ignored, left = total
        counts = f"{valued} valued = {mapped} mapped + {ignored} ignored + {left} exceptions"
        beside = f", {others} resources of types that no row reads" if others else ""
        print(f"{plan.kind}  {lines} lines, {held} held{beside}  {counts}", file=sys.stderr)
    return FINDINGS if held or not total[0] else 0


def _tell(one: MadeLine) -> None:
    """What people must know of one resource besides its line."""
    where = f"{one.file}:{one.line}"
    if one.held is not None:
        print(f"{where}  held: {one.held.location} {one.held.code} {one.held.message}", file=sys.stderr)
    for item in one.exceptions:
        print(f"{where}  {item.location} {item.code} {item.message}", file=sys.stderr)
    for trace in one.traces:
        text = f"{trace.path} = {trace.value}  <- {trace.source or 'constant'}  [{trace.row}]"
        print(f"{where}  {text}", file=sys.stderr)
