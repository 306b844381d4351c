"""Holds, replays, exceptions and the outbox: one suite for every implementation."""

from __future__ import annotations

from typing import Any

import pytest
from clinical_samples import Feed, held, patient
from msgspec.structs import replace

from hilum.errors import NotFound
from hilum.model import Effects, ExceptionItem, Outgoing, Receipt, Sighted
from hilum.repository import RELOAD, DeliveryState, HoldState

pytestmark = pytest.mark.anyio

UNMAPPED = ExceptionItem(
    "code-unmapped", "no entry for this code", "PV1-2", "clinical", "enc-class", "code-unmapped|X|ZZ"
)


async def test_a_replayed_message_settles_its_hold(repository: Any) -> None:
    await repository.apply([held(1), held(2, behind=True)], {0: 2})
    assert repository.held_keys() == {"K": 1}
    assert await repository.request_replay(None, "ann") == 2
    await repository.apply([Effects(1, 0, 1, drafts=[patient("p1")])], {})
    assert repository.hold(1).state is HoldState.APPLIED
    assert [one.seq for one in repository.requests()] == [2]
    assert repository.held_keys() == {"K": 2}
    assert (repository.counts().applied, repository.counts().held, repository.counts().behind) == (1, 0, 1)
    assert repository.positions() == {0: 2}


async def test_a_message_that_fails_again_stays_held_with_its_new_reason(repository: Any) -> None:
    await repository.apply([held(1, behind=True)], {0: 1})
    before = repository.hold(1)
    await repository.apply([held(1, code="code-unmapped")], {})
    after = repository.hold(1)
    assert (after.code, after.tries, after.behind, after.at) == ("code-unmapped", 2, False, before.at)
    assert (after.owner, after.location, after.message) == ("registration", "PID-3[1]", "somebody must look")


async def test_an_applied_message_is_not_held_afterwards(repository: Any) -> None:
    feed = Feed(repository)
    await feed(patient("p1"))
    await repository.apply([held(1)], {})
    assert repository.holds() == []
    assert repository.counts().applied == 1


async def test_one_call_may_hold_and_then_apply(repository: Any) -> None:
    await repository.apply([held(1), Effects(1, 0, 1, drafts=[patient("p1")])], {0: 1})
    assert repository.counts().applied == 1
    assert repository.counts().held == 0
    assert repository.get("Patient", "p1").seq == 1


async def test_a_discarded_message_is_never_applied(repository: Any) -> None:
    await repository.apply([held(1)], {0: 1})
    await repository.request_replay(1, "ann")
    await repository.discard(1, "ann", "a test message")
    hold = repository.hold(1)
    assert (hold.state, hold.settled_by, hold.note) == (HoldState.DISCARDED, "ann", "a test message")
    assert hold.settled_at > 0
    assert repository.requests() == []
    await repository.apply([Effects(1, 0, 1, drafts=[patient("p1")])], {})
    with pytest.raises(NotFound):
        repository.get("Patient", "p1")
    assert repository.counts().applied == 0


async def test_holds_are_listed_by_key_code_and_state(repository: Any) -> None:
    await repository.apply([held(1), held(2, "L"), held(3, "L", "other-code"), held(4, "")], {0: 4})
    await repository.discard(1, "ann", "")
    assert [one.seq for one in repository.holds()] == [2, 3, 4]
    assert [one.seq for one in repository.holds(key="L")] == [2, 3]
    assert [one.seq for one in repository.holds(key="")] == [4]
    assert [one.seq for one in repository.holds(code="other-code")] == [3]
    assert [one.seq for one in repository.holds(state=None)] == [1, 2, 3, 4]
    assert [one.seq for one in repository.holds(state=HoldState.DISCARDED)] == [1]
    assert [one.seq for one in repository.holds(after=2, limit=1)] == [3]
    assert repository.held_keys() == {"L": 2}


async def test_only_an_open_hold_can_be_discarded_or_asked_for(repository: Any) -> None:
    await repository.apply([held(1)], {0: 1})
    await repository.discard(1, "ann", "")
    for seq in (1, 2):
        with pytest.raises(NotFound, match="hold-unknown"):
            await repository.discard(seq, "ann", "")
        with pytest.raises(NotFound, match="hold-unknown"):
            await repository.request_replay(seq, "ann")
    with pytest.raises(NotFound, match="hold-unknown"):
        repository.hold(2)


async def test_a_replay_is_asked_for_once_and_answered_once(repository: Any) -> None:
    await repository.apply([held(1), held(2, code="other-code"), held(3)], {0: 3})
    assert await repository.request_replay(None, "ann", code="namespace-unknown") == 2
    assert await repository.request_replay(3, "bob") == 1
    assert [(one.seq, one.by) for one in repository.requests()] == [(1, "ann"), (3, "ann")]
    assert len(repository.requests(limit=1)) == 1
    await repository.answer_requests([one.id for one in repository.requests()])
    assert repository.requests() == []
    assert await repository.request_replay(1, "bob") == 1
    assert [one.by for one in repository.requests()] == ["bob"]


async def test_items_of_a_group_are_one_record_with_a_count_and_samples(repository: Any) -> None:
    feed = Feed(repository)
    for _ in range(8):
        await feed(exceptions=(UNMAPPED,))
    await repository.apply([Effects(9, 0, 9, exceptions=(UNMAPPED, UNMAPPED)), Effects(10, 0, 10)], {0: 10})
    (record,) = repository.exceptions()
    assert (record.count, record.samples) == (10, (1, 6, 7, 8, 9))
    assert record.first_at < record.last_at
    assert (record.code, record.owner, record.row, record.location) == (
        "code-unmapped",
        "clinical",
        "enc-class",
        "PV1-2",
    )
    assert repository.exception(record.id) == record
    assert repository.counts().exceptions == 1


async def test_items_without_a_group_are_records_of_their_own(repository: Any) -> None:
    feed = Feed(repository)
    alone = ExceptionItem("field-unmapped", "a field that no row reads", owner="lab")
    await feed(exceptions=(alone, alone))
    assert [(one.count, one.samples) for one in repository.exceptions()] == [(1, (1,)), (1, (1,))]


async def test_a_settled_group_opens_again_with_its_next_message(repository: Any) -> None:
    feed = Feed(repository)
    await feed(exceptions=(UNMAPPED,))
    (record,) = repository.exceptions()
    await repository.settle(record.id, "ann", "added to the map")
    settled = repository.exception(record.id)
    assert (settled.is_open, settled.settled_by, settled.note) == (False, "ann", "added to the map")
    assert repository.exceptions() == []
    assert repository.exceptions(is_open=False) == [settled]
    with pytest.raises(NotFound, match="exception-unknown"):
        await repository.settle(record.id, "ann", "")
    await feed(exceptions=(UNMAPPED,))
    (again,) = repository.exceptions()
    assert (again.id, again.count, again.settled_by, again.note) == (record.id, 2, "", "")


async def test_exceptions_are_listed_by_code_and_owner(repository: Any) -> None:
    feed = Feed(repository)
    await feed(exceptions=(UNMAPPED, ExceptionItem("other-code", "", owner="lab")))
    assert [one.code for one in repository.exceptions(code="other-code")] == ["other-code"]
    assert [one.code for one in repository.exceptions(owner="clinical")] == ["code-unmapped"]
    assert len(repository.exceptions(is_open=None)) == 2
    assert [one.code for one in repository.exceptions(after=1)] == ["other-code"]
    with pytest.raises(NotFound, match="exception-unknown"):
        repository.exception(99)


def outgoing(key: str, number: int, destination: str = "portal") -> Outgoing:
    return Outgoing(destination, key, f"{destination}-{number}", b'{"n":%d}' % number)


async def test_a_failing_delivery_blocks_its_key_and_no_other(repository: Any) -> None:
    feed = Feed(repository)
    await feed(outgoing=(outgoing("A", 1), outgoing("A", 2), outgoing("B", 3)))
    assert [(one.outgoing.payload, one.attempts) for one in repository.due("portal", 0)] == [
        (b'{"n":1}', 0),
        (b'{"n":3}', 0),
    ]
    await repository.failed(1, 1000, "connection-refused")
    assert [one.id for one in repository.due("portal", 999)] == [3]
    await repository.delivered(3, Receipt("MSA|3", "taken"))
    assert repository.due("portal", 999) == []
    assert repository.next_due("portal") == 1000
    (again,) = repository.due("portal", 1000)
    assert (again.id, again.attempts, again.code, again.next_at) == (1, 1, "connection-refused", 1000)
    await repository.delivered(1, Receipt())
    assert [one.id for one in repository.due("portal", 1000)] == [2]


async def test_a_delivery_given_up_lets_its_key_go_on_and_can_be_revived(repository: Any) -> None:
    feed = Feed(repository)
    await feed(outgoing=(outgoing("A", 1), outgoing("A", 2)))
    await repository.dead(1, "refused")
    assert [one.id for one in repository.due("portal", 0)] == [2]
    with pytest.raises(NotFound, match="delivery-unknown"):
        await repository.delivered(1, Receipt())
    await repository.revive([1])
    assert [one.id for one in repository.due("portal", 0)] == [1]
    await repository.claim([1])
    with pytest.raises(NotFound, match="delivery-unknown"):
        await repository.revive([1])


async def test_a_delivery_that_waits_for_its_next_try_can_be_asked_for_at_once(repository: Any) -> None:
    feed = Feed(repository)
    await feed(outgoing=(outgoing("A", 1), outgoing("A", 2)))
    await repository.failed(1, 10**18, "connection-refused")
    assert repository.due("portal", 10**17) == []
    await repository.revive([1, 2])
    assert [(one.id, one.attempts) for one in repository.due("portal", 0)] == [(1, 1)]


async def test_what_comes_later_of_a_key_waits_behind_a_delivery_that_was_refused(repository: Any) -> None:
    feed = Feed(repository)
    await feed(outgoing=(outgoing("A", 1), outgoing("A", 2), outgoing("B", 3)))
    await repository.claim([1])
    await repository.refused(1, "mllp-refused")
    await feed(outgoing=(outgoing("A", 4),))
    assert [one.id for one in repository.due("portal", 10**18)] == [3]
    assert await repository.release() == []
    (held,) = repository.deliveries(state=DeliveryState.HELD, code="mllp-refused")
    assert (held.id, held.attempts, held.outgoing.payload) == (1, 1, b'{"n":1}')
    assert repository.deliveries(code="else") == []
    for end in (repository.delivered(1, Receipt()), repository.failed(1, 0, "x"), repository.dead(1, "x")):
        with pytest.raises(NotFound, match="delivery-unknown"):
            await end
    await repository.revive([1])
    assert [one.id for one in repository.due("portal", 0)] == [1, 3]


async def test_a_person_who_decides_against_a_delivery_lets_its_key_go_on(repository: Any) -> None:
    feed = Feed(repository)
    await feed(outgoing=(outgoing("A", 1), outgoing("A", 2), outgoing("B", 3)))
    await repository.refused(1, "no")
    await repository.claim([3])
    with pytest.raises(NotFound, match="delivery-unknown"):
        await repository.abandon([1, 3])
    await repository.release()
    assert [one.id for one in repository.due("portal", 0)] == [3], "all of them or none"
    await repository.abandon([1])
    assert [one.id for one in repository.due("portal", 0)] == [2, 3]
    with pytest.raises(NotFound, match="delivery-unknown"):
        await repository.abandon([1])
    await repository.revive([1])
    assert [one.id for one in repository.due("portal", 0)] == [1, 3]


async def test_one_delivery_is_found_by_its_number(repository: Any) -> None:
    await Feed(repository)(outgoing=(outgoing("A", 1), outgoing("B", 2)))
    assert repository.delivery(2) == repository.deliveries()[1]
    with pytest.raises(NotFound, match="delivery-unknown"):
        repository.delivery(3)


async def test_what_waits_for_a_person_is_counted_by_destination_state_and_code(repository: Any) -> None:
    feed = Feed(repository)
    await feed(outgoing=tuple(outgoing(f"K{n}", n) for n in range(1, 6)))
    assert repository.stuck_deliveries() == []
    for id_ in (2, 3):
        await repository.refused(id_, "no")
    await repository.dead(4, "no")
    await repository.delivered(1, Receipt())
    found = [
        (one.destination, one.state.value, one.code, one.count, one.first) for one in repository.stuck_deliveries()
    ]
    assert found == [("portal", "held", "no", 2, 2), ("portal", "dead", "no", 1, 4)]
    assert {one.since for one in repository.stuck_deliveries()} == {repository.deliveries()[0].created_at}


async def test_a_claim_is_not_due_until_it_is_released(repository: Any) -> None:
    feed = Feed(repository)
    await feed(outgoing=(outgoing("A", 1), outgoing("A", 2), outgoing("B", 3)))
    await repository.claim([1, 3])
    assert repository.due("portal", 0) == []
    assert repository.next_due("portal") is None
    with pytest.raises(NotFound, match="delivery-unknown"):
        await repository.claim([1])
    assert [one.id for one in await repository.release("elsewhere")] == []
    assert [(one.id, one.attempts) for one in await repository.release("portal")] == [(1, 1), (3, 1)]
    assert [one.id for one in repository.due("portal", 0)] == [1, 3]
    await repository.claim([1])
    await repository.delivered(1, Receipt("ref", "detail"))
    (told,) = repository.deliveries(state=DeliveryState.DELIVERED)
    assert (told.attempts, told.receipt, told.outgoing.payload) == (2, Receipt("ref", "detail"), b"")
    assert [one.id for one in repository.due("portal", 0)] == [2, 3]


async def test_the_same_idempotency_key_is_put_in_once(repository: Any) -> None:
    feed = Feed(repository)
    await feed(outgoing=(outgoing("A", 1), outgoing("A", 1), outgoing("A", 1, "archive")))
    await feed(outgoing=(outgoing("A", 1),))
    found = repository.deliveries()
    assert [(one.outgoing.destination, one.seq) for one in found] == [("portal", 1), ("archive", 1)]
    assert [one.outgoing.destination for one in repository.deliveries("archive")] == ["archive"]
    assert repository.deliveries_of(1) == found
    assert repository.deliveries_of(2) == []
    assert repository.delivery_counts() == {("portal", "due"): 1, ("archive", "due"): 1}
    none = dict.fromkeys(("claimed", "held", "delivered", "dead", "discarded"), 0)
    assert repository.counts().deliveries == {"due": 2, **none}


async def test_due_gives_the_longest_waiting_first_and_no_more_than_asked(repository: Any) -> None:
    feed = Feed(repository)
    await feed(outgoing=tuple(outgoing(f"K{n}", n) for n in range(1, 6)))
    await repository.failed(1, 50, "x")
    assert [one.id for one in repository.due("portal", 100, limit=2)] == [2, 3]
    assert [one.id for one in repository.due("portal", 100)] == [1, 2, 3, 4, 5]
    assert repository.next_due("portal") == 0
    assert repository.due("elsewhere", 100) == []
    with pytest.raises(NotFound, match="delivery-unknown"):
        await repository.failed(99, 0, "x")


async def test_a_reload_is_asked_for_once_and_comes_before_replays(repository: Any) -> None:
    await repository.apply([held(1)], {0: 1})
    await repository.request_replay(1, "ann")
    await repository.request_reload("ann")
    await repository.request_reload("bob")
    assert [(one.seq, one.by) for one in repository.requests()] == [(RELOAD, "ann"), (1, "ann")]
    await repository.answer_requests([repository.requests()[0].id])
    assert [one.seq for one in repository.requests()] == [1]


async def test_messages_held_for_the_same_code_are_one_item_with_a_count(repository: Any) -> None:
    await repository.apply([replace(held(1), items=(UNMAPPED,)), replace(held(2), items=(UNMAPPED,))], {0: 2})
    await repository.apply([replace(held(1), items=(UNMAPPED,))], {})
    (item,) = repository.exceptions()
    assert (item.code, item.count, item.samples) == ("code-unmapped", 2, (1, 2))
    assert repository.counts().held == 2


def sighted(seq: int, *things: str, learn_days: int = 7) -> Effects:
    return Effects(seq, 0, seq, sighted=(Sighted("EPIC|HOSP", things, "reg", learn_days),))


async def test_what_a_sender_does_in_its_first_days_is_no_news(repository: Any) -> None:
    await repository.apply([sighted(1, "segment PID"), sighted(2, "field PID-19")], {0: 2})
    assert repository.exceptions() == []


async def test_what_a_sender_does_for_the_first_time_after_that_is_one_item(repository: Any) -> None:
    await repository.apply([sighted(1, "segment PID", learn_days=0)], {0: 1})
    assert repository.exceptions() == [], "its very first message"
    await repository.apply([sighted(2, "segment PID", "segment ZPI", learn_days=0)], {0: 2})
    again = replace(held(3), sighted=(Sighted("EPIC|HOSP", ("segment ZPI", "event ADT^Z01"), "reg", 0),))
    await repository.apply([again], {0: 3})
    items = repository.exceptions()
    assert [(one.code, one.owner, one.count, one.samples) for one in items] == [
        ("drift-segment", "reg", 1, (2,)),
        ("drift-event", "reg", 1, (3,)),
    ]
    assert "ZPI" in items[0].message


async def test_what_no_message_brought_can_be_told_too(repository: Any) -> None:
    await repository.report([ExceptionItem("feed-silent", "nothing for 5 hours", owner="reg", group="feed-silent|a")])
    (item,) = repository.exceptions(code="feed-silent")
    assert (item.owner, item.count) == ("reg", 1)
