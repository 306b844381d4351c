"""Every row of the base workbook does to its sample what its `expect` cell says."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from base_samples import message_of, params_of

from hilum.formats import hl7v2
from hilum.mapping import Context, Plan, compile_workbook, load_base, load_workbook
from hilum.mapping.tables import Row

ROWS = load_base().rows
AUTHORITIES = (
    *("GENHOSP", "EPIC", "LAB", "RAD", "SCHED", "EHR", "BILLING", "BLUE", "ACME"),
    *("CLINIC", "OLDMPI", "OTHERLAB", "COURIER"),
)


@cache
def plan_of(params: tuple[tuple[str, str], ...]) -> Plan:
    """The base for a site in Chicago that knows the authorities of the samples."""
    with TemporaryDirectory() as folder:
        tables = Path(folder) / "workbook"
        tables.mkdir()
        lines = "".join(f"{name},{value}\n" for name, value in params)
        (tables / "params.csv").write_text(f"param,value\nzone,America/Chicago\n{lines}")
        known = "".join(f",{name},urn:example:{name.lower()}\n" for name in AUTHORITIES)
        (tables / "namespaces.csv").write_text(f"sender,authority,system\n{known}")
        return compile_workbook(load_workbook(Path(folder)))


def outcome(row: Row) -> dict[str, Any]:
    """What the row wrote: path in its resource to value; what it cleared; whom it merged."""
    plan = plan_of(tuple(params_of(row).items()))
    record = hl7v2.parse(message_of(row))
    context = Context(source="sample", sender=record.sender, received_at=1_706_700_000_000_000)
    mapped = plan.run(record, context)
    assert mapped.held is None
    assert mapped.accounting.adds_up
    if row.transform == "clear":
        return {"cleared": sorted({name for draft in mapped.drafts for name in draft.cleared})}
    if row.target.startswith(("merge(", "unmerge(")):
        merges = mapped.merges
        return {"retired": [merge.retired for merge in merges], "survivor": [merge.survivor for merge in merges]}
    wrote = [trace for trace in plan.trace(record, context) if trace.row == row.row_id]
    return {trace.path: trace.value if trace.path == "id" else json.loads(trace.value) for trace in wrote}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.row_id)
def test_a_row_does_to_its_sample_what_it_says(row: Row) -> None:
    assert outcome(row) == json.loads(row.expect)


def test_there_are_samples_of_every_row() -> None:
    assert len(ROWS) > 400
