"""Building an OperationOutcome (R4 operationoutcome.html)."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec
from msgspec import Struct

__all__ = ["Issue", "IssueSeverity", "operation_outcome"]


class IssueSeverity(StrEnum):
    """R4 valueset-issue-severity."""

    FATAL = "fatal"  # the action could not even be tried
    ERROR = "error"  # the action failed
    WARNING = "warning"  # it was done, and something is worth a look
    INFORMATION = "information"  # it was done; for your knowledge


class Issue(Struct, frozen=True):
    """One issue. `type` is of R4 valueset-issue-type ("not-found", "invalid"...); `code` is hilum's stable code."""

    type: str
    text: str  # never PHI
    code: str = ""
    severity: IssueSeverity = IssueSeverity.ERROR
    expression: tuple[str, ...] = ()  # FHIRPath, or `http.<name>` for a parameter


CODE_SYSTEM = "urn:hilum:code"


def operation_outcome(issues: Sequence[Issue]) -> bytes:
    """JSON bytes. R4 asks for one issue at least; raises ValueError without one."""
    if not issues:
        raise ValueError("an OperationOutcome has at least one issue")
    return msgspec.json.encode({"resourceType": "OperationOutcome", "issue": [_issue(one) for one in issues]})


def _issue(issue: Issue) -> dict[str, object]:
    made: dict[str, object] = {"severity": issue.severity, "code": issue.type}
    if issue.code:
        coding = {"system": CODE_SYSTEM, "code": issue.code}
        made["details"] = {"coding": [coding], "text": issue.text}
    made["diagnostics"] = f"{issue.code}: {issue.text}" if issue.code else issue.text
    if issue.expression:
        made["expression"] = list(issue.expression)
    return made
