"""Paths as people write them: `PID-3[1].4.2`, `OBX[2]-5`, `OBX[*]-3[*].1`."""

from __future__ import annotations

import re
from functools import lru_cache

from msgspec import Struct

from hilum.errors import FormatError

__all__ = ["Path", "compile_path"]

_PATH = re.compile(
    r"(?P<segment>[A-Z][A-Z0-9]{2})(?:\[(?P<index>\*|[1-9]\d{0,5})\])?"
    r"-(?P<field>[1-9]\d{0,2})(?:\[(?P<repetition>\*|[1-9]\d{0,5})\])?"
    r"(?:\.(?P<component>[1-9]\d{0,2})(?:\.(?P<subcomponent>[1-9]\d{0,2}))?)?"
)


class Path(Struct, frozen=True):
    """Where a value stands. Numbers count from 1; 0 is `*` for index and repetition, and the whole for the others."""

    segment: str
    index: int
    field: int
    repetition: int
    component: int = 0
    subcomponent: int = 0

    def __str__(self) -> str:
        index = "" if self.index == 1 else f"[{self.index or '*'}]"
        repetition = "" if self.repetition == 1 else f"[{self.repetition or '*'}]"
        parts = "".join(f".{part}" for part in (self.component, self.subcomponent) if part)
        return f"{self.segment}{index}-{self.field}{repetition}{parts}"


@lru_cache(maxsize=4096)
def compile_path(text: str) -> Path:
    """The path written as `text`; what is left out of index and repetition is 1. Raises FormatError `path-invalid`."""
    match = _PATH.fullmatch(text)
    if match is None:
        raise FormatError(
            "a path is written SEG[i]-F[r].C.S, for example PID-3[1].4.2 or OBX[*]-5",
            code="path-invalid",
            location=text,
        )
    return Path(
        match["segment"],
        _number(match["index"]),
        int(match["field"]),
        _number(match["repetition"]),
        int(match["component"] or 0),
        int(match["subcomponent"] or 0),
    )


def _number(text: str | None) -> int:
    if text is None:
        return 1
    return 0 if text == "*" else int(text)
