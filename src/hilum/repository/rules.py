"""Small decisions that every implementation of the repository shares. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from hilum.errors import NotFound, Outcome, StoreError

__all__ = ["check_positions", "missing", "with_sample"]

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


def missing(what: str, id_: object) -> NotFound:
    """`hold`, `exception` or `delivery` of this number does not exist, or is not open."""
    return NotFound(f"there is no such {what}, or it is not open", code=f"{what}-unknown", location=f"{what}/{id_}")
