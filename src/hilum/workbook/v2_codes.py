"""The code tables ("Concept Map") of HL7's V2 to FHIR mapping as entries of code maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hilum.workbook.v2_lines import said_in

__all__ = ["read_codes"]

_SIDE = "HL7 FHIR"


def read_codes(name: str, lines: Sequence[Sequence[str]], maps: dict[tuple[str, str], dict[str, str]]) -> str:
    """Add the entries without a condition to `maps`, the first of a code. Returns why the file cannot be read, or "".

    Columns go by their names: some official files leave one of the conditions out, or the blank one beside the code.
    """
    sides, heads = ([said_in(line, at) for at in range(len(line))] for line in (*lines[:2], *([[]] * (2 - len(lines)))))
    start = sides.index(_SIDE) if _SIDE in sides else len(heads)
    to = {head: at for at, head in reversed(list(enumerate(heads))) if at >= start}
    if heads[:1] != ["Code"] or "Code" not in to:
        return "the second line names no column `Code` of HL7 v2 and of HL7 FHIR"
    conditions = [at for at, head in enumerate(heads[:start]) if head == "Narrative" or head.startswith("Computable")]
    for line in lines[2:]:
        code = said_in(line, 0)
        entry = _entry(name, code, {head: said_in(line, at) for head, at in to.items()})
        if code and entry["target"] and not any(said_in(line, at) for at in conditions):
            maps.setdefault((name, code), entry)
    return ""


def _entry(name: str, code: str, to: Mapping[str, str]) -> dict[str, str]:
    return {
        "map": name,
        "code": code,
        "target": to["Code"],
        "system": to.get("Code System", ""),
        "display": to.get("Display", ""),
        "status": "draft",
        "note": "official",
    }
