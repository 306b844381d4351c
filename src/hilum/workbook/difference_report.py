"""The result of a comparison as one value: what people and programs read."""

from __future__ import annotations

from msgspec import Struct

from hilum.workbook.comparison import Comparison
from hilum.workbook.tally import Cell, Sample, Tally

__all__ = ["DifferenceReport", "GroupReport", "difference_report", "text_of"]


class RowReport(Struct, frozen=True):
    """A row that causes something, as the candidate has it."""

    row: str
    owner: str = ""
    source: str = ""
    target: str = ""


class PairReport(Struct, frozen=True):
    """So often this became that. Shapes of values, unless values were asked for."""

    before: str
    after: str
    count: int


class CellReport(Struct, frozen=True):
    """One kind of difference. `kind`: added, removed, changed, renamed; `path` "" is the whole resource."""

    kind: str
    type: str
    path: str
    count: int
    messages: int
    pairs: tuple[PairReport, ...]
    samples: tuple[Sample, ...]


class GroupReport(Struct, frozen=True):
    """All that a set of rows causes together, and the changed lines of tables that speak through them."""

    rows: tuple[RowReport, ...]
    causes: tuple[str, ...]
    cells: tuple[CellReport, ...]

    @property
    def count(self) -> int:
        """Differences in it."""
        return sum(cell.count for cell in self.cells)


class HoldReport(Struct, frozen=True):
    """Messages whose hold changes: `before` and `after` are `code location`, "" where the message is applied."""

    before: str
    after: str
    messages: int
    samples: tuple[Sample, ...]


class ItemReport(Struct, frozen=True):
    """An exception that so many messages had only before, or have only after."""

    code: str
    location: str
    row: str
    gone: int
    new: int


class DifferenceReport(Struct, frozen=True):
    """What a candidate workbook would do to the messages that were read."""

    messages: dict[str, int]
    changes: tuple[str, ...]
    resources: dict[str, int]
    groups: tuple[GroupReport, ...]
    held: tuple[HoldReport, ...]
    exceptions: tuple[ItemReport, ...]
    accounting: dict[str, int]
    unreadable: dict[str, int]
    unreadable_samples: tuple[str, ...]
    values_shown: bool


def difference_report(comparison: Comparison, tally: Tally, *, values_shown: bool) -> DifferenceReport:
    """Sorted, so that the same messages give the same report: what changes most comes first."""
    groups = [
        GroupReport(
            tuple(_row(comparison, row) for row in rows),
            tuple(str(cause) for cause in comparison.causes.behind(rows)),
            tuple(
                CellReport(*key, cell.count, cell.messages, _pairs(cell), tuple(cell.samples))
                for key, cell in sorted(group.cells.items(), key=lambda one: (-one[1].count, one[0]))
            ),
        )
        for rows, group in tally.groups.items()
    ]
    return DifferenceReport(
        {
            "read": tally.read,
            "untouched": tally.untouched,
            "same": tally.same,
            "different": tally.different,
            "unreadable": sum(tally.unreadable.values()),
            "run_whole": tally.whole,
            "traced": tally.traced,
        },
        tuple(map(str, comparison.changes)),
        dict(sorted(tally.resources.items())),
        tuple(sorted(groups, key=lambda one: (-one.count, [row.row for row in one.rows]))),
        tuple(
            HoldReport(*pair, cell.messages, tuple(cell.samples))
            for pair, cell in sorted(tally.held.items(), key=lambda one: (-one[1].count, one[0]))
        ),
        tuple(
            ItemReport(*item, *counts)
            for item, counts in sorted(tally.items.items(), key=lambda one: (-sum(one[1]), one[0]))
        ),
        tally.accounting,
        dict(sorted(tally.unreadable.items())),
        tuple(name for _, name in tally.unreadable_samples),
        values_shown,
    )


def _row(comparison: Comparison, row: str) -> RowReport:
    rule = comparison.causes.rule(row)
    return RowReport(row, rule.row.owner, rule.row.source, rule.row.target) if rule else RowReport(row)


def _pairs(cell: Cell) -> tuple[PairReport, ...]:
    found = sorted(cell.pairs.items(), key=lambda one: (-one[1], one[0]))
    return tuple(PairReport(before, after, count) for (before, after), count in found if before or after)


def text_of(report: DifferenceReport) -> list[str]:
    """The report as lines for people."""
    counts = report.messages
    lines = [f"{len(report.changes)} lines of the tables differ"]
    lines += [f"  {change}" for change in report.changes[:20]]
    lines += [f"  ... and {len(report.changes) - 20} more"] if len(report.changes) > 20 else []
    lines += [
        "",
        f"{counts['read']} messages: {counts['different']} come out differently, "
        f"{counts['untouched'] + counts['same']} are the same"
        + (f", {counts['unreadable']} cannot be read" if counts["unreadable"] else ""),
    ]
    if report.unreadable:
        codes = ", ".join(f"{code} {count}" for code, count in report.unreadable.items())
        lines.append(f"  not compared: {codes}; for example message {', '.join(report.unreadable_samples)}")
    if report.resources:
        lines.append("resources: " + ", ".join(f"{count} {kind}" for kind, count in report.resources.items()))
    if any(report.accounting.values()):
        inner = ", ".join(f"{count:+} {name}" for name, count in report.accounting.items() if count)
        lines.append(f"fields: {inner}")
    for one in report.held:
        before, after = one.before or "applied", one.after or "applied"
        shown = ", ".join(sample.message for sample in one.samples)
        lines.append(f"held: {one.messages} messages  {before} -> {after}  (message {shown})")
    for item in report.exceptions:
        which = f"{item.code} {item.location}" + (f" [{item.row}]" if item.row else "")
        lines.append(f"exceptions: {which}  {item.gone} gone, {item.new} new")
    for group in report.groups:
        lines += ["", *_group_lines(group)]
    if report.groups and not report.values_shown:
        lines += ["", "Values are shown as shapes (A letter, 9 digit); --show-values shows them."]
    return lines


def _group_lines(group: GroupReport) -> list[str]:
    lines = []
    for row in group.rows or (RowReport("(no row)"),):
        owner = f"  owner {row.owner}" if row.owner else ""
        lines.append(f"{row.row}  {row.source or 'constant'} -> {row.target}{owner}")
    lines += [f"  because: {cause}" for cause in group.causes[:5]]
    if len(group.causes) > 5:
        lines.append(f"  because: ... and {len(group.causes) - 5} more lines")
    for cell in group.cells:
        where = f"{cell.type}.{cell.path}" if cell.path else cell.type
        named = ", ".join(sample.message for sample in cell.samples)
        lines.append(f"  {cell.kind}  {where}  {cell.count} in {cell.messages} messages  (message {named})")
        for pair in cell.pairs[:3]:
            lines.append(f"      {pair.count} x  {pair.before or '(nothing)'} -> {pair.after or '(nothing)'}")
    return lines
