"""What every test gets: asyncio as the one concurrency model, and hypothesis without a clock."""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("hilum", deadline=None)
settings.load_profile("hilum")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
