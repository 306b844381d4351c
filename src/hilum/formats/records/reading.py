"""Files to records: each with its line, its bytes for the journal, its key, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO

import msgspec
from msgspec import Struct

from hilum.errors import FormatError
from hilum.formats.records.cells import cells_of, is_open
from hilum.formats.records.formats import Delimited, FixedWidth, Format, Ndjson, Spreadsheet
from hilum.formats.records.frame import Head, frame, read_cells
from hilum.formats.records.header import column_names, header_of
from hilum.formats.records.lines import ends_in_cr, lines_in, lines_of
from hilum.formats.records.marks import MERGED
from hilum.formats.records.resources import changed_at, key_reader, read_resource
from hilum.formats.records.spreadsheet import sheet_rows
from hilum.model import Finding, Part

__all__ = ["Found", "Text", "check_file", "read_part", "read_records", "split_records", "unpack_sheet"]

LONGEST_QUOTED = 1024 * 1024  # bytes of a record whose quoted cells hold line breaks
Text = Delimited | FixedWidth | Ndjson  # forms whose files are read as they go
_Lines = Iterator[tuple[int, bytes]]
_Rows = Iterator[tuple[int, list[str]]]
_encode = msgspec.json.Encoder().encode
_decode_columns = msgspec.json.Decoder(list[str]).decode
_decode_row = msgspec.json.Decoder(tuple[int, list[str]]).decode


class Found(Struct, frozen=True):
    """One record of a file. `line` is where it starts; `key` is "" when it cannot be told."""

    line: int
    kind: str
    body: bytes  # framed, see `frame`
    key: str = ""
    finding: Finding | None = None
    at: int = 0  # when it was last changed, where it says so: microseconds since 1970


def read_records(file: BinaryIO, format_: Format) -> Iterator[Found]:
    """Every record of a file, in order. What is wrong with one is in its `finding`; lines without text are no records.

    `file` can seek. Raises FormatError (codes `records-...`) for a file that is none of this format.
    """
    if isinstance(format_, Spreadsheet):
        return _sheet(file, format_)
    return _text(file, format_)


def _text(file: BinaryIO, format_: Text) -> Iterator[Found]:
    lines = lines_of(file)
    columns, records = _opened(lines, format_)
    yield from _judged(records, columns, format_)


def check_file(file: BinaryIO, format_: Text) -> None:
    """Look at the header and at the ends of all lines. Raises FormatError for a file that is none of this format."""
    lines = lines_of(file)
    _opened(lines, format_)
    for _ in lines:
        pass


def split_records(file: BinaryIO, format_: Format, tag: str, size: int) -> Iterator[tuple[Part, bytes]]:
    """The records of a file in parts of about `size` bytes: memory holds one. `read_part` reads each by itself.

    `tag` names the file's content. Of a sheet the file is what `unpack_sheet` wrote. Raises FormatError as
    `read_records` does.
    """
    cr = False
    if isinstance(format_, Spreadsheet):
        columns, records = _unpacked(file)
    else:
        cr = ends_in_cr(file)
        columns, records = _opened(lines_of(file), format_)
    first, length, taken = 0, 0, []
    for line, raw in records:
        first = first or line
        taken.append(raw)
        length += len(raw)
        if length >= size:
            yield Part(tag, first, columns, cr), b"".join(taken)
            first, length, taken = 0, 0, []
    if taken:
        yield Part(tag, first, columns, cr), b"".join(taken)


def read_part(part: Part, body: bytes, format_: Format) -> Iterator[Found]:
    """The records of one part of a file."""
    if isinstance(format_, Spreadsheet):
        head = _sheet_head(part.columns, format_)
        rows = map(_decode_row, body.splitlines())
        return (_of_cells(line, cells, head, format_) for line, cells in rows)
    lines = lines_in(body, part.line, cr=part.cr)
    records = _rows(lines, format_) if isinstance(format_, Delimited) else lines
    return _judged(records, part.columns, format_)


def _opened(lines: _Lines, format_: Text) -> tuple[tuple[str, ...], _Lines]:
    """The names of the columns, and the raw records that follow them."""
    if isinstance(format_, Ndjson):
        return (), _resources(lines)
    if isinstance(format_, FixedWidth):
        columns = tuple(column.name for column in format_.layout)
        return columns, ((number, raw) for number, raw in lines if number > format_.header)
    rows = _rows(lines, format_)
    return (header_of(rows, format_) if format_.header else format_.columns), rows


def _resources(lines: _Lines) -> _Lines:
    """The lines, unless the first ones are the beginning of a document that takes many of them."""
    before: bytes | None = None  # the first line, then nothing
    for number, raw in lines:
        text = raw.strip()
        opens_list = before is None and text.startswith(b"[") and not text.endswith(b"]")
        if opens_list or (before == b"{" and text.startswith(b'"')):
            message = "this is one JSON document, not a resource on each line: save it as NDJSON"
            raise FormatError(message, code="records-json", location=f"line {number}")
        if text:
            before = text if before is None else b""
        yield number, raw


def _head(columns: tuple[str, ...], format_: Delimited | FixedWidth) -> Head:
    """How a record of these is written."""
    deletes = format_.empty == "delete"
    if isinstance(format_, FixedWidth):
        layout = tuple((column.start - 1, column.length) for column in format_.layout)
        return Head(format_.kind, columns, encoding=format_.encoding, layout=layout, deletes=deletes)
    return Head(format_.kind, columns, format_.mark, format_.quote, format_.encoding, deletes=deletes)


def _rows(lines: _Lines, format_: Delimited) -> _Lines:
    """Lines, those of one record together. A quote that is never closed keeps no line but its own."""
    waiting: list[tuple[int, bytes]] = []  # lines to look at again
    quote = format_.quote.encode()
    while True:
        entry = waiting.pop() if waiting else next(lines, None)
        if entry is None:
            return
        number, raw = entry
        if quote and quote in raw and _is_open(raw, format_):
            taken, size, ended = [entry], len(raw), False
            while size < LONGEST_QUOTED and not ended:
                more = waiting.pop() if waiting else next(lines, None)
                if more is None:
                    break
                taken.append(more)
                size += len(more[1])
                # What goes on inside a quoted cell reads like a line that begins with its quote.
                ended = quote in more[1] and not _is_open(quote + more[1], format_)
            whole = b"".join(one for _, one in taken)
            if ended and _is_sound(whole, format_):
                yield number, whole
                continue
            waiting += reversed(taken[1:])
        yield number, raw


def _is_open(raw: bytes, format_: Delimited) -> bool:
    try:
        return is_open(raw.decode(format_.encoding), format_.mark, format_.quote)
    except UnicodeDecodeError:
        return False


def _is_sound(raw: bytes, format_: Delimited) -> bool:
    try:
        cells_of(raw.decode(format_.encoding).rstrip("\r\n"), format_.mark, format_.quote)
    except (UnicodeDecodeError, FormatError):
        return False
    return True


def _sheet(file: BinaryIO, format_: Spreadsheet) -> Iterator[Found]:
    columns, rows = _opened_sheet(file, format_)
    head = _sheet_head(columns, format_)
    return (_of_cells(line, cells, head, format_) for line, cells in rows)


def _opened_sheet(file: BinaryIO, format_: Spreadsheet) -> tuple[tuple[str, ...], _Rows]:
    """The names of the columns, and the rows below them that hold anything, with their numbers."""
    rows = sheet_rows(file, format_.sheet)
    before = [cells for _, cells in zip(range(format_.header), rows, strict=False)]
    if len(before) < format_.header:
        text = "the sheet has no row with the names of its columns: say which it is with `sheet` and `header`"
        raise FormatError(text, code="records-empty", location=f"line {format_.header}")
    names = ["" if cell == MERGED else cell for cell in before[-1]]
    advice = "say with `sheet` and `header` of the source where the names stand"
    columns = column_names(names, format_.key, f"line {format_.header}", advice)
    numbered = enumerate(rows, format_.header + 1)
    return columns, ((line, cells) for line, cells in numbered if any(cell and cell != MERGED for cell in cells))


def _sheet_head(columns: tuple[str, ...], format_: Spreadsheet) -> Head:
    return Head(format_.kind, columns, deletes=format_.empty == "delete", cells=True)


def unpack_sheet(file: BinaryIO, format_: Spreadsheet, out: BinaryIO) -> None:
    """Write a sheet as lines of JSON that `split_records` takes: the names of the columns, then (number, cells).

    Raises FormatError as `read_records` does, also after some lines were written.
    """
    columns, rows = _opened_sheet(file, format_)
    out.write(_encode(columns) + b"\n")
    out.writelines(_encode(row) + b"\n" for row in rows)


def _unpacked(file: BinaryIO) -> tuple[tuple[str, ...], _Lines]:
    columns = tuple(_decode_columns(file.readline()))
    return columns, ((_decode_row(raw)[0], raw) for raw in file)


def _of_cells(line: int, cells: list[str], head: Head, format_: Spreadsheet) -> Found:
    wide = len(head.columns)
    beyond = any(cell and cell != MERGED for cell in cells[wide:])  # a cell may reach out over the last column
    row = cells if beyond else [*cells[:wide], *[""] * (wide - len(cells))]
    body = frame(head, msgspec.json.encode(row))
    try:
        read_cells(head, msgspec.json.encode(row))
    except FormatError as error:
        return Found(line, head.record, body, finding=Finding(error.code, error.message, f"line {line}"))
    return _keyed(line, body, row, head, format_)


def _judged(rows: _Lines, columns: tuple[str, ...], format_: Text) -> Iterator[Found]:
    if isinstance(format_, Ndjson):
        yield from (_resource(line, raw, format_) for line, raw in rows if raw.strip())
        return
    head = _head(columns, format_)
    for line, raw in rows:
        if not raw.strip():
            continue
        body = frame(head, raw)
        try:
            cells = read_cells(head, raw)
        except FormatError as error:
            yield Found(line, head.record, body, finding=Finding(error.code, error.message, f"line {line}"))
            continue
        if any(cells):
            yield _keyed(line, body, cells, head, format_)


def _keyed(
    line: int, body: bytes, cells: Sequence[str], head: Head, format_: Delimited | FixedWidth | Spreadsheet
) -> Found:
    values = [cells[head.columns.index(name)].strip() for name in format_.key]
    if not all(values):
        name = format_.key[values.index("")]
        finding = Finding("record-key-empty", f"the key column `{name}` is empty", f"line {line}")
        return Found(line, head.record, body, finding=finding)
    key = "|".join((*values, format_.authority)) if format_.authority else "|".join(values)
    return Found(line, head.record, body, key)


def _resource(line: int, raw: bytes, format_: Ndjson) -> Found:
    """One FHIR resource. It is held when nothing says what it is about: it could overtake another one."""
    head = Head("fhir:Resource", deletes=format_.empty == "delete")
    try:
        resource = read_resource(raw)
    except FormatError as error:
        return Found(line, head.record, frame(head, raw), finding=Finding(error.code, error.message, f"line {line}"))
    head = Head(f"fhir:{resource['resourceType']}", deletes=head.deletes)
    key = key_reader(format_.key)(resource)
    body, at = frame(head, raw), changed_at(resource)
    if not key:
        text = "no path of `key` gives anything" if format_.key else "it has no id, and refers to no patient"
        return Found(line, head.record, body, finding=Finding("record-key-empty", text, f"line {line}"), at=at)
    return Found(line, head.record, body, f"{key}|{format_.authority}" if format_.authority else key, at=at)
