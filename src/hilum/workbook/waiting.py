"""What waits for each owner: drafts, lines changed since approval, params without a value, rows without a sample."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from hilum.workbook.sheets import Entry, Review
from hilum.workbook.signing import Approvals, Standing, State, standings

__all__ = ["OwnerStatus", "owner_statuses", "unapproved", "unset_params"]

NOBODY = "(nobody)"


class OwnerStatus(Struct, frozen=True):
    """The lines of one owner, counted. `unset`: params that have no value; `untested`: rows without sample or test."""

    owner: str
    lines: int
    approved: int
    signed: int
    drafts: int
    changed: int
    retired: int
    unset: tuple[str, ...]
    untested: int

    @property
    def waits(self) -> int:
        """How many lines wait for this owner."""
        return self.drafts + self.changed


def unset_params(review: Review) -> list[str]:
    """Params that have no value: neither in the tables nor in integration.yaml. Alone, the base uses `inspection`."""
    alone = review.folder is None
    return [
        entry.cells["param"]
        for entry in review.merged.values()
        if entry.table == "params"
        and not entry.is_retired
        and not (
            entry.cells["value"] or review.decided.get(entry.cells["param"]) or (alone and entry.cells["inspection"])
        )
    ]


def owner_statuses(review: Review, approvals: Approvals) -> list[OwnerStatus]:
    """One for each owner, the one with most to do first."""
    states = standings(review, approvals)
    grouped: dict[str, list[tuple[Entry, State]]] = {}
    for entry in review.merged.values():
        if entry.name in states:
            grouped.setdefault(entry.owner or NOBODY, []).append((entry, states[entry.name]))
    unset = set(unset_params(review))
    tested = {entry.cells["row_id"] for entry in review.merged.values() if entry.table == "tests"}
    found = [_status(owner, lines, unset, tested) for owner, lines in grouped.items()]
    return sorted(found, key=lambda one: (-one.waits, one.owner))


def _status(owner: str, lines: list[tuple[Entry, State]], unset: set[str], tested: set[str]) -> OwnerStatus:
    counts = {standing: sum(state.standing is standing for _, state in lines) for standing in Standing}
    waiting = sum(state.waits for _, state in lines)
    return OwnerStatus(
        owner,
        len(lines),
        counts[Standing.APPROVED],
        sum(state.is_signed for _, state in lines),
        waiting - counts[Standing.CHANGED],
        counts[Standing.CHANGED],
        counts[Standing.RETIRED],
        tuple(entry.cells["param"] for entry, _ in lines if entry.table == "params" and entry.cells["param"] in unset),
        sum(entry.table == "rows" and is_untested(entry, tested) for entry, _ in lines),
    )


def is_untested(entry: Entry, tested: Iterable[str]) -> bool:
    """Whether a row that runs has neither a sample with its expected value nor a line in `tests`."""
    has_sample = bool(entry.cells["sample"] and entry.cells["expect"])
    return not entry.is_retired and not has_sample and entry.cells["row_id"] not in tested


def unapproved(
    review: Review, approvals: Approvals, used: Iterable[str] | None = None, *, signed: bool = True
) -> list[Entry]:
    """The lines that run without the approval of their owner, in the order of the tables.

    `used` are names (`rows:pat-phone`, or a bare row_id) and limits the answer to them; None is every line that runs.
    `signed`: an approval without a signature does not count. For a stage that demands approval: it may not go on while
    the answer is not empty.
    """
    states: Mapping[str, State] = standings(review, approvals)
    wanted = None if used is None else {name if ":" in name else f"rows:{name}" for name in used}
    return [
        entry
        for entry in review.merged.values()
        if (state := states.get(entry.name)) is not None
        and not entry.is_retired
        and (wanted is None or entry.name in wanted)
        and not (state.is_signed if signed else not state.waits)
    ]
