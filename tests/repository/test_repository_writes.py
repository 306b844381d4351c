"""Writes of programs: one suite for every implementation."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from clinical_samples import MR, Feed, body, draft, patient, raw, send

from conftest import IMPLEMENTATIONS, opened
from hilum.errors import HilumError
from hilum.model import AuditEvent, Merge, Outgoing
from hilum.repository import Aftermath, Change, Did, Query, SearchTerm, Verb, WriteRefused
from hilum.store import Store

pytestmark = pytest.mark.anyio

_ids = itertools.count(1)


def create(type_: str, /, id_: str = "", *, where: Query | None = None, **elements: Any) -> Change:
    elements = {name: raw(value) for name, value in elements.items()}
    return Change(Verb.CREATE, type_, id_ or f"api-{next(_ids)}", elements, where)


def update(type_: str, id_: str, /, **elements: Any) -> Change:
    more = {
        name: elements.pop(name) for name in ("where", "if_versions", "if_absent", "may_create") if name in elements
    }
    return Change(Verb.UPDATE, type_, id_, {name: raw(value) for name, value in elements.items()}, **more)


def delete(type_: str, id_: str = "", **more: Any) -> Change:
    return Change(Verb.DELETE, type_, id_, **more)


def by(type_: str, name: str, value: str) -> Query:
    return Query(type_, (SearchTerm(name, (value,)),))


def mrn(value: str) -> list[dict[str, str]]:
    return [{"system": MR, "value": value}]


async def test_a_create_is_read_found_and_has_a_history(repository: Any) -> None:
    (done,) = await repository.write([create("Patient", "a", gender="female", name=[{"family": "Adler"}])])
    assert done.did is Did.CREATED
    assert done.stored == repository.get("Patient", "a")
    assert done.stored.seq < 0
    assert body(done.stored)["gender"] == "female"
    assert [one.id for one in repository.search(by("Patient", "family", "adler")).matches] == ["a"]
    assert [one.version for one in repository.history("Patient", "a")] == [1]


async def test_an_update_replaces_all_and_one_that_says_the_same_makes_no_version(repository: Any) -> None:
    await repository.write([create("Patient", "a", gender="female", birthDate="1980-01-01")])
    (done,) = await repository.write([update("Patient", "a", gender="male")])
    assert (done.did, done.stored.version) == (Did.UPDATED, 2)
    assert "birthDate" not in body(done.stored)
    (done,) = await repository.write([update("Patient", "a", gender="male")])
    assert (done.did, done.stored.version) == (Did.UNCHANGED, 2)
    assert repository.search(by("Patient", "gender", "female")).total == 0


async def test_an_update_creates_where_it_may(repository: Any) -> None:
    (done,) = await repository.write([update("Patient", "mine", gender="male")])
    assert (done.did, done.stored.id) == (Did.CREATED, "mine")
    with pytest.raises(WriteRefused) as refused:
        await repository.write([update("Patient", "other", gender="male", may_create=False)])
    assert refused.value.code == "create-by-id-refused"


async def test_a_deleted_resource_is_gone_and_may_be_brought_back(repository: Any) -> None:
    await repository.write([create("Patient", "a", gender="female")])
    (done,) = await repository.write([delete("Patient", "a")])
    assert (done.did, done.stored.deleted, done.stored.version) == (Did.DELETED, True, 2)
    assert repository.get("Patient", "a").deleted
    (again,) = await repository.write([delete("Patient", "a")])
    assert (again.did, again.stored.version) == (Did.ABSENT, 2)
    (never,) = await repository.write([delete("Patient", "never")])
    assert (never.did, never.stored) == (Did.ABSENT, None)
    (back,) = await repository.write([update("Patient", "a", gender="male", may_create=False)])
    assert (back.did, back.stored.version) == (Did.CREATED, 3)


async def test_preconditions_are_tested_against_what_is_stored(repository: Any) -> None:
    await repository.write([create("Patient", "a", gender="female")])
    for change, code in (
        (update("Patient", "a", gender="male", if_versions=(2,)), "version-conflict"),
        (update("Patient", "b", gender="male", if_versions=(1,)), "version-conflict"),
        (update("Patient", "a", gender="male", if_absent=True), "exists-already"),
        (delete("Patient", "a", if_versions=(9,)), "version-conflict"),
        (create("Patient", "a", gender="male"), "exists-already"),
    ):
        with pytest.raises(WriteRefused) as refused:
            await repository.write([change])
        assert refused.value.code == code
    (done,) = await repository.write([update("Patient", "a", gender="male", if_versions=(1,))])
    assert done.stored.version == 2


async def test_conditions_find_create_and_refuse(repository: Any) -> None:
    where = by("Patient", "identifier", f"{MR}|7")
    (first,) = await repository.write([create("Patient", where=where, identifier=mrn("7"))])
    (second,) = await repository.write([create("Patient", where=where, identifier=mrn("7"))])
    assert (first.did, second.did, second.stored) == (Did.CREATED, Did.FOUND, first.stored)
    (changed,) = await repository.write([update("Patient", "x", where=where, identifier=mrn("7"), gender="male")])
    assert (changed.did, changed.stored.id) == (Did.UPDATED, first.stored.id)
    await repository.write([create("Patient", identifier=mrn("7"))])
    for change in (create("Patient", where=where), update("Patient", "x", where=where), delete("Patient", where=where)):
        with pytest.raises(WriteRefused) as refused:
            await repository.write([change])
        assert refused.value.code == "match-not-unique"
    (none,) = await repository.write([delete("Patient", where=by("Patient", "identifier", "none"))])
    assert none.did is Did.ABSENT


async def test_the_same_condition_stays_single_under_many_clients(repository: Any) -> None:
    where = by("Patient", "identifier", f"{MR}|7")
    calls = [repository.write([create("Patient", where=where, identifier=mrn("7"))]) for _ in range(16)]
    done = [one for (one,) in await asyncio.gather(*calls)]
    assert sorted(one.did for one in done) == ["created"] + ["found"] * 15
    assert len({one.stored.id for one in done}) == 1
    assert repository.search(where).total == 1


async def test_one_refused_change_undoes_all(repository: Any) -> None:
    await repository.write([create("Patient", "a", gender="female")])
    with pytest.raises(WriteRefused) as refused:
        await repository.write([create("Patient", "b"), update("Patient", "a", gender="male", if_versions=(5,))])
    assert refused.value.index == 1
    assert repository.type_counts() == {"Patient": 1}
    assert body(repository.get("Patient", "a"))["gender"] == "female"


async def test_names_within_a_write_become_references(repository: Any) -> None:
    where = by("Patient", "identifier", f"{MR}|7")
    person = Change(Verb.CREATE, "Patient", "p", {"identifier": raw(mrn("7"))}, where, names=("urn:uuid:1",))
    lab = create("Observation", "o", status="final", subject={"reference": "urn:uuid:1"}, valueUri="urn:uuid:1")
    await repository.write([person, lab])
    assert body(repository.get("Observation", "o"))["subject"] == {"reference": "Patient/p"}
    other = Change(Verb.CREATE, "Patient", "q", {"identifier": raw(mrn("7"))}, where, names=("urn:uuid:1",))
    asked = create("Observation", "o2", subject={"reference": "urn:uuid:1"}, performer=[{"reference": "Patient?x=7"}])
    await repository.write([asked, other], references={"Patient?x=7": where})
    assert body(repository.get("Observation", "o2"))["subject"] == {"reference": "Patient/p"}
    assert body(repository.get("Observation", "o2"))["performer"] == [{"reference": "Patient/p"}]
    with pytest.raises(WriteRefused) as refused:
        await repository.write([asked], references={"Patient?x=8": by("Patient", "identifier", "8")})
    assert refused.value.code == "reference-unresolved"


async def test_no_resource_is_changed_twice_by_one_write(repository: Any) -> None:
    with pytest.raises(WriteRefused) as refused:
        await repository.write([update("Patient", "a", gender="male"), delete("Patient", "a")])
    assert refused.value.code == "change-overlaps"
    where = by("Patient", "identifier", f"{MR}|7")
    done = await repository.write([create("Patient", where=where, identifier=mrn("7")) for _ in range(3)])
    assert [one.did for one in done] == [Did.CREATED, Did.FOUND, Did.FOUND]


async def test_a_large_write_is_readable_whole(repository: Any) -> None:
    changes = [create("Observation", f"o{n}", status="final", note=[{"text": "x" * 40 * n}]) for n in range(100)]
    await repository.write(changes)
    await repository.write([create("Patient", "p", gender="male")])
    assert [len(body(repository.get("Observation", f"o{n}"))["note"][0]["text"]) for n in range(1, 100)] == [
        40 * n for n in range(1, 100)
    ]
    assert body(repository.get("Patient", "p"))["gender"] == "male"


# messages beside the API


async def test_no_message_changes_what_the_api_created_or_deleted(repository: Any) -> None:
    await repository.write([create("Patient", "a", gender="female")])
    feed = await send(repository, patient("a", "Berger"))
    assert body(repository.get("Patient", "a"))["gender"] == "female"
    assert "name" not in body(repository.get("Patient", "a"))
    await feed(patient("b", "Cohen"))
    await repository.write([delete("Patient", "b")])
    await feed(patient("b", "Cohen"))
    assert repository.get("Patient", "b").deleted
    assert [(one.code, one.count) for one in repository.exceptions()] == [("owned-by-api", 2)]


async def test_elements_that_the_api_left_alone_stay_with_the_messages(repository: Any) -> None:
    feed = await send(repository, patient("a", "Berger", gender="female", active=True))
    now = body(repository.get("Patient", "a"))
    elements = {name: value for name, value in now.items() if name not in ("resourceType", "id", "active")}
    await repository.write([update("Patient", "a", **{**elements, "gender": "male", "telecom": [{"value": "1"}]})])
    await feed(patient("a", "Cohen", gender="female", active=True))
    after = body(repository.get("Patient", "a"))
    assert after["name"][0]["family"] == "Cohen"
    assert (after["gender"], after["telecom"]) == ("male", [{"value": "1"}])
    assert "active" not in after
    (item,) = repository.exceptions()
    assert "active, gender" in item.message
    await feed(patient("a", "Cohen", gender="male"))
    assert repository.exceptions()[0].count == 1


async def test_a_merge_holds_for_what_the_api_wrote(repository: Any) -> None:
    feed = await send(repository, patient("old", "Berger"), patient("new", "Berger"))
    await repository.write([create("Observation", "o", status="final", subject={"reference": "Patient/old"})])
    await feed(merges=(Merge("Patient", "new", "old"),))
    assert body(repository.get("Observation", "o"))["subject"] == {"reference": "Patient/new"}
    served = body(repository.get("Patient", "old"))
    elements = {name: value for name, value in served.items() if name not in ("resourceType", "id", "meta")}
    (done,) = await repository.write([update("Patient", "old", **{**elements, "gender": "male"})])
    assert (body(done.stored)["active"], body(done.stored)["gender"]) == (False, "male")
    await feed(merges=(Merge("Patient", "new", "old", undo=True),))
    assert "active" not in body(repository.get("Patient", "old"))
    assert body(repository.get("Observation", "o"))["subject"] == {"reference": "Patient/old"}


# what is committed with a write


@pytest.fixture(params=IMPLEMENTATIONS, ids=lambda one: one.__name__)
def witnessed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    seen: list[AuditEvent] = []
    for repository in opened(request.param, tmp_path, witness=lambda *given: seen.extend(given[-1])):
        repository.seen = seen
        yield repository


async def test_audit_rows_and_deliveries_are_committed_with_a_write(witnessed: Any) -> None:
    def then(written: Any) -> Aftermath:
        (one,) = written
        outgoing = Outgoing("portal", "p", f"write-{one.stored.id}", msgspec.json.encode([("Patient", one.stored.id)]))
        return Aftermath([AuditEvent(1, "app", "create", f"Patient/{one.stored.id}")], [(one.stored.seq, outgoing)])

    (done,) = await witnessed.write([create("Patient", "a", gender="male")], then=then)
    assert [(one.actor, one.target) for one in witnessed.seen] == [("app", "Patient/a")]
    (delivery,) = witnessed.due("portal", 1 << 60)
    assert witnessed.version_by(delivery.seq, "Patient", "a") == done.stored


async def test_nothing_is_written_when_what_follows_fails(witnessed: Any) -> None:
    def then(_: Any) -> Aftermath:
        raise HilumError("no", code="no")

    with pytest.raises(HilumError):
        await witnessed.write([create("Patient", "a")], then=then)
    (done,) = await witnessed.write([create("Patient", "b", gender="male")])
    assert witnessed.type_counts() == {"Patient": 1}
    assert body(witnessed.get("Patient", "b"))["gender"] == "male"
    assert done.stored.version == 1


async def test_a_write_without_a_witness_refuses_to_go_unaudited(repository: Any) -> None:
    with pytest.raises(ValueError, match="witness"):
        await repository.write([create("Patient")], then=lambda _: Aftermath([AuditEvent(1, "a", "b", "c")]))


async def test_writes_and_messages_at_once_all_arrive(repository: Any) -> None:
    feed = Feed(repository)

    async def messages() -> None:
        for n in range(20):
            await feed(draft("Observation", f"m{n}", status="final"))

    async def writes() -> None:
        for n in range(20):
            await repository.write([create("Observation", f"w{n}", status="final", code={"text": str(n)})])

    await asyncio.gather(messages(), writes(), writes_of(repository))
    assert repository.type_counts() == {"Observation": 60}
    assert all(body(repository.get("Observation", f"w{n}"))["code"]["text"] == str(n) for n in range(20))


async def writes_of(repository: Any) -> None:
    await asyncio.gather(*(repository.write([create("Observation", f"x{n}", status="final")]) for n in range(20)))


async def test_what_a_failed_transaction_wrote_is_not_remembered(tmp_path: Path) -> None:
    from hilum.repository import SCHEMA, SqliteRepository

    with Store.open(tmp_path / "hilum.db", key=bytes(32), schemas=[SCHEMA]) as store:
        repository = SqliteRepository(store)

        def fail(_: Any) -> Aftermath:
            raise HilumError("no", code="no")

        lost = [repository.write([create("Patient", "lost", gender="male")], then=fail) for _ in range(2)]
        await asyncio.gather(*lost, return_exceptions=True)
        await repository.write([create("Patient", "kept", gender="female")])
        assert body(repository.get("Patient", "kept"))["gender"] == "female"
        assert repository.search(by("Patient", "gender", "male")).total == 0


async def test_what_is_created_gets_the_first_identity_that_is_free(repository: Any) -> None:
    def bearing(id_: str, *identities: str) -> Change:
        return Change(Verb.CREATE, "Patient", id_, {"identifier": raw(mrn("1"))}, identities=identities)

    (one,) = await repository.write([bearing("chance-1", "first", "second")])
    two, three = await repository.write([bearing("chance-2", "first", "second"), bearing("chance-3", "second")])
    assert [done.stored.id for done in (one, two, three)] == ["first", "second", "chance-3"]
    await send(repository, patient("second"), patient("third"))
    with pytest.raises(WriteRefused) as refused:
        await repository.write([bearing("chance-4", "fourth", "third")])
    assert (refused.value.code, refused.value.index) == ("identifier-taken", 0)
