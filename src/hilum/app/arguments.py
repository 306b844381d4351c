"""Parameters that commands share, declared once. FOLDER is the last word of every command; by default it is here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from hilum.errors import NotFound

__all__ = [
    "AT_LEAST_ONE",
    "Environment",
    "Folder",
    "Json",
    "MaybeFolder",
    "Messages",
    "Yes",
    "files_and_folder",
    "is_folder",
    "with_folder_last",
]

AT_LEAST_ONE = Number(gte=1)
Folder = Annotated[Path, Parameter(help="The integration folder.")]
MaybeFolder = Annotated[Path | None, Parameter(help="The integration folder; without it, the shipped tables.")]
Messages = Annotated[
    Path,
    Parameter(
        help="Files with messages, or folders of them, else the journal is read; the integration folder comes last.",
    ),
]
Environment = Annotated[str | None, Parameter(help="Use environments/NAME.yaml.")]
Json = Annotated[bool, Parameter(help="Print JSON for programs.", negative="")]

Yes = Annotated[bool, Parameter(help="Write without asking.", negative="")]


def files_and_folder(words: Sequence[Path]) -> tuple[list[Path], Path]:
    """Files, and the folder with tables that comes last; by default it is here. Raises NotFound `folder-missing`."""
    files = list(words)
    folder = files.pop() if files and _has_tables(files[-1]) else Path()
    if not _has_tables(folder):
        named = f"{words[-1]} is no integration folder" if words else "there is no integration folder here"
        raise NotFound(f"{named}: name one, as the last word before the options", code="folder-missing")
    return files, folder


def _has_tables(folder: Path) -> bool:
    return is_folder(str(folder)) or (folder / "workbook").is_dir()


def is_folder(word: str) -> bool:
    """Whether a word of a command line names an integration folder that is there."""
    return (Path(word) / "integration.yaml").is_file()


def with_folder_last(words: Sequence[str]) -> str:
    """The same command line with its folder at the end; "" where no folder stands anywhere else."""
    end = next((at for at, word in enumerate(words) if word.startswith("-")), len(words))
    misplaced = [word for word in words[:end] if is_folder(word)]
    ordered = [word for word in words[:end] if word not in misplaced] + misplaced
    if ordered == list(words[:end]):
        return ""
    return " ".join(["hilum", *ordered, *words[end:]])
