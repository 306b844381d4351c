"""Whether the second end of a span lies before the first, which R4 allows no Period (per-1) and no Range (rng-2)."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

__all__ = ["ENDS", "REVERSED", "quantities_reversed", "times_reversed"]

ENDS = (("start", "end"), ("low", "high"))
REVERSED = "ends before it begins: neither end was written"


def times_reversed(start: str, end: str) -> bool:
    """Whether FHIR time `end` is before `start` for certain; spans that overlap (`2026` and `2026-03`) are in order."""
    if len(start) == len(end) and start[19:] == end[19:]:
        return end < start
    try:
        if "T" in start and "T" in end:
            return datetime.fromisoformat(end) < datetime.fromisoformat(start)
        # A day of which nobody says the zone: a day more or less is in order.
        first = _moved(start, -1) if "T" in start else start
        last = _moved(end, 1) if "T" in end else end
    except (ValueError, OverflowError):  # a leap second, the last day of time
        return False
    said = min(len(first), len(last))
    return last[:said] < first[:said]


def _moved(text: str, days: int) -> str:
    return (datetime.fromisoformat(text).date() + timedelta(days=days)).isoformat()


class _Quantity(msgspec.Struct):
    value: Decimal | None = None
    code: str = ""
    unit: str = ""


_quantity = msgspec.json.Decoder(_Quantity).decode


def quantities_reversed(low: bytes, high: bytes) -> bool:
    """Whether Quantity `high` is less than `low`, both as JSON; numbers of different units do not compare."""
    first, last = _quantity(low), _quantity(high)
    if first.value is None or last.value is None or (first.code or first.unit) != (last.code or last.unit):
        return False
    return last.value < first.value
