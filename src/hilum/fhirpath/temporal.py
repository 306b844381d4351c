"""Dates, date-times and times of any precision: reading, comparing, arithmetic (FHIRPath N1, 5.5, 6.1, 6.2, 6.6).

A value is the span of milliseconds that its text leaves open: `2018-03` is the whole of March. Two values of different
precision compare only where their spans do not meet; otherwise the answer is unknown (None). A value with an offset and
one without compare only where the difference is more than any offset could be.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

__all__ = ["DAY", "YEAR", "Temporal", "add_units", "now", "parse_temporal", "today"]

YEAR, MONTH, DAY, HOUR, MINUTE, SECOND, MILLI = range(1, 8)
_MS = {DAY: 86_400_000, HOUR: 3_600_000, MINUTE: 60_000, SECOND: 1000, MILLI: 1}
_EARLIEST, _LATEST = -12 * 60, 14 * 60  # offsets of the world, minutes
_DATE = r"(?P<year>\d{4})(?:-(?P<month>\d{2})(?:-(?P<day>\d{2}))?)?"
_CLOCK = r"(?P<hour>\d{2})(?::(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.(?P<milli>\d+))?)?)?"
_ZONE = r"(?P<zone>Z|[+-]\d{2}:\d{2})?"
_PATTERNS = {
    "date": re.compile(_DATE, re.ASCII),
    "dateTime": re.compile(rf"{_DATE}(?:T(?:{_CLOCK}{_ZONE})?)?", re.ASCII),
    "time": re.compile(rf"T?{_CLOCK}", re.ASCII),
}


class Temporal:
    """A point in time of some precision. `kind`: date, dateTime, time; `offset` in minutes, None where none is said.

    `low` and `high` are the first and last millisecond that the text leaves open, counted from 0001-01-01 (times: from
    midnight) on the clock of the value.
    """

    __slots__ = ("high", "kind", "low", "offset", "precision", "text")

    def __init__(self, kind: str, text: str, precision: int, low: int, high: int, offset: int | None) -> None:
        self.kind, self.text, self.precision = kind, text, precision
        self.low, self.high, self.offset = low, high, offset

    @property
    def literal(self) -> str:
        """As an expression writes it."""
        if self.kind == "dateTime" and "T" not in self.text:
            return f"@{self.text}T"
        return f"@T{self.text}" if self.kind == "time" else f"@{self.text}"

    @property
    def digits(self) -> int:
        """How many digits of the text tell of precision (`precision()`): 4 for `@2014`, 17 with milliseconds."""
        plain = re.sub(r"(Z|[+-]\d{2}:\d{2})$", "", self.text) if "T" in self.text else self.text
        return sum(sign.isdigit() for sign in plain)

    @property
    def key(self) -> tuple[object, ...]:
        """The same for values that are equal."""
        shift = (self.offset or 0) * 60_000
        return (
            "time" if self.kind == "time" else "date",
            min(self.precision, SECOND),
            self.low - shift,
            self.offset is None,
        )

    def equals(self, other: Temporal) -> bool | None:
        """Whether both are the same; None where their precisions leave it open."""
        if (self.kind == "time") != (other.kind == "time"):
            return False
        low, high, other_low, other_high = _spans(self, other)
        if min(self.precision, SECOND) == min(other.precision, SECOND) and _both_zoned(self, other):
            return low == other_low
        return False if high < other_low or other_high < low else None

    def before(self, other: Temporal) -> bool | None:
        """Whether it is earlier; None where that is open, or where one is a time of day and the other is not."""
        if (self.kind == "time") != (other.kind == "time"):
            return None
        low, high, other_low, other_high = _spans(self, other)
        if min(self.precision, SECOND) == min(other.precision, SECOND) and _both_zoned(self, other):
            return low < other_low
        if high < other_low:
            return True
        return False if other_high < low else None

    def equivalent(self, other: Temporal) -> bool:
        """`~`: like `=`, but what is open is false."""
        return bool(self.equals(other))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Temporal) and (self.kind, self.text) == (other.kind, other.text)

    def __hash__(self) -> int:
        return hash((self.kind, self.text))

    def __repr__(self) -> str:
        return f"Temporal({self.literal})"


def _both_zoned(left: Temporal, right: Temporal) -> bool:
    """Whether both say their offset, or neither does."""
    return (left.offset is None) == (right.offset is None)


def _spans(left: Temporal, right: Temporal) -> tuple[int, int, int, int]:
    """Both spans on one clock; one without an offset is as wide as the offsets of the world."""
    if left.offset == right.offset:
        return left.low, left.high, right.low, right.high
    return *_utc(left), *_utc(right)


def _utc(one: Temporal) -> tuple[int, int]:
    if one.offset is None:
        return one.low - _LATEST * 60_000, one.high - _EARLIEST * 60_000
    return one.low - one.offset * 60_000, one.high - one.offset * 60_000


@lru_cache(maxsize=8192)
def parse_temporal(text: str, kind: str) -> Temporal | None:
    """A `date`, `dateTime` or `time`; None where the text is none, or no day of the calendar."""
    match = _PATTERNS[kind].fullmatch(text)
    if match is None:
        return None
    parts = match.groupdict()
    clock = [int(parts.get(name) or 0) for name in ("hour", "minute", "second")]
    if clock[0] > 23 or clock[1] > 59 or clock[2] > 60:
        return None
    if kind == "time":
        return _time(text.removeprefix("T"), parts, clock)
    return _dated(text, kind, parts, clock)


def _time(text: str, parts: dict[str, str | None], clock: list[int]) -> Temporal:
    precision = _clock_precision(parts)
    low = _clock_ms(clock, parts)
    return Temporal("time", text, precision, low, low + _width(precision) - 1, None)


def _dated(text: str, kind: str, parts: dict[str, str | None], clock: list[int]) -> Temporal | None:
    year, month, day = (int(parts[name] or 1) for name in ("year", "month", "day"))
    try:
        first = date(year, month, day)
    except ValueError:
        return None
    text = text.removesuffix("T")
    low = first.toordinal() * _MS[DAY]
    if parts.get("hour"):
        offset = _offset(parts["zone"])
        if offset is not None and abs(offset) > _LATEST:
            return None
        precision = _clock_precision(parts)
        low += _clock_ms(clock, parts)
        return Temporal(kind, text, precision, low, low + _width(precision) - 1, offset)
    precision = DAY if parts["day"] else MONTH if parts["month"] else YEAR
    return Temporal(kind, text, precision, low, _end(first, precision) * _MS[DAY] - 1, None)


def _end(first: date, precision: int) -> int:
    """The ordinal of the day after the span."""
    if precision == DAY:
        return first.toordinal() + 1
    if precision == YEAR or first.month == 12:
        return first.toordinal() + (366 if _leap(first.year) else 365) if precision == YEAR else first.toordinal() + 31
    return date(first.year, first.month + 1, 1).toordinal()


def _leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _clock_precision(parts: dict[str, str | None]) -> int:
    for name, precision in (("milli", MILLI), ("second", SECOND), ("minute", MINUTE)):
        if parts[name]:
            return precision
    return HOUR


def _clock_ms(clock: list[int], parts: dict[str, str | None]) -> int:
    milli = int(((parts["milli"] or "") + "000")[:3])
    return clock[0] * _MS[HOUR] + clock[1] * _MS[MINUTE] + clock[2] * _MS[SECOND] + milli


def _width(precision: int) -> int:
    # Seconds and milliseconds are one precision: `10:30:00` is `10:30:00.000` (6.2 "Comparison").
    return 1 if precision >= SECOND else _MS[precision]


def _offset(zone: str | None) -> int | None:
    if zone is None:
        return None
    if zone == "Z":
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[4:6])
    return -minutes if zone[0] == "-" else minutes


def today(moment: datetime) -> Temporal:
    """The date of a moment."""
    found = parse_temporal(moment.date().isoformat(), "date")
    assert found is not None
    return found


def now(moment: datetime) -> Temporal:
    """A moment as a date-time with milliseconds, in UTC."""
    found = parse_temporal(moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"), "dateTime")
    assert found is not None
    return found


_STEPS = {"day": DAY, "hour": HOUR, "minute": MINUTE, "second": SECOND, "millisecond": MILLI}


def add_units(base: Temporal, amount: Decimal, unit: str) -> Temporal | None:
    """The value moved by whole calendar units (6.6.7), at its own precision; None outside the years 1 to 9999.

    The 31st of a month becomes the last day of a shorter one. A unit finer than the value is turned into whole units of
    its precision first: `@2014 + 24 months` is `@2016`.
    """
    count = int(amount)
    if abs(count) > 10**15:
        return None
    if base.kind == "time":
        if unit not in _STEPS or unit == "day":
            return None
        return _at(base, (base.low + _whole(base, count * _MS[_STEPS[unit]])) % _MS[DAY])
    if unit == "week":
        count, unit = count * 7, "day"
    if unit in ("year", "month"):
        return _add_months(base, count * 12 if unit == "year" else count)
    if base.precision < DAY:
        return _add_months(
            base,
            int(count * _MS[_STEPS[unit]] / _MS[DAY] / (365 if base.precision == YEAR else 30))
            * (12 if base.precision == YEAR else 1),
        )
    return _at(base, base.low + _whole(base, count * _MS[_STEPS[unit]]))


def _whole(base: Temporal, milliseconds: int) -> int:
    """Only as many milliseconds as make whole units of the precision, towards zero."""
    width = _MS[base.precision]
    return (abs(milliseconds) // width * width) * (1 if milliseconds >= 0 else -1)


def _add_months(base: Temporal, months: int) -> Temporal | None:
    if base.precision == YEAR:
        months = int(months / 12) * 12
    day, rest = divmod(base.low, _MS[DAY])
    start = date.fromordinal(day)
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    if not 1 <= year <= 9999:
        return None
    last = (
        (date(year + month // 11, (month + 1) % 12 + 1, 1) - timedelta(days=1)).day if year < 9999 or month < 11 else 31
    )
    moved = date(year, month + 1, min(start.day, last)).toordinal()
    return _at(base, moved * _MS[DAY] + rest)


def _at(base: Temporal, low: int) -> Temporal | None:
    """A value of the same kind, precision and offset that begins at `low`."""
    day, rest = divmod(low, _MS[DAY])
    if base.kind != "time" and not 1 <= day <= date.max.toordinal():
        return None
    seconds, milli = divmod(rest, 1000)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{milli:03}"
    clock = clock[: {HOUR: 2, MINUTE: 5, SECOND: 8, MILLI: 12}.get(base.precision, 0)]
    if base.kind == "time":
        return parse_temporal(clock, "time")
    text = date.fromordinal(day).isoformat()[: {YEAR: 4, MONTH: 7}.get(base.precision, 10)]
    if base.precision > DAY:
        zone = re.search(r"(Z|[+-]\d{2}:\d{2})$", base.text.partition("T")[2])
        text = f"{text}T{clock}{zone[0] if zone else ''}"
    return parse_temporal(text, base.kind)
