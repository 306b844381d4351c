"""`hilum doctor`: what would keep an integration from running here and now."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import apsw

from hilum.app.api import listen
from hilum.app.arguments import Environment, Folder, Json
from hilum.app.opening import Opened, open_folder, store_file
from hilum.app.printing import print_json, print_table
from hilum.app.running import LEAST_FREE_BYTES, destinations_of, plan_of, sources_of
from hilum.app.sections import SECTIONS
from hilum.app.sending import unnamed
from hilum.config import Integration, Tree, examine
from hilum.errors import HilumError, NotFound, StoreBusy
from hilum.model import Finding, Severity
from hilum.store import ProcessLock

__all__ = ["command"]

OK, WARNING, ERROR = "ok", "warning", "error"


def command(
    folder: Folder = Path(),
    *,
    environment: Environment = None,
    json: Json = False,
) -> int:
    """Look at everything an integration needs: folder, secrets, store, totals, sources, destinations.

    Works with `hilum run` beside it or without. Exit status 1 when something would keep it from running right.
    """
    checks = list(_all(folder, environment))
    if json:
        print_json({"checks": [{"check": a, "state": b, "detail": c} for a, b, c in checks]})
    else:
        print_table(("check", "state", "detail"), checks, empty="")
    return 1 if any(state == ERROR for _, state, _ in checks) else 0


def _all(folder: Path, environment: str | None) -> Iterator[tuple[str, str, str]]:
    yield "sqlite", OK, f"{apsw.sqlite_lib_version()} with encryption"
    tree = examine(folder, SECTIONS, environment)
    yield from _findings("folder", tree.findings, "no findings")
    if tree.errors:
        return
    for where, secret in tree.secrets():
        yield from _findings(f"secret {where}", secret.probe(), secret.reference)
    yield from _disk(tree)
    yield from asyncio.run(_ways(tree))
    try:
        with open_folder(folder, environment) as opened:
            yield from _store(opened)
    except NotFound:
        yield "store", OK, "none yet: `hilum run` makes it"
    except HilumError as error:
        yield "store", ERROR, str(error)


def _findings(name: str, findings: tuple[Finding, ...] | list[Finding], fine: str) -> Iterator[tuple[str, str, str]]:
    for finding in findings:
        yield name, ERROR if finding.severity is Severity.ERROR else WARNING, str(finding)
    if not findings:
        yield name, OK, fine


def _disk(tree: Tree) -> Iterator[tuple[str, str, str]]:
    place = store_file(tree).parent
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    yield "disk", OK if free > LEAST_FREE_BYTES else ERROR, f"{free // 1_000_000} MB free for the store"


async def _ways(tree: Tree) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    for name, source in sources_of(tree).items():
        findings = await source.probe()
        if any(finding.code == "mllp-bind-failed" for finding in findings) and _is_running(tree):
            found.append((f"source {name}", OK, "`hilum run` listens here"))
        else:
            found += _findings(f"source {name}", findings, "can listen")
    for name, destination in destinations_of(tree).items():
        found += _findings(f"destination {name}", await destination.probe(), "can be reached")
    return [*found, *_api(tree)]


def _api(tree: Tree) -> Iterator[tuple[str, str, str]]:
    try:
        listen(tree.one(Integration).api).close()
    except HilumError as error:
        if error.code == "api-port-in-use" and _is_running(tree):
            yield "api", OK, "`hilum run` listens here"
        else:
            yield "api", ERROR, str(error)
    else:
        yield "api", OK, "can listen"


def _is_running(tree: Tree) -> bool:
    """Whether a `hilum run` has this store, and so its ports."""
    file = store_file(tree)
    lock = file.with_name(f"{file.name}.lock")
    if not lock.exists():
        return False
    try:
        ProcessLock(lock, "").release()
    except StoreBusy:
        return True
    return False


def _store(opened: Opened) -> Iterator[tuple[str, str, str]]:
    plan_of(opened)
    yield "workbook", OK, "compiles"
    ledger = opened.ledger()
    total = (
        f"received {ledger.received} = applied {ledger.applied} + held {ledger.held} "
        f"+ rejected {ledger.rejected} + waiting {ledger.waiting}"
    )
    yield "totals", OK if ledger.adds_up else ERROR, total if ledger.adds_up else f"{total}: off by {ledger.difference}"
    waiting = ledger.held + opened.repository.counts().exceptions
    yield "exceptions", WARNING if waiting else OK, f"{waiting} wait for a person" if waiting else "none"
    states = opened.repository.counts().deliveries
    held, dead = states["held"], states["dead"]
    said = f"{held} held for a person, {dead} given up" if held or dead else "none held or given up"
    yield "deliveries", WARNING if held or dead else OK, said
    for name, count in unnamed(opened).items():
        yield (
            f"destination {name}",
            WARNING,
            f"{count} deliveries wait for it, and this folder names no such destination",
        )
