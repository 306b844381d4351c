"""Workers hold back while messages come in, and less once messages have waited long."""

from __future__ import annotations

import asyncio
import time

import pytest

from hilum.engine import pace as module
from hilum.engine.pace import Pace

pytestmark = pytest.mark.anyio


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    seconds: list[float] = []
    real = asyncio.sleep

    async def sleep(delay: float) -> None:
        seconds.append(delay)
        await real(0)

    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    return seconds


def received(seconds_ago: float) -> int:
    return int((time.time() - seconds_ago) * 1e6)


async def test_when_it_is_quiet_workers_only_let_others_have_a_round(slept: list[float]) -> None:
    await Pace().rest(0.1, received(0))
    assert slept == [0]


async def test_in_a_burst_answers_get_most_of_the_time(slept: list[float]) -> None:
    pace = Pace()
    pace.hear()
    await pace.rest(0.1, received(0))
    assert 0.1 / (0.1 + slept[0]) == pytest.approx(module.SHARE_IN_A_BURST)


async def test_messages_that_have_waited_long_get_more_of_it(slept: list[float]) -> None:
    pace = Pace()
    pace.hear()
    await pace.rest(0.1, received(module.PATIENCE + 1))
    assert 0.1 / (0.1 + slept[0]) == pytest.approx(module.SHARE_WHEN_LATE)
