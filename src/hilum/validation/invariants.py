"""Invariants: the frequent ones compiled by hand, the others by FHIRPath, all behind one table.

An invariant fails when it is certainly false. One that gives nothing (a comparison of unlike precisions) does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hilum.definitions import Constraint

from .points import is_reversed
from .run import Check, Run
from .where import Where

__all__ = ["ELSEWHERE", "Invariant", "by_hand"]

Json = dict[str, Any]
Test = Callable[[Json], bool]

# Seen to by the schema, by other checks, or recommendations of narrative that are no rules.
_KEYS = """
ele-1 ext-1 per-1 ref-1 txt-1 txt-2 dom-2 dom-3 dom-4 dom-5 dom-6
bdl-1 bdl-2 bdl-3 bdl-4 bdl-5 bdl-7 bdl-8 bdl-9 bdl-10 bdl-11 bdl-12
"""
ELSEWHERE = frozenset(_KEYS.split())


def _has_coding(concept: Json | None, system: str, *codes: str) -> bool:
    held = concept.get("coding", ()) if concept else ()
    return any(one.get("system") == system and one.get("code") in codes for one in held)


def _any(*names: str) -> Test:
    return lambda value: any(name in value or f"_{name}" in value for name in names)


def _needs(name: str, other: str) -> Test:
    return lambda value: name not in value or other in value or f"_{other}" in value


def _not_both(name: str, other: str) -> Test:
    return lambda value: not (name in value and other in value)


def _choice(value: Json, stem: str) -> bool:
    return any(name.startswith(stem) and name[len(stem) :][:1].isupper() for name in value)


def _observation_components(value: Json) -> bool:
    if "component" not in value or not _choice(value, "value"):
        return True
    own = [(one.get("system"), one.get("code")) for one in value.get("code", {}).get("coding", ())]
    return not any(
        (one.get("system"), one.get("code")) in own
        for part in value["component"]
        for one in part.get("code", {}).get("coding", ())
    )


def _range(value: Json) -> bool:
    low, high = value.get("low", {}), value.get("high", {})
    if (
        "value" not in low
        or "value" not in high
        or low.get("code", low.get("unit")) != high.get("code", high.get("unit"))
    ):
        return True
    return bool(low["value"] <= high["value"])


def _allergy_status(value: Json) -> bool:
    return _has_coding(value.get("verificationStatus"), _ALLERGY, "entered-in-error") or "clinicalStatus" in value


def _allergy_error(value: Json) -> bool:
    return not (
        _has_coding(value.get("verificationStatus"), _ALLERGY, "entered-in-error") and "clinicalStatus" in value
    )


def _condition_abated(value: Json) -> bool:
    ended = ("resolved", "remission", "inactive")
    return not _choice(value, "abatement") or _has_coding(value.get("clinicalStatus"), _CONDITION, *ended)


def _condition_error(value: Json) -> bool:
    wrong = _has_coding(value.get("verificationStatus"), _CONDITION_VERIFICATION, "entered-in-error")
    return not (wrong and "clinicalStatus" in value)


def _appointment_times(value: Json) -> bool:
    both = "start" in value and "end" in value
    return both or value.get("status") in ("proposed", "cancelled", "waitlist")


def _home_free(values: Json) -> bool:
    return values.get("use") != "home"


_ALLERGY = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification"
_CONDITION = "http://terminology.hl7.org/CodeSystem/condition-clinical"
_CONDITION_VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"

_TABLE: dict[str, Test] = {
    "ait-1": _allergy_status,
    "ait-2": _allergy_error,
    "app-1": _any("type", "actor"),
    "app-2": lambda value: ("start" in value) == ("end" in value),
    "app-3": _appointment_times,
    "att-1": _needs("data", "contentType"),
    "con-1": _any("summary", "assessment"),
    "con-2": _any("code", "detail"),
    "con-4": _condition_abated,
    "con-5": _condition_error,
    "cpl-3": _not_both("detail", "reference"),
    "cpt-2": _needs("value", "system"),
    "mad-1": lambda value: "dose" in value or _choice(value, "rate"),
    "obs-3": _any("low", "high", "text"),
    "obs-6": lambda value: "dataAbsentReason" not in value or not _choice(value, "value"),
    "obs-7": _observation_components,
    "org-1": _any("identifier", "name"),
    "org-2": _home_free,
    "org-3": _home_free,
    "pat-1": _any("name", "telecom", "address", "organization"),
    "prr-1": _needs("orderDetail", "code"),
    "qty-3": _needs("code", "system"),
    "que-7": lambda value: value.get("operator") != "exists" or "answerBoolean" in value,
    "rng-2": _range,
    "tim-1": _needs("duration", "durationUnit"),
    "tim-2": _needs("period", "periodUnit"),
    "tim-4": lambda value: value.get("duration", 0) >= 0,
    "tim-5": lambda value: value.get("period", 0) >= 0,
    "tim-6": _needs("periodMax", "period"),
    "tim-7": _needs("durationMax", "duration"),
    "tim-8": _needs("countMax", "count"),
    "tim-10": _not_both("timeOfDay", "when"),
    "mdd-1": lambda value: not is_reversed(value.get("whenPrepared", ""), value.get("whenHandedOver", "")),
}


def by_hand(constraint: Constraint) -> Test | None:
    """The hand-made test of an invariant of R4; None when there is none."""
    return _TABLE.get(constraint.key)


class Invariant(Check):
    """One invariant at one element."""

    __slots__ = ("_constraint", "_test")

    def __init__(self, constraint: Constraint, test: Test) -> None:
        self._constraint, self._test = constraint, test

    def look(self, value: Any, where: Where, run: Run) -> None:
        if not self._test(value):
            report_invariant(self._constraint, where, run)


def report_invariant(constraint: Constraint, where: Where, run: Run) -> None:
    """Say that an invariant does not hold."""
    text = f"{constraint.key}: {constraint.human}"
    run.seen.report("invariant-failed", text, where, warning=constraint.severity == "warning")
