"""Near misses: what somebody who wrote this word most likely meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["did_you_mean", "nearest"]


def nearest(word: str, options: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The option closest to `word`, blind to case and to `-` against `_`; None when nothing is close."""
    by_shape = {_shape(option): option for option in options}
    close = get_close_matches(_shape(word), by_shape, n=1, cutoff=cutoff)
    return by_shape[close[0]] if close else None


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """A hint, or an empty text."""
    option = nearest(word, options)
    return f"did you mean `{option}`?" if option else ""


def _shape(word: str) -> str:
    return word.casefold().replace("_", "-").replace(" ", "-").strip("-")
