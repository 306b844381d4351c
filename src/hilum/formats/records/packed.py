"""Files of spreadsheet programs before they are read: a few kilobytes may unpack to more than any memory holds.

XLSX, XLSB and ODS are ZIP files. A reader that lays out a sheet as a rectangle (that of XLSB, ODS and XLS) ends the
whole process when two cells stand far enough apart, so the corners of such sheets are looked at before.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, BinaryIO
from xml.etree.ElementTree import Element, ParseError, iterparse

from hilum.errors import FormatError

__all__ = ["check_packed", "check_rectangles", "is_xlsx"]

MOST_UNPACKED = 1024 * 1024 * 1024  # bytes
MOST_CELLS = 20_000_000  # of a rectangle: about 600 MB
_XLSX = "xl/workbook.xml"
_XLSB_SHEET = re.compile(r"xl/worksheets/[^/]+\.bin")
_ODS = "content.xml"
_ROW_HEADER, _CELLS = 0, range(1, 12)  # records of XLSB: BrtRowHdr, BrtCellBlank to BrtFmlaError ([MS-XLSB] 2.3)
_BROKEN = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError, EOFError, ParseError, ValueError)


def check_packed(file: BinaryIO, most: int = MOST_UNPACKED) -> None:
    """Refuse what unpacks to more than `most` bytes, and XML that defines entities.

    Raises FormatError `records-sheet`.
    """
    try:
        with zipfile.ZipFile(file) as packed:
            if sum(info.file_size for info in packed.infolist()) > most:
                raise _refused(f"this file unpacks to more than {most} bytes")
            for name in packed.namelist():
                if name.endswith((".xml", ".rels")) and b"<!DOCTYPE" in packed.open(name).read(4096):
                    raise _refused("this file defines XML entities, as no spreadsheet does")
    except _BROKEN as error:
        raise _refused("this is no workbook of a spreadsheet") from error
    finally:
        file.seek(0)


def is_xlsx(file: BinaryIO) -> bool:
    """Whether a ZIP file holds a workbook as XML."""
    with zipfile.ZipFile(file) as packed:
        found = _XLSX in packed.namelist()
    file.seek(0)
    return found


def check_rectangles(file: BinaryIO) -> None:
    """Refuse XLSB and ODS whose cells stand too far apart to be laid out. Raises FormatError `records-sheet`."""
    try:
        with zipfile.ZipFile(file) as packed:
            for name in packed.namelist():
                corners: Iterator[tuple[int, int]] = iter(())
                if _XLSB_SHEET.fullmatch(name):
                    corners = _corner_of_xlsb(packed.read(name))
                elif name == _ODS:
                    with packed.open(name) as content:
                        corners = iter(list(_corners_of_ods(content)))
                if any(rows * columns > MOST_CELLS for rows, columns in corners):
                    raise _refused(
                        "cells of this file stand too far apart: remove those far below or right of the table"
                    )
    except _BROKEN as error:
        raise _refused("this is no workbook of a spreadsheet") from error
    finally:
        file.seek(0)


def _refused(message: str) -> FormatError:
    return FormatError(message, code="records-sheet")


def _corner_of_xlsb(body: bytes) -> Iterator[tuple[int, int]]:
    """(rows, columns) up to the last cell. A record is a number and a length of 7 bits a byte, and its bytes."""
    at = row = rows = columns = 0
    while at < len(body):
        kind, at = _varint(body, at, 2)
        size, at = _varint(body, at, 4)
        if kind == _ROW_HEADER:
            row = int.from_bytes(body[at : at + 4], "little")
        elif kind in _CELLS:
            rows, columns = max(rows, row + 1), max(columns, int.from_bytes(body[at : at + 4], "little") + 1)
        at += size
    yield rows, columns


def _varint(body: bytes, at: int, most: int) -> tuple[int, int]:
    value = 0
    for number in range(most):
        if at >= len(body):
            raise ValueError("a record is cut off")
        value |= (body[at] & 0x7F) << 7 * number
        at += 1
        if not body[at - 1] & 0x80:
            break
    return value, at


def _corners_of_ods(content: IO[bytes]) -> Iterator[tuple[int, int]]:
    """(rows, columns) of each table up to its last cell with a value; what is repeated counts as often."""
    row = column = rows = columns = 0
    wide = 0  # of the row that is read
    for event, element in iterparse(content, ("start", "end")):  # noqa: S314 - entities were refused before
        name = element.tag.rpartition("}")[2]
        if event == "start":
            if name == "table":
                row = rows = columns = 0
            elif name == "table-row":
                column = wide = 0
            continue
        if name in ("table-cell", "covered-table-cell"):
            column += _times(element, "number-columns-repeated")
            if len(element) or any(key.endswith("}value-type") for key in element.keys()):  # noqa: SIM118
                wide = column
        elif name == "table-row":
            row += _times(element, "number-rows-repeated")
            if wide:
                rows, columns = row, max(columns, wide)
            element.clear()
        elif name == "table":
            yield rows, columns
            element.clear()


def _times(element: Element, name: str) -> int:
    found = [text for key, text in element.items() if key.endswith("}" + name)]
    return int(found[0]) if found else 1
