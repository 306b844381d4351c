"""`hilum map --to`: the HL7 v2 message that FHIR resources in files turn into."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from hilum import mapping
from hilum.errors import ConfigError, FormatError
from hilum.formats import hl7v2
from hilum.mapping import outward
from hilum.model import Accounting, ExceptionItem

__all__ = ["MadeMessage", "show_outward"]

FINDINGS, USAGE = 1, 2


class MadeMessage(Struct, frozen=True):
    """One line of the answer. `held` says why it would not be sent; `message` shows it all the same, where it can."""

    file: str
    kind: str
    held: mapping.Problem | None
    message: str  # segments end with CR
    exceptions: tuple[ExceptionItem, ...]
    accounting: Accounting
    traces: tuple[outward.OutwardTrace, ...] = ()


def show_outward(
    book: mapping.Workbook,
    params: Mapping[str, str | int | float | bool],
    kind: str,
    files: Sequence[Path],
    *,
    about: str = "",
    receiver: str = "",
    trace: bool = False,
    as_json: bool = False,
) -> int:
    """Print one message for each file; the worst exit status."""
    try:
        plan = outward.compile_outward(book, kind, params=params)
    except ConfigError as error:
        for finding in error.findings:
            print(finding, file=sys.stderr)
        return FINDINGS
    application, _, facility = receiver.partition("|")
    known = outward.Receiver(application, facility)
    return max(_show(plan, known, file, about=about, trace=trace, as_json=as_json) for file in files)


def _show(
    plan: outward.OutwardPlan, receiver: outward.Receiver, file: Path, *, about: str, trace: bool, as_json: bool
) -> int:
    try:
        raw = file.read_bytes()
        bodies = list(_bodies(outward.read_resource(raw)))
    except OSError as error:
        print(f"hilum: {file} cannot be read: {error.strerror}", file=sys.stderr)
        return USAGE
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError):
        print(f"hilum: {file} is no FHIR resource or Bundle in JSON", file=sys.stderr)
        return USAGE
    made = _make(plan, receiver, str(file), raw, bodies, about)
    made = made if trace else msgspec.structs.replace(made, traces=())
    if as_json:
        print(msgspec.json.encode(made).decode())
    else:
        _print(made)
    return FINDINGS if made.held is not None else 0


def _bodies(resource: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The resources of a Bundle, inner ones too; a resource alone is itself. References by fullUrl become Type/id."""
    if resource.get("resourceType") != "Bundle":
        yield resource
        return
    entries = [one for one in resource.get("entry") or [] if isinstance(one, dict)]
    inner = [(one.get("fullUrl"), one["resource"]) for one in entries if isinstance(one.get("resource"), dict)]
    names = {url: f"{body.get('resourceType')}/{body.get('id')}" for url, body in inner if isinstance(url, str)}
    for _, body in inner:
        _rename(body, names)
        yield from _bodies(body)


def _rename(value: Any, names: Mapping[str, str]) -> None:
    if isinstance(value, dict):
        if value.get("reference") in names:
            value["reference"] = names[value["reference"]]
        for inner in value.values():
            _rename(inner, names)
    elif isinstance(value, list):
        for inner in value:
            _rename(inner, names)


def _make(
    plan: outward.OutwardPlan,
    receiver: outward.Receiver,
    file: str,
    raw: bytes,
    bodies: Sequence[dict[str, Any]],
    about: str,
) -> MadeMessage:
    resources: dict[str, list[dict[str, Any]]] = {}
    for body in bodies:
        resources.setdefault(str(body.get("resourceType", "")), []).append(body)
    control_id = "M" + sha256(raw).hexdigest()[:19].upper()
    context = outward.OutwardContext(receiver, control_id, time.time_ns() // 1000, about)
    made = plan.run(resources, context)
    held, text = made.held, ""
    try:
        text = hl7v2.build(made.segments, charset=receiver.charset).decode()
    except FormatError as error:
        held = mapping.Problem(error.code, error.location, error.message)
    return MadeMessage(file, plan.kind, held, text, made.exceptions, made.accounting, made.traces)


def _print(made: MadeMessage) -> None:
    """For people: a line of counts, its problem and items, then the message with one segment on each line."""
    counts = made.accounting
    print(
        f"{made.file}  {made.kind}  {counts.valued} elements = {counts.mapped} mapped + {counts.ignored} ignored"
        f" + {counts.exceptions} exceptions"
    )
    if made.held is not None:
        print(f"  held: {made.held.location} {made.held.code} {made.held.message}")
    for item in made.exceptions:
        print(f"  {item.location} {item.code} {item.message}")
    print(made.message.replace("\r", "\n").rstrip())
    for one in made.traces:
        print(f"  {one.location} = {one.value}  <- {one.element or 'constant'}  [{one.row}]")
