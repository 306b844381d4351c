"""`hilum patients`: which records are one person, and taking a merge back that was wrong."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from hilum.app.arguments import AT_LEAST_ONE, Environment, Folder, Json
from hilum.app.opening import Opened, open_folder, whoami
from hilum.app.printing import print_json, print_table, when
from hilum.app.running import plan_of, working
from hilum.engine import chain_between, pair_of, unlink
from hilum.errors import NotFound, StoreBusy
from hilum.model import AuditEvent
from hilum.repository import Hold, HoldState, MergeRecord, Query, SearchTerm

__all__ = ["app", "record_of"]

app = App(name="patients", help="Show which records were merged; take a wrong merge back.")

LOOK = 0.1  # seconds between two looks at what became of a decision
PATIENCE = 10.0  # seconds that a running hilum has before the command stops waiting for it

Patient = Annotated[str, Parameter(help="A patient: its FHIR id, or one of its numbers.")]


@app.command
def merges(
    folder: Folder = Path(),
    *,
    patient: Annotated[str, Parameter(help="What ties this one to others: its FHIR id, or a number of it.")] = "",
    limit: Annotated[int, Parameter(help="How many at most, without a patient.", validator=AT_LEAST_ONE)] = 50,
    environment: Environment = None,
    json: Json = False,
) -> int:
    """List merges and unmerges, and which of them hold. Shows no PHI.

    The newest first; with --patient in the order of the events.
    """
    with open_folder(folder, environment) as opened:
        said = opened.repository.merges(record_of(opened, patient) if patient else None, limit)
    rows = [_facts(one) for one in said]
    if json:
        print_json({"merges": rows})
        return 0
    columns = ("message", "event", "retired", "survivor", "state")
    print_table(columns, [[row[name] for name in columns] for row in rows], empty="nothing was merged")
    return 0


@app.command
def unmerge(
    survivor: Patient,
    retired: Patient,
    folder: Folder = Path(),
    *,
    note: Annotated[str, Parameter(help="Why; kept in the audit. No PHI, please.")],
    by: Annotated[str, Parameter(help="Who decided; empty: you, as this computer knows you.")] = "",
    environment: Environment = None,
    json: Json = False,
) -> int:
    """Take a merge back: the two are two patients again, each with what was sent under its own number.

    The decision becomes an ADT^A37 in the journal, with an audit row, so it waits its turn behind what these two
    patients still have to come, is sent on by the same routes, and can be explained and replayed like any message. A
    running hilum carries it out; where none runs, this command does.
    """
    try:
        with open_folder(folder, environment, exclusive=True) as opened:
            return _unmerge(opened, survivor, retired, by, note, is_alone=True, as_json=json)
    except StoreBusy as error:
        if error.code != "store-busy":
            raise
    with open_folder(folder, environment) as opened:
        return _unmerge(opened, survivor, retired, by, note, is_alone=False, as_json=json)


def _unmerge(opened: Opened, survivor: str, retired: str, by: str, note: str, *, is_alone: bool, as_json: bool) -> int:
    merge = _found(opened, survivor, retired)
    seq = _decide(opened, merge, by or whoami(), note)
    hold = asyncio.run(_carried_out(opened, seq, is_alone=is_alone))
    state = _state(opened, seq, hold)
    if as_json:
        facts = {"message": seq, "survivor": merge.survivor, "retired": merge.retired, "state": state}
        print_json(facts | ({"code": hold.code, "location": hold.location} if hold is not None else {}))
    elif state == "applied":
        chain = chain_between(opened.repository.merges(merge.survivor), merge.survivor, merge.retired)
        now = f"are still one by way of others ({chain})" if chain else "are two patients again"
        print(f"message {seq}: {merge.retired} and {merge.survivor} {now}")
    elif hold is None:
        print(f"message {seq} waits its turn: the running hilum will carry it out")
    elif hold.behind:
        print(f"message {seq} waits behind a held message of these patients: `hilum exceptions list` shows it")
    else:
        print(f"message {seq} is held: {hold.code} {hold.message}")
    return 0 if hold is None else 1


def _found(opened: Opened, survivor: str, retired: str) -> MergeRecord:
    one, other = record_of(opened, survivor), record_of(opened, retired)
    return pair_of(opened.repository.merges(one), one, other)


def _decide(opened: Opened, merge: MergeRecord, by: str, note: str) -> int:
    """Into the journal, with the audit row of it: both or nothing."""
    at = time.time_ns() // 1000
    said = opened.journal.get(merge.seq)
    incoming = unlink(said, merge, plan_of(opened).run, by, at)
    target = f"{merge.survivor} {merge.retired}"
    event = AuditEvent(at, whoami(), "unmerge", target, detail=f"{by}: {note}")
    (row,) = opened.store.write_now(lambda connection: opened.journal.append_in(connection, [incoming], [event]))
    return row.seq


async def _carried_out(opened: Opened, seq: int, *, is_alone: bool) -> Hold | None:
    """Wait until the decision had its turn; the hold when it was held."""
    if not is_alone:
        await _until_read(opened, seq, PATIENCE)
    else:
        async with working(opened) as engine:
            failure = asyncio.create_task(engine.until_failure())
            turn = asyncio.create_task(_until_read(opened, seq, None))
            done, left = await asyncio.wait((failure, turn), return_when=asyncio.FIRST_COMPLETED)
            for task in left:
                task.cancel()
            for task in done:
                task.result()
    try:
        hold = opened.repository.hold(seq)
    except NotFound:
        return None
    return hold if hold.state is HoldState.OPEN else None


async def _until_read(opened: Opened, seq: int, patience: float | None) -> None:
    partition = opened.journal.get(seq).partition
    end = time.monotonic() + patience if patience is not None else None
    while opened.repository.positions().get(partition, 0) < seq:
        if end is not None and time.monotonic() > end:
            return
        await asyncio.sleep(LOOK)


def _state(opened: Opened, seq: int, hold: Hold | None) -> str:
    if hold is not None:
        return "waiting behind" if hold.behind else "held"
    is_read = opened.repository.positions().get(opened.journal.get(seq).partition, 0) >= seq
    return "applied" if is_read else "waiting"


def record_of(opened: Opened, named: str) -> str:
    """`Patient/id` of a FHIR id or a number. Raises NotFound `patient-unknown` for none, and for several."""
    id_ = named.removeprefix("Patient/")
    if opened.repository.merges(f"Patient/{id_}"):  # a retired number may have no resource of its own yet
        return f"Patient/{id_}"
    try:
        opened.repository.get("Patient", id_)
    except NotFound:
        number = SearchTerm("identifier", (id_.replace(",", "\\,").replace("|", "\\|"),))
        matches = opened.repository.search(Query("Patient", (number,), count=2)).matches
        if len(matches) != 1:
            how_many = "several patients have" if matches else "no patient has"
            text = f"{how_many} this id or number: name it by its FHIR id"
            raise NotFound(text, code="patient-unknown") from None
        return f"Patient/{matches[0].id}"
    return f"Patient/{id_}"


def _facts(one: MergeRecord) -> dict[str, Any]:
    return {
        "message": one.seq,
        "event": when(one.at),
        "retired": one.retired,
        "survivor": one.survivor,
        "state": one.state.value,
    }
