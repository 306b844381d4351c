"""What every way in must do, run on every one that the package ships."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

import hilum.intake
from hilum.intake import (
    FilesLimits,
    FilesSource,
    FolderWatch,
    MemorySource,
    MllpLimits,
    MllpListener,
    MllpSource,
    Source,
)
from hilum.model import Ack, Arrival
from wire_peers import PATIENCE, Peer, answer_to, block, message

pytestmark = pytest.mark.anyio


class MemoryRig:
    def __init__(self, folder: Path) -> None:
        self.source = MemorySource("way-in")

    async def give(self, body: bytes) -> None:
        self.source.feed(body)

    async def leave(self) -> None:
        pass


class MllpRig:
    def __init__(self, folder: Path) -> None:
        self.source = MllpListener("way-in", MllpSource(port=0, limits=MllpLimits(drain_seconds=0.2)))
        self._peer: Peer | None = None

    async def give(self, body: bytes) -> None:
        if self._peer is None:
            self._peer = Peer(self.source.port)
            await self._peer.__aenter__()
        await self._peer.send(block(body))

    async def leave(self) -> None:
        if self._peer is not None:
            await self._peer.__aexit__(None, None, None)


class FilesRig:
    def __init__(self, folder: Path) -> None:
        self._folder, self._number = folder, 0
        limits = FilesLimits(drain_seconds=0.2)
        self.source = FolderWatch(
            "way-in", FilesSource(folder=folder, ready="rename", poll_seconds=0.02, limits=limits)
        )

    async def give(self, body: bytes) -> None:
        self._number += 1
        temporary = self._folder / f"{self._number}.tmp"
        temporary.write_bytes(body)
        temporary.rename(self._folder / f"{self._number:03}.hl7")

    async def leave(self) -> None:
        pass


RIGS: dict[type[Any], Callable[[Path], Any]] = {
    MemorySource: MemoryRig,
    MllpListener: MllpRig,
    FolderWatch: FilesRig,
}


@pytest.fixture(params=list(RIGS.values()), ids=[kind.__name__ for kind in RIGS])
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    rig = request.param(tmp_path)
    await rig.source.open()
    yield rig
    await rig.leave()
    await rig.source.close()


async def take(source: Source, count: int) -> list[Arrival]:
    arrivals: list[Arrival] = []
    async with asyncio.timeout(PATIENCE):
        while len(arrivals) < count:
            arrivals += await source.read()
    return arrivals


def test_every_source_of_the_package_is_run_here() -> None:
    shipped = {
        one
        for name in hilum.intake.__all__
        if isinstance(one := getattr(hilum.intake, name), type) and hasattr(one, "read") and one is not Source
    }
    assert len(shipped) > 2
    assert shipped == set(RIGS)


async def test_it_is_a_source_with_a_name(rig: Any) -> None:
    assert isinstance(rig.source, Source)
    assert rig.source.name == "way-in"


async def test_bytes_come_exactly_and_say_whence(rig: Any) -> None:
    body = message(1, b"PID|1||\xe4\x00\xff")
    await rig.give(body)
    (arrival,) = await take(rig.source, 1)
    assert (arrival.body, arrival.source, arrival.fault) == (body, "way-in", None)
    assert arrival.peer
    assert arrival.received_at > 1_700_000_000_000_000
    arrival.answer(Ack("AA", answer_to(body)))


async def test_messages_come_in_the_order_in_which_they_were_given(rig: Any) -> None:
    for number in range(3):
        await rig.give(message(number))
    assert [arrival.body for arrival in await take(rig.source, 3)] == [message(number) for number in range(3)]


async def test_read_waits_until_there_is_something(rig: Any) -> None:
    reading = asyncio.create_task(rig.source.read())
    await asyncio.sleep(0.05)
    assert not reading.done()
    await rig.give(message(1))
    assert len(await asyncio.wait_for(reading, PATIENCE)) == 1


async def test_a_cancelled_read_loses_nothing(rig: Any) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(rig.source.read(), 0.02)
    await rig.give(message(1))
    assert len(await take(rig.source, 1)) == 1


async def test_answering_twice_or_late_never_fails(rig: Any) -> None:
    await rig.give(message(1))
    (arrival,) = await take(rig.source, 1)
    arrival.answer(Ack("CA", answer_to(arrival.body, b"CA")))
    arrival.answer(Ack("AA", answer_to(arrival.body)))
    await rig.source.close()
    arrival.answer(Ack("AA", answer_to(arrival.body)))


async def test_read_gives_nothing_once_closed_and_drained(rig: Any) -> None:
    await rig.source.close()
    assert await asyncio.wait_for(rig.source.read(), PATIENCE) == []


async def test_closing_wakes_a_reader_that_waits(rig: Any) -> None:
    reading = asyncio.create_task(rig.source.read())
    await asyncio.sleep(0.02)
    await rig.source.close()
    assert await asyncio.wait_for(reading, PATIENCE) == []


async def test_closing_twice_is_closing_once(rig: Any) -> None:
    await rig.source.close()
    await rig.source.close()


async def test_a_source_in_good_order_has_no_findings(rig: Any) -> None:
    assert await rig.source.probe() == []
