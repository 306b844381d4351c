"""What an expression may reach while it runs: the resource, the caller's helpers, and how much work is left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from hilum.fhirpath.failure import fail

__all__ = ["MOST_WORK", "Checker", "Frame", "Member", "Resolver", "Tracer"]

MOST_WORK = 5_000_000  # items that one evaluation may look at

Resolver = Callable[[str], Mapping[str, Any] | None]  # reference text -> resource
Member = Callable[[Any, str], bool | None]  # (code, Coding or CodeableConcept; URL of the value set) -> is it in there
Checker = Callable[[Any, str], bool | None]  # (resource, URL of the profile) -> does it conform; None: not known
Tracer = Callable[[str, list[Any]], None]


class Frame:
    """One evaluation. `index` and `total` are `$index` and `$total` of the innermost loop."""

    __slots__ = (
        "conforms",
        "context",
        "env",
        "index",
        "left",
        "member",
        "moment",
        "resolver",
        "resource",
        "root",
        "total",
        "trace",
    )

    def __init__(self, resource: list[Any], context: list[Any], env: Mapping[str, Any]) -> None:
        self.resource = self.root = resource
        self.context, self.env = context, env
        self.index, self.left = 0, MOST_WORK
        self.total: list[Any] = []
        self.resolver: Resolver | None = None
        self.member: Member | None = None
        self.conforms: Checker | None = None
        self.trace: Tracer | None = None
        self.moment: datetime | None = None

    def now(self) -> datetime:
        """The moment of this evaluation: the same wherever it is asked for (5.9 "Utility functions")."""
        if self.moment is None:
            self.moment = datetime.now(UTC)
        return self.moment

    def spend(self, items: int, at: int) -> None:
        """Count work. Raises FhirPathError `fhirpath-too-much` when all is used up."""
        self.left -= items
        if self.left < 0:
            raise fail(f"the expression looks at more than {MOST_WORK:,} items; narrow it", "fhirpath-too-much", at)
