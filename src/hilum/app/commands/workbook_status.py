"""`hilum workbook status`: what waits for each owner."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from hilum.app.arguments import Json, MaybeFolder
from hilum.app.printing import print_json, print_table
from hilum.app.reviewing import review_folder
from hilum.workbook import Approvals, Review, owner_statuses, standings

__all__ = ["command"]


def command(
    folder: MaybeFolder = None,
    *,
    owner: Annotated[str, Parameter(help="List what waits for this owner, line by line.")] = "",
    json: Json = False,
) -> int:
    """Say for each owner how many lines are drafts, approved, or changed since they were approved.

    With --owner every line that waits for that owner is listed. The exit status is 0, whatever waits.
    """
    opened = review_folder(folder)
    if owner:
        return _lines_of(opened.review, opened.approvals, owner, as_json=json)
    found = owner_statuses(opened.review, opened.approvals)
    if json:
        print_json({"owners": found})
        return 0
    columns = ("owner", "waits", "drafts", "changed", "approved", "signed", "retired", "lines", "params to set")
    rows = [
        (o.owner, o.waits, o.drafts, o.changed, o.approved, o.signed, o.retired, o.lines, ", ".join(o.unset))
        for o in found
    ]
    print_table(columns, rows, empty="there are no lines")
    return 0


def _lines_of(review: Review, approvals: Approvals, owner: str, *, as_json: bool) -> int:
    states = standings(review, approvals)
    waiting = [
        (entry, states[entry.name])
        for entry in review.merged.values()
        if entry.owner == owner and entry.name in states and states[entry.name].waits
    ]
    if as_json:
        lines = [{"line": entry.name, "state": state.words, "at": entry.location()} for entry, state in waiting]
        print_json({"owner": owner, "waits": lines})
        return 0
    rows = [(entry.name, state.words, entry.location()) for entry, state in waiting]
    print_table(("line", "state", "at"), rows, empty=f"nothing waits for {owner}")
    return 0
