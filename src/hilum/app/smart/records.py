"""What the authorization server keeps, as values. Times are microseconds since 1970; ids are without their type."""

from __future__ import annotations

import hashlib
import secrets
from enum import StrEnum
from importlib import resources

from msgspec import Struct

from hilum.safeguards import Person
from hilum.store import Schema

__all__ = ["SECOND", "SMART_SCHEMA", "App", "Context", "GrantRow", "Kind", "User", "actor_of", "digest", "fresh"]

SECOND = 1_000_000

SMART_SCHEMA = Schema(
    name="smart",
    version=3,
    script=resources.files("hilum.app.smart").joinpath("smart.sql").read_text("utf-8"),
)


class Kind(StrEnum):
    """How an app proves who it is."""

    PUBLIC = "public"  # not at all: a page or a mobile app, held by PKCE
    SECRET = "secret"  # noqa: S105 - by a secret
    KEYS = "keys"  # by signed assertions (private_key_jwt)


class App(Struct, frozen=True):
    """A registered app; `id` is its client_id."""

    id: str
    title: str
    kind: Kind
    secret: bytes
    jwks: str
    jwks_uri: str
    redirects: tuple[str, ...]
    origins: tuple[str, ...]
    scopes: str
    launch: str
    created: int
    removed: int = 0


class User(Struct, frozen=True):
    """Somebody who signs in. `record`: `Patient/x` or `Practitioner/x`; `subject`: who they are at the provider."""

    name: str
    hash: str
    subject: str | None
    record: str
    created: int
    locked: int = 0
    failures: int = 0
    waits: int = 0

    @property
    def person(self) -> Person:
        """What they are here."""
        return Person.PATIENT if self.record.startswith("Patient/") else Person.PRACTITIONER

    @property
    def own(self) -> str:
        """The id of the record that they are."""
        return self.record.partition("/")[2]


class Context(Struct, frozen=True):
    """What a launch is about."""

    patient: str = ""
    encounter: str = ""


class GrantRow(Struct, frozen=True):
    """What one consent gave, or one assertion of a program. All its tokens live and end with it."""

    id: int
    app: str
    user: str
    scopes: str
    patient: str
    encounter: str
    nonce: str
    signed_in: int
    created: int
    expires: int
    revoked: int = 0


def actor_of(app: str, user: str = "") -> str:
    """Who acts, for the audit: `app/portal/ana`. No token of an operator has such a name."""
    return f"app/{app}/{user}" if user else f"app/{app}"


def fresh(prefix: str) -> str:
    """A new code or token of 256 random bits. Its prefix is for people and for scanners of leaked secrets."""
    return f"{prefix}_{secrets.token_urlsafe(32)}"


def digest(text: str) -> bytes:
    """What is stored in place of a code, token or cookie."""
    return hashlib.sha256(text.encode()).digest()
