"""`hilum journal`: is it what was written, and what is kept for how long."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from hilum.app import housekeeping
from hilum.app.arguments import Environment, Folder, Json
from hilum.app.opening import open_folder, whoami
from hilum.app.printing import print_json, print_table
from hilum.config import retention_days
from hilum.errors import HilumError
from hilum.journal import head_from_bytes, head_to_bytes

__all__ = ["app"]

app = App(name="journal", help="Verify that the journal is what was written; seal and retire old parts of it.")


@app.command
def verify(
    folder: Folder = Path(),
    *,
    head: Annotated[Path | None, Parameter(help="A head exported earlier: finds a cut-off tail as well.")] = None,
    environment: Environment = None,
    json: Json = False,
) -> int:
    """Walk the whole chain, live and sealed, and check every signature. Works beside a running hilum."""
    with open_folder(folder, environment) as opened:
        report = opened.journal.verify_now(head_from_bytes(head.read_bytes()) if head else None)
    if json:
        print_json(report)
    else:
        facts = [("messages", report.messages), ("heads", report.heads), ("signed heads", report.signed_heads)]
        print_table(("", "count"), facts, empty="")
        print("the journal is what was written" if report.ok else f"NOT verified: {report.problem}")
        if report.first_bad_seq:
            print(f"first bad message: {report.first_bad_seq}")
    return 0 if report.ok else 1


@app.command
def head(folder: Folder = Path(), *, environment: Environment = None) -> int:
    """Print the signed head. Keep it elsewhere: with it, `verify --head` finds a journal that was cut short."""
    with open_folder(folder, environment) as opened:
        sys.stdout.buffer.write(head_to_bytes(opened.journal.export_head()))
        sys.stdout.buffer.flush()
    return 0


@app.command
def seal(
    folder: Folder = Path(),
    *,
    older_than: Annotated[str, Parameter(help="Seal what came before this long ago: P30D, P1Y.")] = "P30D",
    environment: Environment = None,
    json: Json = False,
) -> int:
    """Move old messages into signed, compressed, encrypted files. They stay readable and searchable.

    `hilum run` does so every hour for what is older than 30 days.
    """
    with open_folder(folder, environment) as opened:
        sealed = asyncio.run(housekeeping.seal(opened, retention_days(older_than)))
    if json:
        print_json({"sealed": sealed})
    else:
        print(f"{sealed} messages sealed")
    return 0


@app.command
def retire(folder: Folder = Path(), *, environment: Environment = None, json: Json = False) -> int:
    """Delete sealed messages older than `store.retain`; a signed tombstone stays of each file.

    `hilum run` does so every hour.
    """
    with open_folder(folder, environment) as opened:
        if opened.integration.store.retain is None:
            raise HilumError(
                "integration.yaml says nothing of store.retain, so everything is kept", code="retain-unset"
            )
        retired = asyncio.run(housekeeping.retire(opened, whoami()))
    if json:
        print_json({"retired": retired})
    else:
        print(f"{retired} messages retired")
    return 0
