"""Deliveries of merges: they leave in the order of both keys, and name what the merge moved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from clinical_samples import Feed, lab, patient, send, visit
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import IMPLEMENTATIONS, opened
from hilum.model import Merge, Outgoing, Receipt
from hilum.repository import DeliveryState, repointing

pytestmark = pytest.mark.anyio


def outgoing(number: int, key: str, other: str = "") -> Outgoing:
    return Outgoing("portal", key, f"portal-{number}", b"[]", other_key=other)


def moving(*types: str, named: tuple[tuple[str, str], ...] = (), number: int = 1) -> Outgoing:
    return Outgoing("portal", "b", f"k{number}", msgspec.json.encode(named), other_key="a", moved=types)


def due(repository: Any) -> list[int]:
    return [one.id for one in repository.due("portal", 10**9)]


def refs(one: Any) -> list[str]:
    return ["/".join(pair) for pair in msgspec.json.decode(one.outgoing.payload)]


async def test_the_delivery_of_a_merge_waits_for_both_keys_and_both_wait_for_it(repository: Any) -> None:
    feed = Feed(repository)
    await feed(outgoing=(outgoing(1, "A"), outgoing(2, "B"), outgoing(3, "B", "A"), outgoing(4, "A"), outgoing(5, "B")))
    assert due(repository) == [1, 2]
    await repository.delivered(2, Receipt())
    assert due(repository) == [1]
    await repository.failed(1, 5, "x")
    await repository.dead(1, "x")
    assert due(repository) == [3]
    assert repository.deliveries()[2].outgoing.other_key == "A"
    await repository.revive([1])
    assert due(repository) == [1]
    await repository.delivered(1, Receipt())
    await repository.claim([3])
    assert due(repository) == []
    await repository.delivered(3, Receipt())
    assert due(repository) == [4, 5]


async def test_two_merges_of_the_same_pair_leave_one_after_another(repository: Any) -> None:
    feed = Feed(repository)
    await feed(outgoing=(outgoing(1, "A", "B"), outgoing(2, "B", "A"), outgoing(3, "C", "C"), outgoing(4, "C")))
    assert due(repository) == [1, 3]
    await repository.delivered(1, Receipt())
    await repository.delivered(3, Receipt())
    assert due(repository) == [2, 4]


async def test_the_delivery_of_a_merge_names_what_it_moved(repository: Any) -> None:
    feed = await send(repository, patient("a"), patient("b"), visit("e1", "a"), lab("o1", "a"), lab("o2", "b"))
    asked = (moving(named=(("Patient", "b"),)), moving("Encounter", number=2), moving("Appointment", number=3))
    await feed(patient("b", "New"), merges=(Merge("Patient", "b", "a"),), outgoing=asked)
    everything, visits, nothing = repository.deliveries()
    assert refs(everything) == ["Patient/b", "Encounter/e1", "Observation/o1", "Patient/a"]
    assert refs(visits) == ["Encounter/e1"]
    assert refs(nothing) == []
    await feed(merges=(Merge("Patient", "b", "a", undo=True),), outgoing=(moving("Encounter", number=4),))
    assert refs(repository.deliveries()[3]) == ["Encounter/e1"]


async def test_a_merge_that_moves_much_is_sent_in_parts(repository: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repointing, "PART", 3)
    feed = await send(repository, patient("a"), patient("b"), *[lab(f"o{n}", "a") for n in range(7)])
    await feed(merges=(Merge("Patient", "b", "a"),), outgoing=(moving("Observation"),))
    parts = repository.deliveries()
    assert [len(refs(one)) for one in parts] == [3, 3, 1]
    assert sorted(ref for one in parts for ref in refs(one)) == [f"Observation/o{n}" for n in range(7)]
    assert len({one.outgoing.idempotency_key for one in parts}) == 3
    assert due(repository) == [1]


async def test_a_message_without_a_merge_names_what_it_named(repository: Any) -> None:
    feed = Feed(repository)
    await feed(patient("b"), outgoing=(Outgoing("portal", "b", "k", b'[["Patient","b"]]'),))
    assert refs(repository.deliveries()[0]) == ["Patient/b"]


KEYS = st.sampled_from("ABC")
STEP = st.one_of(
    st.tuples(st.just("put"), KEYS, st.one_of(st.just(""), KEYS)),
    st.tuples(st.sampled_from(("delivered", "dead", "failed", "refused", "claim")), st.integers(0, 3)),
    st.tuples(st.sampled_from(("revive", "abandon")), st.integers(1, 12)),
)


def waiting_for_a_person(repository: Any) -> list[int]:
    states = (DeliveryState.HELD, DeliveryState.DEAD)
    found = [one.id for state in states for one in repository.deliveries(state=state)]
    assert sum(one.count for one in repository.stuck_deliveries()) == len(found)
    return found


async def play(repository: Any, steps: list[Any]) -> list[list[int]]:
    """What may be sent after each step."""
    feed, seen, number = Feed(repository), [], 0
    for step in steps:
        what = step[0]
        if what == "put":
            number += 1
            await feed(outgoing=(outgoing(number, step[1], step[2]),))
        elif what in ("revive", "abandon"):
            if step[1] in waiting_for_a_person(repository):
                await getattr(repository, what)([step[1]])
        elif heads := due(repository):
            id_ = heads[step[1] % len(heads)]
            end = {"delivered": (Receipt(),), "dead": ("x",), "refused": ("x",), "failed": (0, "x")}
            await (repository.claim([id_]) if what == "claim" else getattr(repository, what)(id_, *end[what]))
        seen.append(due(repository))
    held = [one.id for one in repository.deliveries(state=DeliveryState.HELD)]
    await repository.abandon(held)
    for _ in range(100):
        await repository.release()
        if not (heads := due(repository)):
            break
        await repository.delivered(heads[0], Receipt())
    assert repository.counts().deliveries["due"] == 0, "something waits for nothing"
    return seen


@settings(max_examples=60)
@given(st.lists(STEP, max_size=20))
def test_every_implementation_gives_out_the_same(tmp_path_factory: pytest.TempPathFactory, steps: list[Any]) -> None:
    async def run(make: Any, folder: Path) -> list[list[int]]:
        for repository in opened(make, folder):
            return await play(repository, steps)
        return []

    results = [anyio.run(run, make, tmp_path_factory.mktemp("outbox")) for make in IMPLEMENTATIONS]
    assert len(results) > 1
    assert all(one == results[0] for one in results)
