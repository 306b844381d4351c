"""Validation: resources per second of CPU time on one core, bytes in, against the Python library that people know.

Structure alone (decode, then types, cardinality, choices, required codes, dates), and all three tiers. The peer checks
structure only; its package has R4B and no R4, which is the nearest. Where it is not installed the figures say so.
"""

from __future__ import annotations

import importlib
import json
import random
import time
from collections.abc import Callable
from typing import Any

from hilum.definitions import r4
from hilum.validation import Validator

GOAL = 15.0  # times the peer
LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
IDENTIFIER = "http://terminology.hl7.org/CodeSystem/v2-0203"


def _patient(dice: random.Random) -> dict[str, Any]:
    number = str(dice.randrange(10**6))
    return {
        "resourceType": "Patient",
        "id": f"p{number}",
        "identifier": [
            {"type": {"coding": [{"system": IDENTIFIER, "code": "MR"}]}, "system": "urn:oid:2.999.1", "value": number}
        ],
        "active": True,
        "name": [{"use": "official", "family": f"Probe{number}", "given": ["Ada", "B"]}],
        "telecom": [{"system": "phone", "value": f"555-{number}", "use": "home"}],
        "gender": dice.choice(["male", "female", "other", "unknown"]),
        "birthDate": f"{dice.randrange(1920, 2024)}-0{dice.randrange(1, 9)}-1{dice.randrange(9)}",
        "address": [{"line": [f"{number} Main Street"], "city": "Testville", "postalCode": "01234", "country": "US"}],
    }


def _observation(dice: random.Random) -> dict[str, Any]:
    amount = round(dice.uniform(3, 9), 1)
    return {
        "resourceType": "Observation",
        "id": f"o{dice.randrange(10**9)}",
        "status": "final",
        "category": [{"coding": [{"system": CATEGORY, "code": "laboratory"}]}],
        "code": {"coding": [{"system": LOINC, "code": "2345-7", "display": "Glucose"}], "text": "Glucose"},
        "subject": {"reference": f"Patient/p{dice.randrange(10**6)}"},
        "encounter": {"reference": f"Encounter/e{dice.randrange(10**6)}"},
        "effectiveDateTime": f"2026-1{dice.randrange(3)}-0{dice.randrange(1, 9)}T10:30:00+01:00",
        "issued": "2026-11-01T10:31:00.123Z",
        "valueQuantity": {"value": amount, "unit": "mmol/L", "system": UCUM, "code": "mmol/L"},
        "referenceRange": [{"low": {"value": 3.9, "unit": "mmol/L"}, "high": {"value": 5.5, "unit": "mmol/L"}}],
    }


def _encounter(dice: random.Random) -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "id": f"e{dice.randrange(10**6)}",
        "status": "finished",
        "class": {"system": ACT, "code": "IMP"},
        "subject": {"reference": f"Patient/p{dice.randrange(10**6)}"},
        "participant": [{"individual": {"reference": f"Practitioner/d{dice.randrange(99)}"}}],
        "period": {"start": "2026-01-05T08:00:00Z", "end": f"2026-01-0{dice.randrange(6, 9)}T09:00:00+01:00"},
        "location": [{"location": {"reference": "Location/ward1"}}],
    }


def _condition(dice: random.Random) -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "id": f"c{dice.randrange(10**6)}",
        "clinicalStatus": {"coding": [{"system": CLINICAL, "code": "active"}]},
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": str(dice.randrange(10**8))}]},
        "subject": {"reference": f"Patient/p{dice.randrange(10**6)}"},
        "onsetDateTime": f"202{dice.randrange(7)}-05",
    }


def _sample(count: int) -> list[tuple[str, bytes]]:
    """(type, JSON): half of them observations, as in a hospital's stream."""
    dice = random.Random(11)
    makers = (_observation, _patient, _observation, _encounter, _observation, _condition)
    resources = [makers[number % len(makers)](dice) for number in range(count)]
    return [(one["resourceType"], json.dumps(one).encode()) for one in resources]


def run(count: int = 6000) -> dict[str, object]:
    """Figures in resources per second of CPU time, and the ratio to the peer."""
    started = time.process_time()
    r4().types()
    opening = time.process_time() - started
    sample = _sample(count)
    bodies = [raw for _, raw in sample]
    validator = Validator()
    started = time.process_time()
    refused = sum(not validator.report(raw).is_valid for raw in bodies[:12])
    first = time.process_time() - started
    structure = _rate(validator.is_structurally_valid, bodies, 5)
    whole = _rate(validator.validate_bytes, bodies, 5)
    figures: dict[str, object] = {
        "average_bytes": round(sum(map(len, bodies)) / count),
        "structure_per_second": round(structure),
        "whole_per_second": round(whole),
        "open_definitions_ms": round(opening * 1000, 1),
        "first_of_four_types_ms": round(first * 1000),
        "refused": refused,
        "goal_times_faster": GOAL,
    }
    peer = _peer(sample[:1200])
    if peer is None:
        return {**figures, "peer": "fhir.resources is not installed here: nothing to compare with"}
    return {**figures, "peer": {"fhir.resources": round(peer)}, "times_faster": round(structure / peer, 1)}


def _rate(check: Callable[[bytes], object], bodies: list[bytes], rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        started = time.process_time()
        for raw in bodies:
            check(raw)
        best = min(best, time.process_time() - started)
    return len(bodies) / best


def _peer(sample: list[tuple[str, bytes]]) -> float | None:
    try:
        models = {
            name: getattr(importlib.import_module(f"fhir.resources.R4B.{name.lower()}"), name) for name, _ in sample
        }
    except ModuleNotFoundError:
        return None
    best = float("inf")
    for _ in range(3):
        started = time.process_time()
        for name, raw in sample:
            models[name].model_validate_json(raw)
        best = min(best, time.process_time() - started)
    return len(sample) / best


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
