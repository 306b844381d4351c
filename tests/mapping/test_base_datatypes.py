"""Every component of the datatypes changes what comes out, or is left out on purpose, with a reason.

With the official tables beside the checkout, every component that they map has to be one or the other.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from hilum.formats import hl7v2
from hilum.mapping import Context, Plan, compile_workbook, load_base, render
from shared_data import SHARED, needs_shared

# Datatype: a field that has it, components that are always there, and probes where a plain word would not do.
FIELDS: dict[str, tuple[str, str, dict[int, str], dict[int, str]]] = {
    "XPN": (
        "ADT^A08",
        "PID-5",
        {1: "Everyman"},
        {7: "L", 10: "20200101&20210101", 11: "G", 12: "20200101", 13: "20210101"},
    ),
    "FN": ("ADT^A08", "PID-5", {1: "van Dyke&van&Dyke&de&Boer"}, {}),
    "XCN": (
        "ADT^A01",
        "PV1-7",
        {1: "77", 2: "Hale", 3: "Hal", 9: "GENHOSP", 11: "4"},
        {9: "OTHER", 10: "L", 11: "5", 17: "20200101&20210101", 18: "G", 19: "20200101", 20: "20210101", 13: "NPI"},
    ),
    "CX": ("ADT^A08", "PID-3", {1: "1", 2: "5", 4: "GENHOSP"}, {4: "OTHER", 5: "MR", 7: "20200101", 8: "20210101"}),
    "XAD": (
        "ADT^A08",
        "PID-11",
        {1: "1 Main St"},
        {7: "H", 9: "Sangamon", 12: "20200101&20210101", 13: "20200101", 14: "20210101", 16: "Y"},
    ),
    "SAD": ("ADT^A08", "PID-11", {1: "1&Main St&7"}, {}),
    "XTN": (
        "ADT^A08",
        "PID-40",
        {7: "5550101"},
        {2: "PRN", 3: "FX", 4: "a@example.org", 13: "20200101", 14: "20210101", 18: "2"},
    ),
    "CWE": ("ADT^A08", "PID-28", {1: "US", 3: "L", 4: "840", 6: "X", 10: "z", 12: "Y"}, {}),
    "XON": ("ADT^A08", "PD1-3", {1: "Clinic", 3: "8", 4: "1", 6: "GENHOSP"}, {6: "OTHER", 7: "XX"}),
    "PL": ("ADT^A01", "PV1-3", {1: "WEST"}, {6: "N"}),
    "DLN": ("ADT^A08", "PID-20", {1: "D77", 2: "IL"}, {2: "WA", 3: "20300101"}),
    "CNN": ("ORU^R01", "OBR-32", {1: "77&Hale&Hal"}, {}),
    "ED": ("MDM^T02", "OBX-5", {2: "image", 3: "xyz", 4: "Base64", 5: "aGlsdW0="}, {3: "rtf", 4: "A", 5: "aGlsdW1z"}),
    "RP": ("MDM^T02", "OBX-5", {1: "https://a.example.org/1", 3: "image", 4: "png"}, {1: "https://a.example.org/2"}),
}
# Why a component is left out. docs/mapping-base.md has the same list.
PURPOSE = {
    "XPN.8": "letters or sounds: the name is written as it is sent",
    "XPN.9": "context of a name, known to the sender alone",
    "XCN.8": "table of the sender that the number comes from; the authority says more",
    "XCN.14": "facility that gave the number; the authority says more",
    "XCN.15": "letters or sounds: the name is written as it is sent",
    "XCN.16": "context of a name, known to the sender alone",
    "XCN.22": "jurisdiction of a number; the authority says more",
    "XCN.23": "department that gave the number; the authority says more",
    "XCN.24": "security check of a card",
    "XCN.25": "security check of a card",
    "CX.6": "facility that gave the number; the authority says more",
    "CX.9": "jurisdiction of a number; the authority says more",
    "CX.10": "department that gave the number; the authority says more",
    "CX.11": "security check of a card",
    "CX.12": "security check of a card",
    "XAD.8": "free word about the place, without an R4 element",
    "XAD.11": "letters or sounds: the address is written as it is sent",
    "XAD.15": "why an address ended, without an R4 element",
    "XAD.17": "bad address: mail came back; housekeeping of the sender",
    "XAD.18": "use for mail or visits; XAD.7 says it",
    "XAD.20": "comment, without an R4 element",
    "XAD.21": "order of addresses; they come in that order",
    "XAD.22": "who may see it; access is decided by the access rules",
    "XAD.23": "number of the address in the sender's system",
    "XTN.1": "formatted number of old versions; taken when XTN.7 and XTN.12 are empty",
    "XTN.10": "prefix of an extension; the extension itself is in the number",
    "XTN.11": "speed dial of the sender's exchange",
    "XTN.15": "why a number ended, without an R4 element",
    "XTN.16": "who may see it; access is decided by the access rules",
    "XTN.17": "number that several people share, without an R4 element",
    "CWE.14": "OID of the coding system; taken when CWE.3 is empty",
    "CWE.15": "value set of the sender",
    "CWE.16": "value set of the sender",
    "CWE.17": "OID of the coding system; taken when CWE.6 is empty",
    "CWE.18": "value set of the sender",
    "CWE.19": "value set of the sender",
    "CWE.20": "OID of the coding system; taken when CWE.12 is empty",
    "CWE.21": "value set of the sender",
    "CWE.22": "value set of the sender",
    "XON.2": "legal or display name; R4 has one name",
    "XON.8": "facility that gave the number; the authority says more",
    "XON.9": "letters or sounds: the name is written as it is sent",
    "PL.5": "status of the bed; PV1-40 says it",
    "PL.10": "number of the place in a directory; the parts name it",
    "PL.11": "who numbers places; the facility does",
    "CNN.8": "table of the sender that the number comes from; the authority says more",
    "ED.1": "program that made the data",
    "RP.2": "program that keeps the document",
}
SIZES = {
    "XPN": 15,
    "XCN": 25,
    "CX": 12,
    "XAD": 23,
    "XTN": 18,
    "CWE": 22,
    "XON": 10,
    "PL": 11,
    "DLN": 3,
    "ED": 5,
    "RP": 4,
}
OFFICIAL = {
    "XPN": "XPN[HumanName]",
    "XCN": "XCN[Practitioner]",
    "CX": "CX[Identifier]",
    "XAD": "XAD[Address]",
    "XTN": "XTN[ContactPoint]",
    "CWE": "CWE[CodeableConcept]",
    "XON": "XON[Organization]",
    "PL": "PL[Location]",
    "DLN": "DLN[Identifier]",
    "ED": "ED[Attachment]",
    "RP": "RP[Attachment]",
}


@pytest.fixture(scope="module")
def plan() -> Plan:
    return compile_workbook(load_base())


def made(plan: Plan, datatype: str, components: dict[int, str]) -> list[object]:
    """The resources of the smallest message that holds the value."""
    kind, place, _, _ = FIELDS[datatype]
    segment, _, number = place.partition("-")
    value = "^".join(components.get(at, "") for at in range(1, max(components) + 1))
    fields: dict[str, dict[int, str]] = {"PID": {3: "4711^^^GENHOSP^MR"}}
    if kind == "ADT^A01":
        fields["PV1"] = {2: "I", 19: "V1^^^GENHOSP^VN"}
    if kind == "ORU^R01":
        fields["OBR"] = {3: "F1^LAB", 4: "1^x^L", 25: "F"}
    if kind == "MDM^T02":
        fields["TXA"] = {2: "DS", 12: "D1^GENHOSP"}
        fields["OBX"] = {2: datatype, 11: "F"}
    fields.setdefault(segment, {})[int(number)] = value
    lines = [f"MSH|^~\\&|EPIC|GENHOSP|||20240131081500||{kind}|C1|P|2.5.1"]
    for name, cells in fields.items():
        lines.append("|".join([name, *(cells.get(at, "") for at in range(1, max(cells) + 1))]))
    record = hl7v2.parse("\r".join(lines).encode())
    mapped = plan.run(record, Context("test", record.sender, 0))
    assert mapped.held is None, mapped.held
    return [json.loads(body) for body in render(mapped) if b'"Provenance"' not in body]


def matters(plan: Plan, datatype: str, component: int) -> bool:
    """Whether another value of the component makes other resources."""
    _, _, base, probes = FIELDS[datatype]
    probe = probes.get(component, f"Probe{component}")
    # The deprecated validity range counts only where the dates are empty, as they are in `base`.
    return made(plan, datatype, {**base, component: probe}) != made(plan, datatype, base)


@pytest.mark.parametrize("datatype", SIZES)
def test_every_component_matters_or_is_left_out_for_a_reason(plan: Plan, datatype: str) -> None:
    assert made(plan, datatype, FIELDS[datatype][2])
    mute = {f"{datatype}.{at}" for at in range(1, SIZES[datatype] + 1) if not matters(plan, datatype, at)}
    assert mute == {name for name in PURPOSE if name.startswith(f"{datatype}.")}


@pytest.mark.parametrize(
    ("datatype", "component", "where"),
    [("FN", 1, "Patient"), ("SAD", 1, "Patient"), ("CNN", 1, "Practitioner")],
)
def test_sub_components_are_read(plan: Plan, datatype: str, component: int, where: str) -> None:
    _, _, base, _ = FIELDS[datatype]
    parts = base[component].split("&")
    for at in range(len(parts)):
        other = "&".join([*parts[:at], "Probe", *parts[at + 1 :]])
        assert made(plan, datatype, {**base, component: other}) != made(plan, datatype, base), (where, at + 1)


def test_reasons_are_on_the_page_of_the_base_workbook() -> None:
    page = (Path(__file__).parents[2] / "docs" / "mapping-base.md").read_text(encoding="utf-8")
    missing = [name for name in PURPOSE if f"`{name}`" not in page]
    assert missing == []


@needs_shared
@pytest.mark.parametrize("datatype", OFFICIAL)
def test_the_official_tables_map_nothing_that_is_neither_here_nor_left_out(plan: Plan, datatype: str) -> None:
    (path,) = (SHARED / "v2-to-fhir" / "mappings" / "datatypes").glob(
        f"*_ {OFFICIAL[datatype].replace('[', '[[]')} - *"
    )
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rows = [row for row in csv.reader(lines) if len(row) > 9 and row[1].startswith(f"{datatype}.") and row[9]]
    named = {int(row[1].partition(".")[2]) for row in rows}
    assert len(named) >= 2
    assert [at for at in sorted(named) if f"{datatype}.{at}" not in PURPOSE and not matters(plan, datatype, at)] == []
