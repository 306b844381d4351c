"""What the commands share that bring lines into the tables of a folder: shown first, written once somebody agrees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from hilum.app.failure import finding_as_json, line_of
from hilum.app.printing import print_json, print_table
from hilum.app.reviewing import Reviewed, agreed, written
from hilum.workbook import LOCK, Change, Import, lock_after

__all__ = ["take"]

_SHOWN = 200  # changes that are shown cell by cell
_LONG = 600  # characters of a cell


def take(opened: Reviewed, plan: Import, folder: Path, *, yes: bool, as_json: bool, before_writing: str = "") -> int:
    """Show the changes, ask, write; the exit status. `before_writing` is said while nothing is written yet."""
    if not as_json:
        _show(plan.changes, whole=not plan.errors)
        for finding in plan.findings:
            print(line_of(finding))
    files: list[str] = []
    question = f"Write {len(plan.changes)} changes into {folder}?"
    if plan.changes and not plan.errors and agreed(question, yes=yes, as_json=as_json):
        # The lock first: it keeps what the base says of lines that the site takes over.
        texts = {LOCK: lock_after(opened.review, plan.documents)}
        texts |= {name: document.text for name, document in plan.documents.items()}
        files = written(opened, texts, folder)
    if as_json:
        findings = [finding_as_json(finding) for finding in plan.findings]
        print_json({"changes": plan.changes, "findings": findings, "written": files})
        return 1 if plan.errors else 0
    print(_outcome(len(plan.changes), plan.errors, files))
    if files:
        print(f"  next: hilum workbook check {folder}; hilum workbook test {folder}; hilum map FILE --folder {folder}")
    elif plan.changes and not plan.errors and before_writing:
        print(f"  {before_writing}")
    return 1 if plan.errors else 0


def _outcome(changes: int, errors: int, files: list[str]) -> str:
    if errors:
        return f"nothing was written: {errors} errors"
    if files:
        return f"wrote {', '.join(files)}"
    return "nothing was written: --yes writes it" if changes else "nothing was changed"


def _show(changes: Sequence[Change], *, whole: bool) -> None:
    """`whole`: every line could be compared."""
    columns = ("change", "line", "owner", "column", "before", "after")
    empty = "no line differs" if whole else "no line is seen to differ: what could not be compared is said below"
    print_table(columns, _rows(changes[:_SHOWN]), empty=empty)
    if more := Counter(f"{change.table} {change.kind}" for change in changes[_SHOWN:]):
        told = ", ".join(f"{count} of {name}" for name, count in more.items())
        print(f"... and {more.total()} more ({told}): --json has them all")


def _rows(changes: Iterable[Change]) -> Iterator[tuple[str, ...]]:
    for change in changes:
        yield change.kind, change.name, change.owner, "", "", f"({change.note})" if change.note else ""
        if change.kind != "removed":
            yield from (("", "", "", cell.column, _short(cell.before), _short(cell.after)) for cell in change.cells)


def _short(text: str) -> str:
    """A cell as people can take it in at once; `--json` has all of it."""
    return text if len(text) <= _LONG else f"{text[:_LONG]}... ({len(text)} characters)"
