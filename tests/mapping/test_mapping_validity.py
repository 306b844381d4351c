"""What messages become is valid R4, however bent the messages are; what cannot be valid is left out and said."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hilum import definitions
from hilum.errors import FormatError
from hilum.formats import hl7v2
from hilum.mapping import Context, Mapped, Plan, compile_workbook, load_base, render
from hilum.mapping.elements import NESTED_REQUIRED, is_simple_quantity
from hilum.mapping.ordering import quantities_reversed, times_reversed
from hilum.model import Severity
from hilum.validation import Validator

GOLDEN = Path(__file__).parent / "golden"
BENT = ("adt_a01", "oru_r01_panel", "siu_s12", "rde_o11", "vxu_v04")
VALUES = (
    '""', "^^^", "~", "a~b~c", "^", "&", "a&b&c^d", "\\S\\", "\\X0D\\", "\\.br\\", "\\H\\x\\N\\", "20261301", "2026",
    "202602", "20260229", "20260329023000", "99991231235959", "20260101+0530", "1e400", "-0", "+5", ".5", "5.", "NaN",
    "<5", ">=10", "^5^-^1", "9-1", "1:128", "<^5", "X", "x  y", " ", "-1", "12345^A^B^C^D^E^F^G^H^I^J",
    "^PRN^PH^^1^555^1",
    "^NET^Internet^a@b^^^555", "^application^pdf^Base64^JVBERi0=", "NM", "SN", "ED", "TX", "CWE", "Y", "N", "C", "D",
    "W",
    "^^^1^/^2", "^^^^Sprache", "A^^^20270101^20260101",
)  # fmt: skip


@cache
def plan() -> Plan:
    return compile_workbook(load_base())


@cache
def validator() -> Validator:
    return Validator()


def run(*segments: str, kind: str = "ORU^R01") -> Mapped:
    head = f"MSH|^~\\&|APP|FAC|||20260102030405+0000||{kind}|C1|P|2.5.1"
    record = hl7v2.parse("\r".join((head, *segments, "")).encode())
    return plan().run(record, Context("test", record.sender, 1_793_526_900_000_000))


def faults(mapped: Mapped) -> list[str]:
    return [
        f"{json.loads(body)['resourceType']} {one.location} {one.code}: {one.message}"
        for body in render(mapped)
        for one in validator().validate_bytes(body)
        if one.severity is Severity.ERROR
    ]


def only(mapped: Mapped, type_: str) -> dict[str, Any]:
    assert mapped.held is None, mapped.held
    assert faults(mapped) == []
    (found,) = [one for one in map(json.loads, render(mapped)) if one["resourceType"] == type_]
    assert isinstance(found, dict)
    return found


def codes(mapped: Mapped) -> set[str]:
    return {item.code for item in mapped.exceptions}


# -- bent at random ----------------------------------------------------------------------------------------------------


def bend(dice: random.Random, message: str) -> str:
    """Fields of a message replaced, emptied, repeated or moved; segments doubled, moved and taken away."""
    segments = [line for line in message.split("\r") if line]
    for _ in range(dice.choice((1, 2, 4, 8))):
        at = dice.randrange(1, len(segments))
        what = dice.random()
        if what < 0.1:
            segments.insert(dice.randrange(1, len(segments) + 1), segments[at])
        elif what < 0.2 and len(segments) > 3:
            segments.insert(dice.randrange(1, len(segments)), segments.pop(at))
        else:
            fields = segments[at].split("|")
            place = dice.randrange(1, len(fields) + 2)
            fields += [""] * (place + 1 - len(fields))
            fields[place] = dice.choice((dice.choice(VALUES), f"{fields[place]}~{dice.choice(VALUES)}"))
            segments[at] = "|".join(fields)
    return "\r".join(segments) + "\r"


@pytest.mark.parametrize("name", BENT)
def test_a_message_bent_at_random_becomes_valid_resources_or_none(name: str) -> None:
    dice = random.Random(f"{name} 3")
    message = "\r".join((GOLDEN / f"{name}.hl7").read_text().splitlines())
    made = 0
    for _ in range(300):
        bent = bend(dice, message)
        try:
            record = hl7v2.parse(bent.encode())
        except FormatError:
            continue
        mapped = plan().run(record, Context("test", record.sender, 1_793_526_900_000_000))
        assert mapped.accounting.adds_up
        if mapped.held is None:
            made += 1
            assert faults(mapped) == [], bent
    assert made > 50


# -- one rule of R4 at a time ------------------------------------------------------------------------------------------

PATIENT = "PID|1||100^^^FAC^MR||Doe^Jane"
ORDER = "OBR|1|P1^FAC|F1^FAC|718-7^Hb^LN|||20260101|||||||||||||||||F"


def result(*fields: str) -> str:
    """An OBX by its fields from OBX-2 on."""
    return "|".join(("OBX", "1", *fields))


def number(value: str, *, status: str = "F", type_: str = "NM") -> str:
    return result(type_, "718-7^Hb^LN", "", value, "g/dL", "", "", "", "", status)


def test_a_period_that_ends_before_it_begins_is_left_out_and_said() -> None:
    visit = "PV1|1|I|||||||||||||||||V1^^^FAC^VN" + "|" * 25 + "20260105|20260101"
    mapped = run(PATIENT, visit, kind="ADT^A01")
    assert "period" not in only(mapped, "Encounter")
    assert "ends-reversed" in codes(mapped)
    named = run("PID|1||100^^^FAC^MR||Doe^Jane^^^^^L^^^^^20270101^20260101", kind="ADT^A01")
    assert "period" not in only(named, "Patient")["name"][0]
    assert "ends-reversed" in codes(named)


def test_a_range_of_doses_that_falls_is_left_out_and_said() -> None:
    drug = "0143963401^Nicardipine^NDC"
    order = ("ORC|NW|RX1^FAC", f"RXE|^^^20260101|{drug}|10|5|mg")
    mapped = run(PATIENT, *order, kind="RDE^O11^RDE_O11")
    assert "doseRange" not in json.dumps(only(mapped, "MedicationRequest"))
    assert "ends-reversed" in codes(mapped)
    rising = run(PATIENT, order[0], f"RXE|^^^20260101|{drug}|5|10|mg", kind="RDE^O11^RDE_O11")
    assert "doseRange" in json.dumps(only(rising, "MedicationRequest"))


@pytest.mark.parametrize(
    ("start", "end", "wrong"),
    [
        ("2026", "2026-01-05", False),
        ("2026-03", "2026", False),
        ("2026-03", "2026-02-28", True),
        ("2026-01-02T10:00:00+02:00", "2026-01-02T09:30:00+01:00", False),
        ("2026-01-02T10:00:00+02:00", "2026-01-02T08:30:00+01:00", True),
        ("2026-01-02T10:00:00Z", "2026-01-01", False),  # whose day? a day more or less is in order
        ("2026-01-03T10:00:00Z", "2026-01-01", True),
        ("9999-12-31", "9999-12-31T23:00:00Z", False),
        ("2026-06-30T23:59:60Z", "2026-06-30T23:59:59.5Z", False),
    ],
)
def test_times_are_reversed_only_for_certain(start: str, end: str, *, wrong: bool) -> None:
    assert times_reversed(start, end) is wrong


def test_quantities_of_different_units_do_not_compare() -> None:
    assert quantities_reversed(b'{"value":5,"unit":"mg"}', b'{"value":4.9,"unit":"mg"}')
    assert not quantities_reversed(b'{"value":500,"unit":"mg"}', b'{"value":1,"unit":"g"}')


def test_a_structured_number_that_falls_stays_a_text() -> None:
    assert only(run(PATIENT, ORDER, number("^5^-^1", type_="SN")), "Observation")["valueString"] == "5 - 1"


def test_more_than_a_number_is_not_said_where_r4_cannot_say_it() -> None:
    mapped = run(PATIENT, ORDER, "SPM|1|^S1&FAC||119297000^Blood^SCT||||||||<5^mL")
    assert "quantity" not in only(mapped, "Specimen").get("collection", {})
    assert "comparator-forbidden" in codes(mapped)
    assert only(run(PATIENT, ORDER, number("<5")), "Observation")["valueQuantity"]["comparator"] == "<"


def test_an_appointment_with_a_start_and_no_end_is_held() -> None:
    schedule = "SCH|P77^FAC|F77^FAC|||||||||"
    for event in ("S12", "S14"):
        held = run(f"{schedule}^^^20260301090000", PATIENT, kind=f"SIU^{event}").held
        assert held is not None
        assert (held.code, held.message) == ("required-missing", "R4 requires Appointment.end, and no row wrote it")


def test_a_row_that_must_write_holds_with_what_is_wrong_with_its_value() -> None:
    held = run("SCH|P77^FAC|F77^FAC|||||||||^^^SOON", PATIENT, kind="SIU^S12").held
    assert held is not None
    assert held.code == "time-invalid"


def test_an_appointment_that_is_booked_again_loses_the_reason_of_its_cancellation() -> None:
    booked = run("SCH|P77^FAC|F77^FAC|||||||||^^^20260301090000^20260301093000", PATIENT, kind="SIU^S12")
    (draft,) = [one for one in booked.drafts if one.type == "Appointment"]
    assert "cancelationReason" in draft.cleared


def test_the_telephone_of_an_organization_is_at_nobodys_home() -> None:
    insurance = "IN1|1|HMO1^Blue HMO^FAC|BC17^^^FAC^NIIP|Blue Cross|9 Elm St^^Springfield^^^^H||(217)555-0100^PRN^PH"
    mapped = run(PATIENT, insurance + "|" * 29 + "PN-1", kind="ADT^A01")
    assert faults(mapped) == []
    (payor,) = [one for one in map(json.loads, render(mapped)) if one.get("name") == "Blue Cross"]
    assert payor["telecom"][0]["use"] == "work"
    assert "use" not in payor["address"][0]


def test_an_allergy_whose_status_nobody_knows_is_active() -> None:
    mapped = run(PATIENT, "IAM|1|DA|70618^Penicillin^RXNORM|||A|A1^FAC||||||||||ZZ", kind="ADT^A60^ADT_A60")
    assert only(mapped, "AllergyIntolerance")["clinicalStatus"]["coding"][0]["code"] == "active"
    assert "code-unmapped" in codes(mapped)


@pytest.mark.parametrize("field", ["^^^1^/^2", "^^^^Sprache", "zz^Volapük^L"])
def test_a_language_that_nobody_knows_is_undetermined(field: str) -> None:
    language = only(run(f"{PATIENT}||||||||||{field}", kind="ADT^A01"), "Patient")["communication"][0]["language"]
    assert language["coding"][0]["code"] == "und"


def test_an_alternate_code_stands_in_where_there_is_no_first() -> None:
    assert only(run(f"{PATIENT}|||^^^F^Female^HL70001", kind="ADT^A01"), "Patient")["gender"] == "female"


def test_a_second_statement_of_a_thing_replaces_the_other_type_of_its_value() -> None:
    died, lives = "||||||||||||||||||||||||20260101", "|||||||||||||||||||||||||N"
    assert only(run(PATIENT + lives, PATIENT + died, kind="ADT^A01"), "Patient").keys().isdisjoint({"deceasedBoolean"})
    one = number("", status="P") + "||||||||||I1^FAC"
    two = number("12") + "||||||||||I1^FAC"
    for order in ((one, two), (two, one)):
        stated = only(run(PATIENT, ORDER, *order), "Observation")
        assert ("valueQuantity" in stated) != ("dataAbsentReason" in stated)
        assert ("valueQuantity" in stated) == (order[1] is two)


def test_an_empty_value_takes_away_a_result_of_any_type() -> None:
    (draft,) = [one for one in run(PATIENT, ORDER, number('""', status="C")).drafts if one.type == "Observation"]
    assert {"valueQuantity", "valueCodeableConcept", "valueString", "valueRange"} <= set(draft.cleared)


def test_producers_are_told_apart_by_their_number() -> None:
    one, two = (number("12") + f"||||{who}^CLIA" for who in ("11D1111111^First lab", "22D2222222^Second lab"))
    mapped = run(PATIENT, ORDER, one, two.replace("718-7", "4544-3"))
    assert faults(mapped) == []
    labs = [one for one in map(json.loads, render(mapped)) if "lab" in one.get("name", "")]
    assert {lab["name"]: lab["identifier"][0]["value"] for lab in labs} == {
        "First lab": "11D1111111",
        "Second lab": "22D2222222",
    }
    assert {lab["identifier"][0]["system"] for lab in labs} == {"urn:oid:2.16.840.1.113883.4.7"}


def test_one_value_is_taken_of_a_field_that_gives_two() -> None:
    order = "OBR|1|P1^FAC|F1^FAC|718-7^Hb^LN|||20260101||||||||||^NET^Internet^a@b.example^^217^5550100"
    assert only(run(PATIENT, "ORC|RE|P1^FAC", order + "||||||||F"), "ServiceRequest")["extension"]


def test_an_author_without_a_name_is_no_author() -> None:
    mapped = run(PATIENT, ORDER, number("12"), "NTE|1|L|Checked||\\.br\\")
    assert only(mapped, "Observation")["note"] == [{"text": "Checked"}]


# -- the tables of the compiler against the definitions ----------------------------------------------------------------


def test_every_quantity_without_comparator_is_known() -> None:
    simple, plain = set(), set()
    for type_ in (*definitions.types("resource"), "Dosage", "Range", "SampledData"):
        structure = definitions.structure(type_)
        for one in structure.elements if structure else ():
            for type_ref in one.types:
                if type_ref.code == "Quantity":
                    name = one.name.replace("[x]", "Quantity")
                    is_plain = not any("SimpleQuantity" in profile for profile in type_ref.profiles)
                    (plain if is_plain else simple).add((type_, name))
    known = {pair for pair in simple if is_simple_quantity(*pair)}
    assert {name for _, name in simple - known} <= {
        "amount", "areaUnderCurve", "caloricDensity", "characteristicQuantity", "dailyAmount", "duration",
        "lethalDose50", "maxVolumeToDeliver", "minimumVolumeQuantity", "valueQuantity",
    }  # fmt: skip
    assert {pair for pair in plain if is_simple_quantity(*pair)} == set()
    assert len(known) > 20


def test_what_r4_requires_of_a_part_is_known_of_every_part_that_rows_write() -> None:
    for path, required in NESTED_REQUIRED.items():
        inner = [one for one in _structure(path) if one.min > 0]
        assert {one.name for one in inner} == set(required), path


def _structure(path: str) -> list[definitions.Element]:
    type_ = path.partition(".")[0]
    structure = definitions.structure(type_)
    assert structure is not None
    (own,) = [one for one in structure.elements if one.path == path and not one.slice]
    if own.types[0].code != "BackboneElement":
        structure, path = definitions.structure(own.types[0].code), own.types[0].code
    assert structure is not None
    return [one for one in structure.elements if one.path.rpartition(".")[0] == path]


def test_code_maps_lead_to_codes_that_there_are() -> None:
    newer = {"PGN", "FGN", "MBI", "SHIP", "CLIA"}  # came into HL7 table 0203 after R4
    checked = 0
    for entry in load_base().maps:
        system = definitions.code_system(entry.system) if entry.system and entry.target else None
        if system is not None and system.is_complete:
            checked += 1
            assert entry.target in system.codes or entry.target in newer, entry
    assert checked > 1000
