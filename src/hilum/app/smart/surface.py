"""The authorization server as the API takes it in: its routes, its tokens beside those of operators, its origins."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from starlette.routing import Route

from hilum.app.api import Auditor, Call, Endpoint, Handler, Reply
from hilum.app.api.negotiation import JSON
from hilum.app.smart.account import Account
from hilum.app.smart.apps import Apps
from hilum.app.smart.caring import Caring
from hilum.app.smart.choosing import Choosing
from hilum.app.smart.clients import Clients
from hilum.app.smart.consents import Consents
from hilum.app.smart.discovery import Addresses, openid_configuration, security, smart_configuration
from hilum.app.smart.front import Front
from hilum.app.smart.glass import ACTION, PATH, Glass
from hilum.app.smart.keys import RemoteKeys, guarded
from hilum.app.smart.leaving import Leaving
from hilum.app.smart.ledger import ACCESS_PREFIX, Ledger
from hilum.app.smart.managing import Registrations
from hilum.app.smart.provider import Provider
from hilum.app.smart.seal import Seal
from hilum.app.smart.service import Service
from hilum.app.smart.signing import Signer, signing_key
from hilum.app.smart.users import Users
from hilum.app.smart.window import Window
from hilum.app.tokens import Grant, NewToken, Role, TokenRow, Tokens
from hilum.config import InCare, Smart

if TYPE_CHECKING:
    from hilum.journal import SqliteJournal
    from hilum.repository import Repository
    from hilum.store import Store

__all__ = ["AllTokens", "Authorization", "ledger_of"]

MINUTE, DAY = 60, 86_400
_PUBLIC = {"Cache-Control": "public, max-age=300"}


def ledger_of(store: Store, journal: SqliteJournal, settings: Smart, *, panel: frozenset[str] | None = None) -> Ledger:
    """The ledger of a folder. `panel`: whom practitioners see until it is looked up; None: all."""
    return Ledger(
        store,
        journal,
        access_seconds=settings.access_minutes * MINUTE,
        refresh_seconds=settings.refresh_days * DAY,
        panel=panel,
    )


class AllTokens:
    """Tokens of operators, and access tokens of apps: told apart by their first letters."""

    def __init__(self, own: Tokens, ledger: Ledger) -> None:
        self._own, self._ledger = own, ledger
        self.paging_key: Callable[[], bytes] = own.paging_key

    def create(self, name: str, role: Role, seconds: int, *, by: str) -> NewToken:
        return self._own.create(name, role, seconds, by=by)

    def authenticate(self, text: str) -> Grant:
        """Raises TokenRefused."""
        return (self._ledger if text.startswith(ACCESS_PREFIX) else self._own).authenticate(text)

    def rows(self) -> list[TokenRow]:
        return self._own.rows()

    def revoke(self, name: str, *, by: str) -> TokenRow:
        return self._own.revoke(name, by=by)


class Authorization:
    """Routes and what they need. `base_url` is where callers reach this server, without /fhir."""

    def __init__(
        self,
        store: Store,
        journal: SqliteJournal,
        repository: Repository,
        tokens: Tokens,
        settings: Smart,
        base_url: str,
        *,
        provider: Provider | None = None,
        remote_keys: RemoteKeys | None = None,
        in_care: InCare | None = None,
    ) -> None:
        """`in_care`: whose records practitioners see; None: those of all patients."""
        at = self.addresses = Addresses(base_url.rstrip("/"), registers=settings.registration is not None)
        self.apps, self.users = Apps(store, journal), Users(store, journal)
        self.ledger = ledger_of(store, journal, settings, panel=None if in_care is None else frozenset())
        self.tokens = AllTokens(tokens, self.ledger)
        glass = in_care.break_glass if in_care is not None else None
        self._glass = Glass(store, journal, repository, self.tokens, glass) if glass is not None else None
        self._caring = caring = _caring(repository, in_care, self._glass)
        self._auditor = Auditor(journal)
        signer = Signer(signing_key(settings.signing_key, store.path.with_suffix(".signing.pem")))
        if provider is None and settings.provider is not None:
            provider = Provider(settings.provider, at.callback)
        seal = Seal(store.derive("smart-pages"))
        own = RemoteKeys(guarded(settings.registration.jwks_uris if settings.registration is not None else ()))
        clients = Clients(self.apps, self.ledger, remote_keys or RemoteKeys(), own, frozenset({at.token, at.issuer}))
        self._service = Service(at, self.apps, self.ledger, clients, signer, self._auditor, self.tokens, repository)
        window = Window(at.issuer, provider.origin if provider is not None else "")
        consents = Consents(store, journal)
        choosing = Choosing(repository, caring)
        self._front = front = Front(
            at, self.apps, self.users, self.ledger, seal, self._auditor, choosing, provider, window, consents
        )
        self._account = Account(at, self.ledger, consents, seal, window, front.sign_in, front.shown)
        leaving = Leaving(at, self.apps, self.ledger, consents, signer, window)
        self._leave: Handler = lambda call: front.shown(call, leaving.leave)
        self._registering = None
        if settings.registration is not None:
            self._registering = Registrations(self.apps, self._auditor, at.register, settings.registration)
        self._documents = {
            "/fhir/.well-known/smart-configuration": smart_configuration(at),
            "/.well-known/smart-configuration": smart_configuration(at),
            "/.well-known/openid-configuration": openid_configuration(at),
            "/.well-known/oauth-authorization-server": openid_configuration(at),  # RFC 8414
            "/smart/jwks.json": signer.public(),
        }

    def has_origin(self, origin: str) -> bool:
        """Whether a page of this origin is an app's."""
        return self.apps.has_origin(origin)

    async def limited(self, grant: Grant) -> Grant:
        """The grant with whom its bearer may see. Raises Denied 403 `panel-too-wide`."""
        return grant if self._caring is None else await self._caring.limited(grant)

    def capability(self) -> dict[str, object]:
        """CapabilityStatement.rest.security (SMART App Launch 1, "Conformance")."""
        return security(self.addresses)

    @property
    def breaks_glass(self) -> bool:
        """Whether practitioners may open records out of their care."""
        return self._glass is not None

    async def close(self) -> None:
        """Write what the audit still holds back."""
        await self._auditor.close()

    def routes(self, around: Callable[[str, Handler], Handler]) -> list[Route]:
        """Everything under /smart, and the documents that say so. `around` puts token and audit around a handler."""
        front, service = self._front, self._service
        registering, glass = self._registering, self._glass
        return [
            *([_route(PATH, POST=around(ACTION, glass.open))] if glass is not None else []),
            *(_registrations(registering) if registering is not None else []),
            *(_route(path, GET=_document(said)) for path, said in self._documents.items()),
            _route("/smart/authorize", GET=front.authorize, POST=front.authorize),
            _route("/smart/login", POST=front.login),
            _route("/smart/provider", POST=front.provider),
            _route("/smart/callback", GET=front.callback),
            _route("/smart/patient", POST=front.patient),
            _route("/smart/consent", POST=front.consent),
            _route("/smart/account", GET=self._account.show, POST=self._account.change),
            _route("/smart/logout", GET=self._leave, POST=self._leave),
            _route("/smart/style.css", GET=front.style),
            _route("/smart/token", POST=service.token),
            _route("/smart/revoke", POST=service.revoke),
            _route("/smart/introspect", POST=service.introspect),
            _route("/smart/launch", POST=around("launch", service.launch)),
        ]


def _caring(repository: Repository, in_care: InCare | None, glass: Glass | None) -> Caring | None:
    if in_care is None:
        return None
    return Caring(repository, in_care) if glass is None else Caring(repository, in_care, opened=glass.opened)


def _route(path: str, **handlers: Handler) -> Route:
    return Route(path, Endpoint(path, handlers), methods=list(handlers))


def _registrations(one: Registrations) -> list[Route]:
    own = _route("/smart/register/{client}", GET=one.read, PUT=one.update, DELETE=one.remove)
    return [_route("/smart/register", POST=one.register), own]


def _document(said: object) -> Handler:
    body = msgspec.json.encode(said)

    async def answer(_: Call) -> Reply:
        return Reply(200, body, _PUBLIC, content_type=JSON)

    return answer
