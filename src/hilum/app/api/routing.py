"""Which endpoint an address leads to: Starlette's routes, looked up by how many parts the address has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.routing import Route

from hilum.app.api.exchange import Endpoint
from hilum.app.api.outcomes import Problem

__all__ = ["Misdirected", "Routes"]


class Routes:
    """The routes in their order; the first that fits counts. No route has parts that are left out or repeated."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._by_parts: dict[int, list[tuple[Route, Endpoint]]] = defaultdict(list)
        for route in routes:
            assert isinstance(route.endpoint, Endpoint)
            self._by_parts[route.path.count("/")].append((route, route.endpoint))

    def find(self, scope: Mapping[str, Any]) -> tuple[Endpoint, dict[str, str]]:
        """The endpoint and the parameters in the path. Raises Problem 404 `address-unknown`, 405 `method-not-allowed`.

        A 405 has the endpoint as its `endpoint`, for the log.
        """
        path, method = scope["path"], scope["method"]
        others: list[tuple[Route, Endpoint]] = []
        for route, endpoint in self._by_parts.get(path.count("/"), ()):
            found = route.path_regex.match(path)
            if found is None:
                continue
            if route.methods is None or method in route.methods:
                return endpoint, found.groupdict()
            others.append((route, endpoint))
        raise Misdirected(others) if others else _unknown()


class Misdirected(Problem):
    """There is something, and it does not take this method."""

    def __init__(self, found: Sequence[tuple[Route, Endpoint]]) -> None:
        route, self.endpoint = found[0]
        allowed = ", ".join(sorted(route.methods or ()))
        text = f"this address takes {allowed} only"
        super().__init__("method-not-allowed", 405, "not-supported", text, headers={"Allow": allowed})


def _unknown() -> Problem:
    return Problem("address-unknown", 404, "not-found", "there is nothing here; /fhir/metadata lists what is served")
