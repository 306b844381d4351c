"""The base workbook over sample messages of other projects: no crash, and every valued field has a fate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from hilum.errors import FormatError
from hilum.formats import hl7v2
from hilum.mapping import Context, Plan, compile_workbook, load_base, render
from shared_data import SHARED, needs_shared

FOLDERS = {
    # folder: (messages of kinds that have rows at least, exceptions per thousand valued fields at most)
    "simhospital": (1012, 1),
    "ms-fhir-converter": (45, 6),
    "reportstream": (100, 25),  # fragments of messages: a status of a report that nothing else is said of
    "linuxforhealth-java": (250, 15),
    "whistle-wstl1": (18, 40),
    "v2-to-fhir-ig": (6, 20),
    "cosyte": (30, 5),
    "rethinkhealth": (18, 40),
}


@pytest.fixture(scope="module")
def plan() -> Plan:
    return compile_workbook(load_base())


def _messages(folder: str) -> Iterator[bytes]:
    for path in sorted((SHARED / "hl7v2" / folder).rglob("*.hl7")):
        raw = path.read_bytes()
        yield from hl7v2.split_batch(raw).messages if hl7v2.is_batch(raw) else (raw,)


@needs_shared
@pytest.mark.parametrize("folder", FOLDERS)
def test_messages_of_other_projects_are_mapped_and_accounted_for(plan: Plan, folder: str) -> None:
    at_least, left_over = FOLDERS[folder]
    sums: Counter[str] = Counter()
    for raw in _messages(folder):
        try:
            record = hl7v2.parse(raw)
        except FormatError:
            continue
        if record.kind not in plan.kinds():
            continue
        mapped = plan.run(record, Context(source="corpus", sender=record.sender))
        assert mapped.accounting.adds_up
        sums["messages"] += 1
        if mapped.held is None:
            render(mapped)
            sums["valued"] += mapped.accounting.valued
            sums["exceptions"] += mapped.accounting.exceptions
    assert sums["messages"] >= at_least
    assert sums["exceptions"] * 1000 <= sums["valued"] * left_over
