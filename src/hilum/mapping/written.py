"""How a cell of a record is written, put into the form of HL7 v2 that transforms read: days, times, numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

from hilum.mapping.columns import MARKS
from hilum.mapping.transforms import Env, Spec

__all__ = ["format_problem", "reader_of"]

# W3C NOTE-datetime and ISO 8601 extended form, as FHIR (datatypes, dateTime) narrows it.
_ISO = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(\.\d{1,6})?\d*)?\s?(Z|[+-]\d\d:?\d\d)?)?)?)?", re.ASCII
)
_CLOCK = re.compile(r"(\d\d):(\d\d)(?::(\d\d)(\.\d+)?)?", re.ASCII)
_KNOWN = frozenset("YmdHMSfzbBpIj%")
_TIMES = frozenset({"date", "datetime", "instant", "time", "period", "DTM", "TS", "DT", "TM", "DR"})
_NOTHING = "?"  # is no date and no number: the transform says so


def format_problem(text: str) -> str:
    """What is wrong with a `format=`; "" when it can be used."""
    directives = re.findall("%(.)", text, re.DOTALL)
    if "y" in directives:
        return "%y guesses the century: ask for years of four digits"
    strange = [one for one in directives if one not in _KNOWN]
    if strange:
        return f"%{strange[0]} is not known: %Y %m %d %H %M %S %f %z %b %B %p %I %j are"
    return "" if "Y" in directives or "H" in directives or "I" in directives else "names neither a year nor an hour"


def reader_of(spec: Spec, env: Env) -> Callable[[str], str] | None:
    """From a cell as it is written to what the transform reads; None when that is the same."""
    format_ = env.constant(spec, "format")
    if format_:
        return _formatted(format_)
    point = env.constant(spec, "point")
    if point == ",":
        return _with_comma
    if env.component == MARKS.component and (spec.transform in _TIMES or spec.type in ("DTM", "DT", "TS", "TM")):
        return _iso
    return None


def _formatted(format_: str) -> Callable[[str], str]:
    directives = set(re.findall("%(.)", format_))
    has = {
        "month": bool(directives & set("mbBj")),
        "day": bool(directives & set("dj")),
        "hour": bool(directives & set("HI")),
    }

    def read(text: str) -> str:
        try:
            moment = datetime.strptime(text.strip(), format_)  # noqa: DTZ007 - a zone is a matter of the transform
        except ValueError:
            return text if text == '""' else _NOTHING
        found = f"{moment.year:04d}" if "Y" in directives else ""
        found += f"{moment.month:02d}" if has["month"] else ""
        found += f"{moment.day:02d}" if has["day"] else ""
        if has["hour"]:
            found += f"{moment.hour:02d}{moment.minute:02d}" + (f"{moment.second:02d}" if "S" in directives else "")
        fraction = f".{moment.microsecond:06d}" if "f" in directives else ""
        return found + fraction + (moment.strftime("%z")[:5] if "z" in directives else "")

    return read


def _iso(text: str) -> str:
    text = text.strip()
    match = _ISO.fullmatch(text)
    if match is None:
        clock = _CLOCK.fullmatch(text)
        return text if clock is None else f"{clock[1]}{clock[2]}{clock[3] or ''}{(clock[4] or '')[:7]}"
    zone = (match[8] or "").replace(":", "")
    found = "".join(part or "" for part in match.groups()[:7])
    return found + ("+0000" if zone == "Z" else zone)


_COMMA = re.compile(r"([<>]=?\s*)?([-+]?)(\d{1,3}(?:[.  ']\d{3})+|\d*)(?:,(\d+))?", re.ASCII)


def _with_comma(text: str) -> str:
    """`1.234,50` to `1234.50`: digits stay as written, groups of three go; a point alone is no decimal sign here."""
    match = _COMMA.fullmatch(text.strip())
    if match is None or not (match[3] or match[4]):
        return text if text == '""' else _NOTHING
    whole = re.sub(r"\D", "", match[3], flags=re.ASCII)
    return f"{match[1] or ''}{match[2]}{whole}{'.' + match[4] if match[4] else ''}"
