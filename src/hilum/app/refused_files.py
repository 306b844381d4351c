"""An item for each kind of refusal of a watched folder, open while a file that was refused so lies in `failed/`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from hilum.app.failure import page_of
from hilum.app.opening import Opened
from hilum.config import Tree
from hilum.errors import NotFound
from hilum.intake import FilesSource
from hilum.model import ExceptionItem

__all__ = ["tell_of_refused_files"]

CODE = "file-refused"
_REASON = ".reason"
_FINDING = re.compile(r"\b[a-z]+(?:-[a-z0-9]+)+\b")


async def tell_of_refused_files(opened: Opened) -> int:
    """Make the items that are missing, settle those whose files were taken away; returns how many are new.

    An item that a person settled while its files stay is not made again before another file is refused.
    """
    repository = opened.repository
    found = await asyncio.to_thread(lambda: dict(_refused(opened.tree)))
    told = repository.exceptions(code=CODE, is_open=None, limit=10_000)
    there = {_kind(item.group) for item in found.values()}
    for item in told:
        if item.is_open and _kind(item.group) not in there:
            with suppress(NotFound):  # a person settled it meanwhile
                await repository.settle(item.id, "hilum", "its files were taken away from `failed/`")
    known = {_kind(item.group) for item in told if item.is_open} | {item.group for item in told}
    news = [item for item in found.values() if not {_kind(item.group), item.group} & known]
    if news:
        await repository.report(news)
    return len(news)


def _kind(group: str) -> str:
    """A group without the time of its newest file."""
    return group.rpartition("|")[0]


def _refused(tree: Tree) -> Iterator[tuple[str, ExceptionItem]]:
    """What lies in the folders for refused files, by source and code; of several files the newest counts."""
    for source, config in tree.all(FilesSource).items():
        newest: dict[str, int] = {}
        for code, at in _reasons(config.folder / config.failed):
            newest[code] = max(at, newest.get(code, 0))
        for code, at in sorted(newest.items()):
            message = f"files of {source} were refused ({code}) and lie in `{config.failed}/` with their reasons"
            group = f"{CODE}|{source}|{code}|{at}"
            yield group, ExceptionItem(CODE, message, source, config.owner, group=group)


def _reasons(folder: Path) -> Iterator[tuple[str, int]]:
    """For each refused file that is still there: the first code of its reasons, and when it was refused (ns)."""
    with suppress(OSError):  # no folder yet, or one that cannot be reached: `files-folder-unreachable` tells
        for note in folder.iterdir():
            if note.name.endswith(_REASON) and note.with_name(note.name.removesuffix(_REASON)).exists():
                with suppress(OSError):  # taken away meanwhile
                    yield _code(note.read_text("utf-8", "replace")), note.stat().st_mtime_ns


def _code(text: str) -> str:
    """The first code of hilum in the text; the line with the answer (`answered AR`) holds none."""
    return next((word for word in _FINDING.findall(text) if page_of(word)), "files-refused")
