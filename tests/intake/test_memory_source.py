"""The twin without a wire: what is fed is read, and what is answered can be awaited."""

from __future__ import annotations

import pytest

from hilum.intake import MemorySource
from hilum.model import Ack, Finding

pytestmark = pytest.mark.anyio


async def test_the_first_answer_is_what_feed_waits_for() -> None:
    source = MemorySource("memory")
    answer = source.feed(b"MSH|")
    (arrival,) = await source.read()
    arrival.answer(Ack("CA"))
    arrival.answer(Ack("AA"))
    assert (await answer).code == "CA"
    assert [(body, ack.code) for body, ack in source.answers] == [(b"MSH|", "CA"), (b"MSH|", "AA")]


async def test_a_fault_can_be_fed() -> None:
    source = MemorySource("memory")
    source.feed(b"MSH|", fault=Finding("mllp-too-large", "too large"))
    (arrival,) = await source.read()
    assert arrival.fault is not None
    assert arrival.fault.code == "mllp-too-large"
