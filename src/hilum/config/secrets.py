"""Secrets are references, never values: `env:NAME`, `file:PATH`, `keyring:SERVICE/NAME`, `vault:PATH#FIELD`.

A `Secret` knows only where its value is; the value is fetched by `resolve` when it is needed, and no representation,
error or finding ever shows it.
"""

from __future__ import annotations

import importlib
import os
import re
import stat
from pathlib import Path
from typing import Any, ClassVar

from hilum.config.vault import read_vault
from hilum.errors import ConfigError
from hilum.model import Finding, Severity

__all__ = ["REFERENCE_HINT", "REFERENCE_PATTERN", "Secret", "is_reference"]

_KINDS = {
    "env": r"env:[A-Za-z_][A-Za-z0-9_]*",
    "file": r"file:[^\s].*",
    "keyring": r"keyring:[^/\s]+/[^/\s]+",
    "vault": r"vault:[^#\s]+/[^#\s]+#[^#\s]+",
}
REFERENCE_PATTERN = "^(?:" + "|".join(_KINDS.values()) + ")$"
REFERENCE_HINT = "write env:NAME, file:PATH, keyring:SERVICE/NAME or vault:PATH#FIELD"
_REFERENCE = re.compile(REFERENCE_PATTERN)
_MAX_BYTES = 64 * 1024


def is_reference(text: str) -> bool:
    """Whether this says where a secret is, in one of the four ways."""
    return _REFERENCE.fullmatch(text) is not None


class Secret:
    """Where a secret is. Compares and shows by its reference."""

    __slots__ = ("_folder", "reference")

    json_schema: ClassVar[dict[str, Any]] = {
        "type": "string",
        "pattern": REFERENCE_PATTERN,
        "x-hilum-type": "secret",
        "examples": ["env:NAME", "file:secrets/name", "keyring:service/name", "vault:secret/hilum#field"],
    }

    def __init__(self, reference: str, folder: Path | None = None) -> None:
        """Raises ConfigError `secret-literal` when `reference` is not one; the text is not repeated."""
        if not is_reference(reference):
            raise ConfigError(
                "a secret must be a reference: env:NAME, file:PATH, keyring:SERVICE/NAME or vault:PATH#FIELD",
                code="secret-literal",
            )
        self.reference = reference
        self._folder = folder or Path()

    def __repr__(self) -> str:
        return f"Secret({self.reference!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (self.reference, self._folder) == (other.reference, other._folder)

    def __hash__(self) -> int:
        return hash((self.reference, self._folder))

    @property
    def kind(self) -> str:
        """`env`, `file`, `keyring` or `vault`."""
        return self.reference.partition(":")[0]

    @property
    def path(self) -> Path | None:
        """The file of a `file:` reference; a relative one starts at the integration folder."""
        kind, _, rest = self.reference.partition(":")
        return self._folder / Path(rest).expanduser() if kind == "file" else None

    def resolve(self) -> str:
        """The value, without the line end that editors leave. Raises ConfigError `secret-...`."""
        try:
            return self.resolve_bytes().decode("utf-8")
        except UnicodeDecodeError:
            raise ConfigError(f"what {self.reference} holds is not UTF-8 text", code="secret-unreadable") from None

    def resolve_bytes(self) -> bytes:
        """The value as bytes, without a line end after it. Raises ConfigError `secret-...`."""
        value = self._fetch().rstrip(b"\r\n")
        if not value:
            raise ConfigError(f"{self.reference} is empty", code="secret-empty")
        return value

    def probe(self) -> list[Finding]:
        """What would stop this secret from being used here and now."""
        try:
            self.resolve_bytes()
        except ConfigError as error:
            return [Finding(error.code, error.message)]
        path = self.path
        if path is not None and stat.S_IMODE(path.stat().st_mode) & 0o077:
            message = f"{self.reference} can be read by other users of this machine"
            return [Finding("secret-file-open", message, severity=Severity.WARNING, hint="chmod 600 it")]
        return []

    def _fetch(self) -> bytes:
        kind, _, rest = self.reference.partition(":")
        if kind == "env":
            return _from_environment(rest)
        if kind == "file":
            return _from_file(self.path or Path(rest), self.reference)
        if kind == "keyring":
            return _from_keyring(rest)
        return read_vault(rest)


def _from_environment(name: str) -> bytes:
    value = os.environ.get(name)
    if value is None:
        raise ConfigError(f"the environment variable {name} is not set", code="secret-missing")
    return value.encode("utf-8", "surrogateescape")


def _from_file(path: Path, reference: str) -> bytes:
    try:
        with path.open("rb") as file:
            value = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{reference} does not exist", code="secret-missing") from None
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        raise ConfigError(f"{reference}: {reason}", code="secret-unreadable") from None
    if len(value) > _MAX_BYTES:
        raise ConfigError(f"{reference} is larger than {_MAX_BYTES} bytes", code="secret-unreadable")
    return value


def _from_keyring(rest: str) -> bytes:
    service, _, name = rest.partition("/")
    try:
        keyring = importlib.import_module("keyring")
        errors = importlib.import_module("keyring.errors")
    except ImportError:
        message = "keyring: references need the extra: pip install 'hilum[keyring]'"
        raise ConfigError(message, code="secret-backend-missing") from None
    try:
        value = keyring.get_password(service, name)
    except errors.KeyringError as error:
        message = f"the keyring did not answer for {service}/{name}: {type(error).__name__}"
        raise ConfigError(message, code="secret-unreadable") from None
    if value is None:
        raise ConfigError(f"the keyring has no {service}/{name}", code="secret-missing")
    return str(value).encode()
