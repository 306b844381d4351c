"""The workbook of a folder with the folder's decisions, for commands that run it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from hilum.app.sections import SECTIONS
from hilum.config import Integration, examine

__all__ = ["Param", "params_of", "read_test_file"]

Param = str | int | float | bool


def params_of(folder: Path) -> dict[str, Param]:
    """The decisions that integration.yaml makes; none where there is no such file."""
    found = examine(folder, SECTIONS).all(Integration)
    return {name: value for one in found.values() for name, value in one.params.items()}


def read_test_file(folder: Path, layer: str, name: str) -> bytes:
    """A file that `tests.csv` of the site or of the base names. Raises OSError; nothing outside is read."""
    if layer == "base":
        return files("hilum.mapping").joinpath("base", name).read_bytes()
    root = (folder / "workbook").resolve()
    path = (root / name).resolve()
    if not path.is_relative_to(root):
        raise FileNotFoundError(2, "it is outside of the folder workbook", name)
    return path.read_bytes()
