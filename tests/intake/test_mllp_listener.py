"""The listener over real sockets: order, back-pressure, limits, and nothing answered that nobody answered."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import pytest

from hilum.errors import ConfigError
from hilum.intake import MllpLimits, MllpListener, MllpSource
from hilum.model import Ack, Arrival, Disposition
from wire_peers import Peer, answer_to, block, message, until

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


@asynccontextmanager
async def listening(**settings: Any) -> AsyncIterator[MllpListener]:
    limits = MllpLimits(**{"drain_seconds": 0.2, **settings.pop("limits", {})})
    listener = MllpListener("adt", MllpSource(port=0, limits=limits, **settings))
    await listener.open()
    try:
        yield listener
    finally:
        await listener.close()


@asynccontextmanager
async def answering(listener: MllpListener, code: str = "AA") -> AsyncIterator[list[Arrival]]:
    """Answer everything at once, as an engine whose journal is immediate; the list is what came."""
    seen: list[Arrival] = []

    async def serve() -> None:
        while arrivals := await listener.read():
            for arrival in arrivals:
                seen.append(arrival)
                arrival.answer(Ack(code, answer_to(arrival.body, code.encode())))

    task = asyncio.create_task(serve())
    try:
        yield seen
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def take(listener: MllpListener, count: int) -> list[Arrival]:
    """Read until that many have come; answer none."""
    arrivals: list[Arrival] = []
    async with asyncio.timeout(20):
        while len(arrivals) < count:
            arrivals += await listener.read()
    assert len(arrivals) == count
    return arrivals


def yes(arrival: Arrival, code: str = "AA") -> None:
    arrival.answer(Ack(code, answer_to(arrival.body, code.encode())))


# -- answers ------------------------------------------------------------------------------------------------------


async def test_a_message_comes_with_its_exact_bytes_and_its_peer() -> None:
    async with listening() as listener, Peer(listener.port) as peer:
        await peer.send(block(message(1, b"PID|1||\xff\x00\x0b|")))
        (arrival,) = await take(listener, 1)
        assert arrival.body == message(1, b"PID|1||\xff\x00\x0b|")
        assert (arrival.source, arrival.fault, arrival.codes) == ("adt", None, ())
        assert arrival.peer == "127.0.0.1:" + str(peer.writer.get_extra_info("sockname")[1])


async def test_nothing_is_answered_until_somebody_answers() -> None:
    async with listening() as listener, Peer(listener.port) as peer:
        await peer.send(block(message(1)))
        (arrival,) = await take(listener, 1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(peer.reader.read(1), 0.1)
        yes(arrival)
        assert await peer.answered_ids(1) == ["AA 1"]


async def test_answers_go_out_in_the_order_of_the_messages() -> None:
    async with listening() as listener, Peer(listener.port) as peer:
        await peer.send(b"".join(block(message(number)) for number in range(5)))
        for arrival in reversed(await take(listener, 5)):
            yes(arrival)
        assert await peer.answered_ids(5) == [f"AA {number}" for number in range(5)]


async def test_a_commit_answer_goes_at_once_and_the_application_answer_later() -> None:
    async with listening() as listener, Peer(listener.port) as peer:
        await peer.send(b"".join(block(message(number)) for number in range(3)))
        arrivals = await take(listener, 3)
        for arrival in arrivals:
            yes(arrival, "CA")
        assert await peer.answered_ids(3) == ["CA 0", "CA 1", "CA 2"]
        for arrival in reversed(arrivals):
            yes(arrival, "AA")
        assert await peer.answered_ids(3) == ["AA 2", "AA 1", "AA 0"]


async def test_an_application_answer_never_overtakes_its_own_commit_answer() -> None:
    async with listening() as listener, Peer(listener.port) as peer:
        await peer.send(block(message(0)) + block(message(1)))
        first, second = await take(listener, 2)
        yes(second, "CA")
        yes(second, "AA")
        yes(first, "CA")
        assert await peer.answered_ids(3) == ["CA 0", "CA 1", "AA 1"]


async def test_an_empty_answer_sends_nothing_and_lets_the_next_go() -> None:
    async with listening() as listener, Peer(listener.port) as peer:
        await peer.send(block(message(0)) + block(message(1)))
        first, second = await take(listener, 2)
        yes(second)
        first.answer(Ack("AA"))
        assert await peer.answered_ids(1) == ["AA 1"]


async def test_an_answer_that_would_break_the_framing_ends_the_connection() -> None:
    async with listening() as listener, Peer(listener.port) as peer:
        await peer.send(block(message(0)))
        (arrival,) = await take(listener, 1)
        arrival.answer(Ack("AA", b"MSH|\x1c\rMSA|AA|0\r"))
        assert await peer.ended() == b""
        assert listener.counts["mllp-answer-unframeable"] == 1


async def test_a_sender_that_only_closes_its_half_gets_its_answers() -> None:
    async with listening() as listener, Peer(listener.port) as peer:
        await peer.send(block(message(0)) + block(message(1)))
        peer.writer.write_eof()
        arrivals = await take(listener, 2)
        await asyncio.sleep(0.05)
        for arrival in arrivals:
            yes(arrival)
        assert await peer.answered_ids(2) == ["AA 0", "AA 1"]
        assert await peer.ended() == b""


async def test_an_answer_to_a_peer_that_left_does_nothing_and_frees_its_place() -> None:
    async with listening() as listener:
        async with Peer(listener.port) as peer:
            await peer.send(block(message(0)))
            (arrival,) = await take(listener, 1)
        await until(lambda: listener.counts["connections"] == 0)
        assert listener.counts["unanswered"] == 1
        yes(arrival)
        yes(arrival)
        assert listener.counts["unanswered"] == 0


# -- bytes as they come in real life ------------------------------------------------------------------------------


async def test_a_message_that_comes_byte_by_byte_is_one_message() -> None:
    async with listening() as listener, answering(listener) as seen, Peer(listener.port) as peer:
        for byte in block(message(7)):
            await peer.send(bytes([byte]))
            await asyncio.sleep(0)
        assert await peer.answered_ids(1) == ["AA 7"]
        assert [arrival.body for arrival in seen] == [message(7)]


async def test_thousands_of_pipelined_messages_are_answered_in_order() -> None:
    count = 5000
    async with listening() as listener, answering(listener), Peer(listener.port) as peer:
        sending = asyncio.create_task(peer.send(b"".join(block(message(number)) for number in range(count))))
        assert await peer.answered_ids(count) == [f"AA {number}" for number in range(count)]
        await sending
        assert listener.counts["unanswered"] == 0


async def test_a_message_of_ten_megabytes_comes_whole() -> None:
    body = message(1, b"OBX|1|ED|PDF||" + b"QUJD" * 2_500_000)
    async with listening() as listener, answering(listener) as seen, Peer(listener.port) as peer:
        await peer.send(block(body))
        assert await peer.answered_ids(1) == ["AA 1"]
        assert seen[0].body == body


async def test_a_larger_message_comes_as_a_fault_and_the_next_one_is_taken() -> None:
    async with listening(limits={"message_bytes": 2000}) as listener, Peer(listener.port) as peer:
        large = message(1, b"OBX|" + b"x" * 50_000)
        await peer.send(block(large) + block(message(2)))
        first, second = await take(listener, 2)
        assert first.fault is not None
        assert (first.fault.code, first.body) == ("mllp-too-large", large[:2000])
        assert (second.fault, second.body) == (None, message(2))
        yes(first, "AR")
        yes(second)
        assert await peer.answered_ids(2) == ["AR 1", "AA 2"]


async def test_a_message_cut_off_by_the_next_comes_as_a_fault() -> None:
    async with listening() as listener, Peer(listener.port) as peer:
        await peer.send(b"\x0b" + message(1) + block(message(2)))
        first, second = await take(listener, 2)
        assert first.fault is not None
        assert (first.fault.code, first.body) == ("mllp-cut-off", message(1))
        assert second.fault is None


async def test_a_tolerated_oddity_is_told_with_the_message() -> None:
    async with listening() as listener, Peer(listener.port) as peer:
        await peer.send(b"\x0b" + block(message(1)) + message(2) + b"\x1c\r")
        first, second = await take(listener, 2)
        assert (first.fault, first.codes) == (None, ("mllp-start-doubled",))
        assert (second.fault, second.codes) == (None, ("mllp-start-missing",))


async def test_a_silent_sender_that_forgot_the_last_cr_is_answered() -> None:
    limits = {"end_seconds": 0.05}
    async with listening(limits=limits) as listener, answering(listener) as seen, Peer(listener.port) as peer:
        await peer.send(block(message(1))[:-1])
        assert await peer.answered_ids(1) == ["AA 1"]
        await peer.send(block(message(2))[:-1])
        assert await peer.answered_ids(1) == ["AA 2"]
        assert [arrival.codes for arrival in seen] == [("mllp-end-short",)] * 2


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"EHLO x\r\n"]
)
async def test_something_else_on_the_port_is_let_go_without_an_answer(data: bytes) -> None:
    async with listening() as listener, answering(listener) as seen, Peer(listener.port) as peer:
        await peer.send(data)
        assert await peer.ended() == b""
        assert seen == []
        assert listener.counts["mllp-garbage"] == 1


async def test_garbage_after_a_good_message_is_counted_and_survived() -> None:
    async with listening() as listener, answering(listener), Peer(listener.port) as peer:
        await peer.send(block(message(1)) + b"\x00garbage" + block(message(2)))
        assert await peer.answered_ids(2) == ["AA 1", "AA 2"]
        assert listener.counts["mllp-garbage"] == 1


async def test_a_connection_that_breaks_inside_a_message_leaves_nothing_behind() -> None:
    async with listening() as listener, answering(listener) as seen:
        async with Peer(listener.port) as peer:
            await peer.send(block(message(1)) + b"\x0b" + message(2)[:20])
            assert await peer.answered_ids(1) == ["AA 1"]
            peer.reset()
        await until(lambda: listener.counts["connections"] == 0)
        async with Peer(listener.port) as peer:
            await peer.send(block(message(3)))
            assert await peer.answered_ids(1) == ["AA 3"]
        assert [arrival.body for arrival in seen] == [message(1), message(3)]
        assert listener.counts["mllp-cut-off"] == 1
        assert listener.pressure.partial == 0


# -- back-pressure ------------------------------------------------------------------------------------------------


async def flood(peer: Peer, stop: asyncio.Event) -> None:
    """Send as fast as the other side lets us, and read nothing."""
    chunk = b"".join(block(message(number, b"x" * 1000)) for number in range(50))
    with suppress(ConnectionError):
        while not stop.is_set():
            peer.write(chunk)
            await peer.writer.drain()


async def test_a_flood_without_answers_is_stopped_by_the_limit_of_the_connection() -> None:
    limits = {"connection_messages": 100}
    async with listening(limits=limits) as listener, Peer(listener.port) as peer:
        stop = asyncio.Event()
        flooding = asyncio.create_task(flood(peer, stop))
        arrivals = await listener.read()
        while True:
            try:
                arrivals += await asyncio.wait_for(listener.read(), 0.3)
            except TimeoutError:
                break
        one_chunk = 256 * 1024 // 1000
        assert 100 <= len(arrivals) <= 100 + one_chunk
        for arrival in arrivals:
            yes(arrival)
        assert await asyncio.wait_for(listener.read(), 5)  # reading went on
        stop.set()
        flooding.cancel()


async def test_a_flood_over_many_connections_is_stopped_by_the_limit_of_the_source() -> None:
    async with listening(limits={"source_messages": 20}) as listener:
        peers = [Peer(listener.port) for _ in range(8)]
        for peer in peers:
            await peer.__aenter__()
            await peer.send(block(message("first")))
        arrivals = await take(listener, 8)
        for round_number in range(10):
            for peer in peers:
                await peer.send(block(message(round_number)))
        while listener.counts["unanswered"] < 20:
            arrivals += await listener.read()
        await asyncio.sleep(0.05)
        assert listener.counts["unanswered"] <= 20 + 8 * 10
        answered = 0
        while answered < 8 * 11:
            if not arrivals:
                arrivals = await asyncio.wait_for(listener.read(), 10)
            for arrival in arrivals:
                yes(arrival)
            answered += len(arrivals)
            arrivals = []
        for peer in peers:
            assert await peer.answered_ids(11) == ["AA first", *(f"AA {number}" for number in range(10))]
            await peer.__aexit__(None, None, None)


async def test_a_peer_that_does_not_read_its_answers_is_let_go() -> None:
    limits = {"write_seconds": 0.2, "write_bytes": 1024}
    async with listening(limits=limits) as listener, Peer(listener.port, receive_buffer=2048) as peer:
        peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
        stop = asyncio.Event()
        async with answering(listener) as seen:
            flooding = asyncio.create_task(flood(peer, stop))
            await until(lambda: listener.counts.get("mllp-answers-unread") == 1)
            await until(lambda: listener.counts["connections"] == 0)
            stop.set()
            flooding.cancel()
            assert seen
        assert listener.counts["unanswered"] == 0


async def test_unfinished_messages_together_cannot_take_more_than_the_source_keeps() -> None:
    limits = {"source_bytes": 100_000, "message_bytes": 90_000, "connection_bytes": 100_000}
    async with listening(limits=limits) as listener, Peer(listener.port) as one, Peer(listener.port) as other:
        await one.send(b"\x0b" + message(1, b"x" * 60_000))
        await until(lambda: listener.pressure.partial >= 60_000)
        await other.send(b"\x0bMSH|" + b"x" * 60_000)
        assert await other.ended() == b""
        assert listener.counts["mllp-overloaded"] == 1
        async with answering(listener):
            await one.send(b"\x1c\r")
            assert await one.answered_ids(1) == ["AA 1"]


# -- time ---------------------------------------------------------------------------------------------------------


async def test_a_slow_message_is_let_go_though_bytes_keep_coming() -> None:
    async with listening(limits={"frame_seconds": 0.15}) as listener, Peer(listener.port) as peer:

        async def drip() -> None:
            with suppress(ConnectionError):
                for byte in block(message(1, b"x" * 5000)):
                    await peer.send(bytes([byte]))
                    await asyncio.sleep(0.01)

        dripping = asyncio.create_task(drip())
        assert await peer.ended() == b""
        dripping.cancel()
        assert listener.counts["mllp-too-slow"] == 1


async def test_a_silent_peer_is_let_go() -> None:
    async with listening(limits={"idle_seconds": 0.1}) as listener, Peer(listener.port) as peer:
        assert await peer.ended() == b""
        assert listener.counts["mllp-idle"] == 1


async def test_a_peer_that_awaits_its_answer_is_not_idle() -> None:
    async with listening(limits={"idle_seconds": 0.1}) as listener, Peer(listener.port) as peer:
        await peer.send(block(message(1)))
        (arrival,) = await take(listener, 1)
        await asyncio.sleep(0.3)
        yes(arrival)
        assert await peer.answered_ids(1) == ["AA 1"]


async def test_a_slow_peer_still_gets_the_answers_it_is_owed() -> None:
    async with listening(limits={"frame_seconds": 0.05, "drain_seconds": 5}) as listener, Peer(listener.port) as peer:
        await peer.send(block(message(1)) + b"\x0bMSH|")
        (arrival,) = await take(listener, 1)
        await until(lambda: listener.counts.get("mllp-too-slow") == 1)
        yes(arrival)
        assert await peer.answered_ids(1) == ["AA 1"]
        assert await peer.ended() == b""


async def test_half_open_peers_are_found_by_keepalive() -> None:
    async with listening(limits={"keepalive_seconds": 7}) as listener, Peer(listener.port) as peer:
        await peer.send(b"\r")
        await until(lambda: listener.counts["connections"] == 1)
        (connection,) = listener._connections
        assert connection._transport is not None
        plain = connection._transport.get_extra_info("socket")
        assert plain.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        if hasattr(socket, "TCP_KEEPIDLE"):
            assert plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 7


# -- who may connect ----------------------------------------------------------------------------------------------


async def test_more_peers_than_allowed_are_turned_away() -> None:
    async with listening(limits={"connections": 2}) as listener, answering(listener):
        async with Peer(listener.port) as one, Peer(listener.port) as two:
            for peer in (one, two):
                await peer.send(block(message(1)))
                assert await peer.answered_ids(1) == ["AA 1"]
            async with Peer(listener.port) as three:
                assert await three.ended() == b""
            assert listener.counts["mllp-connections-full"] == 1
        await until(lambda: listener.counts["connections"] == 0)
        async with Peer(listener.port) as four:
            await four.send(block(message(4)))
            assert await four.answered_ids(1) == ["AA 4"]


async def test_a_peer_outside_the_allowed_networks_is_turned_away() -> None:
    async with listening(allow=("10.0.0.0/8", "2001:db8::/32")) as listener, Peer(listener.port) as peer:
        assert await peer.ended() == b""
        assert listener.counts["mllp-peer-not-allowed"] == 1


async def test_a_peer_inside_an_allowed_network_may_send() -> None:
    async with listening(allow=("127.0.0.0/8",)) as listener, answering(listener), Peer(listener.port) as peer:
        await peer.send(block(message(1)))
        assert await peer.answered_ids(1) == ["AA 1"]


# -- opening and closing ------------------------------------------------------------------------------------------


async def test_a_port_that_is_taken_is_said_at_once() -> None:
    async with listening() as listener:
        second = MllpListener("other", MllpSource(port=listener.port))
        assert [finding.code for finding in await second.probe()] == ["mllp-bind-failed"]
        with pytest.raises(ConfigError) as caught:
            await second.open()
        assert caught.value.code == "mllp-bind-failed"
        assert str(listener.port) in caught.value.message


async def test_a_network_that_is_none_is_said_at_once() -> None:
    listener = MllpListener("adt", MllpSource(port=0, allow=("10.0.0.1/8",)))
    assert [finding.code for finding in await listener.probe()] == ["mllp-allow-invalid"]
    with pytest.raises(ConfigError, match=r"10\.0\.0\.1/8"):
        await listener.open()


async def test_listening_beyond_loopback_without_tls_is_a_warning() -> None:
    findings = await MllpListener("adt", MllpSource(port=0, host="0.0.0.0")).probe()
    assert [finding.code for finding in findings] == ["mllp-exposed"]


async def test_the_port_is_loopback_unless_told_otherwise() -> None:
    async with listening() as listener:
        assert [one.getsockname()[0] for one in listener._sockets] == ["127.0.0.1"]


async def test_closing_lets_outstanding_answers_go_out_first() -> None:
    listener = MllpListener("adt", MllpSource(port=0))
    await listener.open()
    port = listener.port
    async with Peer(port) as peer:
        await peer.send(block(message(1)))
        (arrival,) = await take(listener, 1)
        closing = asyncio.create_task(listener.close())
        assert await listener.read() == []
        with pytest.raises(ConnectionRefusedError):
            await Peer(port).__aenter__()
        yes(arrival)
        assert await peer.answered_ids(1) == ["AA 1"]
        await asyncio.wait_for(closing, 10)
        assert await peer.ended() == b""


async def test_what_came_before_closing_can_still_be_read_and_answered() -> None:
    listener = MllpListener("adt", MllpSource(port=0))
    await listener.open()
    async with Peer(listener.port) as peer:
        await peer.send(block(message(1)))
        await until(lambda: listener.counts["unanswered"] == 1)
        closing = asyncio.create_task(listener.close())
        (arrival,) = await listener.read()
        yes(arrival)
        assert await peer.answered_ids(1) == ["AA 1"]
        await closing
        assert await listener.read() == []


async def test_closing_does_not_wait_for_answers_longer_than_the_drain_time() -> None:
    async with listening(limits={"drain_seconds": 0.05}) as listener, Peer(listener.port) as peer:
        await peer.send(block(message(1)))
        (arrival,) = await take(listener, 1)
        await asyncio.wait_for(listener.close(), 10)
        yes(arrival)
        assert await peer.ended() == b""


async def test_a_port_can_be_opened_again_after_closing() -> None:
    listener = MllpListener("adt", MllpSource(port=0))
    await listener.open()
    port = listener.port
    await listener.close()
    again = MllpListener("adt", MllpSource(port=port))
    await again.open()
    async with answering(again), Peer(port) as peer:
        await peer.send(block(message(1)))
        assert await peer.answered_ids(1) == ["AA 1"]
    await again.close()


async def test_closing_in_the_moment_of_a_connection_does_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    closing: list[asyncio.Task[None]] = []
    real = MllpListener.came

    def came(listener: MllpListener, connection: Any) -> None:
        real(listener, connection)
        closing.append(asyncio.create_task(listener.close()))

    monkeypatch.setattr(MllpListener, "came", came)
    async with listening() as listener, Peer(listener.port) as peer:
        await peer.send(block(message(1)))
        await until(lambda: closing)
        await asyncio.wait_for(closing[0], 10)
        assert await peer.ended() == b""
        assert listener.counts["connections"] == 0


async def test_a_fault_of_our_own_reaches_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: MllpListener, accepted: socket.socket, address: object) -> None:
        accepted.close()
        raise RuntimeError("a fault of our own")

    monkeypatch.setattr(MllpListener, "_receive", fail)
    async with listening() as listener, Peer(listener.port):
        with pytest.raises(RuntimeError, match="our own"):
            await asyncio.wait_for(listener.read(), 10)


# -- configuration ------------------------------------------------------------------------------------------------


def test_a_source_is_told_by_its_kind_and_takes_no_unknown_keys() -> None:
    read = msgspec.convert({"kind": "mllp", "port": 2575, "tolerances": {"zone-missing": "AE"}}, MllpSource)
    assert (read.host, read.tolerances) == ("127.0.0.1", {"zone-missing": Disposition.AE})
    with pytest.raises(msgspec.ValidationError, match="prot"):
        msgspec.convert({"kind": "mllp", "port": 2575, "prot": 1}, MllpSource)
