"""What `hilum demo` shows: the control totals, the answers the senders got, and what is in the repository."""

from __future__ import annotations

from collections.abc import Sequence

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from hilum.app.opening import Opened
from hilum.engine import Ledger
from hilum.simulator import Tally

__all__ = ["picture", "summary"]


def picture(opened: Opened, tally: Tally, seconds: float) -> RenderableType:
    """One look at the store."""
    ledger = opened.ledger()
    return Group(
        Columns([_totals(ledger), _answers(tally, seconds), _kinds(opened), _resources(opened)], padding=(0, 1)),
        _equation(ledger),
    )


def summary(ledger: Ledger, tally: Tally, problems: Sequence[str]) -> RenderableType:
    """The last word: whether everything adds up."""
    lines = [_equation(ledger)]
    fields = ledger.fields
    lines.append(
        Text(
            f"fields:   {fields.valued:,} valued = {fields.mapped:,} mapped + {fields.ignored:,} ignored on purpose "
            f"+ {fields.exceptions:,} exceptions"
        )
    )
    lines.append(
        Text(
            f"senders:  {sum(tally.answers.values()):,} answers, 99 % within {tally.latency(0.99) * 1000:.0f} ms, "
            f"{ledger.duplicates} copies answered again and stored once"
        )
    )
    if problems:
        lines += [Text(f"PROBLEM:  {problem}", style="bold red") for problem in problems]
    else:
        lines.append(Text("Everything adds up.", style="bold green"))
    return Group(*lines)


def _equation(ledger: Ledger) -> Text:
    text = Text(
        f"messages: received {ledger.received:,} = applied {ledger.applied:,} + held {ledger.held:,} "
        f"+ rejected {ledger.rejected:,} + waiting {ledger.waiting:,}   "
    )
    if ledger.difference:
        return text.append(f"OFF BY {ledger.difference}", style="bold red")
    return text.append("adds up", style="bold green")


def _totals(ledger: Ledger) -> Panel:
    rows = [
        ("received", ledger.received),
        ("applied", ledger.applied),
        ("held", ledger.held),
        ("rejected", ledger.rejected),
        ("waiting", ledger.waiting),
        ("copies", ledger.duplicates),
    ]
    return Panel(_grid(rows), title="control totals")


def _answers(tally: Tally, seconds: float) -> Panel:
    total = sum(tally.answers.values())
    rows = [(code, count) for code, count in sorted(tally.answers.items())]
    rows.append(("per second", round(total / seconds) if seconds else 0))
    return Panel(_grid(rows), title="answers")


def _kinds(opened: Opened) -> Panel:
    counts: dict[str, int] = {}
    for one in opened.journal.route_counts():
        counts[one.kind or "unreadable"] = counts.get(one.kind or "unreadable", 0) + one.messages
    return Panel(_grid(sorted(counts.items(), key=lambda row: -row[1])[:10]), title="messages")


def _resources(opened: Opened) -> Panel:
    counts = opened.repository.type_counts()
    return Panel(_grid(sorted(counts.items(), key=lambda row: -row[1])[:10]), title="FHIR resources")


def _grid(rows: Sequence[tuple[str, int]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    for name, count in rows:
        table.add_row(name, f"{count:,}")
    return table
