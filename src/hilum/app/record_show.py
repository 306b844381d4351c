"""Files of records for `hilum map`: which source of a folder describes them, and what the workbook makes of each."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct, structs

from hilum import mapping
from hilum.app.sections import SECTIONS
from hilum.config import examine
from hilum.errors import ConfigError, FormatError
from hilum.formats import records
from hilum.intake import FilesSource
from hilum.model import Accounting, Disposition, Finding

__all__ = [
    "MappedRecord",
    "RecordSource",
    "as_lines",
    "described_records",
    "disposition_of",
    "map_records",
    "opened",
    "record_source",
]

_RESOURCES = (".ndjson", ".json")
_encode = msgspec.json.Encoder(decimal_format="number").encode


class RecordSource(Struct, frozen=True):
    """A source of a folder whose files hold records."""

    name: str
    format: records.Format


class MappedRecord(Struct, frozen=True):
    """One record of a file: `line` is where it starts; `finding` says why it would be held at the door."""

    line: int
    kind: str
    mapped: mapping.Mapped
    finding: Finding | None = None
    traces: list[mapping.Trace] = []


def record_source(folder: Path | None, file: Path, name: str) -> RecordSource | None:
    """The source `name`, or the one that takes files of this name; .json and .ndjson hold FHIR all the same.

    None when they hold HL7 v2.

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
    if not fitting and file.suffix in _RESOURCES:
        return RecordSource("map", records.Ndjson())
    return RecordSource(fitting[0], described[fitting[0]]) if fitting else None


def described_records(folder: Path) -> dict[str, tuple[str, ...]]:
    """The kinds of records that sources of a folder give, with their columns; () where only a file names them."""
    found: dict[str, tuple[str, ...]] = {}
    for one in examine(folder, SECTIONS).all(FilesSource).values():
        if isinstance(one.format, records.FixedWidth):
            found[one.format.kind] = tuple(column.name for column in one.format.layout)
        elif isinstance(one.format, records.Delimited | records.Spreadsheet):
            found[one.format.kind] = one.format.columns if isinstance(one.format, records.Delimited) else ()
    return found


def opened(file: Path, source: RecordSource) -> BinaryIO:
    """The records of a file, to be read as they go; of one JSON document (.json) its resources as lines.

    Raises OSError.
    """
    if file.suffix == ".json" and isinstance(source.format, records.Ndjson):
        return BytesIO(as_lines(file.read_bytes()))
    return file.open("rb")


def as_lines(raw: bytes) -> bytes:
    """The resources of one JSON document as lines: of a Bundle its entries, else the document itself.

    What is no JSON comes back as it is: reading its lines says what is wrong.
    """
    try:
        document = records.read_resource(raw)
    except FormatError:
        return raw
    entries = document.get("entry") if document["resourceType"] == "Bundle" else None
    if not isinstance(entries, list):
        return _encode(document) + b"\n"
    inside = [one.get("resource") for one in entries if isinstance(one, dict)]
    return b"".join(_encode(one) + b"\n" for one in inside if isinstance(one, dict))


def map_records(
    plan: mapping.Plan, file: BinaryIO, source: RecordSource, *, trace: bool = False
) -> Iterator[MappedRecord]:
    """Each record of a file as it is read: memory holds one. A file that is none of the format is one finding."""
    now = time.time_ns() // 1000
    context = mapping.Context(source.name, source.format.sender_of(source.name), now)
    try:
        for found in records.read_records(file, source.format):
            if found.finding is not None:
                yield MappedRecord(found.line, found.kind, _nothing(found.finding), found.finding)
                continue
            record, then = records.read(found.body), structs.replace(context, sent_at=found.at)
            traces = plan.trace(record, then) if trace else []
            yield MappedRecord(found.line, found.kind, plan.run(record, then), traces=traces)
    except FormatError as error:
        finding = Finding(error.code, error.message, error.location)
        yield MappedRecord(0, "", _nothing(finding), finding)


def _nothing(finding: Finding) -> mapping.Mapped:
    problem = mapping.Problem(finding.code, finding.location, finding.message)
    return mapping.Mapped([], accounting=Accounting(), held=problem)


def disposition_of(one: MappedRecord) -> Disposition:
    """What would become of it at the door, or in the workbook."""
    if one.line == 0:
        return Disposition.AR
    return Disposition.HOLD if one.finding or one.mapped.held else Disposition.ACCEPT
