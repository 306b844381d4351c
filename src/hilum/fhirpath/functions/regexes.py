"""Regular expressions that cannot hang (FHIRPath N1, 5.6).

matches() and matchesFull() run on an engine whose time grows with the length of the text only. Replacing needs groups,
which that engine does not give here: it runs on Python's, and takes neither repeats inside of repeats nor long texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from hilum.fhirpath.failure import fail

__all__ = ["matcher", "replacer"]

LONGEST_PATTERN = 2000
LONGEST_REPLACED = 20_000  # characters of a text in which matches are replaced
MOST_REPEATS = 4  # unbounded repeats side by side in a pattern that replaces


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


@lru_cache(maxsize=512)
def replacer(pattern: str) -> re.Pattern[str]:
    """A pattern to replace by. Raises FhirPathError `fhirpath-regex` for one that cannot be read or could hang."""
    matcher(pattern, whole=False)
    try:
        found = re.compile(pattern, re.DOTALL)
    except (re.error, RecursionError, OverflowError):
        raise fail("a regular expression that cannot be read", "fhirpath-regex") from None
    if _may_hang(pattern):
        raise fail(
            "a regular expression to replace by has no repeats inside of repeats, and few side by side",
            "fhirpath-regex",
        )
    return found


def _check_length(pattern: str) -> None:
    if len(pattern) > LONGEST_PATTERN:
        raise fail(f"a regular expression has at most {LONGEST_PATTERN} characters", "fhirpath-regex")


_PARTS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[()]|[*+?]\??|\{\d*(?:,\d*)?\}\??|.", re.DOTALL)
_REPEAT = re.compile(r"[*+]|\{\d*,\d*\}|\{\d{2,}\}")


def _may_hang(pattern: str) -> bool:
    """Whether a group with repeats or alternatives inside is itself repeated, or many repeats stand side by side."""
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
                return True
            groups[-1] = True
            repeats += 1
        elif part == "|":
            groups[-1] = True
        closed = False
    return repeats > MOST_REPEATS
