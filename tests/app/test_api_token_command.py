"""`hilum token`, as typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hilum.app.cli import main
from hilum.app.opening import open_folder


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    made = tmp_path / "it"
    assert main(["init", str(made)]) == 0
    capsys.readouterr()
    return made


def said(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    assert main(["token", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_token_is_printed_once_and_opens_the_store(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "create", "portal", str(folder), "--role", "operator", "--expires", "2w"]) == 0
    text = capsys.readouterr().out.splitlines()[0]
    with open_folder(folder) as opened:
        assert opened.tokens.authenticate(text).actor == "portal"
    assert main(["token", "list", str(folder)]) == 0
    listed = capsys.readouterr().out
    assert "portal" in listed
    assert "operator" in listed
    assert text not in listed


def test_a_revoked_token_is_listed_as_such(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = said(capsys, "create", "portal", str(folder))
    assert made["token"].startswith("hilum_")
    assert said(capsys, "revoke", "portal", str(folder))["state"] == "revoked"
    (row,) = said(capsys, "list", str(folder))["tokens"]
    assert (row["name"], row["role"], row["state"]) == ("portal", "reader", "revoked")
    assert "token" not in row


def test_commands_work_beside_a_running_integration(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_folder(folder, create=True, exclusive=True) as running:
        text = said(capsys, "create", "portal", str(folder))["token"]
        assert running.tokens.authenticate(text).actor == "portal"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["create", "a b"], "token-name-invalid"),
        (["create", "x", "--expires", "forever"], "token-lifetime-invalid"),
        (["revoke", "nobody"], "store-absent"),
    ],
)
def test_what_cannot_be_done_is_told_with_a_code(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: str
) -> None:
    assert main(["token", *words, "--folder", str(folder)]) == 1
    assert code in capsys.readouterr().err


def test_an_unknown_role_is_a_matter_of_usage(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "create", "x", str(folder), "--role", "root"]) == 2
    assert capsys.readouterr().out == ""


def test_who_made_and_ended_a_token_stands_in_the_audit(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "create", "portal", str(folder))
    said(capsys, "revoke", "portal", str(folder))
    with open_folder(folder) as opened:
        rows = [(event.actor.partition(":")[0], event.action, event.target) for _, event in opened.journal.audits()]
    assert rows == [("cli", "token-create", "portal"), ("cli", "token-revoke", "portal")]
