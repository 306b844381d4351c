"""An app signs a person out (OpenID Connect RP-Initiated Logout 1.0)."""

from __future__ import annotations

from hilum.app.api.exchange import Call, Reply
from hilum.app.smart import pages
from hilum.app.smart.apps import Apps
from hilum.app.smart.asking import answer_url, form_pairs, once
from hilum.app.smart.consents import Consents
from hilum.app.smart.discovery import Addresses
from hilum.app.smart.ledger import Ledger
from hilum.app.smart.service import form_of
from hilum.app.smart.signing import Signer
from hilum.app.smart.window import Window, redirect

__all__ = ["Leaving"]


class Leaving:
    """Answers HTML and redirects. Who is signed in is signed out only for an id_token of ours that is about them."""

    def __init__(
        self, at: Addresses, apps: Apps, ledger: Ledger, consents: Consents, signer: Signer, window: Window
    ) -> None:
        self._at, self._apps, self._ledger, self._consents = at, apps, ledger, consents
        self._signer, self._window = signer, window

    async def leave(self, call: Call) -> Reply:
        """`GET` or `POST /smart/logout`. Without proof of whom it is about, the person decides at their account."""
        given = once(form_pairs(call.query)) if call.scope["method"] != "POST" else await form_of(call)
        claims = self._signer.read(given.get("id_token_hint", ""), self._at.issuer)
        app = self._apps.find(str(claims.get("aud", ""))) if claims else None
        cookie = self._window.cookie(call)
        session = self._ledger.session(cookie) if cookie else None
        is_about = session is None or (claims is not None and session.user.name == claims.get("sub"))
        if app is None or given.get("client_id", app.id) != app.id or not is_about:
            return redirect(self._at.account)
        if session is not None:
            await self._consents.sign_out(cookie, session)
        to = given.get("post_logout_redirect_uri", "")
        if to in app.redirects:
            return self._window.forget(redirect(answer_url(to, state=given.get("state", ""))))
        return self._window.forget(self._window.page(pages.signed_out()))
