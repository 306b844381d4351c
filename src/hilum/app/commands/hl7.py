"""`hilum hl7`: look at HL7 v2 files without any integration folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from hilum.app.hl7_check import MessageReport, check_bytes
from hilum.app.hl7_show import render_bytes
from hilum.model import Disposition

__all__ = ["app", "check", "show"]

app = App(name="hl7", help="Show or check HL7 v2 files, without any folder.")
FINDINGS, USAGE = 1, 2
_GOOD = (Disposition.ACCEPT, Disposition.WARNING)


@app.command
def show(file: Annotated[Path, Parameter(help="A file with one message or many, or a batch.")]) -> int:
    """Print each message of FILE as a tree with the names of segments, fields and components.

    The values are printed too: they are patient data where the file holds them.
    """
    from rich.console import Console

    raw = _read(file)
    if raw is None:
        return USAGE
    # Where nobody looks at a screen, no line is broken.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 1000)
    for tree in render_bytes(raw):
        console.print(tree)
    return 0


@app.command
def check(
    *files: Annotated[Path, Parameter(help="Files with one message or many, or batches.")],
    json: Annotated[bool, Parameter(help="One JSON object per message and line.", negative="")] = False,
) -> int:
    """Say what the door and the shipped mapping make of every message: disposition, codes, field counts, round trip.

    The exit status is 0 when every message would be accepted, 1 when one would be held or
    refused. No values are shown.
    """
    if not files:
        print("hilum: name at least one file to check", file=sys.stderr)
        return USAGE
    statuses = [_check(file, as_json=json) for file in files]
    return max(statuses)


def _check(file: Path, *, as_json: bool) -> int:
    raw = _read(file)
    if raw is None:
        return USAGE
    status = 0
    for report in check_bytes(str(file), raw):
        print(msgspec.json.encode(report).decode() if as_json else _line(report))
        if report.disposition not in _GOOD:
            status = FINDINGS
    return status


def _read(file: Path) -> bytes | None:
    """The bytes of a file; None, and a word on standard error, when there are none to be had."""
    if file.is_dir():
        print(f"hilum: {file} is a folder; name the files in it, for example {file / '*.hl7'}", file=sys.stderr)
        return None
    try:
        return file.read_bytes()
    except OSError as error:
        print(f"hilum: {file} cannot be read: {error.strerror}", file=sys.stderr)
        return None


def _line(report: MessageReport) -> str:
    """One message for people: `file:1  ADT^A01  warning  zone-missing (MSH-7)  31 valued, ...`."""
    codes = ", ".join(f"{code.code} ({code.location})" if code.location else code.code for code in report.codes)
    counts = report.fields
    parts = [
        f"{report.file}:{report.index}",
        report.kind.encode("unicode_escape").decode("ascii"),
        report.disposition.value,
        codes,
        f"{counts.valued} valued, {counts.mapped} mapped, {counts.ignored} ignored, {counts.unmapped} unmapped",
        "" if report.roundtrip else "round trip differs",
    ]
    return "  ".join(part for part in parts if part)
