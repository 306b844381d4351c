"""Searches at 20,000 and at 200,000 Observations, on the real encrypted store: does a large one cost more?

Patients have 40 results each, over three years, in four categories. CPU time of the searching thread, because other
programs share the machine; searches per second are one over it.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw

from hilum.model import Draft, Effects
from hilum.repository import SCHEMA, Query, SearchTerm, SqliteRepository
from hilum.store import Store

SIZES = (20_000, 200_000)
PER_PATIENT = 40
PER_MESSAGE = 10
BATCH = 32  # messages in one commit
CATEGORIES = ("laboratory", "vital-signs", "imaging", "survey")
CODES = [f"{n}-{n % 10}" for n in range(1_000, 1_060)]


def run() -> dict[str, Any]:
    """Microseconds of CPU for a search, by size; and how much slower the large store is."""
    costs = {size: _measure(size) for size in SIZES}
    small, large = (costs[size]["search_us"] for size in SIZES)
    ratios = {name: round(large[name] / small[name], 2) for name in small}
    return {str(size): found for size, found in costs.items()} | {"slower_by": ratios}


def _measure(size: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "search.db"
        with Store.open(path, key=bytes(32), schemas=[SCHEMA]) as store:
            repository = SqliteRepository(store)
            asyncio.run(_fill(repository, size))
            figures = _searches(repository, size // PER_PATIENT)
        bytes_each = round(path.stat().st_size / size)
    per_second = {name: round(1e6 / cost) for name, cost in figures.items()}
    return {"search_us": figures, "per_second": per_second, "bytes_per_observation": bytes_each}


async def _fill(repository: SqliteRepository, size: int) -> None:
    """A message brings ten results of one patient; a patient's messages lie between those of others."""
    dice = random.Random(7)
    patients = size // PER_PATIENT
    work: list[Effects] = []
    for seq in range(1, size // PER_MESSAGE + 1):
        who = (seq - 1) % patients
        drafts = [_observation(f"o{seq}-{n}", who, dice) for n in range(PER_MESSAGE)]
        first = [_patient(who)] if seq <= patients else []
        work.append(Effects(seq, 0, 1_700_000_000_000_000 + seq, drafts=first + drafts))
    for start in range(0, len(work), BATCH):
        some = work[start : start + BATCH]
        await repository.apply(some, {0: some[-1].seq})


def _patient(n: int) -> Draft:
    elements = {"name": [{"family": f"Synthetic{n}"}], "gender": "female" if n % 2 else "male"}
    return Draft("Patient", f"p{n}", _raw(elements))


def _observation(id_: str, patient: int, dice: random.Random) -> Draft:
    elements = {
        "status": "final",
        "category": [{"coding": [{"code": dice.choice(CATEGORIES)}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": dice.choice(CODES)}]},
        "subject": {"reference": f"Patient/p{patient}"},
        "effectiveDateTime": f"{2023 + dice.randrange(3)}-{1 + dice.randrange(12):02}-{1 + dice.randrange(28):02}",
        "valueQuantity": {"value": round(dice.uniform(1, 200), 1), "unit": "g/dL"},
    }
    return Draft("Observation", id_, _raw(elements))


def _raw(elements: dict[str, Any]) -> dict[str, Raw]:
    return {name: Raw(msgspec.json.encode(value)) for name, value in elements.items()}


def _searches(repository: SqliteRepository, patients: int) -> dict[str, float]:
    dice = random.Random(3)

    def search(type_: str, *terms: tuple[str, str], **more: Any) -> Callable[[], object]:
        def ask() -> object:
            given = [SearchTerm(name, (value or f"p{dice.randrange(patients)}",)) for name, value in terms]
            return repository.search(Query(type_, tuple(given), **more))

        return ask

    patient, lab, since = ("patient", ""), ("category", "laboratory"), ("date", "ge2025-06-01")
    return {
        "patient + category + date": _cost(search("Observation", patient, lab, since), 1_000),
        "the same, newest first": _cost(search("Observation", patient, lab, since, sort=("-date",)), 1_000),
        "patient + code": _cost(search("Observation", patient, ("code", CODES[7])), 1_000),
        "patient, all 40": _cost(search("Observation", patient), 300),
        "patient, component-code (not indexed)": _cost(search("Observation", patient, ("component-code", "x")), 200),
        "patient.name + code (chain)": _cost(
            search("Observation", ("patient.name", "synthetic7"), ("code", CODES[7])), 20
        ),
        "Patient by _has, first page of 10": _cost(_has(repository), 10),
        "Patient/id/$everything, 50": _cost(
            lambda: repository.search(Query("", compartment=f"Patient/p{dice.randrange(patients)}")), 200
        ),
    }


def _has(repository: SqliteRepository) -> Callable[[], object]:
    term = SearchTerm("_has", (CODES[7],), "Observation:patient:code")
    return lambda: repository.search(Query("Patient", (term,), count=10, with_total=False))


def _cost(action: Callable[[], object], times: int) -> float:
    """Median CPU of one, in microseconds."""
    costs = []
    for _ in range(5):
        started = time.thread_time()
        for _ in range(times // 5):
            action()
        costs.append((time.thread_time() - started) / (times // 5))
    return round(statistics.median(costs) * 1e6, 1)
