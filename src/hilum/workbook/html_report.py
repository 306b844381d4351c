"""A comparison as one HTML file without scripts, fonts or pictures from elsewhere: to be mailed and archived."""

from __future__ import annotations

from html import escape
from importlib.resources import files

from hilum.workbook.difference_report import CellReport, DifferenceReport, GroupReport

__all__ = ["html_of"]


def html_of(report: DifferenceReport) -> str:
    """The page. What is not asked for with values holds none of a patient."""
    counts = report.messages
    same = counts["untouched"] + counts["same"]
    figures = [
        ("messages compared", counts["read"] - counts["unreadable"]),
        ("come out differently", counts["different"]),
        ("are the same", same),
        *([("cannot be read", counts["unreadable"])] if counts["unreadable"] else []),
        *[(f"resources {kind}", count) for kind, count in report.resources.items()],
    ]
    parts = [
        '<div class="figures">',
        *(f'<div class="figure"><b>{count:,}</b><span>{escape(name)}</span></div>' for name, count in figures),
        "</div>",
        _values_note(report),
        _section("Changed lines of the tables", _list([_code(change) for change in report.changes])),
        _section("Held and no longer held", _holds(report)),
        _section("Exceptions", _items(report)),
        _section("Fields", _list([f"{count:+} {escape(name)}" for name, count in report.accounting.items() if count])),
        *(_group(group) for group in report.groups),
    ]
    style = files("hilum.workbook").joinpath("html_report.css").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>What a workbook would change</title><style>{style}</style></head><body><main>\n"
        f"<h1>What the candidate workbook would change</h1>\n{''.join(parts)}</main></body></html>\n"
    )


def _values_note(report: DifferenceReport) -> str:
    if report.values_shown:
        return '<p class="warning">This page shows values of messages: it is PHI where they are real.</p>'
    return "<p>Values are shown as shapes: A is a letter, 9 a digit. Systems and URLs stay as they are.</p>"


def _section(title: str, inner: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{inner}</section>\n" if inner else ""


def _list(items: list[str]) -> str:
    return f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>" if items else ""


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _table(head: list[str], rows: list[list[str]]) -> str:
    if not rows:
        return ""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _holds(report: DifferenceReport) -> str:
    rows = [
        [
            str(one.messages),
            _code(one.before or "applied"),
            _code(one.after or "applied"),
            escape(", ".join(sample.message for sample in one.samples)),
        ]
        for one in report.held
    ]
    return _table(["messages", "now", "candidate", "for example"], rows)


def _items(report: DifferenceReport) -> str:
    rows = [
        [_code(one.code), escape(one.location), _code(one.row), str(one.gone), str(one.new)]
        for one in report.exceptions
    ]
    return _table(["code", "field", "row", "messages without it", "messages with it"], rows)


def _group(group: GroupReport) -> str:
    names = ", ".join(row.row for row in group.rows) or "no row"
    facts = [
        f"{_code(row.row)} {escape(row.source or 'constant')} &rarr; {escape(row.target)}"
        + (f", owner {escape(row.owner)}" if row.owner else "")
        for row in group.rows
    ]
    causes = [f"because {_code(cause)}" for cause in group.causes[:20]]
    more = [f"and {len(group.causes) - 20} more lines"] if len(group.causes) > 20 else []
    rows = [_cell(cell) for cell in group.cells]
    head = ["what", "element", "how often", "messages", "now &rarr; candidate", "for example message"]
    table = _table(head, rows).replace("&amp;rarr;", "&rarr;")
    return f"<section><h2>{escape(names)}</h2>{_list([*facts, *causes, *more])}{table}</section>\n"


def _cell(cell: CellReport) -> list[str]:
    pairs = "<br>".join(
        f"{pair.count:,} &times; {_code(pair.before or 'nothing')} &rarr; {_code(pair.after or 'nothing')}"
        for pair in cell.pairs
    )
    return [
        f'<span class="{escape(cell.kind)}">{escape(cell.kind)}</span>',
        _code(f"{cell.type}.{cell.path}" if cell.path else cell.type),
        f"{cell.count:,}",
        f"{cell.messages:,}",
        pairs,
        escape(", ".join(sample.message for sample in cell.samples)),
    ]
