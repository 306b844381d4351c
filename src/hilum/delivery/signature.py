"""The signature of webhooks: HMAC-SHA256 over time, idempotency key and body. Receivers may use `verify_signature`.

    Hilum-Signature: t=1764000000,v1=00859cbada04fccf24432c23ec4b9dc51000c063ab080441b84f96ded339a265

`v1` is the hexadecimal HMAC of `<t>.<Idempotency-Key>.<body>`. The time keeps an old request from being sent again, the
key keeps a record from being passed off as another one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

__all__ = ["SIGNATURE_HEADER", "sign", "verify_signature"]

SIGNATURE_HEADER: Final = "Hilum-Signature"
_SHAPE: Final = re.compile(r"t=(\d{1,12}),v1=([0-9a-f]{64})", re.ASCII)


def sign(secret: bytes, idempotency_key: str, body: bytes, at: int) -> str:
    """The header's value. `at` is seconds since 1970."""
    return f"t={at},v1={_digest(secret, str(at), idempotency_key, body)}"


def verify_signature(
    secret: bytes, header: str, idempotency_key: str, body: bytes, *, now: float, tolerance: float = 300
) -> bool:
    """Whether the request is genuine and not older (or newer) than `tolerance` seconds. Takes constant time."""
    parts = _SHAPE.fullmatch(header)
    if parts is None or abs(now - int(parts[1])) > tolerance:
        return False
    return hmac.compare_digest(_digest(secret, parts[1], idempotency_key, body), parts[2])


def _digest(secret: bytes, at: str, idempotency_key: str, body: bytes) -> str:
    return hmac.new(secret, f"{at}.{idempotency_key}.".encode() + body, hashlib.sha256).hexdigest()
