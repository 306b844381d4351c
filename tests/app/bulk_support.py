"""A folder with a store, and synthetic resources as lines, for tests of loads, exports and subscriptions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hilum.app.cli import main
from hilum.app.opening import open_folder

__all__ = ["folder_in", "hilum", "observation_line", "patient_line", "state_of", "write_lines"]


def folder_in(path: Path) -> Path:
    """An integration folder; its store is made by whoever opens it first."""
    folder = path / "integration"
    assert main(["init", str(folder)]) == 0
    return folder


def patient_line(n: int, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": f"p{n}", "name": [{"family": f"Synthetic{n}"}], "gender": "female"} | more


def observation_line(n: int, patient: int, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"o{n}",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        "subject": {"reference": f"Patient/p{patient}"},
        "effectiveDateTime": "2024-01-01T08:00:00Z",
        "valueQuantity": {"value": 13.5, "unit": "g/dL"},
    } | more


def write_lines(path: Path, lines: Iterable[Any]) -> Path:
    """An NDJSON file; texts stand as they are."""
    path.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in lines))
    return path


def hilum(*words: str, crash_at: str = "") -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, killed at a crash point where one is named."""
    environment = {name: value for name, value in os.environ.items() if name != "HILUM_CRASH_AT"}
    if crash_at:
        environment["HILUM_CRASH_AT"] = crash_at
    code = "import sys; from hilum.app.cli import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, *words], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def state_of(folder: Path) -> dict[str, Any]:
    """What is in the store: resources by type, versions beyond the first, rows of the audit about loads."""
    with open_folder(folder) as opened:
        counts = opened.repository.type_counts()
        extra = opened.store.read(lambda c: c.execute("SELECT count(*) FROM resource_history").get)
        jobs = opened.store.read(
            lambda c: c.execute(
                "SELECT created, updated, unchanged, rejected, held, finished > 0 FROM load_job ORDER BY id"
            ).fetchall()
        )
    return {"counts": counts, "superseded": extra, "jobs": jobs}
