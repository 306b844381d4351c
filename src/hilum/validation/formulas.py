"""Invariants that are evaluated as FHIRPath, compiled when a resource first meets them."""

from __future__ import annotations

from typing import Any

from hilum.definitions import Constraint, Definitions
from hilum.errors import HilumError
from hilum.fhirpath import Expression, FhirPathError, R4Model, compile_expression

from .invariants import report_invariant
from .run import Check, Run
from .where import Where

__all__ = ["Formulas"]


class Formulas:
    """Makes a check of an invariant."""

    def __init__(self, definitions: Definitions) -> None:
        self._model = R4Model(definitions)

    def check(self, constraint: Constraint, type_: str) -> Check:
        """The check for values of a type: "Patient", "HumanName", "Patient.contact"."""
        return _Formula(constraint, type_, self._model)


class _Formula(Check):
    """One invariant at one element. What cannot be evaluated is told as not checked; it refuses nothing."""

    __slots__ = ("_constraint", "_expression", "_is_lost", "_model", "_type")

    def __init__(self, constraint: Constraint, type_: str, model: R4Model) -> None:
        self._constraint, self._type, self._model = constraint, type_, model
        self._expression: Expression | None = None
        self._is_lost = False

    def look(self, value: Any, where: Where, run: Run) -> None:
        if self._expression is None and not self._is_lost:
            self._compile()
        if self._expression is None:
            run.seen.unchecked.add(f"invariant {self._constraint.key}")
            return
        try:
            holds = self._expression.boolean(value, root=run.resource)
        except FhirPathError:
            run.seen.unchecked.add(f"invariant {self._constraint.key}")
            return
        if holds is False:
            report_invariant(self._constraint, where, run)

    def _compile(self) -> None:
        try:
            self._expression = compile_expression(
                self._constraint.expression, type=self._type, model=self._model, strict=False
            )
        except HilumError:
            self._is_lost = True
