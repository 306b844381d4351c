"""JSON in and out with the text of decimals kept: 0.10 stays 0.10 (R4 json.html#decimal)."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import msgspec

from hilum.errors import FormatError

__all__ = ["decode", "encode"]

_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number")


def decode(body: bytes) -> Any:
    """JSON bytes -> Python values; numbers with a point or an exponent are Decimals.

    Raises FormatError `fhir-json-invalid`.
    """
    try:
        return _DECODER.decode(body)
    except UnicodeDecodeError:
        why = "its texts are not UTF-8"
    except RecursionError:
        why = "it is nested beyond reason"
    except msgspec.DecodeError as error:
        why = _reason(str(error))
    raise FormatError(why, code="fhir-json-invalid")


def _reason(said: str) -> str:
    """Where msgspec gave up: a place in the bytes, never what stands there."""
    at = re.search(r"\(byte (\d+)\)", said)
    if "out of range" in said or "too large" in said.lower():
        return "a number is too long"
    if "truncated" in said:
        return "it ends too early"
    return f"it stops being JSON at byte {at[1]}" if at else "these bytes are not JSON"


def encode(value: Any) -> bytes:
    """Python values -> compact JSON bytes; Decimals are written as they were read, `msgspec.Raw` is spliced in."""
    return _ENCODER.encode(value)
