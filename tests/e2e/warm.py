"""Starts `hilum` commands by forking a process that has imported everything: the same program, a second sooner.

A request comes as JSON with one end of a socket pair: over it go the pid, and when the command has ended its status.
When the other end is closed before that, the command is killed: nothing outlives the tests.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from hilum.app.cli import main
from hilum.mapping import compile_workbook, load_base
from hilum.store import fault

LAZILY_LOADED = (
    "anyio._backends._asyncio",
    "hilum.app.commands.run",
    "httpcore2",
    "uvicorn.protocols.http.httptools_impl",
)
sys.path.insert(0, str(Path(__file__).parents[1] / "store"))


def serve(requests: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers are not waited for
    while True:
        data, descriptors, _, _ = socket.recv_fds(requests, 65_536, 1)
        if not data:
            return
        if os.fork() == 0:
            requests.close()
            keep(json.loads(data), socket.socket(fileno=descriptors[0]))
        os.close(descriptors[0])


def keep(request: dict[str, Any], asker: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        asker.close()
        sys.exit(run(request))
    asker.sendall(b"%d\n" % pid)
    ended = os.pidfd_open(pid)
    while ended not in (readable := select.select([ended, asker], [], [])[0]):
        if asker in readable:
            os.kill(pid, signal.SIGKILL)
            break
    asker.sendall(b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    os._exit(0)


def run(request: dict[str, Any]) -> int:
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if request["crash_at"]:
        fault.reach = fault._Countdown(request["crash_at"])
    if request["disk"]:
        use_faulty_disk(Path(request["disk"]))
    return main(request["arguments"])


def use_faulty_disk(switch: Path) -> None:
    """Writes and syncs of the store fail as the file `switch` says, while it says something."""
    from faulty_disk import FaultyDisk

    from hilum.store import connection

    class Switched(FaultyDisk):
        @property
        def failing(self) -> str:
            return switch.read_text() if switch.exists() else ""

        @failing.setter
        def failing(self, how: str) -> None:
            assert not how

    disk = Switched("switched-disk")
    connection._vfs = lambda _: f"multipleciphers-{disk.name}"


if __name__ == "__main__":
    for name in LAZILY_LOADED:
        import_module(name)
    compile_workbook(load_base())
    serve(socket.socket(fileno=int(sys.argv[1])))
