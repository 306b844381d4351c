"""Merges and unmerges: one suite for every implementation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from clinical_samples import Feed, body, draft, find, lab, patient, query, send, visit
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import IMPLEMENTATIONS, opened
from hilum.errors import NotFound
from hilum.model import Effects, Merge
from hilum.repository import MemoryRepository

pytestmark = pytest.mark.anyio


def merge(survivor: str, retired: str) -> tuple[Merge, ...]:
    return (Merge("Patient", survivor, retired),)


def unmerge(survivor: str, retired: str) -> tuple[Merge, ...]:
    return (Merge("Patient", survivor, retired, undo=True),)


def subject(repository: Any, type_: str, id_: str) -> str:
    reference: str = body(repository.get(type_, id_))["subject"]["reference"]
    return reference.removeprefix("Patient/")


def links(repository: Any, id_: str) -> list[tuple[str, str]]:
    found = body(repository.get("Patient", id_)).get("link", [])
    return [(one["type"], one["other"]["reference"].removeprefix("Patient/")) for one in found]


async def test_a_merge_links_both_and_repoints_what_is_there(repository: Any) -> None:
    feed = await send(
        repository, patient("a", active=True), patient("b"), visit("e1", "a"), lab("o1", "a"), lab("o2", "b")
    )
    seq = await feed(merges=merge("b", "a"))
    assert links(repository, "a") == [("replaced-by", "b")]
    assert links(repository, "b") == [("replaces", "a")]
    assert body(repository.get("Patient", "a"))["active"] is False
    assert "active" not in body(repository.get("Patient", "b"))
    assert subject(repository, "Encounter", "e1") == subject(repository, "Observation", "o1") == "b"
    assert repository.get("Observation", "o1").seq == seq
    assert repository.get("Observation", "o2").version == 1
    assert find(repository, "Observation", "patient=b") == ["o2", "o1"]
    assert find(repository, "Observation", "patient=a") == []
    assert find(repository, "Patient", "link=b") == ["a"]
    assert body(repository.get("Observation", "o1", 1))["subject"]["reference"] == "Patient/a"


async def test_an_unmerge_restores_exactly_and_takes_late_traffic_back(repository: Any) -> None:
    feed = await send(repository, patient("a", active=True), patient("b"), lab("o1", "a"), lab("o2", "b"))
    before = {id_: body(repository.get("Patient", id_)) for id_ in "ab"}
    await feed(merges=merge("b", "a"))
    await feed(lab("late", "a"), patient("a", "Later"))
    await feed(lab("own", "b"))
    assert subject(repository, "Observation", "late") == "b"
    assert body(repository.get("Patient", "a"))["name"][0]["family"] == "Later"
    assert body(repository.get("Patient", "a"))["active"] is False
    await feed(merges=unmerge("b", "a"))
    assert subject(repository, "Observation", "o1") == subject(repository, "Observation", "late") == "a"
    assert subject(repository, "Observation", "o2") == subject(repository, "Observation", "own") == "b"
    assert body(repository.get("Patient", "a")) == {**before["a"], "name": [{"family": "Later", "given": ["Åsa"]}]}
    assert body(repository.get("Patient", "b")) == before["b"]
    assert find(repository, "Observation", "patient=a", sort=("_lastUpdated",)) == ["o1", "late"]


async def test_a_chain_ends_at_its_last_survivor_and_comes_apart_link_by_link(repository: Any) -> None:
    feed = await send(repository, patient("a"), patient("b"), patient("c"), lab("oa", "a"), lab("ob", "b"))
    await feed(merges=merge("b", "a"))
    await feed(merges=merge("c", "b"))
    assert {subject(repository, "Observation", one) for one in ("oa", "ob")} == {"c"}
    assert links(repository, "b") == [("replaced-by", "c"), ("replaces", "a")]
    await feed(merges=unmerge("b", "a"))
    assert subject(repository, "Observation", "oa") == "a"
    assert subject(repository, "Observation", "ob") == "c"
    await feed(merges=unmerge("c", "b"))
    assert subject(repository, "Observation", "ob") == "b"
    assert all(links(repository, one) == [] for one in "abc")


async def test_a_reversed_merge_turns_the_link_round(repository: Any) -> None:
    feed = await send(repository, patient("a"), patient("b"), lab("oa", "a"), lab("ob", "b"))
    await feed(merges=merge("b", "a"))
    await feed(merges=merge("a", "b"))
    assert {subject(repository, "Observation", one) for one in ("oa", "ob")} == {"a"}
    assert links(repository, "b") == [("replaced-by", "a")]
    assert links(repository, "a") == [("replaces", "b")]
    await feed(merges=unmerge("a", "b"))
    assert [subject(repository, "Observation", one) for one in ("oa", "ob")] == ["a", "b"]
    assert links(repository, "a") == links(repository, "b") == []


async def test_a_merge_that_reverses_the_middle_of_a_chain_makes_no_circle(repository: Any) -> None:
    feed = await send(repository, patient("a"), patient("b"), patient("c"), lab("oa", "a"), lab("ob", "b"))
    await feed(merges=merge("b", "a"))
    await feed(merges=merge("c", "b"))
    await feed(merges=merge("a", "b"))
    assert {subject(repository, "Observation", one) for one in ("oa", "ob")} == {"a"}
    assert links(repository, "c") == []
    await feed(merges=unmerge("a", "b"))
    assert [subject(repository, "Observation", one) for one in ("oa", "ob")] == ["a", "c"]


async def test_unknown_patients_get_placeholders_that_an_unmerge_takes_away(repository: Any) -> None:
    feed = Feed(repository)
    await feed(merges=merge("b", "a"))
    assert body(repository.get("Patient", "a")) == {
        "resourceType": "Patient",
        "id": "a",
        "active": False,
        "link": [{"other": {"reference": "Patient/b"}, "type": "replaced-by"}],
    }
    await feed(lab("o1", "a"))
    assert subject(repository, "Observation", "o1") == "b"
    await feed(patient("b"))
    await feed(merges=unmerge("b", "a"))
    gone = repository.get("Patient", "a")
    assert (gone.deleted, gone.body, gone.version) == (True, b"", 2)
    assert find(repository, "Patient") == ["b"]
    assert sum(repository.type_counts().values()) == 2
    assert [one.deleted for one in repository.history("Patient", "a")] == [True, False]
    await feed(patient("a"))
    assert repository.get("Patient", "a").version == 3
    assert find(repository, "Patient", "_id=a") == ["a"]


async def test_a_merge_and_its_drafts_in_one_message_make_one_version(repository: Any) -> None:
    feed = await send(repository, patient("a"), visit("e1", "a"))
    await feed(patient("b", "Survivor"), visit("e2", "a"), merges=merge("b", "a"))
    assert repository.get("Patient", "b").version == 1
    assert repository.get("Encounter", "e2").version == 1
    assert subject(repository, "Encounter", "e1") == subject(repository, "Encounter", "e2") == "b"


async def test_messages_of_one_call_see_the_merges_before_them(repository: Any) -> None:
    work = [
        Effects(1, 0, 1, drafts=[patient("a"), lab("o1", "a")]),
        Effects(2, 0, 2, merges=merge("b", "a")),
        Effects(3, 0, 3, drafts=[lab("o2", "a"), patient("c")]),
        Effects(4, 0, 4, merges=merge("c", "b")),
        Effects(5, 0, 5, merges=unmerge("b", "a")),
    ]
    await repository.apply(work, {0: 5})
    assert subject(repository, "Observation", "o1") == subject(repository, "Observation", "o2") == "a"
    assert links(repository, "c") == [("replaces", "b")]
    assert [one.seq for one in repository.history("Observation", "o1")] == [5, 4, 2, 1]


async def test_an_unmerge_names_its_pair_in_either_order(repository: Any) -> None:
    feed = await send(repository, patient("a"), patient("b"), lab("oa", "a"))
    await feed(merges=merge("b", "a"))
    await feed(merges=unmerge("a", "b"))
    assert subject(repository, "Observation", "oa") == "a"
    assert repository.exceptions() == []


@pytest.mark.parametrize("order", [("ab", "bc"), ("bc", "ab")])
async def test_a_chain_comes_apart_in_every_order(repository: Any, order: tuple[str, ...]) -> None:
    feed = await send(repository, *map(patient, "abc"), *[lab(f"o{one}", one) for one in "abc"])
    before = {one: body(repository.get("Patient", one)) for one in "abc"}
    await feed(merges=merge("b", "a"))
    await feed(merges=merge("c", "b"))
    for retired, survivor in order:
        await feed(merges=unmerge(survivor, retired))
    assert [subject(repository, "Observation", f"o{one}") for one in "abc"] == list("abc")
    assert {one: body(repository.get("Patient", one)) for one in "abc"} == before
    assert repository.exceptions() == []


async def test_the_ends_of_a_chain_are_not_guessed_apart(repository: Any) -> None:
    feed = await send(repository, *map(patient, "abc"), lab("oa", "a"))
    await feed(merges=merge("b", "a"))
    await feed(merges=merge("c", "b"))
    await feed(merges=unmerge("c", "a"))
    assert [one.code for one in repository.exceptions()] == ["unmerge-indirect"]
    assert subject(repository, "Observation", "oa") == "c"


async def test_an_unmerge_said_twice_is_no_problem_and_a_later_merge_holds(repository: Any) -> None:
    feed = await send(repository, patient("a"), patient("b"), lab("oa", "a"))
    await feed(merges=merge("b", "a"))
    await feed(merges=unmerge("b", "a"))
    versions = repository.get("Observation", "oa").version
    await feed(merges=unmerge("b", "a"))
    assert repository.get("Observation", "oa").version == versions
    assert repository.exceptions() == []
    await feed(merges=merge("b", "a"))
    assert subject(repository, "Observation", "oa") == "b"


async def test_an_older_merge_that_comes_late_does_not_undo_a_newer_one(repository: Any) -> None:
    feed = await send(repository, patient("a"), patient("b"), patient("c"), lab("o1", "a"))
    await feed(merges=merge("c", "a"), at=20)
    await feed(merges=merge("b", "a"), at=10)
    assert subject(repository, "Observation", "o1") == "c"
    await feed(merges=unmerge("c", "a"), at=30)
    assert subject(repository, "Observation", "o1") == "b"


async def test_an_unmerge_that_comes_before_its_merge_still_counts(repository: Any) -> None:
    feed = await send(repository, patient("a"), lab("o1", "a"))
    await feed(merges=unmerge("b", "a"), at=30)
    assert [one.code for one in repository.exceptions()] == ["unmerge-unknown"]
    await feed(merges=merge("b", "a"), at=20)
    assert subject(repository, "Observation", "o1") == "a"


async def test_a_merge_into_itself_changes_nothing_and_is_said(repository: Any) -> None:
    feed = await send(repository, patient("a"), lab("o1", "a"))
    await feed(merges=merge("a", "a"))
    assert repository.get("Patient", "a").version == 1
    assert [one.code for one in repository.exceptions()] == ["merge-into-itself"]


async def test_references_anywhere_follow_a_merge(repository: Any) -> None:
    deep = draft(
        "Provenance",
        "x1",
        target=[{"reference": "Observation/o1"}, {"reference": "Patient/a"}],
        agent=[{"who": {"reference": "Patient/b"}, "onBehalfOf": {"reference": "Patient/a", "display": "A"}}],
        extension=[{"url": "urn:x", "valueReference": {"reference": "Patient/a"}}],
        contained=[{"resourceType": "Basic", "id": "i", "subject": {"reference": "#self"}}],
    )
    unnamed = draft("CarePlan", "cp", subject={"reference": "Patient/a"})
    feed = await send(repository, deep, unnamed, patient("a"), patient("b"))
    before = repository.get("Provenance", "x1")
    await feed(merges=merge("b", "a"))
    assert b"Patient/a" not in repository.get("Provenance", "x1").body
    assert b"Patient/a" not in repository.get("CarePlan", "cp").body
    await feed(merges=unmerge("b", "a"))
    assert body(repository.get("Provenance", "x1")) == body(before)


async def test_a_merge_of_another_type_moves_references_only(repository: Any) -> None:
    feed = await send(
        repository, visit("e1", "p"), visit("e2", "p"), lab("o1", "p", encounter={"reference": "Encounter/e1"})
    )
    await feed(merges=(Merge("Encounter", "e2", "e1"),))
    assert body(repository.get("Observation", "o1"))["encounter"]["reference"] == "Encounter/e2"
    assert repository.get("Encounter", "e1").version == 1
    with pytest.raises(NotFound):
        repository.get("Encounter", "e3")


async def test_links_that_messages_state_are_kept_beside_those_of_merges(repository: Any) -> None:
    stated = [{"other": {"reference": "RelatedPerson/r"}, "type": "seealso"}]
    feed = await send(repository, patient("a", link=stated), patient("b"))
    await feed(merges=merge("b", "a"))
    assert [one["type"] for one in body(repository.get("Patient", "a"))["link"]] == ["seealso", "replaced-by"]
    await feed(merges=unmerge("b", "a"))
    assert body(repository.get("Patient", "a"))["link"] == stated


# Random histories: P patients, one observation of each number; merges, unmerges and new results in any order.

PATIENTS = "abcd"
PAIR = st.tuples(st.sampled_from(PATIENTS), st.sampled_from(PATIENTS)).filter(lambda pair: pair[0] != pair[1])
STEP = st.one_of(
    st.tuples(st.just("merge"), PAIR),
    st.tuples(st.just("unmerge"), PAIR),
    st.tuples(st.just("result"), st.sampled_from(PATIENTS)),
    st.tuples(st.just("name"), st.sampled_from(PATIENTS)),
)


async def play(repository: Any, steps: list[Any]) -> None:
    feed = await send(repository, *[patient(one) for one in PATIENTS], *[lab(f"o-{one}", one) for one in PATIENTS])
    for number, (what, who) in enumerate(steps, start=1):
        at = number * 10
        if what == "merge":
            await feed(merges=merge(*who), at=at)
        elif what == "unmerge":
            await feed(merges=unmerge(*who), at=at)
        elif what == "result":
            await feed(lab(f"o{number}", who), at=at)
        elif what == "name":
            await feed(patient(who, f"Name{number}"), at=at)
        else:
            await feed(at=at)


def without_undone(steps: list[Any]) -> list[Any]:
    """The same history as if merges that were taken back, and their unmerges, had never been sent."""
    kept = list(steps)
    for number, (what, who) in enumerate(steps):
        if what == "unmerge":
            kept[number] = ("nothing", who)
            for earlier in range(number):
                if kept[earlier] in (("merge", who), ("merge", who[::-1])):
                    kept[earlier] = ("nothing", who)
    return kept


def everything(repository: Any) -> dict[str, Any]:
    found = {}
    for type_ in ("Patient", "Observation"):
        for one in repository.search(query(type_, count=1000)).matches:
            found[f"{type_}/{one.id}"] = body(one)
    return found


def check_invariants(repository: Any) -> None:
    """No circle, no reference to a retired record, links in both directions, the index agrees with the bodies."""
    state = everything(repository)
    survivor = {}
    for one in PATIENTS:
        for link in state[f"Patient/{one}"].get("link", []):
            other = link["other"]["reference"].removeprefix("Patient/")
            if link["type"] == "replaced-by":
                survivor[one] = other
                assert state[f"Patient/{one}"]["active"] is False
                assert ("replaces", one) in links(repository, other)
    for one in PATIENTS:
        seen = [one]
        while seen[-1] in survivor:
            seen.append(survivor[seen[-1]])
            assert len(seen) <= len(PATIENTS)
        expected = sorted(
            r.split("/")[1] for r, b in state.items() if b.get("subject") == {"reference": f"Patient/{one}"}
        )
        assert sorted(find(repository, "Observation", f"patient={one}", count=1000)) == expected
        assert not (one in survivor and expected)


@settings(max_examples=150)
@given(st.lists(STEP, max_size=12))
def test_any_history_of_merges_keeps_its_invariants_and_undo_restores(steps: list[Any]) -> None:
    async def both() -> None:
        one, other = MemoryRepository(), MemoryRepository()
        await play(one, steps)
        await play(other, without_undone(steps))
        check_invariants(one)
        assert everything(one) == everything(other)

    anyio.run(both)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    return tmp_path_factory.mktemp("pairs")  # type: ignore[return-value]


@settings(max_examples=25)
@given(st.lists(STEP, max_size=12), st.integers(0, 2**32))
def test_every_implementation_ends_with_the_same_history(pair: Path, steps: list[Any], salt: int) -> None:
    async def run(make: Any, folder: Path) -> list[Any]:
        for repository in opened(make, folder):
            await play(repository, steps)
            check_invariants(repository)
            ids = [("Patient", one) for one in PATIENTS] + [("Observation", f"o-{one}") for one in PATIENTS]
            return [
                [
                    (one.version, one.seq, one.deleted, body(one) if one.body else None)
                    for one in repository.history(*id_)
                ]
                for id_ in ids
            ]
        return []

    def results() -> Iterator[list[Any]]:
        for make in IMPLEMENTATIONS:
            folder = pair / f"{make.__name__}-{salt}-{len(list(pair.iterdir()))}"
            folder.mkdir()
            yield anyio.run(run, make, folder)

    first, second = results()
    assert first == second


async def test_what_was_said_of_merging_is_told_with_where_it_stands(repository: Any) -> None:
    feed = await send(repository, *map(patient, "abcd"))
    first = await feed(merges=merge("b", "a"))
    await feed(merges=merge("c", "b"))
    await feed(merges=unmerge("c", "b"))
    await feed(merges=merge("d", "a"))
    told = [(one.retired, one.survivor, one.state.value) for one in repository.merges("Patient/a")]
    assert told == [
        ("Patient/a", "Patient/b", "replaced"),
        ("Patient/b", "Patient/c", "taken back"),
        ("Patient/b", "Patient/c", "unmerge"),
        ("Patient/a", "Patient/d", "holds"),
    ]
    assert repository.merges("Patient/c") == repository.merges("Patient/a")
    assert repository.merges("Patient/zz") == []
    newest = repository.merges(limit=3)
    assert [one.state.value for one in newest] == ["holds", "unmerge", "taken back"]
    assert repository.merges("Patient/a")[0].seq == first
