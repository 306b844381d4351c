"""The official FHIRPath tests for R4, against the list of those that fail in docs/fhirpath.md."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from hilum.fhirpath import Element, FhirPathError, Quantity, Temporal, compile_expression, decode, system_value
from shared_data import SHARED, needs_shared

FOLDER = SHARED / "fhir" / "fhirpath"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "fhirpath.md"


@cache
def resource(name: str) -> Any:
    return decode((FOLDER / "input" / name).read_bytes()) if name else {}


def shown(item: Any) -> str:
    value = system_value(item) if isinstance(item, Element) else item
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Temporal | Quantity):
        return value.text if isinstance(value, Temporal) else value.text()
    return str(value)


def is_met(test: dict[str, Any]) -> bool:
    subject = resource(test["input"])
    try:
        expression = compile_expression(
            test["expr"], type=subject.get("resourceType"), strict=test["mode"] == "strict" or None
        )
        items = expression.typed(subject)
    except FhirPathError:
        return bool(test["invalid"])
    if test["invalid"]:
        return False
    if test["predicate"] == "true":
        return [str(bool(items)).lower()] == [text for _, text in test["outputs"]]
    found = [shown(item) for item in items]
    wanted = [text.removeprefix("@").removeprefix("T") for _, text in test["outputs"]]
    return sorted(found) == sorted(wanted) if test["ordered"] == "false" else found == wanted


def known_failures() -> set[str]:
    section = PAGE.read_text(encoding="utf-8").partition("## Official tests that fail")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE))


@needs_shared
def test_exactly_the_listed_official_tests_fail() -> None:
    tests = json.loads((FOLDER / "tests-r4.json").read_text(encoding="utf-8"))
    failed = {test["name"] for test in tests if not is_met(test)}
    assert len(tests) >= 624
    assert failed == known_failures()
    assert len(failed) <= 0.04 * len(tests)
