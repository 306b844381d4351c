"""The repository on the real encrypted store: cost of applying, bytes kept, reads and searches.

The messages are of about 1.1 kB, two in five results, the others admissions and updates, mapped by the base workbook.
CPU time of the whole process (planning, writing, encryption, commits), because other programs share the machine.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.journal import incoming

from hilum import mapping
from hilum.formats import hl7v2
from hilum.model import Effects
from hilum.repository import SCHEMA, Query, SearchTerm, SqliteRepository
from hilum.store import Store

MESSAGES = 4_000
PATIENTS = 20_000
BATCH = 32  # messages per commit, as a worker takes them
AT = 1_793_526_900_000_000


def run() -> dict[str, Any]:
    """Microseconds of CPU, and bytes."""
    work = mapped(MESSAGES)
    gc.collect()
    gc.freeze()  # a running hilum does not hold thousands of messages that the collector would walk over
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        with Store.open(path, key=os.urandom(32), schemas=[SCHEMA]) as store:
            repository = SqliteRepository(store)
            figures = asyncio.run(_apply(repository, work))
            figures["resources_stored"] = sum(repository.type_counts().values())
            figures |= _reads(repository, work)
        figures["bytes_per_message"] = round(path.stat().st_size / MESSAGES)
    return figures


def mapped(count: int) -> list[Effects]:
    """What the base workbook makes of `count` made-up messages, in order."""
    plan = mapping.compile_workbook(mapping.load_base())
    dice = random.Random(7)
    work = []
    for seq in range(1, count + 1):
        record = hl7v2.parse(incoming(seq, dice, PATIENTS).body)
        context = mapping.Context(source="adt", sender=record.sender, received_at=AT + seq)
        made = plan.run(record, context)
        at = made.at or AT + seq
        drafts, accounting = made.drafts, made.accounting
        work.append(Effects(seq, 0, at, drafts=drafts, exceptions=made.exceptions, accounting=accounting))
    return work


async def _apply(repository: SqliteRepository, work: Sequence[Effects]) -> dict[str, Any]:
    spent = 0.0
    for batch in _batches(work):
        started = time.process_time()
        await repository.apply(batch, {0: batch[-1].seq})
        spent += time.process_time() - started
    drafts = sum(len(one.drafts) for one in work)
    return {
        "drafts_per_message": round(drafts / len(work), 1),
        "apply_us_per_message": round(spent / len(work) * 1e6),
        "apply_us_per_draft": round(spent / drafts * 1e6, 1),
    }


def _batches(work: Sequence[Effects]) -> Iterator[list[Effects]]:
    iterator = iter(work)
    while batch := list(itertools.islice(iterator, BATCH)):
        yield batch


def _reads(repository: SqliteRepository, work: Sequence[Effects]) -> dict[str, Any]:
    dice = random.Random(3)
    ids: dict[str, list[str]] = {}
    for one in work:
        for draft in one.drafts:
            ids.setdefault(draft.type, []).append(draft.id)
    found = repository.search(Query("Patient", count=200)).matches
    numbers = [one.body.partition(b'"value":"')[2].partition(b'"')[0].decode() for one in found]

    def search(type_: str, *terms: tuple[str, str], **more: Any) -> Callable[[], object]:
        def ask() -> object:
            said = [SearchTerm(name, (value or dice.choice(ids["Patient"]),)) for name, value in terms]
            return repository.search(Query(type_, tuple(said), **more))

        return ask

    patient, lab, since = ("patient", ""), ("category", "laboratory"), ("date", "ge2026-11-01")
    code = ("code", "http://loinc.org|718-7")
    return {
        "read_us": _cost(lambda: repository.get("Observation", dice.choice(ids["Observation"])), 2000),
        "search_us": {
            "Patient?identifier": _cost(
                lambda: repository.search(Query("Patient", (SearchTerm("identifier", (dice.choice(numbers),)),))), 500
            ),
            "Patient?name, page of 50": _cost(search("Patient", ("name", "s")), 50),
            "Observation?patient&category&date": _cost(search("Observation", patient, lab, since), 500),
            "the same, newest first": _cost(search("Observation", patient, lab, since, sort=("-date",)), 500),
            "Encounter?patient": _cost(search("Encounter", patient), 500),
            "Observation?code, page of 50 of all": _cost(search("Observation", code), 50),
            "Patient, page of 50 of all": _cost(search("Patient"), 50),
        },
    }


def _cost(action: Callable[[], object], times: int) -> float:
    """Median CPU of one, in microseconds."""
    costs = []
    for _ in range(5):
        started = time.process_time()
        for _ in range(times // 5):
            action()
        costs.append((time.process_time() - started) / (times // 5))
    return round(statistics.median(costs) * 1e6, 1)
