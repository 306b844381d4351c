"""The report over the folder of a demo that has ended, as a person runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb

RUN = Path(__file__).resolve().parents[2] / "examples" / "analytics" / "run.py"


def test_the_report_counts_what_the_tables_hold(tmp_path: Path) -> None:
    folder, tables = tmp_path / "demo", tmp_path / "tables.duckdb"
    words = [sys.executable, "-m", "hilum.app.cli", "demo", "--seconds", "2", "--rate", "100", "--keep", str(folder)]
    subprocess.run([*words, "--json"], capture_output=True, check=True, timeout=60)
    words = [sys.executable, str(RUN), str(folder), "--keep", str(tables)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    with duckdb.connect(str(tables), read_only=True) as database:
        counts = {
            name: database.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0]
            for name in ("patients", "encounters", "observations")
        }
        days = database.execute('SELECT left("start", 10), count(*) FROM encounters GROUP BY 1').fetchall()
    assert all(counts.values())
    assert ", ".join(f"{count:,} {name}" for name, count in counts.items()) in done.stdout
    assert days
    for day, count in days:
        line = next(line for line in done.stdout.splitlines() if line.startswith(day))
        assert line.split()[1] == str(count)
    assert "nothing yet" not in done.stdout.partition("Tests with")[2]

    again = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert again.returncode == 1
    assert "is there already" in again.stderr
