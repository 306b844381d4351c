"""The past of a resource, a type and everything, by the sequence of commits: one suite for every implementation."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from clinical_samples import draft, lab, patient, send
from msgspec import Raw
from msgspec.structs import replace

from hilum.model import Effects
from hilum.repository import Change, Past, SearchTerm, Stored, Verb

pytestmark = pytest.mark.anyio


def named(versions: tuple[Stored, ...]) -> list[str]:
    return [f"{one.type}/{one.id}/{one.version}{' gone' if one.deleted else ''}" for one in versions]


def walked(repository: Any, past: Past) -> list[str]:
    """All pages; no page is longer than asked."""
    found: list[str] = []
    while True:
        page = repository.versions(past)
        assert len(page.versions) <= past.count
        found += named(page.versions)
        if page.next is None:
            return found
        past = replace(past, after=page.next)


async def ward(repository: Any) -> Any:
    feed = await send(repository, patient("p1", "Aldermann"), patient("p2", "Berger"))
    await feed(lab("o1", "p1"), patient("p1", "Cohen"))
    await repository.write([Change(Verb.DELETE, "Patient", "p2")])
    await feed(patient("p1", "Dahl"))
    return feed


async def test_the_past_of_a_type_is_told_newest_first_with_its_deletions(repository: Any) -> None:
    await ward(repository)
    assert walked(repository, Past("Patient")) == [
        "Patient/p1/3",
        "Patient/p2/2 gone",
        "Patient/p1/2",
        "Patient/p2/1",
        "Patient/p1/1",
    ]
    assert walked(repository, Past("Patient", "p1")) == ["Patient/p1/3", "Patient/p1/2", "Patient/p1/1"]
    assert walked(repository, Past("Patient", "nobody")) == []


@pytest.mark.parametrize("count", [1, 2, 3, 50])
async def test_pages_of_any_length_tell_everything_once(repository: Any, count: int) -> None:
    await ward(repository)
    every = walked(repository, Past(count=count))
    assert len(every) == len(set(every)) == 6
    assert set(every) == {*walked(repository, Past("Patient")), "Observation/o1/1"}
    assert repository.versions(Past(count=0)).versions == ()


async def test_a_page_goes_on_where_the_one_before_ended_whatever_is_written_meanwhile(repository: Any) -> None:
    feed = await ward(repository)
    before = walked(repository, Past())
    first = repository.versions(Past(count=2))
    await feed(patient("p1", "Evers"), lab("o1", "p1", value="9.9"), lab("o2", "p1"))
    await repository.write([Change(Verb.DELETE, "Observation", "o1")])
    assert [*named(first.versions), *walked(repository, Past(count=2, after=first.next))] == before


async def test_versions_of_one_commit_are_told_one_by_one(repository: Any) -> None:
    work = [
        Effects(seq=n, partition=0, at=1_700_000_000_000_000 + n, drafts=[patient("p1", f"Family{n}")])
        for n in range(1, 6)
    ]
    await repository.apply(work, {0: 5})
    assert walked(repository, Past("Patient", count=1)) == [f"Patient/p1/{n}" for n in (5, 4, 3, 2, 1)]


async def test_since_and_at_narrow_by_the_time_of_commits(repository: Any) -> None:
    await ward(repository)
    second = repository.get("Patient", "p1", 2).updated // 1000
    third = repository.get("Patient", "p1", 3).updated // 1000
    assert walked(repository, Past("Patient", "p1", since=second)) == ["Patient/p1/3", "Patient/p1/2"]
    assert walked(repository, Past("Patient", "p1", since=third + 1)) == []
    assert walked(repository, Past("Patient", "p1", at=(second, second + 1))) == ["Patient/p1/2"]
    assert walked(repository, Past("Patient", "p1", at=(second, third + 1))) == ["Patient/p1/3", "Patient/p1/2"]
    assert walked(repository, Past("Patient", "p1", at=(third + 5, third + 9))) == ["Patient/p1/3"]
    assert walked(repository, Past("Patient", "p1", at=(0, 1))) == []


async def test_what_may_not_be_seen_is_absent_and_so_is_what_may_not_be_seen_any_more(repository: Any) -> None:
    feed = await ward(repository)
    await feed(draft("Observation", "o9", status="final", subject={"reference": "Patient/p1"}))
    await feed(draft("Observation", "o9", status="final", subject={"reference": "Patient/p2"}))
    mine = {"Patient": ((SearchTerm("_id", ("p1",)),),), "Observation": ((SearchTerm("patient", ("Patient/p1",)),),)}
    assert set(walked(repository, Past(limits=mine))) == {
        "Patient/p1/3",
        "Patient/p1/2",
        "Patient/p1/1",
        "Observation/o1/1",
    }
    assert walked(repository, Past("Practitioner", limits=mine)) == []
    assert walked(repository, Past("Patient", limits={"Patient": ((),)})) == walked(repository, Past("Patient"))
    assert walked(repository, Past(limits={})) == []


async def test_a_version_that_said_what_may_not_be_seen_is_left_out(repository: Any) -> None:
    feed = await send(repository, draft("Observation", "o1", status="final", subject={"reference": "Patient/p2"}))
    await feed(draft("Observation", "o1", status="final", subject={"reference": "Patient/p1"}))
    limits = {"Observation": ((SearchTerm("patient", ("Patient/p1",)),),)}
    assert walked(repository, Past("Observation", limits=limits, count=1)) == ["Observation/o1/2"]


async def test_the_past_of_types_that_were_changed_often_is_read_by_commits(repository: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("hilum.repository.past._FEW", 1)
    await ward(repository)
    assert len(walked(repository, Past("Patient", count=2))) == 5
    assert walked(repository, Past("Observation")) == ["Observation/o1/1"]


async def test_the_bodies_are_those_of_their_versions(repository: Any) -> None:
    await ward(repository)
    (body,) = {one.body for one in repository.versions(Past("Patient")).versions if (one.id, one.version) == ("p1", 2)}
    assert msgspec.json.decode(body)["meta"]["versionId"] == "2"
    elements = {"name": Raw(b'[{"family":"Ende"}]')}
    await repository.write([Change(Verb.CREATE, "Patient", "p7", elements)])
    assert repository.versions(Past(count=1)).versions[0] == repository.get("Patient", "p7")
