"""The page where people see which apps may see their data, end that, and sign out (SMART `management_endpoint`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from hilum.app.api.exchange import Call, Reply
from hilum.app.smart import pages
from hilum.app.smart.asking import Ask
from hilum.app.smart.consents import Consents
from hilum.app.smart.discovery import Addresses
from hilum.app.smart.ledger import Ledger
from hilum.app.smart.problems import OAuthProblem
from hilum.app.smart.seal import Seal
from hilum.app.smart.window import Window, redirect

__all__ = ["ACCOUNT", "Account"]

ACCOUNT = Ask("", "", "", "", "")  # who signs in for this page does it for no app


class Account:
    """Answers HTML and redirects. `sign_in` shows the page to sign in at, for an Ask."""

    def __init__(
        self,
        at: Addresses,
        ledger: Ledger,
        consents: Consents,
        seal: Seal,
        window: Window,
        sign_in: Callable[[Call, Ask], Reply],
        shown: Callable[[Call, Callable[[Call], Awaitable[Reply]]], Awaitable[Reply]],
    ) -> None:
        self._at, self._ledger, self._consents, self._seal = at, ledger, consents, seal
        self._window, self._sign_in, self._shown = window, sign_in, shown

    async def show(self, call: Call) -> Reply:
        """`GET /smart/account`."""
        return await self._shown(call, self._show)

    async def change(self, call: Call) -> Reply:
        """`POST /smart/account`: end what an app may do, or sign out."""
        return await self._shown(call, self._change)

    async def _show(self, call: Call) -> Reply:
        cookie = self._window.cookie(call)
        session = self._ledger.session(cookie) if cookie else None
        if session is None:
            return self._sign_in(call, ACCOUNT)
        sealed = self._seal.close(ACCOUNT, cookie, "account")
        given = self._consents.of(session.user.name)
        return self._window.page(pages.account(session.user, given, sealed))

    async def _change(self, call: Call) -> Reply:
        form, cookie = await self._window.form(call), self._window.cookie(call)
        self._seal.open(form.get("request", ""), cookie, "account")
        session = self._ledger.session(cookie)
        if session is None:
            raise OAuthProblem("access_denied", "you are not signed in any more", code="page-stale")
        if form.get("decision") == "sign-out":
            await self._consents.sign_out(cookie, session)
            return self._window.forget(self._window.page(pages.signed_out()))
        await self._consents.end(session.user.name, form.get("app", ""))
        return redirect(self._at.account)
