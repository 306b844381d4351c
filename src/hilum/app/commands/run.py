"""`hilum run`: an integration at work."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hilum.app.logs import set_up_logs
from hilum.app.loop import fast_runner, settle_memory
from hilum.app.opening import open_folder
from hilum.app.running import running, stop_signals, until_stopped

__all__ = ["command"]


def command(
    folder: Annotated[Path, Parameter(help="The integration folder.")] = Path(),
    *,
    environment: Annotated[str | None, Parameter(help="Use environments/NAME.yaml.")] = None,
) -> int:
    """Run an integration: receive, keep, map, store, send; serve the FHIR API.

    It runs until SIGTERM or Ctrl-C, which drain: what was received is answered, what is at hand is finished. Killing it
    is safe as well. A folder with findings is not run; one store has one `hilum run`. Logs are JSON on standard error.
    """
    set_up_logs()
    with fast_runner() as runner:
        return runner.run(_run(folder, environment))


async def _run(folder: Path, environment: str | None) -> int:
    stop = stop_signals()
    with open_folder(folder, environment, exclusive=True, create=True) as opened:
        async with running(opened) as state:
            for name, address in state.addresses().items():
                print(f"listening: {name}, {address}", file=sys.stderr)
            print(f"FHIR API:  {state.listener.base_url}/fhir", file=sys.stderr, flush=True)
            settle_memory()
            await until_stopped(stop, state.engine)
    return 0
