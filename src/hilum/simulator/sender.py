"""Sends simulated messages over MLLP as real senders do: one at a time per connection, the same again after a drop.

Messages of one lane go over one connection, so that their order holds. Every answer is compared with what should have
become of the message, and its MSA-2 with the control id that was sent.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from time import perf_counter

from msgspec import Struct, field

from hilum.protocols import Fault, Frame, MllpDecoder, frame
from hilum.simulator.hospital import Expect, SimMessage

__all__ = ["Surprise", "Tally", "Target", "read_answer", "send"]

_ANSWER_BYTES = 1024 * 1024
_MAX_SURPRISES = 20
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0  # seconds between attempts to connect
_WINDOW = 4  # messages that wait for their turn on one connection


class Target(Struct, frozen=True):
    """Where one application's messages go."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None


class Surprise(Struct, frozen=True):
    """An answer that is not the expected one. Holds control ids, never content."""

    control_id: str
    expect: Expect
    answer: str  # MSA-1
    answered_id: str  # MSA-2


class Tally(Struct):
    """What was sent and what was answered: the sender's side of the control totals."""

    sent: dict[Expect, int] = field(default_factory=lambda: dict.fromkeys(Expect, 0))  # answered messages only
    answers: dict[str, int] = field(default_factory=dict)  # by MSA-1
    resent: int = 0  # sent again because the connection was lost before the answer
    wrong_ids: int = 0  # MSA-2 was not the control id just sent
    wrong_codes: int = 0  # MSA-1 does not fit what should become of the message
    unanswered: int = 0  # begun, and stopped before the answer came
    seconds: deque[float] = field(
        default_factory=lambda: deque(maxlen=10_000)
    )  # from sending to the answer; the latest
    surprises: list[Surprise] = field(default_factory=list)  # the first 20

    @property
    def received(self) -> int:
        """Messages that the receiver must count as received: all but copies."""
        return sum(count for expect, count in self.sent.items() if expect is not Expect.DUPLICATE)

    @property
    def rejected(self) -> int:
        """Messages that the receiver must count as rejected."""
        return self.sent[Expect.AE] + self.sent[Expect.AR]

    @property
    def is_as_expected(self) -> bool:
        """Whether every answer was the right one, for the right message."""
        return not self.wrong_ids and not self.wrong_codes

    def latency(self, share: float) -> float:
        """Seconds within which this share of the answers came (0.99); 0.0 without answers."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0

    def count(self, message: SimMessage, code: str, answered_id: str, seconds: float) -> None:
        """One answer."""
        self.sent[message.expect] += 1
        self.answers[code] = self.answers.get(code, 0) + 1
        self.seconds.append(seconds)
        wrong_id = answered_id != message.control_id
        wrong_code = code not in message.expect.answers
        self.wrong_ids += wrong_id
        self.wrong_codes += wrong_code
        if (wrong_id or wrong_code) and len(self.surprises) < _MAX_SURPRISES:
            self.surprises.append(Surprise(message.control_id, message.expect, code, answered_id))


async def send(
    messages: Iterable[SimMessage],
    targets: Mapping[str, Target],
    *,
    connections: int = 2,
    rate: float | None = None,
    answer_seconds: float = 30.0,
    stop: asyncio.Event | None = None,
    tally: Tally | None = None,
) -> Tally:
    """Send until `messages` end or `stop` is set; what is on its way then is still answered.

    `targets` by source of the message (adt, lab, sched); `connections` to each; `rate` in messages per second over all
    of them, None for as fast as answers come. `tally` is filled while sending, for whoever watches.
    """
    count = tally if tally is not None else Tally()
    halt = stop or asyncio.Event()
    lanes = {
        name: [_Lane(target, count, answer_seconds, halt) for _ in range(connections)]
        for name, target in targets.items()
    }
    every = [lane for some in lanes.values() for lane in some]
    try:
        async with asyncio.TaskGroup() as group:
            for lane in every:
                group.create_task(lane.run())
            await _deal(messages, lanes, rate, halt)
            for lane in every:
                await lane.queue.put(None)
    finally:
        await asyncio.gather(*(lane.close() for lane in every))
    return count


async def _deal(
    messages: Iterable[SimMessage], lanes: Mapping[str, list[_Lane]], rate: float | None, stop: asyncio.Event
) -> None:
    """Hand each message to its connection, in time."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    for index, message in enumerate(messages):
        if stop.is_set():
            return
        if rate is not None and (wait := started + index / rate - loop.time()) > 0:
            try:
                async with asyncio.timeout(wait):
                    await stop.wait()
            except TimeoutError:
                pass  # the time has come
            else:
                return
        some = lanes[message.source]
        await some[message.lane % len(some)].queue.put(message)


class _Lane:
    """One connection, and its reconnecting."""

    def __init__(self, target: Target, tally: Tally, answer_seconds: float, stop: asyncio.Event) -> None:
        self.queue: asyncio.Queue[SimMessage | None] = asyncio.Queue(_WINDOW)
        self._target = target
        self._tally = tally
        self._answer_seconds = answer_seconds
        self._stop = stop
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._decoder = MllpDecoder(_ANSWER_BYTES)
        self._is_sent = False  # the message in hand went out on a connection, answered or not

    async def run(self) -> None:
        while (message := await self.queue.get()) is not None:
            await self._deliver(message)

    async def close(self) -> None:
        if self._streams is None:
            return
        writer, self._streams = self._streams[1], None
        writer.close()
        with suppress(OSError):  # the other side may have closed it harder than we do
            await writer.wait_closed()

    async def _deliver(self, message: SimMessage) -> None:
        """Until there is an answer; after a stop only as long as the connection holds."""
        pause, self._is_sent = _FIRST_PAUSE, False
        while True:
            try:
                code, answered_id, seconds = await self._exchange(message.body)
            except (OSError, EOFError, TimeoutError):
                await self.close()
                if self._stop.is_set():
                    self._tally.unanswered += 1
                    return
                await self._pause(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            self._tally.count(message, code, answered_id, seconds)
            if answered_id != message.control_id:
                await self.close()  # the answers have come apart from the messages: start anew
            return

    async def _exchange(self, body: bytes) -> tuple[str, str, float]:
        reader, writer = self._streams or await self._connect()
        started = perf_counter()
        self._tally.resent += self._is_sent
        self._is_sent = True
        writer.write(frame(body))
        async with asyncio.timeout(self._answer_seconds):
            await writer.drain()
            answer = await self._read(reader)
        return (*read_answer(answer), perf_counter() - started)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(self._answer_seconds):
            streams = await asyncio.open_connection(self._target.host, self._target.port, ssl=self._target.tls)
        self._streams, self._decoder = streams, MllpDecoder(_ANSWER_BYTES)
        return streams

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        while True:
            chunk = await reader.read(65_536)
            if not chunk:
                raise EOFError
            for event in self._decoder.feed(chunk):
                if isinstance(event, Frame):
                    return event.body
                assert isinstance(event, Fault)
                raise EOFError  # an answer that is no frame is no answer

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return


def read_answer(body: bytes) -> tuple[str, str]:
    """MSA-1 and MSA-2; two empty texts when there is no MSA."""
    separator = body[3:4]
    for line in body.replace(b"\n", b"\r").split(b"\r"):
        if line.startswith(b"MSA" + separator) and separator:
            fields = [*line.split(separator), b"", b""]
            return fields[1].decode("ascii", "replace"), fields[2].decode("utf-8", "replace")
    return "", ""
