"""A candidate workbook against the current one over journaled messages: `python -m bench workbook_diff`.

Wall and CPU time of `hilum workbook diff` as it runs: messages are read from an encrypted journal, in as many processes
as there are cores. Four candidates: a code map entry that a laboratory changes, a row of allergies, the row of patient
names (every message differs), and the time zone; and the zone again over messages whose times have no offset (every
message differs, in nearly every resource).
"""

from __future__ import annotations

import asyncio
import resource
import tempfile
import time
from pathlib import Path

from bench.samples import messages

from hilum.app.commands.workbook_diff import DiffWork, compare_feed
from hilum.app.opening import open_folder
from hilum.app.workbook_feed import feed_of_journal
from hilum.app.workbook_folder import candidate_of, params_of
from hilum.formats import hl7v2
from hilum.journal import Incoming
from hilum.mapping import load_workbook

GOAL = 60  # seconds for 100,000 messages on two cores
AT = 1_780_000_000_000_000
ROWS = "row_id,applies,anchor,source,type,when,target,transform,map,repeats,owner,status\n"
CANDIDATES = {
    "one code of a map": ("maps.csv", "map,sender,code,target,system,display\nUnits,,U/L,[IU]/L,http://u,IU\n"),
    "a row of allergies": (
        "rows.csv",
        ROWS + 'al1-clinical-status,,AL1,,,,AllergyIntolerance.clinicalStatus?,"const({""text"":""x""})",,,clinical,\n',
    ),
    "the row of patient names": (
        "rows.csv",
        ROWS + "pat-name,,PID,PID-5,XPN,,Patient.name[+],XPN,NameType,first,registration,\n",
    ),
    "the time zone": ("params.csv", "param,value\nzone,Europe/Berlin\n"),
}


def _fill(folder: Path, count: int, *, local: bool = False) -> None:
    """`local`: times without an offset."""
    (folder / "sources").mkdir(parents=True)
    (folder / "integration.yaml").write_text("use: bench\nparams: {unknown_namespace: local}\n")
    (folder / "sources" / "ehr.yaml").write_text("kind: mllp\nport: 12575\n")
    (folder / "workbook").mkdir()
    (folder / "workbook" / "params.csv").write_text("param,value\nzone,America/Chicago\n")

    async def append() -> None:
        with open_folder(folder, create=True) as opened:
            for start in range(0, count, 5_000):
                bodies = messages(min(5_000, count - start), seed=start + 7)
                bodies = [body.replace(b"+0000", b"") for body in bodies] if local else bodies
                admitted = [
                    hl7v2.admit(body, hl7v2.Rules(), source="ehr", received_at=AT + start + at)
                    for at, body in enumerate(bodies)
                ]
                rows = [Incoming(one.envelope, body, (0,)) for one, body in zip(admitted, bodies, strict=True)]
                await opened.journal.append(rows)

    asyncio.run(append())


def _cpu() -> float:
    """CPU seconds of this process and of those that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _compare(folder: Path, file: str, text: str, count: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as other:
        candidate = Path(other) / file
        candidate.write_text(text)
        wall, cpu = time.perf_counter(), _cpu()
        params = params_of(folder)
        book, decided = candidate_of(folder, candidate, params)
        work = DiffWork((load_workbook(folder), book), (params, decided), show_values=False)
        work.prepare()
        assert work.comparison is not None
        with open_folder(folder) as opened:
            feed = feed_of_journal(opened, None, last=count, since=0, skips=work.comparison.skips)
        report = compare_feed(feed, work, quiet=True)
        return {
            "seconds": round(time.perf_counter() - wall, 1),
            "cpu_seconds": round(_cpu() - cpu, 1),
            "cpu_seconds_for_100000": round((_cpu() - cpu) * 100_000 / count, 1),
            **report.messages,
            "resources": report.resources,
        }


def run(count: int = 20_000) -> dict[str, object]:
    """Figures for each candidate; the goal is wall time for 100,000 messages on two idle cores."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "bench"
        _fill(folder, count)
        found = {name: _compare(folder, file, text, count) for name, (file, text) in CANDIDATES.items()}
        _fill(Path(home) / "local", count, local=True)
        found["the time zone, no offsets"] = _compare(Path(home) / "local", *CANDIDATES["the time zone"], count)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
        return {"messages": count, "goal_seconds_for_100000": GOAL, "peak_mb_of_a_process": peak, **found}
