"""The repository on the real encrypted store: cost of applying, bytes kept, reads and searches at 20,000 resources.

CPU time of the whole process (planning, writing, encryption, commits), because other programs share the machine.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.repository_samples import effects
from hilum.model import Effects
from hilum.repository import SCHEMA, Query, SearchTerm, SqliteRepository
from hilum.store import Store

MESSAGES = 3_000
BATCH = 32


def run() -> dict[str, Any]:
    """Figures in microseconds of CPU, and bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        with Store.open(path, key=os.urandom(32), schemas=[SCHEMA]) as store:
            repository = SqliteRepository(store)
            work = list(effects(MESSAGES))
            figures = asyncio.run(_apply(repository, work))
            figures |= _reads(repository, work)
        figures["bytes_per_message"] = round(path.stat().st_size / MESSAGES)
        with Store.open(path, key=None, schemas=[]) if False else _nothing():
            pass
    return figures


class _nothing:
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


async def _apply(repository: SqliteRepository, work: Sequence[Effects]) -> dict[str, Any]:
    costs: list[float] = []
    for batch in _batches(work):
        started = time.process_time()
        await repository.apply(batch, {0: batch[-1].seq})
        costs.append((time.process_time() - started) / len(batch))
    drafts = sum(len(one.drafts) for one in work)
    mean = sum(costs) / len(costs)
    return {
        "resources_per_message": round(drafts / len(work), 1),
        "apply_us_per_message": round(mean * 1e6),
        "apply_us_per_resource": round(mean * 1e6 * len(work) / drafts, 1),
    }


def _batches(work: Sequence[Effects]) -> Iterator[list[Effects]]:
    iterator = iter(work)
    while batch := list(itertools.islice(iterator, BATCH)):
        yield batch


def _reads(repository: SqliteRepository, work: Sequence[Effects]) -> dict[str, Any]:
    rng = random.Random(3)
    patients = [draft.id for one in work for draft in one.drafts if draft.type == "Patient"]
    observations = [draft.id for one in work for draft in one.drafts if draft.type == "Observation"]
    by_patient = [SearchTerm("patient", (rng.choice(patients),)) for _ in range(200)]
    lab = SearchTerm("category", ("laboratory",))
    since = SearchTerm("date", ("ge2026-11-01",))
    return {
        "resources": repository.counts().resources,
        "read_us": _cost(lambda: repository.get("Observation", rng.choice(observations)), 2000),
        "search_us": {
            "Patient by identifier": _cost(lambda: _search(repository, "Patient", SearchTerm("identifier", (str(100_000 + rng.randrange(90_000)),))), 500),
            "Patient by name": _cost(lambda: _search(repository, "Patient", SearchTerm("name", ("gar",)), count=20), 50),
            "Observation by patient, category, date": _cost(lambda: _search(repository, "Observation", rng.choice(by_patient), lab, since), 500),
            "Observation by patient, category, date, newest first": _cost(lambda: _search(repository, "Observation", rng.choice(by_patient), lab, since, sort=("-date",)), 500),
            "Observation by code, all patients, page of 50": _cost(lambda: _search(repository, "Observation", SearchTerm("code", ("http://loinc.org|718-7",))), 50),
            "Encounter by patient": _cost(lambda: _search(repository, "Encounter", rng.choice(by_patient)), 500),
            "all Patients, page of 50": _cost(lambda: _search(repository, "Patient"), 50),
        },
    }


def _search(repository: SqliteRepository, type_: str, *terms: SearchTerm, **more: Any) -> None:
    repository.search(Query(type_, terms, **more))


def _cost(action: Callable[[], object], times: int) -> float:
    """Median CPU of one, in microseconds."""
    costs = []
    for _ in range(5):
        started = time.process_time()
        for _ in range(times // 5):
            action()
        costs.append((time.process_time() - started) / (times // 5))
    return round(statistics.median(costs) * 1e6, 1)


if __name__ == "__main__":
    import json

    print(json.dumps(run(), indent=2))
