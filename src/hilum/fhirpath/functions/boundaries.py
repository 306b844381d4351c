"""The first and last moment that a date or time of some precision may mean (lowBoundary, highBoundary)."""

from __future__ import annotations

from hilum.fhirpath.temporal import Temporal, parse_temporal

__all__ = ["temporal_boundary"]

# digits asked for -> characters of the text: YYYY, YYYY-MM, YYYY-MM-DD, with hour, minute, second, millisecond
_DATE_LENGTHS = {4: 4, 6: 7, 8: 10}
_DATETIME_LENGTHS = {**_DATE_LENGTHS, 10: 13, 12: 16, 14: 19, 17: 23}
_TIME_LENGTHS = {2: 2, 4: 5, 6: 8, 9: 12}
_LOW = "-01-01T00:00:00.000"
_HIGH = "-12-31T23:59:59.999"


def temporal_boundary(value: Temporal, digits: int | None, *, high: bool) -> Temporal | None:
    """The boundary with so many digits (8 for dates, 17 for date-times, 9 for times); None for a count that is none.

    Where no offset is said, the earliest moment is at +14:00 and the latest at -12:00.
    """
    if value.kind == "time":
        length = _TIME_LENGTHS.get(9 if digits is None else digits)
        return None if length is None else parse_temporal(_clock(value.text, high=high)[:length], "time")
    default = 8 if value.kind == "date" else 17
    length = (_DATE_LENGTHS if value.kind == "date" else _DATETIME_LENGTHS).get(default if digits is None else digits)
    if length is None:
        return None
    text = _filled(value, high=high)[:length]
    if length <= 10:
        return parse_temporal(text, value.kind)
    zone = _zone(value.text) or ("-12:00" if high else "+14:00")
    return parse_temporal(text + zone, value.kind)


def _filled(value: Temporal, *, high: bool) -> str:
    """The text with all that is missing: `2014-02` becomes `2014-02-28T23:59:59.999`."""
    plain = value.text.removesuffix(_zone(value.text))
    day, _, clock = plain.partition("T")
    fill = _HIGH if high else _LOW
    if len(day) == 7 and high:
        day += f"-{_last_day(day):02}"
    day += fill[len(day) - 4 : 6] if len(day) < 10 else ""
    return f"{day}T{_clock(clock, high=high)}"


def _last_day(month: str) -> int:
    return next(day for day in (31, 30, 29, 28) if parse_temporal(f"{month}-{day}", "date") is not None)


def _clock(text: str, *, high: bool) -> str:
    fill = "23:59:59.999" if high else "00:00:00.000"
    return (text + fill[len(text) :])[:12]


def _zone(text: str) -> str:
    clock = text.partition("T")[2]
    return "Z" if clock.endswith("Z") else clock[-6:] if len(clock) > 6 and clock[-6] in "+-" else ""
