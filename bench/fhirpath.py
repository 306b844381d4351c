"""FHIRPath: evaluations per second on one core, against the best known Python engine, in the same run.

Both compile each expression once and evaluate it on the same parsed resources; both know the R4 model. Only expressions
on which both give the same result count. CPU time, best of the rounds. The peer is `fhirpathpy`; where it is not
installed, the figures say so.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from hilum.fhirpath import compile_expression

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "bench",
    "identifier": [
        {
            "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]},
            "system": "urn:oid:2.16.840.1.113883.19.5",
            "value": "100200",
        },
        {"system": "http://hl7.org/fhir/sid/us-ssn", "value": "999-00-1234"},
    ],
    "active": True,
    "name": [
        {"use": "official", "family": "Testcase", "given": ["Una", "Maria"]},
        {"use": "usual", "given": ["Uni"]},
        {"use": "maiden", "family": "Sample", "given": ["Una", "Maria"], "period": {"end": "2002"}},
    ],
    "telecom": [
        {"system": "phone", "value": "555-0100", "use": "home"},
        {"system": "phone", "value": "555-0101", "use": "work", "rank": 1},
        {"system": "email", "value": "una@example.org"},
    ],
    "gender": "female",
    "birthDate": "1974-12-25",
    "deceasedBoolean": False,
    "address": [{"use": "home", "line": ["534 Example St"], "city": "Sampleton", "state": "VT", "postalCode": "05000"}],
    "contact": [{"relationship": [{"coding": [{"code": "N"}]}], "name": {"family": "Next"}, "gender": "male"}],
    "managingOrganization": {"reference": "Organization/1"},
}
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "bench",
    "status": "final",
    "category": [
        {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}
    ],
    "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9", "display": "Blood pressure"}]},
    "subject": {"reference": "Patient/bench"},
    "effectiveDateTime": "2026-03-01T08:30:00-05:00",
    "valueQuantity": {"value": 185, "unit": "lbs", "system": "http://unitsofmeasure.org", "code": "[lb_av]"},
    "component": [
        {
            "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
            "valueQuantity": {"value": value, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"},
        }
        for code, value in (("8480-6", 107), ("8462-4", 60))
    ],
}
EXPRESSIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Patient.name.given", PATIENT),
    ("Patient.birthDate", PATIENT),
    ("Patient.name.where(use = 'official').given.first()", PATIENT),
    ("Patient.telecom.where(system = 'phone' and use = 'work').value", PATIENT),
    ("Patient.identifier.where(type.coding.code = 'MR').value", PATIENT),
    ("Patient.contact.all(name.exists() or telecom.exists() or address.exists() or organization.exists())", PATIENT),
    ("Patient.name.select(given.first())", PATIENT),
    ("Patient.name.given.count() > 3 and Patient.active", PATIENT),
    ("Patient.deceased.exists() and Patient.deceased != false", PATIENT),
    ("Patient.address.where(city.startsWith('Sample')).postalCode", PATIENT),
    ("Observation.value.value > 100", OBSERVATION),
    ("Observation.code.coding.where(system = 'http://loinc.org').code", OBSERVATION),
    ("Observation.component.where(code.coding.code = '8480-6').value.value", OBSERVATION),
    ("Observation.category.coding.exists(code = 'vital-signs')", OBSERVATION),
    ("Observation.component.value.value.aggregate($this + $total, 0)", OBSERVATION),
)
ROUNDS = 5


def run() -> dict[str, object]:
    """Evaluations per second of CPU time over all expressions, each as often as the others."""
    own = [(compile_expression(text), resource) for text, resource in EXPRESSIONS]
    figures: dict[str, object] = {"expressions": len(EXPRESSIONS)}
    peers = _peers()
    if peers is None:
        rate = _rate([_bind(expression, resource) for expression, resource in own], 2000)
        figures |= {"evaluations_per_second": round(rate), "peers": {"fhirpathpy": "not installed"}}
    else:
        same = [
            (expression, peer, resource)
            for (expression, resource), peer in zip(own, peers, strict=True)
            if _plain(expression(resource)) == _plain(peer(resource))
        ]
        rate = _rate([_bind(expression, resource) for expression, _, resource in same], 2000)
        other = _rate([_bind(peer, resource) for _, peer, resource in same], 100)
        figures |= {
            "same_results": len(same),
            "evaluations_per_second": round(rate),
            "peers": {"fhirpathpy": round(other)},
            "times_faster": {"fhirpathpy": round(rate / other, 1)},
        }
    figures["compile_ms"] = round(_compile_seconds() * 1000, 2)
    return figures


def _peers() -> list[Callable[[Any], Any]] | None:
    try:
        from fhirpathpy import compile as compile_peer
        from fhirpathpy.models import models
    except ImportError:
        return None
    return [compile_peer(text, models["r4"]) for text, _ in EXPRESSIONS]


def _bind(work: Callable[[Any], Any], resource: dict[str, Any]) -> Callable[[], Any]:
    return lambda: work(resource)


def _plain(result: list[Any]) -> str:
    return json.dumps(result, default=float, sort_keys=True).replace(".0", "")


def _rate(calls: list[Callable[[], Any]], times: int) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(times):
            for call in calls:
                call()
        best = min(best, time.process_time() - start)
    return times * len(calls) / best


def _compile_seconds() -> float:
    """CPU seconds to parse and compile one expression that was never seen before."""
    start = time.process_time()
    for number in range(200):
        compile_expression(f"Patient.name.where(use = 'n{number}').given.first()", type="Patient")
    return (time.process_time() - start) / 200


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
