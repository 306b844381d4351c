"""`hilum workbook upgrade`: what another base of hilum means for the tables of a folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from hilum.app.arguments import Folder, Json, Yes
from hilum.app.printing import print_json, print_table
from hilum.app.reviewing import agreed, review_folder, written
from hilum.workbook import LOCK, BaseChange, Upgrade, lock_after, plan_upgrade

__all__ = ["command"]


def command(
    folder: Folder = Path(),
    *,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Show what the shipped tables changed since yours were written, and take it over once you agree.

    Compared are the base then, the base now and your own lines, cell by cell. Cells that only the base changed follow
    it; cells that you changed stay yours; those that both changed stay yours and are named. Every line of yours that is
    touched is a draft again. The first time, the base that is shipped now is pinned in workbook/base.lock.
    """
    opened = review_folder(folder)
    plan = plan_upgrade(opened.review, opened.approvals, opened.pin)
    is_needed = plan.first or bool(plan.changes) or (opened.pin is not None and opened.pin.version != _version(plan))
    if not json:
        _show(plan)
    files: list[str] = []
    if is_needed and agreed("Write this?", yes=yes, as_json=json):
        texts = {name: document.text for name, document in plan.documents.items()}
        texts[LOCK] = lock_after(opened.review, plan.documents)  # last: who is killed before it upgrades again
        files = written(opened, texts, folder)
    if json:
        facts = {"first": plan.first, "before": plan.before, "after": plan.after, "changes": plan.changes}
        print_json({**facts, "approvals_lost": plan.approvals_lost, "written": files})
    else:
        print(_outcome(files, needed=is_needed))
    return 0


def _version(plan: Upgrade) -> str:
    return plan.after.split()[1]


def _outcome(files: list[str], *, needed: bool) -> str:
    if files:
        return f"wrote {', '.join(files)}"
    return "nothing was written: --yes writes it" if needed else "the tables are up to date"


def _show(plan: Upgrade) -> None:
    if plan.first:
        print(f"no base was pinned yet; this one will be: {plan.after}")
        return
    print(f"base then: {plan.before}\nbase now:  {plan.after}")
    counts = Counter((change.table, change.kind) for change in plan.changes)
    rows = [(table, kind, count) for (table, kind), count in sorted(counts.items())]
    print_table(("table", "the base", "lines"), rows, empty="no line of the base changed")
    if plan.touched:
        print("\nlines of yours:")
        columns = ("line", "owner", "what becomes of it", "column", "yours", "the base's")
        print_table(columns, [row for change in plan.touched for row in _rows(change)], empty="")
    if plan.approvals_lost:
        print(f"\n{len(plan.approvals_lost)} approved lines of the base are not any more as they were approved:")
        print("  " + ", ".join(plan.approvals_lost[:20]) + (" ..." if len(plan.approvals_lost) > 20 else ""))


def _rows(change: BaseChange) -> Iterator[tuple[str, ...]]:
    yield change.name, change.owner, change.outcome, "", "", ""
    for cell in change.cells:
        yield "", "", "follows the base", cell.column, cell.before, cell.after
    for cell in change.conflicts:
        yield "", "", "both changed it: decide", cell.column, cell.before, cell.after
