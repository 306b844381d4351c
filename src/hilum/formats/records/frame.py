"""A record as the journal keeps it: a line that says how it is written, then its own bytes as they came.

So a record is read again without the file that it came in and without the settings of that day.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import msgspec
from msgspec import Struct

from hilum.errors import FormatError
from hilum.formats.records.cells import cells_of
from hilum.formats.records.marks import complaint
from hilum.formats.records.resources import Record, ResourceRecord, read_resource

__all__ = ["Head", "RowRecord", "frame", "is_framed", "is_record_kind", "is_resource_kind", "read"]


class Head(Struct, frozen=True, omit_defaults=True):
    """How a record is written. `layout`: (start, length) of each column, from 0. `cells`: the body is a JSON list."""

    record: str  # "csv:patients"
    columns: tuple[str, ...] = ()
    delimiter: str = ","
    quote: str = ""
    encoding: str = "utf-8"
    deletes: bool = False
    layout: tuple[tuple[int, int], ...] = ()
    cells: bool = False


class RowRecord(Record, frozen=True):
    """One record, as the mapping engine takes it."""

    columns: tuple[str, ...]
    cells: Sequence[str]
    deletes: bool = False


# No text of FHIR holds these (R4, 2.24.0.1 string); tabs and line breaks may stand in a cell.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_encode = msgspec.json.Encoder().encode
_decode_head = lru_cache(256)(msgspec.json.Decoder(Head).decode)
_decode_cells = msgspec.json.Decoder(list[str]).decode


@lru_cache(64)
def _written(head: Head) -> bytes:
    return _encode(head) + b"\n"


def frame(head: Head, body: bytes) -> bytes:
    """The bytes for the journal."""
    return _written(head) + body


def is_framed(body: bytes) -> bool:
    """Whether a journaled body is a record: no message of HL7 v2 that was let in begins like this."""
    return body.startswith(b'{"record":')


def is_record_kind(kind: str) -> bool:
    """Whether `Envelope.kind` names records (`csv:patients`) and not messages of HL7 v2."""
    return ":" in kind


def is_resource_kind(kind: str) -> bool:
    """Whether `Envelope.kind` names FHIR resources (`fhir:Patient`)."""
    return kind.startswith("fhir:")


def read(body: bytes) -> RowRecord | ResourceRecord:
    """A framed record. Raises FormatError with the code for which such a record is held."""
    line, _, raw = body.partition(b"\n")
    try:
        head = _decode_head(line)
    except msgspec.MsgspecError:
        raise FormatError("the first line of the record does not say how it is written", code="record-frame") from None
    if is_resource_kind(head.record):
        return ResourceRecord(head.record, read_resource(raw), head.deletes)
    return RowRecord(head.record, head.columns, read_cells(head, raw), head.deletes)


def read_cells(head: Head, raw: bytes) -> list[str]:
    """The cells of a record, as many as there are columns. Raises FormatError."""
    if head.cells:
        return _of_sheet(head, _decode_cells(raw))
    try:
        text = raw.decode(head.encoding).rstrip("\r\n")
    except UnicodeDecodeError as error:
        message = f"byte {error.start + 1} of the line is not {head.encoding}"
        raise FormatError(message, code="record-undecodable") from None
    if not text.isprintable() and (found := _CONTROL.search(text)):
        message = f"character {found.start() + 1} of the line is a control character, and no text"
        raise FormatError(message, code="record-undecodable")
    if head.layout:
        return _cut(text, head.layout)
    cells = cells_of(text, head.delimiter, head.quote)
    extra = len(cells) - len(head.columns)
    if extra > 0 and not any(cells[-extra:]):
        return cells[:-extra]
    if extra:
        message = f"{len(cells)} cells, where the header has {len(head.columns)} columns"
        raise FormatError(message, code="record-columns")
    return cells


def _of_sheet(head: Head, cells: list[str]) -> list[str]:
    if len(cells) > len(head.columns):
        raise FormatError("a cell stands right of the last column that has a name", code="record-columns")
    if any(_CONTROL.search(cell) for cell in cells if not cell.isprintable()):
        raise FormatError("a cell holds a control character, and no text", code="record-undecodable")
    problem = complaint(cells, head.columns)
    if problem:
        raise FormatError(problem, code="record-cell-unreadable")
    return cells


def _cut(text: str, layout: tuple[tuple[int, int], ...]) -> list[str]:
    end = layout[-1][0] + layout[-1][1]
    if text[end:].strip():
        raise FormatError(f"the line goes on after character {end}, where its layout ends", code="record-columns")
    return [text[start : start + length].strip() for start, length in layout]
