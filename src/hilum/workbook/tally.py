"""What was found over many messages, small whatever their number, and added up from the parts that processes made."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

__all__ = ["SAMPLES", "Cell", "Group", "Sample", "Tally"]

SAMPLES = 3  # of each kind of difference
PAIRS = 12  # different (before, after) of each kind that are counted one by one


class Sample(Struct, frozen=True, order=True):
    """One case: `message` is a number of the journal or `file:index`; values are JSON or shapes of them."""

    at: int  # order of the messages
    message: str
    resource: str
    before: str
    after: str


class Cell(Struct):
    """One kind of difference: so many leaves (or resources) in so many messages."""

    count: int = 0
    messages: int = 0
    samples: list[Sample] = field(default_factory=list)
    pairs: dict[tuple[str, str], int] = field(default_factory=dict)

    def count_pair(self, before: str, after: str) -> None:
        """One more."""
        self.count += 1
        pair = (before, after)
        times = self.pairs.get(pair)
        if times is not None:
            self.pairs[pair] = times + 1
        elif len(self.pairs) < PAIRS:
            self.pairs[pair] = 1

    def merge(self, other: Cell) -> None:
        """Add what another process found."""
        self.count += other.count
        self.messages += other.messages
        self.samples = sorted([*self.samples, *other.samples])[:SAMPLES]
        for pair, count in other.pairs.items():
            if pair in self.pairs or len(self.pairs) < PAIRS:
                self.pairs[pair] = self.pairs.get(pair, 0) + count


class Group(Struct):
    """What a set of rows causes together: cells by (kind, type, path), path "" for whole resources."""

    cells: dict[tuple[str, str, str], Cell] = field(default_factory=dict)


class Tally(Struct):
    """All that a comparison counts. Messages: read = untouched + same + different + unreadable."""

    read: int = 0
    untouched: int = 0  # proven the same without running them
    same: int = 0
    different: int = 0
    whole: int = 0  # of same and different: run through the whole workbooks
    traced: int = 0  # of different: run again to see which row wrote what
    unreadable: dict[str, int] = field(default_factory=dict)  # by code
    unreadable_samples: list[tuple[int, str]] = field(default_factory=list)
    resources: dict[str, int] = field(default_factory=dict)  # by kind of change
    groups: dict[tuple[str, ...], Group] = field(default_factory=dict)
    held: dict[tuple[str, str], Cell] = field(default_factory=dict)  # (before, after): "code location", "" not held
    items: dict[tuple[str, str, str], list[int]] = field(default_factory=dict)  # (code, location, row): [before, after]
    accounting: dict[str, int] = field(default_factory=dict)  # mapped, ignored, exceptions: after minus before

    def merge(self, other: Tally) -> None:
        """Add the tally of other messages."""
        for name in ("read", "untouched", "same", "different", "whole", "traced"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for mine, theirs in (
            (self.unreadable, other.unreadable),
            (self.resources, other.resources),
            (self.accounting, other.accounting),
        ):
            _add(mine, theirs)
        self.unreadable_samples = sorted([*self.unreadable_samples, *other.unreadable_samples])[:SAMPLES]
        for rows, group in other.groups.items():
            mine_group = self.groups.setdefault(rows, Group())
            for key, cell in group.cells.items():
                mine_group.cells.setdefault(key, Cell()).merge(cell)
        for pair, cell in other.held.items():
            self.held.setdefault(pair, Cell()).merge(cell)
        for item, (before, after) in other.items.items():
            counts = self.items.setdefault(item, [0, 0])
            counts[0] += before
            counts[1] += after


def _add(mine: dict[Any, int], theirs: dict[Any, int]) -> None:
    for key, count in theirs.items():
        mine[key] = mine.get(key, 0) + count
