"""How commands treat the garbage collector."""

from __future__ import annotations

import gc

__all__ = ["collect_seldom", "settle_memory"]

# Messages, tables and what is imported make many containers and hardly a cycle: looking for cycles after every 700 of
# them costs a fifth of the CPU. Old objects are looked through far more rarely.
THRESHOLDS = (50_000, 20, 50)


def collect_seldom() -> None:
    """For the whole life of a command."""
    gc.set_threshold(*THRESHOLDS)


def settle_memory() -> None:
    """Once everything is set up: leave what will stay out of every collection."""
    gc.collect()
    gc.freeze()
    collect_seldom()
