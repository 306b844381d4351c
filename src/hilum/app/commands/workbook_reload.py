"""`hilum workbook reload`: the running hilum takes the workbook as it is now."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hilum.app.arguments import Environment, Folder, Json
from hilum.app.opening import open_folder, whoami
from hilum.app.printing import print_json
from hilum.app.running import plan_of

__all__ = ["command"]


def command(folder: Folder = Path(), *, environment: Environment = None, json: Json = False) -> int:
    """Let a running hilum take the workbook as it is now, without a stop.

    The tables are compiled first; with an error nothing is asked for. From then on new messages and replays are mapped
    by them. Messages that were applied before stay as they are. Settings in integration.yaml, sources and destinations
    need a new start. `hilum workbook diff` shows what a change does before you take it.
    """
    with open_folder(folder, environment) as opened:
        plan_of(opened)
        asyncio.run(opened.repository.request_reload(whoami()))
        opened.audit("reload", "workbook", "asked")
    if json:
        print_json({"asked": True})
    else:
        print(
            "asked: a running hilum takes the workbook once it has compiled it, and its log says so; "
            "one that starts later takes it anyway"
        )
    return 0
