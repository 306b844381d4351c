"""What segments, fields and components are called: HL7 v2.5.1, and v2.1 to v2.9 for what it lacks.

For people; nothing is decided by it.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files

from msgspec import Struct

__all__ = ["SEGMENT_NAMES", "FieldInfo", "SegmentInfo", "component_name", "describe", "field_info"]


class FieldInfo(Struct, frozen=True):
    """Name and data type of a field, "" where unknown."""

    name: str = ""
    type: str = ""


class SegmentInfo(Struct, frozen=True):
    """Title of a segment and its fields; `fields[0]` is SEG-1."""

    title: str = ""
    fields: tuple[FieldInfo, ...] = ()


_UNKNOWN = SegmentInfo()
_NO_FIELD = FieldInfo()


def describe(segment: str) -> SegmentInfo:
    """What a segment is; without title and fields when the standard does not know it."""
    return _segments().get(segment, _UNKNOWN)


def field_info(segment: str, number: int) -> FieldInfo:
    """Name and type of SEG-number."""
    fields = describe(segment).fields
    return fields[number - 1] if 0 < number <= len(fields) else _NO_FIELD


def component_name(type_: str, number: int) -> str:
    """Name of a component of a data type, "" where unknown."""
    parts = _types().get(type_, ())
    return parts[number - 1] if 0 < number <= len(parts) else ""


def _rows(file: str) -> list[list[str]]:
    text = files(__package__).joinpath(file).read_text("utf-8")
    return list(csv.reader(text.splitlines()))[1:]


@cache
def _segments() -> dict[str, SegmentInfo]:
    return {
        name: SegmentInfo(title, tuple(FieldInfo(*cell.split(":")) if cell else _NO_FIELD for cell in cells.split(";")))
        for name, title, cells in _rows("segments.csv")
    }


@cache
def _types() -> dict[str, tuple[str, ...]]:
    return {name: tuple(cells.split(";")) for name, cells in _rows("datatypes.csv")}


SEGMENT_NAMES = tuple(row[0] for row in _rows("segments.csv"))
