"""HL7's "V2 to FHIR" mapping tables as draft rows, and what of them could not be translated, and why.

The drafts are a beginning, not a mapping: the tables name no keys, no systems of identifiers and no decisions, and rows
run only once a person has given them these. Every official line with a FHIR attribute becomes a row, goes into another
row (the `url` of an extension, the unit of a quantity), or is said to be left out with a reason.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec import Struct, structs

from hilum.errors import ConfigError
from hilum.mapping import columns_of, compile_workbook, read_workbook
from hilum.workbook.v2_codes import read_codes
from hilum.workbook.v2_conditions import Untranslatable, translate_condition
from hilum.workbook.v2_lines import (
    FIELD,
    LeftOut,
    Line,
    constant_text,
    is_unit,
    map_name,
    mended,
    missing_columns,
    plain,
    read_line,
    units_of,
)
from hilum.workbook.v2_targets import target_of
from hilum.workbook.v2_transforms import made_of

__all__ = ["LintLine", "V2Tables", "read_v2_tables"]

_SEGMENT = re.compile(r"Segment\b.*?\b([A-Z][A-Z0-9]{2})\[([A-Z][A-Za-z]+)((?:-[\w-]+)?)\]")
_MAP = re.compile(r"Concept Map_ ?(.+?)(?: - .+)?\.csv$")
PARAMS = "param,value\nzone,UTC\n"


class LintLine(Struct, frozen=True):
    """What became of one official line that says something. `fate`: clean, repaired, left-out. `reason` is for both."""

    place: str  # "PV1[Encounter] line 12"
    source: str
    target: str
    fate: str
    reason: str = ""
    detail: str = ""


_Draft = tuple[dict[str, str], LintLine]  # cells of a row


class V2Tables(Struct):
    """Draft tables as CSV texts, and the report."""

    rows: str = ""
    maps: str = ""
    lint: list[LintLine] = msgspec.field(default_factory=list)
    unreadable: list[LintLine] = msgspec.field(default_factory=list)

    @property
    def row_count(self) -> int:
        """Draft rows."""
        return max(self.rows.count("\n") - 1, 0)

    @property
    def map_count(self) -> int:
        """Draft map entries."""
        return max(self.maps.count("\n") - 1, 0)

    def counts(self) -> dict[str, int]:
        """Official lines by fate."""
        return {fate: sum(one.fate == fate for one in self.lint) for fate in ("clean", "repaired", "left-out")}

    def reasons(self, fate: str) -> dict[str, int]:
        """Reasons of one fate, most frequent first; a line may be repaired for several."""
        found: dict[str, int] = {}
        for one in self.lint:
            if one.fate == fate:
                for reason in dict.fromkeys(one.reason.split(", ")):
                    found[reason] = found.get(reason, 0) + 1
        return dict(sorted(found.items(), key=lambda one: (-one[1], one[0])))


def read_v2_tables(files: Iterable[tuple[str, str]]) -> V2Tables:
    """The tables of (name, text) of CSV files, in the order of their names: segment tables and concept maps."""
    result = V2Tables()
    maps: dict[tuple[str, str], dict[str, str]] = {}
    drafts: list[_Draft] = []
    segments: list[tuple[str, re.Match[str], list[list[str]]]] = []
    for name, text in sorted(files):
        try:
            lines = list(csv.reader(io.StringIO(text, newline="")))
        except csv.Error as error:
            result.unreadable.append(LintLine(name, "", "", "left-out", "csv-unreadable", str(error)))
            continue
        match, concept = _SEGMENT.search(name), _MAP.search(name)
        if concept is not None:
            fault = read_codes(map_name(concept[1]), lines, maps)
        elif match is not None:
            fault = missing_columns(lines)
            segments += [] if fault else [(name, match, lines)]
        else:
            continue
        if fault:
            result.unreadable.append(LintLine(name, "", "", "left-out", "columns-missing", fault))
    known = {name for name, _ in maps}
    for _, match, lines in segments:
        drafts += _read_segment(match, lines, known, result.lint)
    kept, dropped = _that_compile(drafts, maps)
    result.lint += dropped
    result.lint += [line for _, line in kept]
    result.lint.sort(key=lambda one: (one.place.partition(" line ")[0], int(one.place.partition(" line ")[2] or 0)))
    result.rows = _csv("rows", [row for row, _ in kept])
    result.maps = _csv("maps", list(maps.values()))
    return result


def _csv(table: str, lines: Sequence[Mapping[str, str]]) -> str:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, columns_of(table), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


# -- segments --------------------------------------------------------------------------------------------------


def _read_segment(
    match: re.Match[str], lines: list[list[str]], maps: set[str], lint: list[LintLine]
) -> Iterator[_Draft]:
    label = match[3].strip("-").lower()
    table = _Table(match[1], match[2], f"{match[2]}:{label}" if label else match[2])
    read = [read_line(f"{match[1]}[{match[2]}{match[3]}]", number, cells) for number, cells in enumerate(lines[2:], 3)]
    said = [line for line in read if line.attribute]
    named = [(_URL.fullmatch(line.attribute), line) for line in said]
    table.urls = {
        found["extension"]: text for found, line in named if found and (text := constant_text(line.assignment))
    }
    table.units = units_of(said)
    for line in said:
        joined = table.joined(line)
        if joined:
            lint.append(LintLine(line.place, line.source, line.attribute, "repaired", *joined))
            continue
        try:
            row, repairs = table.row(line, maps)
        except LeftOut as left:
            lint.append(LintLine(line.place, line.source, line.attribute, "left-out", left.reason, left.detail))
        else:
            fate = "repaired" if repairs else "clean"
            yield row, LintLine(line.place, line.source, line.attribute, fate, ", ".join(repairs))


@dataclass
class _Table:
    """One segment table: `urls` of its extensions by attribute, `units` of its quantities."""

    segment: str
    type: str
    resource: str
    urls: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)

    def joined(self, line: Line) -> tuple[str, str] | None:
        """(reason, detail) for a line that goes into the row of another."""
        found = _URL.fullmatch(line.attribute)
        if found and found["extension"] in self.urls:
            return "extension-url", "it names the extension of the next lines"
        if is_unit(line) and plain(line.attribute) in self.units:
            return "unit-joined", "it is the unit of a quantity that another line gives its number"
        return None

    def row(self, line: Line, maps: set[str]) -> tuple[dict[str, str], list[str]]:
        """The cells of a draft row, and what was repaired. Raises LeftOut."""
        repairs: list[str] = []
        if line.narrative and not line.antlr:
            raise LeftOut("condition-is-prose", line.narrative)
        line = mended(line, repairs)
        try:
            when = translate_condition(line.antlr, self.segment, line.source, line.type)
        except Untranslatable as error:
            raise LeftOut("condition-untranslatable", str(error)) from None
        source = line.source if FIELD.fullmatch(line.source) else ""
        if line.source and not source and line.source != self.segment:
            raise LeftOut("source-unclear", line.source)
        if plain(line.attribute) in self.units and line.attribute.endswith(".value"):
            repairs.append("unit-joined")
            line = structs.replace(line, attribute=line.attribute.removesuffix(".value"))
        target, leaf = target_of(line, self.type, self.resource, self.urls, repairs)
        made = made_of(structs.replace(line, source=source), leaf, maps, self.units, repairs)
        if not made.source and not made.transform.startswith("const("):
            raise LeftOut("source-missing", "the line reads no field")
        name = f"v2 {self.segment} {self.resource} {source} {line.number}".lower()
        row = {
            "row_id": re.sub(r"[^a-z0-9]+", "-", name).strip("-"),
            "anchor": self.segment,
            "source": made.source,
            "type": made.type,
            "when": when,
            "target": target,
            "transform": made.transform,
            "map": made.map,
            "status": "draft",
            "origin": f"v2-to-fhir {line.place}",
        }
        return row, repairs


_URL = re.compile(r"(?P<extension>.*extension(?:\[\d+\])?)\.ur[li]\)?")  # some lines say `uri`


def _that_compile(
    drafts: list[_Draft], maps: dict[tuple[str, str], dict[str, str]]
) -> tuple[list[_Draft], list[LintLine]]:
    """The rows that hilum compiles beside each other, and why it does not take the others."""
    kept, dropped = _in_parts(drafts)
    map_text = _csv("maps", list(maps.values()))
    while kept:
        tables = [("rows.csv", _csv("rows", [row for row, _ in kept])), ("maps.csv", map_text), ("params.csv", PARAMS)]
        try:
            compile_workbook(read_workbook(tables))
            break
        except ConfigError as error:
            wrong = {
                int(one.location.split(":")[1]): one for one in error.findings if one.location.startswith("rows.csv")
            }
        if not wrong:
            break
        for line, finding in wrong.items():
            row, lint = kept[line - 2]
            reason = f"check-{finding.code}"
            dropped.append(LintLine(lint.place, lint.source, row["target"], "left-out", reason, finding.message))
        kept = [one for at, one in enumerate(kept) if at + 2 not in wrong]
    return kept, dropped


def _in_parts(drafts: list[_Draft]) -> tuple[list[_Draft], list[LintLine]]:
    """All but the rows that write an element whole which more rows write in parts: only one of both compiles."""
    whole_rows = Counter(row["target"] for row, _ in drafts)
    part_rows: Counter[str] = Counter()
    for target, count in whole_rows.items():
        for dot in re.finditer(r"\.", target):
            part_rows[target[: dot.start()]] += count
    kept, dropped = [], []
    for row, lint in drafts:
        whole = row["target"]
        parts = part_rows[whole]
        if parts > whole_rows[whole]:
            detail = f"{parts} other lines write this element in parts"
            dropped.append(LintLine(lint.place, lint.source, whole, "left-out", "check-target-invalid", detail))
        else:
            kept.append((row, lint))
    return kept, dropped
