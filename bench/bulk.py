"""Loading 100,000 resources from NDJSON and exporting them again, each in a process of its own.

The load validates, indexes, audits and syncs; the export writes encrypted files, which are then read back. Rates are
for wall time and for CPU time, that of the processes which validate among it; memory is the most that the process held,
and the most that one of those did.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hilum.app.bulk.asking import Export
from hilum.app.bulk.exports import Exports
from hilum.app.bulk.judging import Policy
from hilum.app.bulk.loading import load
from hilum.app.bulk.sources import find_files
from hilum.app.bulk.tables import BULK_SCHEMA
from hilum.journal import SCHEMA as JOURNAL_SCHEMA
from hilum.journal import SqliteJournal
from hilum.repository import SCHEMA as REPOSITORY_SCHEMA
from hilum.repository import SqliteRepository
from hilum.store import Store

RESOURCES = 100_000
PER_PATIENT = 20
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"


def run() -> dict[str, object]:
    """Resources per second and MB."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "all.ndjson"
        _write(source)
        figures: dict[str, object] = {"resources": RESOURCES, "megabytes": round(source.stat().st_size / 1e6, 1)}
        for name in ("load", "load_again", "export"):
            figures[name] = _child(name, folder)
        return figures


def _write(path: Path) -> None:
    chance = random.Random(1)
    patients = RESOURCES // PER_PATIENT
    with path.open("w") as file:
        for n in range(patients):
            file.write(json.dumps(_patient(n)) + "\n")
        for n in range(RESOURCES - patients):
            file.write(json.dumps(_observation(n, n % patients, round(chance.uniform(1, 20), 1))) + "\n")


def _patient(n: int) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": f"p{n}",
        "identifier": [{"system": "urn:oid:1.2.3", "value": str(100_000 + n)}],
        "active": True,
        "name": [{"use": "official", "family": f"Synthetic{n}", "given": ["Ada", "B"]}],
        "gender": "female",
        "birthDate": "1970-01-01",
        "address": [{"line": ["1 Test Street"], "city": "Springfield", "state": "IL", "postalCode": "62701"}],
    }


def _observation(n: int, patient: int, value: float) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"o{n}",
        "status": "final",
        "category": [{"coding": [{"system": CATEGORY, "code": "laboratory"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7", "display": "Hemoglobin"}]},
        "subject": {"reference": f"Patient/p{patient}"},
        "effectiveDateTime": f"2024-01-{1 + n % 28:02d}T08:00:00Z",
        "valueQuantity": {"value": value, "unit": "g/dL", "system": "http://unitsofmeasure.org", "code": "g/dL"},
    }


def _child(what: str, folder: str) -> Any:
    done = subprocess.run([sys.executable, "-m", "bench.bulk", what, folder], capture_output=True, check=True)
    return json.loads(done.stdout)


async def _load(store: Store, journal: SqliteJournal, folder: Path) -> int:
    repository = SqliteRepository(store, witness=journal.audit_in)
    files = find_files([folder / "all.ndjson"])
    result = await load(store, journal, repository, files, packages=None, policy=Policy.REJECT, actor="bench")
    assert not result.counts.rejected
    return result.counts.taken


async def _export(store: Store) -> int:
    exports = Exports(store)
    job = await exports.take("bench", Export("", ("Patient", "Observation")))
    exports.start()
    while not (found := exports.find(job.id) or job).ended:  # noqa: ASYNC110 - as a client
        await asyncio.sleep(0.05)
    lines = sum(piece.count(b"\n") for one in found.files for piece in exports.read(found, one))
    await exports.close()
    return lines


def _measure(what: str, folder: Path) -> dict[str, object]:
    schemas = (JOURNAL_SCHEMA, REPOSITORY_SCHEMA, BULK_SCHEMA)
    with Store.open(folder / "bench.db", key=bytes(32), schemas=schemas) as store:
        journal = SqliteJournal(store)
        wall, spent = time.perf_counter(), _cpu()
        count = asyncio.run(_export(store) if what == "export" else _load(store, journal, folder))
        wall, spent = time.perf_counter() - wall, _cpu() - spent
        journal.close()
    assert count == RESOURCES
    return {
        "per_second": round(count / wall),
        "per_cpu_second": round(count / spent),
        "peak_megabytes": [round(resource.getrusage(one).ru_maxrss / 1024) for one in _BOTH],
    }


def _cpu() -> float:
    """Of this process and of those that it started and that have ended."""
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, _BOTH))


_BOTH = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)

if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1], Path(sys.argv[2]))))
