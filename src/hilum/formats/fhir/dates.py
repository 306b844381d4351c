"""FHIR dates are ranges: `2026-11` is all of November (R4 datatypes.html#date, search.html#date).

Instants are integers: milliseconds since 1970-01-01T00:00:00Z. A range is (first, after): `after` is the first
millisecond that no longer belongs to it. A date without a zone is taken as UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache

__all__ = [
    "FAR_FUTURE",
    "FAR_PAST",
    "Prefix",
    "compare_ranges",
    "date_range",
    "format_instant",
    "period_range",
    "split_prefix",
]

FAR_PAST = -62_135_596_800_000  # 0001-01-01
FAR_FUTURE = 253_402_300_800_000  # 10000-01-01

_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:\d\d)?)?)?)?", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Prefix(StrEnum):
    """How a searched value compares (R4 search.html#prefix)."""

    EQ = "eq"  # the searched range holds all of the stored one
    NE = "ne"  # it does not
    GT = "gt"  # part of the stored range lies after the searched one
    LT = "lt"  # part of it lies before
    GE = "ge"  # gt or eq
    LE = "le"  # lt or eq
    SA = "sa"  # all of it lies after
    EB = "eb"  # all of it lies before
    AP = "ap"  # the ranges touch; the searched one is given widened


_PREFIXES = {prefix.value: prefix for prefix in Prefix}


def split_prefix(text: str) -> tuple[Prefix, str]:
    """`ge2026` -> (GE, "2026"); without a prefix it is EQ."""
    prefix = _PREFIXES.get(text[:2])
    return (Prefix.EQ, text) if prefix is None else (prefix, text[2:])


@lru_cache(maxsize=16_384)
def date_range(text: str) -> tuple[int, int] | None:
    """The range of a date, dateTime or instant, in the precision written; None when it is none of these."""
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    try:
        return _range(match)
    except (ValueError, OverflowError):
        return None


def _range(match: re.Match[str]) -> tuple[int, int]:
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    start = datetime(int(year), int(month or 1), int(day or 1), tzinfo=UTC)
    if month is None:
        return _ms(start), _ms(start.replace(year=start.year + 1)) if start.year < 9999 else FAR_FUTURE
    if day is None:
        if start.year == 9999 and start.month == 12:
            return _ms(start), FAR_FUTURE
        return _ms(start), _ms((start + timedelta(days=31)).replace(day=1))
    if hour is None:
        return _ms(start), _ms(start) + 86_400_000
    if int(hour) > 23 or int(minute) > 59 or int(second or 0) > 60:
        raise ValueError("not a time of day")
    first = _ms(start) + int(hour) * 3_600_000 + int(minute) * 60_000 - _offset(zone)
    if second is None:
        return first, first + 60_000
    first += int(second) * 1000
    if fraction is None:
        return first, first + 1000
    first += int(fraction.ljust(3, "0")[:3])
    return first, first + {1: 100, 2: 10}.get(len(fraction), 1)


def period_range(start: tuple[int, int] | None, end: tuple[int, int] | None) -> tuple[int, int]:
    """From the beginning of the start to the end of the end; one that ends before it begins is as long as its start."""
    first, after = start[0] if start else FAR_PAST, end[1] if end else FAR_FUTURE
    if after > first:
        return first, after
    return first, start[1] if start else first + 1


def _offset(zone: str | None) -> int:
    if zone is None or zone == "Z":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 14 or minutes > 59:
        raise ValueError("not a zone")
    return (-1 if zone[0] == "-" else 1) * (hours * 60 + minutes) * 60_000


def _ms(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND


def compare_ranges(prefix: Prefix, searched: tuple[int, int], stored: tuple[int, int]) -> bool:
    """Whether a stored range matches (R4 search.html#prefix)."""
    first, after = searched
    low, high = stored
    inside = first <= low and high <= after
    match prefix:
        case Prefix.EQ:
            return inside
        case Prefix.NE:
            return not inside
        case Prefix.GT:
            return high > after
        case Prefix.LT:
            return low < first
        case Prefix.GE:
            return high > after or inside
        case Prefix.LE:
            return low < first or inside
        case Prefix.SA:
            return low >= after
        case Prefix.EB:
            return high <= first
        case Prefix.AP:
            return low < after and high > first


def format_instant(milliseconds: int) -> str:
    """Milliseconds -> a FHIR instant in UTC: `2026-11-01T10:30:00.123Z`."""
    moment = _EPOCH + milliseconds * _MILLISECOND
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
