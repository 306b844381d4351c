"""From a spreadsheet back to a site's tables: what was changed in it, what that does to the folder, what forbids it.

Three versions of each line are compared: as it was exported, as it is in the sheet, as it is in the folder now. So a
line that nobody touched in the sheet is left as the folder has it; of one that both changed, each keeps its own cells,
and a cell that both changed is a finding. The same holds where hilum ships another base since the export.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

from msgspec import Struct

from hilum.errors import ConfigError
from hilum.mapping import columns_of, compile_workbook, key_columns, table_of
from hilum.model import Finding, Severity
from hilum.workbook.changes import Change, Edit, apply_edits, cell_changes, owner_of
from hilum.workbook.documents import Document
from hilum.workbook.exported import FORMAT, Prints, exported_of, merge, prints_of
from hilum.workbook.pinning import base_hash
from hilum.workbook.sheets import SIGNED_TABLES, Entry, Key, Review, content_hash, entry_name, review_of
from hilum.workbook.signing import Approvals, Standing, standing_of
from hilum.workbook.spreadsheet import Line, NumberCell, Sheets

__all__ = ["Import", "plan_import"]

_NAMED = 20  # lines that a finding names


class Import(Struct, frozen=True):
    """What an import would do: `changes` for people, `documents` the site's files as they would be."""

    changes: tuple[Change, ...]
    findings: tuple[Finding, ...]
    documents: dict[str, Document]

    @property
    def errors(self) -> int:
        """How many findings forbid it."""
        return sum(finding.severity is Severity.ERROR for finding in self.findings)


def plan_import(review: Review, approvals: Approvals, sheets: Sheets) -> Import:
    """Compare; writes nothing. Raises ConfigError `workbook-invalid` when the folder's own tables cannot be read."""
    review.book.raise_findings()
    planner = _Planner(review, approvals, sheets)
    planner.check_mark()
    if not any(finding.severity is Severity.ERROR and finding.code.startswith(_WHOLE) for finding in planner.findings):
        planner.compare()
    documents = apply_edits(review, planner.edits)
    findings = planner.findings
    if documents and not any(finding.severity is Severity.ERROR for finding in findings):
        findings += _after(review, sheets, documents)
    return Import(tuple(planner.changes), tuple(findings), documents)


_WHOLE = ("sheet-", "column-", "export-")  # what makes a comparison of lines meaningless


class _Planner:
    def __init__(self, review: Review, approvals: Approvals, sheets: Sheets) -> None:
        self.review, self.approvals, self.sheets = review, approvals, sheets
        self.merged = review.merged
        self.findings = list(sheets.findings)
        self.changes: list[Change] = []
        self.edits: list[Edit] = []
        self.exported = exported_of(sheets.mark)

    def note(self, code: str, message: str, location: str, hint: str = "", *, warning: bool = False) -> None:
        severity = Severity.WARNING if warning else Severity.ERROR
        self.findings.append(Finding(code, message, location, severity, hint))

    def check_mark(self) -> None:
        if self.exported.format != FORMAT:
            message = "this is no export of this hilum, or its hidden sheet was removed"
            self.note("export-unknown", message, "hilum!A1", "`hilum workbook export` writes one")
        elif self.exported.base != base_hash(self.review.base.entries.values()):
            hint = "these lines stay as they ship now; of those that you changed, your cells are taken"
            message = f"hilum ships other tables since this export: {self._newer()}"
            self.note("export-outdated", message, "hilum!B3", hint, warning=True)

    def _newer(self) -> str:
        named = [f"{name} ({what})" for name, what in self.exported.newer(self.review)]
        more = f", and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        return ("; ".join(named[:_NAMED]) or "none that you see") + more

    def compare(self) -> None:
        for key, line in self.sheets.lines.items():
            self._numbers(key, line)
            self._compare(key, line)
        gone: dict[str, list[Entry]] = {}
        for key, entry in self.merged.items():
            if key not in self.sheets.lines and self._gone(key, entry):
                gone.setdefault(entry.table, []).append(entry)
        for table, entries in gone.items():
            self._of_base(table, entries)

    def _compare(self, key: Key, line: Line) -> None:
        there, said = self.merged.get(key), self.exported.lines.get(entry_name(key))
        cells = dict(line.entry.cells)
        now = prints_of(there.cells) if there else None
        if prints_of(cells) in (said, now):
            return
        also = ""
        if now != said:
            merged = self._both(key, line, there, said)
            if merged is None:
                return
            cells, also = merged, "cells that were changed since the export stay as they are now"
        note = self._fall_back(there, line, cells)
        before: Mapping[str, str] = there.cells if there else {}
        base = self.review.base.entries.get(key)
        same_as_base = base is not None and base.cells == cells
        if same_as_base and key in self.review.site.entries:
            note = "as the base has it: the site's own version is taken out"
        kind = "changed" if there else "added"
        place = line.location(key_columns(key[0])[-1])
        shown, note = cell_changes(before, cells), "; ".join(filter(None, (note, also)))
        self.changes.append(Change(kind, entry_name(key), key[0], place, line.entry.owner, shown, note))
        self.edits.append(Edit(key, None if same_as_base else cells, line.entry.file))

    def _both(self, key: Key, line: Line, there: Entry | None, said: Prints | None) -> dict[str, str] | None:
        """The cells of a line that the sheet and the folder changed; None, with findings, where they collide."""
        if there is None or said is None:
            how = "is not in the folder any more" if there is None else "was added to the folder too, otherwise"
            self._conflict(key, line.location(key_columns(key[0])[-1]), f"was changed in this file, and {how}")
            return None
        merged = merge(there, said, line.entry.cells)
        for cell in merged.conflicts:
            how = f"`{cell.column}` is `{cell.after}` in this file, and became `{cell.before}` in the folder since"
            self._conflict(key, line.location(cell.column), how)
        return None if merged.conflicts else merged.cells

    def _fall_back(self, there: Entry | None, line: Line, cells: dict[str, str]) -> str:
        """Lines that were approved are drafts again; a word typed into `status` approves nothing."""
        if there is None or there.table not in SIGNED_TABLES:
            if cells.get("status") == "approved":
                self._not_signed(line)
            return ""
        state = standing_of(there, self.approvals, self.review.decided)
        if state.standing is Standing.APPROVED and state.approval is not None:
            after = Entry(there.table, cells)
            if content_hash(after, self.review.decided) == state.approval.hash and _status(after) == _status(there):
                cells |= {"status": "approved", "approver": state.approval.by} if "approver" in cells else {}
                return f"still approved by {state.approval.by}: what it does is the same"
            if cells.get("status") == "approved":
                cells["status"], cells["approver"] = "draft", ""
            return f"{state.approval.by} had approved it: a draft again"
        if cells.get("status") == "approved" and there.cells["status"] != "approved":
            self._not_signed(line)
        return "" if there.layer == "site" else "the site gets its own version of this line of the base"

    def _not_signed(self, line: Line) -> None:
        message = f"`{line.entry.name}` says approved, and nobody has signed it"
        hint = "`hilum workbook sign` does; the word alone approves nothing"
        self.note("approval-missing", message, line.location("status"), hint, warning=True)

    def _gone(self, key: Key, entry: Entry) -> bool:
        """A line that is not in the sheet; True when it is one of the base, which cannot be deleted."""
        said = self.exported.lines.get(entry.name)
        if said is None:
            return False  # written into the folder after the export
        if key not in self.review.site.entries:
            return True
        if prints_of(entry.cells) != said:
            self._conflict(key, f"{entry.table}!A1", "was deleted in this file, and changed in the folder since")
            return False
        note = "the line of the base runs again" if key in self.review.base.entries else ""
        shown = cell_changes(entry.cells, dict.fromkeys(entry.cells, ""))
        self.changes.append(Change("removed", entry.name, entry.table, entry.location(), owner_of(entry), shown, note))
        self.edits.append(Edit(key, None))
        return False

    def _of_base(self, table: str, entries: list[Entry]) -> None:
        shown = ", ".join(f"`{entry.name}`" for entry in entries[:3])
        more = f" and {len(entries) - 3} more" if len(entries) > 3 else ""
        has_status = "status" in entries[0].cells
        hint = "put them back; to switch one off, set its status to retired" if has_status else "put them back"
        message = f"lines of the base cannot be deleted: {shown}{more}"
        self.note("base-line-missing", message, f"{table}!A1", hint)

    def _conflict(self, key: Key, location: str, how: str) -> None:
        message = f"`{entry_name(key)}`: {how}" if how.startswith("`") else f"`{entry_name(key)}` {how}"
        self.note("line-conflict", message, location, "say in the file what shall be, or export again")

    def _numbers(self, key: Key, line: Line) -> None:
        for cell in line.numbers:
            before = self._text_before(key, cell)
            if before == cell.shown:
                continue
            if before:
                message = f"this cell was the text `{before}`, and is the number {cell.shown} now"
                self.note("cell-number", message, cell.location, f"format it as text, and write {before} again")
            elif not cell.exact:
                message = f"this cell is a number ({cell.shown}): digits may have been lost"
                self.note("cell-number", message, cell.location, "format it as text, and write it again")
            else:
                message = f"this cell is a number, and is taken as the text `{cell.shown}`"
                self.note("cell-number", message, cell.location, "were there zeros in front?", warning=True)

    def _text_before(self, key: Key, cell: NumberCell) -> str:
        """What the cell was; for a part of a key, the text of a line that is missing and reads as this number."""
        if key in self.merged:
            return self.merged[key].cells[cell.column]
        if cell.column not in key_columns(key[0]):
            return ""
        gone = (other for other in self.merged if other[0] == key[0] and other not in self.sheets.lines)
        lost = (self.merged[other].cells[cell.column] for other in gone)
        return next((text for text in lost if _same_number(text, cell.shown)), "")


def _status(entry: Entry) -> str:
    return entry.cells.get("status", "")


def _same_number(text: str, shown: str) -> bool:
    try:
        return float(text) == float(shown)
    except ValueError:
        return False


def _after(review: Review, sheets: Sheets, documents: Mapping[str, Document]) -> Iterator[Finding]:
    """What `hilum check` would newly say of the folder afterwards, at the cells of the sheet."""
    base = [(file, document.text) for file, document in review.base.documents.items()]
    site = {file: document.text for file, document in review.site.documents.items()}
    texts = {**site, **{file: document.text for file, document in documents.items()}}
    after = review_of(base, texts.items(), decided=review.decided, folder=review.folder)
    known = {(one.code, one.message) for one in compile_findings(review)}
    keys = {(entry.file, entry.line): entry.key for entry in after.site.entries.values()}
    for finding in compile_findings(after):
        if (finding.code, finding.message) not in known:
            yield Finding(
                finding.code,
                finding.message,
                _place(finding.location, after, keys, sheets),
                finding.severity,
                finding.hint,
            )


def compile_findings(review: Review) -> list[Finding]:
    """What reading and compiling the tables finds, warnings too."""
    known = {entry.cells["param"] for entry in review.merged.values() if entry.table == "params"}
    try:
        plan = compile_workbook(review.book, params={k: v for k, v in review.decided.items() if k in known})
    except ConfigError as error:
        return list(error.findings)
    return list(chain(plan.findings))


def _place(location: str, after: Review, keys: Mapping[tuple[str, int], Key], sheets: Sheets) -> str:
    """`rows.csv:12:7` as `rows!G40`, when the line is in the sheet."""
    file, line, column = (*location.split(":"), "", "")[:3]
    document = after.site.documents.get(file)
    key = keys.get((file, int(line))) if line.isdecimal() else None
    if document is None or key is None or key not in sheets.lines or not column.isdecimal():
        return location
    names = document.columns
    name = names[int(column) - 1] if 0 < int(column) <= len(names) else columns_of(table_of(file))[0]
    return sheets.lines[key].location(name)
