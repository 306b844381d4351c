"""Dates and times as DTM: precision and zone as they are, nothing invented (HL7 v2.9, section 2A.2.22)."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from hilum.mapping.outward.frame import Inverted, Out, Parts, inverts, one
from hilum.mapping.outward.resources import View
from hilum.mapping.transforms.frame import Spec

__all__ = ["dtm", "instant"]

_TIME = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:(Z)|([+-]\d\d):(\d\d)))?)?)?", re.ASCII
)


def dtm(text: str) -> str:
    """`2024-02-03T10:00:00.5-06:00` to `20240203100000.5-0600`; "" for what is no FHIR date or dateTime.

    A fraction is cut after four digits, the most that HL7 v2 has.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        return ""
    year, month, day, hour, minute, second, fraction, utc, hours, minutes = match.groups()
    written = "".join(part for part in (year, month, day, hour, minute, second) if part)
    if fraction:
        written += f".{fraction[:4]}"
    return written + ("+0000" if utc else f"{hours}{minutes}" if hours else "")


def instant(microseconds: int) -> str:
    """A moment since 1970 as DTM in UTC, to the second."""
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).strftime("%Y%m%d%H%M%S+0000")


@inverts("date", "datetime", "instant", "DTM", "TS", "DT")
def moment(view: View, spec: Spec, out: Out) -> Inverted | None:
    """A DTM. Of `plus=` the minutes since the time in the row's own field, with their unit."""
    text = dtm(view.text())
    if "plus" not in spec.path_arguments():
        return one(text)
    minutes = _minutes_between(out.start, view.peek()) if out.start else 0
    if minutes <= 0:
        return None
    extra: dict[str, Parts] = {"plus": {(1, 1): str(minutes)}}
    if "unit" in spec.path_arguments():
        extra["unit"] = {(1, 1): "MIN"}
    return Inverted([], extra)


def _minutes_between(start: str, end: str) -> int:
    """Whole minutes from a DTM to a FHIR time; 0 when they cannot be compared."""
    try:
        first = datetime.strptime(start, "%Y%m%d%H%M%S%z")
        seconds = (datetime.fromisoformat(end) - first).total_seconds()
    except (ValueError, TypeError):
        return 0
    return int(seconds // 60) if seconds % 60 == 0 else 0


@inverts("time", "TM")
def time_of_day(view: View, _spec: Spec, _out: Out) -> Inverted | None:
    """A TM."""
    return one(view.text().replace(":", ""))


@inverts("period", "DR")
def period(view: View, spec: Spec, _out: Out) -> Inverted | None:
    """The start in the row's field and the end in that of `end=`, or both in one DR."""
    start, end = dtm(view.text("start")), dtm(view.text("end"))
    if not start and not end:
        return None
    if "end" in spec.path_arguments():
        return Inverted([{(1, 1): start}] if start else [], {"end": {(1, 1): end}} if end else {})
    return Inverted([{(1, 1): start, (2, 1): end}])


@inverts("timing", "TQ", "RI")
def timing(view: View, spec: Spec, _out: Out) -> Inverted | None:
    """The bounds of a TQ and its text; of an RI the text."""
    code = view.get("code")
    words = code.text("text") if code is not None else ""
    if spec.type == "RI":
        return one(words)
    repeat = view.get("repeat")
    bounds = repeat.get("boundsPeriod") if repeat is not None else None
    start, end = (dtm(bounds.text("start")), dtm(bounds.text("end"))) if bounds is not None else ("", "")
    parts: Parts = {(2, 1): words, (4, 1): start, (5, 1): end}
    return Inverted([parts]) if any(parts.values()) else None
