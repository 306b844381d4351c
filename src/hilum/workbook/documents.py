"""A table's file as it stands: each record with its own text, so that what nobody changed is written back as it was."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, structs

from hilum.errors import ConfigError

__all__ = ["Document", "Record", "edited", "new_document", "parse_document", "record_text"]

_BOM = "\ufeff"
_QUOTED = re.compile(r'[,"\r\n]')


class Record(Struct, frozen=True):
    """A record of a CSV file. `line` is that of its first character, from 1; `cells` are stripped, as the engine does.

    `raw` is its text with the end of its line. A comment or an empty line is a record too, with `is_note`.
    """

    line: int
    cells: tuple[str, ...]
    raw: str
    is_note: bool = False


class Document(Struct, frozen=True):
    """A CSV file: `text` gives its bytes back."""

    file: str
    records: tuple[Record, ...] = ()
    bom: bool = False

    @property
    def header(self) -> Record | None:
        """The first record that is no comment; None in an empty file."""
        return next((record for record in self.records if not record.is_note), None)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names in the header."""
        return self.header.cells if self.header else ()

    @property
    def lines(self) -> tuple[Record, ...]:
        """The records below the header that are no comments."""
        return tuple(record for record in self.records if not record.is_note)[1:]

    @property
    def newline(self) -> str:
        """How its lines end; that of the first one."""
        ends = ("\r\n", "\n", "\r")
        first = self.records[0].raw if self.records else "\n"
        return next((end for end in ends if first.endswith(end)), "\n")

    @property
    def text(self) -> str:
        """The whole file."""
        return (_BOM if self.bom else "") + "".join(record.raw for record in self.records)

    def cells_of(self, record: Record) -> dict[str, str]:
        """Column to text, of the columns that the file has."""
        return dict(zip(self.columns, record.cells, strict=False))


def parse_document(file: str, text: str) -> Document:
    """Read a CSV file; `Document.text` is `text` again. Raises ConfigError `table-unreadable`."""
    bom = text.startswith(_BOM)
    physical = io.StringIO(text.removeprefix(_BOM), newline="").readlines()
    reader = csv.reader(physical, strict=True)
    records: list[Record] = []
    start = 0
    try:
        for cells in reader:
            stripped = tuple(cell.strip() for cell in cells)
            is_note = not any(stripped) or cells[0].lstrip().startswith("#")
            records.append(Record(start + 1, stripped, "".join(physical[start : reader.line_num]), is_note))
            start = reader.line_num
    except csv.Error as error:
        message = f"{file}:{start + 1}:1 is not CSV from here on: {error}; is a quote there that is never closed?"
        raise ConfigError(message, code="table-unreadable") from error
    return Document(file, tuple(records), bom)


def record_text(cells: Sequence[str], newline: str = "\n") -> str:
    """One record as we write it: a cell is quoted where the format needs it."""
    quoted = [f'"{cell.replace(chr(34), chr(34) * 2)}"' if _QUOTED.search(cell) else cell for cell in cells]
    return ('""' if quoted == [""] else ",".join(quoted)) + newline


def new_document(file: str, columns: Sequence[str]) -> Document:
    """An empty table."""
    return Document(file, (Record(1, tuple(columns), record_text(columns)),))


def edited(
    document: Document,
    *,
    changed: Mapping[int, Mapping[str, str]] | None = None,
    removed: Iterable[int] = (),
    added: Iterable[Mapping[str, str]] = (),
) -> Document:
    """The file with records (by line) changed and removed, and others added at its end; comments and all else stay.

    A column that the header lacks is added to it when a cell of it is filled.
    """
    changed, gone, new = changed or {}, set(removed), list(added)
    columns = list(document.columns)
    for cells in (*changed.values(), *new):
        columns += [name for name, text in cells.items() if text and name not in columns]
    end = document.newline
    records = [
        _written(document, record, columns, changed.get(record.line), end)
        for record in document.records
        if record.line not in gone or record.is_note
    ]
    if new and records and not records[-1].raw.endswith(("\n", "\r")):
        records[-1] = structs.replace(records[-1], raw=records[-1].raw + end)
    records += [Record(0, (), record_text([cells.get(name, "") for name in columns], end)) for cells in new]
    return parse_document(
        document.file, Document(document.file, tuple(records), document.bom).text
    )  # lines are counted anew


def _written(
    document: Document, record: Record, columns: Sequence[str], cells: Mapping[str, str] | None, end: str
) -> Record:
    header = document.header
    if header is not None and record.line == header.line and tuple(columns) != document.columns:
        return structs.replace(record, raw=record_text(columns, end))
    if cells is None or record.is_note:
        return record
    whole = {**document.cells_of(record), **cells}
    return structs.replace(record, raw=record_text([whole.get(name, "") for name in columns], end))
