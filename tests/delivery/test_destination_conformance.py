"""What every way out must do, run on every one that the package ships."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import hilum.delivery
from hilum.config import Secret
from hilum.delivery import (
    Destination,
    FilesDestination,
    FileWriter,
    MemoryDestination,
    MllpDestination,
    MllpSender,
    WebhookDestination,
    WebhookSender,
)
from hilum.errors import DeliveryError, Outcome
from hilum.model import Outgoing, Receipt
from wire_peers import answer_to, block, message

pytestmark = pytest.mark.anyio


class Rig:
    """A destination with a partner that can be told to fail, and what the partner has."""

    destination: Destination

    def __init__(self, folder: Path) -> None:
        self.folder, self.failing = folder, False
        self.has: list[bytes] = []
        self.server: asyncio.Server | None = None

    async def start(self) -> None: ...

    async def fail(self) -> None:
        self.failing = True

    async def mend(self) -> None:
        self.failing = False

    async def stop(self) -> None:
        if self.server is not None:
            self.server.close()
            await asyncio.sleep(0.02)


class MemoryRig(Rig):
    async def start(self) -> None:
        self.memory = self.destination = MemoryDestination("way-out")

    async def fail(self) -> None:
        self.memory.fail_next(DeliveryError("told to", code="told-to"))

    def taken(self) -> list[bytes]:
        return [record.payload for record in self.memory.taken.values()]


class MllpRig(Rig):
    async def start(self) -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while not self.failing:
                    body = (await reader.readuntil(b"\x1c\r"))[1:-2]
                    if self.failing:
                        break
                    self.has.append(body)
                    writer.write(block(answer_to(body)))
            writer.transport.abort()

        self.server = await asyncio.start_server(talk, "127.0.0.1", 0)
        port = self.server.sockets[0].getsockname()[1]
        self.destination = MllpSender("way-out", MllpDestination(host="127.0.0.1", port=port))

    def taken(self) -> list[bytes]:
        return self.has


class WebhookRig(Rig):
    async def start(self) -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                body = await reader.readexactly(size)
                if not self.failing:
                    self.has.append(body)
                status = b"503 Later" if self.failing else b"204 Taken"
                writer.write(b"HTTP/1.1 %b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)
                await writer.drain()
            writer.close()

        self.server = await asyncio.start_server(talk, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/"
        (self.folder / "secret").write_bytes(b"s" * 32)
        secret = Secret(f"file:{self.folder / 'secret'}")
        self.destination = WebhookSender("way-out", WebhookDestination(url=url, secret=secret))

    def taken(self) -> list[bytes]:
        return self.has


class FilesRig(Rig):
    async def start(self) -> None:
        self.out = self.folder / "out"
        self.destination = FileWriter("way-out", FilesDestination(folder=self.out))

    async def fail(self) -> None:
        self.out.rename(self.folder / "away")

    async def mend(self) -> None:
        (self.folder / "away").rename(self.out)

    def taken(self) -> list[bytes]:
        return [one.read_bytes() for one in sorted(self.out.iterdir())]


RIGS: dict[type[Any], Callable[[Path], Any]] = {
    MemoryDestination: MemoryRig,
    MllpSender: MllpRig,
    WebhookSender: WebhookRig,
    FileWriter: FilesRig,
}


@pytest.fixture(params=list(RIGS.values()), ids=[kind.__name__ for kind in RIGS])
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    rig = request.param(tmp_path)
    await rig.start()
    await rig.destination.open()
    yield rig
    await rig.destination.close()
    await rig.stop()


def record(number: int) -> Outgoing:
    return Outgoing("way-out", "key", f"key-{number}", message(number), "x-application/hl7-v2+er7")


def test_every_destination_of_the_package_is_run_here() -> None:
    shipped = {
        one
        for name in hilum.delivery.__all__
        if isinstance(one := getattr(hilum.delivery, name), type) and hasattr(one, "probe") and one is not Destination
    }
    assert len(shipped) > 3
    assert shipped == set(RIGS)


async def test_it_is_a_destination_with_a_name(rig: Any) -> None:
    assert isinstance(rig.destination, Destination)
    assert rig.destination.name == "way-out"


async def test_the_partner_has_the_exact_bytes_when_send_returns(rig: Any) -> None:
    assert isinstance(await rig.destination.send(record(1)), Receipt)
    assert rig.taken() == [message(1)]


async def test_records_sent_one_after_the_other_keep_their_order(rig: Any) -> None:
    for number in range(5):
        await rig.destination.send(record(number))
    assert rig.taken() == [message(number) for number in range(5)]


async def test_records_sent_at_once_all_arrive(rig: Any) -> None:
    await asyncio.gather(*(rig.destination.send(record(number)) for number in range(8)))
    assert sorted(rig.taken()) == [message(number) for number in range(8)]


async def test_a_partner_in_trouble_is_an_error_to_try_again_and_then_it_works(rig: Any) -> None:
    await rig.destination.send(record(1))
    await rig.fail()
    with pytest.raises(DeliveryError) as caught:
        await rig.destination.send(record(2))
    assert caught.value.outcome is Outcome.RETRY
    assert caught.value.code != DeliveryError.default_code
    await rig.mend()
    await rig.destination.send(record(2))
    assert rig.taken() == [message(1), message(2)]


async def test_it_can_be_opened_again_after_closing(rig: Any) -> None:
    await rig.destination.close()
    await rig.destination.close()
    await rig.destination.open()
    await rig.destination.send(record(1))
    assert rig.taken() == [message(1)]


async def test_a_destination_in_good_order_has_no_findings(rig: Any) -> None:
    assert await rig.destination.probe() == []
    assert rig.taken() == []
