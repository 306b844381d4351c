"""Rows about records against what sources say of them: the kinds that come in, and the columns that a layout names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches

from hilum.formats.records import is_record_kind, is_resource_kind
from hilum.mapping import Rule
from hilum.model import Finding, Severity
from hilum.workbook.sheets import Entry

__all__ = ["column_findings"]


def column_findings(
    rules: Sequence[Rule], rows: Mapping[str, Entry], described: Mapping[str, Sequence[str]]
) -> Iterator[Finding]:
    """Warnings. `described`: columns by kind (`csv:people`), empty where only a file names them; `rows` by row_id.

    Paths of FHIR need no source to be checked: compiling did it against R4.
    """
    for rule in rules:
        kinds = [kind for kind in rule.applies if is_record_kind(kind) and not is_resource_kind(kind)]
        entry = rows[rule.row.row_id]
        for kind in kinds:
            if kind not in described:
                near = get_close_matches(kind, described, 1)
                hint = f"did you mean `{near[0]}`?" if near else "a source with `format` gives records"
                message = f"no source of this folder gives `{kind}`"
                yield Finding("record-unknown", message, entry.location("applies"), Severity.WARNING, hint)
        named = [described[kind] for kind in kinds if described.get(kind)]
        if named and len(named) == len([kind for kind in kinds if kind in described]):
            yield from _columns(rule, entry, {name for columns in named for name in columns})


def _columns(rule: Rule, entry: Entry, known: set[str]) -> Iterator[Finding]:
    for column in dict.fromkeys(path.column for path in rule.paths() if path.column):
        if column not in known:
            near = get_close_matches(column, known, 1)
            hint = f"did you mean `{near[0]}`?" if near else ""
            message = f"the source has no column `{column}`"
            yield Finding("source-field-unknown", message, entry.location("source"), Severity.WARNING, hint)
