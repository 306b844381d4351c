"""What an import into the tables of a folder shows before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from hilum.app.importing import take
from hilum.model import Finding
from hilum.workbook import Change, Import
from hilum.workbook.changes import CellChange


def shown(plan: Import, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    status = take(cast("Any", None), plan, Path("site"), yes=False, as_json=False)
    return status, capsys.readouterr().out


def test_an_import_that_could_not_compare_does_not_say_that_nothing_differs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    wrong = Finding("sheet-missing", "there is no sheet `rows`", "rows!A1")
    status, text = shown(Import((), (wrong,), {}), capsys)
    assert status == 1
    assert "no line is seen to differ: what could not be compared is said below" in text
    status, text = shown(Import((), (), {}), capsys)
    assert (status, "no line differs" in text) == (0, True)


def test_a_very_long_cell_is_shown_by_its_beginning(capsys: pytest.CaptureFixture[str]) -> None:
    change = Change("changed", "rows:x", "rows", "rows!A2", "lab", (CellChange("note", "", "word " * 6000),), "")
    wrong = Finding("cell-missing", "`target` must be filled", "rows!G2")
    _, text = shown(Import((change,), (wrong,), {}), capsys)
    assert "(30000 characters)" in text
    assert len(text) < 5_000
