"""JSON in and out with the text of decimals kept: 0.10 stays 0.10 (R4 json.html#decimal)."""

from __future__ import annotations

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
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise FormatError("these bytes are not JSON", code="fhir-json-invalid") from None


def encode(value: Any) -> bytes:
    """Python values -> compact JSON bytes; Decimals are written as they were read, `msgspec.Raw` is spliced in."""
    return _ENCODER.encode(value)
