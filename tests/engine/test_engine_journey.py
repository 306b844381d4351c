"""What senders hear, what is held, in which order things happen, and that the totals add up."""

from __future__ import annotations

import asyncio
import re

import pytest

from engine.bench_of_twins import SmallPlan, bench, merge, message
from hilum.delivery import MemoryDestination
from hilum.engine import AckMode, Contract, Order, flow
from hilum.engine.partition import partition_of
from hilum.errors import ConfigError, DeliveryError, Outcome, StoreFull
from hilum.journal import MemoryJournal, MessageQuery
from hilum.model import Disposition
from hilum.repository import DeliveryState, MemoryRepository
from hilum.translator import Format, Rule, make_route

pytestmark = pytest.mark.anyio


class FullJournal(MemoryJournal):
    async def append(self, incoming):  # type: ignore[no-untyped-def]
        raise StoreFull("no space")


class SlowJournal(MemoryJournal):
    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def append(self, incoming):  # type: ignore[no-untyped-def]
        await self.gate.wait()
        return await super().append(incoming)


async def test_an_answer_comes_only_after_the_journal_has_committed() -> None:
    journal = SlowJournal()
    async with bench(journal=journal) as b:
        answer = b.source.feed(message("1", "A"))
        await asyncio.sleep(0.05)
        assert not answer.done()
        journal.gate.set()
        assert (await asyncio.wait_for(answer, 5)).code == "AA"


async def test_a_journal_that_cannot_be_written_is_answered_with_ae_and_nothing_is_stored() -> None:
    async with bench(journal=FullJournal()) as b:
        ack = await b.send(message("1", "A"))
        assert ack.code == "AE"
        assert ack.finding is not None
        assert ack.finding.code == "store-full"
        assert b.ledger().received == 0


async def test_a_silent_journal_is_answered_with_ae_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "ANSWER_WITHIN", 0.1)
    async with bench(journal=SlowJournal()) as b:
        ack = await b.send(message("1", "A"))
        assert (ack.code, ack.finding and ack.finding.code) == ("AE", "store-slow")


async def test_in_enhanced_mode_a_journal_that_cannot_be_written_is_answered_with_cr() -> None:
    async with bench(journal=FullJournal(), ack=AckMode.ENHANCED) as b:
        assert (await b.send(message("1", "A"))).code == "CR"


async def test_garbage_is_refused_and_kept() -> None:
    async with bench() as b:
        assert (await b.send(b"GET / HTTP/1.1\r\n\r\n")).code == "AR"
        ledger = await b.settled()
        assert (ledger.received, ledger.rejected, ledger.difference) == (1, 1, 0)
        assert b.journal.messages(MessageQuery(disposition=Disposition.AR)).messages


async def test_a_copy_is_answered_again_and_has_no_second_effect() -> None:
    async with bench() as b:
        for _ in range(3):
            assert (await b.send(message("1", "A"))).code == "AA"
        ledger = await b.settled()
        assert (ledger.received, ledger.applied, ledger.duplicates) == (1, 1, 2)
        assert b.repository.get("Patient", "p1").version == 1


async def test_a_held_message_is_kept_with_code_and_owner_and_later_ones_of_its_key_wait() -> None:
    async with bench() as b:
        await b.send(message("1", "A", name="BAD"))
        await b.send(message("1", "B", name="Later"))
        await b.send(message("2", "C", name="Other"))
        ledger = await b.settled()
        assert (ledger.applied, ledger.held, ledger.waiting, ledger.difference) == (1, 1, 1, 0)
        first, second = b.repository.holds()
        assert (first.code, first.location, first.owner, first.behind) == ("code-unmapped", "PID-8", "ann", False)
        assert second.behind


async def test_with_order_pass_later_messages_of_a_held_key_go_on() -> None:
    async with bench(order=Order.PASS) as b:
        await b.send(message("1", "A", name="BAD"))
        await b.send(message("1", "B", name="Later"))
        ledger = await b.settled()
        assert (ledger.applied, ledger.held, ledger.waiting) == (1, 1, 0)


async def test_a_replay_runs_the_held_message_in_its_place_and_then_those_behind_it() -> None:
    plan = SmallPlan()
    async with bench(plan) as b:
        for control_id, name in (("A", "BAD"), ("B", "Second"), ("C", "Third")):
            await b.send(message("1", control_id, name=name))
        await b.settled()
        plan.mended = True
        await b.repository.request_replay(b.repository.holds()[0].seq, "ann")
        await b.until(lambda: b.ledger().applied == 3)
        await b.send(message("1", "D", name="Fourth"))
        ledger = await b.settled()
        assert plan.order == ["A", "B", "C", "D"]
        assert (ledger.applied, ledger.held, ledger.waiting, ledger.difference) == (4, 0, 0, 0)


async def test_the_workbook_is_taken_before_what_is_asked_to_run_again() -> None:
    plan = SmallPlan()

    async def mend() -> None:
        plan.mended = True

    async with bench(plan, reload=mend) as b:
        await b.send(message("1", "A", name="BAD"))
        await b.settled()
        await b.repository.request_replay(None, "ann")
        await b.repository.request_reload("ann")
        await b.until(lambda: b.ledger().applied == 1)
        assert b.repository.requests() == []


async def test_a_workbook_that_cannot_be_used_leaves_the_one_before() -> None:
    async def refuse() -> None:
        raise ConfigError("no", code="workbook-invalid")

    async with bench(reload=refuse) as b:
        await b.repository.request_reload("ann")
        await b.until(lambda: not b.repository.requests())
        await b.send(message("1", "A"))
        assert (await b.settled()).applied == 1


async def test_a_replay_that_is_held_again_keeps_those_behind_it_waiting() -> None:
    plan = SmallPlan()
    async with bench(plan) as b:
        await b.send(message("1", "A", name="BAD"))
        await b.send(message("1", "B"))
        await b.settled()
        await b.repository.request_replay(None, "ann")
        await b.until(lambda: not b.repository.requests())
        assert plan.order == []
        assert b.ledger().difference == 0


async def test_a_discarded_message_counts_as_rejected_and_frees_its_key() -> None:
    plan = SmallPlan()
    async with bench(plan) as b:
        await b.send(message("1", "A", name="BAD"))
        await b.send(message("1", "B"))
        await b.settled()
        await b.repository.discard(b.repository.holds()[0].seq, "ann", "sent by mistake")
        await b.until(lambda: b.ledger().applied == 1)
        ledger = b.ledger()
        assert (ledger.rejected, ledger.held, ledger.waiting, ledger.difference) == (1, 0, 0, 0)
        assert plan.order == ["B"]


async def test_a_defect_in_the_workbook_holds_one_message_without_telling_its_content() -> None:
    async with bench() as b:
        await b.send(message("1", "A", name="CRASH"))
        await b.send(message("2", "B"))
        ledger = await b.settled()
        assert (ledger.applied, ledger.held) == (1, 1)
        hold = b.repository.holds()[0]
        assert hold.code == "mapping-crashed"
        assert "text of this" not in hold.message


class PickyRepository(MemoryRepository):
    """Cannot take what has the name Poison."""

    async def apply(self, work, positions, expected=None):  # type: ignore[no-untyped-def]
        if any(
            b"Poison" in bytes(raw) for one in work for d in getattr(one, "drafts", ()) for raw in d.elements.values()
        ):
            raise ValueError("cannot")
        await super().apply(work, positions, expected)


async def test_effects_that_cannot_be_saved_hold_their_message_and_let_the_batch_through() -> None:
    async with bench(repository=PickyRepository()) as b:
        for number, name in enumerate(("A", "Poison", "B")):
            await b.send(message("1", f"C{number}", name=name))
        ledger = await b.settled()
        assert (ledger.applied, ledger.held, ledger.waiting, ledger.difference) == (1, 1, 1, 0)
        assert b.repository.holds()[0].code == "apply-failed"


async def test_what_was_seen_first_in_a_message_that_cannot_be_saved_is_told_all_the_same() -> None:
    class WatchfulPlan(SmallPlan):
        def __init__(self) -> None:
            super().__init__()
            self.met: set[str] = set()

        def sightings(self, record, context):  # type: ignore[no-untyped-def]
            fresh = {record.get("PID-5")} - self.met
            self.met |= fresh
            return tuple(fresh)

    seen: list[str] = []

    class Remembering(PickyRepository):
        async def apply(self, work, positions, expected=None):  # type: ignore[no-untyped-def]
            await super().apply(work, positions, expected)
            seen.extend(thing for one in work for sighted in one.sighted for thing in sighted.things)

    async with bench(WatchfulPlan(), repository=Remembering()) as b:
        await asyncio.gather(*(b.send(message("1", f"C{name}", name=name)) for name in ("A", "Poison", "B")))
        await b.settled()
    assert {"A", "Poison", "B"} <= set(seen)


async def test_a_merge_waits_until_what_came_earlier_for_the_retired_number_is_saved() -> None:
    other = next(str(n) for n in range(2, 99) if partition_of(f"{n}|HOSP") != partition_of("1|HOSP"))

    class SlowInOnePartition(MemoryRepository):
        gate = asyncio.Event()

        async def apply(self, work, positions, expected=None):  # type: ignore[no-untyped-def]
            if partition_of(f"{other}|HOSP") in positions:
                await self.gate.wait()
            await super().apply(work, positions, expected)

    plan, repository = SmallPlan(), SlowInOnePartition()
    async with bench(plan, repository=repository) as b:
        await b.send(message(other, "EARLIER"))
        await b.send(message("1", "FIRST"))
        await b.send(merge("1", other, "MERGE"))
        await b.until(lambda: b.ledger().applied == 1)
        await asyncio.sleep(0.05)
        assert plan.order == ["EARLIER", "FIRST"]
        repository.gate.set()
        assert (await b.settled()).applied == 3
        assert plan.order == ["EARLIER", "FIRST", "MERGE"]


async def test_a_merge_runs_after_everything_earlier_of_both_keys_and_before_everything_later() -> None:
    plan = SmallPlan()
    other = next(str(n) for n in range(2, 99) if partition_of(f"{n}|HOSP") != partition_of("1|HOSP"))
    async with bench(plan) as b:
        bodies = [message("1", f"a{n}") for n in range(20)] + [message(other, f"b{n}") for n in range(20)]
        bodies += [merge("1", other, "M")]
        bodies += [message(other, f"c{n}") for n in range(20)] + [message("1", f"d{n}") for n in range(20)]
        answers = [b.source.feed(body) for body in bodies]
        await asyncio.gather(*answers)
        ledger = await b.settled()
        assert ledger.applied == 81
        place = plan.order.index("M")
        assert {one[0] for one in plan.order[:place]} == {"a", "b"}
        assert place == 40
        assert {one[0] for one in plan.order[place + 1 :]} == {"c", "d"}


@pytest.mark.parametrize(
    ("ask", "codes"), [("AL|NE", ["CA"]), ("NE|AL", ["AA"]), ("AL|AL", ["CA", "AA"]), ("NE|NE", [""]), ("", ["AA"])]
)
async def test_in_auto_mode_the_sender_gets_the_answers_it_asked_for(ask: str, codes: list[str]) -> None:
    async with bench(ack=AckMode.AUTO) as b:
        await b.send(message("1", "A", ask=ask))
        said = [ack.code if ack.body else "" for _, ack in b.source.answers]
        assert said == codes


async def test_the_contract_applied_says_yes_only_when_the_effects_are_committed() -> None:
    async with bench(contract=Contract.APPLIED) as b:
        assert (await b.send(message("1", "A"))).code == "AA"
        assert b.repository.get("Patient", "p1").version == 1


async def test_the_contract_applied_says_no_of_a_held_message_and_again_of_its_copy() -> None:
    async with bench(contract=Contract.APPLIED) as b:
        for _ in range(2):
            ack = await b.send(message("1", "A", name="BAD"))
            assert (ack.code, ack.finding and ack.finding.code) == ("AE", "code-unmapped")
        ack = await b.send(message("2", "B"))
        assert ack.code == "AA"
        assert (await b.send(message("2", "B"))).code == "AA"


async def test_in_enhanced_mode_the_contract_applied_gives_ca_first_and_aa_later() -> None:
    async with bench(contract=Contract.APPLIED, ack=AckMode.ENHANCED) as b:
        await b.send(message("1", "A"))
        await b.until(lambda: len(b.source.answers) == 2)
        assert [ack.code for _, ack in b.source.answers] == ["CA", "AA"]


async def test_a_batch_is_stored_whole_and_answered_once() -> None:
    batch = b"BHS|^~\\&|EHR\r" + message("1", "A") + message("2", "B") + b"BTS|2\r"
    async with bench() as b:
        ack = await b.send(batch)
        assert ack.code == "AA"
        assert ack.body.count(b"MSA|AA|") == 2
        assert (await b.settled()).applied == 2


async def test_a_batch_whose_count_is_wrong_is_refused_whole() -> None:
    batch = b"BHS|^~\\&|EHR\r" + message("1", "A") + b"BTS|2\r"
    async with bench() as b:
        assert (await b.send(batch)).code == "AE"
        ledger = await b.settled()
        assert (ledger.received, ledger.rejected, ledger.applied) == (1, 1, 0)


@pytest.mark.parametrize(
    ("policy", "code", "state"),
    [(None, "AA", "applied"), (Disposition.HOLD, "AA", "held"), (Disposition.AE, "AE", "rejected")],
)
async def test_what_the_wire_tolerated_is_judged_by_the_rules_of_its_source(
    policy: Disposition | None, code: str, state: str
) -> None:
    framing = {"mllp-end-short": policy} if policy else {}
    async with bench(framing=framing) as b:
        ack = await b.send(message("1", "A"), codes=("mllp-end-short",))
        assert ack.code == code
        ledger = await b.settled()
        assert (ledger.received, getattr(ledger, state), ledger.difference) == (1, 1, 0)
        assert b.journal.messages(MessageQuery()).messages[0].envelope.codes == ("mllp-end-short",)


def _to(name: str, kind: Format) -> Rule:
    return Rule(name, kind, "")


async def test_a_delivery_carries_the_versions_that_the_message_made() -> None:
    destination = MemoryDestination("portal")
    async with bench(destination=destination, route=make_route([_to("portal", Format.FHIR)])) as b:
        await b.send(message("1", "A", name="First"))
        await b.until(lambda: len(destination.taken) == 1)
        record = next(iter(destination.taken.values()))
        assert b'"family":"First"' in record.payload
        assert record.content_type == "application/fhir+json"


async def test_a_delivery_that_waited_carries_the_version_of_its_own_message_however_many_came_since() -> None:
    destination = MemoryDestination("portal")
    destination.fail_next(DeliveryError("down", retry_after=0.5))
    async with bench(destination=destination, route=make_route([_to("portal", Format.FHIR)])) as b:
        for n in range(120):
            await b.send(message("1", f"C{n}", name=f"Name{n}"))
        assert (await b.settled()).applied == 120
        await b.until(lambda: len(destination.taken) == 120)
        names = [re.findall(rb'"family":"(\w+)"', one.payload) for one in destination.taken.values()]
        assert names == [[b"Name%d" % n] for n in range(120)]


async def test_a_message_that_says_nothing_new_sends_nothing_and_its_delivery_counts_as_made() -> None:
    destination = MemoryDestination("portal")
    route = make_route([_to("portal", Format.FHIR)])
    async with bench(destination=destination, route=route, contract=Contract.DELIVERED) as b:
        assert (await b.send(message("1", "A"))).code == "AA"
        assert (await b.send(message("1", "B"))).code == "AA"
        assert len(destination.taken) == 1
        assert [one.state for one in b.repository.deliveries()] == [DeliveryState.DELIVERED] * 2


async def test_a_merge_sends_both_of_its_patients() -> None:
    destination = MemoryDestination("portal")
    async with bench(destination=destination, route=make_route([_to("portal", Format.FHIR)])) as b:
        await b.send(message("2", "A"))
        await b.send(merge("1", "2", "B"))
        await b.until(lambda: len(destination.taken) == 2)
        record = list(destination.taken.values())[1]
        assert re.findall(rb'"fullUrl":"([\w/]+)"', record.payload) == [b"Patient/p1", b"Patient/p2"]
        assert b'"replaced-by"' in record.payload


async def test_the_raw_message_goes_to_a_partner_that_wants_hl7() -> None:
    destination = MemoryDestination("partner")
    async with bench(destination=destination, route=make_route([_to("partner", Format.HL7V2)])) as b:
        await b.send(message("1", "A"))
        await b.until(lambda: len(destination.taken) == 1)
        assert next(iter(destination.taken.values())).payload == message("1", "A")


async def test_a_failing_delivery_is_tried_again_with_the_same_key_and_the_contract_delivered_waits_for_it() -> None:
    destination = MemoryDestination("portal")
    destination.fail_next(DeliveryError("down"), DeliveryError("down"))
    route = make_route([_to("portal", Format.FHIR)])
    async with bench(destination=destination, route=route, contract=Contract.DELIVERED) as b:
        assert (await b.send(message("1", "A"))).code == "AA"
        assert len(destination.attempts) == 3
        assert len(destination.taken) == 1
        assert (await b.send(message("1", "A"))).code == "AA", "a copy is answered from what the store says"


async def test_a_delivery_that_is_given_up_is_said_and_kept() -> None:
    destination = MemoryDestination("portal")
    destination.fail_next(DeliveryError("no", code="webhook-refused", outcome=Outcome.DEAD_LETTER))
    route = make_route([_to("portal", Format.FHIR)])
    async with bench(destination=destination, route=route, contract=Contract.DELIVERED) as b:
        ack = await b.send(message("1", "A"))
        assert (ack.code, ack.finding and ack.finding.code) == ("AE", "delivery-dead")
        assert [one.state for one in b.repository.deliveries()] == [DeliveryState.DEAD]


async def test_a_delivery_that_is_refused_is_said_and_later_ones_of_its_patient_wait_for_a_person() -> None:
    destination = MemoryDestination("portal")
    destination.fail_next(DeliveryError("no", code="webhook-refused", outcome=Outcome.HOLD))
    route = make_route([_to("portal", Format.HL7V2)])
    async with bench(destination=destination, route=route, contract=Contract.DELIVERED) as b:
        ack = await b.send(message("A", "1"))
        assert (ack.code, ack.finding and ack.finding.code) == ("AE", "delivery-held")
        later = asyncio.ensure_future(b.send(message("A", "2", name="Later")))
        assert (await b.send(message("B", "3"))).code == "AA", "another patient does not wait"
        await b.until(lambda: len(b.repository.deliveries()) == 3)
        assert sorted(one.state.value for one in b.repository.deliveries()) == ["delivered", "due", "held"]
        await b.repository.revive([1])
        assert (await later).code == "AA"
        sent = [message("A", "1"), message("B", "3"), message("A", "1"), message("A", "2", name="Later")]
        assert [one.payload for one in destination.attempts] == sent
        assert {one.state for one in b.repository.deliveries()} == {DeliveryState.DELIVERED}
