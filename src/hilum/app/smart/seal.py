"""What travels through a person's browser between two pages: sealed, for this browser, for ten minutes.

The seal is the CSRF token too: a form that another site made has no seal of this browser's cookie. Nothing is stored
for somebody who has not signed in, so that a flood of visitors leaves no rows.
"""

from __future__ import annotations

import base64
import os

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hilum.app.smart.asking import Ask
from hilum.app.smart.problems import OAuthProblem
from hilum.app.smart.records import SECOND, digest
from hilum.app.tokens import microseconds

__all__ = ["Seal"]

SEALED_SECONDS = 600
_NONCE = 12


class _Sealed(msgspec.Struct, frozen=True, array_like=True):
    ask: Ask
    expires: int
    step: str
    extra: str = ""


class Seal:
    """Seals and opens. `step` is the page that the seal is for."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def close(self, ask: Ask, cookie: str, step: str, extra: str = "") -> str:
        """The text for a hidden field."""
        nonce = os.urandom(_NONCE)
        plain = msgspec.msgpack.encode(_Sealed(ask, microseconds() + SEALED_SECONDS * SECOND, step, extra))
        sealed = self._cipher.encrypt(nonce, plain, digest(cookie))
        return base64.urlsafe_b64encode(nonce + sealed).decode().rstrip("=")

    def open(self, text: str, cookie: str, step: str) -> tuple[Ask, str]:
        """What was sealed. Raises OAuthProblem `invalid_request` for another browser, another page, or too late."""
        try:
            raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            plain = self._cipher.decrypt(raw[:_NONCE], raw[_NONCE:], digest(cookie))
            sealed = msgspec.msgpack.decode(plain, type=_Sealed)
        except (ValueError, InvalidTag, msgspec.DecodeError):
            sealed = None
        if not cookie or sealed is None or sealed.step != step or microseconds() >= sealed.expires:
            text = "this page is too old, or it was opened in another browser; go back to the app and start again"
            raise OAuthProblem("invalid_request", text, code="page-stale")
        return sealed.ask, sealed.extra
