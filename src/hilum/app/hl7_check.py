"""What `hilum hl7 check` says of a file: a report per message, and one for the batch where it has findings."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import cache

from msgspec import Struct

from hilum import mapping
from hilum.errors import HilumError
from hilum.formats import hl7v2
from hilum.model import Accounting, Disposition, Finding

__all__ = ["CodeReport", "FieldCounts", "MessageReport", "check_bytes"]

_WORST = list(Disposition)


class CodeReport(Struct, frozen=True):
    """One finding, or one exception of the mapping."""

    code: str
    location: str
    severity: str
    message: str


class FieldCounts(Struct, frozen=True):
    """valued = mapped + ignored + unmapped. Unmapped ones become exceptions; in a refused message all are."""

    valued: int = 0
    mapped: int = 0
    ignored: int = 0
    unmapped: int = 0


class MessageReport(Struct, frozen=True):
    """One line of the answer. `index` counts messages from 1; 0 speaks of the batch as a whole."""

    file: str
    index: int
    kind: str
    disposition: Disposition
    codes: tuple[CodeReport, ...]
    fields: FieldCounts
    roundtrip: bool


def check_bytes(file: str, raw: bytes) -> Iterator[MessageReport]:
    """The reports of one file. Never raises for what is in the bytes."""
    if not hl7v2.is_batch(raw):
        yield _check_message(file, 1, raw, ())
        return
    batch = hl7v2.split_batch(raw)
    if batch.findings:
        yield MessageReport(file, 0, "", batch.disposition, _codes(batch.findings), FieldCounts(), _holds(raw, batch))
    for index, body in enumerate(batch.messages, 1):
        yield _check_message(file, index, body, batch.refusals)


def _check_message(file: str, index: int, raw: bytes, batch: Sequence[Finding]) -> MessageReport:
    """One message; `batch` are the findings that refuse the batch it came in, and so the message too."""
    now = time.time_ns() // 1000
    admission = hl7v2.admit(raw, hl7v2.Rules(), source="check", received_at=now)
    findings = [*admission.findings, *batch]
    disposition = max(admission.disposition, Disposition.AE if batch else Disposition.ACCEPT, key=_WORST.index)
    counts, more, held = _fate(admission, disposition)
    record = admission.message
    return MessageReport(
        file,
        index,
        admission.envelope.kind,
        max(disposition, held, key=_WORST.index),
        _codes(findings) + more,
        counts,
        record is None or _round_trips(record, raw),
    )


def _fate(
    admission: hl7v2.Admission, disposition: Disposition
) -> tuple[FieldCounts, tuple[CodeReport, ...], Disposition]:
    """What becomes of the fields, and whether the mapping would hold the message."""
    record = admission.message
    if record is None:
        return FieldCounts(), (), disposition
    if disposition.is_refusal:
        valued = _valued(record)
        return FieldCounts(valued, unmapped=valued), (), disposition
    try:
        mapped = _plan().run(record, mapping.Context.of(admission.envelope))
    except HilumError as error:
        return _crashed(record, error.code, error.location, error.message)
    except Exception as error:  # noqa: BLE001 - as in the engine: a defect in a row holds the message
        return _crashed(record, "mapping-crashed", "", f"the workbook failed on it: {type(error).__name__}")
    codes = tuple(CodeReport(item.code, item.location, "warning", item.message) for item in mapped.exceptions)
    held = mapped.held
    if held is None:
        return _counts(mapped.accounting), codes, disposition
    said = CodeReport(held.code, held.location, "error", held.message)
    return _counts(mapped.accounting), (said, *codes), Disposition.HOLD


def _crashed(
    record: hl7v2.Hl7Message, code: str, location: str, message: str
) -> tuple[FieldCounts, tuple[CodeReport, ...], Disposition]:
    valued = _valued(record)
    return FieldCounts(valued, unmapped=valued), (CodeReport(code, location, "error", message),), Disposition.HOLD


@cache
def _plan() -> mapping.Plan:
    return mapping.compile_workbook(mapping.load_base())


def _counts(accounting: Accounting) -> FieldCounts:
    return FieldCounts(accounting.valued, accounting.mapped, accounting.ignored, accounting.exceptions)


def _valued(record: hl7v2.Hl7Message) -> int:
    """Fields that hold more than delimiters; MSH-1 and MSH-2 say how to read and are none."""
    empty = record.delimiters.component + record.delimiters.repetition + record.delimiters.subcomponent
    count = 0
    for segment in record.segments:
        first = 3 if segment.name in ("MSH", "FHS", "BHS") else 1
        count += sum(1 for field in segment.fields[first:] if field.strip(empty))
    return count


def _round_trips(record: hl7v2.Hl7Message, raw: bytes) -> bool:
    return record.to_bytes() == raw and record.rebuilt() == raw


def _holds(raw: bytes, batch: hl7v2.Batch) -> bool:
    """Whether the messages stand in the file as they were cut from it, in order."""
    at = 0
    for body in batch.messages:
        at = raw.find(body, at)
        if at < 0:
            return False
        at += len(body)
    return True


def _codes(findings: Sequence[Finding]) -> tuple[CodeReport, ...]:
    return tuple(CodeReport(item.code, item.location, item.severity.value, item.message) for item in findings)
