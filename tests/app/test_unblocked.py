"""Lines for a standard error that nobody reads, reads late, or has closed."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from hilum.app.unblocked import Unblocked, unblocked_stderr

REQUESTS = 500  # of 250 bytes of log each: twice what a pipe holds


class Pipe:
    """A stream into a pipe, and what was told of lines left out."""

    def __init__(self, most: int) -> None:
        self.reading, writing = os.pipe()
        self.under: TextIO = os.fdopen(writing, "w")
        self.told = threading.Event()
        self.counts: list[int] = []
        self.stream = Unblocked(self.under, self._tell, most=most)

    def _tell(self, count: int) -> None:
        self.counts.append(count)
        self.stream.write(f"left out {count}\n")
        self.told.set()

    def read_until(self, end: bytes) -> list[str]:
        found = b""
        while not found.endswith(end):
            found += os.read(self.reading, 65_536)
        return found.decode().splitlines()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe(most=200_000)
    yield made
    assert made.stream.end()
    made.under.close()


def test_lines_come_out_whole_and_in_order(pipe: Pipe) -> None:
    for number in range(1_000):
        print("line", number, file=pipe.stream)
    assert pipe.read_until(b"line 999\n") == [f"line {number}" for number in range(1_000)]
    assert not pipe.counts


def test_beyond_what_may_wait_lines_are_left_out_and_their_number_is_told_to_the_late_reader(pipe: Pipe) -> None:
    lines = [f"line {number:05d}" for number in range(40_000)]
    for line in lines:
        pipe.stream.write(f"{line}\n")  # 440 kB: more than pipe and queue hold, and nobody reads
    assert not pipe.told.is_set()
    found: list[str] = []
    while not found or not found[-1].startswith("left out"):
        found += pipe.read_until(b"\n")
    assert found[:-1] == lines[: len(found) - 1]
    assert pipe.counts == [len(lines) - len(found) + 1]
    assert found[-1] == f"left out {pipe.counts[0]}"


def test_a_line_of_one_thread_is_not_cut_by_those_of_another(pipe: Pipe) -> None:
    pipe.stream.write("begun ")
    other = threading.Thread(target=lambda: pipe.stream.write("of another\n"))
    other.start()
    other.join()
    pipe.stream.write("and ended\n")
    assert pipe.read_until(b"ended\n") == ["of another", "begun and ended"]


def test_a_reader_who_has_gone_costs_lines_and_no_error(pipe: Pipe) -> None:
    os.close(pipe.reading)
    for number in range(100):
        pipe.stream.write(f"line {number}\n")
    assert pipe.stream.end()


def test_what_waits_is_written_before_standard_error_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as under:
        monkeypatch.setattr(sys, "stderr", under)
        with unblocked_stderr(lambda _: None):
            assert sys.stderr is not under
            print("last words", file=sys.stderr)
        assert sys.stderr is under
    assert os.read(reading, 100) == b"last words\n"
    os.close(reading)


def test_a_service_whose_log_nobody_reads_answers_and_stops(tmp_path: Path) -> None:
    folder = tmp_path / "clinic"
    (folder / "sources").mkdir(parents=True)
    (folder / "integration.yaml").write_text("use: quiet\napi: {port: 0}\nparams: {zone: Etc/UTC}\n")
    (folder / "sources" / "adt.yaml").write_text("kind: mllp\nport: 0\n")
    command = [sys.executable, "-m", "hilum.app.cli", "run", str(folder)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            address = address_of(process)
            connection = http.client.HTTPConnection(address, timeout=30)
            for _ in range(REQUESTS):
                connection.request("GET", "/nowhere")
                answer = connection.getresponse()
                assert b"address-unknown" in answer.read()
            connection.close()
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()


def address_of(process: subprocess.Popen[str]) -> str:
    """What it says on starting; from then on nobody reads."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"FHIR API:\s+http://([^/]+)", line):
            return found[1]
    raise AssertionError("it did not start")
