"""Parameters that commands share, declared once. FOLDER is the last word of every command; by default it is here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

__all__ = ["Environment", "Folder", "Json", "is_folder", "with_folder_last"]

Folder = Annotated[Path, Parameter(help="The integration folder.")]
Environment = Annotated[str | None, Parameter(help="Use environments/NAME.yaml.")]
Json = Annotated[bool, Parameter(help="Print JSON for programs.", negative="")]


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
