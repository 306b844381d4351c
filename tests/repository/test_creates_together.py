"""Creates and updates that come at the same time share a transaction; nobody notices but the clock."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from clinical_samples import MR, body, raw

from conftest import IMPLEMENTATIONS, opened
from hilum.errors import StoreFull
from hilum.model import AuditEvent
from hilum.repository import Aftermath, Change, Did, Query, SearchTerm, Verb, WriteRefused, Written
from hilum.repository.together import MOST, Together

pytestmark = pytest.mark.anyio

_ids = itertools.count(1)


def create(id_: str = "", value: str = "", **more: Any) -> Change:
    elements = {"gender": raw("female")}
    if value:
        elements["identifier"] = raw([{"system": MR, "value": value}])
    return Change(Verb.CREATE, "Patient", id_ or f"api-{next(_ids)}", elements, **more)


def told(target: str, problem: Exception | None = None) -> Callable[[Sequence[Written]], Aftermath]:
    def then(written: Sequence[Written]) -> Aftermath:
        (one,) = written
        assert one.stored is not None
        if problem is not None:
            raise problem
        return Aftermath([AuditEvent(1, "portal", "create", target, "ok", one.stored.id)])

    return then


@pytest.fixture
def rows() -> list[AuditEvent]:
    return []


@pytest.fixture(params=IMPLEMENTATIONS, ids=lambda one: one.__name__)
def repository(request: pytest.FixtureRequest, tmp_path: Path, rows: list[AuditEvent]) -> Iterator[Any]:
    def witness(*given: Any) -> None:
        rows.extend(given[-1])

    yield from opened(request.param, tmp_path, witness=witness)


async def test_each_of_many_at_once_gets_its_own_and_has_its_own_audit_row(
    repository: Any, rows: list[AuditEvent]
) -> None:
    count = 2 * MOST + 5
    done = await asyncio.gather(
        *(repository.write([create(f"a{n}", str(n))], then=told(f"call {n}")) for n in range(count))
    )
    assert [(one.did, one.stored.id, one.stored.version) for (one,) in done] == [
        (Did.CREATED, f"a{n}", 1) for n in range(count)
    ]
    assert {(row.target, row.detail) for row in rows} == {(f"call {n}", f"a{n}") for n in range(count)}
    assert len(rows) == count
    for (one,) in done:
        assert repository.get("Patient", one.stored.id) == one.stored
        found = repository.search(Query("Patient", (SearchTerm("identifier", (f"{MR}|{one.stored.id[1:]}",)),)))
        assert [match.id for match in found.matches] == [one.stored.id]
        assert body(one.stored)["identifier"][0]["value"] == one.stored.id[1:]


async def test_one_that_is_refused_fails_alone(repository: Any, rows: list[AuditEvent]) -> None:
    await repository.write([create("taken")])
    done = await asyncio.gather(
        repository.write([create("b1")], then=told("one")),
        repository.write([create("taken")], then=told("two")),
        repository.write([create("b3")], then=told("three", PermissionError("out of scope"))),
        repository.write([create("b4")], then=told("four")),
        return_exceptions=True,
    )
    assert isinstance(done[1], WriteRefused)
    assert (done[1].code, done[1].index) == ("exists-already", 0)
    assert isinstance(done[2], PermissionError)
    assert [done[0][0].did, done[3][0].did] == [Did.CREATED, Did.CREATED]
    assert sorted(row.target for row in rows) == ["four", "one"]
    assert repository.type_counts()["Patient"] == 3


def update(id_: str, value: str, **more: Any) -> Change:
    return Change(Verb.UPDATE, "Patient", id_, {"identifier": raw([{"system": MR, "value": value}])}, **more)


async def test_updates_share_too_and_those_of_one_resource_come_one_after_the_other(
    repository: Any, rows: list[AuditEvent]
) -> None:
    await repository.write([create("u0")])
    writes = [repository.write([update(f"u{n % 7}", str(n))], then=told(f"call {n}")) for n in range(35)]
    done = [one for (one,) in await asyncio.gather(*writes)]
    for which in range(7):
        mine = [done[n] for n in range(which, 35, 7)]
        first = 2 if which == 0 else 1
        assert [one.stored.version for one in mine if one.stored is not None] == list(range(first, first + 5))
        assert [body(one.stored)["identifier"][0]["value"] for one in mine] == [str(n) for n in range(which, 35, 7)]
        assert repository.get("Patient", f"u{which}") == mine[-1].stored
    assert [row.target for row in rows] == [f"call {n}" for n in range(35)]


async def test_an_update_that_is_refused_or_on_a_condition_leaves_the_others_alone(repository: Any) -> None:
    await repository.write([create("c0")])
    done = await asyncio.gather(
        repository.write([update("c0", "1")]),
        repository.write([update("c0", "2", if_versions=(1,))]),
        repository.write([update("c1", "3")], then=told("x", PermissionError("out of scope"))),
        repository.write([update("c2", "4")]),
        repository.write([update("c3", "5", may_create=False)]),
        return_exceptions=True,
    )
    (first,), (last,) = done[0], done[3]
    assert (first.did, last.did) == (Did.UPDATED, Did.CREATED)
    conflict = [one.code for one in (done[1], done[4]) if isinstance(one, WriteRefused)]
    assert conflict[-1] == "create-by-id-refused"
    assert conflict[:-1] in ([], ["version-conflict"]), "who of two is first is nobody's promise"
    assert isinstance(done[2], PermissionError)
    assert repository.type_counts()["Patient"] == 2


async def test_conditional_creates_beside_plain_ones_stay_single(repository: Any) -> None:
    where = Query("Patient", (SearchTerm("identifier", (f"{MR}|7",)),))
    writes = [repository.write([create(value="7", where=where)]) for _ in range(8)]
    plain = [repository.write([create()]) for _ in range(8)]
    done = await asyncio.gather(*(one for pair in zip(writes, plain, strict=True) for one in pair))
    assert sum(one.did is Did.CREATED for (one,) in done) == 9
    assert len({one.stored.id for (one,) in done if one.did is Did.FOUND}) == 1


async def test_a_full_disk_is_told_to_all_and_tried_once() -> None:
    tries: list[int] = []

    async def write(changes: Sequence[Change], _: object) -> list[Written]:
        tries.append(len(changes))
        raise StoreFull("full")

    together = Together(write)
    done = await asyncio.gather(
        *(together.write(create(), lambda _: Aftermath()) for _ in range(3)), return_exceptions=True
    )
    assert [type(one) for one in done] == [StoreFull] * 3
    assert tries == [3]


async def test_whoever_gives_up_takes_nobody_along() -> None:
    may_go = asyncio.Event()

    async def write(changes: Sequence[Change], _: object) -> list[Written]:
        await may_go.wait()
        return [Written(Did.CREATED, None) for _ in changes]

    together = Together(write)
    gone, stays = (asyncio.create_task(together.write(create(), lambda _: Aftermath())) for _ in range(2))
    for _ in range(3):
        await asyncio.sleep(0)
    gone.cancel()
    may_go.set()
    assert (await stays)[0].did is Did.CREATED
    assert gone.cancelled()
