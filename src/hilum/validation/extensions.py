"""Extensions whose definition is loaded are what that definition says; the others are only well-formed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hilum.definitions import Definitions, Structure

from .run import Check, Run
from .structural import Shapes
from .where import Where

__all__ = ["KnownExtension"]

Rules = Callable[[Structure, Any, Where, Run], None]


class KnownExtension(Check):
    """One Extension."""

    __slots__ = ("_definitions", "_rules", "_shapes")

    def __init__(self, definitions: Definitions, shapes: Shapes, rules: Rules) -> None:
        """`rules` makes the checks of a definition on a value that has its shape."""
        self._definitions, self._shapes, self._rules = definitions, shapes, rules

    def look(self, value: Any, where: Where, run: Run) -> None:
        url = value["url"]
        if url.startswith("#") or ":" not in url:
            return  # a part of another extension, which says what it is
        structure = self._definitions.structure(url)
        if structure is None or not structure.is_profile or structure.type != "Extension":
            return
        if self._shapes.fits(structure, value):
            self._rules(structure, value, where, run)
        else:
            for one in self._shapes.faults(structure, value, where):
                text = f"the definition of this extension says otherwise: {one.message}"
                run.seen.findings.append(type(one)("extension-invalid", text, one.location, one.severity, one.hint))
