"""`hilum workbook check`: everything that is wrong with the mapping tables, at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hilum.app.failure import finding_as_json, line_of
from hilum.app.printing import print_json
from hilum.app.sections import SECTIONS
from hilum.app.workbook_check import workbook_findings
from hilum.config import Integration, examine
from hilum.model import Severity

__all__ = ["command"]


def command(
    folder: Annotated[Path, Parameter(help="The integration folder.")] = Path(),
    *,
    json: Annotated[bool, Parameter(help="Print findings as one JSON object.", negative="")] = False,
) -> int:
    """Say everything that is wrong with the mapping tables of an integration folder.

    Every finding has file, line and column, a stable code, and what was probably meant. The exit status is 1 when there
    are errors; warnings alone are 0.
    """
    integrations = examine(folder, SECTIONS).all(Integration)
    params = next(iter(integrations.values())).params if integrations else None
    findings = workbook_findings(folder, params)
    errors = sum(finding.severity is Severity.ERROR for finding in findings)
    if json:
        print_json({"errors": errors, "findings": [finding_as_json(finding) for finding in findings]})
    else:
        for finding in findings:
            print(line_of(finding))
        print(f"{errors} errors, {len(findings) - errors} warnings")
    return 1 if errors else 0
