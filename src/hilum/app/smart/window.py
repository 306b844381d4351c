"""A person's browser: its cookie, the forms that it posts, and pages with the headers that keep them safe."""

from __future__ import annotations

from urllib.parse import urlsplit

from hilum.app.api.exchange import Call, Reply
from hilum.app.smart.asking import form_pairs, once
from hilum.app.smart.problems import OAuthProblem
from hilum.app.smart.service import form_of

__all__ = ["Window", "redirect"]

HTML = "text/html; charset=utf-8"


class Window:
    """`issuer` is the address of this server; `provider` the origin of another place to sign in, or ""."""

    def __init__(self, issuer: str, provider: str) -> None:
        parts = urlsplit(issuer)
        self._origin, self._provider = f"{parts.scheme}://{parts.netloc}", provider
        self._is_secure = parts.scheme == "https"
        self._cookie = "__Host-hilum" if self._is_secure else "hilum"

    def cookie(self, call: Call) -> str:
        """The cookie of this browser, "" for none."""
        found = [part.strip().partition("=") for part in call.header("cookie").replace(",", ";").split(";")]
        values = [value for name, _, value in found if name == self._cookie]
        return values[0] if len(values) == 1 and len(values[0]) <= 100 else ""

    async def form(self, call: Call) -> dict[str, str]:
        """A form of one of our pages, each name once."""
        self._check_origin(call)
        return await form_of(call)

    async def pairs(self, call: Call, repeated: str) -> list[tuple[str, str]]:
        """A form in which this name may stand several times."""
        self._check_origin(call)
        pairs = form_pairs(await call.body())
        once([one for one in pairs if one[0] != repeated])
        return pairs

    def page(self, html: str, status: int = 200, *, cookie: str = "", to: str = "") -> Reply:
        """A page, whose forms may lead to `to` in the end. `cookie` is what this browser has from now on."""
        headers = {
            "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; "
            f"frame-ancestors 'none'; form-action 'self'{self._targets(to)}",
        }
        if cookie:
            headers["Set-Cookie"] = self._set(cookie)
        return Reply(status, html.encode(), headers, content_type=HTML)

    def keep(self, reply: Reply, cookie: str) -> Reply:
        """The same answer, and this browser has this cookie from now on."""
        reply.headers.append((b"set-cookie", self._set(cookie).encode()))
        return reply

    def forget(self, reply: Reply) -> Reply:
        """The same answer, and this browser has no cookie any more."""
        reply.headers.append((b"set-cookie", f"{self._set('')}; Max-Age=0".encode()))
        return reply

    def _set(self, cookie: str) -> str:
        secure = "; Secure" if self._is_secure else ""
        return f"{self._cookie}={cookie}; Path=/; HttpOnly; SameSite=Lax{secure}"

    def _targets(self, to: str) -> str:
        """Browsers hold a form to form-action along its redirects, too: the app's address is the last of them."""
        target = urlsplit(to)
        place = (
            f" {target.scheme}://{target.netloc}" if target.netloc else f" {target.scheme}:" if target.scheme else ""
        )
        return f"{place} {self._provider}" if self._provider else place

    def _check_origin(self, call: Call) -> None:
        """A second guard beside seal and SameSite: browsers say which page a form came from."""
        origin = call.header("origin")
        if origin and origin not in (self._origin, "null"):
            raise OAuthProblem("invalid_request", "this form came from another site; start again", code="page-stale")


def redirect(url: str) -> Reply:
    """On to there, with a GET."""
    return Reply(303, b"", {"Location": url})
