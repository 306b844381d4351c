"""The fields of a message's segments as generated code reads them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hilum.mapping.mapped import Record
from hilum.mapping.program import Opened, Shape

__all__ = ["Cutter"]

_PADDING = [[""] * width for width in range(512)]
_ABSENT = _PADDING[511]


class Cutter:
    """Cuts segments of messages with one set of delimiters; `delimiters` are those inside fields."""

    def __init__(self, field: str, delimiters: str) -> None:
        self._delimiters = delimiters
        self._starts = tuple(field + mark for mark in delimiters)
        bar = re.escape(field)
        self._hollow = re.compile(f"{bar}[{re.escape(delimiters)}]+(?:{bar}|$)").search

    def cut(
        self, record: Record, shape: Shape, which: Iterable[int], before: Opened | None = None
    ) -> tuple[list[bytes], list[list[str]]]:
        """For each of these segments one byte per field (does it hold more than delimiters), and its fields, padded.

        Fields of delimiters alone are empty there. The last entry of the fields is a segment that is not there.
        `before`: what was cut already.
        """
        widths, segments = shape.widths, record.segments
        if before is None:
            patterns, padded = [b""] * len(widths), [_ABSENT] * (len(widths) + 1)
        else:
            patterns, padded = before.patterns.copy(), before.padded.copy()
            which = [at for at in which if not patterns[at] or len(padded[at]) < widths[at]]
        hollow, delimiters, starts = self._hollow, self._delimiters, self._starts
        for at in which:
            segment = segments[at]
            fields = segment.fields
            raw = segment.raw
            if (starts[0] in raw or starts[1] in raw or starts[2] in raw) and hollow(raw):
                fields = [text if text.strip(delimiters) else "" for text in fields]
            patterns[at] = bytes(map(bool, fields))
            short = widths[at] - len(fields)
            if short > 0:
                fields = fields + (_PADDING[short] if short < 512 else [""] * short)
            padded[at] = fields
        return patterns, padded
