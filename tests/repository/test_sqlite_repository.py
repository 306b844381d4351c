"""What only the repository on the disk can show: sharing, other processes, crashes, full disks, old indexes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from clinical_samples import Feed, body, draft, find, held, lab, patient, query, send, visit

from hilum.errors import MappingError, NotFound, StoreError
from hilum.model import Draft, Effects, Merge
from hilum.repository import SCHEMA, SqliteRepository, count
from hilum.repository.clauses import clause_of
from hilum.repository.criteria import criteria_of
from hilum.repository.lookup import _select
from hilum.repository.rebuilding import rebuild_facts
from hilum.store import Store, fault

pytestmark = pytest.mark.anyio


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "hilum.db", key=bytes(32), schemas=[SCHEMA]) as opened:
        yield opened


@pytest.fixture
def repository(store: Store) -> SqliteRepository:
    return SqliteRepository(store)


def effects(seq: int, *drafts: Draft, partition: int = 0) -> Effects:
    return Effects(seq, partition, seq, drafts=list(drafts))


async def test_everything_is_there_after_opening_again(tmp_path: Path) -> None:
    for run in range(2):
        with Store.open(tmp_path / "hilum.db", key=bytes(32), schemas=[SCHEMA]) as store:
            repository = SqliteRepository(store)
            if run == 0:
                feed = await send(repository, patient("p1"), lab("o1", "p1"))
                await feed(patient("p1", "Changed"), merges=(Merge("Patient", "p2", "p1"),))
            assert repository.get("Patient", "p1").version == 2
            assert find(repository, "Observation", "patient=p2&code=718-7&date=2026-03") == ["o1"]
            assert repository.positions() == {0: 2}


async def test_calls_at_the_same_time_share_transactions_and_all_count(
    repository: SqliteRepository, store: Store
) -> None:
    shared = patient("shared")
    calls = [
        repository.apply([effects(n, patient(f"p{n}"), shared, partition=n % 8)], {n % 8: n}) for n in range(1, 201)
    ]
    await asyncio.gather(*calls)
    assert repository.counts().applied == 200
    assert sum(repository.type_counts().values()) == 201
    assert repository.get("Patient", "shared").version == 1
    commits = store.read(lambda connection: connection.execute("SELECT count(*) FROM apply_commit").get)
    assert isinstance(commits, int)
    assert commits < 50


async def test_one_bad_call_among_others_fails_alone(repository: SqliteRepository) -> None:
    good = [repository.apply([effects(n, patient(f"p{n}"))], {n: n}) for n in (1, 2, 4, 5)]
    bad = repository.apply([effects(3, Draft("Kitten", "k", {}))], {3: 3})
    stale = repository.apply([effects(6, patient("p6"))], {6: 6}, expected={6: 99})
    results = await asyncio.gather(*good, bad, stale, return_exceptions=True)
    assert results[:4] == [None] * 4
    assert isinstance(results[4], MappingError)
    assert isinstance(results[5], StoreError)
    assert repository.positions() == {1: 1, 2: 2, 4: 4, 5: 5}
    assert sum(repository.type_counts().values()) == 4


async def test_a_commit_of_another_process_between_plan_and_write_is_seen(store: Store, tmp_path: Path) -> None:
    repository = SqliteRepository(store)
    await repository.apply([effects(1, patient("p1"), visit("e1", "p1"))], {0: 1})
    with Store.open(tmp_path / "hilum.db", key=bytes(32), schemas=[SCHEMA]) as beside:
        other = SqliteRepository(beside)
        prepare = repository._prepare

        async def prepare_then_lose_the_race(work: Any) -> Any:
            ready = await prepare(work)
            await other.apply(
                [Effects(2, 1, 2, drafts=[patient("new")], merges=(Merge("Patient", "p2", "p1"),))], {1: 2}
            )
            return ready

        repository._prepare = prepare_then_lose_the_race  # type: ignore[method-assign]
        await repository.apply([effects(3, patient("p9"), lab("o1", "p1"), patient("p1", "Changed"))], {0: 3})
    assert body(repository.get("Observation", "o1"))["subject"]["reference"] == "Patient/p2"
    assert body(repository.get("Patient", "p1"))["link"][0]["type"] == "replaced-by"
    assert {one: body(repository.get("Patient", one))["id"] for one in ("new", "p9")} == {"new": "new", "p9": "p9"}
    assert sorted(find(repository, "Patient")) == ["new", "p1", "p2", "p9"]


async def test_a_message_discarded_between_plan_and_write_is_not_applied(store: Store) -> None:
    repository = SqliteRepository(store)
    await repository.apply([held(1)], {0: 1})
    prepare = repository._prepare

    async def prepare_then_discard(work: Any) -> Any:
        ready = await prepare(work)
        await repository.discard(1, "ann", "")
        return ready

    repository._prepare = prepare_then_discard  # type: ignore[method-assign]
    await repository.apply([effects(1, patient("p1"))], {})
    with pytest.raises(NotFound):
        repository.get("Patient", "p1")
    assert repository.counts().discarded == 1


async def test_nothing_is_remembered_of_a_write_that_failed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = SqliteRepository(store)
    await repository.apply([effects(1, patient("p0"))], {0: 1})

    def break_(*_: object) -> None:
        raise apsw.FullError("no space")

    with monkeypatch.context() as patched:
        patched.setattr("hilum.repository.sqlite.record_work", break_)
        with pytest.raises((StoreError, apsw.FullError)):
            await repository.apply([effects(2, patient("lost"), lab("o1", "lost"))], {0: 2})
    await repository.apply([effects(3, patient("kept"), lab("o2", "kept"))], {0: 3})
    await repository.apply([effects(2, patient("lost"), lab("o1", "lost"))], {0: 3})
    assert find(repository, "Observation", "patient=kept") == ["o2"]
    assert find(repository, "Observation", "patient=lost") == ["o1"]
    assert [body(repository.get("Patient", one))["id"] for one in ("kept", "lost")] == ["kept", "lost"]


async def test_the_index_is_rebuilt_when_its_definition_changed(store: Store) -> None:
    feed = await send(SqliteRepository(store), patient("p1"), lab("o1", "p1"), lab("o2", "p1", code="2345-7"))
    await feed(merges=(Merge("Patient", "p2", "p1"),))

    def facts() -> list[Any]:
        tables = ("fact_token", "fact_label", "fact_reference", "fact_date", "fact_quantity")
        return store.read(
            lambda connection: [connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables]
        )

    before = facts()
    store.write_now(lambda connection: connection.execute("UPDATE fact_definition SET digest = 'of old'").fetchall())
    store.write_now(lambda connection: connection.execute("DELETE FROM fact_token").fetchall())
    repository = SqliteRepository(store)
    assert facts() == before
    assert find(repository, "Observation", "patient=p2&code=718-7") == ["o1"]


async def test_the_facts_in_the_tables_are_those_of_the_bodies(store: Store) -> None:
    feed = await send(SqliteRepository(store), patient("p1"), lab("o1", "p1"), visit("e1", "p1"))
    await feed(lab("o1", "p2", "2026-05-01", value="7"), visit("e1", "p1", status="finished"))
    await feed(merges=(Merge("Patient", "p3", "p2"),))
    await feed(Draft("Observation", "o1", {}, cleared=("valueQuantity", "code")))

    def facts(connection: apsw.Connection) -> list[Any]:
        tables = ("fact_token", "fact_label", "fact_reference", "fact_date", "fact_quantity")
        return [connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables]

    def rebuilt(connection: apsw.Connection) -> tuple[list[Any], list[Any]]:
        before = facts(connection)
        rebuild_facts(connection, "again")
        return before, facts(connection)

    before, after = store.write_now(rebuilt)
    assert before == after
    assert any(before)


async def test_counts_can_be_taken_on_the_snapshot_of_another_reader(
    repository: SqliteRepository, store: Store
) -> None:
    await send(repository, patient("p1"))
    assert store.read(count) == repository.counts()


async def test_a_patients_results_of_a_category_in_a_time_are_found_without_a_scan(
    repository: SqliteRepository, store: Store
) -> None:
    await send(repository, *[lab(f"o{n}", f"p{n % 3}", f"2026-03-0{1 + n % 9}") for n in range(30)])
    asked = query("Observation", "patient=p1&category=laboratory&date=ge2026-03-04")

    def plan(connection: apsw.Connection) -> str:
        clauses = [clause_of(connection, "Observation", one, lambda *_: []) for one in criteria_of(asked)]
        select = _select("Observation", clauses)
        rows = connection.execute(
            f"EXPLAIN QUERY PLAN SELECT v.rid FROM {select.tables} WHERE {select.where}", select.values
        )
        return "\n".join(row[3] for row in rows)

    steps = store.read(plan)
    assert "SEARCH f USING PRIMARY KEY (target=? AND parameter=?" in steps
    assert "SCAN v" not in steps
    assert "USING PRIMARY KEY (term=? AND rid=?)" in steps


WORKLOAD = """
import asyncio, sys
sys.path[:0] = {paths!r}
from pathlib import Path
from clinical_samples import Feed, lab, patient
from hilum.model import Merge
from hilum.repository import SCHEMA, SqliteRepository
from hilum.store import Store

async def main() -> None:
    with Store.open(Path({store!r}), key=bytes(32), schemas=[SCHEMA]) as store:
        feed = Feed(SqliteRepository(store))
        for number in range(1, 40):
            await feed(patient(f"p{{number % 5}}", f"Name{{number}}"), lab(f"o{{number}}", f"p{{number % 5}}"))
            print(feed.seq, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("point", sorted(name for name in fault.POINTS if name.startswith("repository.")))
@pytest.mark.parametrize("times", [1, 17])
async def test_after_a_kill_each_message_has_all_of_its_effects_or_none(tmp_path: Path, point: str, times: int) -> None:
    path = tmp_path / "hilum.db"
    script = WORKLOAD.format(paths=[str(Path(__file__).parent)], store=str(path))
    killed = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "HILUM_CRASH_AT": f"{point}:{times}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    told = [int(line) for line in killed.stdout.split()]
    with Store.open(path, key=bytes(32), schemas=[SCHEMA]) as store:
        repository = SqliteRepository(store)
        position = repository.positions().get(0, 0)
        assert position >= max(told, default=0)
        assert repository.counts().applied == position
        for seq in range(1, position + 1):
            assert repository.get("Observation", f"o{seq}").seq == seq
        assert find(repository, "Observation", count=100) == [f"o{seq}" for seq in range(1, position + 1)]
        feed = Feed(repository)
        for number in range(1, 40):
            if number <= position:
                next(feed.seqs)
                continue
            await feed(patient(f"p{number % 5}", f"Name{number}"), lab(f"o{number}", f"p{number % 5}"))
        assert repository.counts().applied == 39
        assert [one.seq for one in repository.history("Patient", "p1")] == [36, 31, 26, 21, 16, 11, 6, 1]


def test_the_crash_points_are_declared() -> None:
    assert len([name for name in fault.POINTS if name.startswith("repository.")]) == 3


async def test_a_body_with_odd_text_is_served_as_it_came(repository: SqliteRepository) -> None:
    odd = draft("Patient", "p1", name=[{"text": 'null\u0000 \u2028 \U0001f600 \\ " \x7f'}])
    await send(repository, odd)
    assert body(repository.get("Patient", "p1"))["name"][0]["text"] == 'null\u0000 \u2028 \U0001f600 \\ " \x7f'
