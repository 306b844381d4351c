"""The sender against a small MLLP server of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from itertools import islice

import pytest

from hilum.protocols import Frame, MllpDecoder, frame
from hilum.simulator import Expect, Hospital, SimMessage, Tally, Target, read_answer, send

pytestmark = pytest.mark.anyio

Answer = Callable[[bytes], bytes | None]


class Receiver:
    """Keeps every body and answers as it is told; None closes the connection instead."""

    def __init__(self, answer: Answer) -> None:
        self.bodies: list[bytes] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._answer = answer

    async def __aenter__(self) -> Receiver:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.target = Target("127.0.0.1", self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()
        await asyncio.gather(*self._tasks)

    def _follow(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._follow()
        decoder = MllpDecoder(1 << 20)
        while chunk := await reader.read(65_536):
            for event in decoder.feed(chunk):
                assert isinstance(event, Frame)
                self.bodies.append(event.body)
                answer = self._answer(event.body)
                if answer is None:
                    await _close(writer)
                    return
                writer.write(frame(answer))
        await _close(writer)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def id_of(body: bytes) -> str:
    return body.split(b"\r")[0].split(b"|")[9].decode() if body.startswith(b"MSH") else ""


def ack(code: str, control_id: str) -> bytes:
    return f"MSH|^~\\&|||||||ACK|1|P|2.5.1\rMSA|{code}|{control_id}\r".encode()


def everything_accepted(body: bytes) -> bytes:
    return ack("AA", id_of(body))


def good(count: int) -> list[SimMessage]:
    return list(islice(Hospital(3, broken=0).stream(), count))


def everywhere(target: Target) -> dict[str, Target]:
    return dict.fromkeys(("adt", "lab", "sched"), target)


async def test_every_message_is_sent_once_and_counted_by_its_answer() -> None:
    messages = good(60)
    async with Receiver(everything_accepted) as receiver:
        tally = await send(messages, everywhere(receiver.target))
    assert sorted(receiver.bodies) == sorted(message.body for message in messages)
    assert tally.sent[Expect.ACCEPT] == tally.received == 60
    assert tally.answers == {"AA": 60}
    assert tally.is_as_expected
    assert tally.latency(0.99) > 0


async def test_messages_of_a_lane_stay_in_order_when_there_are_many_connections() -> None:
    messages = [message for message in good(150) if message.source == "adt"]
    async with Receiver(everything_accepted) as receiver:
        await send(messages, everywhere(receiver.target), connections=5)
    lane_of = {message.control_id: message.lane for message in messages}
    arrived = [id_of(body) for body in receiver.bodies]
    for lane in set(lane_of.values()):
        assert [i for i in arrived if lane_of[i] == lane] == [m.control_id for m in messages if m.lane == lane]


async def test_a_message_is_sent_again_after_the_connection_drops() -> None:
    dropped: list[str] = []

    def answer(body: bytes) -> bytes | None:
        if id_of(body) not in dropped and len(dropped) < 3:
            dropped.append(id_of(body))
            return None
        return everything_accepted(body)

    messages = good(20)
    async with Receiver(answer) as receiver:
        tally = await send(messages, everywhere(receiver.target), connections=1)
    assert tally.resent == 3
    assert len(receiver.bodies) == 23
    assert {id_of(body) for body in receiver.bodies} == {message.control_id for message in messages}


async def test_a_wrong_code_and_a_wrong_id_are_surprises_without_content() -> None:
    async with Receiver(lambda body: ack("AR", "other")) as receiver:
        tally = await send(good(2), everywhere(receiver.target), connections=1)
    assert (tally.wrong_codes, tally.wrong_ids) == (2, 2)
    assert not tally.is_as_expected
    assert {surprise.answer for surprise in tally.surprises} == {"AR"}


async def test_an_answer_that_stays_away_counts_as_a_drop_and_a_stop_ends_the_waiting() -> None:
    stop = asyncio.Event()
    seen: list[bytes] = []

    class Silent(Receiver):
        async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._follow()
            seen.append(await reader.read(10))
            stop.set()
            await reader.read()
            await _close(writer)

    async with Silent(everything_accepted) as receiver:
        tally = await send(good(1), everywhere(receiver.target), answer_seconds=0.2, stop=stop)
    assert seen
    assert tally.unanswered == 1
    assert tally.received == 0


async def test_stop_ends_an_endless_stream() -> None:
    stop = asyncio.Event()
    tally = Tally()

    def answer(body: bytes) -> bytes:
        if tally.received > 30:
            stop.set()
        return everything_accepted(body)

    async with Receiver(answer) as receiver:
        await send(Hospital(1, broken=0).stream(), everywhere(receiver.target), stop=stop, tally=tally)
    assert tally.received > 30
    assert tally.unanswered == 0


async def test_a_rate_does_not_hold_up_a_stop() -> None:
    stop = asyncio.Event()

    def answer(body: bytes) -> bytes:
        stop.set()
        return everything_accepted(body)

    async with Receiver(answer) as receiver:
        tally = await send(good(5), everywhere(receiver.target), rate=0.001, stop=stop)
    assert tally.received == 1


def test_the_answer_is_read_whatever_its_separator_and_line_ends() -> None:
    assert read_answer(b"MSH#^~\\&#\r\nMSA#AE#7\r\n") == ("AE", "7")
    assert read_answer(b"MSH|^~\\&|\nMSA|AA\n") == ("AA", "")
    assert read_answer(b"MSH|^~\\&|\r") == ("", "")
    assert read_answer(b"") == ("", "")
