"""Sessions, launches, codes and tokens, each change one transaction with its audit row.

A family is all that came of one consent. It ends as a whole: when a code or a refresh token is used twice (somebody
else has it), when the app, the person or an operator ends it. Every request looks it up, so an end holds at once.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from hilum.app.smart.apps import app_in
from hilum.app.smart.assertions import Assertion
from hilum.app.smart.granted import (
    GRANT,
    Consent,
    Facts,
    Issued,
    Session,
    end_family,
    facts_in,
    forget,
    keep,
    launch_in,
    new_grant,
    rows_in,
)
from hilum.app.smart.problems import OAuthProblem
from hilum.app.smart.records import SECOND, App, Context, GrantRow, User, actor_of, digest, fresh
from hilum.app.smart.users import user_in
from hilum.app.tokens import Grant, Role, TokenRefused, microseconds
from hilum.model import AuditEvent
from hilum.safeguards import Interaction, Person, Rights, Scopes, narrow, parse_scopes, print_scopes

if TYPE_CHECKING:
    import apsw

    from hilum.journal import SqliteJournal
    from hilum.store import Store

T = TypeVar("T")

__all__ = ["ACCESS_PREFIX", "BACKEND_SECONDS", "CODE_SECONDS", "Ledger"]

ACCESS_PREFIX = "hilumt_"
CODE_SECONDS = 60
LAUNCH_SECONDS = 300
SESSION_SECONDS = 8 * 3_600
BACKEND_SECONDS = 300  # SMART "Backend Services": no longer than five minutes

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


class Ledger:
    """All of it in the store, for every process that opened it."""

    def __init__(
        self,
        store: Store,
        journal: SqliteJournal,
        *,
        access_seconds: int,
        refresh_seconds: int,
        panel: frozenset[str] | None = None,
    ) -> None:
        """`panel`: whom practitioners see until somebody looks which patients are in their care; None: all."""
        self._store, self._journal, self._panel = store, journal, panel
        self._access, self._refresh = access_seconds, refresh_seconds

    # sessions

    def session(self, cookie: str) -> Session | None:
        """Who signed in with this cookie, while the session lasts and the person is not locked."""

        def query(connection: apsw.Connection) -> Session | None:
            sql = "SELECT user, created, expires FROM smart_session WHERE hash = ? AND expires > ?"
            for name, created, expires in rows_in(connection, sql, digest(cookie), microseconds()):
                user = user_in(connection, name)
                return None if user is None or user.locked else Session(user, created, expires)
            return None

        return self._store.read(query)

    async def open_session(self, user: User) -> str:
        """A new cookie; a session is never taken over from before the sign-in."""
        cookie, now = fresh("hilums"), microseconds()

        def job(connection: apsw.Connection) -> None:
            sql = "INSERT INTO smart_session (hash, user, created, expires) VALUES (?, ?, ?, ?)"
            connection.execute(sql, (digest(cookie), user.name, now, now + SESSION_SECONDS * SECOND))
            self._audit(connection, f"user/{user.name}", "sign-in", user.record)

        await self._store.write(job)
        return cookie

    # launches

    async def new_launch(self, app: str, context: Context) -> str:
        """A launch token, for one start of one app within five minutes."""
        text = fresh("hiluml")

        def job(connection: apsw.Connection) -> None:
            sql = "INSERT INTO smart_launch (hash, app, patient, encounter, expires) VALUES (?, ?, ?, ?, ?)"
            expires = microseconds() + LAUNCH_SECONDS * SECOND
            connection.execute(sql, (digest(text), app, context.patient, context.encounter, expires))

        await self._store.write(job)
        return text

    def launch(self, text: str, app: str) -> Context | None:
        """What a launch token of this app is about, while it may be used."""
        return self._store.read(lambda connection: launch_in(connection, text, app))

    # codes and tokens

    async def grant_code(self, consent: Consent) -> str:
        """A code for a consent. Raises OAuthProblem `access_denied` where person, app or launch ended meanwhile."""
        code = fresh("hilumc")
        await self._run(lambda connection: self._consented(connection, consent, code))
        return code

    async def redeem(self, code: str, app: App, redirect: str, verifier: str) -> Issued:
        """Tokens for a code, once. Raises OAuthProblem `invalid_grant`; a second use ends the family."""

        def job(connection: apsw.Connection) -> Issued | OAuthProblem:
            sql = (
                f"SELECT c.redirect, c.challenge, c.expires, c.used, {GRANT} FROM smart_code c "  # noqa: S608
                "JOIN smart_grant g ON g.id = c.grant_id WHERE c.hash = ?"
            )
            for uri, challenge, expires, used, *rest in rows_in(connection, sql, digest(code)):
                grant = GrantRow(*rest)
                if grant.app != app.id:
                    break
                if used:
                    return self._reused(connection, grant, "code-reused")
                connection.execute("UPDATE smart_code SET used = ? WHERE hash = ?", (microseconds(), digest(code)))
                if uri != redirect or not _proves(verifier, challenge):
                    code_ = "verifier-wrong" if uri == redirect else "redirect-mismatch"
                    text = "redirect_uri or code_verifier is not the one that the code was asked for with; start again"
                    return OAuthProblem("invalid_grant", text, code=code_, actor=_actor(grant))
                if microseconds() >= expires:
                    text = f"a code lives for {CODE_SECONDS} seconds; start again"
                    return OAuthProblem("invalid_grant", text, code="code-expired", actor=_actor(grant))
                return self._issue(connection, grant, grant.scopes, "authorization_code")
            return OAuthProblem("invalid_grant", "there is no such code for this app; start again", code="code-unknown")

        return await self._run(job)

    async def refresh(self, token: str, app: App, asked: str) -> Issued:
        """New tokens for a refresh token, once. Raises OAuthProblem; a second use ends the family."""

        def job(connection: apsw.Connection) -> Issued | OAuthProblem:
            facts = facts_in(connection, token)
            if facts is None or facts.kind != "refresh" or facts.grant.app != app.id:
                text = "there is no such refresh token for this app; the person signs in again"
                return OAuthProblem("invalid_grant", text, code="token-unknown")
            if facts.used and not facts.grant.revoked:
                return self._reused(connection, facts.grant, "refresh-reused")
            state = facts.state(microseconds())
            if state != "active":
                text = f"this refresh token is {state}; the person signs in again"
                return OAuthProblem("invalid_grant", text, code=f"token-{state}", actor=facts.actor)
            scopes = facts.grant.scopes
            if asked:
                left = narrow(parse_scopes(asked), parse_scopes(scopes))
                if not left:
                    text = "none of these scopes was granted; ask for some of those that were"
                    return OAuthProblem("invalid_scope", text, code="scope-refused", actor=facts.actor)
                scopes = print_scopes(left)
            connection.execute("UPDATE smart_token SET used = ? WHERE hash = ?", (microseconds(), digest(token)))
            return self._issue(connection, facts.grant, scopes, "refresh_token")

        return await self._run(job)

    async def by_assertion(self, app: App, scopes: Scopes) -> Issued:
        """A token for a program that has proven who it is."""

        def job(connection: apsw.Connection) -> Issued | OAuthProblem:
            now = microseconds()
            found = app_in(connection, app.id)
            if found is None or found.removed:
                return OAuthProblem("invalid_client", "this app was removed", code="app-unknown", status=401)
            row = (app.id, "", print_scopes(scopes), "", "", "", 0, now, now + BACKEND_SECONDS * SECOND)
            grant = new_grant(connection, row)
            return self._issue(connection, grant, grant.scopes, "client_credentials")

        return await self._run(job)

    async def take_assertion(self, assertion: Assertion) -> None:
        """Remember an assertion until it has expired. Raises OAuthProblem `invalid_client` the second time."""

        def job(connection: apsw.Connection) -> OAuthProblem | None:
            connection.execute("DELETE FROM smart_jti WHERE expires < ?", (microseconds() // SECOND - 60,))
            row = (assertion.client, digest(assertion.jti), assertion.expires)
            sql = "INSERT INTO smart_jti (issuer, jti, expires) VALUES (?, ?, ?) ON CONFLICT DO NOTHING RETURNING 1"
            if connection.execute(sql, row).fetchall():
                return None
            text = "this assertion was used before: sign a new one, with a new jti, for every request"
            return OAuthProblem("invalid_client", text, code="assertion-replayed", status=401)

        await self._run(job)

    def authenticate(self, text: str) -> Grant:
        """Who an access token stands for. Raises TokenRefused `token-unknown`, `-revoked`, `-expired`."""
        facts = self._store.read(lambda connection: facts_in(connection, text))
        if facts is None or facts.kind != "access":
            raise TokenRefused("no such token; the app asks for a new one", code="token-unknown")
        state = facts.state(microseconds())
        if state == "revoked":
            raise TokenRefused(
                "this token was revoked; the app asks for a new one", code="token-revoked", actor=facts.actor
            )
        if state == "expired":
            raise TokenRefused("this token has expired; refresh it", code="token-expired", actor=facts.actor)
        return Grant(facts.actor, _role(facts.scopes), facts.expires, self._rights(facts))

    def _rights(self, facts: Facts) -> Rights:
        found, patient = _resources(facts.scopes).resources, facts.grant.patient
        if facts.user is None:
            return Rights(found, patient, Person.NOBODY)
        panel = self._panel if facts.user.person is Person.PRACTITIONER else None
        return Rights(found, patient, facts.user.person, facts.user.own, panel)

    def look(self, text: str) -> Facts | None:
        """What is known of a token."""
        return self._store.read(lambda connection: facts_in(connection, text))

    async def revoke(self, text: str, app: App) -> None:
        """End a token of this app; with a refresh token its family. One that is not there has ended (RFC 7009)."""

        def job(connection: apsw.Connection) -> None:
            facts, now = facts_in(connection, text), microseconds()
            if facts is None or facts.grant.app != app.id:
                return
            connection.execute("UPDATE smart_token SET used = ? WHERE hash = ? AND used = 0", (now, digest(text)))
            if facts.kind == "refresh":
                end_family(connection, facts.grant)
            self._audit(connection, facts.actor, "token-revoke", f"grant/{facts.grant.id}", detail=facts.kind)

        await self._store.write(job)

    # inside a transaction

    async def _run(self, job: Callable[[apsw.Connection], T | OAuthProblem]) -> T:
        """Run a job that returns its refusal, so that what it wrote stays; then raise it."""
        result = await self._store.write(job)
        if isinstance(result, OAuthProblem):
            raise result
        return result

    def _consented(self, connection: apsw.Connection, consent: Consent, code: str) -> OAuthProblem | None:
        now = microseconds()
        app, user = app_in(connection, consent.app), user_in(connection, consent.session.user.name)
        if app is None or app.removed or user is None or user.locked or now >= consent.session.expires:
            return OAuthProblem("access_denied", "the app or the account was ended; sign in again", code="consent-late")
        context = consent.context
        if consent.launch:
            if launch_in(connection, consent.launch, consent.app) != context:
                text = "this launch was used or is too old; open the app again from where it was opened"
                return OAuthProblem("access_denied", text, code="launch-unknown")
            connection.execute("UPDATE smart_launch SET used = ? WHERE hash = ?", (now, digest(consent.launch)))
        scopes = print_scopes(consent.scopes)
        row = (app.id, user.name, scopes, context.patient, context.encounter, consent.nonce, consent.session.created)
        grant = new_grant(connection, (*row, now, self._end(consent, now)))
        sql = "INSERT INTO smart_code (hash, grant_id, redirect, challenge, expires) VALUES (?, ?, ?, ?, ?)"
        expires = now + CODE_SECONDS * SECOND
        connection.execute(sql, (digest(code), grant.id, consent.redirect, consent.challenge, expires))
        self._audit(connection, _actor(grant), "consent", _target(grant), detail=f"grant={grant.id} {scopes}")
        return None

    def _end(self, consent: Consent, now: int) -> int:
        """When all that comes of a consent ends."""
        if "offline_access" in consent.scopes.plain:
            return now + self._refresh * SECOND
        if "online_access" in consent.scopes.plain:
            return max(consent.session.expires, now + CODE_SECONDS * SECOND)
        return now + (self._access + CODE_SECONDS) * SECOND

    def _issue(self, connection: apsw.Connection, grant: GrantRow, scopes: str, how: str) -> Issued | OAuthProblem:
        now = microseconds()
        user = user_in(connection, grant.user) if grant.user else None
        app = app_in(connection, grant.app)
        ended = grant.revoked or now >= grant.expires or app is None or app.removed
        if ended or (grant.user and (user is None or user.locked)):
            return OAuthProblem(
                "invalid_grant", "this was ended; start again", code="token-revoked", actor=_actor(grant)
            )
        forget(connection, now)
        expires = min(now + self._access * SECOND, grant.expires)
        access = fresh(ACCESS_PREFIX[:-1])
        refresh = fresh("hilumr") if {"offline_access", "online_access"} & set(grant.scopes.split()) else ""
        keep(connection, access, grant, "access", scopes, now, expires)
        if refresh:
            keep(connection, refresh, grant, "refresh", grant.scopes, now, grant.expires)
        self._audit(connection, _actor(grant), "token-issue", _target(grant), detail=f"grant={grant.id} {how}")
        return Issued(access, refresh, scopes, (expires - now) // SECOND, grant, user)

    def _reused(self, connection: apsw.Connection, grant: GrantRow, code: str) -> OAuthProblem:
        """RFC 6749 4.1.2, 10.4; RFC 9700 4.14: two have it, so nobody keeps it."""
        end_family(connection, grant)
        self._audit(connection, _actor(grant), "grant-revoke", f"grant/{grant.id}", outcome=code)
        text = "it was used before, so all tokens that came of it were ended; the person signs in again"
        return OAuthProblem("invalid_grant", text, code=code, actor=_actor(grant))

    def _audit(
        self, connection: apsw.Connection, actor: str, action: str, target: str, outcome: str = "ok", detail: str = ""
    ) -> None:
        self._journal.audit_in(connection, [AuditEvent(microseconds(), actor, action, target, outcome, detail)])


def _proves(verifier: str, challenge: str) -> bool:
    """RFC 7636 4.6, S256."""
    if not _VERIFIER.fullmatch(verifier):
        return False
    made = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    return hmac.compare_digest(made, challenge)


def _actor(grant: GrantRow) -> str:
    return actor_of(grant.app, grant.user)


def _target(grant: GrantRow) -> str:
    return f"Patient/{grant.patient}" if grant.patient else ""


@lru_cache(maxsize=1_024)
def _resources(scopes: str) -> Scopes:
    return parse_scopes(scopes)


def _role(scopes: str) -> Role:
    changes = {Interaction.CREATE.value, Interaction.UPDATE.value, Interaction.DELETE.value}
    return Role.WRITER if any(changes & set(one.verbs) for one in _resources(scopes).resources) else Role.READER
