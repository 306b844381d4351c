"""What became of the tests of a workbook."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from hilum.model import Finding, Severity
from hilum.workbook.comparing import Discrepancy

__all__ = ["Check", "TestReport", "Verdict"]


class Verdict(StrEnum):
    """What became of one test."""

    PASSED = "passed"
    FAILED = "failed"  # it ran, and something else came out
    BROKEN = "broken"  # it could not run


class Check(Struct, frozen=True):
    """One test and what became of it. `layer` is base or site; `where` is `rows.csv:12:17`."""

    test: str
    layer: str
    where: str
    verdict: Verdict
    row: str = ""
    discrepancies: tuple[Discrepancy, ...] = ()
    problem: str = ""  # why it could not run


class TestReport(Struct, frozen=True):
    """All tests of a workbook. `untested` are rows without a sample: (row, where, layer)."""

    __test__ = False

    checks: tuple[Check, ...]
    untested: tuple[tuple[str, str, str], ...]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether there are tests and all of them passed."""
        passed = all(check.verdict is Verdict.PASSED for check in self.checks)
        return passed and bool(self.checks) and all(one.severity is not Severity.ERROR for one in self.findings)

    def count(self, verdict: Verdict) -> int:
        """How many tests ended so."""
        return sum(check.verdict is verdict for check in self.checks)
