"""Where a message starts in the bytes, and what stands there when it does not."""

from __future__ import annotations

import re

from hilum.errors import FormatError

__all__ = ["find_start"]

_BLANK = b" \t\r\n\x0b\x00"
_BOMS = (
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\0\0\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_WIDE = tuple(("MSH".encode(codec), codec) for codec in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"))
_OTHER = (
    (re.compile(rb"(?:GET|POST|PUT|HEAD|OPTIONS|DELETE|PATCH|CONNECT|TRACE|PRI) \S+ HTTP/"), "an HTTP request"),
    (re.compile(rb"HTTP/\d"), "an HTTP answer"),
    (re.compile(rb"\x16\x03[\x00-\x04]"), "a TLS handshake: this listener expects plain MLLP"),
    (re.compile(rb"SSH-\d"), "an SSH greeting"),
    (re.compile(rb"<"), "XML"),
    (re.compile(rb"[{\[]"), "JSON"),
    (re.compile(rb"%PDF-"), "a PDF file"),
    (re.compile(rb"PK\x03\x04"), "a ZIP file"),
    (re.compile(rb"\x1f\x8b"), "a gzip file"),
    (re.compile(rb"ISA"), "X12"),
    (re.compile(rb"UN[AB]"), "EDIFACT"),
)
_SEGMENT = re.compile(rb"[A-Z][A-Z0-9]{2}[^A-Za-z0-9\s]")


def find_start(raw: bytes) -> tuple[bytes, str, tuple[str, ...]]:
    """What stands before MSH, the codec when it is a wide one (else ""), and codes of what was tolerated.

    Raises FormatError `frame-empty`, `frame-not-hl7`, `header-missing` or `batch-unexpected`.
    """
    if raw[:3] == b"MSH":
        return b"", "", ()
    for mark, codec in _BOMS:
        if raw.startswith(mark):
            if raw[len(mark) :].startswith("MSH".encode(codec)):
                return mark, codec, ("byte-order-mark",)
            break
    for letters, codec in _WIDE:
        if raw.startswith(letters):
            return b"", codec, ()
    return _narrow_start(raw)


def _narrow_start(raw: bytes) -> tuple[bytes, str, tuple[str, ...]]:
    notes: tuple[str, ...] = ()
    rest = raw
    if rest.startswith(b"\xef\xbb\xbf"):
        rest = rest[3:]
        notes = ("byte-order-mark",)
    body = rest.lstrip(_BLANK)
    if not body:
        raise FormatError("there is nothing in the frame", code="frame-empty")
    if body.startswith(b"MSH"):
        if len(body) < len(rest):
            notes += ("leading-blank",)
        return raw[: len(raw) - len(body)], "", notes
    raise _refusal(body)


def _refusal(body: bytes) -> FormatError:
    if body[:3] in (b"FHS", b"BHS", b"BTS", b"FTS"):
        return FormatError("a batch stands where one message is expected", code="batch-unexpected", location="1")
    for pattern, name in _OTHER:
        if pattern.match(body):
            return FormatError(f"this is not HL7 v2 but {name}", code="frame-not-hl7")
    if _SEGMENT.match(body):
        return FormatError("the message does not start with MSH", code="header-missing", location="MSH")
    return FormatError("this is not HL7 v2", code="frame-not-hl7")
