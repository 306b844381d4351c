"""The sheet "How to read this": what a newcomer needs to find a row, add one and see its effect."""

from __future__ import annotations

import re
from importlib.resources import files

from msgspec import Struct

__all__ = ["GUIDE_SHEET", "OWNERS_SHEET", "GuideLine", "guide"]

GUIDE_SHEET = "How to read this"
OWNERS_SHEET = "owners"
_STYLES = {"# ": "title", "## ": "heading", "> ": "example", "- ": "step"}


class GuideLine(Struct, frozen=True):
    """`style` is title, heading, example, step, text, sheet (`word` names it) or colour (`word` names the state)."""

    style: str
    text: str
    word: str = ""


def guide() -> list[GuideLine]:
    """The lines of guide.txt that are not empty."""
    text = files(__package__).joinpath("guide.txt").read_text("utf-8")
    return [_line(line) for line in text.splitlines() if line]


def _line(line: str) -> GuideLine:
    for mark, style in _STYLES.items():
        if line.startswith(mark):
            return GuideLine(style, line.removeprefix(mark))
    named = re.match(r"\[(\w+)\] |\{(\w+)\} ", line)
    if named is None:
        return GuideLine("text", line)
    return GuideLine("sheet" if named[1] else "colour", line[named.end() :], named[1] or named[2])
