"""What the gate looks for. A glance costs next to nothing; only a glance that sees something looks closer."""

from __future__ import annotations

import re

from hilum.formats.hl7v2.content import check_appointment, check_merged, check_patients, check_results
from hilum.formats.hl7v2.escape import has_stray_escape
from hilum.formats.hl7v2.events import KINDS, TYPES, is_local
from hilum.formats.hl7v2.message import Hl7Message
from hilum.formats.hl7v2.shape import MERGES, Found, shape_of
from hilum.formats.hl7v2.times import has_zone, is_time

__all__ = ["inspect"]

_VERSIONS = "2.0 2.0D 2.1 2.2 2.3 2.3.1 2.3.2 2.4 2.5 2.5.1 2.5.2 2.6 2.7 2.7.1 2.8 2.8.1 2.8.2 2.9 2.9.1"
VERSIONS = frozenset(_VERSIONS.split(" "))
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f]")  # ESC (1B) switches character sets
MANY = 100  # repetitions of one field


def inspect(message: Hl7Message, received_at: int) -> list[Found]:
    """Everything found: codes with the paths they are about, never values."""
    found: list[Found] = []
    if message.notes:
        found += [(note, "MSH-18" if note.startswith("charset") else "MSH") for note in message.notes]
    _check_header(message, found)
    _check_text(message, found)
    kind = message.kind
    shape = shape_of(kind, message.names)
    if shape.found:
        found += shape.found
    if shape.patients:
        check_patients(message, shape.patients, received_at, found)
    if shape.results:
        check_results(message, shape.results, found)
    if shape.merged and kind in MERGES:
        check_merged(message, shape.merged, found)
    if kind[:3] == "SIU":
        check_appointment(message, found)
    return found


def _check_header(message: Hl7Message, found: list[Found]) -> None:
    header = message.header
    if len(header) < 13:
        header = header + [""] * (13 - len(header))
    if message.kind not in KINDS:
        _check_kind(message.kind, found)
    if not header[10].strip():
        found.append(("control-id-missing", "MSH-10"))
    component = message.delimiters.component
    if header[11] != "P":
        _check_processing(header[11].partition(component)[0], found)
    if header[12] not in VERSIONS:
        version = header[12].partition(component)[0]
        if version not in VERSIONS:
            found.append(("version-unknown" if version else "version-missing", "MSH-12"))
    if not has_zone(header[7]) or not is_time(header[7]):
        _check_sent(header[7].partition(component)[0], found)


def _check_kind(kind: str, found: list[Found]) -> None:
    type_, _, event = kind.partition("^")
    if type_ == "ACK":
        return
    if not type_ or not event:
        found.append(("type-missing", "MSH-9"))
    elif is_local(type_, event):
        found.append(("event-local", "MSH-9"))
    else:
        found.append(("event-unsupported" if type_ in TYPES else "type-unsupported", "MSH-9"))


def _check_processing(processing: str, found: list[Found]) -> None:
    if processing in ("T", "D"):
        found.append(("processing-id-test", "MSH-11"))
    elif processing != "P":
        found.append(("processing-id-unknown" if processing else "processing-id-missing", "MSH-11"))


def _check_sent(sent: str, found: list[Found]) -> None:
    if not sent or sent == '""':
        found.append(("sent-time-missing", "MSH-7"))
    elif not is_time(sent):
        found.append(("sent-time-invalid", "MSH-7"))
    elif len(sent) > 8 and not has_zone(sent):
        found.append(("zone-missing", "MSH-7"))


def _check_text(message: Hl7Message, found: list[Found]) -> None:
    text, delimiters = message.text, message.delimiters
    if text.find(delimiters.escape, 9) >= 0 and has_stray_escape(text[9:], delimiters):
        found.append(("escape-stray", _find_stray(message)))
    if "\x1b$" in text:  # ISO 2022: what follows was written in a set of two bytes a character, and was read as ASCII
        found.append(("charset-switched", ""))
    # All but a few messages are printable without their segment ends, which is asked in a tenth of the time.
    if not text.replace("\r", "").isprintable() and _CONTROL.search(text):
        found.append(("character-control", ""))
    if not text.isascii() and "\ufffd" in text:
        found.append(("character-replaced", ""))
    if text.count(delimiters.repetition) > MANY:
        _check_repetitions(message, found)
    if delimiters.truncation and delimiters.truncation in text[9:]:
        _check_truncated(message, found)
    terminator = message.terminator
    if terminator is None:
        found.append(("terminators-mixed", ""))
    elif terminator != "\r":
        found.append(("terminator-not-cr", ""))


def _find_stray(message: Hl7Message) -> str:
    """Path of the first field with an escape character that is no sequence."""
    delimiters = message.delimiters
    for path, number, field in _fields(message):
        if delimiters.escape in field and has_stray_escape(field, delimiters):
            return f"{path}-{number}"
    return ""


def _check_repetitions(message: Hl7Message, found: list[Found]) -> None:
    mark = message.delimiters.repetition
    for path, number, field in _fields(message):
        # OBX-5 repeats as often as there are values: waveforms do.
        if field.count(mark) >= MANY and not (number == 5 and path.startswith("OBX")):
            found.append(("repetitions-many", f"{path}-{number}"))


def _check_truncated(message: Hl7Message, found: list[Found]) -> None:
    mark = message.delimiters.truncation
    for path, number, field in _fields(message):
        if len(field) > 1 and field.endswith(mark):
            found.append(("value-truncated", f"{path}-{number}"))
            return


def _fields(message: Hl7Message) -> list[tuple[str, int, str]]:
    """Every field after the delimiters with its path: `OBX[3]`, 5, text."""
    seen: dict[str, int] = {}
    result = []
    for segment in message.segments:
        seen[segment.name] = count = seen.get(segment.name, 0) + 1
        path = segment.name if count == 1 else f"{segment.name}[{count}]"
        skipped = 3 if segment.name in ("MSH", "FHS", "BHS") else 1
        result += [(path, number, text) for number, text in enumerate(segment.fields[skipped:], skipped)]
    return result
