"""Bundles over loopback on the real encrypted store, 16 connections: transactions, and batches of the same entries.

Each is an encounter with nine results that refer to it by `urn:uuid`; all is validated, indexed, audited and on the
disk before the answer. Server and client are those of `bench/api.py`.
"""

from __future__ import annotations

import json
from typing import Any

import uvloop
from bench.api import load, observation, serving

RESULTS = 9
PATIENTS = 500  # bundles that the client picks from


def run() -> dict[str, object]:
    """Bundles and entries per second, and CPU of the server in us for each entry."""
    return uvloop.run(_run())


async def _run() -> dict[str, object]:
    figures: dict[str, object] = {"entries": RESULTS + 1}
    async with serving() as (port, token, repository):
        for kind in ("transaction", "batch"):
            before = repository.type_counts()
            told = await load(port, token, [f"/fhir {json.dumps(_bundle(kind, n))}" for n in range(PATIENTS)])
            after = repository.type_counts()
            requests, cpu, rate = (told[name] for name in ("requests", "server_cpu_us", "per_second"))
            assert isinstance(requests, int)
            assert isinstance(cpu, float)
            assert isinstance(rate, int)
            made = sum(after.values()) - sum(before.values())
            assert made == requests * (RESULTS + 1), (made, requests)
            figures[kind] = told | {
                "entries_per_second": rate * (RESULTS + 1),
                "server_cpu_us_per_entry": round(cpu / (RESULTS + 1), 1),
            }
    return figures


def _bundle(kind: str, patient: int) -> dict[str, Any]:
    visit = "urn:uuid:6f2c1a9e-0b3d-4b0e-9a51-000000000000"
    encounter = {
        "resourceType": "Encounter",
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": {"reference": f"Patient/p{patient}"},
        "period": {"start": "2026-01-01T08:00:00Z", "end": "2026-01-01T09:00:00Z"},
    }
    entries = [{"fullUrl": visit, "resource": encounter, "request": {"method": "POST", "url": "Encounter"}}]
    for _ in range(RESULTS):
        result = {"resourceType": "Observation", **observation(patient)}
        if kind == "transaction":  # the entries of a batch are each for itself
            result["encounter"] = {"reference": visit}
        entries.append({"resource": result, "request": {"method": "POST", "url": "Observation"}})
    return {"resourceType": "Bundle", "type": kind, "entry": entries}


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
