"""Records that are no HL7 v2: rows of delimited text, of fixed columns, of a sheet; FHIR resources as lines of NDJSON.

Pure; files are read as they go.
"""

from hilum.formats.records.formats import Column, Delimited, FixedWidth, Format, Ndjson, Spreadsheet
from hilum.formats.records.frame import RowRecord, is_framed, is_record_kind, is_resource_kind, read
from hilum.formats.records.reading import Found, Text, check_file, read_part, read_records, split_records, unpack_sheet
from hilum.formats.records.resources import ResourceRecord, read_resource
from hilum.formats.records.writing import csv_line

__all__ = [
    "Column",
    "Delimited",
    "FixedWidth",
    "Format",
    "Found",
    "Ndjson",
    "ResourceRecord",
    "RowRecord",
    "Spreadsheet",
    "Text",
    "check_file",
    "csv_line",
    "is_framed",
    "is_record_kind",
    "is_resource_kind",
    "read",
    "read_part",
    "read_records",
    "read_resource",
    "split_records",
    "unpack_sheet",
]
