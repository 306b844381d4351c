"""Signed heads: a signature over the last hash vouches for everything before it (Ed25519, RFC 8032)."""

from __future__ import annotations

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import Struct

from hilum.errors import FormatError

__all__ = ["SignedHead", "Signer", "head_from_bytes", "head_to_bytes", "is_signed", "statement"]


class SignedHead(Struct, frozen=True):
    """A head that left the host: whoever keeps it can prove later that nothing up to it was changed or removed."""

    n: int
    hash: bytes
    at: int  # time of its commit, microseconds
    seq: int  # the last message it covers
    public_key: bytes
    signature: bytes


class Signer:
    """Signs with a key made of a 32-byte seed; the store key gives the seed, so the same store has the same signer."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, text: bytes) -> bytes:
        """64 bytes."""
        return self._key.sign(text)

    def sign_head(self, n: int, hashed: bytes) -> bytes:
        """Sign group `n` of the chain."""
        return self.sign(statement("head", n, hashed))


def statement(what: str, n: int, hashed: bytes) -> bytes:
    """The bytes that are signed; `what` keeps a signature of one thing from being used for another."""
    return b"hilum " + what.encode() + b"\x00" + n.to_bytes(8, "big") + hashed


def is_signed(public_key: bytes, signature: bytes, text: bytes) -> bool:
    """Whether the holder of the key signed this text."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, text)
    except (InvalidSignature, ValueError):
        return False
    return True


def head_to_bytes(head: SignedHead) -> bytes:
    """An exported head file: one JSON object, bytes in base64."""
    return msgspec.json.format(msgspec.json.encode({"format": "hilum head 1"} | msgspec.to_builtins(head))) + b"\n"


def head_from_bytes(content: bytes) -> SignedHead:
    """Read an exported head file and check its signature. Raises FormatError `journal-head-invalid`."""
    try:
        head = msgspec.json.decode(content, type=SignedHead)
    except msgspec.DecodeError:
        head = None
    if head is None or not is_signed(head.public_key, head.signature, statement("head", head.n, head.hash)):
        raise FormatError(
            "this is not an exported head, or it was changed: use the file that `head export` wrote",
            code="journal-head-invalid",
        )
    return head
