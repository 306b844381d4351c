"""What people see: sign-in, the choice of a patient, consent; and where the answer to the app begins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from hilum.app.api.auditor import Auditor
from hilum.app.api.auth import peer
from hilum.app.api.exchange import Call, Reply
from hilum.app.api.outcomes import Problem
from hilum.app.smart import pages
from hilum.app.smart.apps import Apps
from hilum.app.smart.asking import Ask, answer_url, ask_of, destination, form_pairs, once
from hilum.app.smart.choosing import Choosing, told_apart
from hilum.app.smart.consents import Consents
from hilum.app.smart.discovery import Addresses
from hilum.app.smart.granted import Consent, Session
from hilum.app.smart.ledger import Ledger
from hilum.app.smart.problems import OAuthProblem
from hilum.app.smart.provider import Provider
from hilum.app.smart.records import App, Context, User, actor_of, fresh
from hilum.app.smart.seal import Seal
from hilum.app.smart.service import form_of
from hilum.app.smart.users import Users
from hilum.app.smart.window import Window, redirect
from hilum.errors import HilumError
from hilum.safeguards import Person, Scopes, parse_scopes

__all__ = ["Front"]

_SAME = "the name or the password is not right; after several tries in a row there is a wait"
_TOLD = {
    "sign-in-busy": "many people sign in just now; try again in a moment",
    "provider-refused": "the other place did not confirm who you are; try again",
    "provider-stranger": "you are known there, but have no access here; ask the people who run this server",
}


class Front:
    """Answers HTML and redirects."""

    def __init__(
        self,
        at: Addresses,
        apps: Apps,
        users: Users,
        ledger: Ledger,
        seal: Seal,
        auditor: Auditor,
        choosing: Choosing,
        provider: Provider | None,
        window: Window,
        consents: Consents,
    ) -> None:
        self._at, self._apps, self._users, self._ledger = at, apps, users, ledger
        self._seal, self._auditor, self._choosing, self._provider = seal, auditor, choosing, provider
        self._window, self._consents = window, consents

    async def authorize(self, call: Call) -> Reply:
        """`GET` and `POST /smart/authorize`."""
        return await self.shown(call, self._authorize)

    async def login(self, call: Call) -> Reply:
        """`POST /smart/login`."""
        return await self.shown(call, self._login)

    async def provider(self, call: Call) -> Reply:
        """`POST /smart/provider`: off to the OpenID Connect provider."""
        return await self.shown(call, self._to_provider)

    async def callback(self, call: Call) -> Reply:
        """`GET /smart/callback`: back from there."""
        return await self.shown(call, self._from_provider)

    async def patient(self, call: Call) -> Reply:
        """`POST /smart/patient`: a search for one, or the choice."""
        return await self.shown(call, self._patient)

    async def consent(self, call: Call) -> Reply:
        """`POST /smart/consent`: the decision."""
        return await self.shown(call, self._consent)

    async def style(self, _: Call) -> Reply:
        """`GET /smart/style.css`."""
        return Reply(200, pages.STYLE.encode(), {"Cache-Control": "public, max-age=3600"}, content_type="text/css")

    # steps

    async def _authorize(self, call: Call) -> Reply:
        given = once(form_pairs(call.query)) if call.scope["method"] != "POST" else await form_of(call)
        app = self._apps.find(given.get("client_id", ""))
        address = destination(given, app)
        assert app is not None
        try:
            ask = ask_of(given, app, self._at.fhir)
            ask = replace(ask, context=self._context(ask))
        except OAuthProblem as problem:
            return await self._refuse(call, problem, address, given.get("state", ""))
        session = self._session(call)
        if session is None or ask.must_sign_in:
            return self.sign_in(call, ask)
        return await self._next(call, ask, session, self._window.cookie(call))

    def sign_in(self, call: Call, ask: Ask) -> Reply:
        """The page to sign in at, to go on with this."""
        cookie = self._window.cookie(call) or fresh("hilums")
        return self._page(self._login_page(ask, cookie), ask, cookie)

    def _context(self, ask: Ask) -> Context:
        """What the launch is about that the request began with. Raises OAuthProblem `invalid_request`."""
        context = self._ledger.launch(ask.launch, ask.app) if ask.launch else Context()
        if context is None:
            text = "this launch was used, is too old, or is another app's; open the app again"
            raise OAuthProblem("invalid_request", text, code="launch-unknown")
        return context

    async def _login(self, call: Call) -> Reply:
        form, cookie = await self._form(call)
        ask, _ = self._seal.open(form.get("request", ""), cookie, "login")
        name = form.get("name", "").strip()
        user, code = await self._users.sign_in(name, form.get("password", ""))
        if user is None:
            known = self._users.find(name)
            if known is not None:
                await self._auditor.record(f"user/{name}", "sign-in", known.record, code, f"peer={peer(call)}")
            else:
                await self._auditor.stranger("sign-in", "", code, f"peer={peer(call)}")
            told = _TOLD.get(code, _SAME)
            return self._page(self._login_page(ask, cookie, told=told, name=name[:64]), ask, cookie)
        return await self._signed_in(call, ask, user)

    async def _signed_in(self, call: Call, ask: Ask, user: User) -> Reply:
        cookie = await self._ledger.open_session(user)
        session = self._ledger.session(cookie)
        if session is None:
            raise OAuthProblem("access_denied", "this account was ended", code="sign-in-locked")
        return await self._next(call, replace(ask, must_sign_in=False), session, cookie)

    async def _next(self, call: Call, ask: Ask, session: Session, cookie: str) -> Reply:
        """The next page for somebody who is signed in: which patient, or consent."""
        if not ask.app:
            return self._window.keep(redirect(self._at.account), cookie)
        app, user = self._app(ask), session.user
        if user.person is Person.PATIENT:
            if ask.context.patient not in ("", user.own):
                text = "the app was opened for another patient than the one who is signed in"
                problem = OAuthProblem("access_denied", text, code="patient-mismatch", actor=f"user/{user.name}")
                return await self._refuse(call, problem, ask.redirect, ask.state)
            if ask.needs_patient:
                ask = replace(ask, context=replace(ask.context, patient=user.own))
        elif ask.needs_patient and not ask.context.patient:
            return self._page(pages.patients(app, self._seal.close(ask, cookie, "patient"), None), ask, cookie)
        shown = ""
        if ask.context.patient:
            found = await self._choosing.one(ask.context.patient, user)
            if found is None:
                text = "the patient that this is about is not here (any more)"
                problem = OAuthProblem("access_denied", text, code="patient-gone", actor=f"user/{user.name}")
                return await self._refuse(call, problem, ask.redirect, ask.state)
            await self._auditor.record(actor_of(app.id, user.name), "consent-show", f"Patient/{found.id}")
            shown = told_apart(found)
        sealed = self._seal.close(ask, cookie, "consent")
        return self._page(
            pages.consent(app, user, ask.asked, sealed, redirect=ask.redirect, patient=shown), ask, cookie
        )

    async def _patient(self, call: Call) -> Reply:
        form, cookie = await self._form(call)
        ask, _ = self._seal.open(form.get("request", ""), cookie, "patient")
        session = self._must_session(call)
        if session.user.person is Person.PATIENT:
            raise OAuthProblem("access_denied", "patients choose nobody else", code="patient-mismatch")
        chosen = form.get("patient", "")
        if chosen and await self._choosing.one(chosen, session.user) is not None:
            return await self._next(call, replace(ask, context=replace(ask.context, patient=chosen)), session, cookie)
        looked_for = form.get("q", "").strip()[:100]
        found = await self._choosing.find(looked_for, session.user)
        ids = ",".join(one.id for one in found)
        actor = actor_of(ask.app, session.user.name)
        await self._auditor.record(
            actor, "search", "Patient?name,identifier", "ok", f"returned={len(found)} Patient:{ids}"
        )
        sealed = self._seal.close(ask, cookie, "patient")
        shown = [(one.id, told_apart(one)) for one in found]
        return self._page(pages.patients(self._app(ask), sealed, shown, looked_for), ask, cookie)

    async def _consent(self, call: Call) -> Reply:
        pairs, cookie = await self._window.pairs(call, "scope"), self._window.cookie(call)
        form = {name: value for name, value in pairs if name != "scope"}
        ask, _ = self._seal.open(form.get("request", ""), cookie, "consent")
        session = self._must_session(call)
        actor = actor_of(ask.app, session.user.name)
        if form.get("decision") == "switch":
            await self._consents.sign_out(cookie, session)
            return self.sign_in(call, replace(ask, context=self._context(ask)))
        ticked = _ticked(ask.asked, [value for name, value in pairs if name == "scope"])
        if form.get("decision") != "allow" or not (ticked.resources or "openid" in ticked.plain):
            problem = OAuthProblem("access_denied", "the person did not allow it", code="consent-denied", actor=actor)
            return await self._refuse(call, problem, ask.redirect, ask.state)
        agreed = Consent(ask.app, session, ticked, ask.context, ask.redirect, ask.challenge, ask.nonce, ask.launch)
        try:
            code = await self._ledger.grant_code(agreed)
        except OAuthProblem as problem:
            return await self._refuse(call, problem, ask.redirect, ask.state)
        return redirect(answer_url(ask.redirect, code=code, state=ask.state))

    async def _to_provider(self, call: Call) -> Reply:
        form, cookie = await self._form(call)
        ask, _ = self._seal.open(form.get("request", ""), cookie, "login")
        if self._provider is None:
            raise OAuthProblem("invalid_request", "there is no other place to sign in", code="page-stale")
        secrets = self._provider.new_secrets()
        url = await self._provider.url(self._seal.close(ask, cookie, "provider", secrets), secrets)
        return redirect(url)

    async def _from_provider(self, call: Call) -> Reply:
        given = once(form_pairs(call.query))
        cookie = self._window.cookie(call)
        ask, secrets = self._seal.open(given.get("state", ""), cookie, "provider")
        if self._provider is None:
            raise OAuthProblem("invalid_request", "there is no other place to sign in", code="page-stale")
        try:
            subject = await self._provider.subject(given, secrets)
        except HilumError as error:
            await self._auditor.stranger("sign-in", "", error.code, f"peer={peer(call)} provider")
            return self._page(self._login_page(ask, cookie, told=_TOLD["provider-refused"]), ask, cookie)
        user = self._users.of_subject(subject)
        if user is None or user.locked:
            code = "provider-stranger" if user is None else "sign-in-locked"
            await self._auditor.stranger("sign-in", "", code, f"peer={peer(call)} provider")
            told = _TOLD["provider-stranger"]
            return self._page(self._login_page(ask, cookie, told=told), ask, cookie)
        return await self._signed_in(call, ask, user)

    # around every step

    async def shown(self, call: Call, step: Callable[[Call], Awaitable[Reply]]) -> Reply:
        """A step whose refusals a person reads."""
        try:
            return await step(call)
        except OAuthProblem as problem:
            await self._tell(call, problem)
            return self._window.page(pages.problem(problem.text), 400)
        except Problem as problem:
            if problem.status >= 500 or problem.status == 429:
                raise
            return self._window.page(pages.problem(problem.issues[0].text), problem.status)

    async def _refuse(self, call: Call, problem: OAuthProblem, address: str, state: str) -> Reply:
        """Tell the app. Only to an address that it is registered with."""
        await self._tell(call, problem)
        said = f"{problem.code}: {problem.text}"
        return redirect(answer_url(address, error=problem.error, error_description=said, state=state))

    async def _tell(self, call: Call, problem: OAuthProblem) -> None:
        if problem.actor:
            await self._auditor.record(problem.actor, "authorize", "", problem.code, f"peer={peer(call)}")
        else:
            await self._auditor.stranger("authorize", "", problem.code, f"peer={peer(call)}")

    async def _form(self, call: Call) -> tuple[dict[str, str], str]:
        return await self._window.form(call), self._window.cookie(call)

    def _app(self, ask: Ask) -> App:
        app = self._apps.find(ask.app)
        if app is None or ask.redirect not in app.redirects:
            raise OAuthProblem("invalid_client", "this app was removed", code="app-unknown")
        return app

    def _session(self, call: Call) -> Session | None:
        cookie = self._window.cookie(call)
        return self._ledger.session(cookie) if cookie else None

    def _must_session(self, call: Call) -> Session:
        session = self._session(call)
        if session is None:
            raise OAuthProblem("access_denied", "you are not signed in any more; start again", code="page-stale")
        return session

    # looks

    def _login_page(self, ask: Ask, cookie: str, *, told: str = "", name: str = "") -> str:
        app = self._app(ask) if ask.app else None
        sealed = self._seal.close(ask, cookie, "login")
        other = self._provider.title if self._provider else ""
        return pages.login(app, sealed, told=told, name=name, provider=other)

    def _page(self, html: str, ask: Ask, cookie: str) -> Reply:
        return self._window.page(html, cookie=cookie, to=ask.redirect)


def _ticked(asked: Scopes, places: list[str]) -> Scopes:
    """What is left of what was asked for."""
    choices = [scope for scope, _ in pages.sorts_of(asked, is_own=False)]
    kept = {
        choices[int(place)] for place in places if place.isdecimal() and place.isascii() and int(place) < len(choices)
    }
    silent = [word for word in asked.plain if word not in choices]
    left = parse_scopes(" ".join(scope for scope in choices if scope in kept))
    return Scopes((*left.plain, *silent), left.resources)
