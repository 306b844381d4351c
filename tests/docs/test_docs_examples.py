"""What the pages show is run: shell blocks as they stand, YAML by `hilum check`, every command line by its parser.

A page's `sh` blocks run in order in one shell and one empty folder, after its `yaml` and `csv` blocks that begin with
`# path` were written there. `<!-- not run: REASON -->` before a block leaves it out; `<!-- keeps running -->` is for a
`hilum run` that goes on while the following blocks run. Ports are moved, so that tests can run side by side.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import CycloptsError
from docs_pages import PAGES, Block, blocks, name_of, prose

from hilum.app.cli import COMMANDS, _app
from hilum.app.commands import check

MESSAGE = (
    "MSH|^~\\&|EHR|CLINIC|HILUM|CLINIC|20260302083000-0500||ADT^A01^ADT_A01|1|P|2.5.1\r"
    "PID|1||100200^^^CLINIC^MR||Rivera^Ana\rPV1|1|I\r"
)
SHELL = """set -eu
stop() { [ -z "${running:-}" ] || { kill -TERM "$running"; wait "$running" || true; }; running=; }
trap stop EXIT
begin() {
    stop
    "$@" > run.log 2>&1 &
    running=$!
    until grep -q 'FHIR API' run.log; do kill -0 "$running" || { cat run.log; exit 1; }; sleep 0.05; done
}
move() { find . -name '*.yaml' -exec sed -i.bak -e "s/port: 2575/port: $MLLP/" {} + ; find . -name '*.bak' -delete; }
own_api() {
    for file in $(find . -name integration.yaml); do
        grep -q '^api:' "$file" || printf 'api: {port: %s}\\n' "$API" >> "$file"
    done
}
"""
RUNNABLE = [page for page in PAGES if any(not block.mark.startswith("not run") for block in blocks(page, "sh"))]
YAML = [block for page in PAGES for block in blocks(page, "yaml")]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Sandbox:
    """An empty folder with a page's files in it, and a shell that finds this hilum."""

    def __init__(self, folder: Path, page: Path) -> None:
        self.folder, self.page = folder, page
        self.mllp, self.api = free_port(), free_port()
        (folder / "message.hl7").write_text(MESSAGE, newline="")
        for block in blocks(page, "yaml", "csv"):
            if block.file:
                path = folder / block.file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text.partition("\n")[2] if block.language == "csv" else block.text)

    def run(self) -> subprocess.CompletedProcess[str]:
        parts = [SHELL]
        for block in blocks(self.page, "sh"):
            if block.mark == "keeps running":
                words = shlex.split(block.text, comments=True)
                parts += ["move; own_api", f"begin {shlex.join(words)}"]
            elif not block.mark:
                parts.append(self._moved(block.text))
        return self.shell("\n".join(parts))

    def shell(self, script: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "MLLP": str(self.mllp),
            "API": str(self.api),
        }
        return subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=100,
            check=False,
        )

    def _moved(self, text: str) -> str:
        text = text.replace("--seconds 5", "--seconds 1")
        return text.replace("127.0.0.1:8080", f"127.0.0.1:{self.api}").replace("2575", str(self.mllp))


@pytest.mark.parametrize("page", RUNNABLE, ids=name_of)
def test_the_commands_of_a_page_run_as_they_stand(page: Path, tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, page)
    done = sandbox.run()
    assert done.returncode == 0, done.stdout
    if page.name == "start.md":
        for said in (
            "MSA|AA|MSG00001",
            '"family": "Rivera"',
            "PID-5[1].1.1",
            "namespace-unknown",
            "is what was written",
        ):
            assert said in done.stdout, said
        listed = sandbox.shell("hilum messages list clinic --json")
        assert {one["control_id"] for one in json.loads(listed.stdout)["messages"]} == {"MSG00001", "MSG00002"}


def test_the_pages_have_commands_and_settings() -> None:
    assert len(RUNNABLE) >= 3
    assert len(YAML) > 10


@pytest.mark.parametrize("block", YAML, ids=lambda block: block.place)
def test_settings_on_the_pages_have_no_errors(block: Block, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part = r"integration\.yaml|sources/|destinations/|environments/|topics/|subscribers/"
    path = re.sub(rf"^.*?(?=(?:{part}))", "", block.file)
    assert path, f"{block.place}: the first line names the file, as `# sources/ehr.yaml`"
    files = {
        "integration.yaml": "use: example\nparams: {zone: UTC}\n",
        "sources/ehr.yaml": "kind: mllp\nport: 12575\n",
    }
    for name, text in {**files, path: _whole(path, block.text)}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    status = check.command(tmp_path)
    assert status == 0, capsys.readouterr().out


def _whole(path: str, text: str) -> str:
    """A page may show a part of a file: what the part does not say is filled in."""
    needed = {
        "integration.yaml": {"use": "example", "params": "{zone: UTC}"},
        "sources": {"kind": "mllp", "port": "2575"},
    }
    for key, value in needed.get(path.partition("/")[0], {}).items():
        if not re.search(rf"^{key}:", text, re.MULTILINE) and not (key == "port" and "kind: files" in text):
            text += f"{key}: {value}\n"
    return text


def _command_lines() -> Iterator[tuple[str, str]]:
    """Every line in a block and every piece of code in a text that calls hilum."""
    for page in PAGES:
        for block in blocks(page, "sh", "console"):
            for line in block.text.replace("\\\n", " ").splitlines():
                for found in re.findall(r"(?:^|[$(;|] *)(hilum .*)", line):
                    yield block.place, found
        for found in re.findall(r"`(hilum [^`]*)`", prose(page)):
            yield name_of(page), found


def _words(line: str) -> list[str]:
    found = re.match(
        r'(?:"[^"]*"|(?!\s+#|\s[|>&]|\)).)*', line
    )  # up to a comment, a pipe or a bracket, outside of quotes
    line = found[0] if found else ""
    line = re.sub(r"\.\.\.|…|[\[\]<>]", "", line).replace("reader|operator|admin", "reader")
    line = re.sub(r"(?<= )(?:N|MESSAGE|DELIVERY|ITEM)\b", "7", line)
    return [re.sub(r"^H[N7]$", "H7", word) for word in shlex.split(line)[1:]]


def test_every_command_line_on_the_pages_can_be_parsed() -> None:
    lines = list(_command_lines())
    assert len(lines) > 60
    wrong = []
    for place, line in lines:
        words = _words(line)
        if not words or words[0] not in COMMANDS:
            if words and words[0] not in ("--help", "--version", "help", "COMMAND", "|"):
                wrong.append(f"{place}: `{line}`: no such command")
            continue
        if len(words) == 1 or "--help" in words:
            continue  # a mention of the command, not a call
        try:
            _app(words[0]).parse_args(words, exit_on_error=False, print_error=False)
        except CycloptsError as error:
            if type(error).__name__ != "MissingArgumentError":  # a mention may leave out what is needed
                wrong.append(f"{place}: `{line}`: {' '.join(str(error).split())}")
    assert not wrong, "\n".join(wrong)
