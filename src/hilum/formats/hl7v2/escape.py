r"""Escape sequences: undone after the last split, made before the first join (HL7 v2.5.1, section 2.7).

What is not a sequence stays as it was sent, a lone escape character included, so that nothing is ever lost:
`C:\temp` is `C:\temp`. `\Z..\` means what two sites agreed on, so it stays too.
"""

from __future__ import annotations

import re
from functools import lru_cache

from hilum.formats.hl7v2.delimiters import STANDARD, Delimiters

__all__ = ["escape", "has_stray_escape", "unescape"]

_HEX = r"X(?:[0-9A-Fa-f]{2})+"
_SWITCH = r"C[0-9A-Fa-f]{4}|M[0-9A-Fa-f]{4}(?:[0-9A-Fa-f]{2})?"
_FORMAT = r"\.(?:br|ce|fi|nf|sp[+]?\d{0,3}|sk[+]?\d{0,3}|in[+-]?\d{0,3}|ti[+-]?\d{0,3})"
_MUST_ESCAPE = "\r\n\0\x0b\x1c"


def unescape(text: str, delimiters: Delimiters = STANDARD, charset: str = "utf-8") -> str:
    r"""The text meant by one leaf value as sent.

    `\F\ \S\ \T\ \R\ \E\ \P\` give the delimiters, `\X..\` the bytes in `charset`, `\.br\` and `\.sp\` line breaks,
    `\.sk\` blanks; highlighting (`\H\ \N\`) and indentation vanish; `\C..\ \M..\` switch the character set (ISO 2022).
    """
    if delimiters.escape not in text:
        return text
    meanings = _meanings(delimiters)
    switched = False

    def replace(match: re.Match[str]) -> str:
        nonlocal switched
        body = match[1]
        meaning = meanings.get(body)
        if meaning is not None:
            return meaning
        if body[0] == "X":
            return _from_hex(body[1:], charset, match[0])
        if body[0] == ".":
            return _from_format(body)
        switched = True
        return "\x1b" + bytes.fromhex(body[1:]).decode("latin-1")

    result = _pattern(delimiters.escape).sub(replace, text)
    return _from_iso2022(result, text) if switched else result


def escape(text: str, delimiters: Delimiters = STANDARD) -> str:
    """A value made fit to stand between delimiters; `unescape` gives it back unchanged."""
    return text.translate(_table(delimiters))


def has_stray_escape(text: str, delimiters: Delimiters) -> bool:
    """Whether an escape character stands in `text` (several values, delimiters and all) without being a sequence."""
    return delimiters.escape in _known(delimiters).sub("", text)


@lru_cache(maxsize=64)
def _meanings(delimiters: Delimiters) -> dict[str, str]:
    return {
        "F": delimiters.field,
        "S": delimiters.component,
        "T": delimiters.subcomponent,
        "R": delimiters.repetition,
        "E": delimiters.escape,
        "P": delimiters.truncation or "#",
        "H": "",
        "N": "",
    }


@lru_cache(maxsize=64)
def _pattern(character: str) -> re.Pattern[str]:
    mark = re.escape(character)
    return re.compile(f"{mark}([FSTREPHN]|{_HEX}|{_FORMAT}|{_SWITCH}){mark}")


@lru_cache(maxsize=64)
def _known(delimiters: Delimiters) -> re.Pattern[str]:
    mark = re.escape(delimiters.escape)
    cut = re.escape(delimiters.field + delimiters.encoding_characters)
    return re.compile(f"{mark}(?:[FSTREPHN]|{_HEX}|{_FORMAT}|{_SWITCH}|Z[^{cut}\r\n]*){mark}")


@lru_cache(maxsize=64)
def _table(delimiters: Delimiters) -> dict[int, str]:
    mark = delimiters.escape
    table = {ord(character): f"{mark}X{ord(character):02X}{mark}" for character in _MUST_ESCAPE}
    names = {
        delimiters.field: "F",
        delimiters.component: "S",
        delimiters.subcomponent: "T",
        delimiters.repetition: "R",
        mark: "E",
    }
    if delimiters.truncation:
        names[delimiters.truncation] = "P"
    table.update({ord(character): f"{mark}{name}{mark}" for character, name in names.items()})
    return table


def _from_hex(digits: str, charset: str, as_sent: str) -> str:
    data = bytes.fromhex(digits)
    try:
        return data.decode("ascii" if data.isascii() else charset)
    except UnicodeDecodeError:
        return as_sent


def _from_format(body: str) -> str:
    command, count = body[1:3], body[3:].lstrip("+")
    if command in ("br", "ce"):
        return "\n"
    if command == "sp":
        return "\n" * (int(count) if count else 1)
    if command == "sk":
        return " " * (int(count) if count else 1)
    return ""


def _from_iso2022(text: str, as_sent: str) -> str:
    """Text whose sequences switched the character set; as sent when no codec knows those sets."""
    try:
        return text.encode("ascii").decode("iso2022_jp_2")
    except UnicodeError:
        return as_sent
