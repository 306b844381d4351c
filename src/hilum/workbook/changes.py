"""Changes of lines, cell by cell, and how they become files of a site."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct

from hilum.mapping import columns_of, table_of
from hilum.workbook.documents import Document, edited, new_document
from hilum.workbook.sheets import Entry, Key, Review

__all__ = ["CellChange", "Change", "Edit", "apply_edits", "cell_changes"]

_SAFE = re.compile(r"[a-z]+(-[A-Za-z0-9_-]+)?\.csv")


class CellChange(Struct, frozen=True):
    """One cell."""

    column: str
    before: str
    after: str


class Change(Struct, frozen=True):
    """`kind` is added, changed or removed. `place` is where it was said: `rows!A12`, or a file and line."""

    kind: str
    name: str
    table: str
    place: str
    owner: str
    cells: tuple[CellChange, ...] = ()
    note: str = ""


class Edit(Struct, frozen=True):
    """What becomes of one line of the site: its new cells, or None to take it out."""

    key: Key
    cells: dict[str, str] | None
    file: str = ""  # where a new line goes; "" the table's own file


def cell_changes(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[CellChange, ...]:
    """The cells that differ, in the order of the columns."""
    return tuple(
        CellChange(name, before.get(name, ""), after[name]) for name in after if before.get(name, "") != after[name]
    )


def apply_edits(review: Review, edits: Iterable[Edit]) -> dict[str, Document]:
    """The files of the site that change; comments, order and quoting of all else stay."""
    changed: dict[str, dict[int, Mapping[str, str]]] = {}
    removed: dict[str, list[int]] = {}
    added: dict[str, list[Mapping[str, str]]] = {}
    for edit in edits:
        there = review.site.entries.get(edit.key)
        if there is None:
            if edit.cells is not None:
                added.setdefault(_file_for(review, edit), []).append(edit.cells)
        elif edit.cells is None:
            removed.setdefault(there.file, []).append(there.line)
        else:
            changed.setdefault(there.file, {})[there.line] = edit.cells
    files = {**dict.fromkeys(changed), **dict.fromkeys(removed), **dict.fromkeys(added)}
    return {
        file: edited(
            _document(review, file), changed=changed.get(file), removed=removed.get(file, ()), added=added.get(file, ())
        )
        for file in files
    }


def _document(review: Review, file: str) -> Document:
    document = review.site.documents.get(file)
    return document if document is not None and document.columns else new_document(file, columns_of(table_of(file)))


def _file_for(review: Review, edit: Edit) -> str:
    table = edit.key[0]
    if edit.key not in review.base.entries and _SAFE.fullmatch(edit.file) and table_of(edit.file) == table:
        return edit.file
    own = [file for file in review.site.documents if table_of(file) == table]
    return own[0] if len(own) == 1 else f"{table}.csv"


def owner_of(entry: Entry | None) -> str:
    """The owner of a line that may not be there."""
    return entry.owner if entry is not None else ""
