"""What `hilum demo` shows: one frame of constant size while it runs, and at the end what became of what.

Nothing wraps: a name that finds no room is cut, a number never is. Made for 80 columns and more.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from rich.box import ROUNDED
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hilum.app.demo_faults import Fate
from hilum.app.opening import Opened
from hilum.engine import Ledger
from hilum.repository import Query
from hilum.simulator import Tally

__all__ = ["next_steps", "picture", "summary", "welcome"]

ROWS = 10  # in every column, so that the frame does not jump
NARROWEST, WIDEST = 80, 100
SHARES = (17, 14, 14, 22)  # of the 67 characters between the lines of a frame of 80
EXTRA = (0.2, 0.15, 0.2, 0.45)  # who gets what a wider screen has more

Row = tuple[str, str]


def welcome(base: str, token: str, folder: str, hilum: str) -> list[str]:
    """Lines to copy from, none of them to be broken."""
    return [
        "",
        "A simulated hospital sends HL7 v2 to hilum, which serves it as FHIR:",
        f"  {base}/fhir",
        "",
        "Read it from another terminal:",
        f"  curl -H 'Authorization: Bearer {token}' '{base}/fhir/Patient?_count=3'",
        f"  curl {base}/metrics",
        f"  {hilum} messages list {shlex.quote(folder)}",
        "",
    ]


def picture(opened: Opened, tally: Tally, seconds: float, width: int) -> Table:
    """One look at the store, as wide as the screen allows and always equally high."""
    ledger = opened.ledger()
    widths = _widths(width)
    table = Table(box=ROUNDED, width=sum(widths) + 3 * len(widths) + 1, header_style="bold")
    titles = ("control totals", "answers", "messages", "FHIR resources")
    columns = (_totals(ledger), _answers(tally, seconds), _most(_kinds(opened)), _most(opened.repository.type_counts()))
    for title, size in zip(titles, widths, strict=True):
        table.add_column(title, width=size, no_wrap=True)
    table.add_row(*[_column(rows) for rows in columns])
    return table


def summary(ledger: Ledger, tally: Tally, fates: Sequence[Fate], problems: Sequence[str], width: int) -> RenderableType:
    """The last word: what became of the broken messages, and whether everything adds up."""
    fields = ledger.fields
    lines: list[RenderableType] = [
        Text("\nWhat was wrong with some messages, and what became of them", style="bold"),
        _fates(fates, width) if fates else Text("nothing yet: about one message in sixty is broken"),
        Text(""),
        Text(
            f"messages  received {ledger.received:,} = applied {ledger.applied:,} + held {ledger.held:,} "
            f"+ rejected {ledger.rejected:,} + waiting {ledger.waiting:,}"
        ),
        Text(
            f"fields    valued {fields.valued:,} = mapped {fields.mapped:,} + ignored {fields.ignored:,} "
            f"+ exceptions {fields.exceptions:,}"
        ),
        Text(f"answers   {sum(tally.answers.values()):,}, 99 % of them within {tally.latency(0.99) * 1000:.0f} ms"),
    ]
    lines += [Text(f"PROBLEM   {problem}", style="bold red") for problem in problems]
    if not problems:
        lines.append(Text("Everything adds up.", style="bold green"))
    return Group(*lines)


def next_steps(opened: Opened, folder: str | None, hilum: str) -> list[str]:
    """What to try now; `folder` is None where nothing was kept."""
    if folder is None:
        return [
            "",
            "Next:",
            f"  {hilum} demo --seconds 20 --keep demo   # the same, and keeps the folder",
            f"  {hilum} init my-integration             # begins your own: docs/start.md",
        ]
    at = shlex.quote(folder)
    lines = ["", "Next, in the folder that was kept:", f"  {hilum} exceptions list {at}"]
    if found := opened.repository.search(Query("Patient", count=1)).matches:
        lines.append(f"  {hilum} explain Patient/{found[0].id} name {at}")
    return [
        *lines,
        f"  {hilum} messages list {at} --limit 10",
        f"  {hilum} journal verify {at}",
        f"  {hilum} doctor {at}",
    ]


def _widths(screen: int) -> list[int]:
    more = max(0, min(screen, WIDEST) - NARROWEST)
    return [share + int(more * extra) for share, extra in zip(SHARES, EXTRA, strict=True)]


def _totals(ledger: Ledger) -> list[Row]:
    rows = [
        ("received", ledger.received),
        ("= applied", ledger.applied),
        ("+ held", ledger.held),
        ("+ rejected", ledger.rejected),
        ("+ waiting", ledger.waiting),
    ]
    verdict = f"[bold red]OFF BY {ledger.difference:,}[/]" if ledger.difference else "[bold green]adds up[/]"
    return [*_counts(rows), (verdict, ""), ("", ""), ("copies", f"{ledger.duplicates:,}")]


def _answers(tally: Tally, seconds: float) -> list[Row]:
    rows = _counts(sorted(tally.answers.items()))
    rows += [("", "")] * (ROWS - 2 - len(rows))
    per_second = sum(tally.answers.values()) / seconds if seconds else 0
    return [*rows, ("a second", f"{per_second:,.0f}"), ("99 % ms", f"{tally.latency(0.99) * 1000:,.0f}")]


def _kinds(opened: Opened) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in opened.journal.route_counts():
        kind = one.kind or "no HL7"
        counts[kind] = counts.get(kind, 0) + one.messages
    return counts


def _most(counts: Mapping[str, int]) -> list[Row]:
    """The most frequent ones; the last line stands for the others."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if len(ordered) > ROWS:
        shown = ROWS - 1
        rest = sum(count for _, count in ordered[shown:])
        ordered = [*ordered[:shown], (f"{len(ordered) - shown} others", rest)]
    return _counts(ordered)


def _counts(rows: Sequence[tuple[str, int]]) -> list[Row]:
    return [(name, f"{count:,}") for name, count in rows]


def _column(rows: Sequence[Row]) -> Table:
    table = Table.grid(expand=True, padding=(0, 0, 0, 1))
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column(no_wrap=True, justify="right")
    for row in [*rows, *[("", "")] * (ROWS - len(rows))]:
        table.add_row(*row)
    return table


def _fates(fates: Sequence[Fate], width: int) -> Table:
    became, code = max(len(fate.became) for fate in fates), max(len(fate.code) for fate in fates)
    sent = min(max(len(fate.sent) for fate in fates), width - 6 - became - code - 3 * 2)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("count", justify="right", width=6)
    table.add_column("sent", no_wrap=True, overflow="ellipsis", width=sent)
    table.add_column("became", no_wrap=True, width=became)
    table.add_column("code", no_wrap=True)
    for fate in fates:
        table.add_row(f"{fate.messages:,}", fate.sent, fate.became, fate.code)
    return table
