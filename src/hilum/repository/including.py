"""What comes with the matches of a page: what they refer to, and what refers to them (R4 search.html#include)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol, TypeVar

from hilum.errors import HilumError

from .arranging import Inclusion

__all__ = ["Found", "include"]

ROUNDS = 5  # of `:iterate`
MOST_INCLUDED = 5_000


class Found(Protocol):
    """A resource of a page."""

    @property
    def rid(self) -> int:
        """Its number in the store."""
        ...

    @property
    def type_name(self) -> str:
        """Its type."""
        ...


T = TypeVar("T", bound=Found)


def include(
    page: Sequence[T],
    forward: Sequence[Inclusion],
    backward: Sequence[Inclusion],
    follow: Callable[[Collection[T], Sequence[Inclusion]], Iterable[T]],
    trace: Callable[[Collection[T], Sequence[Inclusion]], Iterable[T]],
) -> list[T]:
    """Everything that is included, each once, without what is on the page. Raises HilumError `search-too-wide`.

    `follow` gives what some resources refer to, `trace` what refers to them.
    """
    seen = {one.rid for one in page}
    found: list[T] = []
    frontier: Collection[T] = page
    for round_ in range(ROUNDS):
        ahead = [one for one in forward if round_ == 0 or one.again]
        back = [one for one in backward if round_ == 0 or one.again]
        if not frontier or not (ahead or back):
            break
        fresh = {one.rid: one for one in (*_some(follow, frontier, ahead), *_some(trace, frontier, back))}
        frontier = [fresh[rid] for rid in sorted(fresh.keys() - seen)]
        seen.update(one.rid for one in frontier)
        found += frontier
        if len(found) > MOST_INCLUDED:
            raise HilumError(
                f"more than {MOST_INCLUDED} resources would be included: ask for smaller pages, or include less",
                code="search-too-wide",
                location="_include",
            )
    return sorted(found, key=lambda one: one.rid)


def _some(
    step: Callable[[Collection[T], Sequence[Inclusion]], Iterable[T]],
    frontier: Collection[T],
    inclusions: Sequence[Inclusion],
) -> Iterable[T]:
    return step(frontier, inclusions) if inclusions else ()
