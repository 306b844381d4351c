"""Cutting text into segments and remembering how each one ended."""

from __future__ import annotations

import re

__all__ = ["split_lines"]

# A terminator takes the blank lines after it along, and at the end of the text whatever blanks and end marks follow.
_BREAKS = re.compile(r"([\r\n]+(?:[ \t]+[\r\n]+)*(?:[ \t\x1a\x1c\r\n]+\Z)?)")


def split_lines(text: str) -> tuple[list[str], str, list[str] | None]:
    """Segments, their common terminator, and what ended each of them where that differs (None where it does not).

    `text` must not start with a line break. Joining each segment with its terminator gives `text` back.
    """
    body = text.rstrip("\r\n")
    if "\n" not in body:
        end = "\r"
    elif "\r" not in body:
        end = "\n"
    else:
        end = "\r\n"
    lines = body.split(end)
    # What starts with a blank or a control character is no segment: see to the blanks one by one.
    if lines[-1][:1] > " " and "" not in lines and _only(body, end, len(lines) - 1):
        tail = text[len(body) :]
        return lines, end, None if tail == end else [*[end] * (len(lines) - 1), tail]
    pieces = _BREAKS.split(text)
    ends = pieces[1::2]
    lines = pieces[0::2]
    if len(lines) > 1 and lines[-1] == "":
        lines.pop()
    else:
        ends.append("")
    return lines, end, ends


def _only(text: str, end: str, count: int) -> bool:
    """Whether a text cut by CRLF has no CR and no LF beside those."""
    return len(end) == 1 or (text.count("\r") == count and text.count("\n") == count)
