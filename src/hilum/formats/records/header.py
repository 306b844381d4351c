"""The line of a file that names its columns, and what to say when it does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hilum.errors import FormatError
from hilum.formats.records.cells import cells_of
from hilum.formats.records.formats import Delimited

__all__ = ["column_names", "header_of"]

_DELIMITERS = ((b";", "some `;`"), (b"\t", "tabs"), (b",", "some `,`"), (b"|", "some `|`"))


def header_of(rows: Iterator[tuple[int, bytes]], format_: Delimited) -> tuple[str, ...]:
    """The names of the columns: the first line with text. Raises FormatError `records-...`."""
    for line, raw in rows:
        if raw.strip():
            advice = _advice(raw, format_)
            return column_names(_header_cells(raw, format_), format_.key, f"line {line}", advice)
    raise FormatError("the file has no line with the names of its columns", code="records-empty", location="line 1")


def _advice(header: bytes, format_: Delimited) -> str:
    """What to look at when a header lacks the key column."""
    mark = format_.mark.encode()
    others = [text for other, text in _DELIMITERS if other in header]
    if mark not in header and others:
        return f"it has no `{format_.delimiter}`, and {others[0]}: set `delimiter` of the source"
    return "has the file a header, and does its sender still call the column so?"


def _header_cells(raw: bytes, format_: Delimited) -> list[str]:
    try:
        return cells_of(raw.decode(format_.encoding).rstrip("\r\n"), format_.mark, format_.quote)
    except UnicodeDecodeError:
        message = f"the header is not {format_.encoding}: set `encoding` of the source"
        raise FormatError(message, code="records-encoding", location="line 1") from None


def column_names(cells: Sequence[str], key: Sequence[str], line: str, advice: str) -> tuple[str, ...]:
    """Names of the columns: one that comes again gets a number, one without a name is called by its place.

    Raises FormatError `records-key-missing` with `advice`: then the line is no header, and may hold data.
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
            message = f"this line does not name the key column `{column}`: {advice}"
            raise FormatError(message, code="records-key-missing", location=line)
    return tuple(found)
