"""Health and metrics: /livez, /readyz, /metrics."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import msgspec

from hilum.app.api import metrics
from hilum.app.api.auth import is_local
from hilum.app.api.exchange import Call, Reply
from hilum.app.api.health import Check, Health
from hilum.app.api.negotiation import JSON
from hilum.app.api.outcomes import Problem, issue

__all__ = ["Operations"]


class Operations:
    """Asks the engine how it is. The thread is one: scrapes queue up instead of counting side by side."""

    def __init__(self, health: Health, http: metrics.HttpMetrics, services: metrics.Services) -> None:
        self._health, self._services = health, services
        self._http = http
        self._thread = _thread()

    def close(self) -> None:
        """End the thread. The app may be started again."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._thread = _thread()

    async def alive(self, _: Call) -> Reply:
        """`GET /livez`: the event loop turns."""
        return Reply(200, b'{"status":"alive"}', content_type=JSON)

    async def ready(self, call: Call) -> Reply:
        """`GET /readyz`: 200 when every check passes, else 503 with one issue per failed check.

        Names for everybody, as probes have no token; details for callers on this machine.
        """
        checks = await asyncio.get_running_loop().run_in_executor(self._thread, self._health.checks)
        failed = [check for check in checks if not check.ok]
        local = is_local(call)
        if failed:
            raise _not_ready(failed, local=local)
        shown = [{"name": check.name, "ok": True, **({"detail": check.detail} if local else {})} for check in checks]
        return Reply(200, msgspec.json.encode({"status": "ready", "checks": shown}), content_type=JSON)

    async def metrics(self, _: Call) -> Reply:
        """`GET /metrics` in the text format of Prometheus."""
        loop = asyncio.get_running_loop()
        store = await loop.run_in_executor(self._thread, metrics.render, self._health, self._services)
        return Reply(200, store + self._http.render(), content_type=metrics.CONTENT_TYPE)


def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="hilum-health")


def _not_ready(failed: list[Check], *, local: bool) -> Problem:
    problem = Problem("not-ready", 503, "transient", "", headers={"Retry-After": "5"})
    problem.issues = tuple(
        issue(code="not-ready", kind="transient", text=f"{check.name} is not ready{_detail(check, local)}")
        for check in failed
    )
    return problem


def _detail(check: Check, local: bool) -> str:
    return f": {check.detail}" if local and check.detail else "; ask on the machine itself for details"
