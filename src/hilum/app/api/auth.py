"""Who asks: a bearer token (RFC 6750) from the Authorization header, and from nowhere else."""

from __future__ import annotations

import asyncio
import ipaddress
import re

from hilum.app.api.exchange import Call
from hilum.app.api.outcomes import Problem
from hilum.app.tokens import Grant, Permission, TokenRefused, Tokens

__all__ = ["Arrivals", "Denied", "authorize", "forbidden", "is_local", "out_of_scope", "peer", "token_in_url"]

_TOKEN_PARAMETER = re.compile(rb"(?:^|&)access_token=")
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Arrivals:
    """Looks tokens up once for all requests that arrive in one turn of the event loop; in the next turn, again."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._found: dict[str, Grant] = {}

    def authenticate(self, text: str) -> Grant:
        """Raises TokenRefused."""
        grant = self._found.get(text)
        if grant is None:
            grant = self._tokens.authenticate(text)
            if not self._found:
                asyncio.get_running_loop().call_soon(self._found.clear)
            self._found[text] = grant
        return grant


class Denied(Problem):
    """A request that may not have what it asks for. `actor` is known once a token's secret was proven."""

    actor: str = ""


def authorize(call: Call, tokens: Tokens | Arrivals, permission: Permission) -> Grant:
    """The grant behind a request. Raises Denied: 401 with a challenge, 403, or 400 for a token in the URL."""
    if call.query and _TOKEN_PARAMETER.search(call.query):
        raise token_in_url()
    scheme, _, text = call.header("authorization").partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise _challenge(
            code="token-missing", text="send a token: Authorization: Bearer <token from `hilum token create`>"
        )
    try:
        grant = tokens.authenticate(text.strip())
    except TokenRefused as refused:
        denied = _challenge(code=refused.code, text=refused.message, error="invalid_token")
        denied.actor = refused.actor
        raise denied from None
    if not grant.allows(permission):
        denied = forbidden(grant.role, permission)
        denied.actor = grant.actor
        raise denied
    return grant


def is_local(call: Call) -> bool:
    """Whether the request comes from this machine: not through a proxy, not from a web page that renamed its host."""
    if not _is_loopback(peer(call)) or any(call.header(name) for name in _FORWARDED):
        return False
    host = call.header("host").lower()
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return name in _LOCAL_NAMES


def peer(call: Call) -> str:
    """The address at the other end of the connection, "" when there is none."""
    client = call.scope.get("client")
    return str(client[0]) if client else ""


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _challenge(*, code: str, text: str, error: str = "") -> Denied:
    words = f', error="{error}", error_description="{code}"' if error else ""
    return Denied(code, 401, "login", text, headers={"WWW-Authenticate": f'Bearer realm="hilum"{words}'})


def token_in_url() -> Denied:
    """The refusal of a token that is a parameter (RFC 6750 2.3 allows it; logs and histories do not forget it)."""
    return Denied(
        code="token-in-url",
        status=400,
        kind="security",
        text="a token in a URL ends in logs: send it in the Authorization header, and revoke this one",
    )


def out_of_scope(type_: str) -> Denied:
    """The refusal of a whole type or action, which says nothing of any resource."""
    return Denied(
        code="scope-insufficient",
        status=403,
        kind="forbidden",
        text=f"no scope of this token allows this on {type_}; ask for one, as in patient/{type_}.rs",
        headers={"WWW-Authenticate": 'Bearer realm="hilum", error="insufficient_scope"'},
    )


def forbidden(role: str, permission: Permission) -> Denied:
    """The refusal of a token that is valid, but not for this."""
    return Denied(
        code="permission-denied",
        status=403,
        kind="forbidden",
        text=f"a token of role {role} lacks the permission {permission}; ask for another token",
        headers={"WWW-Authenticate": 'Bearer realm="hilum", error="insufficient_scope"'},
    )
