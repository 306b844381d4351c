"""Bearer tokens: made once, shown once, kept as a hash.

A token is `hilum_<id>_<secret>`: a public id of 50 bits that finds the row, and a secret of 256 bits, of which only the
SHA-256 is stored. The row is read from the store for every request, so a revocation by another process holds from its
commit on. Times are microseconds since 1970.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Mapping
from enum import StrEnum
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from msgspec import Struct

from hilum.errors import HilumError, NotFound
from hilum.model import AuditEvent
from hilum.safeguards import Rights
from hilum.store import Schema

if TYPE_CHECKING:
    import apsw

    from hilum.journal import SqliteJournal
    from hilum.store import Store

__all__ = [
    "TOKENS_SCHEMA",
    "Grant",
    "MemoryTokens",
    "NewToken",
    "Permission",
    "Role",
    "SqliteTokens",
    "TokenRefused",
    "TokenRow",
    "Tokens",
    "lifetime",
]

TOKENS_SCHEMA = Schema(
    name="tokens",
    version=1,
    script=resources.files("hilum.app").joinpath("tokens.sql").read_text("utf-8"),
)

MICROSECONDS = 1_000_000
LONGEST_DAYS = 366
MOST_PROVEN = 4_096
UNITS = {"h": 3_600, "d": 86_400, "w": 7 * 86_400}

_TOKEN = re.compile(r"hilum_([a-z2-7]{10})_([A-Za-z0-9_-]{43})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LIFETIME = re.compile(r"([1-9][0-9]{0,4})([hdw])")


class Permission(StrEnum):
    """What a request needs."""

    READ = "read"  # FHIR read, history and search
    WRITE = "write"  # FHIR create, update, patch, delete, transaction
    METRICS = "metrics"  # control totals, details of health
    MESSAGES = "messages"  # raw messages and exceptions
    ADMIN = "admin"  # tokens and settings


class Role(StrEnum):
    """What a token is made for."""

    READER = "reader"  # an app that reads resources
    WRITER = "writer"  # an app that reads and writes resources
    OPERATOR = "operator"  # a person or monitor that also watches the engine
    ADMIN = "admin"  # everything


PERMISSIONS: Mapping[Role, frozenset[Permission]] = MappingProxyType(
    {
        Role.READER: frozenset({Permission.READ}),
        Role.WRITER: frozenset({Permission.READ, Permission.WRITE}),
        Role.OPERATOR: frozenset({Permission.READ, Permission.METRICS, Permission.MESSAGES}),
        Role.ADMIN: frozenset(Permission),
    }
)


class TokenRefused(HilumError):
    """The token does not open this door; `actor` is its name once the secret was proven, else ""."""

    default_code = "token-unknown"

    def __init__(self, message: str, *, code: str, actor: str = "") -> None:
        super().__init__(message, code=code)
        self.actor = actor


class Grant(Struct, frozen=True):
    """Who asks, and what they may do. `rights`: those of an app that has scopes; None: all that the role may see."""

    actor: str
    role: Role
    expires: int
    rights: Rights | None = None

    @property
    def permissions(self) -> frozenset[Permission]:
        """All that the role may do."""
        return PERMISSIONS[self.role]

    def allows(self, permission: Permission) -> bool:
        """Whether the role holds this permission."""
        return permission in PERMISSIONS[self.role]


class TokenRow(Struct, frozen=True):
    """One token as the store knows it: everything but the secret."""

    id: str
    name: str
    hash: bytes
    role: Role
    created: int
    expires: int
    revoked: int = 0

    def state(self, now: int) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked:
            return "revoked"
        return "active" if now < self.expires else "expired"


class NewToken(Struct, frozen=True):
    """A token just made. `text` is shown once and kept nowhere."""

    text: str
    row: TokenRow


@runtime_checkable
class Tokens(Protocol):
    """Where tokens are kept. All verbs answer at once; none is called while a connection waits but `authenticate`."""

    def create(self, name: str, role: Role, seconds: int, *, by: str) -> NewToken:
        """Make a token that lives for `seconds`; `by` is who asked. Raises `token-name-invalid`, `token-exists`."""
        ...

    def authenticate(self, text: str) -> Grant:
        """Who this token is. Raises TokenRefused: `token-malformed`, `-unknown`, `-revoked`, `-expired`."""
        ...

    def rows(self) -> list[TokenRow]:
        """All tokens, oldest first, revoked and expired ones too."""
        ...

    def revoke(self, name: str, *, by: str) -> TokenRow:
        """End a token now. Revoking twice changes nothing. Raises NotFound `token-not-found`."""
        ...

    def paging_key(self) -> bytes:
        """The 32-byte key that seals paging links; the same for every process of this store."""
        ...


def lifetime(text: str) -> int:
    """`90d`, `12h`, `2w` -> seconds. Raises HilumError `token-lifetime-invalid`; the longest life is 366 days."""
    match = _LIFETIME.fullmatch(text)
    seconds = int(match[1]) * UNITS[match[2]] if match else 0
    if not 0 < seconds <= LONGEST_DAYS * UNITS["d"]:
        raise HilumError(
            f"the lifetime of a token is written 12h, 90d or 4w and is at most {LONGEST_DAYS}d",
            code="token-lifetime-invalid",
            location="--expires",
        )
    return seconds


def check_name(name: str) -> None:
    """Names stand in audit rows and logs: ASCII letters, digits, dot, dash, underscore; at most 64."""
    if not _NAME.fullmatch(name):
        raise HilumError(
            "a token's name has 1 to 64 letters, digits, dots, dashes and underscores; "
            "name the program that will use it, never a patient",
            code="token-name-invalid",
            location="NAME",
        )


def make(name: str, role: Role, seconds: int, now: int) -> NewToken:
    """A fresh token: the text to show, and the row to keep."""
    check_name(name)
    public = base64.b32encode(secrets.token_bytes(7)).decode()[:10].lower()
    secret = secrets.token_urlsafe(32)
    row = TokenRow(public, name, _hash(secret), role, now, now + seconds * MICROSECONDS)
    return NewToken(f"hilum_{public}_{secret}", row)


def split(text: str) -> tuple[str, str]:
    """The public id and the secret of a token. Raises TokenRefused `token-malformed`."""
    match = _TOKEN.fullmatch(text)
    if match is None:
        raise TokenRefused("this is not a token that `hilum token create` printed", code="token-malformed")
    return match[1], match[2]


def judge(row: TokenRow | None, secret: str, now: int) -> Grant:
    """The grant of a row, if the secret is its own. An unknown id costs the same comparison as a wrong secret."""
    proven = hmac.compare_digest(_hash(secret), row.hash if row else _NO_HASH)
    if row is None or not proven:
        raise TokenRefused("no such token; ask for one with `hilum token create`", code="token-unknown")
    if row.revoked:
        raise TokenRefused("this token was revoked; ask for a new one", code="token-revoked", actor=row.name)
    if now >= row.expires:
        raise TokenRefused("this token has expired; ask for a new one", code="token-expired", actor=row.name)
    return Grant(row.name, row.role, row.expires)


def microseconds() -> int:
    """Now."""
    return time.time_ns() // 1_000


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


_NO_HASH = bytes(32)


class MemoryTokens:
    """Tokens that end with the process."""

    def __init__(self) -> None:
        self._rows: dict[str, TokenRow] = {}
        self._key = secrets.token_bytes(32)

    def create(self, name: str, role: Role, seconds: int, *, by: str) -> NewToken:
        del by  # nothing of it outlives the process, its audit neither
        new = make(name, role, seconds, microseconds())
        if any(row.name == name for row in self._rows.values()):
            raise _exists(name)
        self._rows[new.row.id] = new.row
        return new

    def authenticate(self, text: str) -> Grant:
        public, secret = split(text)
        return judge(self._rows.get(public), secret, microseconds())

    def rows(self) -> list[TokenRow]:
        return sorted(self._rows.values(), key=lambda row: (row.created, row.id))

    def revoke(self, name: str, *, by: str) -> TokenRow:
        del by
        for row in self._rows.values():
            if row.name == name:
                ended = row if row.revoked else _ended(row)
                self._rows[row.id] = ended
                return ended
        raise _not_found(name)

    def paging_key(self) -> bytes:
        return self._key


class _Proven(Struct, frozen=True):
    """A token whose secret was proven: it stays so while its row is the same."""

    public: str
    row: tuple[Any, ...]
    grant: Grant


class SqliteTokens:
    """Tokens in the store, for every process that opened it. A change is one transaction with its audit row."""

    def __init__(self, store: Store, journal: SqliteJournal) -> None:
        self._store = store
        self._journal = journal
        self._proven: dict[bytes, _Proven] = {}  # by the hash of the token

    def create(self, name: str, role: Role, seconds: int, *, by: str) -> NewToken:
        new = make(name, role, seconds, microseconds())

        def job(connection: apsw.Connection) -> NewToken:
            _insert(connection, new.row)
            detail = f"role={role} seconds={seconds}"
            self._journal.audit_in(connection, [AuditEvent(new.row.created, by, "token-create", name, detail=detail)])
            return new

        return self._store.write_now(job)

    def authenticate(self, text: str) -> Grant:
        key = hashlib.sha256(text.encode()).digest()
        proven = self._proven.get(key)
        if proven is not None and self._store.row(_BY_ID, (proven.public,)) == proven.row:
            if microseconds() < proven.grant.expires:
                return proven.grant
            del self._proven[key]
        public, secret = split(text)
        row = self._store.row(_BY_ID, (public,))
        grant = judge(_row(*row) if row is not None else None, secret, microseconds())
        if len(self._proven) >= MOST_PROVEN:
            self._proven.clear()
        assert row is not None
        self._proven[key] = _Proven(public, row, grant)
        return grant

    def rows(self) -> list[TokenRow]:
        return self._store.read(
            lambda connection: [_row(*found) for found in connection.execute(f"{_SELECT} ORDER BY created, id")]
        )

    def revoke(self, name: str, *, by: str) -> TokenRow:
        def job(connection: apsw.Connection) -> TokenRow:
            row = _revoke(connection, name)
            self._journal.audit_in(connection, [AuditEvent(microseconds(), by, "token-revoke", name)])
            return row

        return self._store.write_now(job)

    def paging_key(self) -> bytes:
        return self._store.derive("paging")


_SELECT = "SELECT id, name, hash, role, created, expires, revoked FROM token"
_BY_ID = f"{_SELECT} WHERE id = ?"
_BY_NAME = f"{_SELECT} WHERE name = ?"


def _row(id_: str, name: str, hash_: bytes, role: str, created: int, expires: int, revoked: int) -> TokenRow:
    return TokenRow(id_, name, hash_, Role(role), created, expires, revoked)


def _insert(connection: apsw.Connection, row: TokenRow) -> None:
    if connection.execute(_BY_NAME, (row.name,)).fetchall():
        raise _exists(row.name)
    connection.execute(
        "INSERT INTO token (id, name, hash, role, created, expires) VALUES (?, ?, ?, ?, ?, ?)",
        (row.id, row.name, row.hash, row.role.value, row.created, row.expires),
    )


def _revoke(connection: apsw.Connection, name: str) -> TokenRow:
    connection.execute("UPDATE token SET revoked = ? WHERE name = ? AND revoked = 0", (microseconds(), name))
    for found in connection.execute(_BY_NAME, (name,)):
        return _row(*found)
    raise _not_found(name)


def _ended(row: TokenRow) -> TokenRow:
    return TokenRow(row.id, row.name, row.hash, row.role, row.created, row.expires, microseconds())


def _exists(name: str) -> HilumError:
    return HilumError(
        f"there is or was a token named {name}; names are not used twice, so that the audit stays clear",
        code="token-exists",
        location=name,
    )


def _not_found(name: str) -> NotFound:
    return NotFound(f"there is no token named {name}; see `hilum token list`", code="token-not-found", location=name)
