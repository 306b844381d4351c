"""The journal on the real encrypted store: `python -m bench journal`, or this file with a number of messages.

Durable appends (every one synced before it returns), CPU per message, bytes per message in the file with its indexes,
and searches, counts and the start with that many messages stored.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hilum.journal import SCHEMA, Incoming, MessageQuery, SqliteJournal
from hilum.model import Envelope
from hilum.store import Schema, Store

KEY = bytes(range(32))
STORED = 100_000
APPENDS = {1: 2_000, 8: 16_000, 100: 40_000}
PARTITIONS = 16
START = 1_790_000_000_000_000  # microseconds
LOAD_SECONDS = 4.0
EFFECTS = Schema(name="effects", version=1, script="CREATE TABLE effect (n INTEGER PRIMARY KEY, body BLOB NOT NULL)")

NAMES = [
    a + b
    for a in ("AND", "BER", "CAR", "DOM", "ERI", "FER", "GUS", "HOL", "IVA", "JAN")
    for b in ("A", "EL", "IN", "OS", "UK")
]
TESTS = [
    ("718-7", "Hemoglobin", "g/dL"),
    ("4544-3", "Hematocrit", "%"),
    ("6690-2", "Leukocytes", "10*3/uL"),
    ("777-3", "Platelets", "10*3/uL"),
    ("2345-7", "Glucose", "mg/dL"),
    ("2160-0", "Creatinine", "mg/dL"),
    ("2951-2", "Sodium", "mmol/L"),
    ("2823-3", "Potassium", "mmol/L"),
]


def incoming(n: int, dice: random.Random, patients: int) -> Incoming:
    """A message of about 1.1 kB: two in five are results, the others admissions and updates."""
    number = dice.randrange(patients)
    at = f"202611{1 + n // 86_400 % 28:02}{n // 3600 % 24:02}{n // 60 % 60:02}{n % 60:02}"
    if n % 5 < 3:
        kind, sender, rest = ("ADT^A01", "ADT^A08")[n % 2], "EPIC|HOSP", admission(dice, number, at)
    else:
        kind, sender, rest = "ORU^R01", "LAB|HOSP", results(dice, number, at)
    msh = f"MSH|^~\\&|{sender}|ENGINE|DEST|{at}||{kind}|X{n}|P|2.5.1|||AL|NE"
    envelope = Envelope(
        source="adt",
        received_at=START + n * 1_000,
        sender=sender,
        control_id=f"X{n}",
        kind=kind,
        key=f"{100_000 + number}|HOSP",
        sent_at=START + n * 1_000,
    )
    return Incoming(envelope, "\r".join([msh, *rest, ""]).encode(), (number % PARTITIONS,))


def person(number: int) -> str:
    """The PID of a patient: the same in every message."""
    own = random.Random(number)
    names = "^".join(own.choice(NAMES) for _ in range(3))
    born = f"19{own.randrange(30, 99)}{own.randrange(1, 13):02}{own.randrange(1, 29):02}"
    home = f"{own.randrange(999)} {own.choice(NAMES)} Street^^{own.choice(NAMES)}VILLE^IL^{own.randrange(10**5):05}^USA"
    ids = f"{100_000 + number}^^^HOSP^MR~{own.randrange(10**9):09}^^^SSA^SS"
    return f"PID|1||{ids}||{names}||{born}|{own.choice('MF')}|||{home}||(217)555-{own.randrange(10**4):04}|||M"


def doctor(dice: random.Random) -> str:
    """One of 2,000, always by the same name."""
    number = dice.randrange(2_000)
    own = random.Random(f"doctor {number}")
    return f"{number:04}^{own.choice(NAMES)}^{own.choice(NAMES)}^^^DR^MD"


def visit(dice: random.Random) -> str:
    """Where the patient is, and with whom."""
    doctors = "|".join(doctor(dice) for _ in range(3))
    bed = f"{dice.randrange(9)}W^{dice.randrange(400, 430)}^A^HOSP"
    return f"PV1|1|I|{bed}||||{doctors}||MED|||||||IN|{dice.randrange(10**7)}"


def admission(dice: random.Random, number: int, at: str) -> list[str]:
    """The segments of an admission or update after its header; what belongs to the patient stays as it is."""
    own = random.Random(f"patient {number}")
    return [
        f"EVN||{at}|||{dice.randrange(999)}^{dice.choice(NAMES)}",
        person(number),
        f"NK1|1|{own.choice(NAMES)}^{own.choice(NAMES)}|SPO|{own.randrange(999)} {own.choice(NAMES)} Street|",
        visit(dice),
        *(f"AL1|{i}|DA|{own.randrange(10**5)}^{own.choice(NAMES)}^RXNORM|SV|{own.choice(NAMES)}" for i in (1, 2)),
        *(
            f"DG1|{i}||I{own.randrange(99)}^{own.choice(NAMES)} {own.choice(NAMES)}^I10||{at[:8]}|A"
            for i in range(1, 7)
        ),
        f"GT1|1||{own.choice(NAMES)}^{own.choice(NAMES)}||{own.randrange(999)} {own.choice(NAMES)} Street^^Peoria",
        f"IN1|1|PPO^{own.choice(NAMES)}|{own.randrange(10**5)}|{own.choice(NAMES)}|PO Box {own.randrange(999)}",
    ]


def results(dice: random.Random, number: int, at: str) -> list[str]:
    """The segments of a panel of results after its header."""
    order = dice.randrange(10**7)
    return [
        person(number),
        visit(dice),
        f"ORC|RE|{order}^EPIC|L{order}^LAB||CM||||{at}|||{dice.randrange(10**4)}^{dice.choice(NAMES)}",
        f"OBR|1|{order}^EPIC|L{order}^LAB|58410-2^CBC panel^LN|||{at}",
        *(
            f"OBX|{i}|NM|{code}^{name}^LN||{dice.uniform(3, 200):.1f}|{unit}|3-200|N|||F|||{at}"
            for i, (code, name, unit) in enumerate(TESTS + TESTS[:4], 1)
        ),
    ]


def batches(start: int, count: int, size: int, patients: int) -> Iterator[list[Incoming]]:
    """Groups of messages numbered from `start`."""
    dice = random.Random(start)
    for first in range(start, start + count, size):
        yield [incoming(n, dice, patients) for n in range(first, min(first + size, start + count))]


def run(stored: int = STORED) -> dict[str, Any]:
    """Figures of the journal; times in ms or us as named, sizes in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_run(Path(folder) / "hilum.db", stored))


async def _run(path: Path, stored: int) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    with Store.open(path.with_name("appends.db"), key=KEY, schemas=[SCHEMA, EFFECTS]) as store:
        journal = SqliteJournal(store)
        await _append(journal, 1_000_000, 2_000, 100)  # the dictionary is trained
        for size, count in APPENDS.items():
            figures[f"append_groups_of_{size}"] = await _append(journal, size * 10_000_000, count, size)
        for callers in (8, 100):
            figures[f"append_{callers}_callers"] = await _callers(journal, callers)
        figures["ack_under_load"] = await _under_load(store, journal)
    with Store.open(path, key=KEY, schemas=[SCHEMA]) as store:
        journal = SqliteJournal(store)
        size = await _fill(journal, stored)
    figures["stored"] = {
        "messages": stored,
        "mean_body_bytes": round(size),
        "bytes_per_message": round(os.stat(path).st_size / stored),
    }
    figures["at_that_size"] = await _at_size(path, stored)
    return figures


async def _append(journal: SqliteJournal, start: int, count: int, size: int) -> dict[str, float]:
    groups = list(batches(start, count, size, 90_000))
    wall, cpu = time.perf_counter(), time.process_time()
    for group in groups:
        await journal.append(group)
    return _rates(count, time.perf_counter() - wall, time.process_time() - cpu)


async def _callers(journal: SqliteJournal, callers: int) -> dict[str, float]:
    """Each caller appends one message at a time, as connections that wait for their acknowledgement do."""
    groups = list(batches(callers * 20_000_000, callers * 100, 100, 90_000))

    async def call(messages: list[Incoming]) -> None:
        for message in messages:
            await journal.append([message])

    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(call(group) for group in groups))
    return _rates(callers * 100, time.perf_counter() - wall, time.process_time() - cpu)


def _rates(count: int, wall: float, cpu: float) -> dict[str, float]:
    return {"per_second": round(count / wall), "cpu_us_per_message": round(cpu / count * 1e6, 1)}


async def _under_load(store: Store, journal: SqliteJournal) -> dict[str, float]:
    """Eight callers at 1,000 messages/s together, while a worker commits 32 messages' effects as fast as it can."""
    stop = time.perf_counter() + LOAD_SECONDS
    taken: list[float] = []
    commits = 0

    async def caller(number: int) -> None:
        for (message,) in batches(900_000_000 + number * 1_000_000, 100_000, 1, 90_000):
            started = time.perf_counter()
            if started > stop:
                return
            await journal.append([message])
            taken.append((time.perf_counter() - started) * 1e3)
            await asyncio.sleep(max(0.0, 0.008 - (time.perf_counter() - started)))

    async def worker() -> None:
        nonlocal commits
        rows = [(bytes(1_500),)] * 96
        while time.perf_counter() < stop:
            await store.write(lambda c: c.executemany("INSERT INTO effect (body) VALUES (?)", rows).fetchall())
            commits += 1

    await asyncio.gather(worker(), *(caller(n) for n in range(8)))
    taken.sort()
    return {
        "per_second": round(len(taken) / LOAD_SECONDS),
        "worker_commits_per_second": round(commits / LOAD_SECONDS),
        "p50_ms": round(taken[len(taken) // 2], 2),
        "p99_ms": round(taken[len(taken) * 99 // 100], 2),
        "worst_ms": round(taken[-1], 2),
    }


async def _fill(journal: SqliteJournal, stored: int) -> float:
    """Returns the mean size of a message."""
    total = 0
    for group in batches(0, stored, 500, max(100, stored // 11)):
        total += sum(len(one.body) for one in group)
        await journal.append(group)
    journal.close()
    return total / stored


async def _at_size(path: Path, stored: int) -> dict[str, float]:
    started = time.perf_counter()
    with Store.open(path, key=KEY, schemas=[SCHEMA]) as store:
        journal = SqliteJournal(store)
        await journal.append(next(batches(stored + 1, 1, 1, 100)))
        opened = time.perf_counter() - started
        middle = incoming(stored // 2, random.Random(1), 100).envelope
        key = journal.get(stored // 2).envelope.key
        positions = dict.fromkeys(range(PARTITIONS), stored - 1_000)
        asked: dict[str, Callable[[], object]] = {
            "get": lambda: journal.get(stored // 3),
            "find_by_control_id": lambda: journal.messages(MessageQuery(control_id=middle.control_id)),
            "find_by_patient": lambda: journal.messages(MessageQuery(key=key)),
            "find_by_kind": lambda: journal.messages(MessageQuery(kind="ORU^R01", sender="LAB|HOSP")),
            "find_by_time": lambda: journal.messages(
                MessageQuery(since=middle.received_at, until=middle.received_at + 60_000_000)
            ),
            "counts": lambda: journal.counts(positions),
            "counts_by_kind": journal.route_counts,
        }
        figures = {"open_to_first_append_ms": round(opened * 1e3, 1)}
        figures |= {f"{name}_ms": _worst(question) for name, question in asked.items()}
        started = time.process_time()
        report = await journal.verify()
        assert report.ok, report.problem
        return figures | {"verify_cpu_us_per_message": round((time.process_time() - started) / stored * 1e6, 1)}


def _worst(question: Callable[[], object]) -> float:
    """The slowest of five, in ms: the first reads pages that are not cached."""
    taken = []
    for _ in range(5):
        started = time.perf_counter()
        question()
        taken.append(time.perf_counter() - started)
    return round(max(taken) * 1e3, 2)


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]) if len(sys.argv) > 1 else STORED), indent=2))
