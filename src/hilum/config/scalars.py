"""What an unquoted YAML scalar means: the core schema of YAML 1.2.2, section 10.3.2.

`no` and `22:30` are text and `012` is twelve; only `true`, `false`, `null` and plain numbers are anything else.
"""

from __future__ import annotations

import math
import re

from hilum.config.document import Scalar

__all__ = ["NumberOutOfRange", "resolve_plain"]

_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_DECIMAL = re.compile(r"[-+]?[0-9]+", re.ASCII)
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_MAX_LENGTH = 64  # no number that fits 64 bits needs more, and longer ones are slow to convert


class NumberOutOfRange(ValueError):
    """A number that does not fit 64 bits, or is not finite."""


def resolve_plain(text: str) -> Scalar:
    """The value of an unquoted scalar. Raises NumberOutOfRange."""
    if text in _WORDS:
        return _WORDS[text]
    if _DECIMAL.fullmatch(text):
        return _integer(text, 10)
    if _OCTAL.fullmatch(text):
        return _integer(text[2:], 8)
    if _HEX.fullmatch(text):
        return _integer(text[2:], 16)
    if _FLOAT.fullmatch(text):
        return _float(text)
    if _NOT_FINITE.fullmatch(text):
        raise NumberOutOfRange
    return text


def _integer(digits: str, base: int) -> int:
    value = int(digits, base) if len(digits) <= _MAX_LENGTH else 2**63
    if not -(2**63) <= value < 2**63:
        raise NumberOutOfRange
    return value


def _float(text: str) -> float:
    value = float(text) if len(text) <= _MAX_LENGTH else math.inf
    if not math.isfinite(value):
        raise NumberOutOfRange
    return value
