"""However the bytes are cut and whatever a sender forgets, the decoder says what is certain and guesses nothing."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import FormatError
from hilum.protocols import Fault, Frame, MllpDecoder, frame

LIMIT = 1000
A = b"MSH|^~\\&|A\rPID|1\r"
B = b"MSH|^~\\&|B\rPID|2\r"


def decode(*chunks: bytes, limit: int = LIMIT) -> list[Frame | Fault]:
    decoder = MllpDecoder(limit)
    return [event for chunk in chunks for event in decoder.feed(chunk)]


def whole(data: bytes, limit: int = LIMIT) -> list[Frame | Fault]:
    decoder = MllpDecoder(limit)
    return decoder.feed(data) + decoder.finish()


def by_byte(data: bytes, limit: int = LIMIT) -> list[Frame | Fault]:
    decoder = MllpDecoder(limit)
    return [event for at in range(len(data)) for event in decoder.feed(data[at : at + 1])] + decoder.finish()


CASES = {
    "one clean block": (frame(A), [Frame(A)]),
    "two glued blocks": (frame(A) + frame(B), [Frame(A), Frame(B)]),
    "an empty block": (b"\x0b\x1c\r", [Frame(b"")]),
    "a doubled start": (b"\x0b\x0b" + A + b"\x1c\r", [Frame(A, ("mllp-start-doubled",))]),
    "a tripled start": (b"\x0b\x0b\x0b" + A + b"\x1c\r", [Frame(A, ("mllp-start-doubled",))]),
    "a doubled start before other text": (b"\x0b\x0bxyz\x1c\r", [Frame(b"xyz", ("mllp-start-doubled",))]),
    "a missing start": (A + b"\x1c\r" + frame(B), [Frame(A, ("mllp-start-missing",)), Frame(B)]),
    "a missing start of a batch": (b"FHS|^~\\&\r\x1c\r", [Frame(b"FHS|^~\\&\r", ("mllp-start-missing",))]),
    "FS without CR": (b"\x0b" + A + b"\x1c" + frame(B), [Frame(A, ("mllp-end-short",)), Frame(B)]),
    "a block cut off by the next": (b"\x0b" + A + frame(B), [Fault("mllp-cut-off", A, len(A)), Frame(B)]),
    "a doubled end": (frame(A) + b"\x1c\r" + frame(B), [Frame(A), Frame(B)]),
    "line ends between": (b"\r\n" + frame(A) + b"\r\n\r\n \x00" + frame(B), [Frame(A), Frame(B)]),
    "garbage between": (frame(A) + b"%PDF-1.4" + frame(B), [Frame(A), Fault("mllp-garbage"), Frame(B)]),
    "garbage with an end": (frame(A) + b"PID|1\x1c\r" + frame(B), [Frame(A), Fault("mllp-garbage"), Frame(B)]),
    "an HTTP request": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", [Fault("mllp-garbage")]),
    "almost a header": (b"MSX|" + frame(A), [Fault("mllp-garbage"), Frame(A)]),
    "VT in a text": (frame(b"MSH|a\x0bb|\x0bMS"), [Frame(b"MSH|a\x0bb|\x0bMS")]),
    "FS in a text": (frame(b"MSH|a\x1cb\x1c"), [Frame(b"MSH|a\x1cb\x1c")]),
    "the end never came": (b"\x0b" + A, [Fault("mllp-cut-off", A, len(A))]),
    "only CR never came": (b"\x0b" + A + b"\x1c", [Frame(A, ("mllp-end-short",))]),
    "only a start came": (b"\x0b", []),
    "only doubled starts came": (b"\x0b\x0b\x0b", []),
    "nothing came": (b"", []),
}


@pytest.mark.parametrize("name", CASES)
def test_each_way_of_stumbling_has_one_reading(name: str) -> None:
    data, expected = CASES[name]
    assert whole(data) == expected


@pytest.mark.parametrize("name", CASES)
def test_each_way_of_stumbling_reads_the_same_byte_by_byte(name: str) -> None:
    data, expected = CASES[name]
    assert by_byte(data) == expected


def test_a_body_of_exactly_the_limit_is_whole() -> None:
    body = b"MSH|" + b"x" * (LIMIT - 4)
    assert whole(frame(body)) == by_byte(frame(body)) == [Frame(body)]


def test_of_a_larger_body_the_first_bytes_are_kept_and_its_size_is_told() -> None:
    body = b"MSH|" + b"x" * 5000
    for data in (frame(body), b"\x0b" + body + frame(B)):
        assert whole(data)[0] == by_byte(data)[0] == Fault("mllp-too-large", body[:LIMIT], len(body))


def test_a_doubled_start_is_no_part_of_a_larger_body() -> None:
    data = b"\x0b\x0b\x0b" + b"x" * 50 + frame(B)
    assert whole(data, 20)[0] == by_byte(data, 20)[0] == Fault("mllp-too-large", b"x" * 20, 50)
    assert whole(data, 1)[0] == by_byte(data, 1)[0] == Fault("mllp-too-large", b"x", 50)


def test_the_block_after_a_larger_one_is_taken() -> None:
    data = frame(b"MSH|" + b"x" * 5000) + frame(B)
    assert whole(data)[1:] == by_byte(data)[1:] == [Frame(B)]


def test_little_more_than_the_limit_is_ever_kept() -> None:
    decoder = MllpDecoder(LIMIT)
    decoder.feed(b"\x0bMSH|")
    for _ in range(100):
        decoder.feed(b"x" * 10_000)
        assert decoder.pending < LIMIT + 100


def test_a_block_that_lacks_its_cr_can_be_taken_when_the_peer_is_silent() -> None:
    decoder = MllpDecoder(LIMIT)
    assert decoder.feed(b"\x0b" + A + b"\x1c") == []
    assert decoder.ends_short
    assert decoder.flush() == [Frame(A, ("mllp-end-short",))]
    assert decoder.pending == 0
    assert decoder.feed(b"\r" + frame(B)) == [Frame(B)]


def test_flush_takes_nothing_that_is_not_ended() -> None:
    decoder = MllpDecoder(LIMIT)
    decoder.feed(b"\x0b" + A)
    assert not decoder.ends_short
    assert decoder.flush() == []
    assert decoder.feed(b"\x1c\r") == [Frame(A)]


PIECES = st.sampled_from(
    [
        b"\x0b",
        b"\x1c",
        b"\r",
        b"\x1c\r",
        b"\n",
        b"MSH",
        b"FHS|",
        b"\x0bMSH|",
        b"PID|1",
        b"x",
        b"M",
        b"B",
        b"\x00",
        b"y" * 40,
    ]
)


@given(st.lists(PIECES, max_size=40), st.lists(st.integers(0, 400), max_size=20), st.integers(1, 60))
def test_frames_do_not_depend_on_chunks(pieces: list[bytes], cuts: list[int], limit: int) -> None:
    data = b"".join(pieces)
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    decoder = MllpDecoder(limit)
    events: list[Frame | Fault] = []
    for begin, end in pairwise(places):
        events += decoder.feed(data[begin:end])
        assert decoder.pending <= limit + len(data[begin:end]) + limit + 8
    assert events + decoder.finish() == whole(data, limit) == by_byte(data, limit)


BODIES = st.lists(PIECES, max_size=12).map(b"".join).filter(lambda body: _is_framed(body))


def _is_framed(body: bytes) -> bool:
    try:
        frame(body)
    except FormatError:
        return False
    return True


@given(st.lists(BODIES, max_size=8), st.data())
def test_what_was_framed_is_decoded(bodies: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(map(frame, bodies))
    cut = data.draw(st.integers(0, len(stream)))
    assert decode(stream[:cut], stream[cut:]) == [Frame(body) for body in bodies]


@pytest.mark.parametrize("body", [b"MSH|\x1c\rPID", b"MSH|\x1c\x0b", b"MSH|a\x0bMSH|b", b"\x0bMSH|"])
def test_a_body_that_would_be_cut_is_not_framed(body: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        frame(body)
    assert caught.value.code == "mllp-body-unframeable"


class CountingBuffer(bytearray):
    """Counts the bytes that searches may have looked at."""

    looked_at = 0

    def find(self, what: bytes, start: int = 0, end: int | None = None) -> int:  # type: ignore[override]
        found = super().find(what, start, len(self) if end is None else end)
        CountingBuffer.looked_at += (len(self) if found < 0 else found) - start
        return found


@pytest.mark.parametrize("limit", [20_000_000, 1_000_000])
def test_ten_megabytes_in_chunks_are_looked_at_once_per_question(limit: int) -> None:
    data = frame(b"MSH|" + b"x" * 10_000_000)
    decoder = MllpDecoder(limit)
    decoder._buffer = CountingBuffer()
    CountingBuffer.looked_at = 0
    events = [event for at in range(0, len(data), 65536) for event in decoder.feed(data[at : at + 65536])]
    assert len(events) == 1
    assert CountingBuffer.looked_at < 3 * len(data)


@pytest.mark.parametrize("filler", [b"\x0b", b"\x1c", b"\x1cx", b"\x0bMS", b"\r"])
def test_ten_megabytes_of_almost_framing_are_one_body(filler: bytes) -> None:
    body = b"MSH|" + filler * (10_000_000 // len(filler)) + b"|"
    data = frame(body)
    assert decode(*(data[at : at + 65536] for at in range(0, len(data), 65536)), limit=len(body)) == [Frame(body)]
