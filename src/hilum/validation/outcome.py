"""A report as an OperationOutcome: what `$validate` answers (R4 resource-operation-validate.html)."""

from __future__ import annotations

from collections.abc import Sequence

from hilum.formats.fhir import Issue, IssueSeverity, operation_outcome
from hilum.model import Finding, Severity

from .validator import Report
from .words import ISSUE_TYPES

__all__ = ["issues_of", "outcome_of"]

_NOT_SUPPORTED, _INFORMATIONAL = "not-supported", "informational"  # R4 valueset-issue-type


def outcome_of(report: Report) -> bytes:
    """JSON. It always has an issue: the last one names the rules, and says so when there was nothing to find."""
    issues = issues_of(report.findings)
    if report.unchecked:
        shown = ", ".join(report.unchecked[:50]) + (", ..." if len(report.unchecked) > 50 else "")
        text = f"not checked, because it is not loaded here: {shown}"
        issues.append(Issue(_NOT_SUPPORTED, text, "not-loaded", IssueSeverity.INFORMATION))
    verdict = "nothing is wrong" if not report.findings else "see the other issues"
    text = f"{report.resources} resources checked against {report.rules}: {verdict}"
    issues.append(Issue(_INFORMATIONAL, text, "validated", IssueSeverity.INFORMATION))
    return operation_outcome(issues)


def issues_of(findings: Sequence[Finding]) -> list[Issue]:
    """One issue for each finding, with its FHIRPath."""
    return [_issue(one) for one in findings]


def _issue(one: Finding) -> Issue:
    severity = IssueSeverity.WARNING if one.severity is Severity.WARNING else IssueSeverity.ERROR
    text = f"{one.message} ({one.hint})" if one.hint else one.message
    return Issue(ISSUE_TYPES[one.code], text, one.code, severity, (one.location,) if one.location else ())
