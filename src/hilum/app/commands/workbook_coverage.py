"""`hilum workbook coverage`: what the workbook makes of the fields and codes of messages, by sender and event."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.progress import Progress

from hilum.app.arguments import Environment, Json, Messages, files_and_folder
from hilum.app.opening import open_folder
from hilum.app.printing import print_json, print_table
from hilum.app.workbook_feed import Fed, Work, feed_of_files, feed_of_journal, run_parts, when_of
from hilum.app.workbook_folder import Param, params_of
from hilum.mapping import Workbook, load_workbook
from hilum.workbook import Coverage, CoverageReport, CoverageTally, coverage_report

__all__ = ["command"]

FINDINGS, USAGE = 1, 2
LAST = 10_000
FIELDS = ("sender", "kind", "field", "left over", "mapped", "ignored")
CODES = ("sender", "map", "code", "said to be", "count", "becomes", "called alike")


class CoverageWork(Work[CoverageTally]):
    """Counts the fields and codes of a part."""

    def __init__(self, book: Workbook, params: dict[str, Param]) -> None:
        self.book, self.params = book, params
        self.coverage: Coverage | None = None

    def prepare(self) -> None:
        """Compile the workbook."""
        if self.coverage is None:
            self.coverage = Coverage(self.book, self.params)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "coverage": None}  # generated code stays where it was generated

    def take(self, messages: Iterator[Fed]) -> CoverageTally:
        """The tally of one part."""
        assert self.coverage is not None
        for one in messages:
            if one.code:
                self.coverage.leave(one.code)
            else:
                self.coverage.take(one.at, one.body, one.context, one.charset)
        return self.coverage.part()


def command(
    *messages: Messages,
    last: Annotated[
        int | None, Parameter(help=f"The last N messages of the journal, 0 for all; {LAST} when nothing is said.")
    ] = None,
    since: Annotated[str, Parameter(help="Messages received since this time: 2026-03-01, 2026-03-01T08:00:00Z.")] = "",
    rows: Annotated[int, Parameter(help="How many lines a table shows at most; --json has all.")] = 30,
    environment: Environment = None,
    json: Json = False,
) -> int:
    """Say what the workbook covers of the messages of each sender.

    For every field that held something: how often it was mapped, ignored on purpose, or left over. For every code that
    a map does not have: sender, map, how often, what becomes of it, and targets that are called alike. Codes are shown
    as they came; no other value is.

    The exit status is 1 when a field or a code is left over, and when there was no message to look at.
    """
    files, folder = files_and_folder(messages)
    work = CoverageWork(load_workbook(folder), params_of(folder))
    work.prepare()
    assert work.coverage is not None
    if files:
        feed = feed_of_files(files, folder)
    else:
        with open_folder(folder, environment) as opened:
            wanted = last if last is not None else 0 if since else LAST
            at = when_of(since) if since else 0
            feed = feed_of_journal(opened, environment, last=wanted, since=at, skips=_none)
    total = CoverageTally()
    with Progress(console=Console(stderr=True), transient=True, disable=json) as progress:
        task = progress.add_task("looking", total=feed.total)
        for count, tally in run_parts(feed, work):
            total.merge(tally)
            progress.advance(task, count)
    return _tell(coverage_report(work.coverage, total), rows, as_json=json)


def _none(kind: str, sender: str) -> bool:
    """No message is left out."""
    del kind, sender
    return False


def _tell(report: CoverageReport, rows: int, *, as_json: bool) -> int:
    if as_json:
        print_json(report)
    else:
        _print(report, rows)
    if not report.messages:
        print("hilum: nothing-covered there was no message that could be looked at", file=sys.stderr)
        return FINDINGS
    return FINDINGS if report.unmapped or report.codes or report.unreadable else 0


def _print(report: CoverageReport, rows: int) -> None:
    kinds = [[one.sender, one.kind, one.messages, one.held, one.why] for one in report.kinds]
    print_table(("sender", "kind", "messages", "held", "why"), kinds[:rows], empty="no messages")
    _more(len(kinds), rows)
    for code, count in report.unreadable.items():
        print(f"not looked at: {count} {code}")
    print(
        f"\n{report.valued} valued fields = {report.mapped} mapped + {report.ignored} ignored"
        f" + {report.unmapped} left over\n"
    )
    left = [one for one in report.fields if one.unmapped]
    table = [[one.sender, one.kind, one.field, one.unmapped, one.mapped, one.ignored] for one in left[:rows]]
    print_table(FIELDS, table, empty="every valued field is mapped or ignored on purpose")
    _more(len(left), rows)
    print()
    gaps = [
        [one.sender, one.table, one.code, one.text, one.count, one.becomes, "; ".join(one.candidates)]
        for one in report.codes[:rows]
    ]
    print_table(CODES, gaps, empty="every code that a map was asked for is in it")
    _more(len(report.codes), rows)


def _more(found: int, rows: int) -> None:
    if found > rows:
        print(f"... and {found - rows} more; --rows shows more, --json all")
