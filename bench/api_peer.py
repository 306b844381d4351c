"""The FHIR API beside PyPI `fhirstarter`, whose example keeps patients in a dict: same machine, same load, in turn.

hilum runs as `hilum run` does: every read is audited on the disk before its answer, every create is validated, indexed,
audited and on the disk. The peer is installed by pip into an environment of its own, as its users have it; where that
is not possible, that is said. `HILUM_BENCH_PEER` names a Python that has it already (with uvicorn).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.api import CONNECTIONS, SECONDS

ROUNDS = 3
GOALS = {"read": 8.0, "create": 4.0}  # times the peer
PEER_PORT = 8123
TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
PATIENT = {
    "resourceType": "Patient",
    "identifier": [{"system": "urn:oid:1.2.3", "value": "100000"}],
    "active": True,
    "name": [{"use": "official", "family": "Synthetic", "given": ["Ada", "B"]}],
    "telecom": [{"system": "phone", "value": "555-0100", "use": "home"}],
    "gender": "female",
    "birthDate": "1970-01-01",
    "address": [{"line": ["1 Test Street"], "city": "Springfield", "state": "IL", "postalCode": "62701"}],
}


def run() -> dict[str, object]:
    """Requests per second and CPU per request of both, the median of the rounds; and how many times faster hilum is."""
    with tempfile.TemporaryDirectory() as folder:
        python = os.environ.get("HILUM_BENCH_PEER") or _install(Path(folder) / "peer")
        if python is None:
            return {"peer": "fhirstarter cannot be installed here: nothing to compare with"}
        with _peer(python) as peer, _hilum(Path(folder)) as hilum:
            rounds = [
                [(one, what, one.measure(what)) for what in GOALS for one in (peer, hilum)] for _ in range(ROUNDS)
            ]
    found = [one for some in rounds for one in some]
    theirs, ours = _medians(found, peer), _medians(found, hilum)
    return {
        "connections": CONNECTIONS,
        "load": "wrk" if shutil.which("wrk") else "bench/api.py",
        "fhirstarter": theirs,
        "hilum": ours,
        "goals": GOALS,
        "times_faster": {one: round(ours[one]["per_second"] / theirs[one]["per_second"], 1) for one in GOALS},
        "times_less_cpu": {one: round(theirs[one]["server_cpu_us"] / ours[one]["server_cpu_us"], 1) for one in GOALS},
    }


def _medians(found: list[tuple[_Server, str, dict[str, float]]], server: _Server) -> dict[str, dict[str, float]]:
    mine = {what: [result for one, asked, result in found if (one, asked) == (server, what)] for what in GOALS}
    figures = ("per_second", "p99_ms", "server_cpu_us")
    return {what: {name: statistics.median(one[name] for one in mine[what]) for name in figures} for what in GOALS}


class _Server:
    """A process that serves patients below `path`."""

    def __init__(self, process: subprocess.Popen[Any], port: int, path: str, token: str = "") -> None:
        self._process, self._port, self._path, self._token = process, port, path, token
        self._id = self._create()

    def measure(self, what: str) -> dict[str, float]:
        """One round of load by another process."""
        path = f"{self._path}/Patient"
        before = self._cpu()
        asked = (f"{path}/{self._id}", "") if what == "read" else (path, json.dumps(PATIENT))
        result = self._load(*asked)
        assert result["requests"] > 0, result
        assert result["failed"] == 0, result
        spent = self._cpu() - before
        return result | {"server_cpu_us": round(spent / result["requests"] * 1e6, 1)}

    def _load(self, path: str, body: str) -> dict[str, float]:
        if shutil.which("wrk"):
            return _wrk(f"http://127.0.0.1:{self._port}{path}", self._token, body)
        asked = json.dumps({"port": self._port, "token": self._token, "paths": [f"{path} {body}".strip()]})
        command = [sys.executable, "-m", "bench.api"]
        told = subprocess.run(command, input=asked.encode(), stdout=subprocess.PIPE, check=True)
        result: dict[str, float] = json.loads(told.stdout)
        return result

    def _create(self) -> str:
        headers = {"Content-Type": "application/fhir+json", "Authorization": f"Bearer {self._token}"}
        url = f"http://127.0.0.1:{self._port}{self._path}/Patient"
        asked = urllib.request.Request(url, json.dumps(PATIENT).encode(), headers, method="POST")
        with urllib.request.urlopen(asked, timeout=30) as answer:
            found = re.search(r"Patient/([^/]+)", answer.headers["Location"])
        assert found is not None
        return found[1]

    def _cpu(self) -> float:
        """Seconds; of the process alone, where the system tells."""
        stat = Path(f"/proc/{self._process.pid}/stat")
        if not stat.exists():
            return float("nan")
        fields = stat.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK


def _wrk(url: str, token: str, body: str) -> dict[str, float]:
    """The same load by wrk, which takes less of the machine."""
    script = [f'wrk.headers["Authorization"] = "Bearer {token}"', 'wrk.headers["Accept"] = "application/fhir+json"']
    if body:
        script += ['wrk.method = "POST"', f"wrk.body = [[{body}]]"]
        script += ['wrk.headers["Content-Type"] = "application/fhir+json"']
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write("\n".join(script))
        file.flush()
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{int(SECONDS)}s", "--latency", "-s", file.name, url]
        said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    requests, rate = re.search(r"(\d+) requests in", said), re.search(r"Requests/sec:\s+([\d.]+)", said)
    slow = re.search(r"99%\s+([\d.]+)(us|ms|s)", said)
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    assert requests is not None, said
    assert rate is not None, said
    assert slow is not None, said
    p99 = float(slow[1]) * {"us": 0.001, "ms": 1, "s": 1_000}[slow[2]]
    return {
        "requests": int(requests[1]),
        "per_second": round(float(rate[1])),
        "p99_ms": round(p99, 2),
        "failed": int(failed[1]) if failed else 0,
    }


def _install(folder: Path) -> str | None:
    """A Python with the peer; None where pip cannot get it."""
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    done = subprocess.run([python, "-m", "pip", "install", "--quiet", "fhirstarter", "uvicorn"], stdout=sys.stderr)
    return python if done.returncode == 0 else None


@contextmanager
def _peer(python: str) -> Iterator[_Server]:
    command = [python, "-m", "uvicorn", "fhirstarter.examples.example:app", "--port", str(PEER_PORT)]
    with _started([*command, "--log-level", "error"]) as process:
        _wait(lambda: _answers(f"http://127.0.0.1:{PEER_PORT}/metadata"), process)
        yield _Server(process, PEER_PORT, "")


@contextmanager
def _hilum(folder: Path) -> Iterator[_Server]:
    clinic = folder / "clinic"
    (clinic / "sources").mkdir(parents=True)
    settings = "use: bench\napi: {port: 0}\nparams: {unknown_namespace: local, zone: America/New_York}\n"
    (clinic / "integration.yaml").write_text(settings)
    (clinic / "sources" / "adt.yaml").write_text("kind: mllp\nport: 0\n")
    command = [sys.executable, "-m", "hilum.app.cli"]
    log = folder / "log"
    with log.open("w") as written, _started([*command, "run", str(clinic)], written) as process:
        _wait(lambda: "FHIR API:" in log.read_text(), process)
        found = re.search(r"FHIR API:\s+http://127\.0\.0\.1:(\d+)", log.read_text())
        assert found is not None
        make = [*command, "token", "create", "bench", str(clinic), "--role", "writer", "--json"]
        token = json.loads(subprocess.run(make, stdout=subprocess.PIPE, check=True).stdout)["token"]
        yield _Server(process, int(found[1]), "/fhir", token)


@contextmanager
def _started(command: list[str], log: Any = subprocess.DEVNULL) -> Iterator[subprocess.Popen[Any]]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def _wait(is_ready: Any, process: subprocess.Popen[Any]) -> None:
    until = time.monotonic() + 60
    while not is_ready():
        assert process.poll() is None, "the server has ended"
        assert time.monotonic() < until, "the server does not answer"
        time.sleep(0.2)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False
