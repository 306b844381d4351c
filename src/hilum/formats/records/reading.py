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
from hilum.formats.records.lines import ends_in_cr, lines_in, lines_of
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
        return (), lines
    if isinstance(format_, FixedWidth):
        columns = tuple(column.name for column in format_.layout)
        return columns, ((number, raw) for number, raw in lines if number > format_.header)
    rows = _rows(lines, format_)
    return (_header(rows, format_) if format_.header else format_.columns), rows


def _head(columns: tuple[str, ...], format_: Delimited | FixedWidth) -> Head:
    """How a record of these is written."""
    deletes = format_.empty == "delete"
    if isinstance(format_, FixedWidth):
        layout = tuple((column.start - 1, column.length) for column in format_.layout)
        return Head(format_.kind, columns, encoding=format_.encoding, layout=layout, deletes=deletes)
    return Head(format_.kind, columns, format_.mark, format_.quote, format_.encoding, deletes=deletes)


def _header(rows: _Lines, format_: Delimited) -> tuple[str, ...]:
    for line, raw in rows:
        if raw.strip():
            return column_names(_header_cells(raw, format_), format_.key, str(line))
    raise FormatError("the file has no line with the names of its columns", code="records-empty", location="1")


def _header_cells(raw: bytes, format_: Delimited) -> list[str]:
    try:
        return cells_of(raw.decode(format_.encoding).rstrip("\r\n"), format_.mark, format_.quote)
    except UnicodeDecodeError:
        message = f"the header is not {format_.encoding}: set `encoding` of the source"
        raise FormatError(message, code="records-encoding", location="1") from None


def column_names(cells: Sequence[str], key: Sequence[str], line: str) -> tuple[str, ...]:
    """Names of the columns: one that comes again gets a number, one without a name is called by its place.

    Raises FormatError `records-key-missing`: then the line is no header, and may hold data.
    """
    names = [cell.strip() for cell in cells]
    while names and not names[-1]:
        names.pop()
    taken: dict[str, int] = {}
    found = []
    for at, name in enumerate(names, 1):
        name = name.replace("[", "(").replace("]", ")") or f"column {at}"
        taken[name] = taken.get(name, 0) + 1
        found.append(name if taken[name] == 1 else f"{name} ({taken[name]})")
    for column in key:
        if column not in found:
            message = f"the first line does not name the key column `{column}`"
            raise FormatError(message, code="records-key-missing", location=line)
    return tuple(found)


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
        raise FormatError("the sheet has no row with the names of its columns", code="records-empty")
    columns = column_names(before[-1], format_.key, str(format_.header))
    return columns, ((line, cells) for line, cells in enumerate(rows, format_.header + 1) if any(cells))


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
    row = [*cells[:wide], *[""] * (wide - len(cells))]
    beyond = any(cells[wide:])
    body = frame(head, msgspec.json.encode(cells if beyond else row))
    if beyond:
        finding = Finding("record-columns", "a cell stands right of the last column that has a name", f"line {line}")
        return Found(line, head.record, body, finding=finding)
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
