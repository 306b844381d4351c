"""The tables of a workbook: reading CSV with every finding at once, and laying a site's tables over the base."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TypeVar

from msgspec import Struct, structs

from hilum.errors import ConfigError
from hilum.model import Finding, Severity

__all__ = [
    "CodeSystem",
    "Ignore",
    "MapEntry",
    "Namespace",
    "OutwardLine",
    "ParamLine",
    "Row",
    "TestCase",
    "Where",
    "Workbook",
    "base_files",
    "columns_of",
    "key_columns",
    "load_base",
    "load_workbook",
    "read_workbook",
    "required_columns",
    "table_of",
    "table_text",
]


class Where(Struct, frozen=True):
    """Where a line of a table was written."""

    file: str = ""
    line: int = 0
    layer: str = "base"

    def column(self, table: type[Struct], name: str) -> str:
        """`rows.csv:12:7`: file, line, and the cell counted from 1 in the documented order of columns."""
        names = [field.name for field in structs.fields(table)]
        return f"{self.file}:{self.line}:{names.index(name) + 1 if name in names else 1}"


class Row(Struct, frozen=True):
    """One line of `rows`: source path to target path. All cells are text as written; docs/workbook.md explains them."""

    row_id: str
    applies: str = ""
    anchor: str = ""
    source: str = ""
    type: str = ""
    when: str = ""
    target: str = ""
    transform: str = ""
    map: str = ""
    missing: str = ""
    unmapped: str = ""
    repeats: str = ""
    owner: str = ""
    approver: str = ""
    status: str = ""
    origin: str = ""
    sample: str = ""
    expect: str = ""
    recon: str = ""
    phi: str = ""
    note: str = ""
    where: Where = Where()
    cells: dict[str, int] = {}


class ParamLine(Struct, frozen=True):
    """A decision that the standard leaves open. `inspection` serves when the base runs without a site."""

    param: str
    value: str = ""
    inspection: str = ""
    owner: str = ""
    approver: str = ""
    status: str = ""
    note: str = ""
    where: Where = Where()
    cells: dict[str, int] = {}


class Namespace(Struct, frozen=True):
    """(sender, assigning authority) to the system URI of its identifiers."""

    sender: str = ""
    authority: str = ""
    system: str = ""
    type: str = ""
    owner: str = ""
    status: str = ""
    note: str = ""
    where: Where = Where()
    cells: dict[str, int] = {}


class CodeSystem(Struct, frozen=True):
    """A coding system's name as senders write it (CWE.3) to its URI."""

    name: str
    system: str = ""
    owner: str = ""
    note: str = ""
    where: Where = Where()
    cells: dict[str, int] = {}


class MapEntry(Struct, frozen=True):
    """One code of one map, for one sender or (empty) for all."""

    map: str
    sender: str = ""
    code: str = ""
    target: str = ""
    system: str = ""
    display: str = ""
    owner: str = ""
    approver: str = ""
    status: str = ""
    note: str = ""
    where: Where = Where()
    cells: dict[str, int] = {}


class Ignore(Struct, frozen=True):
    """A field that is not mapped on purpose: `PID-2`, or `ZPI-*` for a whole segment."""

    field: str
    applies: str = ""
    sender: str = ""
    reason: str = ""
    owner: str = ""
    where: Where = Where()
    cells: dict[str, int] = {}


class TestCase(Struct, frozen=True):
    """A sample and what must come of it: for one row, or for a whole message and a path of its resources."""

    __test__ = False

    test_id: str
    row_id: str = ""
    message: str = ""
    path: str = ""
    sample: str = ""
    expect: str = ""
    note: str = ""
    where: Where = Where()
    cells: dict[str, int] = {}


class OutwardLine(Struct, frozen=True):
    """What the rows cannot say of messages that go out: segments and their order, control codes, what is left out.

    `role`: segment, set, default, skip, ignore; docs/outward.md explains the cells of each.
    """

    line_id: str
    role: str = ""
    applies: str = ""
    segment: str = ""
    under: str = ""
    each: str = ""
    only: str = ""
    field: str = ""
    source: str = ""
    reason: str = ""
    owner: str = ""
    status: str = ""
    note: str = ""
    where: Where = Where()
    cells: dict[str, int] = {}


class Workbook(Struct, frozen=True):
    """The tables that run, overlays applied, and everything found wrong on the way (`findings`)."""

    rows: tuple[Row, ...] = ()
    params: tuple[ParamLine, ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    codesystems: tuple[CodeSystem, ...] = ()
    maps: tuple[MapEntry, ...] = ()
    ignores: tuple[Ignore, ...] = ()
    tests: tuple[TestCase, ...] = ()
    outward: tuple[OutwardLine, ...] = ()
    findings: tuple[Finding, ...] = ()
    inspection: bool = False  # no site: params take their `inspection` value, unknown authorities are local

    def param(self, name: str) -> str:
        """The value that runs; "" when it is not set."""
        for line in self.params:
            if line.param == name:
                return (line.inspection if self.inspection else "") or line.value
        return ""

    def raise_findings(self) -> None:
        """Raise ConfigError `workbook-invalid` when a finding is an error."""
        errors = [finding for finding in self.findings if finding.severity is Severity.ERROR]
        if errors:
            count = f"{len(errors)} errors" if len(errors) > 1 else "1 error"
            raise ConfigError(f"the workbook has {count}", errors, code="workbook-invalid")


Line = TypeVar("Line", bound=Struct)
Layer = dict[type[Struct], dict[tuple[str, ...], Struct]]  # lines of each table, by their key

_NAMESPACE_NOT_EMPTY = ("authority", "system")
_REQUIRED: dict[type[Struct], tuple[str, ...]] = {
    Row: ("row_id", "anchor", "target"),
    ParamLine: ("param",),
    Namespace: _NAMESPACE_NOT_EMPTY,
    CodeSystem: ("name", "system"),
    MapEntry: ("map", "code"),
    Ignore: ("field", "reason"),
    TestCase: ("test_id", "expect"),
    OutwardLine: ("line_id", "role"),
}
_KEYS: dict[type[Struct], tuple[str, ...]] = {
    Row: ("row_id",),
    ParamLine: ("param",),
    Namespace: ("sender", "authority"),
    CodeSystem: ("name",),
    MapEntry: ("map", "sender", "code"),
    Ignore: ("field", "applies", "sender"),
    TestCase: ("test_id",),
    OutwardLine: ("line_id",),
}
_FILES: dict[str, type[Struct]] = {
    "rows": Row,
    "params": ParamLine,
    "namespaces": Namespace,
    "codesystems": CodeSystem,
    "maps": MapEntry,
    "ignores": Ignore,
    "tests": TestCase,
    "outward": OutwardLine,
}
_RETIRED = "retired"
_STATUSES = frozenset({"", "draft", "approved", _RETIRED})
_BOM = "\ufeff"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_OTHER_MARKS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_BESIDE = frozenset({"approvals.csv", "signers.csv"})  # kept with the tables, and no tables themselves


def table_of(file: str) -> str:
    """`maps` for `maps-lab.csv`; "" for a file that is no table of a workbook."""
    name = file.removesuffix(".csv").split("-")[0]
    return name if name in _FILES and file.endswith(".csv") else ""


def columns_of(table: str) -> tuple[str, ...]:
    """The columns of `rows`, `params`, ... in their documented order."""
    return tuple(_columns(_FILES[table]))


def key_columns(table: str) -> tuple[str, ...]:
    """What tells one line of a table from another."""
    return _KEYS[_FILES[table]]


def required_columns(table: str) -> tuple[str, ...]:
    """The columns that every line fills."""
    return _REQUIRED[_FILES[table]]


def _key(line: Struct) -> tuple[str, ...]:
    return tuple(getattr(line, name) for name in _KEYS[type(line)])


@cache
def _columns(table: type[Struct]) -> list[str]:
    return [field.name for field in structs.fields(table) if field.name not in ("where", "cells")]


def _records(text: str) -> Iterator[tuple[int, list[str]]]:
    """Lines of a CSV text with the number of the line on which each starts; comments and empty lines left out."""
    reader = csv.reader(
        io.StringIO(text.removeprefix(_BOM), newline=""), strict=True
    )  # U+2028 and its like end no line
    start = 1
    for cells in reader:
        if any(cell.strip() for cell in cells) and not cells[0].lstrip().startswith("#"):
            yield start, [cell.strip() for cell in cells]
        start = reader.line_num + 1


def _read_table(
    table: type[Line], text: str, file: str, layer: str, report: Callable[[Finding], None]
) -> Iterator[Line]:
    try:
        records = list(_records(text))
    except csv.Error as error:
        report(Finding("table-unreadable", f"is not CSV: {error}", f"{file}:1:1"))
        return
    if not records:
        return
    header_line, header = records[0]
    known = _columns(table)
    if len(header) == 1 and (mark := next((mark for mark in _OTHER_MARKS if mark in header[0]), "")):
        message = f"{_OTHER_MARKS[mark]} stand between its cells, where commas should"
        hint = "save it as CSV with commas; a spreadsheet program asks for the separator, or takes that of its language"
        report(Finding("table-unreadable", message, f"{file}:{header_line}:1", hint=hint))
        return
    for column, name in enumerate(header, 1):
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean `{near[0]}`?" if near else f"columns are {', '.join(known)}"
            report(Finding("column-unknown", f"no column `{name}`", f"{file}:{header_line}:{column}", hint=hint))
    cells = {name: column for column, name in enumerate(header, 1)}
    for line, values in records[1:]:
        if len(values) > len(header):
            report(
                Finding(
                    "line-too-long", f"{len(values)} cells, {len(header)} columns", f"{file}:{line}:{len(header) + 1}"
                )
            )
            continue
        content = {name: value for name, value in zip(header, values, strict=False) if name in known}
        bad = False
        for name in _REQUIRED[table]:
            if not content.get(name):
                bad = True
                report(Finding("cell-missing", f"`{name}` must be filled", f"{file}:{line}:{cells.get(name, 1)}"))
        status = content.get("status", "")
        if status not in _STATUSES:
            message = f"`{status}` is not draft, approved or retired"
            report(Finding("status-unknown", message, f"{file}:{line}:{cells['status']}"))
        if not bad:
            yield table(**content, where=Where(file, line, layer), cells=cells)


def _read_layer(files: Iterable[tuple[str, str]], layer: str, report: Callable[[Finding], None]) -> Layer:
    layers: Layer = {table: {} for table in _KEYS}
    for file, text in files:
        table = _FILES.get(file.removesuffix(".csv").split("-")[0])
        if table is None:
            near = ", ".join(f"{name}.csv" for name in _FILES)
            report(
                Finding(
                    "table-unknown", f"`{file}` is no table of a workbook", f"{file}:1:1", hint=f"tables are {near}"
                )
            )
            continue
        for line in _read_table(table, text, file, layer, report):
            key = _key(line)
            earlier = layers[table].get(key)
            if earlier is not None:
                where: Where = line.where  # type: ignore[attr-defined]
                before: Where = earlier.where  # type: ignore[attr-defined]
                report(
                    Finding(
                        "line-twice",
                        f"`{' '.join(part for part in key if part)}` is already at {before.file}:{before.line}",
                        f"{where.file}:{where.line}:{line.cells.get(_KEYS[table][-1], 1)}",  # type: ignore[attr-defined]
                    )
                )
            layers[table][key] = line
    return layers


def _overlay(base: dict[tuple[str, ...], Struct], site: dict[tuple[str, ...], Struct]) -> tuple[Struct, ...]:
    merged = dict(base)
    for key, line in site.items():
        earlier = merged.get(key)
        if isinstance(line, ParamLine) and isinstance(earlier, ParamLine) and not line.inspection:
            line = structs.replace(line, inspection=earlier.inspection)
        merged[key] = line
    return tuple(line for line in merged.values() if getattr(line, "status", "") != _RETIRED)


def read_workbook(
    base: Iterable[tuple[str, str]], site: Iterable[tuple[str, str]] = (), *, inspection: bool = False
) -> Workbook:
    """Tables as (file name, text): `site` laid over `base` by key. Findings are in the result; nothing is raised."""
    findings: list[Finding] = []
    return _laid_over(_read_layer(base, "base", findings.append), site, findings, inspection=inspection)


def _laid_over(
    lower: Layer, site: Iterable[tuple[str, str]], findings: list[Finding], *, inspection: bool = False
) -> Workbook:
    upper = _read_layer(site, "site", findings.append)
    tables = {name: _overlay(lower[table], upper[table]) for name, table in _FILES.items()}
    return Workbook(**tables, findings=tuple(findings), inspection=inspection)  # type: ignore[arg-type]


def base_files() -> list[tuple[str, str]]:
    """The tables that ship with hilum, as (file name, text), in the order in which they run."""
    folder = resources.files("hilum.mapping").joinpath("base")
    if not folder.is_dir():
        return []
    found = [entry for entry in folder.iterdir() if entry.name.endswith(".csv")]
    return [(entry.name, entry.read_text("utf-8")) for entry in sorted(found, key=lambda entry: entry.name)]


def table_text(raw: bytes, file: str) -> str:
    """The text of a CSV file, with its byte order mark if it has one. Raises ConfigError `table-unreadable`."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8")
        cell = len(next(csv.reader([before.rpartition("\n")[2]]), [""])) or 1
        kind = "is UTF-16 text" if raw[:2] in _UTF_16 else f"is not UTF-8 text: the byte {raw[error.start]:#x}"
        place = f"{file}:{before.count(chr(10)) + 1}:{cell}"
        finding = Finding("table-unreadable", kind, place, hint="save it as CSV UTF-8")
        raise ConfigError(f"{file} is not UTF-8 text", [finding], code="table-unreadable") from None


def _folder_files(folder: Path, report: Callable[[Finding], None]) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.glob("*.csv")):
        if path.name in _BESIDE:
            continue
        try:
            yield path.name, table_text(path.read_bytes(), path.name)
        except ConfigError as error:
            for finding in error.findings:
                report(finding)
        except OSError as error:
            report(Finding("table-unreadable", f"cannot be read: {error.strerror}", f"{path.name}:1:1"))


def load_base() -> Workbook:
    """The base workbook alone, for looking at messages without an integration: unknown authorities stay local."""
    lower, findings = _base_layer()
    return _laid_over(lower, (), [*findings], inspection=True)


@cache
def _base_layer() -> tuple[Layer, tuple[Finding, ...]]:
    """The tables that ship with hilum are read once."""
    findings: list[Finding] = []
    return _read_layer(base_files(), "base", findings.append), tuple(findings)


def load_workbook(folder: Path | None) -> Workbook:
    """The base extended by the tables in `folder/workbook` of an integration folder. None is `load_base()`.

    All problems of all files are in `.findings`.
    """
    if folder is None:
        return load_base()
    findings: list[Finding] = []
    site = list(_folder_files(folder / "workbook", findings.append))
    lower, said = _base_layer()
    return _laid_over(lower, site, [*findings, *said])
