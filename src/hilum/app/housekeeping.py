"""What a running hilum does now and then: seal old messages, and retire what has been kept long enough."""

from __future__ import annotations

import asyncio
import time

import structlog

from hilum.app.opening import Opened
from hilum.config import retention_days
from hilum.errors import HilumError
from hilum.journal import MessageQuery

__all__ = ["DAY", "housekeeping", "retire", "seal"]

DAY = 86_400_000_000  # microseconds
SEAL_AFTER_DAYS = 30
EVERY = 3600.0  # seconds

log = structlog.get_logger(__name__)


async def housekeeping(opened: Opened) -> None:
    """Every hour, until cancelled. Trouble is logged, and tried again an hour later: nothing depends on it."""
    while True:
        try:
            sealed = await seal(opened, SEAL_AFTER_DAYS)
            retired = await retire(opened, "engine")
            if sealed or retired:
                log.info("kept house", sealed=sealed, retired=retired)
        except HilumError as error:
            log.warning("old messages could not be sealed", code=error.code)
        await asyncio.sleep(EVERY)


async def seal(opened: Opened, days: int) -> int:
    """Seal messages older than this; returns how many."""
    before = time.time_ns() // 1000 - days * DAY
    newest = opened.journal.messages(MessageQuery(until=before, limit=1)).messages
    if not newest:
        return 0
    return sum(one.messages for one in await opened.journal.seal(newest[0].seq, opened.repository.positions()))


async def retire(opened: Opened, actor: str) -> int:
    """Delete sealed messages older than `store.retain`; without it, nothing. Returns how many."""
    retain = opened.integration.store.retain
    if retain is None:
        return 0
    before = time.time_ns() // 1000 - retention_days(retain) * DAY
    return sum(one.messages for one in await opened.journal.delete_sealed(before, actor))
