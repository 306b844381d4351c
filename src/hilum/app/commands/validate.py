"""`hilum validate`: FHIR R4 resources, Bundles and NDJSON against R4 and the packages of a folder."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from hilum.definitions import Shelf, r4
from hilum.errors import HilumError
from hilum.model import Severity
from hilum.validation import Report, Validator

__all__ = ["command"]

FINDINGS, USAGE = 1, 2
LONG = 4 * 1024 * 1024  # bytes from which on a bar says how far it is
MOST_BYTES = 512 * 1024 * 1024  # of one resource or Bundle


class _Totals:
    """What was seen over all files."""

    def __init__(self) -> None:
        self.bodies = self.refused = self.resources = self.errors = self.warnings = 0
        self.unchecked: set[str] = set()

    def add(self, report: Report) -> None:
        self.bodies += 1
        self.refused += not report.is_valid
        self.resources += report.resources
        self.unchecked.update(report.unchecked)
        for one in report.findings:
            if one.severity is Severity.ERROR:
                self.errors += 1
            else:
                self.warnings += 1


def command(
    *files: Annotated[
        str,
        Parameter(
            help="Files with a resource or a Bundle; *.ndjson has one a line; - is standard input.",
            allow_leading_hyphen=True,
        ),
    ],
    profile: Annotated[
        list[str] | None, Parameter(help="A profile that each resource must meet as well, by URL.", negative="")
    ] = None,
    folder: Annotated[Path | None, Parameter(help="Use the packages of this integration folder.")] = None,
    json: Annotated[bool, Parameter(help="One JSON object for each resource or Bundle.", negative="")] = False,
) -> int:
    """Say what is wrong with FHIR R4 resources, where, and what to do about it.

    Checked are structure, dates, references, invariants and codes, and the profiles that a resource claims, where they
    are loaded (`hilum package add`). Values are never printed. Code systems that are not here, such as LOINC, are named
    as not checked.

    The exit status is 0 without errors, 1 with errors; warnings alone are 0.
    """
    if not files:
        print("hilum: name at least one file to validate, or - for standard input", file=sys.stderr)
        return USAGE
    if folder is not None and not folder.is_dir():
        print(f"hilum: {folder} is no folder", file=sys.stderr)
        return USAGE
    validator = Validator(Shelf(folder).definitions(r4()) if folder is not None else r4())
    missing = [url for url in profile or () if validator.definitions.structure(url) is None]
    if missing:
        hint = "name its folder with --folder" if folder is None else "add its package with `hilum package add`"
        print(f"hilum: the profile {missing[0]} is not loaded ({hint})", file=sys.stderr)
        return USAGE
    totals = _Totals()
    read = [_validate(validator, name, profile or [], totals, as_json=json) for name in files]
    if not json:
        _summary(totals, validator.rules)
    if not all(read):
        return USAGE
    return FINDINGS if totals.refused else 0


def _validate(validator: Validator, name: str, profiles: list[str], totals: _Totals, *, as_json: bool) -> bool:
    """All of one file; False when it cannot be read."""
    try:
        for place, raw in _bodies(name):
            report = validator.report(raw, profiles=profiles)
            totals.add(report)
            _print(place, report, as_json=as_json)
    except BrokenPipeError:  # who read what is printed has gone: the file is fine
        raise
    except OSError as error:
        print(f"hilum: {name} cannot be read: {error.strerror}", file=sys.stderr)
        return False
    return True


def _bodies(name: str) -> Iterator[tuple[str, bytes]]:
    """(file, or file:line; the JSON there)."""
    if name == "-":
        raw = sys.stdin.buffer.read(MOST_BYTES + 1)
        yield from _of_bytes("-", raw)
        return
    path = Path(name)
    if path.suffix == ".ndjson":
        yield from _lines(path)
        return
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise HilumError("this file is too large to be one resource", code="validate-too-large", location=name)
    yield from _of_bytes(name, path.read_bytes())


def _of_bytes(name: str, raw: bytes) -> Iterator[tuple[str, bytes]]:
    """One body, or one a line where several lines start with a brace of their own."""
    lines = raw.splitlines()
    if len(lines) > 1 and all(line.startswith(b"{") and line.rstrip().endswith(b"}") for line in lines if line.strip()):
        yield from ((f"{name}:{number}", line) for number, line in enumerate(lines, 1) if line.strip())
    else:
        yield name, raw


def _lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """The lines of an NDJSON file, however long it is."""
    with path.open("rb") as file, _bar(path) as bar:
        for number, line in enumerate(_shown(file, bar), 1):
            if line.strip():
                yield f"{path}:{number}", line


def _bar(path: Path) -> Any:
    """A progress bar for a large file, where somebody looks."""
    if path.stat().st_size < LONG or not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console
    from rich.progress import Progress

    return Progress(console=Console(stderr=True), transient=True)


def _shown(file: Iterable[bytes], bar: Any) -> Iterator[bytes]:
    if bar is None:
        yield from file
        return
    import os

    task = bar.add_task("validating", total=os.fstat(file.fileno()).st_size)  # type: ignore[attr-defined]
    for line in file:
        yield line
        bar.advance(task, len(line))


def _print(place: str, report: Report, *, as_json: bool) -> None:
    if as_json:
        told = {
            "file": place,
            "valid": report.is_valid,
            "findings": report.findings,
            "unchecked": report.unchecked,
            "resources": report.resources,
            "rules": report.rules,
        }
        print(msgspec.json.encode(told).decode())
        return
    for one in report.findings:
        print(f"{place}  {one.severity.value}  {one}")


def _summary(totals: _Totals, rules: str) -> None:
    good = totals.bodies - totals.refused
    print(
        f"{totals.resources} resources in {totals.bodies} bodies: {good} valid, {totals.refused} not; "
        f"{totals.errors} errors, {totals.warnings} warnings  [{rules}]"
    )
    if totals.unchecked:
        print(f"not checked, because not loaded here: {', '.join(sorted(totals.unchecked))}")
