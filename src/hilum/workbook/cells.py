"""Texts in cells of a spreadsheet: what XML cannot hold is written as `_xHHHH_` (ECMA-376 part 1, 22.9.2.19)."""

from __future__ import annotations

import re

__all__ = ["LONGEST_CELL", "from_cell", "to_cell"]

LONGEST_CELL = 32_767  # characters; a spreadsheet cuts off what is longer

_NOT_XML = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")


def to_cell(text: str) -> str:
    """The text as it is stored."""
    return _NOT_XML.sub(lambda found: f"_x{ord(found[0]):04X}_", text)


def from_cell(text: str) -> str:
    """The text that is meant."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
