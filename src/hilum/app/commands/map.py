"""`hilum map`: the FHIR resources that the shipped workbook, or that of a folder, makes of HL7 v2 files and records."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter
from msgspec import Raw, Struct

from hilum import mapping
from hilum.app.outward_show import show_outward
from hilum.app.record_show import MappedRecord, disposition_of, map_records, opened, record_source
from hilum.app.sections import SECTIONS
from hilum.app.table_show import show_table
from hilum.config import Integration, examine
from hilum.errors import ConfigError
from hilum.formats import hl7v2
from hilum.model import Accounting, Disposition, ExceptionItem, Finding, Merge

__all__ = ["MappedMessage", "command", "map_bytes"]

FINDINGS, USAGE = 1, 2
Param = str | int | float | bool


class MappedMessage(Struct, frozen=True):
    """One line of the answer; `index` counts messages, and for records is their line.

    `held` says why nothing of it would be applied; `resources` shows it all the same.
    """

    file: str
    index: int
    kind: str
    disposition: Disposition
    held: mapping.Problem | None
    resources: list[Raw]
    merges: list[Merge]
    exceptions: tuple[ExceptionItem, ...]
    accounting: Accounting
    findings: tuple[Finding, ...] = ()
    traces: list[mapping.Trace] = []


def command(
    *files: Annotated[
        Path,
        Parameter(
            help="Files with one message or many, or batches; FHIR resources (.ndjson, .json); with --folder also "
            "files of records (CSV, sheets) that a source of the folder describes; with --to, FHIR in JSON."
        ),
    ],
    folder: Annotated[
        Path | None,
        Parameter(name=("--folder", "--workbook"), help="Use the workbook and the params of this integration folder."),
    ] = None,
    source: Annotated[
        str, Parameter(help="The files hold records as this source of the folder describes them. Else found by name.")
    ] = "",
    to: Annotated[
        str,
        Parameter(
            help="The other way: make HL7 v2 of this kind, such as ADT^A08, of FHIR resources; or a table, such as "
            "csv:worklist, by the rows of the workbook whose targets are its columns."
        ),
    ] = "",
    about: Annotated[
        str, Parameter(help="With --to: what the message is about, such as Encounter/1, where there are several.")
    ] = "",
    receiver: Annotated[
        str, Parameter(help="With --to: who gets it, as APP|FACILITY; maps and namespaces may differ by receiver.")
    ] = "",
    trace: Annotated[
        bool, Parameter(help="Say for every value which field and which row it comes from.", negative="")
    ] = False,
    json: Annotated[bool, Parameter(help="One JSON object per message and line.", negative="")] = False,
) -> int:
    """Show the FHIR resources that messages or records turn into; with `--to` the HL7 v2 or CSV that FHIR turns into.

    Without a folder the shipped workbook is used: identifiers of unknown authorities get a system of ours, and times
    without a zone are taken as UTC. The values are printed: they are patient data where the file holds them.

    The exit status is 0 when every message would be applied (or sent), 1 when one would be held or refused.
    """
    if not files:
        print("hilum: name at least one file to map", file=sys.stderr)
        return USAGE
    if folder is not None and not folder.is_dir():
        print(f"hilum: {folder} is no folder", file=sys.stderr)
        return USAGE
    if to:
        book, params = mapping.load_workbook(folder), _params(folder)
        if to.startswith("csv:"):
            return show_table(book, params, to, files, receiver=receiver, trace=trace, as_json=json)
        return show_outward(book, params, to, files, about=about, receiver=receiver, trace=trace, as_json=json)
    try:
        plan = mapping.compile_workbook(mapping.load_workbook(folder), params=_params(folder))
    except ConfigError as error:
        for finding in error.findings:
            print(finding, file=sys.stderr)
        return FINDINGS
    return max(_map_file(plan, file, folder, source, trace=trace, as_json=json) for file in files)


def _params(folder: Path | None) -> dict[str, Param]:
    """The decisions that integration.yaml makes; none without a folder, or without that file in it."""
    if folder is None:
        return {}
    found = examine(folder, SECTIONS).all(Integration)
    return {name: value for one in found.values() for name, value in one.params.items()}


def map_bytes(plan: mapping.Plan, file: str, raw: bytes, *, trace: bool = False) -> Iterator[MappedMessage]:
    """What the plan makes of each message of one file. Never raises for what is in the bytes."""
    if not hl7v2.is_batch(raw):
        yield _map_one(plan, file, 1, raw, (), trace=trace)
        return
    batch = hl7v2.split_batch(raw)
    for index, body in enumerate(batch.messages, 1):
        yield _map_one(plan, file, index, body, batch.refusals, trace=trace)


def _map_one(
    plan: mapping.Plan, file: str, index: int, raw: bytes, batch: tuple[Finding, ...], *, trace: bool
) -> MappedMessage:
    """One message; `batch` are the findings that refuse the batch it came in, and so the message too."""
    admission = hl7v2.admit(raw, hl7v2.Rules(), source="map", received_at=time.time_ns() // 1000)
    kind, record = admission.envelope.kind, admission.message
    findings = (*admission.findings, *batch)
    disposition = admission.disposition
    refusal = None
    if record is None or disposition.is_refusal:
        refusal = _problem(admission.worst)
    elif batch:
        disposition, refusal = Disposition.AE, _problem(batch[0])
    if record is None:
        return MappedMessage(file, index, kind, disposition, refusal, [], [], (), Accounting(), findings)
    context = mapping.Context.of(admission.envelope)
    mapped = plan.run(record, context)  # also of what would be refused: the reader wants to see it all the same
    held = refusal or mapped.held
    return MappedMessage(
        file,
        index,
        kind,
        Disposition.HOLD if mapped.held and not refusal else disposition,
        held,
        [Raw(resource) for resource in mapping.render(mapped)],
        list(mapped.merges),
        mapped.exceptions,
        mapped.accounting,
        findings,
        plan.trace(record, context) if trace else [],
    )


def _problem(finding: Finding | None) -> mapping.Problem | None:
    return mapping.Problem(finding.code, finding.location, finding.message) if finding else None


def _map_file(plan: mapping.Plan, file: Path, folder: Path | None, source: str, *, trace: bool, as_json: bool) -> int:
    if file.is_dir():
        print(f"hilum: {file} is a folder; name the files in it, for example {file / '*.hl7'}", file=sys.stderr)
        return USAGE
    try:
        described = record_source(folder, file, source)
        if described is None:
            return _show(map_bytes(plan, str(file), file.read_bytes(), trace=trace), as_json=as_json)
        with opened(file, described) as content:
            found = map_records(plan, content, described, trace=trace)
            return _show((_of_record(str(file), one) for one in found), as_json=as_json)
    except BrokenPipeError:  # who read what is printed has gone: the file is fine
        raise
    except OSError as error:
        print(f"hilum: {file} cannot be read: {error.strerror}", file=sys.stderr)
    except ConfigError as error:
        print(f"hilum: {error.code} {error.message}", file=sys.stderr)
    return USAGE


def _of_record(file: str, one: MappedRecord) -> MappedMessage:
    mapped = one.mapped
    return MappedMessage(
        file,
        one.line,
        one.kind,
        disposition_of(one),
        mapped.held,
        [Raw(resource) for resource in mapping.render(mapped)],
        list(mapped.merges),
        mapped.exceptions,
        mapped.accounting,
        (one.finding,) if one.finding else (),
        one.traces,
    )


def _show(found: Iterator[MappedMessage], *, as_json: bool) -> int:
    status = 0
    for one in found:
        if as_json:
            print(msgspec.json.encode(one).decode())
        else:
            _print(one)
        if one.held is not None or one.disposition not in (Disposition.ACCEPT, Disposition.WARNING):
            status = FINDINGS
    return status


def _print(one: MappedMessage) -> None:
    """One message for people: a line of counts, its problem and items, then each resource."""
    counts = one.accounting
    kind = one.kind.encode("unicode_escape").decode("ascii")
    print(
        f"{one.file}:{one.index}  {kind}  {one.disposition}  {len(one.resources)} resources  "
        f"{counts.valued} valued = {counts.mapped} mapped + {counts.ignored} ignored + {counts.exceptions} exceptions"
    )
    if one.held is not None:
        fate = "refused" if one.disposition.is_refusal else "held"
        print(f"  {fate}: {one.held.location} {one.held.code} {one.held.message}")
    for item in one.exceptions:
        print(f"  {item.location} {item.code} {item.message}")
    for merge in one.merges:
        verb, towards = ("unmerge", "out of") if merge.undo else ("merge", "into")
        print(f"  {verb}: {merge.type}/{merge.retired} {towards} {merge.survivor}")
    for resource in one.resources:
        print(msgspec.json.format(bytes(resource), indent=2).decode())
    for entry in one.traces:
        rows = f"{entry.row}, {entry.entry}" if entry.entry else entry.row
        print(f"  {entry.type}/{entry.id} {entry.path} = {entry.value}  <- {entry.source or 'constant'}  [{rows}]")
