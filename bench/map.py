"""Parse, map, account and serialise on one core: `python -m bench map`, or this file on its own.

CPU time over a mix of ADT, ORU and SIU of about 3 kB. The plan has seen other messages of these kinds before (a process
that has run for a minute), never the ones that are measured; the best of several different sets counts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from hilum import mapping
from hilum.formats import hl7v2

try:
    from bench.samples import messages
except ModuleNotFoundError:  # run as a file
    from samples import messages  # type: ignore[no-redef]

GOAL = 15_000


def _journey(plan: mapping.Plan, bodies: list[bytes]) -> dict[str, int]:
    totals = {"resources": 0, "bytes": 0, "held": 0, "valued": 0, "unaccounted": 0, "exceptions": 0}
    for body in bodies:
        record = hl7v2.parse(body)
        mapped = plan.run(record, mapping.Context("bench", record.sender, 1_700_000_000_000_000))
        resources = mapping.render(mapped)
        totals["resources"] += len(resources)
        totals["bytes"] += sum(map(len, resources))
        totals["held"] += mapped.held is not None
        totals["valued"] += mapped.accounting.valued
        totals["unaccounted"] += not mapped.accounting.adds_up
        totals["exceptions"] += len(mapped.exceptions)
    return totals


def _cpu(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def run(count: int = 1500, sets: int = 5) -> dict[str, object]:
    """Figures: messages per second of CPU time, and what was made of them."""
    compiling = _cpu(lambda: mapping.compile_workbook(mapping.load_base()))
    plan = mapping.compile_workbook(mapping.load_base())
    generating = _cpu(plan.warm)
    _journey(plan, messages(600, seed=99))
    bodies = [messages(count, seed=seed) for seed in range(1, sets + 1)]
    mapping_only = min(_cpu(lambda one=one: _map_only(plan, one)) for one in bodies)
    whole = min(
        _cpu(lambda one=one: _journey(plan, one))
        for one in (messages(count, seed=seed) for seed in range(11, 11 + sets))
    )
    parsing = min(_cpu(lambda one=one: [hl7v2.parse(body).segments for body in one]) for one in bodies)
    totals = _journey(plan, bodies[0])
    return {
        "messages_per_second": round(count / whole),
        "goal": GOAL,
        "resources_per_second": round(totals["resources"] / whole),
        "map_only_per_second": round(count / mapping_only),
        "parse_only_per_second": round(count / parsing),
        "mean_bytes": round(sum(map(len, bodies[0])) / count),
        "resources_per_message": round(totals["resources"] / count, 1),
        "compile_ms": round(compiling * 1000),
        "generate_all_kinds_ms": round(generating * 1000),
        **totals,
    }


def _map_only(plan: mapping.Plan, bodies: list[bytes]) -> None:
    for body in bodies:
        record = hl7v2.parse(body)
        plan.run(record, mapping.Context("bench", record.sender, 1_700_000_000_000_000))


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
