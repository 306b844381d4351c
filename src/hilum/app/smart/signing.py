"""hilum's own key: it signs the id_token that says who signed in (OpenID Connect Core 2, 3.1.3.7)."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from hilum.config import Secret
from hilum.errors import ConfigError

__all__ = ["ALGORITHM", "Signer", "signing_key"]

ALGORITHM = "RS256"


class Signer:
    """Signs, and shows the public half."""

    def __init__(self, key: RSAKey) -> None:
        key.ensure_kid()
        self._key = key

    def sign(self, claims: dict[str, Any]) -> str:
        """A compact JWT."""
        return jwt.encode({"alg": ALGORITHM, "kid": self._key.kid, "typ": "JWT"}, claims, self._key, [ALGORITHM])

    def read(self, text: str, issuer: str) -> dict[str, Any] | None:
        """The claims of a token that this key signed for this issuer, whether it has expired or not; else None."""
        try:
            claims = jwt.decode(text, self._key, [ALGORITHM]).claims
        except (JoseError, ValueError, TypeError):
            return None
        return claims if claims.get("iss") == issuer else None

    def public(self) -> dict[str, Any]:
        """The JWK Set for those who verify."""
        return {"keys": [{**self._key.as_dict(private=False), "use": "sig", "alg": ALGORITHM}]}


def signing_key(secret: Secret | None, path: Path) -> RSAKey:
    """The key that `secret` refers to; else the one in `path`, made there with mode 0600.

    Raises ConfigError `signing-key-invalid`, `signing-key-exposed`, and those of the secret.
    """
    if secret is not None:
        return _read(secret.resolve_bytes(), secret.reference)
    if not path.exists():
        _generate(path)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        text = f"others may read {path.name}: chmod 600 it, or take it away to have a new one made"
        raise ConfigError(text, code="signing-key-exposed")
    return _read(path.read_bytes(), path.name)


def _read(pem: bytes, name: str) -> RSAKey:
    try:
        key = RSAKey.import_key(pem)
    except (JoseError, ValueError, TypeError):
        key = None
    if key is None or not key.is_private or key.public_key.key_size < 2_048:
        text = f"{name} holds no private RSA key of 2048 bits or more in PEM"
        raise ConfigError(text, code="signing-key-invalid")
    return key


def _generate(path: Path) -> None:
    """Whole and on the disk, or not there at all; a key that is there is never replaced."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, RSAKey.generate_key(2_048).as_pem(private=True))
        os.fsync(handle)
    finally:
        os.close(handle)
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        pass  # another process made it first: its key counts
    finally:
        draft.unlink()
