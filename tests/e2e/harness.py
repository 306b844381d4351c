"""A real `hilum run` in its own process, a sender that behaves as senders do, and the invariants of the journey."""

from __future__ import annotations

import atexit
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from hilum.app.opening import Opened, open_folder
from hilum.app.tokens import Role
from hilum.engine import Ledger
from hilum.journal import Found, MessageQuery
from hilum.repository import Query, SearchTerm, Stored

INTEGRATION = """use: crash-test
owners:
  mapping: {business: ann, technical: bob, evidence: cy, launch: dee}
api: {port: 0}
params: {unknown_namespace: local, zone: America/New_York}
"""
ADT = "kind: mllp\nport: 0\nowner: registration\nack: {mode: original}\n"
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
PATIENCE = 60.0  # seconds until a test gives up waiting
ROOT = Path(__file__).resolve().parents[2]


def write_folder(folder: Path, sources: dict[str, str] | None = None, integration: str = INTEGRATION) -> Path:
    (folder / "sources").mkdir(parents=True)
    (folder / "integration.yaml").write_text(integration)
    for name, text in (sources or {"adt": ADT}).items():
        (folder / "sources" / f"{name}.yaml").write_text(text)
    return folder


def write_destination(folder: Path, name: str, text: str, route: str = "") -> None:
    (folder / "destinations").mkdir(exist_ok=True)
    (folder / "destinations" / f"{name}.yaml").write_text(text)
    with (folder / "integration.yaml").open("a") as file:
        file.write(f"routes:\n  - {{to: {name}{route}}}\n")


def moment(seconds: float) -> str:
    """An HL7 time, so many seconds after the start of the story."""
    return (START + timedelta(seconds=seconds)).strftime("%Y%m%d%H%M%S+0000")


def adt(
    patient: int | str,
    control_id: str,
    name: str,
    *,
    step: float = 0,
    kind: str = "A08",
    retired: int | str = "",
    ask: str = "",
) -> bytes:
    """One ADT message about one patient; with `retired` a merge of that number into this one."""
    segments = [
        f"MSH|^~\\&|EHR|HOSP|HILUM|X|{moment(step)}||ADT^{kind}^ADT_A01|{control_id}|P|2.5.1|||{ask}",
        f"EVN|{kind}|{moment(step)}",
        f"PID|1||{patient}^^^HOSP^MR||Family^{name}||19700101|F",
        f"MRG|{retired}^^^HOSP^MR" if retired else "PV1|1|N",
    ]
    return ("\r".join(segments) + "\r").encode()


def update(patient: int, step: int) -> tuple[str, bytes]:
    """The nth update of one patient: control id and message; the given name counts the steps."""
    control_id = f"P{patient}S{step}"
    return control_id, adt(patient, control_id, f"Given{step:05d}", step=step)


# --- the process -----------------------------------------------------------------------------------------------------


class _Warm:
    """The process that forks the others; started when it is first needed."""

    def __init__(self) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            descriptor = theirs.fileno()
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("warm.py")), str(descriptor)], pass_fds=[descriptor]
            )
        atexit.register(self.close)

    def start(self, request: dict[str, Any]) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._requests, [json.dumps(request).encode()], [theirs.fileno()])
        return ours

    def close(self) -> None:
        self._requests.close()
        self._process.wait(10)


_warm: list[_Warm] = []


class _Forked:
    """What is used of Popen, for a process forked by the warm one."""

    def __init__(self, request: dict[str, Any]) -> None:
        if not _warm:
            _warm.append(_Warm())
        self._socket = _warm[0].start(request)
        self._lines = self._socket.makefile("r")
        self.pid = int(self._lines.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        with suppress(TimeoutError):
            self.wait(0.0001)
        return self.returncode

    def wait(self, seconds: float) -> int:
        if self.returncode is None:
            self._socket.settimeout(seconds)
            line = self._socket.recv(64)
            self.returncode = int(line)
            self._lines.close()
            self._socket.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def _exec(request: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Started as a person would."""
    environment = {key: value for key, value in os.environ.items() if key != "HILUM_CRASH_AT"}
    if request["crash_at"]:
        environment["HILUM_CRASH_AT"] = request["crash_at"]
    with Path(request["log"]).open("ab") as log:
        command = [sys.executable, "-m", "hilum.app.cli", *request["arguments"]]
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment)


_runs = count(1)


class Hilum:
    """One `hilum run`. `ports` by source once it listens. `fresh` starts Python anew instead of forking a warm one."""

    def __init__(self, folder: Path, crash_at: str = "", *, fresh: bool = False, disk: Path | None = None) -> None:
        self.folder = folder
        self._log = folder.parent / f"run-{next(_runs)}.log"
        request = {
            "arguments": ["run", str(folder)],
            "log": str(self._log),
            "crash_at": crash_at,
            "disk": str(disk or ""),
        }
        self.process = _exec(request) if fresh or not hasattr(os, "pidfd_open") else _Forked(request)
        self.ports: dict[str, int] = {}
        self.api = ""
        self._token = ""
        wait_until(lambda: self._listens() or self.process.poll() is not None, "it neither listens nor ends", 0.01)

    def _listens(self) -> bool:
        log = self.log
        if found := re.search(r"^FHIR API:\s+(\S+)\n", log, re.MULTILINE):
            self.ports = {
                name: int(port) for name, port in re.findall(r"^listening: (\S+), MLLP port (\d+)", log, re.MULTILINE)
            }
            self.api = found[1]
        return bool(self.api)

    @property
    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    @property
    def is_up(self) -> bool:
        return bool(self.api) and self.process.poll() is None

    @property
    def port(self) -> int:
        """Of the one MLLP source."""
        (port,) = self.ports.values()
        return port

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def wait_for_death(self, seconds: float = 30) -> int:
        return self.process.wait(seconds)

    def get(self, path: str) -> tuple[int, Any]:
        """Read the FHIR API as a program with a token does: status and JSON."""
        if not self._token:
            with open_folder(self.folder) as opened:
                self._token = opened.tokens.create(f"t{next(_runs)}", Role.READER, 3600, by="test").text
        request = urllib.request.Request(f"{self.api}/{path}", headers={"Authorization": f"Bearer {self._token}"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def get_health(self, page: str) -> bool:
        """Whether `livez` or `readyz` says yes."""
        try:
            with urllib.request.urlopen(f"{self.api.removesuffix('/fhir')}/{page}", timeout=30) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            error.close()
            return False


@contextmanager
def hilum(folder: Path, crash_at: str = "", *, fresh: bool = False, disk: Path | None = None) -> Iterator[Hilum]:
    running = Hilum(folder, crash_at, fresh=fresh, disk=disk)
    try:
        yield running
    except BaseException:
        print(running.log)  # shown by pytest when the test fails
        raise
    finally:
        if running.process.poll() is None:
            running.kill()


# --- a sender --------------------------------------------------------------------------------------------------------


def frame(body: bytes) -> bytes:
    return b"\x0b" + body + b"\x1c\r"


class Answer(msgspec.Struct, frozen=True):
    code: str  # MSA-1
    control_id: str  # MSA-2
    body: bytes

    def __iter__(self) -> Iterator[str]:
        return iter((self.code, self.control_id))


class Sender:
    """Stop-and-wait over one connection, given up when that is lost; whoever uses it decides to send again."""

    def __init__(self, port: int, seconds: float = 20) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self._rest = b""

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, body: bytes) -> Answer:
        """Raises OSError or EOFError when the connection is lost before the answer."""
        self.socket.sendall(frame(body))
        return self.answer()

    def answer(self) -> Answer:
        """The next answer."""
        while b"\x1c\r" not in self._rest:
            chunk = self.socket.recv(65_536)
            if not chunk:
                raise EOFError
            self._rest += chunk
        body, _, self._rest = self._rest.partition(b"\x1c\r")
        body = body.removeprefix(b"\x0b")
        msa = next(part for part in body.split(b"\r") if part.startswith(b"MSA")).split(body[3:4])
        return Answer(msa[1].decode(), msa[2].decode("latin-1"), body)


def send_until_lost(port: int, messages: Iterable[tuple[str, bytes]]) -> set[str]:
    """Control ids with a positive answer, until the messages or the connection end."""
    acked: set[str] = set()
    with suppress(OSError, EOFError), Sender(port) as sender:
        for control_id, body in messages:
            code, answered = sender.send(body)
            assert answered == control_id
            if code in ("AA", "CA"):
                acked.add(control_id)
    return acked


# --- looking at what is stored ---------------------------------------------------------------------------------------


def wait_until(condition: Callable[[], Any], otherwise: str, pause: float = 0.02) -> Any:
    """What the condition gives once it gives something."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, otherwise
        time.sleep(pause)
    return found


def wait_until_none(count: Callable[[], int], otherwise: str, pause: float = 0.02) -> None:
    """Until nothing is left; patience begins anew with all that is done, however slow the machine."""
    fewest, deadline = count(), time.monotonic() + PATIENCE
    while fewest:
        left = count()
        if left < fewest:
            fewest, deadline = left, time.monotonic() + PATIENCE
        assert time.monotonic() < deadline, f"{otherwise}: {left}"
        time.sleep(pause)


def waiting(opened: Opened) -> int:
    """Messages that no worker has come to."""
    return opened.journal.counts(opened.repository.positions()).waiting


def wait_until_applied(opened: Opened) -> None:
    wait_until_none(lambda: waiting(opened), "messages are still waiting")


def settled(folder: Path) -> Ledger:
    """The ledger once nothing is left to read; it adds up."""
    with open_folder(folder) as opened:
        wait_until_applied(opened)
        ledger = opened.ledger()
    assert ledger.difference == 0
    assert ledger.fields.adds_up
    return ledger


def check_invariants(folder: Path, sent: dict[int, list[str]], acked: set[str]) -> None:
    """acked = stored, lost 0, effects doubled 0, order violations 0, totals equal. `sent`: control ids per patient."""
    with open_folder(folder) as opened:
        wait_until_applied(opened)
        ledger = opened.ledger()
        everything = [control_id for ids in sent.values() for control_id in ids]
        stored = [one for control_id in everything for one in _stored(opened, control_id)]
        assert acked <= set(stored), "a message that was acknowledged is not in the journal"
        assert sorted(stored) == sorted(everything), "a message is missing, or is there twice"
        assert ledger.received == len(everything)
        assert ledger.difference == 0
        assert ledger.adds_up
        assert ledger.applied == len(everything)
        for patient, ids in sent.items():
            assert given_names(opened, patient) == [f"Given{int(one.rpartition('S')[2]):05d}" for one in ids]
        report = opened.journal.verify_now()
        assert report.ok, report.problem


def _stored(opened: Opened, control_id: str) -> list[str]:
    return [one.envelope.control_id for one in find(opened, control_id)]


def find(opened: Opened, control_id: str) -> tuple[Found, ...]:
    return opened.journal.messages(MessageQuery(control_id=control_id)).messages


def patients(opened: Opened, number: int | str) -> tuple[Stored, ...]:
    return opened.repository.search(Query("Patient", (SearchTerm("identifier", (str(number),)),))).matches


def open_deliveries(opened: Opened) -> int:
    return sum(n for state, n in opened.repository.counts().deliveries.items() if state in ("due", "claimed"))


def given_names(opened: Opened, patient: int | str) -> list[str]:
    """The name in every version of a patient, oldest first."""
    matches = patients(opened, patient)
    assert len(matches) == 1, f"{len(matches)} resources for one patient"
    versions = opened.repository.history("Patient", matches[0].id, limit=1_000_000)
    return [msgspec.json.decode(one.body)["name"][0]["given"][0] for one in reversed(versions)]
