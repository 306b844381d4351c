"""What the gate reads inside segments: identifiers, birth dates, results, times of appointments."""

from __future__ import annotations

import binascii
import re
from functools import lru_cache

from hilum.formats.hl7v2.message import Hl7Message
from hilum.formats.hl7v2.shape import Found
from hilum.formats.hl7v2.times import day_after, is_time

__all__ = ["check_appointment", "check_merged", "check_patients", "check_results"]

# NM (section 2.A.46): an optional sign, digits, an optional point; no exponent.
_PLAIN = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)", re.ASCII)
# Cancelled, discontinued, deleted and missed appointments need no time.
_TIMELESS = frozenset({"SIU^S15", "SIU^S16", "SIU^S17", "SIU^S26"})
_TIMES = {"SCH": 11, "TQ1": 7, "AIS": 4, "AIG": 8, "AIL": 6, "AIP": 6}
_BLANKS = " \t\r\n"
_NO_BLANKS = str.maketrans("", "", _BLANKS)


def check_patients(message: Hl7Message, at: tuple[int, ...], received_at: int, found: list[Found]) -> None:
    """Every PID has an identifier, and nobody is born tomorrow."""
    separator = message.delimiters.field
    for count, index in enumerate(at, 1):
        fields = message.lines[index].split(separator, 8)
        if len(fields) < 4 or not _has_id(fields[3], message):
            found.append(("patient-id-missing", _nth("PID", count, 3)))
        if len(fields) > 7 and fields[7][:8] > day_after(received_at) and is_time(fields[7]):
            found.append(("birth-date-future", _nth("PID", count, 7)))


def check_merged(message: Hl7Message, at: tuple[int, ...], found: list[Found]) -> None:
    """Every MRG of a merge names what is merged."""
    for count, index in enumerate(at, 1):
        fields = message.lines[index].split(message.delimiters.field, 2)
        if len(fields) < 2 or not _has_id(fields[1], message):
            found.append(("merge-id-missing", _nth("MRG", count, 1)))


def check_results(message: Hl7Message, at: tuple[int, ...], found: list[Found]) -> None:
    """Numbers are plain numbers; data that say Base64 or Hex are that."""
    separator, lines = message.delimiters.field, message.lines
    for count, index in enumerate(at, 1):
        fields = lines[index].split(separator, 6)
        if len(fields) < 6:
            continue
        type_ = fields[2]
        if type_ == "NM":
            if fields[5] and not _are_numbers(fields[5], message.delimiters.repetition):
                found.append(("number-not-plain", _nth("OBX", count, 5)))
        elif type_ == "ED" and not _is_data(fields[5], message):
            found.append(("data-not-base64", _nth("OBX", count, 5)))


def check_appointment(message: Hl7Message, found: list[Found]) -> None:
    """An appointment that takes place has a time somewhere."""
    if message.kind in _TIMELESS:
        return
    separator = message.delimiters.field
    for line, name in zip(message.lines, message.names, strict=True):
        number = _TIMES.get(name)
        if number is None:
            continue
        fields = line.split(separator, number + 1)
        if len(fields) > number and fields[number] and _holds_time(fields[number], name, message):
            return
    found.append(("appointment-time-missing", "SCH-11"))


def _nth(segment: str, count: int, field: int) -> str:
    return f"{segment}-{field}" if count == 1 else f"{segment}[{count}]-{field}"


def _has_id(field: str, message: Hl7Message) -> bool:
    """Whether any repetition of a CX has its first component valued."""
    component = message.delimiters.component
    for part in field.split(message.delimiters.repetition):
        value = part.partition(component)[0]
        if value and value != '""' and not value.isspace():
            return True
    return False


def _are_numbers(value: str, repetition: str) -> bool:
    if len(value) < 24 and repetition not in value:
        return _is_number(value)
    return all(not part or _PLAIN.fullmatch(part.strip(" ")) or part == '""' for part in value.split(repetition))


@lru_cache(maxsize=8192)
def _is_number(value: str) -> bool:
    return value == '""' or _PLAIN.fullmatch(value.strip(" ")) is not None


def _is_data(value: str, message: Hl7Message) -> bool:
    """Whether every ED that says Base64 or Hex is that (section 2.A.24); line breaks within are allowed."""
    delimiters = message.delimiters
    for repetition in value.split(delimiters.repetition):
        parts = repetition.split(delimiters.component, 5)
        encoding = parts[3].casefold() if len(parts) > 4 else ""
        if encoding in ("base64", "hex") and not _decodes(message.unescape(parts[4]), encoding):
            return False
    return True


def _decodes(data: str, encoding: str) -> bool:
    packed = data.translate(_NO_BLANKS) if any(blank in data for blank in _BLANKS) else data
    try:
        if encoding == "hex":
            bytes.fromhex(packed)
        else:
            binascii.a2b_base64(packed, strict_mode=True)
    except ValueError:
        return False
    return True


def _holds_time(field: str, name: str, message: Hl7Message) -> bool:
    """Whether a field holds a start. SCH-11 is a TQ: its component 4 is the start."""
    delimiters = message.delimiters
    at = 3 if name == "SCH" else 0
    for repetition in field.split(delimiters.repetition):
        parts = repetition.split(delimiters.component)
        if len(parts) > at and parts[at] and parts[at] != '""':
            return True
    return False
