"""DTM, TS, DT, TM and DR: dates and times with the precision and the zone that they were sent with.

HL7 v2.9 section 2A.2.22: YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ]. FHIR R4 (datatypes, dateTime): a time has
seconds and a zone. A time without a zone is local to `param.zone`; a local time that the clocks skip or repeat is
flagged, never guessed in silence. A zone that the sender did not write is never `Z`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hilum.mapping.ordering import REVERSED, times_reversed
from hilum.mapping.transforms.frame import NOTHING, Env, Evaluator, Spec, json_text, register

__all__ = ["Clock", "zone_of"]

_OFFSET = r"([+-](?:0\d|1[0-4])[0-5]\d)"
_DTM = re.compile(
    rf"(\d{{4}})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(\.\d{{1,6}})?)?)?)?)?)?{_OFFSET}?", re.ASCII
)
_TM = re.compile(rf"(\d\d)(?::?(\d\d)(?::?(\d\d)(\.\d{{1,6}})?)?)?{_OFFSET}?", re.ASCII)


def zone_of(name: str) -> ZoneInfo | None:
    """The IANA zone of that name; None when there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _offset(delta: timedelta) -> str:
    seconds = int(delta.total_seconds())
    sign = "-" if seconds < 0 else "+"
    hours, rest = divmod(abs(seconds), 3600)
    return f"{sign}{hours:02d}:{rest // 60:02d}"


class Clock:
    """Local times of one zone. `hours` knows hours without a change: `2024010203` to (`2024-01-02`, `+01:00`)."""

    __slots__ = ("hours", "zone")

    def __init__(self, name: str) -> None:
        self.zone = zone_of(name)
        self.hours: dict[str, tuple[str, str]] = {}

    def resolve(self, local: datetime) -> tuple[str, str]:
        """(offset, problem): problem is "", `time-skipped` (DST gap) or `time-repeated` (overlap, first pass taken)."""
        assert self.zone is not None
        early = local.replace(tzinfo=self.zone, fold=0).utcoffset()
        late = local.replace(tzinfo=self.zone, fold=1).utcoffset()
        assert early is not None
        assert late is not None
        if early == late:
            return _offset(early), ""
        return _offset(early), "time-skipped" if late > early else "time-repeated"

    def hour(self, text: str) -> tuple[str, str] | None:
        """(`2024-01-02`, offset) of an hour `2024010203` that is whole and plain; None: look closer."""
        try:
            start = datetime(int(text[:4]), int(text[4:6]), int(text[6:8]), int(text[8:10]))  # noqa: DTZ001
        except ValueError:
            return None
        first, problem = self.resolve(start)
        last, other = self.resolve(start + timedelta(minutes=59, seconds=59))
        if problem or other or first != last:
            return None
        if len(self.hours) > 20_000:
            self.hours.clear()
        found = self.hours[text] = (f"{text[:4]}-{text[4:6]}-{text[6:8]}", first)
        return found


def _date_text(match: re.Match[str]) -> str:
    """The date part as FHIR writes it. Raises ValueError for a day that does not exist."""
    year, month, day = match[1], match[2], match[3]
    date(int(year), int(month or 1), int(day or 1))
    return "-".join(part for part in (year, month, day) if part)


def _bad(env: Env, spec: Spec) -> bytes:
    if spec.has("format"):
        wanted = f"as its row expects it: {env.constant(spec, 'format')}"
    else:
        wanted = "of HL7 v2" if env.escapes_formatting else "of ISO 8601 (1979-02-03), and its row has no `format`"
    env.report(spec, "time-invalid", f"is no date or time {wanted}")
    return NOTHING


@register("date")
def as_date(spec: Spec, env: Env) -> Evaluator:
    """Date: as written, any time dropped (`197902` stays `1979-02`)."""

    def evaluate(raw: str) -> bytes:
        raw = env.first(raw)
        match = _DTM.fullmatch(raw)
        try:
            return b'"%b"' % _date_text(match).encode() if match else _bad(env, spec)
        except ValueError:
            return _bad(env, spec)

    return evaluate


class _Reader:
    """DTM texts of one row to FHIR dateTime texts; "" when that is not possible (and reported)."""

    def __init__(self, env: Env, spec: Spec, *, whole: bool) -> None:
        self._env, self._spec, self._whole = env, spec, whole
        self._zone = env.constant(spec, "zone", env.params.get("zone", ""))
        self._clock = Clock(self._zone)
        self._days: dict[str, str] = {}

    def read(self, raw: str) -> str:
        """The usual forms by cutting, all others by `_close`."""
        size = len(raw) if raw.isascii() else 0
        if size == 14 and raw.isdecimal() and raw[10:12] < "60" and raw[12:] < "60" and self._clock.zone:
            hour = raw[:10]
            plain = self._clock.hours.get(hour) or self._clock.hour(hour)
            if plain is not None:
                return f"{plain[0]}T{raw[8:10]}:{raw[10:12]}:{raw[12:]}{plain[1]}"
        elif size == 19 and raw[14] in "+-" and raw[8:10] < "24" and raw[10:12] < "60" and raw[12:14] < "60":
            day = self._days.get(raw[:8]) or self._day(raw[:8])
            if day and raw[8:14].isdecimal() and raw[15:].isdecimal() and raw[15:17] <= "14" and raw[17] < "6":
                return f"{day}T{raw[8:10]}:{raw[10:12]}:{raw[12:14]}{raw[14:17]}:{raw[17:]}"
        return self._close(raw)

    def _day(self, text: str) -> str:
        match = _DTM.fullmatch(text)
        try:
            found = _date_text(match) if match else ""
        except ValueError:
            return ""
        if len(self._days) > 20_000:
            self._days.clear()
        self._days[text] = found
        return found

    def _close(self, raw: str) -> str:
        raw = self._env.first(raw)
        match = _DTM.fullmatch(raw)
        try:
            day = _date_text(match) if match else ""
        except ValueError:
            day = ""
        if not match or not day:
            _bad(self._env, self._spec)
            return ""
        if match[4] is None:
            if self._whole:
                self._env.report(self._spec, "time-imprecise", "a date where an instant is needed")
            return "" if self._whole else day
        return self._timed(match, day)

    def _timed(self, match: re.Match[str], day: str) -> str:
        hour, minute, second = match[4], match[5] or "00", match[6] or "00"
        if hour > "23" or minute > "59" or second > "60":
            _bad(self._env, self._spec)
            return ""
        text = f"{day}T{hour}:{minute}:{second}{match[7] or ''}"
        if match[8]:
            return f"{text}{match[8][:3]}:{match[8][3:]}"
        if self._clock.zone is None:
            message = "a time without a zone and no `zone` parameter: the date alone is kept"
            self._env.report(self._spec, "zone-missing", message, warn=True)
            return "" if self._whole else day
        return text + self._local(f"{day}T{hour}:{minute}:{min(second, '59')}")

    def _local(self, text: str) -> str:
        offset, problem = self._clock.resolve(datetime.fromisoformat(text))
        if problem:
            what = "does not exist" if problem == "time-skipped" else "happened twice"
            message = f"a local time that {what} in {self._zone}: write the zone"
            self._env.report(self._spec, problem, message, warn=True)
        return offset


def moment(env: Env, spec: Spec, *, whole: bool) -> Callable[[str], str]:
    """From a DTM text to FHIR dateTime text, "" when that is not possible (reported). `whole`: instants only."""
    return _Reader(env, spec, whole=whole).read


_UNITS = {
    # UCUM and the words that schedulers send, in seconds
    **dict.fromkeys(("", "MIN", "M", "MINUTE", "MINUTES", "MINS", "'"), 60),
    **dict.fromkeys(("S", "SEC", "SECOND", "SECONDS"), 1),
    **dict.fromkeys(("H", "HR", "HRS", "HOUR", "HOURS"), 3600),
    **dict.fromkeys(("D", "DAY", "DAYS"), 86400),
}


_LONGEST = 100 * 366 * 86400  # seconds; more is a slip of the pen, and would not fit into a date


def _seconds(env: Env, amount: str, unit: str) -> float | None:
    """A duration in seconds; None when the amount is no number or enormous, or the unit is not one of time."""
    factor = _UNITS.get(env.first(unit).upper())
    number = env.first(amount)
    if factor is None or not re.fullmatch(r"[0-9]+(\.[0-9]+)?", number):
        return None
    seconds = float(number) * factor
    return seconds if seconds <= _LONGEST else None


def _later(text: str, seconds: float) -> str:
    """A FHIR time moved on; its offset stays (an appointment that crosses a change of the clocks keeps one offset)."""
    return (datetime.fromisoformat(text) + timedelta(seconds=seconds)).isoformat()


def _timed(spec: Spec, env: Env, *, whole: bool) -> Evaluator:
    make = moment(env, spec, whole=whole)
    names = spec.path_arguments()
    if "plus" not in names:

        def at(raw: str, *_: str) -> bytes:
            text = make(raw)
            return b'"%b"' % text.encode() if text else NOTHING

        return at
    plus, unit = names.index("plus"), names.index("unit") if "unit" in names else -1

    def after(raw: str, *extra: str) -> bytes:
        text = make(raw)
        seconds = _seconds(env, extra[plus], extra[unit] if unit >= 0 else "")
        if not text or "T" not in text or seconds is None or text >= "9900":
            if text:
                env.report(spec, "duration-invalid", "is no duration that can be added to a time")
            return NOTHING
        return b'"%b"' % _later(text, seconds).encode()

    return after


@register("datetime", "DTM", "TS", "DT")
def as_datetime(spec: Spec, env: Env) -> Evaluator:
    """DateTime: precision kept, zone as written or that of `zone=`. `plus=`, `unit=`: that much later."""
    return _timed(spec, env, whole=False)


@register("instant")
def as_instant(spec: Spec, env: Env) -> Evaluator:
    """Instant: a whole date and time, zone as in `datetime`. `plus=`, `unit=`: that much later."""
    return _timed(spec, env, whole=True)


@register("minutes")
def as_minutes(spec: Spec, env: Env) -> Evaluator:
    """A positive number of whole minutes, from a number and its `unit=`."""
    has_unit = "unit" in spec.path_arguments()

    def evaluate(raw: str, *extra: str) -> bytes:
        seconds = _seconds(env, raw, extra[-1] if has_unit else "")
        if seconds is None or seconds < 60:
            env.report(spec, "duration-invalid", "is no duration in minutes")
            return NOTHING
        return str(round(seconds / 60)).encode()

    return evaluate


@register("time", "TM")
def as_time(spec: Spec, env: Env) -> Evaluator:
    """Time of day (R4 has no zone in it: one that was written is dropped, and said)."""

    def evaluate(raw: str) -> bytes:
        match = _TM.fullmatch(env.first(raw))
        if match is None or match[1] > "23" or (match[2] or "00") > "59" or (match[3] or "00") > "59":
            return _bad(env, spec)
        if match[5]:
            env.report(spec, "time-zone-dropped", "a time of day has no zone in FHIR", warn=True)
        return f'"{match[1]}:{match[2] or "00"}:{match[3] or "00"}{match[4] or ""}"'.encode()

    return evaluate


@register("period", "DR")
def as_period(spec: Spec, env: Env) -> Evaluator:
    """Period from a DR (components 1 and 2), or from a start and `end=`."""
    period = periods(env, spec)
    has_end = "end" in spec.path_arguments()

    def evaluate(raw: str, *extra: str) -> bytes:
        start, end = (raw, extra[-1]) if has_end else env.parts(raw, 2)[:2]
        return period("" if start == '""' else start, "" if end == '""' else end)

    return evaluate


_ENDS = (b"start", b"end")


def periods(env: Env, spec: Spec) -> Callable[[str, str], bytes]:
    """From the DTM texts of two ends to a Period; NOTHING when neither is a time, or they are reversed (reported)."""
    make = moment(env, spec, whole=False)

    def period(start: str, end: str) -> bytes:
        times = make(start) if start else "", make(end) if end else ""
        if all(times) and times_reversed(*times):
            env.report(spec, "ends-reversed", REVERSED)
            return NOTHING
        ends = [b'"%b":%b' % (name, json_text(text)) for name, text in zip(_ENDS, times, strict=True) if text]
        return b"{%b}" % b",".join(ends) if ends else NOTHING

    return period
