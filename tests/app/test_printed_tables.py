"""Tables that commands print, where nobody looks at a screen and where somebody does."""

from __future__ import annotations

import sys

import pytest

from hilum.app.printing import print_table


def test_every_row_is_one_line_and_numbers_stand_right(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("line", "count"), [("two\nlines", 7), ("x", 10_000)], empty="none")
    assert capsys.readouterr().out == "line        count\ntwo\\nlines      7\nx           10000\n"


@pytest.mark.parametrize("is_screen", [True, False])
def test_a_cell_is_shown_as_it_is_and_a_screen_obeys_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, is_screen: bool
) -> None:
    """Names such as `maps:Class:a:1` are no emoji, `[Name]` is no style, and ESC in a code colours nothing."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_screen)
    print_table(("line",), [("maps:Class:a:1 :smile:",), ("[Last Name]",), ("\x1b[31mred\r\a",)], empty="none")
    out = capsys.readouterr().out
    assert "maps:Class:a:1 :smile:" in out
    assert "[Last Name]" in out
    assert r"\x1b[31mred\r\x07" in out


def test_where_there_are_no_rows_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("line",), [], empty="nothing waits")
    assert capsys.readouterr().out == "nothing waits\n"
