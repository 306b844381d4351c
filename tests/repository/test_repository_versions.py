"""Versions, positions and replays: one suite for every implementation."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from clinical_samples import Feed, body, draft, held, lab, patient, raw, send, visit

from conftest import IMPLEMENTATIONS
from hilum.errors import MappingError, NotFound, Outcome, StoreError
from hilum.model import Accounting, Draft, Effects
from hilum.repository import Repository

pytestmark = pytest.mark.anyio


def test_the_suite_finds_both_implementations() -> None:
    assert sorted(one.__name__ for one in IMPLEMENTATIONS) == ["MemoryRepository", "SqliteRepository"]


async def test_it_is_a_repository(repository: Any) -> None:
    assert isinstance(repository, Repository)


async def test_a_body_is_served_whole_with_id_version_time_and_profile(repository: Any) -> None:
    profile = ["http://example.org/profile"]
    await send(repository, patient("p1", meta={"profile": profile, "versionId": "77"}))
    stored = repository.get("Patient", "p1")
    whole = msgspec.json.decode(stored.body)
    assert list(whole)[:3] == ["resourceType", "id", "meta"]
    assert whole["meta"]["versionId"] == "1"
    assert whole["meta"]["profile"] == profile
    assert whole["meta"]["lastUpdated"].endswith("Z")
    assert (stored.type, stored.id, stored.version, stored.seq, stored.deleted) == ("Patient", "p1", 1, 1, False)


async def test_decimal_text_is_kept(repository: Any) -> None:
    await send(repository, lab("o1", "p1", value="0.10"))
    assert b'"value":0.10,' in repository.get("Observation", "o1").body


async def test_a_resource_without_elements_is_served(repository: Any) -> None:
    await send(repository, Draft("Patient", "bare", {}))
    assert body(repository.get("Patient", "bare")) == {"resourceType": "Patient", "id": "bare"}


async def test_each_change_makes_a_version_that_names_its_message(repository: Any) -> None:
    feed = await send(repository, patient("p1", "Aldermann"))
    await feed(patient("p1", "Berger"))
    await feed(patient("p1", "Cohen"))
    history = repository.history("Patient", "p1")
    assert [(one.version, one.seq) for one in history] == [(3, 3), (2, 2), (1, 1)]
    assert [body(one)["name"][0]["family"] for one in history] == ["Cohen", "Berger", "Aldermann"]
    assert repository.get("Patient", "p1", 2) == history[1]
    assert repository.get("Patient", "p1") == repository.get("Patient", "p1", 3)
    assert [one.updated for one in history] == sorted((one.updated for one in history), reverse=True)
    assert len(repository.history("Patient", "p1", limit=2)) == 2
    assert [repository.version_by(seq, "Patient", "p1") for seq in (1, 2, 3, 4)] == [*reversed(history), None]
    assert repository.version_by(1, "Patient", "p2") is None


async def test_messages_of_one_call_make_their_versions_in_order(repository: Any) -> None:
    work = [Effects(seq, 0, seq, drafts=[patient("p1", family)]) for seq, family in ((1, "A"), (2, "B"), (3, "C"))]
    await repository.apply(work, {0: 3})
    history = repository.history("Patient", "p1")
    assert [(one.version, one.seq, body(one)["name"][0]["family"]) for one in history] == [
        (3, 3, "C"),
        (2, 2, "B"),
        (1, 1, "A"),
    ]


async def test_what_says_the_same_makes_no_version_yet_counts_as_newer(repository: Any) -> None:
    feed = await send(repository, patient("p1", "Aldermann"))
    await feed(patient("p1", "Aldermann"), at=30)
    await feed(patient("p1", "Older"), at=20)
    stored = repository.get("Patient", "p1")
    assert (stored.version, stored.seq) == (1, 1)
    assert body(stored)["name"][0]["family"] == "Aldermann"


async def test_older_never_overwrites_newer_but_fills_what_is_missing(repository: Any) -> None:
    feed = Feed(repository)
    await feed(draft("Patient", "p1", gender="female"), at=20)
    await feed(draft("Patient", "p1", gender="male", birthDate="1970-01-01"), at=10)
    assert body(repository.get("Patient", "p1")) == {
        "resourceType": "Patient",
        "id": "p1",
        "gender": "female",
        "birthDate": "1970-01-01",
    }


async def test_what_is_missing_is_not_found(repository: Any) -> None:
    await send(repository, visit("e1", "p1"))
    for ask in (
        lambda: repository.get("Patient", "nobody"),
        lambda: repository.get("Patient", "p1"),  # referred to, never stored
        lambda: repository.get("Encounter", "e1", 2),
        lambda: repository.history("Patient", "nobody"),
        lambda: repository.history("Patient", "p1"),
    ):
        with pytest.raises(NotFound):
            ask()


async def test_a_draft_that_is_no_resource_of_r4_is_refused(repository: Any) -> None:
    for bad in (Draft("Kitten", "k1", {}), Draft("Patient", "not an id", {}), Draft("Patient", "", {})):
        with pytest.raises(MappingError) as caught:
            await repository.apply([Effects(1, 0, 1, drafts=[bad])], {0: 1})
        assert caught.value.code == "resource-name-invalid"
    assert repository.positions() == {}


async def test_a_message_applied_twice_has_one_effect(repository: Any) -> None:
    one = Effects(1, 0, 1, drafts=[patient("p1", "Aldermann")], accounting=Accounting(5, 4, 1, 0))
    other = Effects(1, 0, 9, drafts=[patient("p1", "Changed")], accounting=Accounting(7, 7, 0, 0))
    await repository.apply([one], {0: 1})
    await repository.apply([other], {})
    await repository.apply([other, other], {0: 1})
    assert repository.get("Patient", "p1").version == 1
    assert repository.counts().applied == 1
    assert repository.counts().fields == Accounting(5, 4, 1, 0)


async def test_a_stale_reader_changes_nothing(repository: Any) -> None:
    feed = await send(repository, patient("p1"))
    await feed(patient("p2"))
    late = Effects(90, 0, 90, drafts=[patient("p9")])
    with pytest.raises(StoreError) as caught:
        await repository.apply([late], {0: 1, 1: 5})
    assert (caught.value.code, caught.value.outcome) == ("position-stale", Outcome.RETRY)
    with pytest.raises(StoreError):
        await repository.apply([late], {0: 9}, expected={0: 1})
    assert repository.positions() == {0: 2}
    assert repository.counts().applied == 2
    with pytest.raises(NotFound):
        repository.get("Patient", "p9")
    await repository.apply([late], {0: 90}, expected={0: 2})
    assert repository.positions() == {0: 90}


async def test_positions_move_without_effects(repository: Any) -> None:
    await repository.apply([], {3: 17})
    await repository.apply([], {4: 2})
    assert repository.positions() == {3: 17, 4: 2}


async def test_counts_are_of_rows(repository: Any) -> None:
    feed = await send(repository, patient("p1"), visit("e1", "p1"))
    await feed(lab("o1", "p1"))
    await repository.apply([held(3), held(4, behind=True), held(5, "L")], {0: 5})
    await repository.discard(5, "ann", "sent by mistake")
    counts = repository.counts()
    assert (counts.applied, counts.held, counts.behind, counts.discarded) == (2, 1, 1, 1)
    assert counts.fields == Accounting(8, 6, 2, 0)
    assert repository.type_counts() == {"Patient": 1, "Encounter": 1, "Observation": 1}


async def test_elements_with_slots_are_replaced_slot_by_slot(repository: Any) -> None:
    feed = Feed(repository)
    both = draft("Patient", "p1", telecom=["a", "b"], slots={"telecom": (("PID-13", 1), ("PID-14", 1))})
    await feed(both)
    one = Draft("Patient", "p1", {"telecom": raw(["c"])}, slots={"telecom": (("PID-14", 1),)})
    await feed(one)
    await feed(Draft("Patient", "p1", {}, cleared=("telecom#PID-13",)))
    assert [body(one).get("telecom") for one in repository.history("Patient", "p1")] == [["c"], ["a", "c"], ["a", "b"]]
