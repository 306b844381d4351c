"""FHIR to HL7 v2: messages per second of CPU time on one core, from decoded resources to bytes.

The resources are what the base workbook makes of messages of the benchmark's mix: a message has what a hospital's has.
"""

from __future__ import annotations

import json
import time
from typing import Any

from bench.samples import messages

from hilum import mapping
from hilum.formats import hl7v2
from hilum.mapping import outward

KINDS = {"ADT": "ADT^A08", "ORU": "ORU^R01", "SIU": "SIU^S12"}
RECEIVER = outward.Receiver("LAB", "NORTH")
Group = dict[str, list[dict[str, Any]]]


def run(count: int = 150) -> dict[str, object]:
    """For each kind: messages per second, elements of a message, bytes, and how many would be held."""
    book = mapping.load_base()
    plan = mapping.compile_workbook(book)
    groups: dict[str, list[Group]] = {kind: [] for kind in KINDS.values()}
    for raw in messages(count, seed=5):
        record = hl7v2.parse(raw)
        mapped = plan.run(record, mapping.Context("bench", record.sender, 1_700_000_000_000_000))
        groups[KINDS[record.get(hl7v2.compile_path("MSH-9.1"))]].append(_group(mapped))
    return {kind: _measure(outward.compile_outward(book, kind), group) for kind, group in groups.items()}


def _group(mapped: mapping.Mapped) -> Group:
    found: Group = {}
    for body in mapping.render(mapped):
        resource = outward.read_resource(body)
        found.setdefault(resource["resourceType"], []).append(resource)
    return found


def _measure(plan: outward.OutwardPlan, groups: list[Group]) -> dict[str, object]:
    assert groups
    _send(plan, groups[:5])
    began = time.process_time()
    made = _send(plan, groups)
    seconds = time.process_time() - began
    return {
        "messages": len(groups),
        "messages_per_second": round(len(groups) / seconds),
        "elements": round(sum(one.accounting.valued for one, _ in made) / len(made)),
        "bytes": round(sum(size for _, size in made) / len(made)),
        "held": sum(one.held is not None for one, _ in made),
        "unaccounted": sum(not one.accounting.adds_up for one, _ in made),
    }


def _send(plan: outward.OutwardPlan, groups: list[Group]) -> list[tuple[outward.Outward, int]]:
    made = []
    for number, group in enumerate(groups):
        context = outward.OutwardContext(RECEIVER, f"B{number}", 1_767_225_600_000_000)
        found = plan.run(group, context)
        made.append((found, len(hl7v2.build(found.segments))))
    return made


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
