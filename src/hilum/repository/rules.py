"""Small decisions that every implementation of the repository shares. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from hilum.errors import NotFound, Outcome, StoreError
from hilum.model import ExceptionItem

__all__ = ["check_positions", "drift_item", "is_learned", "missing", "with_sample"]

DAY = 86_400_000_000  # microseconds

SAMPLES = 5  # seqs kept of an exception group: the first, and the latest


def check_positions(stored: Mapping[int, int], new: Mapping[int, int], expected: Mapping[int, int] | None) -> None:
    """A reader that lags behind another must not write. Raises StoreError `position-stale` (retry)."""
    for partition, seq in new.items():
        found = stored.get(partition, 0)
        if found > seq or (expected is not None and expected.get(partition, 0) != found):
            raise StoreError(
                f"partition {partition} is at {found}, beyond what this reader saw: read the positions again",
                code="position-stale",
                location=f"partition/{partition}",
                outcome=Outcome.RETRY,
            )


def with_sample(samples: tuple[int, ...], seq: int) -> tuple[int, ...]:
    """The first seq stays, the latest push older ones out."""
    if seq in samples:
        return samples
    if len(samples) < SAMPLES:
        return (*samples, seq)
    return (samples[0], *samples[2:], seq)


def is_learned(first_at: int | None, now: int, days: int) -> bool:
    """Whether what is new of somebody is news: it was first heard of so many days ago. Times in microseconds."""
    return first_at is not None and now - first_at >= days * DAY


def drift_item(by: str, thing: str, owner: str) -> ExceptionItem:
    """What the owner of an interface is told of a thing that `by` never sent before: `field PID-19`."""
    kind, _, name = thing.partition(" ")
    return ExceptionItem(
        code=f"drift-{kind}",
        message=f"{by} sends for the first time: {thing}",
        location=name if kind in ("field", "segment") else "",
        owner=owner,
        group=f"drift|{by}|{thing}",
    )


def missing(what: str, id_: object) -> NotFound:
    """`hold`, `exception` or `delivery` of this number does not exist, or is not open."""
    return NotFound(f"there is no such {what}, or it is not open", code=f"{what}-unknown", location=f"{what}/{id_}")
