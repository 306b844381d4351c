"""The apps that are registered: by `hilum app add`, or by themselves where the folder allows it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from hilum.app.smart.assertions import check_keys
from hilum.app.smart.records import App, Kind, digest, fresh
from hilum.app.tokens import microseconds
from hilum.config import is_loopback
from hilum.errors import HilumError, NotFound
from hilum.formats import fhir
from hilum.model import AuditEvent
from hilum.safeguards import parse_scopes, print_scopes

if TYPE_CHECKING:
    import apsw

    from hilum.journal import SqliteJournal
    from hilum.store import Store

__all__ = ["Apps", "new_app", "origin_of"]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+")  # RFC 8252 7.1: a private-use scheme is a reversed domain
_COLUMNS = "id, title, kind, secret, jwks, jwks_uri, redirects, origins, scopes, launch, created, removed"


class Apps:
    """Apps in the store; a change is one transaction with its audit row."""

    def __init__(self, store: Store, journal: SqliteJournal) -> None:
        self._store, self._journal = store, journal

    def find(self, id_: str) -> App | None:
        """The app of this client_id, if it is registered and was not removed."""
        app = self._store.read(lambda connection: app_in(connection, id_))
        return None if app is None or app.removed else app

    def all(self) -> list[App]:
        """All apps, oldest first, removed ones too."""
        sql = f"SELECT {_COLUMNS} FROM smart_app ORDER BY created, id"  # noqa: S608 - names of columns
        return self._store.read(lambda connection: [_app(found) for found in connection.execute(sql)])

    def add(self, app: App, *, by: str, registration: tuple[bytes, str] | None = None) -> None:
        """Register. `registration`: of an app that did so itself the hash of its token, and its metadata as JSON.

        Raises HilumError `app-exists`.
        """

        def job(connection: apsw.Connection) -> None:
            if app_in(connection, app.id) is not None:
                text = f"there is or was an app {app.id}; ids are not used twice, so that the audit stays clear"
                raise HilumError(text, code="app-exists", location=app.id)
            _put(connection, app)
            if registration is not None:
                connection.execute("INSERT INTO smart_registration VALUES (?, ?, ?)", (app.id, *registration))
            self._journal.audit_in(
                connection, [AuditEvent(app.created, by, "app-add", app.id, detail=f"kind={app.kind}")]
            )

        self._store.write_now(job)

    def registration(self, id_: str) -> tuple[App, bytes, str] | None:
        """An app that registered itself, the hash of its registration token, and its metadata as JSON."""

        def query(connection: apsw.Connection) -> tuple[App, bytes, str] | None:
            app = app_in(connection, id_)
            sql = "SELECT token, metadata FROM smart_registration WHERE app = ?"
            found: list[Any] = connection.execute(sql, (id_,)).fetchall()
            if not found or app is None or app.removed:
                return None
            token, metadata = found[0]
            return app, token, metadata

        return self._store.read(query)

    def change(self, app: App, metadata: str) -> None:
        """What an app says of itself anew; all tokens that it has end."""

        def job(connection: apsw.Connection) -> None:
            now = microseconds()
            _put(connection, app)
            connection.execute("UPDATE smart_registration SET metadata = ? WHERE app = ?", (metadata, app.id))
            connection.execute("UPDATE smart_grant SET revoked = ? WHERE app = ? AND revoked = 0", (now, app.id))
            detail = f"kind={app.kind}"
            self._journal.audit_in(connection, [AuditEvent(now, f"app/{app.id}", "app-change", app.id, detail=detail)])

        self._store.write_now(job)

    def remove(self, id_: str, *, by: str) -> App:
        """End an app and every token it has, now. Twice changes nothing. Raises NotFound `app-not-found`."""

        def job(connection: apsw.Connection) -> App:
            now = microseconds()
            connection.execute("UPDATE smart_app SET removed = ? WHERE id = ? AND removed = 0", (now, id_))
            connection.execute("UPDATE smart_grant SET revoked = ? WHERE app = ? AND revoked = 0", (now, id_))
            app = app_in(connection, id_)
            if app is None:
                text = f"there is no app {id_}; see `hilum app list`"
                raise NotFound(text, code="app-not-found", location=id_)
            self._journal.audit_in(connection, [AuditEvent(now, by, "app-remove", id_)])
            return app

        return self._store.write_now(job)

    def has_origin(self, origin: str) -> bool:
        """Whether pages of this origin belong to an app."""
        sql = "SELECT 1 FROM smart_app, json_each(origins) WHERE removed = 0 AND value = ? LIMIT 1"
        return self._store.read(lambda connection: bool(connection.execute(sql, (origin,)).fetchall()))


def new_app(
    id_: str,
    *,
    title: str = "",
    kind: Kind,
    redirects: tuple[str, ...] = (),
    scopes: str,
    jwks: str = "",
    jwks_uri: str = "",
    launch: str = "",
) -> tuple[App, str]:
    """An app as it will be registered, and its secret, which is shown once ("" when it has none).

    Raises HilumError `app-name-invalid`, `app-redirect-invalid`, `app-scopes-invalid`, `app-keys-invalid`.
    """
    if not _ID.fullmatch(id_):
        text = "an app's id has 1 to 64 letters, digits, dots, dashes and underscores"
        raise HilumError(text, code="app-name-invalid", location="NAME")
    if not (title or id_).isprintable() or len(title) > 100:
        raise HilumError("a title is up to 100 printable letters", code="app-name-invalid", location="--title")
    for one in redirects:
        _check_redirect(one, "--redirect")
    if launch:
        _check_redirect(launch, "--launch")
    allowed = _scopes(scopes, has_people=bool(redirects))
    if (kind is Kind.KEYS) != bool(jwks or jwks_uri) or (jwks and jwks_uri):
        raise HilumError("an app with keys gives --jwks or --jwks-uri", code="app-keys-invalid", location="--jwks")
    if jwks:
        check_keys(jwks)
    if jwks_uri and not jwks_uri.startswith("https://"):
        raise HilumError("keys are fetched by https only", code="app-keys-invalid", location="--jwks-uri")
    secret = fresh("hilumx") if kind is Kind.SECRET else ""
    origins = tuple(dict.fromkeys(origin for one in redirects if (origin := origin_of(one))))
    hashed = digest(secret) if secret else b""
    app = App(id_, title or id_, kind, hashed, jwks, jwks_uri, redirects, origins, allowed, launch, microseconds())
    return app, secret


def origin_of(url: str) -> str:
    """`https://app.example:8443` of a URL; "" for what has no web origin."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return ""
    return f"{parts.scheme}://{parts.netloc}".lower()


def _put(connection: apsw.Connection, app: App) -> None:
    row = (
        *(app.id, app.title, app.kind.value, app.secret or None, app.jwks, app.jwks_uri),
        *(json.dumps(app.redirects), json.dumps(app.origins), app.scopes, app.launch, app.created, 0),
    )
    connection.execute(f"INSERT OR REPLACE INTO smart_app ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", row)  # noqa: S608


def app_in(connection: apsw.Connection, id_: str) -> App | None:
    """One app, removed or not."""
    sql = f"SELECT {_COLUMNS} FROM smart_app WHERE id = ?"  # noqa: S608 - names of columns
    for found in connection.execute(sql, (id_,)):
        return _app(found)
    return None


def _app(row: tuple[Any, ...]) -> App:
    id_, title, kind, secret, jwks, jwks_uri, redirects, origins, *rest = row
    return App(id_, title, Kind(kind), secret or b"", jwks, jwks_uri, _texts(redirects), _texts(origins), *rest)


def _texts(raw: str) -> tuple[str, ...]:
    return msgspec.json.decode(raw, type=tuple[str, ...])


def _check_redirect(url: str, option: str) -> None:
    """https; http on this machine only; or a scheme of the app's own (RFC 8252 7)."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    own = bool(_SCHEME.fullmatch(parts.scheme))
    web = bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))
    clean = url.isascii() and url.isprintable() and not re.search(r"[\s*\\<>\"']", url)
    if not (own or web) or not clean or parts.fragment or "#" in url or parts.username is not None:
        raise HilumError(
            "give a whole address without * and #: https://..., http://127.0.0.1..., or com.example.app:/callback",
            code="app-redirect-invalid",
            location=option,
        )


def _scopes(text: str, *, has_people: bool) -> str:
    scopes = parse_scopes(text)
    why = ""
    if scopes.unknown:
        why = f"`{scopes.unknown[0]}` is no scope: write patient/Observation.rs, launch/patient, offline_access"
    elif not scopes.resources:
        why = "an app needs at least one scope such as patient/*.rs or system/Patient.rs"
    elif not has_people and {level.value for level in scopes.levels()} != {"system"}:
        why = "an app without --redirect is for nobody, so all its scopes are system/ ones"
    elif bad := [one.type for one in scopes.resources if one.type != "*" and not fhir.is_resource_type(one.type)]:
        why = f"R4 has no type {bad[0]}"
    if why:
        raise HilumError(why, code="app-scopes-invalid", location="--scopes")
    return print_scopes(scopes)
