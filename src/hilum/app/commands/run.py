"""`hilum run`: an integration at work."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hilum.app.arguments import Environment, Folder
from hilum.app.logs import Log, logs_of_service
from hilum.app.loop import fast_runner
from hilum.app.memory import settle_memory
from hilum.app.opening import check_secrets, open_folder
from hilum.app.running import running, stop_signals, until_stopped
from hilum.app.sending import unnamed

__all__ = ["command"]


def command(
    folder: Folder = Path(),
    *,
    log: Annotated[Log, Parameter(help="What standard error is for; auto: lines on a terminal, else JSON.")] = Log.AUTO,
    environment: Environment = None,
) -> int:
    """Run an integration: receive, keep, map, store, send; serve the FHIR API.

    It runs until SIGTERM or Ctrl-C, which drain: what was received is answered, what is at hand is finished. Killing it
    is safe as well. A folder with findings is not run; one store has one `hilum run`.

    On a terminal it says where it listens, and then only what needs somebody, a line each. Where standard error is no
    terminal (a service, a file, a pipe), and with --log json, it also logs every event as a line of JSON.
    """
    with logs_of_service(log), fast_runner() as runner:
        return runner.run(_run(folder, environment))


async def _run(folder: Path, environment: str | None) -> int:
    stop = stop_signals()
    with open_folder(folder, environment, exclusive=True, create=True) as opened:
        if not opened.journal.route_counts():  # after a start this is the one sign of a store that was lost
            print(f"store:     {opened.store.path} is new, nothing was received yet", file=sys.stderr)
        check_secrets(opened.tree)
        for name, count in unnamed(opened).items():
            print(f"waiting:   {count} deliveries to `{name}`, which this folder does not name", file=sys.stderr)
        async with running(opened) as state:
            for name, address in state.addresses().items():
                print(f"listening: {name}, {address}", file=sys.stderr)
            print(f"FHIR API:  {state.listener.base_url}/fhir", file=sys.stderr, flush=True)
            settle_memory()
            await until_stopped(stop, state.engine)
    return 0
