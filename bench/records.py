"""Records of files: lines of CSV, and FHIR resources one a line, read, mapped, accounted and serialised on one core.

The folder is the one that `hilum init --template records` makes, its rows and maps; the lines are made up.
"""

from __future__ import annotations

import importlib.resources
import json
import random
import time
from io import BytesIO
from pathlib import Path

from bench.samples import FAMILY, GIVEN

from hilum import mapping
from hilum.app.record_show import map_records, record_source

FOLDER = Path(str(importlib.resources.files("hilum.app"))) / "templates" / "records"


def run(count: int = 10_000) -> dict[str, object]:
    """For each form: records and megabytes per second of CPU time, and what became of them."""
    plan = mapping.compile_workbook(mapping.load_workbook(FOLDER), params={"zone": "Europe/Berlin"})
    files = {"patients.csv": _patients(count), "results.ndjson": _results(count)}
    return {name: _measure(plan, name, body) for name, body in files.items()}


def _patients(count: int) -> bytes:
    dice = random.Random(3)
    lines = ["MRN,Last Name,First Names,Born,Sex,Phone,Remark"]
    for n in range(count):
        born = f"{dice.randrange(1920, 2024)}-0{dice.randrange(1, 9)}-1{dice.randrange(9)}"
        who = f'"{dice.choice(FAMILY)}, {n % 97}",{dice.choice(GIVEN)} {dice.choice(GIVEN)}'
        lines.append(f"{n:07},{who},{born},{dice.choice('FM')},555-{n % 10_000:04},call after six")
    return ("\n".join(lines) + "\n").encode()


def _results(count: int) -> bytes:
    """The sample of the template, of other people and with other values."""
    line = (FOLDER / "samples" / "results.ndjson").read_text("utf-8").splitlines()[0]
    one = json.loads(line)
    dice = random.Random(4)
    made = []
    for n in range(count):
        value = {**one["valueQuantity"], "value": dice.randrange(400, 1800) / 10}
        made.append(json.dumps({**one, "id": f"r{n}", "valueQuantity": value}))
    return ("\n".join(made) + "\n").encode()


def _measure(plan: mapping.Plan, name: str, body: bytes) -> dict[str, object]:
    source = record_source(FOLDER, Path(name), "")
    assert source is not None
    for one in map_records(plan, BytesIO(body[: body.index(b"\n", 2_000) + 1]), source):
        mapping.render(one.mapped)
    began = time.process_time()
    records = resources = held = unaccounted = 0
    for one in map_records(plan, BytesIO(body), source):
        records += 1
        resources += len(mapping.render(one.mapped))
        held += one.finding is not None or one.mapped.held is not None
        unaccounted += not one.mapped.accounting.adds_up
    seconds = time.process_time() - began
    return {
        "records": records,
        "records_per_second": round(records / seconds),
        "megabytes_per_second": round(len(body) / seconds / 1e6, 1),
        "resources_per_record": round(resources / records, 1),
        "held": held,
        "unaccounted": unaccounted,
    }


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
