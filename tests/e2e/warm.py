"""Starts `hilum` commands by forking a process that has imported everything: the same program, a second sooner.

A request comes as JSON with one end of a socket pair: over it go the pid, and when the command has ended its status.
When the other end is closed before that, the command is killed: nothing outlives the tests. The process in which a run
translates is forked here as well; one that is started as a person would (`fresh`) starts it as hilum does.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from joserfc.jwk import RSAKey

from hilum.app.api.surface import served
from hilum.app.cli import main
from hilum.mapping import compile_workbook, load_base
from hilum.store import fault
from hilum.translator import child, processes

LAZILY_LOADED = (
    "anyio._backends._asyncio",
    "hilum.app.commands.run",
    "httpcore2",
    "uvicorn.protocols.http.httptools_impl",
)
sys.path.insert(0, str(Path(__file__).parents[1] / "store"))


def serve(requests: socket.socket) -> None:
    """Requests of the tests for commands, until there are none any more, and of commands for their translators."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # neither keepers nor translators are waited for
    of_commands, ask_here = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    while True:
        asked = select.select([requests, of_commands], [], [])[0][0]
        data, descriptors, _, _ = socket.recv_fds(asked, 65_536, 3)
        if not data:
            return
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            requests.close()
            of_commands.close()
            if asked is of_commands:
                ask_here.close()
                translate(*descriptors)
            processes.subprocess = SimpleNamespace(Popen=partial(Translator, ask_here), DEVNULL=None)  # type: ignore
            keep(json.loads(data), socket.socket(fileno=descriptors[0]))
        for descriptor in descriptors:
            os.close(descriptor)


class Translator:
    """What `Processes` uses of Popen, for a process forked by the warm one."""

    def __init__(self, ask: socket.socket, _command: list[str], *, stdin: None, pass_fds: list[int]) -> None:
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                socket.send_fds(ask, [b"translator"], [theirs.fileno(), *pass_fds, 2])
            self.pid = int(ours.recv(16))
        self._ended = os.pidfd_open(self.pid)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._ended, signal.SIGKILL)

    def wait(self) -> None:
        select.select([self._ended], [], [])
        os.close(self._ended)


def translate(asker: int, line: int, log: int) -> None:
    os.write(asker, b"%d" % os.getpid())
    os.close(asker)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = ["child", str(line)]
    child.main()
    os._exit(0)


def keep(request: dict[str, Any], asker: socket.socket) -> None:
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
    served()
    signing_key = RSAKey.generate_key(2_048)
    RSAKey.generate_key = lambda *_: signing_key  # a run makes its own: that is tested once, not at every start
    gc.freeze()
    serve(socket.socket(fileno=int(sys.argv[1])))
