"""What the gate looks for. Each check is a glance that costs next to nothing; only a glance that sees something looks closer."""

from __future__ import annotations

import binascii
import re
from functools import lru_cache

from msgspec import Struct

from hilum.formats.hl7v2.escape import has_stray_escape
from hilum.formats.hl7v2.events import KINDS, TYPES, is_local
from hilum.formats.hl7v2.grouping import REMEMBERED
from hilum.formats.hl7v2.message import Hl7Message
from hilum.formats.hl7v2.times import day_after, has_zone, is_time

__all__ = ["Found", "inspect"]

Found = tuple[str, str]  # code, location

VERSIONS = frozenset(
    [
        "2.0",
        "2.0D",
        "2.1",
        "2.2",
        "2.3",
        "2.3.1",
        "2.3.2",
        "2.4",
        "2.5",
        "2.5.1",
        "2.5.2",
        "2.6",
        "2.7",
        "2.7.1",
        "2.8",
        "2.8.1",
        "2.8.2",
        "2.9",
        "2.9.1",
    ]
)
MANY = 100  # repetitions of one field
_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
_LONG_NAME = re.compile(r"[A-Z][A-Z0-9]{3}")
_PLAIN = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)")
# What an appointment without any time cannot be: cancelled, discontinued, deleted and missed ones need none.
_TIMELESS = frozenset({"SIU^S15", "SIU^S16", "SIU^S17", "SIU^S26"})
_TIMES = {"SCH": 11, "TQ1": 7, "AIS": 4, "AIG": 8, "AIL": 6, "AIP": 6}
_MERGES = frozenset(
    f"ADT^{event}"
    for event in [
        "A18",
        "A30",
        "A34",
        "A35",
        "A36",
        "A39",
        "A40",
        "A41",
        "A42",
        "A43",
        "A44",
        "A45",
        "A46",
        "A47",
        "A48",
        "A49",
        "A50",
        "A51",
    ]
)
_PAIRS = _MERGES | {"ADT^A17", "ADT^A20", "ADT^A24", "ADT^A37"}
_SPINE = {"EVN": 0, "PID": 1, "MRG": 2, "PV1": 3, "PV2": 4}


class Shape(Struct, frozen=True):
    """What the names of the segments tell: findings, and where the segments stand that a closer look needs."""

    found: tuple[Found, ...]
    patients: tuple[int, ...]
    results: tuple[int, ...]


def inspect(message: Hl7Message, received_at: int) -> list[Found]:
    """Everything found, in the order of the message's parts; locations are paths, without values."""
    found: list[Found] = []
    for note in message.notes:
        found.append((note, "MSH-18" if note.startswith("charset") else "MSH"))
    _header(message, found)
    _characters(message, found)
    kind, names = message.kind, message.names
    shape = _remembered(kind, names) if len(names) <= REMEMBERED else _shape(kind, names)
    found.extend(shape.found)
    if shape.patients:
        _patients(message, shape.patients, received_at, found)
    if shape.results:
        _results(message, shape.results, found)
    if kind in _MERGES:
        _merged(message, found)
    if kind[:3] == "SIU":
        _appointment(message, found)
    return found


def _header(message: Hl7Message, found: list[Found]) -> None:
    header = message.header
    if len(header) < 13:
        header = header + [""] * (13 - len(header))
    kind = message.kind
    if kind not in KINDS:
        _kind(kind, found)
    if not header[10].strip():
        found.append(("control-id-missing", "MSH-10"))
    processing, version = header[11], header[12]
    if processing != "P":
        _processing(processing.partition(message.delimiters.component)[0], found)
    if version not in VERSIONS:
        version = version.partition(message.delimiters.component)[0]
        if version not in VERSIONS:
            found.append(("version-unknown" if version else "version-missing", "MSH-12"))
    sent = header[7]
    if not has_zone(sent) or not is_time(sent):
        _sent(sent.partition(message.delimiters.component)[0], found)


def _kind(kind: str, found: list[Found]) -> None:
    type_, _, event = kind.partition("^")
    if type_ == "ACK":
        return
    if not type_ or not event:
        found.append(("type-missing", "MSH-9"))
    elif is_local(type_, event):
        found.append(("event-local", "MSH-9"))
    else:
        found.append(("event-unsupported" if type_ in TYPES else "type-unsupported", "MSH-9"))


def _processing(processing: str, found: list[Found]) -> None:
    if processing in ("T", "D"):
        found.append(("processing-id-test", "MSH-11"))
    elif processing != "P":
        found.append(("processing-id-unknown" if processing else "processing-id-missing", "MSH-11"))


def _sent(sent: str, found: list[Found]) -> None:
    if not sent or sent == '""':
        found.append(("sent-time-missing", "MSH-7"))
    elif not is_time(sent):
        found.append(("sent-time-invalid", "MSH-7"))
    elif len(sent) > 8 and not has_zone(sent):
        found.append(("zone-missing", "MSH-7"))


def _characters(message: Hl7Message, found: list[Found]) -> None:
    text, delimiters = message.text, message.delimiters
    if text.find(delimiters.escape, 9) >= 0 and has_stray_escape(text[9:], delimiters):
        found.append(("escape-stray", _where_stray(message)))
    if "\0" in text:
        found.append(("character-control", ""))
    if not text.isascii() and "\ufffd" in text:
        found.append(("character-replaced", ""))
    if text.count(delimiters.repetition) > MANY:
        _repetitions(message, found)
    cut = delimiters.truncation
    if cut and (cut + delimiters.field in text[10:] or cut + "\r" in text[10:]):
        found.append(("value-truncated", ""))
    ends = message.ends_differ
    if ends is None:
        found.append(("terminators-mixed", ""))
    elif ends != "\r":
        found.append(("terminator-not-cr", ""))


def _where_stray(message: Hl7Message) -> str:
    delimiters = message.delimiters
    for segment, name in _located(message):
        for number, field in enumerate(segment.split(delimiters.field)):
            if delimiters.escape in field and has_stray_escape(field, delimiters):
                if name not in ("MSH[1]", "MSH"):
                    return f"{name}-{number}"
                if number > 1:
                    return f"MSH-{number + 1}"
    return ""


def _repetitions(message: Hl7Message, found: list[Found]) -> None:
    mark, separator = message.delimiters.repetition, message.delimiters.field
    for segment, name in _located(message):
        if segment.count(mark) <= MANY:
            continue
        for number, field in enumerate(segment.split(separator)):
            # OBX-5 repeats as often as there are values: waveforms do.
            if field.count(mark) >= MANY and not (number == 5 and name.startswith("OBX")):
                found.append(("repetitions-many", f"{name}-{number}"))


def _located(message: Hl7Message) -> list[tuple[str, str]]:
    """Each segment's text with its path: `OBX[3]`, and `PID` where it is the first."""
    seen: dict[str, int] = {}
    result = []
    for line, name in zip(message.lines, message.names, strict=True):
        seen[name] = seen.get(name, 0) + 1
        result.append((line, name if seen[name] == 1 else f"{name}[{seen[name]}]"))
    return result


def _shape(kind: str, names: tuple[str, ...]) -> Shape:
    found = _names(names)
    patients = tuple([i for i, name in enumerate(names) if name == "PID"])
    if names.count("MSH") > 1:
        found.append(("messages-several", "MSH[2]"))
    if len(patients) > 1 and (kind not in _PAIRS or names.count("MRG") > 1):
        found.append(("patients-several", "PID[2]"))
    found.extend(_order(names))
    if kind in _MERGES and "MRG" not in names:
        found.append(("merge-id-missing", "MRG"))
    results = tuple([i for i, name in enumerate(names) if name == "OBX"])
    return Shape(tuple(found), patients, results)


_remembered = lru_cache(maxsize=2048)(_shape)


def _names(names: tuple[str, ...]) -> list[Found]:
    found = []
    for index, name in enumerate(names):
        if _NAME.fullmatch(name):
            continue
        code = "segment-name-long" if _LONG_NAME.fullmatch(name) else "line-break-in-field"
        found.append((code, f"segment {index + 1}"))
    return found


def _order(names: tuple[str, ...]) -> list[Found]:
    """EVN, PID, MRG, PV1 and PV2 come in this order, from each PID anew."""
    highest, found = -1, []
    for index, name in enumerate(names):
        rank = _SPINE.get(name)
        if rank is None:
            continue
        if rank < highest and not (name == "PID" and "PID" in names[:index]):
            found.append(("segment-order", name))
        highest = rank if name == "PID" else max(rank, highest)
    return found[:1]


def _patients(message: Hl7Message, patients: tuple[int, ...], received_at: int, found: list[Found]) -> None:
    delimiters = message.delimiters
    lines = message.lines
    for count, index in enumerate(patients, 1):
        fields = lines[index].split(delimiters.field, 8)
        if len(fields) < 4 or not _has_id(fields[3], delimiters.component, delimiters.repetition):
            found.append(("patient-id-missing", "PID-3" if count == 1 else f"PID[{count}]-3"))
        if len(fields) > 7 and fields[7] > "2" and fields[7][:8] > day_after(received_at):
            if is_time(fields[7]):
                found.append(("birth-date-future", "PID-7" if count == 1 else f"PID[{count}]-7"))


def _has_id(field: str, component: str, repetition: str) -> bool:
    """Whether any repetition of a CX has its first component valued."""
    if not field:
        return False
    values = [part.partition(component)[0].strip() for part in field.split(repetition)]
    return any(value and value != '""' for value in values)


def _merged(message: Hl7Message, found: list[Found]) -> None:
    delimiters = message.delimiters
    count = 0
    for line, name in zip(message.lines, message.names, strict=True):
        if name == "MRG":
            count += 1
            fields = line.split(delimiters.field, 2)
            if len(fields) < 2 or not _has_id(fields[1], delimiters.component, delimiters.repetition):
                found.append(("merge-id-missing", "MRG-1" if count == 1 else f"MRG[{count}]-1"))


def _results(message: Hl7Message, results: tuple[int, ...], found: list[Found]) -> None:
    delimiters, text = message.delimiters, message.text
    separator = delimiters.field
    numbers = f"{separator}NM{separator}" in text
    data = f"{separator}ED{separator}" in text
    if not numbers and not data:
        return
    lines = message.lines
    for count, index in enumerate(results, 1):
        fields = lines[index].split(separator, 6)
        if len(fields) < 6:
            continue
        type_, value = fields[2], fields[5]
        if type_ == "NM":
            if not value.isdecimal() and not _is_number(value, delimiters.repetition):
                found.append(("number-not-plain", _obx(count)))
        elif type_ == "ED" and not _is_data(value, message):
            found.append(("data-not-base64", _obx(count)))


def _obx(count: int) -> str:
    return f"OBX[{count}]-5" if count > 1 else "OBX-5"


@lru_cache(maxsize=4096)
def _is_number(value: str, repetition: str) -> bool:
    return all(not part or part == '""' or _PLAIN.fullmatch(part) for part in value.split(repetition))


def _is_data(value: str, message: Hl7Message) -> bool:
    """Whether every ED that says Base64 or Hex is that (section 2.A.24); line breaks within are allowed."""
    delimiters = message.delimiters
    for repetition in value.split(delimiters.repetition):
        parts = repetition.split(delimiters.component)
        encoding = parts[3].casefold() if len(parts) > 4 else ""
        if encoding not in ("base64", "hex"):
            continue
        data = message.unescape(parts[4])
        packed = data.translate(_BLANKS) if _has_blank(data) else data
        try:
            if encoding == "hex":
                bytes.fromhex(packed)
            else:
                binascii.a2b_base64(packed, strict_mode=True)
        except ValueError:
            return False
    return True


_BLANKS = dict.fromkeys(map(ord, " \t\r\n"))


def _has_blank(data: str) -> bool:
    return "\n" in data or "\r" in data or " " in data or "\t" in data


def _appointment(message: Hl7Message, found: list[Found]) -> None:
    if message.kind in _TIMELESS:
        return
    delimiters = message.delimiters
    for line, name in zip(message.lines, message.names, strict=True):
        number = _TIMES.get(name)
        if number is None:
            continue
        fields = line.split(delimiters.field, number + 1)
        if len(fields) > number and _holds_time(fields[number], name, message):
            return
    found.append(("appointment-time-missing", "SCH-11"))


def _holds_time(field: str, name: str, message: Hl7Message) -> bool:
    """Whether a field holds a start (SCH-11 is a TQ: component 4)."""
    delimiters = message.delimiters
    for repetition in field.split(delimiters.repetition):
        parts = repetition.split(delimiters.component)
        value = parts[3] if name == "SCH" and len(parts) > 3 else "" if name == "SCH" else parts[0]
        if value and value != '""':
            return True
    return False
