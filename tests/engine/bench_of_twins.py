"""An engine on the in-memory twins of all four seams, with a workbook of three lines written in Python."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Raw

from hilum.delivery import BreakerPolicy, MemoryDestination, RetryPolicy
from hilum.engine import AckMode, Contract, Engine, Order, SourceSettings, add_up
from hilum.engine.ledger import Ledger
from hilum.formats import hl7v2
from hilum.intake import MemorySource
from hilum.journal import MemoryJournal
from hilum.mapping import Context, Mapped, Problem
from hilum.model import Accounting, Ack, Disposition, Draft, Merge
from hilum.repository import MemoryRepository
from hilum.translator import InProcess, Translator

RETRY = RetryPolicy(first_seconds=0.01, jitter=0)


def message(
    patient: str, control_id: str, *, kind: str = "A08", name: str = "X", extra: str = "", ask: str = ""
) -> bytes:
    segments = [
        f"MSH|^~\\&|EHR|HOSP|HILUM|X|20260301120000+0000||ADT^{kind}^ADT_A01|{control_id}|P|2.5.1|||{ask}",
        f"EVN|{kind}|20260301120000+0000",
        f"PID|1||{patient}^^^HOSP^MR||{name}",
        extra,
    ]
    return ("\r".join(segment for segment in segments if segment) + "\r").encode()


def merge(survivor: str, retired: str, control_id: str) -> bytes:
    return message(survivor, control_id, kind="A40", extra=f"MRG|{retired}^^^HOSP^MR")


class SmallPlan:
    """A name makes a Patient; BAD holds the message until `mended`; CRASH is a defect of the workbook."""

    def __init__(self) -> None:
        self.mended = False
        self.order: list[str] = []

    def run(self, record: Any, context: Context) -> Mapped:
        assert context.source
        name = record.get("PID-5")
        if name == "CRASH":
            raise ZeroDivisionError("the text of this must not be seen")
        if name == "BAD" and not self.mended:
            return Mapped([], held=Problem("code-unmapped", "PID-8", "no such code", "ann"))
        self.order.append(record.control_id)
        patient = record.get("PID-3.1")
        elements = {"name": Raw(b'[{"family":"%s"}]' % name.encode())}
        merges: tuple[Merge, ...] = ()
        if retired := record.get("MRG-1.1"):
            merges = (Merge("Patient", f"p{patient}", f"p{retired}"),)
        return Mapped([Draft("Patient", f"p{patient}", elements)], merges, accounting=Accounting(1, 1))

    def sightings(self, record: Any, context: Context) -> tuple[str, ...]:
        return ()


class Bench:
    """The engine, its twins, and short words for what tests do."""

    def __init__(
        self, engine: Engine, source: MemorySource, journal: MemoryJournal, repository: MemoryRepository
    ) -> None:
        self.engine, self.source, self.journal, self.repository = engine, source, journal, repository

    async def send(self, body: bytes, *, codes: tuple[str, ...] = ()) -> Ack:
        return await asyncio.wait_for(self.source.feed(body, codes=codes), 5)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not holds():
                await asyncio.sleep(0.005)

    async def settled(self) -> Ledger:
        await self.until(lambda: self.journal.counts(self.repository.positions()).waiting == 0)
        return self.ledger()

    def ledger(self) -> Ledger:
        return add_up(self.journal.counts(self.repository.positions()), self.repository.counts())


@asynccontextmanager
async def bench(
    plan: Any = None,
    *,
    ack: AckMode = AckMode.ORIGINAL,
    contract: Contract = Contract.ACCEPTED,
    order: Order = Order.WAIT,
    journal: MemoryJournal | None = None,
    repository: MemoryRepository | None = None,
    destination: MemoryDestination | None = None,
    route: Any = None,
    framing: dict[str, Disposition] | None = None,
    reload: Any = None,
) -> AsyncIterator[Bench]:
    journal = journal or MemoryJournal()
    repository = repository or MemoryRepository()
    source = MemorySource("adt")
    settings = SourceSettings(
        "adt", hl7v2.Rules(), ack=ack, contract=contract, order=order, owner="reg", framing=framing or {}
    )
    translator = Translator(plan or SmallPlan(), route or (lambda *_: ()), {"adt": "reg"})
    engine = Engine(journal, repository, InProcess(translator), {"adt": settings}, [source])
    if reload is not None:
        engine.on_reload(reload)
    if destination is not None:
        engine.add_destination(destination, RETRY, BreakerPolicy(open_seconds=0.01))
    await engine.start()
    try:
        yield Bench(engine, source, journal, repository)
    finally:
        await engine.stop()
