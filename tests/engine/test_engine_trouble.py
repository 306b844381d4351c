"""A store that refuses for a while, defects in single messages, and stopping in the middle of all of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.bench_of_twins import SmallPlan, bench, merge, message
from hilum.delivery import MemoryDestination
from hilum.engine import admission, engine, flow, stopping
from hilum.engine.partition import partition_of
from hilum.errors import DeliveryError, Outcome, StoreCorrupt, StoreFull
from hilum.journal import MemoryJournal
from hilum.model import Disposition
from hilum.repository import DeliveryState, MemoryRepository
from hilum.translator import Format, Rule, make_route

pytestmark = pytest.mark.anyio

ROUTE = make_route([Rule("portal", Format.FHIR, "")])


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "RETRY_FIRST", 0.01)


class MoodyRepository(MemoryRepository):
    """Every verb named in `refusing` raises StoreFull."""

    def __init__(self) -> None:
        super().__init__()
        self.refusing: set[str] = set()
        self.asked: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        verb = super().__getattribute__(name)
        if name.startswith("_") or name in ("refusing", "asked"):
            return verb

        def call(*args: Any, **kwargs: Any) -> Any:
            if name in self.refusing:
                self.asked.append(name)
                raise StoreFull("no space")
            return verb(*args, **kwargs)

        return call


class SlowJournal(MemoryJournal):
    """Appends wait for `gate`."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def append(self, incoming: Any) -> Any:
        await self.gate.wait()
        return await super().append(incoming)


def far_from(patient: str) -> str:
    """Another patient, of another partition."""
    home = partition_of(f"{patient}|HOSP")
    return next(str(n) for n in range(2, 99) if partition_of(f"{n}|HOSP") != home)


async def test_what_the_journal_took_too_late_is_applied_without_waiting_for_another_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flow, "ANSWER_WITHIN", 0.05)
    journal = SlowJournal()
    async with bench(journal=journal) as b:
        ack = await b.send(message("1", "A"))
        assert (ack.code, ack.finding and ack.finding.code) == ("AE", "store-slow")
        journal.gate.set()
        await b.until(lambda: b.ledger().applied == 1)


@pytest.mark.parametrize("verb", ["apply", "positions", "held_keys", "requests"])
async def test_the_engine_goes_on_when_the_store_does(verb: str) -> None:
    repository = MoodyRepository()
    async with bench(repository=repository) as b:
        repository.refusing.add(verb)
        assert (await b.send(message("1", "A"))).code == "AA"
        if verb != "positions":  # not asked for again while it runs
            await b.until(lambda: verb in repository.asked)
        repository.refusing.clear()
        assert (await b.settled()).applied == 1
        assert b.engine.failures() == []


@pytest.mark.parametrize("verb", ["due", "claim", "delivered", "version_by", "release"])
async def test_a_delivery_outlives_a_store_that_refuses_and_is_made_once(verb: str) -> None:
    repository, destination = MoodyRepository(), MemoryDestination("portal")
    repository.refusing.add(verb)
    async with bench(repository=repository, destination=destination, route=ROUTE) as b:
        await b.send(message("1", "A"))
        await b.until(lambda: verb in repository.asked)
        repository.refusing.clear()
        await b.until(lambda: [one.state for one in repository.deliveries()] == [DeliveryState.DELIVERED])
        assert len(destination.attempts) == 1
        assert b.engine.failures() == []


@pytest.mark.parametrize(
    ("verb", "outcome"), [("failed", Outcome.RETRY), ("dead", Outcome.DEAD_LETTER), ("refused", Outcome.HOLD)]
)
async def test_what_became_of_a_delivery_is_written_down_when_the_store_can_be_written_again(
    verb: str, outcome: Outcome
) -> None:
    repository, destination = MoodyRepository(), MemoryDestination("portal")
    destination.fail_next(DeliveryError("no", outcome=outcome))
    repository.refusing.add(verb)
    async with bench(repository=repository, destination=destination, route=ROUTE) as b:
        await b.send(message("1", "A"))
        await b.until(lambda: verb in repository.asked)
        repository.refusing.clear()
        ends = {DeliveryState.DELIVERED, DeliveryState.DEAD, DeliveryState.HELD}
        await b.until(lambda: {one.state for one in repository.deliveries()} <= ends)
        assert b.engine.failures() == []


async def test_a_destination_that_fails_in_an_unknown_way_holds_one_record_and_goes_on() -> None:
    class Defective(MemoryDestination):
        async def send(self, record: Any) -> Any:
            if b"Broken" in record.payload:
                raise ZeroDivisionError("the text of this must not be seen")
            return await super().send(record)

    destination = Defective("portal")
    async with bench(destination=destination, route=ROUTE) as b:
        await b.send(message("1", "A", name="Broken"))
        await b.send(message("2", "B", name="Whole"))
        await b.until(lambda: {one.state for one in b.repository.deliveries()} == {"held", "delivered"})
        (held,) = b.repository.deliveries(state=DeliveryState.HELD)
        assert held.code == "delivery-crashed"


async def test_a_store_that_is_damaged_ends_the_engine_with_that_error() -> None:
    class Damaged(MemoryRepository):
        async def apply(self, *_: Any) -> None:
            raise StoreCorrupt("not what was written")

    async with bench(repository=Damaged()) as b:
        await b.send(message("1", "A"))
        with pytest.raises(StoreCorrupt):
            await asyncio.wait_for(b.engine.until_failure(), 5)


async def test_a_defect_of_the_gate_refuses_one_message_and_the_feed_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    admit = admission.hl7v2.admit

    def defective(body: bytes, *args: Any, **kwargs: Any) -> Any:
        if b"Broken" in body:
            raise ZeroDivisionError("the text of this must not be seen")
        return admit(body, *args, **kwargs)

    monkeypatch.setattr(admission.hl7v2, "admit", defective)
    async with bench() as b:
        ack = await b.send(message("1", "A", name="Broken"))
        assert (ack.code, ack.finding and ack.finding.code) == ("AE", "gate-crashed")
        assert (await b.send(message("1", "B"))).code == "AA"
        ledger = await b.settled()
        assert (ledger.received, ledger.rejected, ledger.applied) == (2, 1, 1)
        assert b.journal.get(1).envelope.disposition is Disposition.AE


async def test_a_message_that_cannot_be_stored_does_not_take_its_neighbours_with_it() -> None:
    class Picky(MemoryJournal):
        async def append(self, incoming: Any) -> Any:
            if any(b"Broken" in one.body for one in incoming):
                raise UnicodeEncodeError("utf-8", "x", 0, 1, "no text")
            return await super().append(incoming)

    async with bench(journal=Picky()) as b:
        waits = [b.source.feed(message(name, name, name=name)) for name in ("First", "Broken", "Last")]
        acks = [await asyncio.wait_for(one, 5) for one in waits]
        assert [ack.code for ack in acks] == ["AA", "AE", "AA"]
        assert acks[1].finding is not None
        assert acks[1].finding.code == "append-failed"
        assert (await b.settled()).applied == 2


async def test_other_content_under_a_used_control_id_is_applied_and_reported_once_with_a_count() -> None:
    async with bench() as b:
        for name in ("First", "Second", "Third"):
            assert (await b.send(message("1", "SAME", name=name))).code == "AA"
        assert (await b.send(message("1", "SAME", name="Third"))).code == "AA"
        ledger = await b.settled()
        assert (ledger.applied, ledger.duplicates) == (3, 1)
        (item,) = b.repository.exceptions(code="control-id-reused")
        assert (item.location, item.owner, item.count, item.samples) == ("MSH-10", "reg", 2, (2, 3))


async def test_a_held_message_under_a_used_control_id_is_reported_when_it_is_replayed() -> None:
    plan = SmallPlan()
    async with bench(plan) as b:
        await b.send(message("1", "SAME"))
        await b.send(message("2", "SAME", name="BAD"))
        await b.settled()
        assert b.repository.exceptions() == []
        plan.mended = True
        await b.repository.request_replay(None, "ann")
        await b.until(lambda: b.ledger().applied == 2)
        assert [item.samples for item in b.repository.exceptions(code="control-id-reused")] == [(2,)]


async def test_stopping_does_not_wait_for_a_store_that_refuses() -> None:
    repository = MoodyRepository()
    async with bench(repository=repository) as b:
        repository.refusing.add("apply")
        await b.send(message("1", "A"))
        await b.until(lambda: "apply" in repository.asked)
        await asyncio.wait_for(b.engine.stop(), 5)
    repository.refusing.clear()
    async with bench(journal=b.journal, repository=repository) as b:
        assert (await b.settled()).applied == 1


async def test_stopping_does_not_wait_for_a_partner_that_never_answers_and_the_next_start_sends_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Silent(MemoryDestination):
        async def send(self, record: Any) -> Any:
            self.attempts.append(record)
            await asyncio.Event().wait()

    monkeypatch.setattr(engine, "DRAIN_SECONDS", 0.05)
    silent, answering = Silent("portal"), MemoryDestination("portal")
    async with bench(destination=silent, route=ROUTE) as b:
        await b.send(message("1", "A"))
        await b.until(lambda: len(silent.attempts) == 1)
        await asyncio.wait_for(b.engine.stop(), 5)
    async with bench(journal=b.journal, repository=b.repository, destination=answering, route=ROUTE) as b:
        await b.until(lambda: len(answering.taken) == 1)
        assert [one.attempts for one in b.repository.deliveries()] == [2]
    assert answering.attempts[0].idempotency_key == silent.attempts[0].idempotency_key


async def test_stopping_in_the_middle_of_a_merge_does_not_hang_and_the_next_start_finishes_it() -> None:
    """The partition of the retired number waits for the home of the merge, which ends without having saved it."""
    repository, other = MoodyRepository(), far_from("1")
    async with bench(repository=repository) as b:
        repository.refusing.add("apply")
        await b.send(merge("1", other, "A"))
        await b.send(message(other, "B"))
        await b.until(lambda: "apply" in repository.asked)
        await asyncio.wait_for(b.engine.stop(), 5)
    repository.refusing.clear()
    async with bench(journal=b.journal, repository=repository) as b:
        assert (await b.settled()).applied == 2


async def test_stopping_with_replays_under_way_does_not_hang_and_forgets_none() -> None:
    plan, repository = SmallPlan(), MoodyRepository()
    async with bench(plan, repository=repository) as b:
        for n in range(5):
            await b.send(message(str(n), str(n), name="BAD"))
        await b.settled()
        plan.mended = True
        repository.refusing.add("apply")
        await repository.request_replay(None, "ann")
        await b.until(lambda: "apply" in repository.asked)
        await asyncio.wait_for(b.engine.stop(), 5)
        assert len(repository.requests()) == 5
    repository.refusing.clear()
    async with bench(plan, journal=b.journal, repository=repository) as b:
        await b.until(lambda: b.ledger().applied == 5)


async def test_a_delivery_that_a_person_discards_as_it_is_taken_up_ends_nothing() -> None:
    class Decided(MemoryRepository):
        async def claim(self, ids: Any) -> None:
            if not self.deliveries(state=DeliveryState.DISCARDED):
                await self.abandon(ids[:1])
            await super().claim(ids)

    repository = Decided()
    async with bench(repository=repository, destination=MemoryDestination("portal"), route=ROUTE) as b:
        await b.send(message("A", "1"))
        await b.send(message("B", "2"))
        await b.until(lambda: sorted(one.state for one in repository.deliveries()) == ["delivered", "discarded"])
        assert b.engine.failures() == []
