"""The event loop that long-running commands use, and how they treat the garbage collector."""

from __future__ import annotations

import asyncio
import gc

__all__ = ["fast_runner", "settle_memory"]

# Messages make many short-lived containers and no cycles: looking for cycles after every 700 of them costs a fifth of
# the CPU. Old objects are looked through far more rarely.
THRESHOLDS = (50_000, 20, 50)


def fast_runner() -> asyncio.Runner:
    """uvloop where it is installed: half the CPU per message."""
    try:
        import uvloop
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def settle_memory() -> None:
    """Once everything is set up: leave what will stay out of every collection, and collect less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
