"""Findings of a folder's mapping workbook, as `hilum check` shows them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hilum.errors import ConfigError, MappingError
from hilum.mapping import compile_workbook, load_workbook
from hilum.model import Finding

__all__ = ["workbook_findings"]

_NEEDS_PARAMS = "param-unset"


def workbook_findings(folder: Path, params: Mapping[str, str | int | float | bool] | None) -> list[Finding]:
    """What loading and compiling the workbook says. `params` None: they could not be read; none is said to be unset."""
    workbook = load_workbook(folder)
    found = list(workbook.findings)
    try:
        found += compile_workbook(workbook, params=dict(params or {})).findings
    except (ConfigError, MappingError) as error:
        found += getattr(error, "findings", ()) or (Finding(error.code, error.message, error.location),)
    return [one for one in dict.fromkeys(found) if params is not None or one.code != _NEEDS_PARAMS]
