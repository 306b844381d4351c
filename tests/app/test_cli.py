"""The command line from the outside: exit status, what goes where, and nothing that was not asked for."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hilum
from hilum.app import code_pages
from hilum.app.cli import COMMANDS, main
from hilum.app.commands import init
from hilum.app.failure import page_of

ENVIRONMENT = {**os.environ, "NO_COLOR": "1", "COLUMNS": "120"}


def run(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hilum.app.cli", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env=ENVIRONMENT | environment, timeout=60, check=False
    )


class Call:
    """A command line run in this process, in a folder."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        status = main(arguments)
        said = self._capsys.readouterr()
        return subprocess.CompletedProcess(arguments, status, said.out, said.err)


@pytest.fixture
def hilum_(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    return Call(capsys)


def test_help_lists_every_command_in_one_line_each() -> None:
    for arguments in ((), ("--help",), ("-h",), ("help",)):
        done = run(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert all(re.search(rf"^  {name} +\S", done.stdout, re.MULTILINE) for name in COMMANDS)


def test_help_and_version_import_no_command_and_no_library() -> None:
    script = (
        "import sys; from hilum.app.cli import main; main(['--help']); main(['--version'])\n"
        "heavy = {'cyclopts', 'rich', 'msgspec', 'apsw', 'yaml', 'httpx2', 'hilum.config', 'hilum.app.commands'}\n"
        "sys.exit(1 if heavy & set(sys.modules) else 0)"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode == 0


def test_version_says_the_version() -> None:
    assert run("--version").stdout == f"hilum {hilum.__version__}\n"


def test_a_command_imports_only_itself() -> None:
    script = (
        "import sys; from hilum.app.cli import main; main(['init', '--help'])\n"
        "loaded = {name for name in sys.modules if name.startswith('hilum.app.commands.')}\n"
        "sys.exit(0 if loaded == {'hilum.app.commands.init'} else 1)"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_exists_and_explains_itself(name: str, hilum_: Call) -> None:
    done = hilum_(name, "--help")
    assert done.returncode == 0, done.stderr
    assert f"hilum {name}" in done.stdout


def test_help_before_a_command_is_the_help_of_the_command(hilum_: Call) -> None:
    said = hilum_("init", "--help").stdout
    assert hilum_("help", "init").stdout == said
    assert run("init", "--help").stdout == said, "and in a process of its own"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("chekc",), "did you mean `hilum check`?"),
        (("--verbose",), "there is no option"),
        (("init", "--tempate", "x"), "--template"),
        (("init", "a", "b", "c"), "hilum init --help"),
        (("help", "nothing"), "there is no command"),
    ],
)
def test_a_command_line_that_cannot_be_understood_is_2_with_one_hint(
    arguments: tuple[str, ...], said: str, hilum_: Call
) -> None:
    done = hilum_(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_init_writes_a_folder_that_check_finds_nothing_wrong_with(tmp_path: Path, hilum_: Call) -> None:
    for template in init.templates():
        made = hilum_("init", template, "--template", template)
        assert (made.returncode, made.stderr) == (0, "")
        assert f"hilum check {template}" in made.stdout
        checked = hilum_("check", template, "--json")
        assert checked.returncode == 0, checked.stdout
        answer = json.loads(checked.stdout)
        assert (answer["errors"], answer["warnings"], answer["findings"]) == (0, 0, [])
        assert f"use: {template}\n" in (tmp_path / template / "integration.yaml").read_text()


def test_the_folder_of_init_keeps_its_store_out_of_git_and_names_its_schemas(tmp_path: Path, hilum_: Call) -> None:
    hilum_("init", str(tmp_path), "--template", "adt-and-labs")
    assert ".hilum/" in (tmp_path / ".gitignore").read_text()
    pages = list(tmp_path.rglob("*.yaml"))
    assert len(pages) == 6
    for page in pages:
        match = re.match(r"# yaml-language-server: \$schema=(\S+)\n", page.read_text())
        assert match is not None
        json.loads((page.parent / match[1]).read_text())


def test_init_never_overwrites(tmp_path: Path, hilum_: Call) -> None:
    (tmp_path / "integration.yaml").write_text("mine")
    done = hilum_("init", str(tmp_path))
    assert done.returncode == 1
    assert "template-would-overwrite" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["integration.yaml"]
    assert (tmp_path / "integration.yaml").read_text() == "mine"


def test_init_leaves_a_gitignore_that_is_there(tmp_path: Path, hilum_: Call) -> None:
    (tmp_path / ".gitignore").write_text("mine\n")
    done = hilum_("init", str(tmp_path))
    assert done.returncode == 0
    assert "make sure that it names .hilum/" in done.stdout
    assert (tmp_path / ".gitignore").read_text() == "mine\n"
    assert (tmp_path / "integration.yaml").exists()


def test_init_says_which_templates_there_are(tmp_path: Path, hilum_: Call) -> None:
    done = hilum_("init", str(tmp_path), "--template", "maximal", "--json")
    assert done.returncode == 1
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "template-unknown"
    assert "minimal" in error["message"]
    assert error["docs"].endswith("codes/app.md#template-unknown")


@pytest.fixture
def broken(tmp_path: Path, hilum_: Call) -> Path:
    hilum_("init", str(tmp_path))
    (tmp_path / "sources" / "lab.yaml").write_text("kind: mllp\nprot: 2576\nhost: 0.0.0.0\n")
    (tmp_path / "sources" / "adt.yaml").write_text("kind: mllp\nport: 2575\nhost: 0.0.0.0\n")
    return tmp_path


def test_check_says_every_finding_in_its_line_and_is_1(broken: Path, hilum_: Call) -> None:
    done = hilum_("check", str(broken))
    assert done.returncode == 1
    assert "sources/lab.yaml:2:1 key-unknown `prot` is not known (did you mean `port`?)" in done.stdout
    assert "sources/ehr.yaml:4:7 port-taken-twice" in done.stdout
    assert "2 errors, 1 warning" in done.stdout
    assert done.stderr == ""


def test_check_in_json_has_the_place_taken_apart(broken: Path, hilum_: Call) -> None:
    (broken / "sources" / "lab.yaml").unlink()
    done = hilum_("check", "--json")
    assert done.returncode == 1
    (error, *warnings) = sorted(json.loads(done.stdout)["findings"], key=lambda finding: finding["severity"])
    assert (error["code"], error["file"], error["line"], error["column"]) == (
        "port-taken-twice",
        "sources/ehr.yaml",
        4,
        7,
    )
    assert [finding["code"] for finding in warnings] == ["source-without-tls"]


def test_warnings_alone_are_0(broken: Path, hilum_: Call) -> None:
    (broken / "sources" / "lab.yaml").unlink()
    (broken / "sources" / "ehr.yaml").unlink()
    done = hilum_("check", str(broken))
    assert done.returncode == 0
    assert "[warning]" in done.stdout


def test_check_looks_into_every_environment_unless_one_is_named(tmp_path: Path, hilum_: Call) -> None:
    hilum_("init", str(tmp_path), "--template", "adt-and-labs")
    (tmp_path / "environments" / "test.yaml").write_text("sources:\n  ehr: {port: 700000}\n")
    done = hilum_("check", str(tmp_path))
    assert done.returncode == 1
    assert "environments/test.yaml:2:15 value-invalid" in done.stdout
    assert hilum_("check", str(tmp_path), "--environment", "production").returncode == 0
    unknown = hilum_("check", str(tmp_path), "--environment", "prod")
    assert unknown.returncode == 1
    assert "environment-unknown" in unknown.stdout


def test_check_names_mistakes_in_the_workbook_too(tmp_path: Path, hilum_: Call) -> None:
    hilum_("init", str(tmp_path))
    (tmp_path / "workbook").mkdir()
    (tmp_path / "workbook" / "rows.csv").write_text("row_id,nonsense\nx,y\n")
    done = hilum_("check", str(tmp_path))
    assert done.returncode == 1
    assert "rows.csv" in done.stdout


def test_check_of_nothing_is_one_finding(tmp_path: Path, hilum_: Call) -> None:
    done = hilum_("check", str(tmp_path / "nothing"))
    assert done.returncode == 1
    assert "folder-missing" in done.stdout


def test_check_writes_the_schemas_again(tmp_path: Path, hilum_: Call) -> None:
    done = hilum_("check", "--schema", str(tmp_path / "schemas"), "--json")
    assert done.returncode == 0
    assert len(json.loads(done.stdout)["files"]) == len(list((tmp_path / "schemas").glob("*.schema.json"))) == 6


@pytest.mark.parametrize("words", [["--help"], ["map"]])
def test_a_pipe_that_nobody_reads_ends_quietly(words: list[str], tmp_path: Path) -> None:
    message = tmp_path / "admit.hl7"
    message.write_bytes(b"MSH|^~\\&|E|H|||20260302083000-0500||ADT^A01|1|P|2.5.1\rPID|1||1^^^H^MR||Li^Ann\rPV1|1|I\r")
    reading, writing = os.pipe()
    os.close(reading)
    arguments = [*words, *([str(message)] * 20 if words == ["map"] else [])]
    done = subprocess.run(
        [sys.executable, "-m", "hilum.app.cli", *arguments], stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


BUG = """
import sys, types
module = types.ModuleType("hilum.app.commands.demo")
def command() -> int:
    {body}
module.command = command
sys.modules["hilum.app.commands.demo"] = module
from hilum.app.cli import main
sys.exit(main(["demo"]))
"""


def run_command(body: str, **environment: str) -> subprocess.CompletedProcess[str]:
    script = BUG.format(body=body)
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=ENVIRONMENT | environment, check=False
    )


def test_a_fault_of_hilum_shows_its_place_and_no_content() -> None:
    done = run_command("raise ValueError('Jane Doe')")
    assert done.returncode == 70
    assert "internal-error ValueError" in done.stderr
    assert "Jane" not in done.stderr
    assert "Jane" in run_command("raise ValueError('Jane Doe')", HILUM_TRACEBACK="1").stderr


def test_a_hilum_error_is_one_line_and_a_link_without_traceback() -> None:
    done = run_command("from hilum.errors import StoreBusy; raise StoreBusy('somebody else runs it')")
    assert done.returncode == 1
    first, link = done.stderr.splitlines()
    assert first == "hilum: store-busy somebody else runs it"
    assert link.endswith("#store-busy")


def test_ctrl_c_is_130_without_traceback() -> None:
    heed = "signal.signal(signal.SIGINT, signal.default_int_handler)"  # a job in the background ignores it
    done = run_command(f"import os, signal, time; {heed}; os.kill(os.getpid(), signal.SIGINT); time.sleep(5)")
    assert (done.returncode, done.stderr.strip()) == (130, "")


def test_a_command_gives_its_own_exit_status() -> None:
    assert run_command("return 1").returncode == 1
    assert run_command("return None").returncode == 0


def test_main_returns_the_status_to_callers_in_process(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert main(["nonsense"]) == 2
    assert capsys.readouterr().out.startswith("hilum ")


ROOT = Path(__file__).resolve().parents[2]


def test_the_link_under_an_error_leads_to_the_page_that_explains_its_code() -> None:
    known = Path(code_pages.__file__).with_suffix(".txt").read_text()
    assert known == code_pages.code_pages(ROOT / "docs" / "codes"), "python -m hilum.app.code_pages docs/codes"
    assert len(known.splitlines()) > 500
    assert page_of("store-full") == "store"
    assert page_of("no-such-code") == ""


def test_the_docs_name_every_command_as_help_does() -> None:
    rows = re.findall(r"^\| `([a-z0-9]+)` \| (.+) \|$", (ROOT / "docs" / "cli.md").read_text(), re.MULTILINE)
    plain = {name: re.sub(r"\[(.+?)\]\(.+?\)", r"\1", summary) for name, summary in rows}
    assert plain == COMMANDS


def test_the_smallest_folder_of_the_docs_is_a_folder_without_findings(tmp_path: Path, hilum_: Call) -> None:
    page = (ROOT / "docs" / "integration-folder.md").read_text()
    files = re.findall(r"```yaml\n# (\S+\.yaml)\n(.+?)```", page, re.DOTALL)
    assert [name for name, _ in files] == ["integration.yaml", "sources/ehr.yaml", "environments/production.yaml"]
    for name, content in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    done = hilum_("check", str(tmp_path))
    assert (done.returncode, "0 errors, 0 warnings" in done.stdout) == (0, True), done.stdout


def test_the_output_that_the_docs_show_is_the_output(tmp_path: Path, hilum_: Call) -> None:
    hilum_("init", "my-integration")
    page = (ROOT / "docs" / "integration-folder.md").read_text()
    _, _, shown = page.partition("$ hilum check my-integration\n")
    assert hilum_("check", "my-integration").stdout == shown.partition("```")[0]
