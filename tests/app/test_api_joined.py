"""Writes of one turn of the loop leave by one call."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hilum.app.api.joined import MOST, Joined

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Wire(asyncio.Transport):
    """Takes down what is done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[Any] = []

    def write(self, data: Any) -> None:
        self.done.append(bytes(data))

    def close(self) -> None:
        self.done.append("closed")

    def is_closing(self) -> bool:
        return "closed" in self.done


def joined() -> tuple[Wire, Joined]:
    wire = Wire()
    return wire, Joined(wire, asyncio.get_running_loop())


async def test_a_head_and_its_body_are_one_write() -> None:
    wire, transport = joined()
    transport.write(b"head ")
    transport.write(b"body")
    assert wire.done == []
    await asyncio.sleep(0)
    transport.write(b"next")
    await asyncio.sleep(0)
    assert wire.done == [b"head body", b"next"]


async def test_a_stream_is_not_held_back() -> None:
    wire, transport = joined()
    transport.write(b"head")
    transport.write(b"x" * MOST)
    assert [len(one) for one in wire.done] == [MOST + 4]
    transport.write(b"end")
    await asyncio.sleep(0)
    assert wire.done[1:] == [b"end"]


async def test_what_was_written_leaves_before_the_close_and_nothing_after_it() -> None:
    wire, transport = joined()
    transport.write(b"last")
    transport.close()
    transport.write(b"too late")
    await asyncio.sleep(0)
    assert wire.done == [b"last", "closed"]
