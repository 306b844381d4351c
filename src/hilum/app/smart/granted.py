"""What was granted, and the tokens that stand for it: values, and their rows in the store.

All functions work inside somebody's transaction (`ledger.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from hilum.app.smart.records import SECOND, Context, GrantRow, User, actor_of, digest
from hilum.app.smart.users import user_in
from hilum.app.tokens import microseconds
from hilum.safeguards import Scopes

if TYPE_CHECKING:
    import apsw

__all__ = [
    "GRANT",
    "Consent",
    "Facts",
    "Issued",
    "Session",
    "end_family",
    "facts_in",
    "forget",
    "keep",
    "launch_in",
    "new_grant",
    "rows_in",
]

KEPT_SECONDS = 86_400  # what has ended is kept for a day, so that a late second use is known for one

# Columns of a grant `g`, in the order of GrantRow.
GRANT = "g.id, g.app, g.user, g.scopes, g.patient, g.encounter, g.nonce, g.signed_in, g.created, g.expires, g.revoked"


class Session(Struct, frozen=True):
    """Somebody who signed in with this browser."""

    user: User
    created: int
    expires: int


class Consent(Struct, frozen=True):
    """What a person agreed to, for one app."""

    app: str
    session: Session
    scopes: Scopes
    context: Context
    redirect: str
    challenge: str
    nonce: str = ""
    launch: str = ""  # the launch token that it began with


class Issued(Struct, frozen=True):
    """Tokens just made. Their texts are shown once and kept nowhere."""

    access: str
    refresh: str
    scopes: str
    seconds: int
    grant: GrantRow
    user: User | None


class Facts(Struct, frozen=True):
    """What is known of a token. `used`: it was exchanged or revoked."""

    kind: str
    scopes: str
    created: int
    expires: int
    used: int
    grant: GrantRow
    user: User | None
    is_app_gone: bool

    def state(self, now: int) -> str:
        """`active`, `expired` or `revoked`."""
        if self.used or self.grant.revoked or self.is_app_gone:
            return "revoked"
        if self.grant.user and (self.user is None or self.user.locked):
            return "revoked"
        return "active" if now < min(self.expires, self.grant.expires) else "expired"

    @property
    def actor(self) -> str:
        """Who acts, for the audit."""
        return actor_of(self.grant.app, self.grant.user)


def rows_in(connection: apsw.Connection, sql: str, *values: Any) -> list[Any]:
    """All rows."""
    return connection.execute(sql, values).fetchall()


def facts_in(connection: apsw.Connection, text: str) -> Facts | None:
    """What is known of a token; None: it was never made, or is forgotten."""
    sql = (
        f"SELECT t.kind, t.scopes, t.created, t.expires, t.used, {GRANT}, a.removed FROM smart_token t "  # noqa: S608
        "JOIN smart_grant g ON g.id = t.grant_id JOIN smart_app a ON a.id = g.app WHERE t.hash = ?"
    )
    for kind, scopes, created, expires, used, *rest, removed in rows_in(connection, sql, digest(text)):
        grant = GrantRow(*rest)
        user = user_in(connection, grant.user) if grant.user else None
        return Facts(kind, scopes, created, expires, used, grant, user, bool(removed))
    return None


def launch_in(connection: apsw.Connection, text: str, app: str) -> Context | None:
    """What a launch token of this app stands for, while it lasts and is unused."""
    sql = "SELECT patient, encounter FROM smart_launch WHERE hash = ? AND app = ? AND used = 0 AND expires > ?"
    for patient, encounter in rows_in(connection, sql, digest(text), app, microseconds()):
        return Context(patient, encounter)
    return None


def new_grant(connection: apsw.Connection, row: tuple[Any, ...]) -> GrantRow:
    """Keep what a person or an app was granted: all of its columns but the number."""
    sql = (
        "INSERT INTO smart_grant (app, user, scopes, patient, encounter, nonce, signed_in, created, expires) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id"
    )
    ((id_,),) = rows_in(connection, sql, *row)
    return GrantRow(id_, *row)


def keep(
    connection: apsw.Connection, text: str, grant: GrantRow, kind: str, scopes: str, now: int, expires: int
) -> None:
    """Keep a token by its digest. Times in microseconds."""
    sql = "INSERT INTO smart_token (hash, grant_id, kind, scopes, created, expires) VALUES (?, ?, ?, ?, ?, ?)"
    connection.execute(sql, (digest(text), grant.id, kind, scopes, now, expires))


def end_family(connection: apsw.Connection, grant: GrantRow) -> None:
    """End all that came of one consent."""
    connection.execute("UPDATE smart_grant SET revoked = ? WHERE id = ? AND revoked = 0", (microseconds(), grant.id))


def forget(connection: apsw.Connection, now: int) -> None:
    """What ended a day ago."""
    before = (now - KEPT_SECONDS * SECOND,)
    connection.execute("DELETE FROM smart_token WHERE expires < ?", before)
    for table in ("code", "session", "launch", "grant"):
        connection.execute(f"DELETE FROM smart_{table} WHERE expires < ?", before)  # noqa: S608 - our own names
