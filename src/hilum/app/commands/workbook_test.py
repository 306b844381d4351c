"""`hilum workbook test`: whether the rows do to their samples, and messages become, what the workbook says."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from msgspec import to_builtins
from rich.console import Console
from rich.progress import Progress

from hilum.app.arguments import Folder, Json
from hilum.app.failure import finding_as_json, line_of
from hilum.app.printing import print_json
from hilum.app.workbook_folder import params_of, read_test_file
from hilum.mapping import load_workbook
from hilum.workbook import Check, TestReport, TestRun, Verdict, to_junit, write_whole

__all__ = ["command"]

USAGE = 2
SHOWN = 20  # rows without a sample that are named one by one


def command(
    folder: Folder = Path(),
    *,
    row: Annotated[list[str], Parameter(help="Only tests of this row; may be given again.", negative="")] = [],  # noqa: B006
    own: Annotated[bool, Parameter(help="Only tests of your own tables, not of what ships.", negative="")] = False,
    junit: Annotated[Path | None, Parameter(help="Also write JUnit XML into this file, for CI servers.")] = None,
    json: Json = False,
) -> int:
    """Test the workbook: every row on its sample, and whole messages from workbook/tests.csv.

    Samples of the rows that ship with hilum run in the setting in which they were written; those of your own rows, and
    whole messages, run with your tables and decisions. For what fails you see what was expected and what came out.

    The exit status is 1 when a test fails or cannot run, and when your tables have no test at all: nothing passes
    because nothing was asked. Rows without a sample are listed.
    """
    if not folder.is_dir():
        print(f"hilum: {folder} is no folder", file=sys.stderr)
        return USAGE
    read_file = partial(read_test_file, folder)
    run = TestRun(load_workbook(folder), params_of(folder), read_file=read_file, rows=row, own=own)
    report = run.report(_watched(run, quiet=json))
    if junit is not None:
        write_whole(junit, to_junit(report))
    if json:
        print_json(_facts(report))
    else:
        _print(report)
    return 0 if report.ok else 1


def _watched(run: TestRun, *, quiet: bool) -> list[Check]:
    with Progress(console=Console(stderr=True), transient=True, disable=quiet) as progress:
        return list(progress.track(run.run(), total=len(run), description="testing"))


def _facts(report: TestReport) -> dict[str, Any]:
    return {
        "ok": report.ok,
        "tests": len(report.checks),
        **{verdict.value: report.count(verdict) for verdict in Verdict},
        "site": sum(check.layer == "site" for check in report.checks),
        "rows_without_sample": [row for row, _, _ in report.untested],
        "findings": [finding_as_json(finding) for finding in report.findings],
        "checks": [to_builtins(check) for check in report.checks],
    }


def _print(report: TestReport) -> None:
    for check in report.checks:
        if check.verdict is not Verdict.PASSED:
            _print_check(check)
    untested = [finding for finding in report.findings if finding.code == "row-untested"]
    for finding in [one for one in report.findings if one not in untested] + untested[:SHOWN]:
        print(line_of(finding))
    if len(untested) > SHOWN:
        print(f"... and {len(untested) - SHOWN} more rows without a sample; --json names them all")
    print(_summary(report))


def _print_check(check: Check) -> None:
    print(f"{check.where} {check.verdict} {check.test}")
    if check.problem:
        print(f"    {check.problem}")
    for one in check.discrepancies:
        print(f"    {one.path or 'value'}")
        print(f"        expected  {one.expected or '(nothing)'}")
        print(f"        got       {one.got or '(nothing)'}")


def _summary(report: TestReport) -> str:
    site = sum(check.layer == "site" for check in report.checks)
    parts = [f"{report.count(verdict)} {verdict}" for verdict in Verdict if report.count(verdict)]
    tests = f"{len(report.checks)} tests ({site} of the site, {len(report.checks) - site} of the base)"
    return f"{tests}: {', '.join(parts) or 'none ran'}; {len(report.untested)} rows without a sample"
