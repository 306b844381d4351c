"""Records that are no HL7 v2: rows of delimited text, of fixed columns, of a sheet. Pure; files are read as they go."""

from hilum.formats.records.formats import Column, Delimited, FixedWidth, Format, Spreadsheet
from hilum.formats.records.frame import RowRecord, is_framed, is_record_kind, read
from hilum.formats.records.reading import Found, read_records

__all__ = [
    "Column",
    "Delimited",
    "FixedWidth",
    "Format",
    "Found",
    "RowRecord",
    "Spreadsheet",
    "is_framed",
    "is_record_kind",
    "read",
    "read_records",
]
