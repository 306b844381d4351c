"""The Starlette app: routes, and around the routes of PHI the token before and the audit row after."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache, partial
from typing import TYPE_CHECKING, Protocol

from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from hilum.app.api.access import Access
from hilum.app.api.access_log import AccessLog, access_logger
from hilum.app.api.auditor import Auditor
from hilum.app.api.auth import Arrivals, Denied, authorize, is_local, out_of_scope, peer
from hilum.app.api.capability import Capability
from hilum.app.api.cors import Cors
from hilum.app.api.everything import Everything
from hilum.app.api.exchange import Call, Endpoint, Handler, Reply
from hilum.app.api.expanding import Expanding
from hilum.app.api.health import Health
from hilum.app.api.history import History
from hilum.app.api.inner import Inner
from hilum.app.api.metrics import HttpMetrics, Services
from hilum.app.api.openapi import OpenApi
from hilum.app.api.operations import Operations
from hilum.app.api.outcomes import Problem
from hilum.app.api.paging import Paging
from hilum.app.api.resources import Resources
from hilum.app.api.routing import Misdirected, Routes
from hilum.app.api.searching import Searching
from hilum.app.api.sight import VERBS, sight_of
from hilum.app.api.special import Special
from hilum.app.api.surface import served
from hilum.app.api.transactions import Transactions
from hilum.app.api.validating import Validation
from hilum.app.api.writing import Writing, WritingRules
from hilum.app.tokens import Grant, Permission, Tokens
from hilum.definitions import r4
from hilum.journal import Journal
from hilum.repository import Repository
from hilum.safeguards import Interaction

if TYPE_CHECKING:  # it imports from this package
    from hilum.app.bulk.exports import Exports
    from hilum.app.subscriptions.service import Subscriptions

__all__ = ["AuthorizationServer", "create_app"]

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


class _IdConvertor(Convertor[str]):
    """A FHIR id (R4 datatypes.html#id)."""

    regex = r"[A-Za-z0-9.\-]{1,64}"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


class _TypeConvertor(_IdConvertor):
    """The name of a resource type, known or not."""

    regex = "(?!metadata(?:/|$))[A-Za-z]{1,64}"


register_url_convertor("fhirid", _IdConvertor())
register_url_convertor("fhirtype", _TypeConvertor())


def create_app(
    repository: Repository,
    journal: Journal,
    tokens: Tokens,
    *,
    health: Health,
    base_url: str = "http://127.0.0.1:8080",
    max_count: int = 500,
    log: AccessLog | None = None,
    writing: WritingRules | None = None,
    exports: Exports | None = None,
    subscriptions: Subscriptions | None = None,
    authorization: AuthorizationServer | None = None,
) -> Starlette:
    """The HTTP surface of hilum: FHIR R4 under /fhir, health, metrics and an OpenAPI document beside it.

    `base_url` is where callers reach this app, without /fhir; links are made from it, never from a Host header.
    `max_count` is the largest page. `log` gets one line per request (default: JSON to standard error). `writing` says
    how writes are validated and what follows from them. `authorization` lets apps in, beside operators' tokens.
    `exports` makes bulk exports; without it there are none. So with `subscriptions`, whose `watch` is one of `writing`.
    """
    base = f"{base_url.rstrip('/')}/fhir"
    rules = writing or WritingRules()
    surface = served()
    paging = Paging(tokens.paging_key())
    http = HttpMetrics()
    guard = _Guard(tokens, Auditor(journal), surface.types, authorization)
    resources = Resources(repository, surface.types)
    searching = Searching(repository, surface.types, paging, base, max_count)
    history = History(repository, resources, searching.aside, surface.types, paging, base, max_count)
    everything = Everything(repository, searching, paging, base, max_count).of_patient
    special = Special(searching, paging, base, max_count)
    expanding = Expanding(repository, searching, rules.definitions or r4())
    services = Services(
        exports.stand if exports is not None else None, subscriptions.stand if subscriptions is not None else None
    )
    operations = Operations(health, http, services)
    security = authorization.capability() if authorization is not None else None
    glass = authorization is not None and authorization.breaks_glass
    capability = Capability(
        surface,
        base,
        update_creates=rules.update_creates,
        security=security,
        exports=exports is not None,
        topics=subscriptions.topics if subscriptions is not None else (),
        definitions=rules.definitions,
        glass=glass,
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        if exports is not None:
            exports.start()
        if subscriptions is not None:
            subscriptions.start()
        yield
        if subscriptions is not None:
            await subscriptions.close()
        if exports is not None:
            await exports.close()
        await guard.close()
        if authorization is not None:
            await authorization.close()
        searching.close()
        operations.close()

    writes = Writing(repository, surface.types, base, rules)
    validation = Validation(repository, surface.types, rules)
    read, write = guard.around, partial(guard.around, permission=Permission.WRITE)
    one, all_ = "/fhir/{type:fhirtype}/{id:fhirid}", "/fhir/{type:fhirtype}"
    routes: list[Route] = []
    table = cache(lambda: Routes(routes))
    bundles = Transactions(repository, surface.types, base, rules, writes, Inner(table))
    routes += [
        _route(
            one,
            GET=read("read", resources.read),
            PUT=write("update", writes.update),
            PATCH=write("patch", writes.patch),
            DELETE=write("delete", writes.delete),
        ),
        _route("/fhir", GET=read("search", searching.of_all), POST=read("bundle", bundles.take)),
        _route("/fhir/_search", POST=read("search", searching.of_all)),
        _route("/fhir/metadata", GET=capability.metadata),
        _route(
            all_,
            GET=read("search", searching.by_get),
            POST=write("create", writes.create),
            PUT=write("update", writes.update_where),
            PATCH=write("patch", writes.patch_where),
            DELETE=write("delete", writes.delete_where),
        ),
        _route(f"{all_}/_search", POST=read("search", searching.by_post)),
        _asked("/fhir/Observation/$lastn", read("search", special.lastn)),
        _asked("/fhir/DocumentReference/$docref", read("search", special.docref)),
        _asked("/fhir/Patient/{id:fhirid}/$everything", read("everything", everything)),
        _route("/fhir/{owner:fhirtype}/{id:fhirid}/{type:fhirtype}", GET=read("search", searching.in_compartment)),
        _asked("/fhir/ValueSet/$expand", read("search", expanding.of_type)),
        _asked("/fhir/ValueSet/{id:fhirid}/$expand", read("search", expanding.of_one)),
        _route(f"{all_}/$validate", POST=read("validate", validation.of_type)),
        _route(
            f"{one}/$validate", GET=read("validate", validation.of_stored), POST=read("validate", validation.of_type)
        ),
        _route("/fhir/_history", GET=read("history", history.of_all)),
        _route(f"{all_}/_history", GET=read("history", history.of_type)),
        _route(f"{one}/_history", GET=read("history", history.of_one)),
        _route(f"{one}/_history/{{version:fhirid}}", GET=read("vread", resources.vread)),
        _route("/livez", GET=operations.alive),
        _route("/readyz", GET=operations.ready),
        _route("/metrics", GET=guard.unless_local("metrics", operations.metrics, Permission.METRICS)),
        _route(
            "/openapi.json",
            GET=OpenApi(
                surface,
                base_url,
                exports=exports is not None,
                subscriptions=subscriptions is not None,
                glass=glass,
            ),
        ),
    ]
    if subscriptions is not None:
        from hilum.app.api.subscribing import Subscribing  # it needs this package

        for path, handlers in Subscribing(subscriptions, base).addresses().items():
            routes.append(_route(path, **{method: read("subscription", one) for method, one in handlers.items()}))
    if exports is not None:
        from hilum.app.api.bulk_export import BulkExport  # it needs this package

        for path, handlers in BulkExport(exports, repository, base).addresses().items():
            routes.append(_route(path, **{method: read("export", one) for method, one in handlers.items()}))
    front: ASGIApp = Access(partial(_answer, table), metrics=http, log=log or access_logger())
    if authorization is not None:
        routes[:0] = authorization.routes(read)
        front = Cors(front, is_known=authorization.has_origin)
    return _App(front, routes, lifespan)


class _App(Starlette):
    """Starlette starts and stops it; requests go past its middleware and router, which cost more than most answers."""

    def __init__(self, front: ASGIApp, routes: list[Route], lifespan: Lifespan) -> None:
        super().__init__(routes=routes, lifespan=lifespan)
        self._front = front

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._front(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


async def _answer(routes: Callable[[], Routes], scope: Scope, receive: Receive) -> Reply:
    """What the endpoint of this address says. Raises Problem."""
    try:
        scope["endpoint"], scope["path_params"] = routes().find(scope)
    except Misdirected as problem:
        scope["endpoint"] = problem.endpoint
        raise
    reply: Reply = await scope["endpoint"].answer(Call(scope, receive))
    return reply


class AuthorizationServer(Protocol):
    """What lets apps in: its tokens are among those that the app is made with."""

    def routes(self, around: Callable[[str, Handler], Handler]) -> list[Route]:
        """Its own addresses; `around` puts token and audit around a handler."""
        ...

    async def limited(self, grant: Grant) -> Grant:
        """The grant of somebody of whom more must be known than their token says. Raises Denied."""
        ...

    def has_origin(self, origin: str) -> bool:
        """Whether a page of this origin is an app's."""
        ...

    def capability(self) -> dict[str, object]:
        """CapabilityStatement.rest.security."""
        ...

    @property
    def breaks_glass(self) -> bool:
        """Whether practitioners may open records out of their care."""
        ...

    async def close(self) -> None:
        """Let go."""
        ...


class _Guard:
    """Who may, then do it, then one audit row; only after its commit does the answer go out."""

    def __init__(
        self, tokens: Tokens, auditor: Auditor, types: frozenset[str], authorization: AuthorizationServer | None
    ) -> None:
        self._types, self._authorization = types, authorization
        self._tokens = Arrivals(tokens)
        self._auditor = auditor
        self.close: Callable[[], Awaitable[None]] = auditor.close

    def around(self, action: str, handler: Handler, permission: Permission = Permission.READ) -> Handler:
        """A handler that needs a token; whatever comes of it is audited."""

        async def guarded(call: Call) -> Reply:
            actor = call.actor = await self._admit(call, action, permission)
            call.action, call.scope["hilum.actor"] = action, actor
            try:
                reply = await handler(call)
            except Problem as problem:
                await self._auditor.record(actor, action, call.target, problem.code, call.detail)
                raise
            if not call.is_audited:
                await self._auditor.record(actor, action, call.target, call.outcome, call.detail)
            return reply

        return guarded

    def unless_local(self, action: str, handler: Handler, permission: Permission) -> Handler:
        """The same for what holds no PHI: a caller on this machine needs no token, and an answer no audit row."""

        async def guarded(call: Call) -> Reply:
            if not is_local(call):
                call.scope["hilum.actor"] = await self._admit(call, action, permission)
            return await handler(call)

        return guarded

    async def _admit(self, call: Call, action: str, permission: Permission) -> str:
        try:
            grant = authorize(call, self._tokens, permission)
            if grant.rights is not None and self._authorization is not None:
                grant = await self._authorization.limited(grant)
            self._decide(call, action, grant)
        except Denied as denied:
            target, detail = self._asked_for(call), f"peer={peer(call)}"
            if denied.actor:
                await self._auditor.record(denied.actor, action, target, denied.code, detail)
            else:
                await self._auditor.stranger(action, target, denied.code, detail)
            raise
        return grant.actor

    def _decide(self, call: Call, action: str, grant: Grant) -> None:
        """What this call may see and do. Raises Denied 403 `scope-insufficient` where that is nothing of the type."""
        call.role, call.permissions = grant.role, grant.permissions
        call.sight_for = lambda verb: sight_of(grant, verb)
        call.sight = call.sight_for(VERBS.get(action, Interaction.SEARCH))
        type_ = self._type_of(call)
        # an export says itself what it may hold: that of patients may be of their results alone
        if grant.rights is not None and type_ and action != "export" and not call.sight.sees_type(type_):
            denied = out_of_scope(type_)
            denied.actor = grant.actor
            raise denied

    def _type_of(self, call: Call) -> str:
        """The type that a request is about, "" where its address names none that is served."""
        type_ = call.params.get("type") or call.scope["path"].split("/")[2:3]
        found = type_ if isinstance(type_, str) else "".join(type_)
        return found if found in self._types else ""

    def _asked_for(self, call: Call) -> str:
        type_ = self._type_of(call)
        if not type_:
            return ""
        return f"{type_}/{call.params['id']}" if "id" in call.params else type_


def _route(path: str, **handlers: Handler) -> Route:
    template = re.sub(r":\w+}", "}", path)
    return Route(path, Endpoint(template, handlers), methods=list(handlers))


def _asked(path: str, handler: Handler) -> Route:
    """An operation that changes nothing: by its URL, or posted (R4 operations.html#executing)."""
    return _route(path, GET=handler, POST=handler)
