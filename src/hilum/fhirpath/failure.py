"""The one error of FHIRPath, and the places in an expression that it names."""

from __future__ import annotations

from hilum.errors import FormatError

__all__ = ["FhirPathError", "fail"]


class FhirPathError(FormatError):
    """An expression that cannot be read, does not fit its type, or cannot be evaluated on a resource.

    `expression` is its text, `line` and `column` count from 1 (0 where no place is known). Messages never hold values
    of a resource.
    """

    default_code = "fhirpath-invalid"

    def __init__(self, message: str, *, code: str | None = None, expression: str = "", at: int = -1) -> None:
        self.expression, self.at = expression, at
        self.line, self.column = _place(expression, at)
        super().__init__(message, code=code, location=f"{self.line}:{self.column}" if self.line else "")

    def within(self, expression: str) -> FhirPathError:
        """The same error, with the expression that it happened in."""
        return FhirPathError(self.message, code=self.code, expression=expression, at=self.at)


def fail(message: str, code: str, at: int = -1) -> FhirPathError:
    """An error that does not know its expression yet: `compile_expression` and `Expression` add it."""
    return FhirPathError(message, code=code, at=at)


def _place(expression: str, at: int) -> tuple[int, int]:
    if at < 0 or not expression:
        return 0, 0
    before = expression[:at]
    return before.count("\n") + 1, at - (before.rfind("\n") + 1) + 1
