"""Parse, map, account and serialise on one core: `python -m bench map`, or this file on its own.

CPU time over a mix of ADT, ORU and SIU of about 3 kB; the best of several passes over messages that are parsed anew in
every pass. The first pass, in which every patient is new to the plan, is given beside it.
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


def run(count: int = 3000, passes: int = 4) -> dict[str, object]:
    """Figures: messages per second of CPU time, and what was made of them."""
    compiling = _cpu(lambda: mapping.compile_workbook(mapping.load_base()))
    plan = mapping.compile_workbook(mapping.load_base())
    generating = _cpu(plan.warm)
    bodies = messages(count)
    totals = _journey(plan, messages(60, seed=7))
    first = _cpu(lambda: totals.update(_journey(plan, bodies)))
    whole = min(_cpu(lambda: _journey(plan, bodies)) for _ in range(passes))
    parsing = min(_cpu(lambda: [hl7v2.parse(body).segments for body in bodies]) for _ in range(passes))
    return {
        "messages_per_second": round(count / whole),
        "goal": GOAL,
        "first_pass_per_second": round(count / first),
        "parse_only_per_second": round(count / parsing),
        "mean_bytes": round(sum(map(len, bodies)) / count),
        "resources_per_message": round(totals["resources"] / count, 1),
        "compile_ms": round(compiling * 1000),
        "generate_all_kinds_ms": round(generating * 1000),
        **totals,
    }


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
