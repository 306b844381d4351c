"""When hilum ships another base: base then, base now and the site's own lines, compared cell by cell.

A cell that only the base changed follows the base; a cell that the site changed stays the site's, and is named where
the base changed it too. Every line of the site that is touched becomes a draft again.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from hilum.workbook.changes import CellChange, Edit, apply_edits, cell_changes
from hilum.workbook.documents import Document
from hilum.workbook.pinning import Pin, line_hash, pin_of
from hilum.workbook.sheets import Entry, Key, Review, parse_name
from hilum.workbook.signing import Approvals

__all__ = ["BaseChange", "Upgrade", "plan_upgrade"]

_ABOUT = frozenset({"status", "approver", "note", "origin"})  # of a site's own version these are the site's


class BaseChange(Struct, frozen=True):
    """One line that the base added, changed or removed (`kind`), and what becomes of the site's version of it.

    `cells`: what changes in the site's line (before is the site's). `conflicts`: both changed the cell, the site's
    stays; before is the site's, after the base's. `outcome` says it in words; "" where the site has no part in it.
    """

    kind: str
    name: str
    table: str
    owner: str
    outcome: str = ""
    cells: tuple[CellChange, ...] = ()
    conflicts: tuple[CellChange, ...] = ()


class Upgrade(Struct, frozen=True):
    """What an upgrade would do. `first`: there was no lock, so there is nothing to compare; the base is pinned."""

    first: bool
    before: str  # version and hash of the base then
    after: str
    changes: tuple[BaseChange, ...]
    documents: dict[str, Document]
    approvals_lost: tuple[str, ...] = ()

    @property
    def touched(self) -> tuple[BaseChange, ...]:
        """The changes in which the site has a part."""
        return tuple(change for change in self.changes if change.outcome)


def plan_upgrade(review: Review, approvals: Approvals, pin: Pin | None) -> Upgrade:
    """Compare; writes nothing. Raises ConfigError `workbook-invalid` when the folder's own tables cannot be read."""
    review.book.raise_findings()
    now = pin_of(review)
    if pin is None:
        return Upgrade(True, "", _named(now), (), {})
    planner = _Planner(review, pin)
    for key, entry in review.base.entries.items():
        planner.line(key, entry)
    for name in pin.lines:
        planner.removed(name)
    lost = tuple(
        change.name
        for change in planner.changes
        if change.name in approvals.valid and parse_name(change.name) not in review.site.entries
    )
    documents = apply_edits(review, planner.edits)
    return Upgrade(False, _named(pin), _named(now), tuple(planner.changes), documents, lost)


def _named(pin: Pin) -> str:
    return f"{pin.extends} {pin.version} ({pin.hash[:12]})"


class _Planner:
    def __init__(self, review: Review, pin: Pin) -> None:
        self.review, self.pin = review, pin
        self.names = {entry.name for entry in review.base.entries.values()}
        self.changes: list[BaseChange] = []
        self.edits: list[Edit] = []

    def line(self, key: Key, now: Entry) -> None:
        """One line of the base that is shipped now."""
        then = self.pin.lines.get(now.name)
        if then == line_hash(now):
            return
        kind = "added" if then is None else "changed"
        own = self.review.site.entries.get(key)
        if own is None:
            self.changes.append(BaseChange(kind, now.name, now.table, now.owner))
        elif then is None:
            self._meets(key, own)
        else:
            self._merge(key, now, own)

    def _meets(self, key: Key, own: Entry) -> None:
        outcome = "the site has a line of this name already: it goes on running instead, as a draft"
        self.changes.append(BaseChange("added", own.name, own.table, own.owner, outcome))
        self._write(key, own, own.cells)

    def _merge(self, key: Key, now: Entry, own: Entry) -> None:
        then = self.pin.over.get(now.name)
        if then is None:  # the site's version was written after the lock, by hand
            outcome = "the site's version stays as it is, as a draft: what the base said before is not known"
            self.changes.append(
                BaseChange("changed", now.name, now.table, own.owner, outcome, (), _differing(own.cells, now.cells))
            )
            self._write(key, own, own.cells)
            return
        merged, conflicts = _three_way(then, now.cells, own.cells)
        taken = cell_changes(own.cells, merged)
        same = all(merged[name] == now.cells[name] for name in _compared(own.cells))
        if own.is_retired == now.is_retired and (same or now.is_retired):
            outcome = "the base now says what the site wanted: the site's version is taken out"
            self.changes.append(BaseChange("changed", now.name, now.table, own.owner, outcome))
            self.edits.append(Edit(key, None))
            return
        outcome = "the site's version follows the base in the cells below" if taken else "the site's version stays"
        outcome += ", retired" if own.is_retired else ", as a draft"
        outcome += "; cells that both changed stay the site's: decide" if conflicts else ""
        if now.is_retired and then.get("status") != now.cells["status"]:
            outcome = "the base retired this line, and the site's version goes on running, as a draft: decide"
            conflicts = (*conflicts, CellChange("status", own.cells["status"], now.cells["status"]))
        self.changes.append(BaseChange("changed", now.name, now.table, own.owner, outcome, taken, conflicts))
        self._write(key, own, merged)

    def removed(self, name: str) -> None:
        """One line of the base then, if it is not in the base now."""
        if name in self.names:
            return
        key = parse_name(name)
        own = self.review.site.entries.get(key)
        if own is None:
            self.changes.append(BaseChange("removed", name, key[0], ""))
            return
        if own.is_retired:
            outcome = "the site had it retired: nothing is left to retire, and its line is taken out"
            self.edits.append(Edit(key, None))
        else:
            outcome = "the site's version becomes a line of the site alone, as a draft"
            self._write(key, own, own.cells)
        self.changes.append(BaseChange("removed", name, key[0], own.owner, outcome))

    def _write(self, key: Key, own: Entry, cells: Mapping[str, str]) -> None:
        new = dict(cells)
        if "approver" in new:
            new["approver"] = ""
        if "status" in new and not own.is_retired:
            new["status"] = "draft"
        if new != own.cells:
            self.edits.append(Edit(key, new))


def _differing(own: Mapping[str, str], now: Mapping[str, str]) -> tuple[CellChange, ...]:
    return tuple(change for change in cell_changes(own, now) if change.column not in _ABOUT)


def _compared(own: Mapping[str, str]) -> list[str]:
    """The columns in which a site's version can differ; without `inspection` it takes that of the base."""
    return [name for name, text in own.items() if name not in _ABOUT and (text or name != "inspection")]


def _three_way(
    then: Mapping[str, str], now: Mapping[str, str], own: Mapping[str, str]
) -> tuple[dict[str, str], tuple[CellChange, ...]]:
    """The merged cells, and those that both sides changed differently (before the site's, after the base's)."""
    merged = dict(own)
    conflicts = []
    for name in _compared(own):
        before, text = then.get(name, ""), now[name]
        if text in (before, own[name]):
            continue
        if own[name] == before:
            merged[name] = text
        else:
            conflicts.append(CellChange(name, own[name], text))
    return merged, tuple(conflicts)
