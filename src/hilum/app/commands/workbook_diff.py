"""`hilum workbook diff`: what a candidate workbook would do to messages that were received."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.progress import Progress

from hilum.app.arguments import Environment, Json, Messages, files_and_folder
from hilum.app.opening import open_folder
from hilum.app.printing import print_json
from hilum.app.workbook_feed import Fed, Feed, Work, feed_of_files, feed_of_journal, run_parts, when_of
from hilum.app.workbook_folder import Param, candidate_of, overruled, params_of
from hilum.mapping import Workbook, load_workbook
from hilum.workbook import Comparison, DifferenceReport, Tally, difference_report, html_of, text_of, write_whole

__all__ = ["DiffWork", "command", "compare_feed"]

FINDINGS, USAGE = 1, 2
LAST = 10_000


class DiffWork(Work[Tally]):
    """Compares the messages of a part."""

    def __init__(
        self, books: tuple[Workbook, Workbook], params: tuple[dict[str, Param], dict[str, Param]], *, show_values: bool
    ) -> None:
        self.books, self.params, self.show_values = books, params, show_values
        self.comparison: Comparison | None = None

    def prepare(self) -> None:
        """Compile both workbooks."""
        if self.comparison is None:
            self.comparison = Comparison(*self.books, self.params, show_values=self.show_values)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "comparison": None}  # generated code stays where it was generated

    def take(self, messages: Iterator[Fed]) -> Tally:
        """The tally of one part."""
        assert self.comparison is not None
        for one in messages:
            if one.code:
                self.comparison.leave(one.at, one.name, one.code)
            else:
                self.comparison.compare(one.at, one.name, one.body, one.context, one.charset)
        return self.comparison.part()


def command(
    *messages: Messages,
    candidate: Annotated[
        Path,
        Parameter(
            help="A folder (an integration or its tables), an XLSX that was exported and changed, or one CSV table."
        ),
    ],
    last: Annotated[
        int | None, Parameter(help=f"The last N messages of the journal; {LAST} when nothing is said.")
    ] = None,
    since: Annotated[str, Parameter(help="Messages received since this time: 2026-03-01, 2026-03-01T08:00:00Z.")] = "",
    html: Annotated[Path | None, Parameter(help="Also write the report as one HTML file.")] = None,
    show_values: Annotated[
        bool, Parameter(help="Show values instead of their shapes: PHI where messages are real.", negative="")
    ] = False,
    reason: Annotated[str, Parameter(help="Why you look at PHI: needed with --show-values, and audited.")] = "",
    environment: Environment = None,
    json: Json = False,
) -> int:
    """Show what a candidate workbook would change, before anybody approves it.

    Both workbooks run over the same messages. You see which resources would be added, removed or changed, field by
    field, grouped by the row that causes it, and which messages would be held or no longer be held. Nothing is stored,
    and `hilum run` may go on meanwhile.

    Values are shown as shapes (Rivera as Aaaaaa) unless you ask for them. The exit status is 0 when messages were
    compared, whatever came out, and 1 when there was none to compare or the candidate has errors.
    """
    files, folder = files_and_folder(messages)
    if show_values and not files and not reason:
        print("hilum: messages of the journal are PHI: say why you look with --reason", file=sys.stderr)
        return USAGE
    params = params_of(folder)
    book, decided = candidate_of(folder, candidate, params)
    current = load_workbook(folder)
    if names := overruled(current, book, decided):
        what = f"{', '.join(names)}: what the candidate's params say of it changes nothing"
        print(f"hilum: integration.yaml decides {what}", file=sys.stderr)
    work = DiffWork((current, book), (params, decided), show_values=show_values)
    work.prepare()
    assert work.comparison is not None
    if files:
        feed = feed_of_files(files, folder)
    else:
        with open_folder(folder, environment) as opened:
            if show_values:
                opened.audit("workbook-diff", f"{last or LAST} messages", reason)
            wanted = last if last is not None else 0 if since else LAST
            at = when_of(since) if since else 0
            feed = feed_of_journal(opened, environment, last=wanted, since=at, skips=work.comparison.skips)
    report = compare_feed(feed, work, quiet=json)
    return _tell(report, html, as_json=json)


def compare_feed(feed: Feed, work: DiffWork, *, quiet: bool, processes: int = 0) -> DifferenceReport:
    """The report over a feed."""
    assert work.comparison is not None
    work.comparison.skip(feed.left_out)
    total = work.comparison.part()
    with Progress(console=Console(stderr=True), transient=True, disable=quiet) as progress:
        task = progress.add_task("comparing", total=feed.total, completed=feed.left_out)
        for count, tally in run_parts(feed, work, processes=processes):
            total.merge(tally)
            progress.advance(task, count)
    return difference_report(work.comparison, total, values_shown=work.show_values)


def _tell(report: DifferenceReport, html: Path | None, *, as_json: bool) -> int:
    if html is not None:
        write_whole(html, html_of(report).encode())
    if as_json:
        print_json(report)
    else:
        print("\n".join(text_of(report)))
    compared = report.messages["read"] - report.messages["unreadable"]
    if not compared:
        print("hilum: nothing-compared there was no message that could be compared", file=sys.stderr)
        return FINDINGS
    return 0
