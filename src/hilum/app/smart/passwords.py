"""Passwords: argon2id (RFC 9106), never more than two at work at once, and the same time for a name nobody has."""

from __future__ import annotations

import asyncio
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from hilum.errors import HilumError

__all__ = ["Passwords", "check_password", "hash_password"]

AT_ONCE = 2
WAITING = 32
LEAST = 12
MOST = 1_024

_HASHER = PasswordHasher()  # the second recommended option of RFC 9106: 64 MiB, 3 passes


def hash_password(password: str) -> str:
    """What is stored. Raises HilumError `password-weak`."""
    check_password(password)
    return _HASHER.hash(password)


def check_password(password: str) -> None:
    """Length is what counts (NIST SP 800-63B 5.1.1). Raises HilumError `password-weak`."""
    if not LEAST <= len(password) <= MOST or len(set(password)) < 5:
        raise HilumError(f"a password has at least {LEAST} letters, not all alike", code="password-weak")


class Passwords:
    """Verifies beside the event loop."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def verify(self, hashed: str, password: str) -> bool | None:
        """Whether it is this password; `hashed` "" is nobody's. None: too many wait already."""
        if self._waiting >= WAITING:
            return None
        self._waiting += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(_verify, hashed, password[: MOST + 1])
        finally:
            self._waiting -= 1


@cache
def _nobody() -> str:
    return _HASHER.hash("the password of nobody")


def _verify(hashed: str, password: str) -> bool:
    nobody = _nobody()  # made at the first of all, whoever that is
    try:
        proven = _HASHER.verify(hashed or nobody, password)
    except (VerificationError, InvalidHashError):
        return False
    return proven and bool(hashed)
