"""What the journal keeps beside a message: who, what, when, and the key that orders it."""

from __future__ import annotations

import re

from hilum.errors import FormatError
from hilum.formats.hl7v2.delimiters import read_delimiters
from hilum.formats.hl7v2.events import KINDS
from hilum.formats.hl7v2.message import Hl7Message
from hilum.formats.hl7v2.path import compile_path
from hilum.formats.hl7v2.times import instant
from hilum.model import Disposition, Envelope

__all__ = ["envelope_of", "header_of", "key_text"]

# Whatever else stands in MSH-9 is no kind, and no label for logs and metrics.
_KIND = re.compile(r"[A-Z][A-Z0-9]{2}(?:\^[A-Z0-9]{1,3})?")


def envelope_of(
    message: Hl7Message,
    key: str,
    source: str,
    received_at: int,
    disposition: Disposition,
    codes: tuple[str, ...],
) -> Envelope:
    """The envelope; `key` is the path of the ordering identifier, "" when only the header was read."""
    header, kind = message.header, message.kind
    own, other = keys(message, key) if key else ("", "")
    return Envelope(
        source,
        received_at,
        message.sender,
        message.control_id,
        kind if kind in KINDS or _KIND.fullmatch(kind) else "",
        own,
        other,
        instant(header[7].partition(message.delimiters.component)[0]) if len(header) > 7 else 0,
        message.charset if key else "",
        disposition,
        codes,
    )


def keys(message: Hl7Message, path: str) -> tuple[str, str]:
    """Key and other key. The other one is of the patient merged away (MRG-1), or of the second patient (swap, link)."""
    where = compile_path(path)
    names = message.names
    at = _position(where.segment, names, where.index or 1)
    if at < 0:
        return "", ""
    own = key_text(message, at, where.field, where.repetition)
    merged = _position("MRG", names, 1)
    if merged >= 0:
        other = key_text(message, merged, 1, 1)
    else:
        second = _position("PID", names, 2) if where.segment == "PID" else -1
        other = key_text(message, second, where.field, where.repetition) if second >= 0 else ""
    return own, other if other != own else ""


def _position(name: str, names: tuple[str, ...], count: int) -> int:
    """Index of the count-th segment of that name, -1 when there is none."""
    at = -1
    for _ in range(count):
        if name not in names[at + 1 :]:
            return -1
        at = names.index(name, at + 1)
    return at


def key_text(message: Hl7Message, at: int, field: int, repetition: int) -> str:
    """`value|authority` of a CX (CX.1 and CX.4.1) in the segment at that index, "" when it has no value."""
    delimiters = message.delimiters
    fields = message.lines[at].split(delimiters.field, field + 1)
    text = fields[field] if field < len(fields) else ""
    parts = text.split(delimiters.repetition)
    number = max(repetition, 1) - 1
    components = (parts[number] if number < len(parts) else "").split(delimiters.component, 4)
    value = components[0].strip()
    if not value or value == '""':
        return ""
    authority = components[3].partition(delimiters.subcomponent)[0] if len(components) > 3 else ""
    return message.unescape(f"{value}|{authority}")


def header_of(raw: bytes) -> Hl7Message | None:
    """The header line alone, read as Latin-1: for what cannot be read as a whole. None when there is no header."""
    at = raw.find(b"MSH", 0, 64)
    if at < 0:
        return None
    line = raw[at : at + 4096].replace(b"\n", b"\r").partition(b"\r")[0]
    separator = line[3:4]
    if not separator:
        return None
    try:
        delimiters = read_delimiters(separator, line.split(separator, 2)[1])
    except FormatError:
        return None
    return Hl7Message(line, b"", line.decode("latin-1"), delimiters, "latin-1", ())
