"""Tokens with a system over elements that hold a bare code or a boolean: one suite for every implementation."""

from __future__ import annotations

from typing import Any

import pytest
from clinical_samples import draft, find, patient, send

pytestmark = pytest.mark.anyio

GENDER = "http://hl7.org/fhir/administrative-gender"
TRUE_FALSE = "http://terminology.hl7.org/CodeSystem/special-values"


async def ward(repository: Any) -> None:
    active = {"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}
    await send(
        repository,
        patient("p1", gender="female", active=True),
        patient("p2", gender="male", active=False),
        patient("p3"),
        draft("Observation", "o1", status="final"),
        draft("AllergyIntolerance", "a1", clinicalStatus={"coding": [active]}),
        draft("Group", "g1", type="person", actual=True, characteristic=[{"valueBoolean": True}]),
    )


@pytest.mark.parametrize(
    ("type_", "name", "value", "expected"),
    [
        ("Patient", "gender", f"{GENDER}|female", ["p1"]),
        ("Patient", "gender", "|female", ["p1"]),
        ("Patient", "gender", "female", ["p1"]),
        ("Patient", "gender", f"{GENDER}|", ["p1", "p2"]),
        ("Patient", "gender", "http://example.org/other|female", []),
        ("Patient", "gender", "http://example.org/other|", []),
        ("Patient", "gender", f"{GENDER}|purple", []),
        ("Patient", "gender:not", f"{GENDER}|female", ["p2", "p3"]),
        ("Patient", "gender:not", "http://example.org/other|female", ["p1", "p2", "p3"]),
        ("Patient", "active", f"{TRUE_FALSE}|true", ["p1"]),
        ("Patient", "active", "http://example.org/other|true", []),
        ("Observation", "status", "http://hl7.org/fhir/observation-status|final", ["o1"]),
        ("AllergyIntolerance", "clinical-status", "http://hl7.org/fhir/administrative-gender|active", []),
        ("Group", "value", f"{TRUE_FALSE}|true", ["g1"]),
    ],
)
async def test_the_system_of_a_bare_code_is_that_of_its_binding(
    repository: Any, type_: str, name: str, value: str, expected: list[str]
) -> None:
    await ward(repository)
    assert sorted(find(repository, type_, f"{name}={value}")) == expected
