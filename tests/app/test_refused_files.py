"""The items of files that were refused: one for each source and reason, while such a file lies there."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from hilum.app.opening import open_folder
from hilum.app.refused_files import tell_of_refused_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sources").mkdir()
    (tmp_path / "integration.yaml").write_text("use: t\n")
    (tmp_path / "sources" / "lab.yaml").write_text(f"kind: files\nfolder: {tmp_path}/inbox\nowner: laboratory\n")
    (tmp_path / "inbox" / "failed").mkdir(parents=True)
    return tmp_path


def refuse(folder: Path, name: str, reason: str, at: int) -> None:
    failed = folder / "inbox" / "failed"
    (failed / name).write_text("x")
    (failed / f"{name}.reason").write_text(reason)
    os.utime(failed / f"{name}.reason", (at, at))


def test_files_that_were_refused_are_told_of_until_they_are_taken_away(folder: Path) -> None:
    asyncio.run(_told_and_settled(folder))


async def _told_and_settled(folder: Path) -> None:
    failed = folder / "inbox" / "failed"
    with open_folder(folder, create=True) as opened:
        assert await tell_of_refused_files(opened) == 0
        refuse(folder, "doe.csv", "answered AR\nline 3 mary-ann records-key-missing a column is missing\n", 100)
        refuse(folder, "roe.csv", "records-key-missing a column is missing\n", 200)
        refuse(folder, "a.hl7", "answered AR\n", 300)
        (failed / "gone.csv.reason").write_text("records-key-missing a column is missing\n")  # its file was taken away
        assert await tell_of_refused_files(opened) == 2
        assert await tell_of_refused_files(opened) == 0
        items = {item.message: item.owner for item in opened.repository.exceptions(code="file-refused")}
        assert items == {
            "files of lab were refused (records-key-missing) and lie in `failed/` with their reasons": "laboratory",
            "files of lab were refused (files-refused) and lie in `failed/` with their reasons": "laboratory",
        }
        (failed / "a.hl7").unlink()
        assert await tell_of_refused_files(opened) == 0
        (left,) = opened.repository.exceptions(code="file-refused")
        assert "records-key-missing" in left.message


def test_what_a_person_settled_is_told_again_only_of_another_file(folder: Path) -> None:
    asyncio.run(_settled_by_a_person(folder))


async def _settled_by_a_person(folder: Path) -> None:
    with open_folder(folder, create=True) as opened:
        refuse(folder, "doe.csv", "records-key-missing a column is missing\n", 100)
        assert await tell_of_refused_files(opened) == 1
        (item,) = opened.repository.exceptions(code="file-refused")
        await opened.repository.settle(item.id, "ann", "known")
        assert await tell_of_refused_files(opened) == 0
        refuse(folder, "roe.csv", "records-key-missing a column is missing\n", 200)
        assert await tell_of_refused_files(opened) == 1
