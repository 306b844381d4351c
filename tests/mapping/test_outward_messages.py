"""Whole messages to FHIR and back keep every mapped field, but for what docs/outward.md lists with reasons."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from outward_kit import NOW, UTF8, plan, read, resources, send, way_out, written

from hilum import mapping
from hilum.formats import hl7v2
from hilum.mapping import outward
from hilum.simulator import Hospital
from shared_data import SHARED, needs_shared

PAGE = Path(__file__).resolve().parents[2] / "docs" / "outward.md"
KINDS = ("ADT^A04", "ADT^A08", "ORU^R01", "ORM^O01", "OML^O21", "SIU^S12", "SIU^S13", "SIU^S15", "MDM^T02", "DFT^P03")
GONE = ("ADT^A23", "ADT^A29")  # of a deleted patient: see engine/test_deletions_told.py
HEAD = "MSH|^~\\&|HIS|GENHOSP|LAB|NORTH|20260101000000+0000||{kind}|C1|P|2.5.1||||||UNICODE UTF-8"
PID = (
    "PID|1||100200^^^GENHOSP^MR~77^^^NORTH^PI||Everyman^Adam^B^Jr^Dr^^L~Nick^Al^^^^^N||19610615|M||"
    "2106-3^White^CDCREC|1 Hill Street^Apt 2^Ann Arbor^MI^48104^USA^H^^Washtenaw||(734)555-0100^PRN^PH"
    "~(734)555-0101^VHN^FX~^NET^Internet^adam@example.org|(734)555-0102^WPN^PH|en^English^ISO6391|M^Married^HL70002|"
    "||123-45-6789|||H^Hispanic^HL70189||Y|2"
)
PV1 = (
    "PV1|1|I|W1^12^A^GENHOSP|E|||1000^Attend^Ann^^^Dr^^^GENHOSP|1001^Refer^Rob^^^^^^GENHOSP|"
    "1002^Consult^Cat^^^^^^GENHOSP|MED||||1||VIP|1003^Admit^Ada^^^^^^GENHOSP||V1^^^GENHOSP^VN|||||||||||||||||01||||||||"
    "20260101080000+0000|20260103090000+0000"
)
OWN = {
    "ADT^A08": (
        "EVN|A08|20260101000000+0000",
        PID,
        "PD1|||Practice^^^^^GENHOSP^XX^^^99|2000^General^Gus^^^^^^GENHOSP",
        "NK1|1|Everyman^Eve^^^^^L|SPO^Spouse^HL70063|1 Hill Street^^Ann Arbor^MI^48104^USA^H|(734)555-0103^PRN^PH"
        "||||||||||F|19620101",
        PV1,
        "PV2|||R07.9^Chest pain^I10",
        "OBX|1|NM|8302-2^Body height^LN||180|cm^^UCUM|||||F|||20260101080000+0000",
        "AL1|1|DA|70618^Penicillin^RXNORM|SV|Hives|20190401",
        "DG1|1|I10|R07.9^Chest pain^I10||20260101080000+0000|F",
        "GT1|1||Everyman^Eve^^^^^L||1 Hill Street^^Ann Arbor^MI^48104^USA^H|(734)555-0103^PRN^PH||19620101|F||"
        "SPO^Spouse^HL70063",
        "IN1|1|HMO1^Blue HMO|BC17^^^NAIC^NIIP|Blue Cross|||(800)555-0199^WPN^PH|G7||||20260101|20261231||||"
        "SEL^Self^HL70063|||||1||||||||||||||P99",
    ),
    "ORU^R01": (
        PID,
        PV1,
        "ORC|RE|P1^GENHOSP|F1^LAB||CM",
        "OBR|1|P1^GENHOSP|F1^LAB|24331-1^Lipid panel^LN|||20260101080000+0000|||||||||2001^Order^Oda^^^^^^GENHOSP||||||"
        "20260101100000+0000||LAB|F",
        "NTE|1||fasting\\.br\\twelve hours",
        "OBX|1|NM|2093-3^Cholesterol^LN||0.10|mmol/L^^UCUM|0.05-5.20|N^Normal^HL70078|||F|||20260101080000+0000|"
        "|3000^Tech^Tom^^^^^^LAB",
        "NTE|1||repeated",
        "OBX|2|SN|2571-8^Triglyceride^LN||>^5.5|mmol/L^^UCUM|<1.70|H|||F|||20260101080000+0000",
        "OBX|3|CWE|600-7^Culture^LN||3092008^Staphylococcus aureus^SCT||||||P|||20260101080000+0000",
        "OBX|4|TX|8251-1^Comment^LN||first line~second \\T\\ last||||||C|||20260101080000+0000",
        "SPM|1|S1&GENHOSP^S2&LAB||SER^Serum^HL70487|||||||||||||20260101080000+0000|20260101083000+0000",
    ),
    "ORM^O01": (
        PID,
        PV1,
        "ORC|NW|P2^GENHOSP|F2^LAB||IP||||20260101080000+0000",
        "OBR|1|P2^GENHOSP|F2^LAB|24331-1^Lipid panel^LN|S|20260102080000+0000||||||||||"
        "2001^Order^Oda^^^^^^GENHOSP|||||||||||||||R07.9^Chest pain^I10",
    ),
    "OML^O21": (
        PID,
        PV1,
        "ORC|NW|P3^GENHOSP|F3^LAB||SC||||20260101080000+0000",
        "OBR|1|P3^GENHOSP|F3^LAB|24331-1^Lipid panel^LN|||||||||||||2001^Order^Oda^^^^^^GENHOSP",
    ),
    "SIU^S12": (
        "SCH|P9^GENHOSP|F9^SCHED||||||Normal^Routine^HL70277|30|MIN|^^^20260105090000+0000^20260105093000+0000|||||"
        "4000^Call^Cal^^^^^^SCHED||||4001^Enter^Eni^^^^^^SCHED|||||Booked",
        PID,
        "RGS|1|A",
        "AIS|1|A|FU^Follow-up^L",
        "AIL|1|A|C1^5^^GENHOSP",
        "AIP|1|A|1000^Attend^Ann^^^Dr^^^GENHOSP",
    ),
    "MDM^T02": (
        "EVN|T02|20260101000000+0000",
        PID,
        PV1,
        "TXA|1|DS^Discharge summary^L|TX|||20260103090000+0000|||5000^Author^Art^^^^^^GENHOSP|||D77^GENHOSP|||||AU||AV",
        "OBX|1|TX|DS^Discharge summary^L||He went home.~All is well.||||||F",
    ),
    "DFT^P03": (
        "EVN|P03|20260101000000+0000",
        PID,
        PV1,
        "FT1|1|T5||20260102|20260103000000+0000|CG|99213^Office visit^C4|||2|||||||||R07.9^Chest pain^I10|"
        "6000^Per^Former^^^^^^GENHOSP",
    ),
}


def own(kind: str) -> bytes:
    """A message of each kind, written for this test; A04, S13 and S15 are those of A08 and S12 under another event."""
    segments = OWN.get(kind) or OWN["SIU^S12" if kind.startswith("SIU") else "ADT^A08"]
    return ("\r".join((HEAD.format(kind=kind), *segments)) + "\r").encode()


def simulated() -> Iterator[bytes]:
    """Five messages of each kind of the simulated hospital; A01 goes out as A04, which differs in the event alone."""
    wanted = Counter(dict.fromkeys(("ADT^A04", "ADT^A08", "ORU^R01", "SIU^S12", "SIU^S13", "SIU^S15"), 5))
    for one in Hospital(11, broken=0).stream():
        kind = one.kind.replace("A01", "A04")
        if wanted[kind] > 0:
            wanted[kind] -= 1
            yield one.body.replace(b"ADT^A01^", b"ADT^A04^").replace(b"ADT$A01$", b"ADT$A04$")
        if not wanted.total():
            return


def there_and_back(raw: bytes) -> tuple[mapping.Mapped, hl7v2.Hl7Message, outward.Outward, hl7v2.Hl7Message]:
    mapped, message = read(raw)
    assert mapped.held is None, mapped.held
    application, facility = message.header[3].split(message.delimiters.component)[0], message.header[4]
    receiver = outward.Receiver("X", "Y", application, facility.split(message.delimiters.component)[0])
    found = send(message.kind, resources(mapped), receiver)
    return mapped, message, found, written(found)


def valued(message: hl7v2.Hl7Message) -> dict[tuple[str, int], set[int]]:
    """For the nth segment of each name its fields that are valued."""
    counts: Counter[str] = Counter()
    found = {}
    marks = "".join(message.delimiters.encoding_characters)
    for segment in message.segments:
        counts[segment.name] += 1
        fields = {n for n, text in enumerate(segment.fields) if n and text.strip(marks)}
        found[segment.name, counts[segment.name]] = fields
    return found


def mapped_fields(raw: bytes) -> set[tuple[str, int, int]]:
    """(segment, nth, field) of every field that some element was written from."""
    admission = hl7v2.admit(raw, hl7v2.Rules(), source="test", received_at=NOW)
    assert admission.message is not None
    names = admission.message.names
    nth = [names[: at + 1].count(name) for at, name in enumerate(names)]
    found = set()
    original = valued(admission.message)
    for trace in plan().trace(admission.message, mapping.Context.of(admission.envelope)):
        match = re.match(r"([A-Z]\w\w)-(\d+)", trace.source)
        if match and trace.segment >= 0 and names[trace.segment] == match[1] and trace.type != "Provenance":
            where = match[1], nth[trace.segment], int(match[2])
            if where[2] in original[where[:2]]:  # of several alternatives a trace names the first
                found.add(where)
    return found


@cache
def moved() -> dict[str, str]:
    """Field (`SIU^S15 AIP-3`: in that kind; `MDM^T02 OBR`: the segment) to reason: the table of docs/outward.md."""
    table = PAGE.read_text().partition("## What does not come back to its place")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([A-Z0-9, ^-]+)` \| (.+?) \|$", table, re.MULTILINE)
    return {field.strip(): reason for fields, reason in rows for field in fields.split(",")}


def lost_fields(raw: bytes, back: hl7v2.Hl7Message) -> set[str]:
    there = valued(back)
    lost = {
        f"{name}-{number}" for name, nth, number in mapped_fields(raw) if number not in there.get((name, nth), set())
    }
    return {one for one in lost if not {one, f"{back.kind} {one}", f"{back.kind} {one[:3]}"} & moved().keys()}


def meaning(mapped: mapping.Mapped) -> set[str]:
    """Resources without their ids; a reference is what it refers to. Lists are compared as sets are."""
    bodies = {f"{one['resourceType']}/{one['id']}": one for one in map(json.loads, mapping.render(mapped))}

    def plain(value: Any, depth: int) -> Any:
        if isinstance(value, dict):
            target = bodies.get(value.get("reference", ""))
            if target is not None:
                return {**value, "reference": [target["resourceType"], plain(target, depth - 1) if depth else ""]}
            return {name: plain(inner, depth) for name, inner in sorted(value.items()) if name != "id"}
        if isinstance(value, list):
            return sorted((plain(inner, depth) for inner in value), key=lambda one: json.dumps(one, sort_keys=True))
        return value

    return {json.dumps(plain(one, 1), sort_keys=True) for one in bodies.values() if one["resourceType"] != "Provenance"}


SIMULATED = [pytest.param(raw, id=f"{n}") for n, raw in enumerate(simulated())]
WRITTEN = [pytest.param(own(kind), id=kind) for kind in KINDS]


def test_there_is_a_message_of_every_kind_that_can_be_sent() -> None:
    assert {*KINDS, *GONE} == set(outward.outward_kinds(plan().book))
    assert len(SIMULATED) == 30
    assert len(moved()) > 5


@pytest.mark.parametrize("raw", [*WRITTEN, *SIMULATED])
def test_every_mapped_field_comes_back(raw: bytes) -> None:
    _, _, found, back = there_and_back(raw)
    assert found.held is None
    assert len(mapped_fields(raw)) > 4
    assert lost_fields(raw, back) == set()


@pytest.mark.parametrize("raw", [*WRITTEN, *SIMULATED])
def test_what_comes_back_means_the_same(raw: bytes) -> None:
    mapped, _, _, back = there_and_back(raw)
    again, _ = read(back.raw)
    before, after = meaning(mapped), meaning(again)
    if back.kind == "SIU^S15":  # places that were taken out of the appointment are not named any more
        before = {one for one in before if json.loads(one)["resourceType"] != "Location"}
        after = {one for one in after if json.loads(one)["resourceType"] != "Location"}
    assert (before - after, after - before) == (set(), set())


@pytest.mark.parametrize("raw", [*WRITTEN, *SIMULATED])
def test_every_element_has_a_fate_and_none_is_left_over(raw: bytes) -> None:
    _, _, found, _ = there_and_back(raw)
    assert found.accounting.valued > 40
    assert [item for item in found.exceptions if item.code == "element-not-sent"] == []


def test_each_person_around_a_patient_goes_out_with_their_own_names_and_numbers_alone() -> None:
    persons = (
        "NK1|1|Smith^Adam|BRO||5551111^PRN^PH||C",
        "NK1|2|Jones^Bea|SIS||5553333^PRN^PH||C",
        "GT1|1|G1^^^GENHOSP|Brown^Lucy||1 Elm^^Town^IL|5552222^PRN^PH||19700101|F||SIS",
    )
    head = (HEAD.format(kind="ADT^A08"), "EVN|A08|20240501", "PID|1||10^^^GENHOSP^MR||Rivera^Ana", "PV1|1|O")
    _, _, _, back = there_and_back(("\r".join((*head[:3], *persons[:2], head[3], persons[2])) + "\r").encode())
    said = {(one.field(2), one.field(5)) for one in back.segments if one.name == "NK1"}
    own = {("Smith^Adam", "5551111^PRN^PH"), ("Jones^Bea", "5553333^PRN^PH")}
    assert own <= said
    assert said - own <= {("Brown^Lucy", "5552222^PRN^PH")}
    assert [one.field(3) for one in back.segments if one.name == "GT1"] == ["Brown^Lucy"]


@pytest.mark.parametrize("raw", WRITTEN)
def test_the_same_resources_make_the_same_bytes(raw: bytes) -> None:
    _, _, found, _ = there_and_back(raw)
    _, _, again, _ = there_and_back(raw)
    assert hl7v2.build(found.segments, charset=UTF8) == hl7v2.build(again.segments, charset=UTF8)


@pytest.mark.parametrize("kind", KINDS)
def test_messages_have_their_structure_and_a_count_in_each_segment(kind: str) -> None:
    _, _, found, back = there_and_back(own(kind))
    assert back.kind == kind
    assert back.names[0] == "MSH"
    assert way_out(kind).findings == ()
    for name in ("NK1", "OBX", "AL1", "DG1", "NTE"):
        numbers = [segment.field(1) for segment in back.segments if segment.name == name]
        assert numbers == [str(number) for number in range(1, len(numbers) + 1)] or name == "NTE"
    assert any(trace.location.startswith("PID-5") and trace.row == "pat-name" for trace in found.traces)


def collected() -> list[bytes]:
    """Messages of others of the kinds that can be sent, which the workbook applies."""
    found = []
    for path in sorted((SHARED / "hl7v2").rglob("*.hl7")):
        if "simhospital" in path.parts:  # many, and all alike
            continue
        raw = path.read_bytes()
        admission = hl7v2.admit(raw, hl7v2.Rules(), source="test", received_at=NOW)
        if admission.message is not None and admission.envelope.kind in KINDS and read(raw)[0].held is None:
            found.append(raw)
    return found


@needs_shared
def test_messages_of_others_come_back_with_nearly_all_of_their_mapped_fields() -> None:
    """Samples are odd (places of a visit without a number, results without an order): such fields are few."""
    everything, lost = 0, Counter[str]()
    messages = collected()
    assert len(messages) > 80
    for raw in messages:
        mapped, message = read(raw)
        found = send(message.kind, resources(mapped))
        if found.held is None:
            everything += len(mapped_fields(raw))
            lost.update(lost_fields(raw, written(found)))
    assert everything > 2000
    assert lost.total() / everything < 0.033, lost.most_common(30)
