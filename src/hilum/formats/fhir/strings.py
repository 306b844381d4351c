"""How strings are compared in a search: without case, accents or runs of spaces (R4 search.html#string)."""

from __future__ import annotations

import unicodedata

__all__ = ["fold"]

# Letters that have no decomposition, yet are typed without their stroke or ligature.
_PLAIN = str.maketrans({"ø": "o", "đ": "d", "ð": "d", "ł": "l", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"})


def fold(text: str) -> str:
    """The form in which strings are compared: `"  Müller-Łukasz "` -> `"muller-lukasz"`."""
    if text.isascii():
        return " ".join(text.lower().split())
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    bare = "".join(char for char in decomposed if not unicodedata.combining(char))
    return " ".join(bare.translate(_PLAIN).split())
