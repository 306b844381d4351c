"""The people who sign in: local accounts, or names that an OpenID Connect provider vouches for. None by default."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hilum.app.smart.passwords import Passwords
from hilum.app.smart.records import SECOND, User
from hilum.app.tokens import microseconds
from hilum.errors import HilumError, NotFound
from hilum.formats import fhir
from hilum.model import AuditEvent

if TYPE_CHECKING:
    import apsw

    from hilum.journal import SqliteJournal
    from hilum.store import Store

__all__ = ["FREE_TRIES", "Users", "new_user", "user_in"]

FREE_TRIES = 5  # wrong passwords in a row before a wait
FIRST_WAIT = 30  # seconds; doubled by each further one
LONGEST_WAIT = 3_600

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_COLUMNS = "name, hash, subject, record, created, locked, failures, waits"


class Users:
    """Accounts in the store; a change is one transaction with its audit row."""

    def __init__(self, store: Store, journal: SqliteJournal) -> None:
        self._store, self._journal = store, journal
        self._passwords = Passwords()

    def find(self, name: str) -> User | None:
        """One account."""
        return self._store.read(lambda connection: user_in(connection, name))

    def of_subject(self, subject: str) -> User | None:
        """The account that is linked to this `sub` of the provider."""
        sql = f"SELECT {_COLUMNS} FROM smart_user WHERE subject = ?"  # noqa: S608 - names of columns
        found = self._store.read(lambda connection: [_user(row) for row in connection.execute(sql, (subject,))])
        return found[0] if found else None

    def all(self) -> list[User]:
        """All accounts by name."""
        sql = f"SELECT {_COLUMNS} FROM smart_user ORDER BY name"  # noqa: S608 - names of columns
        return self._store.read(lambda connection: [_user(row) for row in connection.execute(sql)])

    def add(self, user: User, *, by: str) -> None:
        """Raises HilumError `user-exists`."""

        def job(connection: apsw.Connection) -> None:
            same = "SELECT 1 FROM smart_user WHERE name = ? OR subject = ?"
            if connection.execute(same, (user.name, user.subject)).fetchall():
                text = f"there is a user {user.name} already, or one with this subject"
                raise HilumError(text, code="user-exists", location=user.name)
            row = (user.name, user.hash, user.subject, user.record, user.created, 0, 0, 0)
            connection.execute(f"INSERT INTO smart_user ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?)", row)  # noqa: S608
            self._audit(connection, by, "user-add", user.name, user.record)

        self._store.write_now(job)

    def lock(self, name: str, *, locked: bool, by: str) -> User:
        """Lock: no sign-in, and every session and token of theirs ends now. Unlock also forgets wrong passwords."""

        def job(connection: apsw.Connection) -> User:
            now = microseconds()
            sql = "UPDATE smart_user SET locked = ?, failures = 0, waits = 0 WHERE name = ?"
            connection.execute(sql, (now if locked else 0, name))
            if locked:
                _end_all(connection, name, now)
            self._audit(connection, by, "user-lock" if locked else "user-unlock", name)
            return _known(connection, name)

        return self._store.write_now(job)

    def set_password(self, name: str, hashed: str, *, by: str) -> User:
        """A new password ends every session and token of the old one. Raises NotFound `user-not-found`."""

        def job(connection: apsw.Connection) -> User:
            sql = "UPDATE smart_user SET hash = ?, failures = 0, waits = 0 WHERE name = ?"
            connection.execute(sql, (hashed, name))
            _end_all(connection, name, microseconds())
            self._audit(connection, by, "user-password", name)
            return _known(connection, name)

        return self._store.write_now(job)

    async def sign_in(self, name: str, password: str) -> tuple[User | None, str]:
        """The person, or None and a code for the audit: `sign-in-failed`, `-locked`, `-waiting`, `-busy`.

        A try counts before its password is looked at, so that many at once do not get more tries than one by one.
        """
        user = self.find(name)
        code = await self._store.write(lambda connection: _may_try(connection, name))
        is_open = user is not None and not code
        proven = await self._passwords.verify(user.hash if is_open and user else "", password)
        if proven is None:
            return None, "sign-in-busy"
        if not proven or user is None or code:
            return None, code or "sign-in-failed"
        sql = "UPDATE smart_user SET failures = 0, waits = 0 WHERE name = ? AND hash = ? AND locked = 0"
        await self._store.write(lambda connection: connection.execute(sql, (name, user.hash)).fetchall())
        return user, ""

    def _audit(self, connection: apsw.Connection, by: str, action: str, name: str, detail: str = "") -> None:
        self._journal.audit_in(connection, [AuditEvent(microseconds(), by, action, name, detail=detail)])


def new_user(name: str, *, record: str, hashed: str = "", subject: str | None = None) -> User:
    """Raises HilumError `user-name-invalid`, `user-record-invalid`, `user-cannot-sign-in`."""
    if not _NAME.fullmatch(name):
        text = "a user's name has 1 to 64 letters, digits and . _ @ -; it stands in the audit"
        raise HilumError(text, code="user-name-invalid", location="NAME")
    type_, _, id_ = record.partition("/")
    if type_ not in ("Patient", "Practitioner") or not fhir.is_id(id_):
        text = "say who they are: --record Patient/ID or Practitioner/ID"
        raise HilumError(text, code="user-record-invalid", location="--record")
    if bool(hashed) == bool(subject):
        text = "they sign in by a password, or by the subject that the OpenID Connect provider gives them"
        raise HilumError(text, code="user-cannot-sign-in", location="--subject")
    return User(name, hashed, subject or None, record, microseconds())


def user_in(connection: apsw.Connection, name: str) -> User | None:
    """One account, seen from inside a transaction."""
    sql = f"SELECT {_COLUMNS} FROM smart_user WHERE name = ?"  # noqa: S608 - names of columns
    for row in connection.execute(sql, (name,)):
        return _user(row)
    return None


def _user(row: tuple[Any, ...]) -> User:
    return User(*row)


def _known(connection: apsw.Connection, name: str) -> User:
    user = user_in(connection, name)
    if user is None:
        raise NotFound(f"there is no user {name}; see `hilum user list`", code="user-not-found", location=name)
    return user


def _may_try(connection: apsw.Connection, name: str) -> str:
    """Count a try as failed; what keeps it from being one, or ""."""
    user, now = user_in(connection, name), microseconds()
    if user is None or not user.hash:
        return "sign-in-failed"
    if user.locked:
        return "sign-in-locked"
    if now < user.waits:
        return "sign-in-waiting"
    over = user.failures + 1 - FREE_TRIES
    seconds = 0 if over < 0 else min(FIRST_WAIT * 2 ** min(over, 20), LONGEST_WAIT)
    sql = "UPDATE smart_user SET failures = failures + 1, waits = ? WHERE name = ?"
    connection.execute(sql, (now + seconds * SECOND if seconds else 0, name))
    return ""


def _end_all(connection: apsw.Connection, name: str, now: int) -> None:
    connection.execute("DELETE FROM smart_session WHERE user = ?", (name,))
    connection.execute("UPDATE smart_grant SET revoked = ? WHERE user = ? AND revoked = 0", (now, name))
