"""Which transform makes the FHIR data type of an official line from its HL7 v2 data type.

HL7's datatype maps (the column "Data Type Mapping") are the reference. A pair that has no form without a decision (an
identifier without an authority, a duration without a unit) has no transform here: the line is left out and said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct, structs

from hilum.workbook.v2_lines import LeftOut, Line, constant_text, map_name, plain

__all__ = ["Made", "made_of"]

_BY_FHIR = {
    "Identifier": {name: name for name in ("CX", "EI", "HD", "DLN", "PLN")}
    | {"XON": "XON_ID", "XCN": "XCN_ID", "CWE": "CWE_ID"},
    "HumanName": {"XPN": "XPN", "XCN": "XCN", "CNN": "CNN"},
    "Address": {"XAD": "XAD", "SAD": "SAD"},
    "ContactPoint": {"XTN": "XTN"},
    "CodeableConcept": dict.fromkeys(("CWE", "CE", "CNE", "CF", "IS", "ID", "varies"), "CWE"),
    "Coding": dict.fromkeys(("CWE", "CE", "CNE", "CF", "IS", "ID", "ST"), "coding"),
    "Quantity": dict.fromkeys(("NM", "CQ", "SN", "varies"), "quantity"),
    "Period": {"DR": "DR", "DTM": "period", "varies": "period"},
    "Attachment": {"ED": "ED", "RP": "RP", "varies": "ED"},
    "Timing": {"TQ": "TQ", "RI": "RI", "RPT": "RPT"},
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
    "base64Binary": dict.fromkeys(("ST", "TX", "FT", "varies"), "data"),
    "uri": dict.fromkeys(("ST", "HD", "ID", "CWE", "varies"), "uri"),
    "url": dict.fromkeys(("ST", "HD", "varies"), "url"),
    "Reference": dict.fromkeys(("XCN", "XON", "PL", "CWE", "HD", "XPN", "CNN"), "display")
    | {"CX": "logical", "EI": "logical"},
    "Range": dict.fromkeys(("varies", "SN", "NR", "ST"), "Range"),
    "Ratio": dict.fromkeys(("varies", "SN", "ST"), "Ratio"),
}
_TEXT_TYPES = "ST TX FT NM SI ID IS CWE CNE CE XON XPN XCN PL HD EI EIP DTM DT TM varies"
_TEXTS = frozenset(_TEXT_TYPES.split())
# Pairs that one component of the field says: (v2 data type, FHIR data type) to component and its data type.
_COMPONENTS = {
    ("CQ", "code"): (2, "ID"),
    ("CQ", "decimal"): (1, "NM"),
    ("DR", "dateTime"): (1, "DTM"),
    ("EIP", "string"): (1, "ST"),
    ("FC", "CodeableConcept"): (1, "IS"),
    ("MSG", "Coding"): (2, "ID"),
    ("NDL", "Reference"): (1, "CNN"),
}
_UNITED = ("quantity", "Range", "Ratio")


class Made(Struct, frozen=True):
    """The cells of a row that say how its value is made."""

    source: str
    type: str
    transform: str
    map: str = ""


def made_of(line: Line, leaf: str, maps: set[str], units: Mapping[str, str], repairs: list[str]) -> Made:
    """How an official line makes its value. `leaf` is the R4 type of its element, `units` as `v2_lines.units_of`."""
    if line.assignment:
        return _assigned(line, leaf, repairs)
    kind = leaf or line.fhir
    if (line.type, kind) in _COMPONENTS:
        number, type_ = _COMPONENTS[line.type, kind]
        repairs.append("component-named")
        line = structs.replace(line, source=f"{line.source}.{number}", type=type_)
    transform, map_ = _transform(line, kind, maps, repairs)
    unit = units.get(plain(line.attribute))
    if unit and transform in _UNITED:
        transform = f"{transform}(unit={unit})"
    return Made(line.source, line.type if re.fullmatch(r"[A-Z]{2,3}", line.type) else "", transform, map_)


def _transform(line: Line, kind: str, maps: set[str], repairs: list[str]) -> tuple[str, str]:
    """(transform, map)."""
    if kind.lower() in ("string", "markdown", "id") and line.type in _TEXTS:
        return "text", ""
    vocabulary = map_name(line.vocabulary)
    if vocabulary and vocabulary not in maps:
        repairs.append("vocabulary-absent")
        vocabulary = ""
    if kind.lower() == "code":
        if line.type not in _TEXTS:
            raise LeftOut("datatype-unmapped", f"{line.type} to {kind}")
        if not vocabulary:
            repairs.append("code-without-map")
        return ("code", vocabulary) if vocabulary else ("code(raw)", "")
    if line.type == "EIP" and kind == "Identifier":
        return ("EIP(part=2)" if "Filler" in line.datatype_map else "EIP(part=1)"), ""
    if (line.type, kind) == ("CQ", "unsignedInt"):  # of minutes, as R4 has offsets
        repairs.append("component-named")
        return f"minutes(unit={line.source}.2)", ""
    found = _BY_FHIR.get(kind, {}).get(line.type)
    if found is None:
        raise LeftOut("datatype-unmapped", f"{line.type or 'no type'} to {kind or 'no type'}")
    if kind == "Reference":
        repairs.append("reference-as-display" if found == "display" else "reference-as-identifier")
    takes_map = kind in ("CodeableConcept", "Coding", "boolean")
    return found, vocabulary if takes_map else ""


_SUM = re.compile(r"(?:[A-Z][A-Z0-9]{2}-[0-9.]+|\"[^\"]*\")(?:\s*\+?\s*(?:[A-Z][A-Z0-9]{2}-[0-9.]+|\"[^\"]*\"))+")
_PART = re.compile(r"[A-Z][A-Z0-9]{2}-[0-9.]+|\"[^\"]*\"")


def _assigned(line: Line, leaf: str, repairs: list[str]) -> Made:
    if leaf == "string" and _SUM.fullmatch(line.assignment):
        return Made(f"concat({', '.join(_PART.findall(line.assignment))})", "", "text")
    text = constant_text(line.assignment)
    if not text:
        raise LeftOut("assignment-is-prose", line.assignment)
    if leaf in ("boolean", "integer", "decimal", "positiveInt") and re.fullmatch(r"true|false|-?\d+", text):
        return Made(line.source, line.type, f"const({text})")
    if leaf and leaf[0].isupper():
        raise LeftOut("assignment-of-an-object", f"`{text}` for a {leaf}")
    if not line.assignment.strip().startswith(('"', "\u201c")):
        repairs.append("quotes-put-in")
    return Made(line.source, line.type, f'const("{text}")')
