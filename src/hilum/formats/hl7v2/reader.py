"""From bytes to a message: find the start, the delimiters and the charset, decode once, cut segments once."""

from __future__ import annotations

from functools import lru_cache

from hilum.errors import FormatError
from hilum.formats.hl7v2.charset import WIDE, canonical, codec_of, switching_codec
from hilum.formats.hl7v2.delimiters import read_delimiters
from hilum.formats.hl7v2.message import Hl7Message
from hilum.formats.hl7v2.start import find_start

__all__ = ["parse"]


def parse(raw: bytes, *, default_charset: str = "utf-8") -> Hl7Message:
    """Read one message; nothing is cut that is not needed to find its delimiters, charset and segments.

    Raises FormatError with the codes `frame-empty`, `frame-not-hl7`, `header-missing`, `batch-unexpected`,
    `delimiters-missing`, `delimiters-duplicate`, `delimiters-invalid`, `charset-undecodable`; LookupError when Python
    has no `default_charset`.
    """
    prefix, wide, notes = find_start(raw)
    body = raw[len(prefix) :] if prefix else raw
    if wide:
        text = _decode(body, wide, len(prefix))
        header = text[:1024].encode("utf-8")
    else:
        header = body
    separator = header[3:4]
    line = _first_line(header)
    parts = line.split(separator, 18) if separator else [line]
    delimiters = read_delimiters(separator, parts[1] if len(parts) > 1 else b"")
    if wide:
        return Hl7Message(raw, prefix, text, delimiters, wide, notes)
    declared = parts[17][:64] if len(parts) > 17 else b""
    codec, more = _charset(declared, delimiters.repetition, default_charset)
    text = _decode(body, codec, len(prefix))
    if not declared and not text.isascii():
        more = _undeclared(body, codec)
    return Hl7Message(raw, prefix, text, delimiters, codec, notes + more if more else notes)


def _first_line(header: bytes) -> bytes:
    end = header.find(b"\r")
    line = header[:end] if end >= 0 else header
    end = line.find(b"\n")
    return line[:end] if end >= 0 else line


@lru_cache(maxsize=256)
def _charset(declared: bytes, repetition: str, default: str) -> tuple[str, tuple[str, ...]]:
    """Codec and codes of what was tolerated in choosing it."""
    name, _, others = declared.decode("latin-1").partition(repetition)
    name = name.strip()
    if others and (switching := switching_codec(name, others.split(repetition))):
        return switching, ()
    if not name or name == '""':
        return canonical(default), ()
    codec, official = codec_of(name)
    if not codec or codec in WIDE:
        # A message in UTF-16 could not have been read as far as MSH-18: the declaration is wrong.
        return canonical(default), ("charset-unknown",)
    return canonical(codec), () if official else ("charset-alias",)


def _undeclared(body: bytes, codec: str) -> tuple[str, ...]:
    if codec == "utf-8":
        return ("charset-undeclared",)
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return ("charset-undeclared",)
    return ("charset-undeclared", "charset-suspect")


def _decode(body: bytes, codec: str, offset: int) -> str:
    try:
        return body.decode(codec)
    except UnicodeDecodeError as error:
        raise FormatError(
            f"the bytes are not {codec}: first at byte {offset + error.start}",
            code="charset-undecodable",
            location=f"byte {offset + error.start}",
        ) from None
