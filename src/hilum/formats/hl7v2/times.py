"""HL7 v2 time stamps as far as the gate needs them (DTM, section 2.A.22: YYYY[MM[DD[HH[MM[SS[.SSSS]]]]]][+/-ZZZZ])."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

__all__ = ["day_after", "has_zone", "instant", "is_time"]

_EPOCH = date(1970, 1, 1)
_DAY = 86_400_000_000


def has_zone(text: str) -> bool:
    """Whether a time stamp ends in an offset from UTC."""
    return text[-5:-4] in ("+", "-") and len(text) > 5


LONGEST = 24  # YYYYMMDDHHMMSS.SSSS+ZZZZ


def instant(text: str) -> int:
    """Microseconds since 1970 for a time with an offset; 0 when it has none or is no time. Missing parts are lowest."""
    return _instant(text) if has_zone(text) and len(text) <= LONGEST else 0


@lru_cache(maxsize=1024)
def _instant(text: str) -> int:
    digits, _, fraction = text[:-5].partition(".")
    try:
        days = _days(digits[:8])
        seconds = _two(digits, 8) * 3600 + _two(digits, 10) * 60 + _two(digits, 12)
        offset = int(text[-4:-2]) * 3600 + int(text[-2:]) * 60
        micros = int(fraction[:6].ljust(6, "0")) if fraction else 0
    except ValueError:
        return 0
    return days * _DAY + (seconds - (offset if text[-5] == "+" else -offset)) * 1_000_000 + micros


def is_time(text: str) -> bool:
    """Whether a text has the form of a time stamp."""
    return len(text) <= LONGEST and _is_time(text)


@lru_cache(maxsize=1024)
def _is_time(text: str) -> bool:
    digits = text[:-5] if has_zone(text) else text
    digits, _, fraction = digits.partition(".")
    if not text.isascii() or not digits.isdecimal() or (fraction and not fraction.isdecimal()):
        return False
    if len(digits) not in (4, 6, 8, 10, 12, 14):
        return False
    try:
        _days(digits[:8])
    except ValueError:
        return False
    return digits[8:10] <= "24" and digits[10:12] <= "59" and digits[12:14] <= "60"


def day_after(at: int) -> str:
    """`YYYYMMDD` of the day after the instant `at`: the latest that "today" can be anywhere on earth."""
    return _day_text(at // _DAY)


@lru_cache(maxsize=8)
def _day_text(day: int) -> str:
    return f"{datetime.fromtimestamp(day * 86_400, UTC) + timedelta(days=1):%Y%m%d}"


@lru_cache(maxsize=512)
def _days(digits: str) -> int:
    return (date(int(digits[:4]), int(digits[4:6] or 1), int(digits[6:8] or 1)) - _EPOCH).days


def _two(digits: str, at: int) -> int:
    return int(digits[at : at + 2]) if len(digits) > at else 0
