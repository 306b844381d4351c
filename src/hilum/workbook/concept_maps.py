"""Code maps as FHIR ConceptMaps (R4, terminology module), out and in: what terminology teams and servers work with.

One ConceptMap is one map for one sender, or for all. Its `identifier` (else its `name`) is the map's, the sender is a
`useContext`. A line is one element: its target has the equivalence `relatedto` (owners say what a code becomes, not how
much is the same), or is `unmatched` where the code means nothing on purpose. Read back, every equivalence but
`unmatched` and `disjoint` names a target.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from hilum.mapping import columns_of
from hilum.model import Finding, Severity
from hilum.workbook.exported import mark_of
from hilum.workbook.sheets import Entry, Key, Review
from hilum.workbook.spreadsheet import Line, Sheets
from hilum.workbook.teaching import only_one

__all__ = ["ConceptMapFile", "concept_maps_of", "text_of_concept_map", "with_concept_maps"]

CONTEXT = "urn:hilum:context"
MAPS = "urn:hilum:map"  # the system of names of maps
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_NOT_OF_AN_ID = re.compile(r"[^A-Za-z0-9.-]+")
_NOTHING_MEANT = frozenset({"unmatched", "disjoint"})
_LONGEST_ID = 64


class ConceptMapFile(Struct, frozen=True):
    """A ConceptMap as it was read: the name of its file, for places, and its JSON."""

    file: str
    body: Mapping[str, Any]


class _Told(Line, frozen=True):
    """A line that a ConceptMap says, at its own place."""

    place: str = ""

    def location(self, column: str) -> str:  # noqa: ARG002 - a ConceptMap has no columns
        """`file: ConceptMap.group[0].element[3]`."""
        return self.place


# -- out -------------------------------------------------------------------------------------------------------------


def concept_maps_of(review: Review, use: str, names: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """File name to ConceptMap, for these maps or all; lines that are switched off are left out."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in review.merged.values():
        if entry.table == "maps" and not entry.is_retired and (not names or entry.cells["map"] in names):
            groups.setdefault((entry.cells["map"], entry.cells["sender"]), []).append(entry)
    made = [_concept_map(use, name, sender, entries) for (name, sender), entries in sorted(groups.items())]
    return {f"{one['id']}.json": one for one in made}


def _concept_map(use: str, name: str, sender: str, entries: Sequence[Entry]) -> dict[str, Any]:
    url = ":".join(("urn:hilum:map", *(quote(part, safe="") for part in (use or "base", name, sender) if part)))
    approved = all(entry.cells["status"] == "approved" for entry in entries)
    groups: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        groups.setdefault(entry.cells["system"], []).append(_element(entry.cells))
    made: dict[str, Any] = {
        "resourceType": "ConceptMap",
        "id": _id(name, sender),
        "url": url,
        "identifier": {"system": MAPS, "value": name},
        "name": re.sub(r"[^A-Za-z0-9_]", "_", name[:1].upper() + name[1:]),  # cmd-0: names that programs can use
        "title": f"{name}, codes of {sender}" if sender else name,
        "status": "active" if approved else "draft",
    }
    if sender:
        context = {"code": {"system": CONTEXT, "code": "sender"}, "valueCodeableConcept": {"text": sender}}
        made["useContext"] = [context]
    made["group"] = [
        {**({"target": system} if system else {}), "element": elements} for system, elements in groups.items()
    ]
    return made


def _id(name: str, sender: str) -> str:
    text = _NOT_OF_AN_ID.sub("-", f"{name}.{sender}" if sender else name).strip("-.")
    if text == name and len(text) <= _LONGEST_ID:
        return text
    return f"{text[: _LONGEST_ID - 9]}-{sha256(f'{name}|{sender}'.encode()).hexdigest()[:8]}"


def _element(cells: Mapping[str, str]) -> dict[str, Any]:
    comment = {"comment": cells["note"]} if cells["note"] else {}
    if not cells["target"]:
        return {"code": cells["code"], "target": [{"equivalence": "unmatched", **comment}]}
    display = {"display": cells["display"]} if cells["display"] else {}
    return {
        "code": cells["code"],
        "target": [{"code": cells["target"], **display, "equivalence": "relatedto", **comment}],
    }


# -- in --------------------------------------------------------------------------------------------------------------


def with_concept_maps(
    review: Review,
    use: str,
    files: Iterable[ConceptMapFile],
    *,
    name: str = "",
    sender: str = "",
    owner: str = "",
) -> Sheets:
    """The tables as they are, with the lines that these ConceptMaps say: for `plan_import`. Nothing is taken out.

    `name`, `sender` and `owner` go before what a ConceptMap says itself; owners of lines that are there stay.
    """
    lines: dict[Key, Line] = {key: Line(entry, 0, {}) for key, entry in review.merged.items()}
    reader = _Reader(review, owner)
    for one in files:
        reader.read(one, name, sender)
    return Sheets({**lines, **reader.lines}, mark_of(review, use), tuple(reader.findings))


class _Reader:
    def __init__(self, review: Review, owner: str) -> None:
        self._merged, self._owner = review.merged, owner
        self._by_map: dict[str, list[Mapping[str, str]]] = {}
        for entry in self._merged.values():
            if entry.table == "maps":
                self._by_map.setdefault(entry.cells["map"], []).append(entry.cells)
        self.lines: dict[Key, Line] = {}
        self.findings: list[Finding] = []

    def read(self, file: ConceptMapFile, name: str, sender: str) -> None:
        body = file.body
        named = name or _own_name(body) or body.get("name") or ""
        if not _NAME.fullmatch(named):
            hint = "--map names the map of the workbook that these codes belong to"
            self._note("concept-map-unnamed", f"`{named}` is no name of a map", f"{file.file}: ConceptMap.name", hint)
            return
        whose = sender or next(_senders(body), "")
        for at, group in enumerate(body.get("group", ())):
            place = f"{file.file}: ConceptMap.group[{at}]"
            if "unmapped" in group:
                hint = "say it in `unmapped` of the rows that use the map"
                message = "what becomes of all other codes is not of the map"
                self._note("concept-map-unmapped", message, f"{place}.unmapped", hint, warning=True)
            for number, element in enumerate(group.get("element", ())):
                self._element(named, whose, element, group.get("target", ""), f"{place}.element[{number}]")

    def _element(self, name: str, sender: str, element: Mapping[str, Any], system: str, place: str) -> None:
        targets = [one for one in element.get("target", ()) if one.get("equivalence") not in _NOTHING_MEANT]
        if element.get("code") and not element.get("target"):
            return  # it says nothing of this code
        if not element.get("code") or any("code" not in one for one in targets):
            self._note("concept-map-incomplete", "an element or a target without a code", place)
        elif any(one.get("dependsOn") or one.get("product") for one in targets):
            hint = "such a rule is a row with a condition (`when`)"
            self._note("concept-map-depends", "a line of a map looks at one code alone", place, hint)
        elif len(targets) > 1:
            codes = ", ".join(f"`{one['code']}`" for one in targets)
            self._note("concept-map-several", f"`{element['code']}` has several targets: {codes}", place, "leave one")
        else:
            told = (targets or element["target"])[0]
            self._line(name, sender, element["code"], told, system if targets else "", place)

    def _line(self, name: str, sender: str, code: str, target: Mapping[str, Any], system: str, place: str) -> None:
        key = ("maps", name, sender, code)
        if key in self.lines:
            self._note("concept-map-several", f"`{code}` of the map {name} is said twice", place, "leave one")
            return
        there = self._merged.get(key)
        before = there.cells if there else dict.fromkeys(columns_of("maps"), "")
        others = self._by_map.get(name, [])
        meant = target.get("code", "") if target.get("equivalence") not in _NOTHING_MEANT else ""
        same = next((cells for cells in (before, *others) if meant and cells["target"] == meant), {})
        cells = {
            **before,
            "map": name,
            "sender": sender,
            "code": code,
            "target": meant,
            "system": (system or same.get("system") or only_one(one["system"] for one in others)) if meant else "",
            "display": (target.get("display") or same.get("display", "")) if meant else "",
            "owner": before["owner"] or self._owner or only_one(one["owner"] for one in others),
            "note": target.get("comment") or before["note"],
        }
        if there is None:
            cells["status"] = "draft"
        elif not meant and not before["target"]:
            cells |= {"system": before["system"], "display": before["display"]}
        self.lines[key] = _Told(Entry("maps", cells, "maps.csv", 0, "site"), 0, {}, (), place)

    def _note(self, code: str, message: str, location: str, hint: str = "", *, warning: bool = False) -> None:
        severity = Severity.WARNING if warning else Severity.ERROR
        self.findings.append(Finding(code, message, location, severity, hint))


def _own_name(body: Mapping[str, Any]) -> str:
    identifier = body.get("identifier", {})
    return str(identifier.get("value", "")) if identifier.get("system") == MAPS else ""


def _senders(body: Mapping[str, Any]) -> Iterator[str]:
    for context in body.get("useContext", ()):
        code = context.get("code", {})
        if (code.get("system"), code.get("code")) == (CONTEXT, "sender"):
            yield context.get("valueCodeableConcept", {}).get("text", "")


def text_of_concept_map(body: Mapping[str, Any]) -> str:
    """JSON as people read it, ending in a line break."""
    return json.dumps(body, ensure_ascii=False, indent=2) + "\n"
