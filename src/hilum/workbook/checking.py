"""`hilum workbook check`: what reading, compiling and reviewing the tables finds, all at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct, structs

from hilum.errors import ConfigError
from hilum.formats.hl7v2 import describe, field_info
from hilum.mapping import Path, Rule, Workbook, compile_workbook, read_rules, table_of
from hilum.model import Finding, Severity
from hilum.workbook.described import column_findings
from hilum.workbook.mangled import mangled_cells
from hilum.workbook.pinning import LOCK, Pin, base_hash
from hilum.workbook.reaching import Reach
from hilum.workbook.required import unmapped_required
from hilum.workbook.sheets import SIGNED_TABLES, Entry, Review
from hilum.workbook.signing import Approvals, approval_findings
from hilum.workbook.targets import target_findings
from hilum.workbook.waiting import is_untested

__all__ = ["Checked", "check"]

_OUTWARD = ".out"  # ends the name of a map that undoes another one, for messages that go out
# HL7 v2 datatypes that stand for each other in different versions, or that a row may read in place of each other.
_FAMILIES_WORDS = (
    "CE CWE CNE CF IS ID JCC ST CQ",
    "TS DTM DT TM DR",
    "CX CK ST EI EIP",
    "XCN CN CNN XPN PN PPN",
    "XPN PN",
    "XAD AD SAD",
    "XTN TN ST",
    "XON CE CWE ST",
    "EI EIP CX HD ST CM",
    "PL CM",
    "NM SI SN ST CQ MO CP",
    "ST TX FT NM ID IS CE CWE SI",
    "TQ CM RI",
    "DLN CM",
)
_FAMILIES = tuple(frozenset(words.split()) for words in _FAMILIES_WORDS)


class Checked(Struct, frozen=True):
    """`findings` are those of the site, or of the base where it is looked at alone; `base` the warnings of the base."""

    findings: tuple[Finding, ...]
    base: tuple[Finding, ...]
    rows: int

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return sum(finding.severity is Severity.ERROR for finding in (*self.findings, *self.base))


def check(
    review: Review,
    approvals: Approvals,
    pin: Pin | None = None,
    described: Mapping[str, Sequence[str]] | None = None,
) -> Checked:
    """Everything that can be said without a message. Raises nothing for what stands in the tables.

    `described` are the kinds of records that sources give (`csv:people`), with their columns, empty where only a file
    says them; None where there are no sources to ask.
    """
    compiled, book = _compiled(review)
    found = list(dict.fromkeys([*compiled, *_reviewed(review, book, described)]))
    sites = approval_findings(review, approvals)  # of shipped lines too: who approved them, and what for, is the site's
    if review.folder is None:
        return Checked((*found, *sites), (), len(book.rows))
    shipped = tuple(one for one in found if one.location.startswith("base/") and one.severity is Severity.WARNING)
    own = [one for one in found if one not in set(shipped)]
    return Checked((*own, *dict.fromkeys(sites), *_pin_findings(review, pin)), shipped, len(book.rows))


def _compiled(review: Review) -> tuple[list[Finding], Workbook]:
    """Findings of reading and compiling, with lines of the base named as such, and the workbook with its params."""
    known = {line.param for line in review.book.params}
    try:
        plan = compile_workbook(review.book, params=dict(review.decided))
        found, book = list(plan.findings), plan.book
    except ConfigError as error:
        found = list(error.findings)
        book = _with_params(review.book, {name: text for name, text in review.decided.items() if name in known})
    return [_placed(finding, review) for finding in found], book


def _with_params(book: Workbook, decided: Mapping[str, str]) -> Workbook:
    """The workbook with the params of integration.yaml in its tables."""
    lines = [
        structs.replace(line, value=decided[line.param]) if decided.get(line.param) else line for line in book.params
    ]
    return structs.replace(book, params=tuple(lines))


def _placed(finding: Finding, review: Review) -> Finding:
    file = finding.location.partition(":")[0]
    if table_of(file) and file in review.base.documents and file not in review.site.documents:
        return Finding(finding.code, finding.message, f"base/{finding.location}", finding.severity, finding.hint)
    return finding


def _reviewed(review: Review, book: Workbook, described: Mapping[str, Sequence[str]] | None) -> Iterator[Finding]:
    """What only a review sees; rows that do not even parse are left to the compiler."""
    rules, _ = read_rules(book)
    active = [entry for entry in review.merged.values() if not entry.is_retired]
    rows = {entry.cells["row_id"]: entry for entry in active if entry.table == "rows"}
    params = {line.param: book.param(line.param) for line in book.params}
    maps: dict[str, list[Entry]] = {}
    for entry in active:
        if entry.table == "maps":
            maps.setdefault(entry.cells["map"], []).append(entry)
    reach = Reach(rules, rows)
    yield from _hidden_findings(review)
    yield from _source_findings(rules, rows)
    if described is not None:
        yield from column_findings(rules, rows, described)
    yield from target_findings(rules, rows, maps)
    yield from unmapped_required(rules, rows, reach.by_rule, us_core=params.get("us_core", "") in ("yes", "true"))
    yield from reach.findings()
    yield from _line_findings(active)
    yield from mangled_cells(active)
    used = {rule.row.map for rule in rules}
    for name, entries in maps.items():
        if name.removesuffix(_OUTWARD) not in used and name not in used:
            message = f"no row uses the map `{name}` ({len(entries)} entries)"
            yield Finding("map-unused", message, entries[0].location("map"), Severity.WARNING)


def _hidden_findings(review: Review) -> Iterator[Finding]:
    """Rows about records that took the name of a row about messages: messages lose it, and nobody meant that."""
    for key, entry in review.site.entries.items():
        below = review.base.entries.get(key)
        if below is None or entry.table != "rows" or entry.is_retired:
            continue
        if ":" in entry.cells["applies"] and ":" not in below.cells["applies"]:
            message = f"the base has a row `{entry.cells['row_id']}` about messages, and this one takes its place"
            yield Finding(
                "row-hides-base",
                message,
                entry.location("row_id"),
                Severity.WARNING,
                "messages lose that row: give this one a name of its own",
            )


def _source_findings(rules: Sequence[Rule], rows: Mapping[str, Entry]) -> Iterator[Finding]:
    """Sources against the fields that HL7 v2 has, and their types."""
    for rule in rules:
        entry = rows[rule.row.row_id]
        if ":" in "".join(rule.applies):  # columns, or elements of FHIR
            continue
        for path in rule.paths(source_only=True):
            known = describe(path.segment).fields if path.segment else ()
            if not known or not path.field:
                continue
            info = field_info(path.segment, path.field)
            if path.field > len(known):
                message = f"{path.segment} has {len(known)} fields in HL7 v2, and no {path.segment}-{path.field}"
                yield Finding("source-field-unknown", message, entry.location("source"), Severity.WARNING)
            elif _differs(rule, path, info.type):
                message = f"{path.segment}-{path.field} ({info.name}) is {info.type} in HL7 v2, not {rule.row.type}"
                hint = f"write {info.type}, or name a component"
                yield Finding("source-type-differs", message, entry.location("type"), Severity.WARNING, hint)


def _differs(rule: Rule, path: Path, wanted: str) -> bool:
    written = rule.row.type
    if not written or not wanted or path.component or len(rule.alternatives) > 1:
        return False
    if wanted in (written, "varies") or written == "varies" or not isinstance(rule.alternatives[0], Path):
        return False
    return not any(written in family and wanted in family for family in _FAMILIES)


def _line_findings(active: Sequence[Entry]) -> Iterator[Finding]:
    """Owners, and samples of rows that say they are approved."""
    tested = {entry.cells["row_id"] for entry in active if entry.table == "tests"}
    rows = {entry.cells["row_id"] for entry in active if entry.table == "rows"}
    for entry in active:
        if entry.table in SIGNED_TABLES and not entry.owner:
            message = f"`{entry.name}` has no owner: nobody is asked about it"
            yield Finding("owner-missing", message, entry.location("owner"), Severity.WARNING)
        if entry.table == "rows" and entry.cells["status"] == "approved" and is_untested(entry, tested):
            message = f"`{entry.name}` is approved without a sample and what is expected of it"
            hint = "fill in sample and expect, or add a line to tests.csv"
            yield Finding("test-missing", message, entry.location("sample"), Severity.WARNING, hint)
        if entry.table == "tests" and entry.cells["row_id"] and entry.cells["row_id"] not in rows:
            message = f"the test `{entry.cells['test_id']}` is of the row `{entry.cells['row_id']}`, which does not run"
            yield Finding("test-without-row", message, entry.location("row_id"), Severity.WARNING)


def _pin_findings(review: Review, pin: Pin | None) -> Iterator[Finding]:
    """Whether the site's tables were written against the base that runs under them."""
    if not review.site.entries:
        return
    if pin is None:
        message = "nothing says which base these tables were written against"
        yield Finding("base-unpinned", message, f"{LOCK}:1:1", Severity.WARNING, "`hilum workbook upgrade` pins it")
    elif pin.hash != base_hash(review.base.entries.values()):
        message = f"these tables were written against the base of hilum {pin.version}, and another one runs now"
        hint = "`hilum workbook upgrade` shows what changed"
        yield Finding("base-changed", message, f"{LOCK}:1:1", Severity.WARNING, hint)
