"""Batches and files of messages."""

from __future__ import annotations

import pytest
from hl7v2_samples import ADT, ORU
from hypothesis import given
from hypothesis import strategies as st

from hilum.formats.hl7v2 import is_batch, split_batch
from hilum.model import Disposition

FHS, BHS = b"FHS|^~\\&|EHR\r", b"BHS|^~\\&|EHR\r"


def codes(raw: bytes) -> list[str]:
    return [item.code for item in split_batch(raw).findings]


def test_a_batch_gives_its_messages_byte_for_byte() -> None:
    raw = FHS + BHS + ADT + ORU + b"BTS|2\r" + BHS + ADT + b"BTS|1\rFTS|2\r"
    batch = split_batch(raw)
    assert batch.messages == (ADT, ORU, ADT)
    assert (batch.batches, batch.findings, batch.disposition) == (2, (), Disposition.ACCEPT)
    assert batch.header == FHS.rstrip()


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (BHS + ADT + b"BTS|2\r", ["batch-count"]),
        (FHS + BHS + ADT + b"BTS|1\rFTS|3\r", ["batch-file-count"]),
        (FHS + BHS + ADT + b"BTS|2\rFTS|2\r", ["batch-count", "batch-file-count"]),
        (BHS + ADT + b"BTS|\r", ["batch-count-missing"]),
        (BHS + ADT + b"BTS|many\r", ["batch-count-missing"]),
        (BHS + ADT, ["batch-trailer-missing"]),
        (FHS + BHS + ADT + b"BTS|1\r", ["batch-trailer-missing"]),
        (BHS + ADT + BHS + ADT + b"BTS|1\r", ["batch-trailer-missing"]),
        (ADT + b"BTS|1\r", ["batch-header-missing"]),
        (BHS + b"PID|1\r" + ADT + b"BTS|1\r", ["batch-stray-segment"]),
        (BHS + b"BTS|0\r", ["batch-empty"]),
        (ADT + ORU, ["batch-glued"]),
        (b"\x0b" + ADT + b"\x1c\r\x0b" + ORU + b"\x1c\r", ["batch-framed", "batch-glued"]),
        (b"\xef\xbb\xbf" + BHS + ADT + b"BTS|1\r", ["byte-order-mark"]),
        (FHS + ADT + b"FTS|1\r", []),
        (BHS.replace(b"\r", b"\r\n") + ADT.replace(b"\r", b"\r\n") + b"BTS|1\r\n", []),
        (b"BHS#*!%@#EHR\r" + ADT + b"BTS#1\r", []),
    ],
)
def test_counts_and_headers_are_checked(raw: bytes, found: list[str]) -> None:
    assert is_batch(raw)
    assert codes(raw) == found


def test_a_wrong_count_refuses_the_whole_and_says_both_numbers() -> None:
    batch = split_batch(BHS + ADT + b"BTS|2\r")
    assert batch.disposition is Disposition.AE
    assert batch.findings[0].location == "BTS[1]-1"
    assert "2 said, 1 there" in batch.findings[0].message


def test_a_source_can_tolerate_less_or_more() -> None:
    cut_off = BHS + ADT
    assert split_batch(cut_off, {"batch-trailer-missing": Disposition.AE}).disposition is Disposition.AE
    assert split_batch(BHS + ADT + b"BTS|2\r", {"batch-count": Disposition.WARNING}).disposition is Disposition.WARNING
    assert split_batch(ADT + ORU, {"batch-glued": Disposition.ACCEPT}).findings == ()


def test_framed_messages_of_a_file_are_cut_clean() -> None:
    assert split_batch(b"\x0b" + ADT + b"\x1c\r\x0b" + ORU + b"\x1c\r").messages == (ADT, ORU)


@pytest.mark.parametrize(
    "raw", [ADT, b"\xef\xbb\xbf" + ADT, b"\r\n" + ADT, b"", b"GET /", ADT.replace(b"Una", b"MSH|x")]
)
def test_one_message_alone_is_no_batch(raw: bytes) -> None:
    assert not is_batch(raw)


def test_garbage_is_one_message_for_the_gate() -> None:
    assert split_batch(b"garbage\rmore").messages == (b"garbage\rmore",)
    assert split_batch(b"").messages == ()


@given(
    st.lists(
        st.sampled_from([ADT, ORU, FHS, BHS, b"BTS|1\r", b"FTS|1\r", b"PID|1\r", b"\x0b", b"\x1c\r", b"x\n"]),
        max_size=12,
    )
)
def test_messages_are_cut_out_in_order_and_never_changed(pieces: list[bytes]) -> None:
    raw = b"".join(pieces)
    at = 0
    for body in split_batch(raw).messages:
        at = raw.find(body, at)
        assert at >= 0
        at += len(body)


@given(st.binary(max_size=200))
def test_no_bytes_make_splitting_fail(raw: bytes) -> None:
    is_batch(raw)
    split_batch(raw)
    split_batch(BHS + raw)
