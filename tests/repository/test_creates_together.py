"""Creates that come at the same time share a transaction; nobody notices but the clock."""

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
        *(together.create(create(), lambda _: Aftermath()) for _ in range(3)), return_exceptions=True
    )
    assert [type(one) for one in done] == [StoreFull] * 3
    assert tries == [3]


async def test_whoever_gives_up_takes_nobody_along() -> None:
    may_go = asyncio.Event()

    async def write(changes: Sequence[Change], _: object) -> list[Written]:
        await may_go.wait()
        return [Written(Did.CREATED, None) for _ in changes]

    together = Together(write)
    gone, stays = (asyncio.create_task(together.create(create(), lambda _: Aftermath())) for _ in range(2))
    for _ in range(3):
        await asyncio.sleep(0)
    gone.cancel()
    may_go.set()
    assert (await stays)[0].did is Did.CREATED
    assert gone.cancelled()
