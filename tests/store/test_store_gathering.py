"""Groups wait for those who took part in the last one, and for nobody else."""

from __future__ import annotations

import asyncio

import pytest

from hilum.store import gathering as module
from hilum.store.gathering import MOST, QUIET_SECONDS, QUIET_TURNS, Gathering

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def time_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "monotonic", lambda: 0.0)


async def come(queue: list[int], count: int, turns: int) -> None:
    """One after the other, so many turns of the loop apart."""
    for n in range(count):
        for _ in range(turns):
            await asyncio.sleep(0)
        queue.append(n)


async def test_whoever_is_alone_waits_for_nobody() -> None:
    gathering = Gathering()
    turned = False

    async def turn() -> None:
        nonlocal turned
        turned = True

    gathering.end([1], [])
    other = asyncio.create_task(turn())
    await gathering.gather([1])
    assert not turned
    await other


async def test_a_group_begins_when_all_of_the_last_one_and_all_who_waited_then_are_there() -> None:
    gathering = Gathering()
    gathering.end([1, 2, 3], [4, 5])
    queue: list[int] = []
    coming = asyncio.create_task(come(queue, 9, 2))
    await gathering.gather(queue)
    assert len(queue) == 5
    await coming


async def test_a_group_begins_without_those_who_do_not_come_again() -> None:
    gathering = Gathering()
    gathering.end(range(9), [])
    queue: list[int] = []
    coming = asyncio.create_task(come(queue, 2, 2))
    await gathering.gather(queue)
    assert len(queue) == 2
    assert coming.done()


async def test_who_comes_too_late_is_not_waited_for() -> None:
    gathering = Gathering()
    gathering.end([1, 2], [])
    queue = [1]
    coming = asyncio.create_task(come(queue, 1, QUIET_TURNS + 3))
    await gathering.gather(queue)
    assert queue == [1]
    await coming


async def test_nobody_waits_for_more_than_the_most() -> None:
    gathering = Gathering()
    gathering.end(range(500), range(500))
    queue = list(range(MOST))
    await gathering.gather(queue)
    assert len(queue) == MOST


async def test_nobody_is_waited_for_while_other_work_makes_the_turns_of_the_loop_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += QUIET_SECONDS
        return now

    monkeypatch.setattr(module, "monotonic", clock)
    gathering = Gathering()
    gathering.end([1, 2], [])
    queue = [1]
    coming = asyncio.create_task(come(queue, 1, 3))
    await gathering.gather(queue)
    assert queue == [1]
    await coming
