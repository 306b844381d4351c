"""The workbook of a folder with the folder's decisions, for commands that run it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from hilum.app.reviewing import review_folder
from hilum.app.sections import SECTIONS
from hilum.config import Integration, examine
from hilum.errors import ConfigError
from hilum.mapping import Workbook, base_files, load_workbook, read_workbook, table_of, table_text
from hilum.workbook import plan_import, read_xlsx_file, refuse_other_base

__all__ = ["Param", "candidate_of", "overruled", "params_of", "read_test_file"]

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


def candidate_of(folder: Path, candidate: Path, params: dict[str, Param]) -> tuple[Workbook, dict[str, Param]]:
    """The candidate workbook and its decisions: a folder, a spreadsheet, or the current tables with one replaced.

    A spreadsheet is taken as `hilum workbook import` would. A folder is an integration folder, or holds the tables
    themselves. Its integration.yaml decides; without one the decisions are those of `folder`. Raises ConfigError
    `candidate-unusable`.
    """
    if candidate.is_dir():
        decided = params_of(candidate) if (candidate / "integration.yaml").is_file() else params
        if (candidate / "workbook").is_dir() or (candidate / "integration.yaml").is_file():
            return load_workbook(candidate), decided
        tables = sorted(candidate.glob("*.csv"))
        if not tables:
            message = f"{candidate.name} holds neither a folder workbook nor tables"
            raise ConfigError(message, code="candidate-unusable")
        return _read([(path.name, _text(path)) for path in tables]), decided
    if candidate.suffix.lower() == ".xlsx":
        return _of_spreadsheet(folder, candidate), params
    if not table_of(candidate.name):
        message = f"{candidate.name} is no folder, no .xlsx file, and no table such as rows.csv or maps-lab.csv"
        raise ConfigError(message, code="candidate-unusable")
    own = [path for path in (folder / "workbook").glob("*.csv") if table_of(path.name)]
    files = {path.name: path for path in own} | {candidate.name: candidate}
    return _read([(name, _text(path)) for name, path in sorted(files.items())]), params


def overruled(current: Workbook, candidate: Workbook, decided: dict[str, Param]) -> list[str]:
    """Params that the candidate's tables say otherwise, and that integration.yaml decides: they change nothing."""
    now = {line.param: line.value for line in current.params}
    return sorted(
        line.param for line in candidate.params if line.param in decided and line.value != now.get(line.param)
    )


def _of_spreadsheet(folder: Path, file: Path) -> Workbook:
    """The tables as they would be after an import of the file. Raises ConfigError with the findings that forbid it."""
    opened = review_folder(folder)
    refuse_other_base(opened.review, opened.pin)
    plan = plan_import(opened.review, opened.approvals, read_xlsx_file(file))
    if plan.errors:
        message = f"{file.name} could not be imported: {plan.errors} errors"
        raise ConfigError(message, list(plan.findings), code="candidate-unusable")
    site = {**opened.review.site.documents, **plan.documents}
    return _read([(name, document.text) for name, document in sorted(site.items())])


def _read(site: list[tuple[str, str]]) -> Workbook:
    return read_workbook(base_files(), site)


def _text(path: Path) -> str:
    return table_text(path.read_bytes(), path.name)
