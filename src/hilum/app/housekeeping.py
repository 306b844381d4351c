"""What a running hilum does now and then: index, seal old messages, retire what was kept long enough, tell people."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import structlog

from hilum.app.opening import Opened
from hilum.app.refused_files import tell_of_refused_files
from hilum.app.rules import source_configs
from hilum.config import Tree, retention_days
from hilum.engine import LOOK_BACK_HOURS, Feed, feeds, heard_again, silence_items
from hilum.errors import HilumError, NotFound
from hilum.journal import MessageQuery

__all__ = ["DAY", "feeds_of", "housekeeping", "keep_indexed", "retire", "seal", "tell_of_silence"]

DAY = 86_400_000_000  # microseconds
SEAL_AFTER_DAYS = 30
EVERY = 60.0  # seconds
INDEX_EVERY = 5.0
INDEX_PAUSE = 0.02  # between two batches

log = structlog.get_logger(__name__)


async def housekeeping(opened: Opened) -> None:
    """Until cancelled: files refused are told of every minute, the rest is done every hour.

    Trouble is logged, and tried again when it is due again: nothing depends on it.
    """
    for minute in itertools.count():
        await _tried(tell_of_refused_files(opened))
        if minute % 60 == 0:
            await _tried(_hourly(opened))
        await asyncio.sleep(EVERY)


async def _tried(work: Coroutine[Any, Any, object]) -> None:
    try:
        await work
    except HilumError as error:
        log.warning("house could not be kept", code=error.code)


async def _hourly(opened: Opened) -> None:
    sealed = await seal(opened, SEAL_AFTER_DAYS)
    retired = await retire(opened, "engine")
    if sealed or retired:
        log.info("kept house", sealed=sealed, retired=retired)
    await tell_of_silence(opened, time.time_ns() // 1000)


async def keep_indexed(opened: Opened) -> None:
    """Take resources into the index of the packages' search parameters, until cancelled; other work comes between."""
    while True:
        try:
            done = await opened.repository.index_packages()
        except HilumError as error:
            log.warning("parameters of packages could not be indexed", code=error.code)
            done = 0
        await asyncio.sleep(INDEX_PAUSE if done else INDEX_EVERY)


async def tell_of_silence(opened: Opened, now: int) -> int:
    """An item for each feed that should have been heard of by now; one that was told of is not told of again.

    Items of feeds that were heard of since are settled. `now` in microseconds; returns how many items are new.
    """
    repository = opened.repository
    found = await asyncio.to_thread(feeds_of, opened, now)
    told = repository.exceptions(code="feed-silent", is_open=None, limit=10_000)
    ended = heard_again([item.group for item in told if item.is_open], found)
    for item in told:
        if item.is_open and item.group in ended:
            with suppress(NotFound):  # a person settled it meanwhile
                await repository.settle(item.id, "hilum", ended[item.group])
    groups = {item.group for item in told}
    news = [item for item in silence_items(found, owners_of(opened.tree)) if item.group not in groups]
    if news:
        await repository.report(news)
    return len(news)


def feeds_of(opened: Opened, now: int) -> list[Feed]:
    """Every feed of the last weeks."""
    return feeds(opened.journal.rates(now - LOOK_BACK_HOURS * DAY // 24), now)


def owners_of(tree: Tree) -> dict[str, str]:
    """Who looks after each source."""
    return {name: config.owner for name, config in source_configs(tree).items()}


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
