"""What a person has allowed apps, and how they end it; and the end of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from hilum.app.smart.granted import Session
from hilum.app.smart.records import actor_of, digest
from hilum.app.tokens import microseconds
from hilum.model import AuditEvent
from hilum.safeguards import Scopes, parse_scopes, union

if TYPE_CHECKING:
    import apsw

    from hilum.journal import SqliteJournal
    from hilum.store import Store

__all__ = ["Consents", "Given"]


class Given(Struct, frozen=True):
    """All that a person allowed one app and that has not ended: since when, until when (microseconds)."""

    app: str
    title: str
    scopes: Scopes
    since: int
    until: int


class Consents:
    """Reads and ends; every end is one transaction with its audit row."""

    def __init__(self, store: Store, journal: SqliteJournal) -> None:
        self._store, self._journal = store, journal

    def of(self, user: str) -> list[Given]:
        """By app, in the order of their titles."""
        sql = (
            "SELECT a.id, a.title, g.scopes, g.created, g.expires FROM smart_grant g "
            "JOIN smart_app a ON a.id = g.app WHERE g.user = ? AND g.revoked = 0 AND g.expires > ? AND a.removed = 0 "
            "ORDER BY a.title, a.id, g.created"
        )
        found: list[Any] = self._store.read(
            lambda connection: connection.execute(sql, (user, microseconds())).fetchall()
        )
        given: dict[str, Given] = {}
        for id_, title, scopes, since, until in found:
            before = given.get(id_, Given(id_, title, Scopes(), since, until))
            given[id_] = Given(
                id_, title, union(before.scopes, parse_scopes(scopes)), before.since, max(before.until, until)
            )
        return list(given.values())

    async def end(self, user: str, app: str) -> None:
        """All that this person allowed this app, at the next request of any of its tokens."""
        now = microseconds()

        def job(connection: apsw.Connection) -> None:
            sql = "UPDATE smart_grant SET revoked = ? WHERE user = ? AND app = ? AND revoked = 0"
            connection.execute(sql, (now, user, app))
            self._journal.audit_in(connection, [AuditEvent(now, f"user/{user}", "consent-end", actor_of(app, user))])

        await self._store.write(job)

    async def sign_out(self, cookie: str, session: Session) -> None:
        """End a session, and what apps were allowed only while it lasts (`online_access`)."""
        now, user = microseconds(), session.user.name

        def job(connection: apsw.Connection) -> None:
            connection.execute("DELETE FROM smart_session WHERE hash = ?", (digest(cookie),))
            sql = "SELECT id, scopes FROM smart_grant WHERE user = ? AND signed_in = ? AND revoked = 0"
            for id_, scopes in connection.execute(sql, (user, session.created)).fetchall():
                words = str(scopes).split()
                if "online_access" in words and "offline_access" not in words:
                    connection.execute("UPDATE smart_grant SET revoked = ? WHERE id = ?", (now, id_))
            self._journal.audit_in(connection, [AuditEvent(now, f"user/{user}", "sign-out", session.user.record)])

        await self._store.write(job)
