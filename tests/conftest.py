"""What every test gets: asyncio as the one concurrency model, hypothesis without a clock, rare walks through memory."""

from __future__ import annotations

import gc

import pytest
from hypothesis import settings

settings.register_profile("hilum", deadline=None)
settings.load_profile("hilum")

# Six thousand tests and the plans of workbooks that they share are millions of objects that stay: as in a running hilum
# (`settle_memory`) they are not walked again and again, which took half of the time.
gc.set_threshold(50_000, 20, 50)


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
