"""What programs ask of the authorization server: tokens, introspection, revocation, launches (RFC 6749, 7009, 7662)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from hilum.app.api.auditor import Auditor
from hilum.app.api.auth import Denied, authorize, peer
from hilum.app.api.exchange import Call, Reply
from hilum.app.api.negotiation import JSON
from hilum.app.api.outcomes import Problem
from hilum.app.smart.apps import Apps
from hilum.app.smart.asking import answer_url, form_pairs, once
from hilum.app.smart.clients import Clients
from hilum.app.smart.discovery import Addresses
from hilum.app.smart.granted import Issued
from hilum.app.smart.ledger import Ledger
from hilum.app.smart.problems import OAuthProblem
from hilum.app.smart.records import SECOND, App, Context, GrantRow, Kind, User, actor_of
from hilum.app.smart.signing import Signer
from hilum.app.tokens import Permission, Tokens, microseconds
from hilum.errors import NotFound
from hilum.formats import fhir
from hilum.repository import Repository
from hilum.safeguards import Level, Scopes, narrow, parse_scopes

__all__ = ["Service", "error_reply", "form_of", "json_reply"]

ID_TOKEN_SECONDS = 600


async def form_of(call: Call) -> dict[str, str]:
    """A posted form, each name once. Raises OAuthProblem `invalid_request`, Problem 413, 408, 400 for the body."""
    kind = call.header("content-type").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise OAuthProblem("invalid_request", "post a form (application/x-www-form-urlencoded)", code="form-expected")
    return once(form_pairs(await call.body()))


class Service:
    """Answers JSON, in OAuth's words."""

    def __init__(
        self,
        at: Addresses,
        apps: Apps,
        ledger: Ledger,
        clients: Clients,
        signer: Signer,
        auditor: Auditor,
        tokens: Tokens,
        repository: Repository,
    ) -> None:
        self._at, self._apps, self._ledger, self._clients = at, apps, ledger, clients
        self._signer, self._auditor, self._tokens, self._repository = signer, auditor, tokens, repository

    async def token(self, call: Call) -> Reply:
        """`POST /smart/token`."""
        return await self._answer(call, "token", self._token)

    async def revoke(self, call: Call) -> Reply:
        """`POST /smart/revoke`: 200, whether there was such a token or not."""
        return await self._answer(call, "revoke", self._revoke)

    async def introspect(self, call: Call) -> Reply:
        """`POST /smart/introspect`: for apps about tokens of theirs, for operators about all."""
        return await self._answer(call, "introspect", self._introspect)

    async def launch(self, call: Call) -> Reply:
        """`POST /smart/launch` by who may read the patient: a launch token for one start of one app."""
        try:
            given = msgspec.json.decode(await call.body(), type=dict[str, str])
        except msgspec.DecodeError:
            raise _launch_problem("send a JSON object: app, patient, encounter") from None
        app = self._apps.find(given.get("app", ""))
        if app is None or not app.launch:
            raise _launch_problem("there is no app of this name that can be launched; see `hilum app list`")
        context = Context(given.get("patient", ""), given.get("encounter", ""))
        if not context.patient:
            raise _launch_problem("say which patient it is about")
        self._check_seen(call, "Patient", context.patient)
        if context.encounter:
            self._check_seen(call, "Encounter", context.encounter)
        call.target, call.detail = f"Patient/{context.patient}", f"app={app.id}"
        text = await self._ledger.new_launch(app.id, context)
        url = answer_url(app.launch, iss=self._at.fhir, launch=text)
        return Reply(201, msgspec.json.encode({"launch": text, "url": url}), content_type=JSON)

    def _check_seen(self, call: Call, type_: str, id_: str) -> None:
        stored = None
        if fhir.is_id(id_):
            try:
                stored = self._repository.get(type_, id_)
            except NotFound:
                stored = None
        if stored is None or stored.deleted or not call.sight.sees(stored):
            raise Problem("resource-unknown", 404, "not-found", f"there is no {type_} with this id")

    async def _answer(self, call: Call, action: str, do: Callable[[Call], Awaitable[dict[str, Any] | None]]) -> Reply:
        try:
            said = await do(call)
        except OAuthProblem as problem:
            await self._refused(call, action, problem)
            return error_reply(problem)
        except Problem as problem:
            if problem.status == 429 or problem.status >= 500:
                raise
            actor = problem.actor if isinstance(problem, Denied) else ""
            await self._refused(call, action, OAuthProblem("", "", code=problem.code, actor=actor))
            error = {401: "invalid_token", 403: "insufficient_scope"}.get(problem.status, "invalid_request")
            return json_reply(_error(error, problem.code, problem.issues[0].text), problem.status, problem.headers)
        return json_reply(said) if said is not None else Reply(200, b"", {"Pragma": "no-cache"})

    async def _refused(self, call: Call, action: str, problem: OAuthProblem) -> None:
        if problem.actor:
            await self._auditor.record(problem.actor, action, "", problem.code, f"peer={peer(call)}")
        else:
            await self._auditor.stranger(action, "", problem.code, f"peer={peer(call)}")

    async def _token(self, call: Call) -> dict[str, Any]:
        form = await form_of(call)
        app = await self._clients.prove(call.header("authorization"), form)
        call.scope["hilum.actor"] = actor_of(app.id)
        grants = {
            "authorization_code": self._by_code,
            "refresh_token": self._by_refresh,
            "client_credentials": self._by_itself,
        }
        if form.get("grant_type", "") not in grants:
            text = f"grant_type is one of {', '.join(grants)}"
            raise OAuthProblem("unsupported_grant_type", text, code="grant-unsupported", actor=actor_of(app.id))
        issued = await grants[form["grant_type"]](app, form)
        return self._said(issued, has_id=form["grant_type"] != "client_credentials")

    async def _by_code(self, app: App, form: dict[str, str]) -> Issued:
        verifier = form.get("code_verifier", "")
        return await self._ledger.redeem(form.get("code", ""), app, form.get("redirect_uri", ""), verifier)

    async def _by_refresh(self, app: App, form: dict[str, str]) -> Issued:
        return await self._ledger.refresh(form.get("refresh_token", ""), app, form.get("scope", ""))

    async def _by_itself(self, app: App, form: dict[str, str]) -> Issued:
        """SMART "Backend Services"."""
        if app.kind is not Kind.KEYS:
            text = "only apps that are registered with keys act by themselves"
            raise OAuthProblem("unauthorized_client", text, code="grant-unsupported", actor=actor_of(app.id))
        asked = narrow(parse_scopes(form.get("scope", "")), parse_scopes(app.scopes))
        left = Scopes((), tuple(one for one in asked.resources if one.level is Level.SYSTEM))
        if not left:
            text = "ask for system/ scopes that this app is registered for"
            raise OAuthProblem("invalid_scope", text, code="scope-refused", actor=actor_of(app.id))
        return await self._ledger.by_assertion(app, left)

    def _said(self, issued: Issued, *, has_id: bool) -> dict[str, Any]:
        said: dict[str, Any] = {
            "access_token": issued.access,
            "token_type": "Bearer",
            "expires_in": issued.seconds,
            "scope": issued.scopes,
        }
        if issued.refresh:
            said["refresh_token"] = issued.refresh
        said |= _context(issued.grant)
        if has_id and issued.user is not None and "openid" in issued.scopes.split():
            said["id_token"] = self._id_token(issued.grant, issued.user, issued.scopes)
        return said

    def _id_token(self, grant: GrantRow, user: User, scopes: str) -> str:
        now = microseconds() // SECOND
        claims: dict[str, Any] = {
            "iss": self._at.issuer,
            "sub": user.name,
            "aud": grant.app,
            "iat": now,
            "exp": now + ID_TOKEN_SECONDS,
            "auth_time": grant.signed_in // SECOND,
        }
        if grant.nonce:
            claims["nonce"] = grant.nonce
        return self._signer.sign(claims | self._who(user, scopes))

    def _who(self, user: User, scopes: str) -> dict[str, str]:
        words = scopes.split()
        names = [name for name in ("fhirUser", "profile") if name in words]
        return dict.fromkeys(names, f"{self._at.fhir}/{user.record}")

    async def _revoke(self, call: Call) -> None:
        form = await form_of(call)
        app = await self._clients.prove(call.header("authorization"), form)
        await self._ledger.revoke(form.get("token", ""), app)

    async def _introspect(self, call: Call) -> dict[str, Any]:
        form = await form_of(call)
        asker = await self._asker(call, form)
        facts = self._ledger.look(form.get("token", ""))
        now = microseconds()
        is_told = facts is not None and (asker is None or asker.id == facts.grant.app)
        await self._auditor.record(
            actor_of(asker.id) if asker else call.actor,
            "introspect",
            f"grant/{facts.grant.id}" if facts and is_told else "",
        )
        if facts is None or not is_told or facts.state(now) != "active":
            return {"active": False}
        user = facts.user
        return {
            "active": True,
            "scope": facts.scopes,
            "client_id": facts.grant.app,
            "token_type": "Bearer" if facts.kind == "access" else "refresh_token",
            "exp": facts.expires // SECOND,
            "iat": facts.created // SECOND,
            "iss": self._at.issuer,
            **({"sub": user.name, **self._who(user, facts.scopes)} if user else {"sub": facts.grant.app}),
            **_context(facts.grant),
        }

    async def _asker(self, call: Call, form: dict[str, str]) -> App | None:
        """The app that asks; None: an operator, by a token of `hilum token create`."""
        header = call.header("authorization")
        if header[:7].lower() == "bearer ":
            grant = authorize(call, self._tokens, Permission.METRICS)
            call.actor = grant.actor
            return None
        app = await self._clients.prove(header, form)
        if app.kind is Kind.PUBLIC:
            text = "introspection is for apps that prove who they are"
            raise OAuthProblem("invalid_client", text, code="client-unproven", status=401)
        return app


def _context(grant: GrantRow) -> dict[str, str]:
    return {name: id_ for name, id_ in (("patient", grant.patient), ("encounter", grant.encounter)) if id_}


def _error(error: str, code: str, text: str) -> dict[str, str]:
    return {"error": error, "error_description": f"{code}: {text}"}


def json_reply(said: Any, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    """An answer that nobody keeps."""
    return Reply(status, msgspec.json.encode(said), {"Pragma": "no-cache", **(headers or {})}, content_type=JSON)


def error_reply(problem: OAuthProblem) -> Reply:
    """A refusal in OAuth's words."""
    headers = {"WWW-Authenticate": f'{problem.scheme} realm="hilum"'} if problem.status == 401 else {}
    return json_reply(_error(problem.error, problem.code, problem.text), problem.status, headers)


def _launch_problem(text: str) -> Problem:
    return Problem("launch-invalid", 400, "invalid", text)
