"""Files of records for `hilum map`: which source of a folder describes them, and what the workbook makes of each."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from hilum import mapping
from hilum.app.sections import SECTIONS
from hilum.config import examine
from hilum.errors import ConfigError, FormatError
from hilum.formats import records
from hilum.intake import FilesSource
from hilum.model import Accounting, Disposition, Finding

__all__ = ["MappedRecord", "RecordSource", "disposition_of", "map_records", "record_source"]


class RecordSource(Struct, frozen=True):
    """A source of a folder whose files hold records."""

    name: str
    format: records.Format


class MappedRecord(Struct, frozen=True):
    """One record of a file: `line` is where it starts; `finding` says why it would be held at the door."""

    line: int
    mapped: mapping.Mapped
    finding: Finding | None = None
    traces: list[mapping.Trace] = []


def record_source(folder: Path | None, file: Path, name: str) -> RecordSource | None:
    """The source `name`, or the one that takes files of this name; None when they hold HL7 v2.

    Raises ConfigError `source-unknown`, or `source-ambiguous` when several take the file.
    """
    sources = examine(folder, SECTIONS).all(FilesSource) if folder is not None else {}
    described = {key: one.format for key, one in sources.items() if one.format is not None}
    if name:
        format_ = described.get(name)
        if format_ is None:
            known = ", ".join(sorted(described)) or "none"
            text = f"no source `{name}` of the folder has a `format` of records; those that have one: {known}"
            raise ConfigError(text, code="source-unknown")
        return RecordSource(name, format_)
    fitting = [key for key in described if fnmatch.fnmatchcase(file.name, sources[key].pattern)]
    if len(fitting) > 1:
        text = f"{', '.join(sorted(fitting))} take files of this name: say which with --source"
        raise ConfigError(text, code="source-ambiguous")
    return RecordSource(fitting[0], described[fitting[0]]) if fitting else None


def map_records(
    plan: mapping.Plan, file: BinaryIO, source: RecordSource, *, trace: bool = False
) -> Iterator[MappedRecord]:
    """Each record of a file as it is read: memory holds one. A file that is none of the format is one finding."""
    now = time.time_ns() // 1000
    context = mapping.Context(source.name, source.format.sender_of(source.name), now)
    try:
        for found in records.read_records(file, source.format):
            if found.finding is not None:
                yield MappedRecord(found.line, _nothing(found.finding), found.finding)
                continue
            record = records.read(found.body)
            yield MappedRecord(
                found.line, plan.run(record, context), traces=plan.trace(record, context) if trace else []
            )
    except FormatError as error:
        finding = Finding(error.code, error.message, error.location)
        yield MappedRecord(0, _nothing(finding), finding)


def _nothing(finding: Finding) -> mapping.Mapped:
    problem = mapping.Problem(finding.code, finding.location, finding.message)
    return mapping.Mapped([], accounting=Accounting(), held=problem)


def disposition_of(one: MappedRecord) -> Disposition:
    """What would become of it at the door, or in the workbook."""
    if one.line == 0:
        return Disposition.AR
    return Disposition.HOLD if one.finding or one.mapped.held else Disposition.ACCEPT
