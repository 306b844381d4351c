"""`hilum workbook check`: everything that is wrong with the mapping tables, at once."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from hilum.app.arguments import Json, MaybeFolder
from hilum.app.failure import finding_as_json, line_of
from hilum.app.printing import print_json
from hilum.app.record_show import described_records
from hilum.app.reviewing import review_folder
from hilum.workbook import check

__all__ = ["command"]


def command(
    folder: MaybeFolder = None,
    *,
    base: Annotated[bool, Parameter(help="Show warnings about shipped lines too.", negative="")] = False,
    json: Json = False,
) -> int:
    """Say everything that is wrong with the mapping tables, without any message.

    Sources are checked against HL7 v2, FHIR R4 and the columns that sources of the folder describe; targets and codes
    against FHIR R4 at every depth; rows that can never write, resources that lack what R4 or US Core requires, params
    without a value, lines without owner, approvals that no longer hold. Every finding has file, line and column, a
    stable code, and what was probably meant. The exit status is 1 when there are errors; warnings alone are 0.
    """
    opened = review_folder(folder)
    described = described_records(folder) if folder is not None else None
    checked = check(opened.review, opened.approvals, opened.pin, described)
    findings = [*checked.findings, *(checked.base if base else ())]
    if json:
        print_json({"errors": checked.errors, "rows": checked.rows, "findings": [finding_as_json(f) for f in findings]})
        return 1 if checked.errors else 0
    for finding in findings:
        print(line_of(finding))
    hidden = f" ({len(checked.base)} more about shipped lines: --base shows them)" if checked.base and not base else ""
    warnings = len(findings) - checked.errors
    print(f"{checked.rows} rows: {checked.errors} errors, {warnings} warnings{hidden}")
    return 1 if checked.errors else 0
