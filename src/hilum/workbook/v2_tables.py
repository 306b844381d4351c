"""HL7's "V2 to FHIR" mapping tables as draft rows, and what of them could not be translated, and why.

The drafts are a beginning, not a mapping: the tables name no keys, no systems of identifiers and no decisions, and rows
run only once a person has given them these. Every official line with a FHIR attribute becomes a row, goes into another
row (the `url` of an extension), or is said to be left out with a reason.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct, field, structs

from hilum.definitions import children, element
from hilum.errors import ConfigError
from hilum.mapping import columns_of, compile_workbook, read_workbook
from hilum.workbook.v2_conditions import Untranslatable, translate_condition

__all__ = ["LintLine", "V2Tables", "read_v2_tables"]

_SEGMENT = re.compile(r"Segment\b.*?\b([A-Z][A-Z0-9]{2})\[([A-Z][A-Za-z]+)((?:-[\w-]+)?)\]")
_MAP = re.compile(r"Concept Map_ ?(.+?)(?: - .+)?\.csv$")
_STEP = re.compile(r"(?P<name>[A-Za-z]\w*(?:\[x\])?)(?:\[(?P<item>\d+|[a-z]\w*)\])?(?P<of>\([^)]*\))?(?:\.|$)")
_OTHER = re.compile(r"[^()]*\((?P<type>[A-Z][A-Za-z]+)(?:\[\d+\])?\.(?P<rest>[a-z].*)\)")
_FIELD = re.compile(r"[A-Z][A-Z0-9]{2}-\d+(?:\.\d+){0,2}")
_CONSTANT = re.compile(r"[\"\u201c](?P<text>[^\"\u201c\u201d]*)[\"\u201d]")
PARAMS = "param,value\nzone,UTC\n"
# (v2 data type, FHIR data type) to the transform: the usual form of a data type has its name.
_USUAL = frozenset({"CX", "XPN", "XAD", "XTN", "CWE", "CE", "CNE", "EI", "XCN", "XON", "PL", "HD"})
_BY_FHIR = {
    "Identifier": {"CX": "CX", "EI": "EI", "XON": "XON_ID", "XCN": "XCN_ID", "HD": "HD", "DLN": "DLN", "CWE": "EI"},
    "HumanName": {"XPN": "XPN", "XCN": "XCN", "CNN": "CNN"},
    "Address": {"XAD": "XAD", "SAD": "SAD"},
    "ContactPoint": {"XTN": "XTN"},
    "CodeableConcept": dict.fromkeys(("CWE", "CE", "CNE", "CF", "IS", "ID", "varies"), "CWE"),
    "Coding": dict.fromkeys(("CWE", "CE", "CNE", "CF", "IS", "ID"), "coding"),
    "Quantity": {"NM": "quantity", "CQ": "quantity", "varies": "quantity"},
    "Period": {"DR": "DR", "DTM": "period", "varies": "period"},
    "Attachment": {"ED": "ED", "RP": "RP", "varies": "ED"},
    "Timing": {"TQ": "TQ", "RI": "RI"},
    "Money": {"MO": "MO", "CP": "CP"},
    "Annotation": dict.fromkeys(("FT", "TX", "CWE", "ST"), "note"),
    "date": dict.fromkeys(("DTM", "DT", "TS"), "date"),
    "dateTime": dict.fromkeys(("DTM", "DT", "TS", "varies"), "datetime(zone=param.zone)"),
    "instant": dict.fromkeys(("DTM", "TS"), "instant(zone=param.zone)"),
    "time": {"TM": "time", "varies": "time"},
    "boolean": dict.fromkeys(("ID", "IS", "CWE", "ST"), "boolean"),
    "integer": dict.fromkeys(("NM", "SI"), "integer"),
    "positiveInt": dict.fromkeys(("NM", "SI"), "integer"),
    "unsignedInt": dict.fromkeys(("NM", "SI"), "integer"),
    "decimal": {"NM": "decimal", "varies": "decimal"},
    "base64Binary": dict.fromkeys(("ST", "TX", "FT"), "data"),
    "uri": dict.fromkeys(("ST", "HD", "ID", "CWE"), "uri"),
    "url": dict.fromkeys(("ST", "HD"), "url"),
    "Reference": dict.fromkeys(("XCN", "XON", "PL", "CWE", "HD", "XPN", "CNN"), "display"),
    "Range": {"varies": "range", "SN": "range", "NR": "range"},
}
_TEXT_TYPES = "ST TX FT NM SI ID IS CWE CNE CE XON PL HD EI DTM DT TM varies"
_TEXTS = frozenset(_TEXT_TYPES.split())


class LintLine(Struct, frozen=True):
    """What became of one official line that says something. `fate`: clean, repaired, left-out. `reason` is for both."""

    place: str  # "PV1[Encounter] line 12"
    source: str
    target: str
    fate: str
    reason: str = ""
    detail: str = ""


class V2Tables(Struct):
    """Draft tables as CSV texts, and the report."""

    rows: str = ""
    maps: str = ""
    lint: list[LintLine] = field(default_factory=list)
    unreadable: list[LintLine] = field(default_factory=list)

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


class _LeftOut(ValueError):
    """A line that becomes no row: a reason that is counted, and what exactly."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


class _Line(Struct, frozen=True):
    """One official line of a segment table."""

    place: str
    number: int
    source: str
    type: str
    antlr: str
    narrative: str
    attribute: str
    fhir: str
    datatype_map: str
    vocabulary: str
    assignment: str


def read_v2_tables(files: Iterable[tuple[str, str]]) -> V2Tables:
    """The tables of (name, text) of CSV files, in the order of their names: segment tables and concept maps."""
    result = V2Tables()
    maps: dict[tuple[str, str], dict[str, str]] = {}
    drafts: list[tuple[dict[str, str], LintLine]] = []
    segments: list[tuple[str, re.Match[str], list[list[str]]]] = []
    for name, text in sorted(files):
        try:
            lines = list(csv.reader(io.StringIO(text, newline="")))
        except csv.Error as error:
            result.unreadable.append(LintLine(name, "", "", "left-out", "csv-unreadable", str(error)))
            continue
        match, concept = _SEGMENT.search(name), _MAP.search(name)
        if concept is not None:
            _read_map(_map_name(concept[1]), lines, maps)
        elif match is not None:
            segments.append((name, match, lines))
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


def _map_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")


def _cell(line: Sequence[str], at: int) -> str:
    return " ".join(line[at].split()) if at < len(line) else ""


# -- code maps -------------------------------------------------------------------------------------------------


def _read_map(name: str, lines: list[list[str]], maps: dict[tuple[str, str], dict[str, str]]) -> None:
    """Entries without a condition; the first of a code is taken."""
    for line in lines[2:]:
        code, target = _cell(line, 0), _cell(line, 6)
        if code and target and not _cell(line, 3) and not _cell(line, 5) and (name, code) not in maps:
            maps[name, code] = {
                "map": name,
                "code": code,
                "target": target,
                "system": _cell(line, 9),
                "display": _cell(line, 8),
                "status": "draft",
                "note": "official",
            }


# -- segments --------------------------------------------------------------------------------------------------


def _read_segment(
    match: re.Match[str], lines: list[list[str]], maps: set[str], lint: list[LintLine]
) -> Iterator[tuple[dict[str, str], LintLine]]:
    segment, type_, label = match[1], match[2], match[3].strip("-").lower()
    table = f"{match[1]}[{match[2]}{match[3]}]"
    read = [_line(table, number, cells) for number, cells in enumerate(lines[2:], 3)]
    said = [line for line in read if line.attribute]
    named = [(_URL.fullmatch(line.attribute), line) for line in said]
    urls = {found["extension"]: _text(line.assignment) for found, line in named if found and _text(line.assignment)}
    resource = f"{type_}:{label}" if label else type_
    for line in said:
        if (found := _URL.fullmatch(line.attribute)) and found["extension"] in urls:
            text = "it names the extension of the next lines"
            lint.append(LintLine(line.place, line.source, line.attribute, "repaired", "extension-url", text))
            continue
        try:
            row, repairs = _translated(line, segment, type_, resource, urls, maps)
        except _LeftOut as left:
            lint.append(LintLine(line.place, line.source, line.attribute, "left-out", left.reason, left.detail))
        else:
            fate = "repaired" if repairs else "clean"
            yield row, LintLine(line.place, line.source, line.attribute, fate, ", ".join(repairs))


def _line(table: str, number: int, cells: Sequence[str]) -> _Line:
    get = [_cell(cells, at) for at in range(17)]
    place = f"{table} line {number}"
    fhir = get[11].split("(")[0]
    return _Line(place, number, get[1], get[3], get[6], get[8], get[9], fhir, get[14], get[15], get[16])


def _text(assignment: str) -> str:
    match = _CONSTANT.fullmatch(assignment.strip())
    return match["text"].strip() if match else ""


def _translated(
    line: _Line, segment: str, type_: str, resource: str, urls: Mapping[str, str], maps: set[str]
) -> tuple[dict[str, str], list[str]]:
    repairs: list[str] = []
    if line.narrative and not line.antlr:
        raise _LeftOut("condition-is-prose", line.narrative)
    try:
        when = translate_condition(line.antlr, segment, line.source, line.type)
    except Untranslatable as error:
        raise _LeftOut("condition-untranslatable", str(error)) from None
    source = line.source if _FIELD.fullmatch(line.source) else ""
    if line.source and not source and line.source != segment:
        raise _LeftOut("source-unclear", line.source)
    line = _straightened(line, repairs)
    target, leaf = _target(line, type_, resource, urls, repairs)
    transform, map_ = _transform(line, leaf, maps, repairs)
    if not source and not transform.startswith("const("):
        raise _LeftOut("source-missing", "the line reads no field")
    row = {
        "row_id": re.sub(r"[^a-z0-9]+", "-", f"v2 {segment} {resource} {source} {line.number}".lower()).strip("-"),
        "anchor": segment,
        "source": source,
        "type": line.type if re.fullmatch(r"[A-Z]{2,3}", line.type) else "",
        "when": when,
        "target": target,
        "transform": transform,
        "map": map_,
        "status": "draft",
        "origin": f"v2-to-fhir {line.place}",
    }
    return row, repairs


_URL = re.compile(r"(?P<extension>.*extension(?:\[\d+\])?)\.ur[li]\)?")  # some lines say `uri`
_STATED = re.compile(r'(?P<target>[^"=]+)="(?P<value>[^"]*)"')


def _straightened(line: _Line, repairs: list[str]) -> _Line:
    """Slips of the pen: a value written behind the attribute, a parenthesis that is not closed."""
    stated = _STATED.fullmatch(line.attribute)
    if stated is not None:
        repairs.append("value-in-attribute")
        line = structs.replace(line, attribute=stated["target"], assignment=f'"{stated["value"]}"')
    missing = line.attribute.count("(") - line.attribute.count(")")
    if missing > 0:
        repairs.append("parenthesis-closed")
        line = structs.replace(line, attribute=line.attribute + ")" * missing)
    return line


def _target(line: _Line, type_: str, resource: str, urls: Mapping[str, str], repairs: list[str]) -> tuple[str, str]:
    """(target, data type of its element): every step is an element of R4; extensions get their URL."""
    attribute = line.attribute.removeprefix(f"{type_}.")
    other = _OTHER.fullmatch(attribute)
    if other is not None:  # an element of the resource that is referred to
        repairs.append("other-resource")
        name = re.sub(r"[^a-z0-9]+", "-", f"{line.source}".lower()).strip("-")
        inner = structs.replace(line, attribute=other["rest"])
        before = attribute[: other.start("rest")]
        within = {path.removeprefix(before): url for path, url in urls.items() if path.startswith(before)}
        return _target(inner, other["type"], f"{other['type']}:{name}" if name else other["type"], within, repairs)
    text, path, official = resource, "", ""
    at = 0
    leaf = ""
    while at < len(attribute):
        match = _STEP.match(attribute, at)
        if match is None:
            raise _LeftOut("target-unclear", attribute)
        at = match.end()
        name, item = match["name"], match["item"]
        official = f"{official}.{match[0].rstrip('.')}" if official else match[0].rstrip(".")
        path = f"{path}.{name}" if path else name
        is_last = at >= len(attribute)
        if name == "extension":
            url = urls.get(official, "")
            if not url:
                raise _LeftOut("extension-unnamed", official)
            text += f'.extension("{url}")' + (f"[{item}]" if item and not item.isdigit() else "")
            continue
        found = element(type_, path)
        if found is None:
            between, right = _meant(type_, path.rpartition(".")[0], name)
            if not right:
                raise _LeftOut("target-unknown", f"R4 has no {type_}.{path}")
            repairs.append("step-put-in" if between else "name-corrected")
            if between and (above := element(type_, path := f"{path.rpartition('.')[0]}.{between}")) is not None:
                text += f".{between}" + (f"[{_item(None, line.source)}]" if above.is_list else "")
            else:
                path = path.rpartition(".")[0]
            name, path = right, f"{path}.{right}".removeprefix(".")
            found = element(type_, path)
            assert found is not None
        leaf = found.types[0].code if len(found.types) == 1 else line.fhir
        text += f".{name}"
        if found.is_list:
            text += "[+]" if is_last else f"[{_item(item, line.source)}]"
            if not item:
                repairs.append("item-named")
        elif item:
            repairs.append("index-dropped")
    return text, leaf


def _meant(type_: str, path: str, name: str) -> tuple[str, str]:
    """(step that was left out, name) of an element that R4 has not: one letter case off, or one level further down.

    Only what can be meant alone: `occurrenceTIming`, and `content.data` for `content.attachment.data`. ("", "") else.
    """
    known = [one for one in _named(type_, path) if one not in ("extension", "modifierExtension")]
    cased = [one for one in known if one.casefold() == name.casefold()]
    if len(cased) == 1:
        return "", cased[0]
    below = [step for step in known if path and element(type_, f"{path}.{step}.{name}") is not None]
    return (below[0], name) if len(below) == 1 else ("", "")


def _named(type_: str, path: str) -> Iterator[str]:
    """The children of an element as paths name them: a choice by each of its types."""
    for name, child in children(type_, path).items():
        base = name.removesuffix("[x]")
        codes = [one.code for one in child.types] if base != name else []
        yield from (f"{base}{code[0].upper()}{code[1:]}" for code in codes)
        if base == name:
            yield name


def _item(item: str | None, source: str) -> str:
    """The name that all lines share which write into one item."""
    return f"i{item}" if item else re.sub(r"[^a-z0-9]+", "-", source.lower()) or "one"


def _transform(line: _Line, leaf: str, maps: set[str], repairs: list[str]) -> tuple[str, str]:
    """(transform, map)."""
    if line.assignment:
        return _assigned(line, leaf), ""
    kind = leaf or line.fhir
    if kind.lower() in ("string", "markdown", "id") and line.type in _TEXTS:
        return "text", ""
    vocabulary = _map_name(line.vocabulary)
    if vocabulary and vocabulary not in maps:
        repairs.append("vocabulary-absent")
        vocabulary = ""
    if kind.lower() == "code":
        if line.type not in _TEXTS:
            raise _LeftOut("datatype-unmapped", f"{line.type} to {kind}")
        if not vocabulary:
            repairs.append("code-without-map")
        return ("code", vocabulary) if vocabulary else ("code(raw)", "")
    found = _BY_FHIR.get(kind, {}).get(line.type)
    if line.type == "EIP" and kind == "Identifier":
        found = "EIP(part=2)" if "Filler" in line.datatype_map else "EIP(part=1)"
    if found is None:
        raise _LeftOut("datatype-unmapped", f"{line.type or 'no type'} to {kind or 'no type'}")
    if kind == "Reference":
        repairs.append("reference-as-display")
    takes_map = kind in ("CodeableConcept", "Coding", "boolean")
    return found, vocabulary if takes_map else ""


def _assigned(line: _Line, leaf: str) -> str:
    text = _text(line.assignment)
    if not text:
        raise _LeftOut("assignment-is-prose", line.assignment)
    if leaf in ("boolean", "integer", "decimal", "positiveInt") and re.fullmatch(r"true|false|-?\d+", text):
        return f"const({text})"
    if leaf and leaf[0].isupper():
        raise _LeftOut("assignment-of-an-object", f"`{text}` for a {leaf}")
    return f'const("{text}")'


def _that_compile(
    drafts: list[tuple[dict[str, str], LintLine]], maps: dict[tuple[str, str], dict[str, str]]
) -> tuple[list[tuple[dict[str, str], LintLine]], list[LintLine]]:
    """The rows that hilum compiles beside each other, and why it does not take the others."""
    kept, dropped = list(drafts), []
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
