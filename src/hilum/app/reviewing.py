"""What the commands of `hilum workbook` share: opening the tables of a folder for review, asking before writing."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from hilum.app.sections import SECTIONS
from hilum.config import Integration, Tree, examine
from hilum.errors import NotFound
from hilum.workbook import FOLDER, Approvals, Pin, Review, open_review, read_approvals, read_pin, write_texts

__all__ = ["Reviewed", "agreed", "person", "review_folder", "review_tree", "written"]


class Reviewed(Struct, frozen=True):
    """The tables with their approvals. `use` names the integration; "" for the base alone."""

    review: Review
    approvals: Approvals
    pin: Pin | None
    use: str
    tables: Path


def review_folder(folder: Path | None) -> Reviewed:
    """Open the tables of an integration folder; None is the base alone. Raises ConfigError, NotFound."""
    if folder is None:
        return Reviewed(open_review(None), read_approvals(None, ""), None, "", Path())
    if not folder.is_dir():
        raise NotFound(f"{folder} is no folder: name the integration folder", code="folder-missing")
    return review_tree(examine(folder, SECTIONS))


def review_tree(tree: Tree) -> Reviewed:
    """Open the tables of a folder that was read. Raises ConfigError for tables that cannot be."""
    integration = next(iter(tree.all(Integration).values()), None)
    use = integration.use if integration else ""
    decided = {name: _text(value) for name, value in integration.params.items()} if integration else {}
    tables = tree.folder / FOLDER
    review = open_review(tree.folder, decided)
    return Reviewed(review, read_approvals(tables, use), read_pin(tree.folder), use, tables)


def _text(value: str | int | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def agreed(question: str, *, yes: bool, as_json: bool) -> bool:
    """Whether to go on: `--yes`, or a person at a terminal who says so. Programs and pipes are not asked."""
    if yes:
        return True
    if as_json or not sys.stdin.isatty():
        return False
    return input(f"{question} [y/N] ").strip().casefold() in ("y", "yes")


def person() -> str:
    """The user of this terminal."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def written(opened: Reviewed, texts: Mapping[str, str], folder: Path) -> list[str]:
    """Write the files, unless somebody changed one since it was opened; their names below the integration folder."""
    read = {**opened.review.site.documents, **opened.approvals.documents}
    return [str(path.relative_to(folder)) for path in write_texts(opened.tables, texts, read)]
