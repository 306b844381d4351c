"""Checks of datatypes that R4 states in words or as invariants, compiled by hand because they are met everywhere."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from hilum.definitions import Definitions
from hilum.formats.fhir import date_range, parse_reference

from .narrative import EMPTY, narrative_fault
from .run import Check, Pointer, Run
from .where import Where

__all__ = ["Modifiers", "Narrative", "Order", "References"]


class Order(Check):
    """per-1: the start of a Period is not after its end. Ranges that overlap (`2026` and `2026-03`) are in order."""

    __slots__ = ()

    def look(self, value: Any, where: Where, run: Run) -> None:
        start, end = value.get("start"), value.get("end")
        if start is not None and end is not None and is_reversed(start, end):
            run.seen.report("period-reversed", "this period ends before it starts (per-1)", where)


@lru_cache(maxsize=4096)
def is_reversed(start: str, end: str) -> bool:
    """Whether `end` lies before `start` as a whole; False for texts that are no dates."""
    if len(start) == len(end) and start[19:] == end[19:]:
        return end < start
    first, last = date_range(start), date_range(end)
    return first is not None and last is not None and last[1] <= first[0]


class References(Check):
    """Keeps the literal references of a resource; they are followed when all of it was seen."""

    __slots__ = ("_allowed",)

    def __init__(self, allowed: frozenset[str] | None) -> None:
        self._allowed = allowed

    def look(self, value: Any, where: Where, run: Run) -> None:
        reference = value.get("reference")
        if reference is not None:
            run.pointers.append(Pointer((where, "reference", -1), reference, self._allowed))
            said = value.get("type")
            if said is not None and (led := parse_reference(reference)) is not None and led.type not in ("", said):
                text = f"the reference leads to a {led.type}, and its type says something else"
                run.seen.report("reference-wrong-type", text, (where, "type", -1))


class Modifiers(Check):
    """A modifier extension that nobody here knows may turn the meaning round: it is never passed over."""

    __slots__ = ("_definitions",)

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions

    def look(self, value: Any, where: Where, run: Run) -> None:
        structure = self._definitions.structure(value.get("url", ""))
        if structure is None or structure.type != "Extension" or not structure.is_profile:
            text = "this extension changes the meaning of what it stands in, and it is not known here"
            hint = "load the package that defines it with `hilum package add`"
            run.seen.report("modifier-unknown", text, where, hint=hint)


class Narrative(Check):
    """txt-1, txt-2."""

    __slots__ = ()

    def look(self, value: Any, where: Where, run: Run) -> None:
        fault = narrative_fault(value)
        if fault == EMPTY:
            run.seen.report("narrative-empty", fault, where, warning=True)
        elif fault:
            run.seen.report("narrative-unsafe", fault, where)
