"""Requests within a request: an entry of a bundle goes the way that it would go alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.routing import Match, Route

from hilum.app.api.exchange import Call, Endpoint, Reply
from hilum.app.api.outcomes import Problem

__all__ = ["Inner"]


class Inner:
    """Calls the routes with requests that were never on the wire. The bearer token is that of the request outside."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = routes

    async def __call__(
        self, method: str, url: str, headers: list[tuple[bytes, bytes]], body: bytes, outside: Call
    ) -> Reply:
        """`url` is below the FHIR base. Raises Problem, `address-unknown` among them."""
        path, _, query = url.partition("?")
        token = [(name, value) for name, value in outside.scope["headers"] if name == b"authorization"]
        scope: dict[str, Any] = {
            **outside.scope,
            "method": method,
            "path": f"/fhir/{path}",
            "query_string": query.encode(),
            "headers": [*token, *headers],
        }

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        for route in self._routes:
            match, child = route.matches(scope)
            if match is Match.FULL and isinstance(route.endpoint, Endpoint):
                return await route.endpoint.answer(Call({**scope, **child}, receive))
        text = "there is nothing at this url, or it does not take this method"
        raise Problem("address-unknown", 404, "not-found", text)
