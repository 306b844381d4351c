"""Regular expressions that cannot hang (FHIRPath N1, 5.6).

matches() and matchesFull() run on an engine whose time grows with the length of the text only. Replacing needs groups,
which that engine does not give here: it runs on Python's, takes no repeats inside of repeats, and the more repeats
stand side by side, the shorter a text it takes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from hilum.fhirpath.failure import fail

__all__ = ["matcher", "replacer"]

LONGEST_PATTERN = 2000
MOST_STEPS = 10**8  # about a second


@lru_cache(maxsize=512)
def matcher(pattern: str, *, whole: bool) -> Callable[[str], bool]:
    """Whether a text holds (or, `whole`, is) what a pattern describes; `.` matches line ends too.

    Raises FhirPathError `fhirpath-regex` for a pattern that cannot be read, and for look-around and back references.
    """
    import jsonschema_rs

    _check_length(pattern)
    text = f"(?s)^(?:{pattern})$" if whole else f"(?s){pattern}"
    try:
        validator: Any = jsonschema_rs.validator_for({"pattern": text}, pattern_options=jsonschema_rs.RegexOptions())
    except jsonschema_rs.ValidationError:
        raise fail(
            "a regular expression that cannot be read (look-around and back references are not taken)", "fhirpath-regex"
        ) from None
    found: Callable[[str], bool] = validator.is_valid
    return found


def replacer(pattern: str, length: int) -> re.Pattern[str]:
    """A pattern to replace by in a text of some length.

    Raises FhirPathError `fhirpath-regex` for one that cannot be read or could take too long.
    """
    found, repeats = _replacing(pattern)
    if length ** (repeats + 1) > MOST_STEPS:
        raise fail(
            "a regular expression with too many repeats to replace by in a text of this length", "fhirpath-regex"
        )
    return found


@lru_cache(maxsize=512)
def _replacing(pattern: str) -> tuple[re.Pattern[str], int]:
    """The compiled pattern and how many repeats it has."""
    matcher(pattern, whole=False)
    try:
        found = re.compile(pattern, re.DOTALL)
    except (re.error, RecursionError, OverflowError):
        raise fail("a regular expression that cannot be read", "fhirpath-regex") from None
    return found, _repeats(pattern)


def _check_length(pattern: str) -> None:
    if len(pattern) > LONGEST_PATTERN:
        raise fail(f"a regular expression has at most {LONGEST_PATTERN} characters", "fhirpath-regex")


_PARTS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[()]|[*+?]\??|\{\d*(?:,\d*)?\}\??|.", re.DOTALL)
_REPEAT = re.compile(r"[*+]|\{\d*,\d*\}|\{\d{2,}\}")


def _repeats(pattern: str) -> int:
    """How many repeats stand side by side. Raises for a group with repeats or alternatives that is itself repeated."""
    groups, repeats = [False], 0
    closed = False
    for part in _PARTS.findall(pattern):
        if part == "(":
            groups.append(False)
        elif part == ")" and len(groups) > 1:
            closed = groups.pop()
            groups[-1] = groups[-1] or closed
            continue
        elif _REPEAT.match(part):
            if closed:
                raise fail("a regular expression to replace by has no repeats inside of repeats", "fhirpath-regex")
            groups[-1] = True
            repeats += 1
        elif part == "|":
            groups[-1] = True
        closed = False
    return repeats
