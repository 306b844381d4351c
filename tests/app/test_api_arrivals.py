"""Tokens of requests that arrive together are looked up together, and never later."""

from __future__ import annotations

import asyncio

import pytest

from hilum.app.api.auth import Arrivals
from hilum.app.tokens import Grant, MemoryTokens, Role, TokenRefused

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Counting(MemoryTokens):
    looks = 0

    def authenticate(self, text: str) -> Grant:
        self.looks += 1
        return super().authenticate(text)


async def test_one_look_serves_a_turn_of_the_loop_and_a_revocation_holds_in_the_next() -> None:
    tokens = Counting()
    text = tokens.create("portal", Role.READER, 3_600, by="ann").text
    arrivals = Arrivals(tokens)
    assert {arrivals.authenticate(text).actor for _ in range(5)} == {"portal"}
    assert tokens.looks == 1
    tokens.revoke("portal", by="ann")
    await asyncio.sleep(0)
    with pytest.raises(TokenRefused) as refused:
        arrivals.authenticate(text)
    assert refused.value.code == "token-revoked"
    assert tokens.looks == 2


async def test_a_refusal_is_not_remembered() -> None:
    tokens = Counting()
    arrivals = Arrivals(tokens)
    for _ in range(2):
        with pytest.raises(TokenRefused):
            arrivals.authenticate("hilum_nobody")
    assert tokens.looks == 2
