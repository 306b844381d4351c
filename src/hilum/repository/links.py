"""Who was merged into whom. Pure.

The merges and unmerges that were ever said are kept; which link holds is computed from all of them in the order of
their event times. Taking a merge back is therefore the same as never having heard of it, whatever came between. An
unmerge says that two records are two persons: it takes back every merge of the pair, whichever of them survived.

A later merge of the same retired record replaces its link; a merge that reverses an earlier one (the survivor is now
retired) takes the earlier link away, so that there is never a circle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

__all__ = ["MergeOp", "component", "fold", "root", "standing"]


class MergeOp(Struct, frozen=True, order=True):
    """One merge or unmerge as it was said. `survivor` and `retired` are `Type/id`."""

    at: int  # event time
    seq: int
    ordinal: int  # within the message
    survivor: str
    retired: str
    undo: bool = False

    @property
    def pair(self) -> frozenset[str]:
        """Both records, whichever survived."""
        return frozenset((self.survivor, self.retired))


def fold(ops: Iterable[MergeOp]) -> dict[str, str]:
    """The links that hold: retired -> survivor, one step each."""
    links: dict[str, str] = {}
    for op in standing(ops):
        _link(links, op.survivor, op.retired)
    return links


def standing(ops: Iterable[MergeOp]) -> list[MergeOp]:
    """The merges that no later unmerge of the same pair took back, oldest first."""
    kept: list[MergeOp] = []
    for op in sorted(ops):
        if op.undo:
            kept = [one for one in kept if one.pair != op.pair]
        else:
            kept.append(op)
    return kept


def component(look: Callable[[set[str]], Iterable[MergeOp]], records: Iterable[str]) -> set[MergeOp]:
    """All that was ever said about merging these records, and those they were merged with, and so on."""
    seen: set[str] = set()
    todo = set(records)
    ops: set[MergeOp] = set()
    while todo:
        ops.update(look(todo))
        seen |= todo
        todo = {record for one in ops for record in one.pair} - seen
    return ops


def root(links: Mapping[str, str], record: str) -> str:
    """The record that stands for this one now: itself when it is not retired."""
    while record in links:
        record = links[record]
    return record


def _link(links: dict[str, str], survivor: str, retired: str) -> None:
    if survivor == retired:
        return
    if retired in _path(links, survivor):
        del links[survivor]
    links[retired] = survivor


def _path(links: Mapping[str, str], record: str) -> list[str]:
    """The records that this one was merged into, one after another."""
    path = []
    while record in links:
        record = links[record]
        path.append(record)
    return path
