"""What each finding of validation is called, and what kind of issue it is to FHIR (R4 valueset-issue-type).

The codes are stable; each has a paragraph in docs/codes/validation.md.
"""

from __future__ import annotations

from hilum.model import Finding, Severity

__all__ = ["ISSUE_TYPES", "finding"]

ISSUE_TYPES = {
    "bundle-rule": "business-rule",
    "choice-many": "structure",
    "code-not-in-system": "code-invalid",
    "code-not-in-value-set": "code-invalid",
    "code-outside-value-set": "code-invalid",
    "contained-not-allowed": "structure",
    "display-differs": "code-invalid",
    "element-empty": "structure",
    "element-forbidden": "structure",
    "element-missing": "required",
    "element-unknown": "structure",
    "extension-invalid": "extension",
    "full-url-differs": "invalid",
    "full-url-duplicate": "duplicate",
    "full-url-relative": "invalid",
    "invariant-failed": "invariant",
    "invariant-unchecked": "not-supported",
    "json-invalid": "invalid",
    "list-expected": "structure",
    "list-length": "structure",
    "list-unexpected": "structure",
    "modifier-unknown": "extension",
    "narrative-empty": "structure",
    "narrative-unsafe": "structure",
    "null-in-list": "structure",
    "number-out-of-range": "value",
    "pattern-differs": "value",
    "period-reversed": "invariant",
    "profile-other-type": "invalid",
    "profile-unknown": "not-found",
    "reference-dangling": "not-found",
    "reference-wrong-type": "value",
    "resource-too-deep": "too-long",
    "faults-untold": "too-long",
    "resource-type-unknown": "not-supported",
    "slice-many": "structure",
    "slice-missing": "required",
    "system-relative": "value",
    "system-unknown": "not-found",
    "type-wrong": "structure",
    "value-malformed": "value",
}


def finding(code: str, message: str, location: str = "", *, warning: bool = False, hint: str = "") -> Finding:
    """A finding of validation. Raises KeyError for a code that is not in the table."""
    ISSUE_TYPES[code]
    return Finding(code, message, location, Severity.WARNING if warning else Severity.ERROR, hint)
