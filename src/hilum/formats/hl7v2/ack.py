"""Answers to a sender: original mode (AA AE AR) and enhanced mode (CA CE CR, then AA), sections 2.9.2 and 2.9.3.

An answer says what became of a message and nothing of what is in it: codes, places and our own words, never values.
"""

from __future__ import annotations

import itertools
import os
import re
from datetime import UTC, datetime
from enum import StrEnum

from msgspec import Struct

from hilum.formats.hl7v2.codes import hl7_error
from hilum.formats.hl7v2.delimiters import STANDARD, Delimiters
from hilum.formats.hl7v2.envelope import header_of
from hilum.formats.hl7v2.escape import escape
from hilum.formats.hl7v2.message import Hl7Message
from hilum.model import Finding, Severity

__all__ = ["AckMode", "AckWanted", "Wish", "acknowledge", "wants"]

CODES = ("AA", "AE", "AR", "CA", "CE", "CR")
_LOCATION = re.compile(r"([A-Z][A-Z0-9]{2})(?:\[(\d+)\])?(?:-(\d+)(?:\[(\d+)\])?(?:\.(\d+)(?:\.(\d+))?)?)?")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f]")
_OLD = frozenset({"2.0", "2.0D", "2.1", "2.2", "2.3", "2.3.1", "2.3.2", "2.4"})
_START = f"{os.getpid():05d}{os.urandom(3).hex().upper()}"
_COUNT = itertools.count(1)


class AckMode(StrEnum):
    """How a sender expects to be answered."""

    ORIGINAL = "original"  # MSH-15 and MSH-16 are blank: one answer, AA AE or AR
    ENHANCED = "enhanced"  # at least one is valued: CA CE CR on storing, AA AE AR on applying, each where wished for


class Wish(StrEnum):
    """When an answer is wanted: HL7 table 0155."""

    ALWAYS = "AL"
    NEVER = "NE"
    ERROR = "ER"  # only when the answer is no
    SUCCESS = "SU"  # only when the answer is yes


_WISHES = {str(wish): wish for wish in Wish}


class AckWanted(Struct, frozen=True):
    """What the header asks for. A blank field beside a valued one means never (section 2.15.9.15)."""

    mode: AckMode
    accept: Wish  # MSH-15: CA CE CR
    application: Wish  # MSH-16: AA AE AR

    def is_wanted(self, code: str) -> bool:
        """Whether an answer with this code (AA AE AR CA CE CR) is to be sent."""
        if self.mode is AckMode.ORIGINAL:
            return code[0] == "A"
        wish = self.accept if code[0] == "C" else self.application
        return wish is Wish.ALWAYS or wish is (Wish.SUCCESS if code[1] == "A" else Wish.ERROR)


def wants(message: Hl7Message | bytes) -> AckWanted:
    """Which answers MSH-15 and MSH-16 ask for; original mode where there is no header. Unknown values mean always."""
    header = _header(message)
    accept, application = (_field(header, number).strip().upper() for number in (15, 16))
    if not accept and not application:
        return AckWanted(AckMode.ORIGINAL, Wish.NEVER, Wish.ALWAYS)
    return AckWanted(AckMode.ENHANCED, _wish(accept), _wish(application))


def acknowledge(
    message: Hl7Message | bytes,
    code: str,
    *,
    text: str = "",
    finding: Finding | None = None,
    now: int,
) -> bytes:
    """The answer `code` to a message, or to any bytes; `text` must hold no PHI. `now`: microseconds since 1970.

    MSH is mirrored: sender and receiver change places; version, processing id, delimiters and charset stay. MSA-2 is
    MSH-10 as sent. `finding` becomes ERR: ERR-2 to ERR-5, ERR-7 and ERR-8 from v2.5 on, ERR-1 before.
    """
    if code not in CODES:
        raise ValueError(f"no acknowledgement code: {code}")
    header = _header(message)
    delimiters = header.delimiters if header is not None else STANDARD
    old = header is not None and header.version in _OLD
    said = text or (finding.message if finding is not None else "")
    lines = [_msh(header, delimiters, now), _msa(header, delimiters, code, said)]
    if finding is not None:
        lines.append(_err_old(finding, delimiters) if old else _err(finding, delimiters))
    charset = header.charset if header is not None else "ascii"
    return ("\r".join(lines) + "\r").encode(charset, "replace")


def _header(message: Hl7Message | bytes) -> Hl7Message | None:
    if isinstance(message, Hl7Message):
        return message
    return header_of(message)


def _field(header: Hl7Message | None, number: int) -> str:
    """A field of MSH as sent; what could break a frame or a segment is left out."""
    if header is None or number >= len(header.header):
        return ""
    value = header.header[number]
    return value if value.isprintable() else _UNSAFE.sub("", value)


def _wish(value: str) -> Wish:
    if not value:
        return Wish.NEVER
    return _WISHES.get(value, Wish.ALWAYS)


def _msh(header: Hl7Message | None, delimiters: Delimiters, now: int) -> str:
    component = delimiters.component
    event = _field(header, 9).split(component)
    trigger = event[1] if len(event) > 1 else ""
    kind = component.join(["ACK", trigger, "ACK"]) if trigger else "ACK"
    at = datetime.fromtimestamp(now / 1_000_000, UTC)
    fields = [
        "MSH",
        delimiters.encoding_characters,
        _field(header, 5),
        _field(header, 6),
        _field(header, 3),
        _field(header, 4),
        f"{at:%Y%m%d%H%M%S}.{at.microsecond // 1000:03d}+0000",
        "",
        kind,
        f"{_START}{next(_COUNT):08d}",
        _field(header, 11) or "P",
        _field(header, 12) or "2.5.1",
    ]
    charset = _field(header, 18)
    if charset:
        fields += ["", "", "", "", "", charset]
    return delimiters.field.join(fields)


def _msa(header: Hl7Message | None, delimiters: Delimiters, code: str, text: str) -> str:
    fields = ["MSA", code, _field(header, 10)]
    if text:
        fields.append(escape(text[:80], delimiters))
    return delimiters.field.join(fields)


def _err(finding: Finding, delimiters: Delimiters) -> str:
    number, name = hl7_error(finding.code)
    component = delimiters.component
    severity = "W" if finding.severity is Severity.WARNING else "E"
    return delimiters.field.join(
        [
            "ERR",
            "",
            _erl(finding.location, component),
            component.join([str(number), name, "HL70357"]),
            severity,
            component.join([finding.code, "", "99HILUM"]),
            "",
            escape(finding.location, delimiters),
            escape(finding.message, delimiters),
        ]
    )


def _err_old(finding: Finding, delimiters: Delimiters) -> str:
    """ERR-1 before v2.5: segment, sequence, field, and the error code as subcomponents."""
    number, name = hl7_error(finding.code)
    match = _LOCATION.fullmatch(finding.location)
    segment, index, field = (match[1], match[2] or "1", match[3] or "") if match else ("", "", "")
    sub = delimiters.subcomponent
    return delimiters.field.join(
        ["ERR", delimiters.component.join([segment, index, field, sub.join([str(number), name, "HL70357"])])]
    )


def _erl(location: str, component: str) -> str:
    """ERL (section 2.A.28): segment, sequence, field, repetition, component, subcomponent; "" for what is no path."""
    match = _LOCATION.fullmatch(location)
    if match is None:
        return ""
    segment, index, field, repetition, part, sub = match.groups()
    parts = [segment, index or "1"]
    if field:
        parts += [field, repetition or "1", part or "", sub or ""]
    return component.join(parts).rstrip(component)
