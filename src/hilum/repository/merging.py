"""What was said of merging, told to people. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum

from msgspec import Struct

from .links import MergeOp, component, fold, standing

__all__ = ["MergeRecord", "MergeState", "merge_records"]

Look = Callable[[set[str]], Iterable[MergeOp]]


class MergeState(StrEnum):
    """Where a merge stands, by all that was ever said of its records."""

    HOLDS = "holds"  # the retired record points to the survivor
    REPLACED = "replaced"  # a later merge says otherwise
    TAKEN_BACK = "taken back"  # an unmerge says that they are two
    UNMERGE = "unmerge"  # this one is itself an unmerge


class MergeRecord(Struct, frozen=True):
    """One merge or unmerge as a message said it. `survivor` and `retired` are `Type/id`."""

    seq: int  # the message that said it
    at: int  # event time
    survivor: str
    retired: str
    state: MergeState


def merge_records(look: Look, record: str | None, newest: Iterable[MergeOp]) -> list[MergeRecord]:
    """All that ties `record`, by event time; without one the `newest` as they are given. `look` finds by record."""
    if record is not None:
        known = component(look, (record,))
        return [_told(op, known) for op in sorted(known)]
    return [_told(op, component(look, op.pair)) for op in newest]


def _told(op: MergeOp, known: set[MergeOp]) -> MergeRecord:
    if op.undo:
        state = MergeState.UNMERGE
    elif op not in standing(known):
        state = MergeState.TAKEN_BACK
    elif fold(known).get(op.retired) != op.survivor:
        state = MergeState.REPLACED
    else:
        state = MergeState.HOLDS
    return MergeRecord(op.seq, op.at, op.survivor, op.retired, state)
