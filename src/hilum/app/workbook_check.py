"""Findings of a folder's mapping workbook, as `hilum check` shows them."""

from __future__ import annotations

from pathlib import Path

from hilum.errors import ConfigError, MappingError
from hilum.mapping import compile_workbook, load_workbook
from hilum.model import Finding

__all__ = ["workbook_findings"]


def workbook_findings(folder: Path) -> list[Finding]:
    """What loading and compiling the workbook says; nothing is compiled that did not load."""
    workbook = load_workbook(folder)
    try:
        compile_workbook(workbook)
    except (ConfigError, MappingError) as error:
        found = getattr(error, "findings", ()) or (Finding(error.code, error.message, error.location),)
        return list(dict.fromkeys((*workbook.findings, *found)))
    return list(workbook.findings)
