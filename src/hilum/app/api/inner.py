"""Requests within a request: an entry of a bundle goes the way that it would go alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hilum.app.api.exchange import Call, Reply
from hilum.app.api.outcomes import Problem
from hilum.app.api.routing import Routes

__all__ = ["Inner"]

_AS_FHIR = (b"accept", b"application/fhir+json")


class Inner:
    """Calls the routes with requests that were never on the wire. The bearer token is that of the request outside."""

    def __init__(self, routes: Callable[[], Routes]) -> None:
        self._routes = routes  # made when the last of them is known

    async def __call__(
        self, method: str, url: str, headers: list[tuple[bytes, bytes]], body: bytes, outside: Call
    ) -> Reply:
        """`url` is below the FHIR base. Raises Problem, `address-unknown` among them."""
        path, _, query = url.partition("?")
        token = [(name, value) for name, value in outside.scope["headers"] if name == b"authorization"]
        scope: dict[str, Any] = {
            **outside.scope,
            "method": method,
            "path": f"/fhir/{path}" if path or method != "GET" else "/fhir",
            "query_string": query.encode(),
            "headers": [*token, _AS_FHIR, *headers],  # an entry holds a resource, also of a Binary
        }

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        try:
            endpoint, scope["path_params"] = self._routes().find(scope)
        except Problem:
            text = "there is nothing at this url, or it does not take this method"
            raise Problem("address-unknown", 404, "not-found", text) from None
        return await endpoint.answer(Call(scope, receive))
