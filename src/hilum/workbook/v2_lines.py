"""The lines of HL7's V2 to FHIR segment tables: what they say, and the slips of the pen in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct, structs

__all__ = [
    "FIELD",
    "LeftOut",
    "Line",
    "constant_text",
    "is_unit",
    "map_name",
    "mended",
    "missing_columns",
    "plain",
    "read_line",
    "said_in",
    "units_of",
]

FIELD = re.compile(r"[A-Z][A-Z0-9]{2}-\d+(?:\.\d+){0,2}")
_CONSTANT = re.compile(r"[\"\u201c](?P<text>[^\"\u201c\u201d]*)[\"\u201d]")
_BARE = re.compile(r"https?://\S+|[a-z][a-z-]+")
_STATED = re.compile(r'(?P<target>[^"=]+)="(?P<value>[^"]*)"')
_QUANTITY = re.compile(r"(?P<whole>.*?)(?:\.(?:value|low|high|numerator|denominator))?")


class LeftOut(ValueError):
    """A line that becomes no row: a reason that is counted, and what exactly."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


class Line(Struct, frozen=True):
    """One official line of a segment table. `antlr` is its condition, `narrative` the same in prose."""

    place: str  # "PV1[Encounter] line 12"
    source: str
    type: str
    antlr: str
    narrative: str
    attribute: str
    fhir: str
    datatype_map: str
    vocabulary: str
    assignment: str

    @property
    def number(self) -> str:
        """Of the line in its file, from 1."""
        return self.place.rpartition(" ")[2]


def said_in(cells: Sequence[str], at: int) -> str:
    """A cell, its blanks and line breaks as one blank."""
    return " ".join(cells[at].split()) if at < len(cells) else ""


_COLUMNS = {9: "Attribute", 11: "Data Type"}  # of HL7 FHIR; those of HL7 v2 have no heading in one of the files


def missing_columns(lines: Sequence[Sequence[str]]) -> str:
    """Why a file is no segment table: the headings that its second line lacks, or ""."""
    heads = lines[1] if len(lines) > 1 else []
    missing = [f"`{name}` as column {at + 1}" for at, name in _COLUMNS.items() if not said_in(heads, at).endswith(name)]
    return f"the second line names no {' and no '.join(missing)}" if missing else ""


def read_line(table: str, number: int, cells: Sequence[str]) -> Line:
    """A line by the columns of the official files; the name of the datatype map tells a type that varies (OBX-5)."""
    get = [said_in(cells, at) for at in range(17)]
    told = re.match(r"[A-Z]{2,3}(?=\[)", get[14])
    type_ = told[0] if get[3] == "varies" and told else get[3]
    fhir = get[11].split("(")[0]
    return Line(f"{table} line {number}", get[1], type_, get[6], get[8], get[9], fhir, get[14], get[15], get[16])


def map_name(text: str) -> str:
    """The name of a code map, as workbooks write it."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")


def constant_text(assignment: str) -> str:
    """The text that a line assigns: in quotes, or a URL or a code that stands alone; "" for prose."""
    text = assignment.strip()
    match = _CONSTANT.fullmatch(text)
    return match["text"].strip() if match else text if _BARE.fullmatch(text) else ""


def mended(line: Line, repairs: list[str]) -> Line:
    """Slips of the pen: a value written behind the attribute, parentheses that are not closed."""
    stated = _STATED.fullmatch(line.attribute)
    if stated is not None:
        repairs.append("value-in-attribute")
        line = structs.replace(line, attribute=stated["target"], assignment=f'"{stated["value"]}"')
    attribute, antlr = _closed(line.attribute), _closed(line.antlr)
    if (attribute, antlr) != (line.attribute, line.antlr):
        repairs.append("parenthesis-closed")
    return structs.replace(line, attribute=attribute, antlr=antlr)


def _closed(text: str) -> str:
    return text + ")" * (text.count("(") - text.count(")"))


def plain(attribute: str) -> str:
    """An attribute without the numbers of items, and a quantity without its parts: what a unit and its number share."""
    match = _QUANTITY.fullmatch(re.sub(r"\[[^\]]*\]", "", attribute))
    assert match is not None
    return match["whole"]


def units_of(lines: Sequence[Line]) -> Mapping[str, str]:
    """The fields that say the unit of a quantity, which another line gives its number, by `plain` attribute."""
    coded = {plain(one.attribute): one.source for one in lines if is_unit(one)}
    numbers = {plain(one.attribute) for one in lines if not is_unit(one) and not one.assignment}
    return {attribute: source for attribute, source in coded.items() if attribute in numbers}


def is_unit(line: Line) -> bool:
    """Whether a line reads a coded value into a quantity: the unit of it."""
    return line.type in ("CWE", "CE") and line.fhir in ("Quantity", "SimpleQuantity") and not line.assignment
