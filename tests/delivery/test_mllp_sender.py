"""The MLLP sender against partners that answer wrongly, late, twice, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.delivery import MllpAnswers, MllpDestination, MllpSender
from hilum.delivery.hl7_answer import Answer, control_id, read_answer
from hilum.errors import ConfigError, DeliveryError, Outcome
from hilum.model import Outgoing
from hilum.protocols import ClientTls, ServerTls, server_context
from wire_certificates import Authority
from wire_peers import answer_to, block, message

pytestmark = pytest.mark.anyio

Talk = Callable[["Partner", bytes, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


class Partner:
    """A receiver with a script: `talk` is called with every message that came."""

    def __init__(self, talk: Talk) -> None:
        self.talk = talk
        self.connections = 0
        self.received: list[bytes] = []
        self.port = 0
        self.talks: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.talks.add(asyncio.create_task(self.serve(reader, writer)))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                body = (await reader.readuntil(b"\x1c\r"))[1:-2]
                self.received.append(body)
                await self.talk(self, body, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
        finally:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()


def says(*codes: bytes) -> Talk:
    """One answer per message, the last one from then on."""
    left = list(codes)

    async def talk(_: Partner, body: bytes, writer: asyncio.StreamWriter) -> None:
        code = left.pop(0) if len(left) > 1 else left[0]
        writer.write(block(answer_to(body, code)))

    return talk


def writes(*parts: bytes) -> Talk:
    async def talk(_: Partner, body: bytes, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)

    return talk


@asynccontextmanager
async def partner(talk: Talk, tls: Any = None) -> AsyncIterator[Partner]:
    one = Partner(talk)
    server = await asyncio.start_server(one.accept, "127.0.0.1", 0, limit=1 << 25, ssl=tls)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()
        for talking in one.talks:
            talking.cancel()
        await asyncio.gather(*one.talks, return_exceptions=True)


@asynccontextmanager
async def sending(port: int, **settings: Any) -> AsyncIterator[MllpSender]:
    sender = MllpSender("lab", MllpDestination(host="127.0.0.1", port=port, **{"ack_seconds": 5, **settings}))
    await sender.open()
    try:
        yield sender
    finally:
        await sender.close()


def record(number: int | str, *segments: bytes) -> Outgoing:
    return Outgoing("lab", "key", f"idempotency-{number}", message(number, *segments), "x-application/hl7-v2+er7")


async def error_of(sender: MllpSender, number: int | str = 1) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await sender.send(record(number))
    return caught.value


# -- taken --------------------------------------------------------------------------------------------------------


async def test_a_record_is_taken_when_its_own_answer_says_so() -> None:
    async with partner(says(b"AA")) as lab, sending(lab.port) as sender:
        receipt = await sender.send(record(1))
        assert (receipt.reference, receipt.detail) == ("1", "AA")
        assert lab.received == [message(1)]


async def test_the_connection_is_kept() -> None:
    async with partner(says(b"AA")) as lab, sending(lab.port) as sender:
        for number in range(20):
            await sender.send(record(number))
        assert (lab.connections, len(lab.received)) == (1, 20)


async def test_records_wait_for_each_other_on_the_one_connection() -> None:
    open_now = 0

    async def talk(_: Partner, body: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now
        open_now += 1
        assert open_now == 1
        await asyncio.sleep(0.005)
        open_now -= 1
        writer.write(block(answer_to(body)))

    async with partner(talk) as lab, sending(lab.port) as sender:
        receipts = await asyncio.gather(*(sender.send(record(number)) for number in range(10)))
        assert [receipt.reference for receipt in receipts] == [str(number) for number in range(10)]
        assert lab.received == [message(number) for number in range(10)]


async def test_an_answer_that_comes_in_pieces_is_one_answer() -> None:
    async def talk(_: Partner, body: bytes, writer: asyncio.StreamWriter) -> None:
        for byte in block(answer_to(body)):
            writer.write(bytes([byte]))
            await writer.drain()

    async with partner(talk) as lab, sending(lab.port) as sender:
        assert (await sender.send(record(1))).detail == "AA"


async def test_an_answer_sent_just_before_closing_counts_even_without_its_last_byte() -> None:
    async def talk(_: Partner, body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(block(answer_to(body))[:-1])
        writer.close()

    async with partner(talk) as lab, sending(lab.port) as sender:
        assert (await sender.send(record(1))).detail == "AA"
        assert (await sender.send(record(2))).detail == "AA"
        assert lab.connections == 2


async def test_ten_megabytes_are_sent() -> None:
    async with partner(says(b"AA")) as lab, sending(lab.port) as sender:
        await sender.send(record(1, b"x" * 10_000_000))
        assert len(lab.received[0]) > 10_000_000


# -- refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "outcome"),
    [(b"AE", Outcome.HOLD), (b"AR", Outcome.HOLD), (b"CE", Outcome.RETRY), (b"CR", Outcome.HOLD)],
)
async def test_a_refusal_means_what_partners_usually_mean(code: bytes, outcome: Outcome) -> None:
    async with partner(says(code, b"AA")) as lab, sending(lab.port) as sender:
        error = await error_of(sender)
        assert (error.code, error.outcome) == (f"mllp-answer-{code.decode().lower()}", outcome)
        await sender.send(record(2))
        assert lab.connections == 1


async def test_a_refusal_means_what_this_partner_means() -> None:
    rules = MllpAnswers(AE="retry", AR="dead_letter")
    async with partner(says(b"AE", b"AR")) as lab, sending(lab.port, answers=rules) as sender:
        assert (await error_of(sender)).outcome is Outcome.RETRY
        assert (await error_of(sender)).outcome is Outcome.DEAD_LETTER


async def test_what_the_partner_wrote_is_not_repeated_in_the_error() -> None:
    answer = b"MSH|^~\\&|\rMSA|AE|1|patient DOE unknown\rERR|||207|E||||DOE^JANE\r"
    async with partner(writes(block(answer))) as lab, sending(lab.port) as sender:
        assert "DOE" not in str(await error_of(sender))


# -- not believed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([block(answer_to(message("other")))], "mllp-answer-mismatch"),
        ([block(b"MSH|^~\\&|\rMSA|AA\r")], "mllp-answer-mismatch"),
        ([block(b"MSH|^~\\&|\rMSA|AA|\r")], "mllp-answer-mismatch"),
        ([block(b"MSH|^~\\&|\rMSA|OK|1\r")], "mllp-answer-unreadable"),
        ([block(b"MSH|^~\\&|\r")], "mllp-answer-unreadable"),
        ([block(b"")], "mllp-answer-unreadable"),
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], "mllp-garbage"),
        ([block(b"MSH|" + b"x" * 5000)], "mllp-too-large"),
    ],
)
async def test_an_answer_that_is_not_ours_closes_the_connection_and_is_tried_again(
    parts: list[bytes], code: str
) -> None:
    async with partner(writes(*parts)) as lab, sending(lab.port, answer_bytes=1000) as sender:
        error = await error_of(sender)
        assert (error.code, error.outcome) == (code, Outcome.RETRY)
        lab.talk = says(b"AA")
        assert (await sender.send(record(1))).detail == "AA"
        assert lab.connections == 2


async def test_a_second_answer_to_one_record_is_never_taken_for_the_next() -> None:
    async def twice(_: Partner, body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(block(answer_to(body)) * 2)

    async with partner(twice) as lab, sending(lab.port) as sender:
        await sender.send(record(1))
        assert (await sender.send(record(2))).reference == "2"
        assert lab.connections == 2


async def test_an_answer_that_nobody_asked_for_makes_the_connection_unusable() -> None:
    async def later(_: Partner, body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(block(answer_to(body)))
        await writer.drain()
        await asyncio.sleep(0.03)
        writer.write(block(answer_to(message(2))))
        await writer.drain()
        said.set()

    said = asyncio.Event()
    async with partner(later) as lab, sending(lab.port) as sender:
        await sender.send(record(1))
        await said.wait()
        await asyncio.sleep(0.1)
        lab.talk = says(b"AE")
        assert (await error_of(sender, 2)).code == "mllp-answer-ae"
        assert lab.connections == 2


# -- not answered -------------------------------------------------------------------------------------------------


async def test_no_answer_in_time_is_tried_again_on_a_new_connection() -> None:
    async with partner(writes()) as lab, sending(lab.port, ack_seconds=0.1) as sender:
        error = await error_of(sender)
        assert (error.code, error.outcome) == ("mllp-answer-late", Outcome.RETRY)
        lab.talk = says(b"AA")
        await sender.send(record(1))
        assert lab.connections == 2


async def test_a_partner_that_hangs_up_is_tried_again() -> None:
    async def hang_up(_: Partner, body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with partner(hang_up) as lab, sending(lab.port) as sender:
        error = await error_of(sender)
        assert (error.code, error.outcome) == ("mllp-connection-lost", Outcome.RETRY)


async def test_a_connection_that_the_partner_closed_while_idle_is_replaced() -> None:
    async def once(_: Partner, body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(block(answer_to(body)))
        writer.close()

    async with partner(once) as lab, sending(lab.port) as sender:
        for number in range(3):
            await sender.send(record(number))
            await asyncio.sleep(0.02)
        assert lab.connections == 3


async def test_a_partner_that_is_not_there_is_tried_again() -> None:
    async with partner(says(b"AA")) as lab:
        pass
    async with sending(lab.port) as sender:
        error = await error_of(sender)
        assert (error.code, error.outcome) == ("mllp-connect-failed", Outcome.RETRY)
        assert [finding.code for finding in await sender.probe()] == ["mllp-connect-failed"]


async def test_a_name_that_does_not_exist_is_tried_again() -> None:
    sender = MllpSender("lab", MllpDestination(host="nowhere.invalid", port=1))
    await sender.open()
    assert (await error_of(sender)).code == "mllp-connect-failed"


async def test_a_cancelled_send_leaves_no_answer_for_the_next() -> None:
    release = asyncio.Event()

    async def slow(_: Partner, body: bytes, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.write(block(answer_to(body)))

    async with partner(slow) as lab, sending(lab.port) as sender:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sender.send(record(1)), 0.1)
        release.set()
        assert (await sender.send(record(2))).reference == "2"
        assert lab.connections == 2


# -- records that cannot be sent ----------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", [b"", b"MSH|^~\\&|A\r", b"PID|1\r", b'{"resourceType":"Patient"}', message("")])
async def test_a_record_without_a_control_id_is_held(payload: bytes) -> None:
    async with sending(1) as sender:
        with pytest.raises(DeliveryError) as caught:
            await sender.send(Outgoing("lab", "", "k", payload))
        assert (caught.value.code, caught.value.outcome) == ("mllp-no-control-id", Outcome.HOLD)


async def test_a_record_that_would_break_the_framing_is_held() -> None:
    async with sending(1) as sender:
        with pytest.raises(DeliveryError) as caught:
            await sender.send(record(1, b"NTE|\x1c\r"))
        assert (caught.value.code, caught.value.outcome) == ("mllp-body-unframeable", Outcome.HOLD)


# -- enhanced mode ------------------------------------------------------------------------------------------------


async def test_a_commit_answer_takes_the_record_in_enhanced_mode() -> None:
    async with partner(says(b"CA")) as lab, sending(lab.port, ack="enhanced") as sender:
        assert (await sender.send(record(1))).detail == "CA"


async def test_application_answers_of_earlier_records_are_no_surprise_in_enhanced_mode() -> None:
    async def late(lab: Partner, body: bytes, writer: asyncio.StreamWriter) -> None:
        if len(lab.received) > 1:
            writer.write(block(answer_to(lab.received[-2], b"AA")))
        writer.write(block(answer_to(body, b"CA")))

    async with partner(late) as lab, sending(lab.port, ack="enhanced") as sender:
        for number in range(5):
            assert (await sender.send(record(number))).detail == "CA"
        assert lab.connections == 1


async def test_both_answers_are_awaited_where_asked_for() -> None:
    async def both(_: Partner, body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(block(answer_to(body, b"CA")))
        await asyncio.sleep(0.02)
        writer.write(block(answer_to(body, b"AA")))

    async with partner(both) as lab, sending(lab.port, ack="enhanced", application=True) as sender:
        assert (await sender.send(record(1))).detail == "AA"
        assert (await sender.send(record(2))).detail == "AA"


async def test_a_refusal_after_the_commit_answer_is_a_refusal() -> None:
    async def both(_: Partner, body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(block(answer_to(body, b"CA")) + block(answer_to(body, b"AE")))

    async with partner(both) as lab, sending(lab.port, ack="enhanced", application=True) as sender:
        assert (await error_of(sender)).code == "mllp-answer-ae"


async def test_an_application_answer_that_never_comes_is_late() -> None:
    rules = {"ack": "enhanced", "application": True, "ack_seconds": 0.1}
    async with partner(says(b"CA")) as lab, sending(lab.port, **rules) as sender:
        assert (await error_of(sender)).code == "mllp-answer-late"


# -- TLS ----------------------------------------------------------------------------------------------------------


async def test_records_go_through_mutual_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server, client = authority.issue("server"), authority.issue("client")
    context = server_context(ServerTls(certificate=server.certificate, key=server.key, client_ca=authority.ca))
    tls = ClientTls(ca=authority.ca, certificate=client.certificate, key=client.key)
    async with partner(says(b"AA"), context) as lab, sending(lab.port, tls=tls) as sender:
        assert (await sender.send(record(1))).detail == "AA"
        assert await sender.probe() == []


@pytest.mark.parametrize("kind", ["stranger", "expired", "self-signed", "other name"])
async def test_a_partner_with_a_certificate_that_does_not_do_gets_nothing(tmp_path: Path, kind: str) -> None:
    authority = Authority(tmp_path)
    signer = Authority(tmp_path, "stranger") if kind == "stranger" else authority
    pair = signer.issue("server", days=-1 if kind == "expired" else 90, self_signed=kind == "self-signed")
    context = server_context(ServerTls(certificate=pair.certificate, key=pair.key))
    tls = ClientTls(ca=authority.ca, server_name="elsewhere.example" if kind == "other name" else "")
    async with partner(says(b"AA"), context) as lab, sending(lab.port, tls=tls) as sender:
        error = await error_of(sender)
        assert (error.code, error.outcome) == ("mllp-tls-failed", Outcome.RETRY)
        assert lab.received == []


async def test_tls_files_that_do_not_do_are_said_when_opening(tmp_path: Path) -> None:
    tls = ClientTls(ca=tmp_path / "none.pem")
    sender = MllpSender("lab", MllpDestination(host="127.0.0.1", port=1, tls=tls))
    assert [finding.code for finding in await sender.probe()] == ["tls-ca-unreadable"]
    with pytest.raises(ConfigError):
        await sender.open()


# -- reading HL7 --------------------------------------------------------------------------------------------------


def test_the_control_id_is_found_with_any_separator_and_line_end() -> None:
    for body in (
        b"MSH|^~\\&|a|b|c|d|e|f|g|ID1\r",
        b"MSH#^~\\&#a#b#c#d#e#f#g# ID1 #P\n",
        b"MSH|^~\\&|a|b|c|d|e|f|g|ID1|P",
    ):
        assert control_id(body) == b"ID1"


def test_an_answer_is_read_with_any_line_end_and_separator() -> None:
    for body in (b"MSH|^~\\&|\nMSA|AE|7\n", b"MSH#^~\\&#\r\nMSA#AE#7#text\r\n", b"MSA|AE| 7 "):
        assert read_answer(body) == Answer("AE", b"7")


@given(st.binary(max_size=200))
def test_no_bytes_at_all_break_the_reading(body: bytes) -> None:
    read_answer(body)
    read_answer(b"MSH|\rMSA" + body)
    try:
        assert control_id(b"MSH" + body)
    except DeliveryError:
        return
