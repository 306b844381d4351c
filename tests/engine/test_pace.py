"""Applying holds back while messages come in, and less once messages have waited long."""

from __future__ import annotations

import time

import pytest

from hilum.engine import pace as module
from hilum.engine.pace import APPLYING, Pace

pytestmark = pytest.mark.anyio

NOW = 1_000.0


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = NOW
        self.hears: Pace | None = None

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.hears:
            self.hears.hear()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module.time, "monotonic", lambda: made.now)
    monkeypatch.setattr(module.asyncio, "sleep", made.sleep)
    return made


def received(seconds_ago: float) -> int:
    return int((time.time() - seconds_ago) * 1e6)


async def waited_by_the_third(pace: Pace, clock: Clock, age: float) -> float:
    for _ in range(2):
        await pace.until_due(10, received(age))
    started = clock.now
    await pace.until_due(10, received(age))
    return clock.now - started


async def test_nobody_waits_while_it_is_quiet(clock: Clock) -> None:
    pace = Pace()
    assert await waited_by_the_third(pace, clock, 0) == 0


async def test_in_a_burst_answers_get_most_of_the_time(clock: Clock) -> None:
    pace = clock.hears = Pace()
    pace.hear()
    waited = await waited_by_the_third(pace, clock, 0)
    assert 10 * APPLYING / waited == pytest.approx(module.SHARE_IN_A_BURST)


async def test_messages_that_have_waited_long_get_more_of_it(clock: Clock) -> None:
    pace = clock.hears = Pace()
    pace.hear()
    waited = await waited_by_the_third(pace, clock, module.PATIENCE + 1)
    assert 10 * APPLYING / waited == pytest.approx(module.SHARE_WHEN_LATE)


async def test_the_wait_ends_when_the_burst_does(clock: Clock) -> None:
    pace = Pace()
    pace.hear()
    assert await waited_by_the_third(pace, clock, 0) < 2 * module.QUIET
