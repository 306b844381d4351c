"""Applying holds back while many messages come in, and less once messages have waited long."""

from __future__ import annotations

import time

import pytest

from hilum.engine import pace as module
from hilum.engine.pace import APPLYING, BURST, MEMORY, PATIENCE, Pace

pytestmark = pytest.mark.anyio

BATCH = 32


class Clock:
    """Time that passes only when somebody sleeps; meanwhile messages come in at `rate` per second."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.pace = Pace()
        self.rate = 0.0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.rate:
            self.pace.hear(round(self.rate * seconds))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module.time, "monotonic", lambda: made.now)
    monkeypatch.setattr(module.asyncio, "sleep", made.sleep)
    return made


def received(seconds_ago: float) -> int:
    return int((time.time() - seconds_ago) * 1e6)


async def share_of_applying(clock: Clock, rate: float, age: float = 0) -> float:
    """Of the time, once that many messages per second have come in for a while."""
    clock.rate = rate
    for _ in range(200):
        await clock.sleep(0.01)
    started, batches = clock.now, 20
    for _ in range(batches):
        await clock.pace.until_due(BATCH, received(age))
        await clock.sleep(BATCH * APPLYING)
    return batches * BATCH * APPLYING / (clock.now - started)


async def test_nobody_waits_while_it_is_quiet(clock: Clock) -> None:
    assert await share_of_applying(clock, 0) == pytest.approx(1)


async def test_a_feed_that_comes_steadily_is_applied_as_it_comes(clock: Clock) -> None:
    rate = BURST / 4
    assert await share_of_applying(clock, rate) > rate * APPLYING * 5


async def test_in_a_burst_answers_get_most_of_the_time(clock: Clock) -> None:
    share = await share_of_applying(clock, 5 * BURST)
    assert share == pytest.approx(module.SHARE_IN_A_BURST, rel=0.15)


async def test_messages_that_have_waited_long_get_more_of_it(clock: Clock) -> None:
    share = await share_of_applying(clock, 5 * BURST, PATIENCE + 1)
    assert share == pytest.approx(module.SHARE_WHEN_LATE, rel=0.15)


async def test_the_wait_ends_when_the_burst_does(clock: Clock) -> None:
    await share_of_applying(clock, 5 * BURST)
    clock.rate, ended = 0, clock.now
    await clock.pace.until_due(BATCH, received(0))
    assert clock.now - ended < 4 * MEMORY
