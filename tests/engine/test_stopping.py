"""Going on while the store refuses, and what the log says of it."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from hilum.engine import stopping
from hilum.engine.stopping import Stop, Stopped
from hilum.errors import StoreFull, StoreUnsafe

pytestmark = pytest.mark.anyio


class Disk:
    """Full for the next `full` writes."""

    def __init__(self, full: int) -> None:
        self.full = full

    async def write(self) -> str:
        if self.full:
            self.full -= 1
            raise StoreFull("no space")
        return "written"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "RETRY_FIRST", 0.001)
    monkeypatch.setattr(stopping, "RETRY_LAST", 0.001)


async def test_many_parts_that_meet_the_same_trouble_are_one_line_of_log_and_one_when_it_is_over() -> None:
    stop, disk = Stop(), Disk(40)
    with capture_logs() as lines:
        assert await asyncio.gather(*(stop.insist(disk.write) for _ in range(8))) == ["written"] * 8
        assert disk.full == 0
        disk.full = 1
        await stop.insist(disk.write)
    assert [line["log_level"] for line in lines] == ["warning", "info", "warning", "info"]
    assert lines[0]["code"] == "store-full"


async def test_a_trouble_that_lasts_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "SAY_AGAIN", 0.0)
    with capture_logs() as lines:
        await Stop().insist(Disk(3).write)
    assert [line["log_level"] for line in lines] == ["warning"] * 3 + ["info"]


async def test_what_no_patience_mends_comes_out_at_once() -> None:
    async def unsafe() -> None:
        raise StoreUnsafe("its key is wrong")

    with pytest.raises(StoreUnsafe):
        await Stop().insist(unsafe)


async def test_the_word_to_stop_ends_the_waiting() -> None:
    stop = Stop()
    waiting = asyncio.ensure_future(stop.insist(Disk(10**9).write))
    await asyncio.sleep(0)
    stop.set()
    with pytest.raises(Stopped):
        await waiting
