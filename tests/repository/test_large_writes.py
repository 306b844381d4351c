"""Writes of many changes are planned beside the writer, and are as whole and as true as those planned inside."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clinical_samples import Feed, patient, raw

from hilum.repository import SCHEMA, Change, Did, Query, SearchTerm, SqliteRepository, Verb, WriteRefused
from hilum.repository.sqlite import LARGE, TRIES
from hilum.store import Store

pytestmark = pytest.mark.anyio


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[SqliteRepository]:
    with Store.open(tmp_path / "hilum.db", key=bytes(32), schemas=[SCHEMA]) as store:
        yield SqliteRepository(store)


def many(name: str, **more: Any) -> list[Change]:
    return [
        Change(Verb.CREATE, "Patient", f"{name}-{n}", {"name": raw([{"family": f"{name}{n}"}])}, **more)
        for n in range(LARGE)
    ]


def total(repository: SqliteRepository) -> int:
    return repository.search(Query("Patient", total_only=True)).total


@pytest.mark.parametrize("stale", [0, 1, TRIES])
async def test_a_plan_that_others_overtook_is_made_again(
    repository: SqliteRepository, monkeypatch: pytest.MonkeyPatch, stale: int
) -> None:
    plan, calls = repository._planned, []

    def overtaken(*args: Any, **named: Any) -> Any:
        planned = plan(*args, **named)
        calls.append(planned)
        if len(calls) <= stale:
            planned.tick -= 1
        return planned

    monkeypatch.setattr(repository, "_planned", overtaken)
    done = await repository.write(many("a"))
    assert {one.did for one in done} == {Did.CREATED}
    assert [repository.get("Patient", f"a-{n}") for n in range(LARGE)] == [one.stored for one in done]
    assert (len(calls), total(repository)) == (stale + 1, LARGE)


async def test_large_and_small_writes_and_messages_at_the_same_time_all_take_effect(
    repository: SqliteRepository,
) -> None:
    feed = Feed(repository)

    async def messages() -> None:
        for n in range(20):
            await feed(patient(f"m{n}"))

    async def small() -> None:
        for n in range(20):
            await repository.write([Change(Verb.CREATE, "Patient", f"s{n}", {"gender": raw("female")})])

    await asyncio.gather(repository.write(many("a")), messages(), repository.write(many("b")), small())
    assert total(repository) == 2 * LARGE + 40
    assert repository.search(Query("Patient", (SearchTerm("family", ("b99",)),))).total == 1


async def test_the_same_condition_in_two_large_writes_gives_one_resource(repository: SqliteRepository) -> None:
    where = Query("Patient", (SearchTerm("family", ("only",)),))
    only = {"name": raw([{"family": "Only"}])}

    async def one(name: str) -> Any:
        return await repository.write([Change(Verb.CREATE, "Patient", f"only-{name}", only, where), *many(name)])

    done = await asyncio.gather(*(one(name) for name in "abcd"))
    assert sorted(each[0].did for each in done) == [Did.CREATED, Did.FOUND, Did.FOUND, Did.FOUND]
    assert repository.search(where).total == 1


async def test_a_large_write_that_is_refused_writes_nothing(repository: SqliteRepository) -> None:
    await repository.write([Change(Verb.CREATE, "Patient", f"a-{LARGE - 1}", {"gender": raw("female")})])
    with pytest.raises(WriteRefused) as refused:
        await repository.write(many("a"))
    assert (refused.value.code, refused.value.index, total(repository)) == ("exists-already", LARGE - 1, 1)
