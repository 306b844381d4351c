"""`hilum workbook import`: what was changed in a spreadsheet, line by line, and then in the folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hilum.app.arguments import Folder, Json, Yes
from hilum.app.failure import finding_as_json, line_of
from hilum.app.printing import print_json, print_table
from hilum.app.reviewing import agreed, review_folder, written
from hilum.workbook import LOCK, Change, lock_after, plan_import, read_xlsx_file, refuse_other_base

__all__ = ["command"]

_SHOWN = 200  # changes that are shown cell by cell


def command(
    file: Annotated[Path, Parameter(help="A workbook that `hilum workbook export` wrote.")],
    folder: Folder,
    *,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Show what was changed in a workbook, and write it into the tables of a folder once you agree.

    Only your own tables are written: lines of the base that you changed are kept as your version of them. What a
    spreadsheet made of a text (a number, a date, a formula) is found, with sheet and cell. Lines that were approved and
    changed are drafts again. Nothing is written without --yes or your answer, nor while there are errors. The exit
    status is 1 when there are.
    """
    opened = review_folder(folder)
    refuse_other_base(opened.review, opened.pin)
    plan = plan_import(opened.review, opened.approvals, read_xlsx_file(file))
    if not json:
        _show(plan.changes)
        for finding in plan.findings:
            print(line_of(finding))
    files: list[str] = []
    question = f"Write {len(plan.changes)} changes into {folder}?"
    if plan.changes and not plan.errors and agreed(question, yes=yes, as_json=json):
        # The lock first: it keeps what the base says of lines that the site takes over.
        texts = {LOCK: lock_after(opened.review, plan.documents)}
        texts |= {name: document.text for name, document in plan.documents.items()}
        files = written(opened, texts, folder)
    if json:
        findings = [finding_as_json(finding) for finding in plan.findings]
        print_json({"changes": plan.changes, "findings": findings, "written": files})
    else:
        print(_outcome(len(plan.changes), plan.errors, files))
        if files:
            print(
                f"  next: hilum workbook check {folder}; hilum workbook test {folder}; hilum map FILE --folder {folder}"
            )
        elif plan.changes and not plan.errors:
            print(f"  what it would do to messages: hilum workbook diff FILE... {folder} --candidate {file}")
    return 1 if plan.errors else 0


def _outcome(changes: int, errors: int, files: list[str]) -> str:
    if errors:
        return f"nothing was written: {errors} errors"
    if files:
        return f"wrote {', '.join(files)}"
    return "nothing was written: --yes writes it" if changes else "nothing was changed"


def _show(changes: Sequence[Change]) -> None:
    columns = ("change", "line", "owner", "column", "before", "after")
    print_table(columns, _rows(changes[:_SHOWN]), empty="no line differs")
    if more := Counter(f"{change.table} {change.kind}" for change in changes[_SHOWN:]):
        told = ", ".join(f"{count} of {name}" for name, count in more.items())
        print(f"... and {more.total()} more ({told}): --json has them all")


def _rows(changes: Iterable[Change]) -> Iterator[tuple[str, ...]]:
    for change in changes:
        yield change.kind, change.name, change.owner, "", "", f"({change.note})" if change.note else ""
        if change.kind != "removed":
            yield from (("", "", "", cell.column, cell.before, cell.after) for cell in change.cells)
