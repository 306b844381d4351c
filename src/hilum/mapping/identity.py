"""Deterministic ids: the same business identifier is the same resource, on every node and in every replay."""

from __future__ import annotations

from hashlib import sha256

__all__ = ["resource_id"]

_BASE32 = bytes(b"abcdefghijklmnopqrstuvwxyz234567"[byte & 31] for byte in range(256))


def resource_id(type_: str, system: str, value: str) -> str:
    """The FHIR id of what `system` calls `value`: 20 lower-case base32 characters, 100 bits of a SHA-256.

    Each character is five bits of one byte of the digest. The parts are kept apart by U+001F, which no text holds.
    """
    digest = sha256(f"{type_}\x1f{system}\x1f{value}".encode()).digest()
    return digest[:20].translate(_BASE32).decode("ascii")
