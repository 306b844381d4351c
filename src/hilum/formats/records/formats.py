"""What a source says of the records in its files: one struct for each form, as `format:` of its YAML file has it."""

from __future__ import annotations

import codecs
import re
from typing import Annotated, Literal

from msgspec import Meta, Struct

from hilum.formats.records.resources import key_reader

__all__ = ["Column", "Delimited", "FixedWidth", "Format", "Ndjson", "Spreadsheet"]

_NAME = re.compile(r"[A-Za-z][\w-]*", re.ASCII)
_WIDE = ("utf-16", "utf-32", "utf-7", "idna", "punycode")


class _Form(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """What every form has."""

    authority: Annotated[
        str, Meta(description="assigning authority of the key: records wait behind HL7 v2 messages of the same one")
    ] = ""
    sender: Annotated[str, Meta(description="`APP|FACILITY` for maps and namespaces; empty: name of the source")] = ""
    empty: Annotated[
        Literal["keep", "delete"],
        Meta(description="an empty cell changes nothing (keep), or takes the stored value away (delete)"),
    ] = "keep"

    def sender_of(self, source: str) -> str:
        """`APP|FACILITY` of records that come in by this source; the facility may be empty."""
        sender = self.sender or source
        return sender if "|" in sender else f"{sender}|"


class _Records(_Form, frozen=True, kw_only=True):
    """What every form of columns has."""

    record: Annotated[str, Meta(description="name of the records, the anchor of their rows (`patients`)")]
    key: Annotated[
        tuple[str, ...], Meta(min_length=1, description="columns that name what a record is about: they order records")
    ]

    def check(self) -> None:
        """Raises ValueError."""
        if not _NAME.fullmatch(self.record) or re.fullmatch("[A-Z][A-Z0-9]{2}", self.record):
            raise ValueError("`record` is a name such as patients: letters, digits, - and _, and no name of a segment")


class Delimited(_Records, frozen=True, kw_only=True, tag="delimited"):
    """Text with a delimiter between cells: CSV (RFC 4180) and its relatives."""

    delimiter: Annotated[str, Meta(description="one ASCII character between cells; `tab` for a tab")] = ","
    quote: Annotated[
        str, Meta(max_length=1, description="around cells with delimiters; doubled inside; empty: none")
    ] = '"'
    encoding: Annotated[str, Meta(description="Python codec of the file; a byte order mark of UTF-8 is no text")] = (
        "utf-8"
    )
    header: Annotated[bool, Meta(description="whether the first line names the columns")] = True
    columns: Annotated[tuple[str, ...], Meta(description="names of the columns of a file without a header")] = ()

    @property
    def kind(self) -> str:
        """`csv:patients`."""
        return f"csv:{self.record}"

    @property
    def mark(self) -> str:
        """The delimiter itself."""
        return "\t" if self.delimiter == "tab" else self.delimiter

    def __post_init__(self) -> None:
        self.check()
        _check_encoding(self.encoding)
        if len(self.mark) != 1 or not self.mark.isascii() or self.mark in '\r\n"' or self.mark == self.quote:
            raise ValueError("`delimiter` is one ASCII character, not the quote and no line end, or the word tab")
        if self.quote and (not self.quote.isascii() or self.quote in "\r\n"):
            raise ValueError("`quote` is one ASCII character, or empty")
        if self.header and self.columns:
            raise ValueError("`columns` names the columns of a file without a header: say `header: false` too")
        if not self.header:
            _check_columns(self.columns, self.key)


class Column(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One column of a fixed layout."""

    name: Annotated[str, Meta(min_length=1, description="how rows of the workbook call it")]
    start: Annotated[int, Meta(ge=1, description="first character, from 1")]
    length: Annotated[int, Meta(ge=1, description="characters")]


class FixedWidth(_Records, frozen=True, kw_only=True, tag="fixed_width"):
    """Text in which every column has its place in the line."""

    layout: Annotated[tuple[Column, ...], Meta(min_length=1, description="columns in the order of the line")]
    encoding: Annotated[str, Meta(description="Python codec of the file")] = "utf-8"
    header: Annotated[int, Meta(ge=0, description="lines before the first record")] = 0

    @property
    def kind(self) -> str:
        """`fixed:patients`."""
        return f"fixed:{self.record}"

    def __post_init__(self) -> None:
        self.check()
        _check_encoding(self.encoding)
        _check_columns(tuple(column.name for column in self.layout), self.key)
        at = 1
        for column in self.layout:
            if column.start < at:
                raise ValueError(f"column {column.name} starts inside the column before it")
            at = column.start + column.length


class Spreadsheet(_Records, frozen=True, kw_only=True, tag="spreadsheet"):
    """One sheet of an XLSX, XLSB, XLS or ODS file whose first row names the columns."""

    sheet: Annotated[str, Meta(description="name of the sheet; empty: the first one")] = ""
    header: Annotated[int, Meta(ge=1, description="row that names the columns, from 1")] = 1

    @property
    def kind(self) -> str:
        """`xlsx:patients`."""
        return f"xlsx:{self.record}"

    def __post_init__(self) -> None:
        self.check()


class Ndjson(_Form, frozen=True, kw_only=True, tag="ndjson"):
    """FHIR resources, one a line. Each type is a kind of its own: `fhir:Patient`."""

    key: Annotated[
        tuple[str, ...],
        Meta(description="FHIRPath of what a resource is about, the first that is there; empty: its patient"),
    ] = ()

    def __post_init__(self) -> None:
        key_reader(self.key)


Format = Delimited | FixedWidth | Spreadsheet | Ndjson


def _check_encoding(name: str) -> None:
    try:
        found = codecs.lookup(name).name
        plain = b'A,;|\t"\r\n0'.decode(name) == 'A,;|\t"\r\n0'
    except (LookupError, UnicodeError):
        raise ValueError(f"`encoding`: {name} is no codec of Python") from None
    if found.startswith(_WIDE) or not plain:
        raise ValueError(f"`encoding`: lines of {name} cannot be told apart byte by byte; save the file as UTF-8")


def _check_columns(columns: tuple[str, ...], key: tuple[str, ...]) -> None:
    if not columns or len(set(columns)) < len(columns):
        raise ValueError("a file without a header needs the names of its columns, each once")
    for name in key:
        if name not in columns:
            raise ValueError(f"the key column {name} is not among the columns")
