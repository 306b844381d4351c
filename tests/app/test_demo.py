"""`hilum demo` on a short day: it ends by itself, its sums hold, and it says what became of what was broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from hilum.app.cli import main
from hilum.app.demo_faults import Fate
from hilum.app.demo_view import ROWS, picture, summary
from hilum.app.opening import open_folder
from hilum.engine import Ledger
from hilum.model import Accounting
from hilum.simulator import Tally


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a demo that has ended."""
    folder = tmp_path_factory.mktemp("demo") / "kept"
    assert main(["demo", "--seconds", "1", "--rate", "150", "--keep", str(folder), "--json"]) == 0
    return folder


def test_a_demo_ends_by_itself_with_sums_that_hold(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status = main(["demo", "--seconds", "0.5", "--rate", "300", "--json"])
    said = json.loads(capsys.readouterr().out)
    ledger = said["ledger"]
    assert (status, said["problems"]) == (0, [])
    assert ledger["received"] == ledger["applied"] + ledger["held"] + ledger["rejected"] + ledger["waiting"] > 0
    refused = sum(one["messages"] for one in said["broken"] if one["became"].startswith("refused"))
    assert refused == ledger["rejected"]


def test_a_demo_never_writes_into_a_folder_that_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--keep", str(tmp_path)]) == 1
    assert "File exists" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [("--seconds", "-3"), ("--seconds", "0"), ("--rate", "0"), ("--port", "99999")])
def test_a_demo_that_could_show_nothing_is_a_mistake_in_the_line(words: tuple[str, str]) -> None:
    assert main(["demo", *words]) == 2


@pytest.mark.parametrize("width", [80, 120])
def test_the_frame_fits_the_screen_and_never_changes_its_height(kept: Path, width: int) -> None:
    with open_folder(kept) as opened:
        full = _lines(picture(opened, Tally(answers={"AA": 1_234_567, "AE": 1, "AR": 2, "CA": 3}), 10, width), width)
        few = _lines(picture(opened, Tally(), 0, width), width)
    assert len(full) == len(few) == ROWS + 4
    assert max(map(len, full)) <= width
    assert "= applied" in "".join(full)


def test_the_summary_fits_eighty_columns_and_shows_every_code_whole() -> None:
    fates = [
        Fate("refused (AE)", "a very long story about what was wrong with what was sent", "charset-undecodable", 12),
        Fate("stored once", "the same message again", "", 3),
    ]
    ledger = Ledger(10_000, 9_000, 300, 700, 0, 3, Accounting())
    lines = _lines(summary(ledger, Tally(), fates, ["something is wrong"], 80), 80)
    assert max(map(len, lines)) <= 80
    assert any("charset-undecodable" in line for line in lines)
    assert any("PROBLEM" in line for line in lines)
    assert not any("Everything adds up" in line for line in lines)


def test_commands_show_what_a_kept_demo_left(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["exceptions", "list"], ["messages", "list", "--limit", "3"], ["journal", "verify"], ["doctor"]):
        assert main([*arguments, "--folder", str(kept)]) == 0, arguments
    assert "is what was written" in capsys.readouterr().out


def test_a_table_is_one_line_a_row_where_nobody_looks(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["messages", "list", str(kept), "--limit", "3"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6  # a head, three rows, an empty line, and where to go on
    assert lines[-1].startswith("more: --after ")


def _lines(what: object, width: int) -> list[str]:
    console = Console(width=width, force_terminal=False, highlight=False, record=False, color_system=None)
    with console.capture() as capture:
        console.print(what)
    return [line.rstrip() for line in capture.get().splitlines()]
