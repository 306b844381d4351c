"""The workbook as people work on it: review, spreadsheets, checks, signatures, upgrades; tests, coverage, differences.

No I/O but reading the tables: messages and files are handed over by those who have them.
"""

from hilum.workbook.comparing import Discrepancy
from hilum.workbook.junit import to_junit
from hilum.workbook.testing import Check, TestReport, TestRun, Verdict

__all__ = [
    "Check",
    "Discrepancy",
    "TestReport",
    "TestRun",
    "Verdict",
    "to_junit",
]
