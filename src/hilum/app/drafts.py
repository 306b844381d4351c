"""Files that a command makes for people to work on: what they changed is not written over unless they say so."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hilum.errors import ConfigError
from hilum.workbook import write_files

__all__ = ["write_drafts"]


def write_drafts(folder: Path, files: Mapping[str, bytes], *, force: bool) -> None:
    """Write files into a folder, which is made; those of a run that was killed are the same as these.

    Raises ConfigError `file-exists` when one is there that reads otherwise, unless `force`; OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    there = [name for name, text in files.items() if (folder / name).exists() and (folder / name).read_bytes() != text]
    if there and not force:
        message = f"{', '.join(there)} is in {folder.name} already, and reads otherwise; --force replaces it"
        raise ConfigError(message, code="file-exists")
    write_files(folder, files)
