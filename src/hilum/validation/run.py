"""What one validation gathers while it walks through a resource."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from hilum.definitions import Definitions
from hilum.model import Finding

from .where import Where, expression_of
from .words import finding

__all__ = ["Check", "Pointer", "Run", "Seen"]

Json = dict[str, Any]


class Pointer(Struct, frozen=True, gc=False):
    """A literal reference that was met: where, what it says, and types that it may lead to (None is any)."""

    where: Where
    reference: str
    allowed: frozenset[str] | None


class Seen:
    """Findings and what could not be checked, of all resources that were given together."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self.findings: list[Finding] = []
        self.unchecked: set[str] = set()
        self.said: set[str] = set()  # systems that were told of: once is enough

    def report(self, code: str, message: str, where: Where, *, warning: bool = False, hint: str = "") -> None:
        """Note a finding."""
        location = expression_of(self.definitions, where)
        self.findings.append(finding(code, message, location, warning=warning, hint=hint))


class Run:
    """One resource: itself, the references and the resources that were met in it."""

    __slots__ = ("nested", "pointers", "resource", "seen")

    def __init__(self, seen: Seen, resource: Json) -> None:
        self.seen, self.resource = seen, resource
        self.pointers: list[Pointer] = []
        self.nested: list[tuple[Json, Where]] = []


class Check:
    """Something to look at in a value. `look` reports to `run.seen`."""

    __slots__ = ()

    def look(self, value: Any, where: Where, run: Run) -> None:
        """Look at one value; raises nothing for a value of the shape that the schema let through."""
        raise NotImplementedError
