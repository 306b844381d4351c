"""The characters that cut a message up (HL7 v2.5.1, section 2.5.4; truncation from v2.7)."""

from __future__ import annotations

from functools import lru_cache

from msgspec import Struct

from hilum.errors import FormatError

__all__ = ["STANDARD", "Delimiters", "read_delimiters"]

HEADERS = (b"MSH", b"FHS", b"BHS")
_FORBIDDEN = frozenset(" \r\n\0\x0b\x1c")


class Delimiters(Struct, frozen=True):
    """MSH-1 and the characters of MSH-2, in their order there; `truncation` is "" before v2.7."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = ""

    @property
    def encoding_characters(self) -> str:
        """MSH-2 as it is written."""
        return self.component + self.repetition + self.escape + self.subcomponent + self.truncation


STANDARD = Delimiters()


@lru_cache(maxsize=256)
def read_delimiters(field: bytes, encoding: bytes) -> Delimiters:
    """Delimiters from MSH-1 and MSH-2 as sent.

    Raises FormatError `delimiters-missing` (fewer than four in MSH-2), `delimiters-duplicate`, or `delimiters-invalid`
    (letters, digits, blanks, control characters that frame messages, or more than five in MSH-2).
    """
    characters = (field + encoding).decode("latin-1")
    if len(field) != 1 or len(encoding) < 4:
        raise FormatError(
            "MSH-1 and MSH-2 must name the field separator and at least four encoding characters",
            code="delimiters-missing",
            location="MSH-2",
        )
    if len(encoding) > 5 or not all(_may_delimit(character) for character in characters):
        raise FormatError(
            "MSH-2 must be four or five punctuation characters",
            code="delimiters-invalid",
            location="MSH-2",
        )
    if len(set(characters)) != len(characters):
        raise FormatError(
            "one character has two meanings in MSH-1 and MSH-2", code="delimiters-duplicate", location="MSH-2"
        )
    return Delimiters(*characters)


def _may_delimit(character: str) -> bool:
    return character.isascii() and not character.isalnum() and character not in _FORBIDDEN
