"""Views: the `observations` view over 100,000 and 400,000 Observations to CSV, each in a process of its own.

Resources per second of CPU time, and the most memory that the process ever held, DuckDB and Python included.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.fhirpath import OBSERVATION

COUNTS = (100_000, 400_000)
_CHILD = """
import json, resource, sys, time
from pathlib import Path
from hilum.views import load_view, private_folder, run_view
source, output = Path(sys.argv[1]), Path(sys.argv[2])
start = time.process_time()
with private_folder(output) as work:
    done = run_view(load_view("observations"), [source], output, "csv", work=work, table="observations")
seconds = time.process_time() - start
print(json.dumps([done.rows, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024]))
"""


def run() -> dict[str, object]:
    """Figures by number of resources."""
    try:
        import duckdb
    except ImportError:
        return {"duckdb": "not installed"}
    figures: dict[str, object] = {"duckdb": duckdb.__version__, "bytes_each": len(_line(0))}
    with tempfile.TemporaryDirectory() as name:
        for count in COUNTS:
            figures[str(count)] = _measured(Path(name), count)
    return figures


def _measured(folder: Path, count: int) -> dict[str, object]:
    source = folder / "Observation.ndjson"
    with source.open("wb") as file:
        for number in range(count):
            file.write(_line(number))
    arguments = [sys.executable, "-c", _CHILD, str(source), str(folder / "out.csv")]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True)
    rows, seconds, megabytes = json.loads(done.stdout)
    return {"rows": rows, "resources_per_second": round(count / seconds), "memory_mb": megabytes}


def _line(number: int) -> bytes:
    return json.dumps({**OBSERVATION, "id": f"o{number}"}).encode() + b"\n"


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
