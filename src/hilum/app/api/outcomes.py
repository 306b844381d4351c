"""Problems as FHIR says them: every error of the API is an OperationOutcome that says what to do.

`kind` is a code of R4 valueset-issue-type, `code` is hilum's own and stable (docs/codes/api.md). What is echoed is the
caller's own parameter name, never stored content.
"""

from __future__ import annotations

from collections.abc import Mapping

from hilum.formats.fhir import Issue, IssueSeverity

__all__ = ["Problem", "issue", "warning"]


def issue(code: str, kind: str, text: str, parameter: str = "") -> Issue:
    """An error. `parameter` is the one it is about (R4 operationoutcome.html: written `http.name`)."""
    return Issue(kind, text, code, expression=(f"http.{parameter}",) if parameter else ())


def warning(code: str, kind: str, text: str, parameter: str) -> Issue:
    """The same for something that was done all the same."""
    return Issue(kind, text, code, IssueSeverity.WARNING, (f"http.{parameter}",))


class Problem(Exception):
    """A request that gets no resource; `status` and `headers` are those of the answer."""

    def __init__(
        self,
        code: str,
        status: int,
        kind: str,
        text: str,
        *,
        parameter: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.issues: tuple[Issue, ...] = (issue(code, kind, text, parameter),)
        self.headers = dict(headers or {})
