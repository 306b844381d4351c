"""Traps of real interfaces, through the base workbook as it ships."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hilum.errors import FormatError
from hilum.formats import hl7v2
from hilum.mapping import Context, Mapped, Plan, compile_workbook, load_workbook, render

MSH = "MSH|^~\\&|LAB|GENHOSP|HILUM|HOME|20240131081500||{kind}|C1|P|2.5.1||||||{charset}"
PID = "PID|1||4711^^^GENHOSP^MR||Everyman^Adam||19610615|M"
PV1 = "PV1|1|I|||||||||||||||||V1^^^GENHOSP^VN"
OBR = "OBR|1|P1^LAB|F1^LAB|24331-1^Lipid panel^LN|||20240131070000|||||||||||||||20240131080000|||F"


def plan_of(folder: Path, **params: str) -> Plan:
    tables = folder / "workbook"
    tables.mkdir()
    lines = "".join(f"{name},{value}\n" for name, value in {"zone": "America/Chicago", **params}.items())
    (tables / "params.csv").write_text(f"param,value\n{lines}")
    known = "".join(f",{name},urn:example:{name.lower()}\n" for name in ("GENHOSP", "LAB"))
    (tables / "namespaces.csv").write_text(f"sender,authority,system\n{known}")
    return compile_workbook(load_workbook(folder))


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return plan_of(tmp_path_factory.mktemp("site"))


def run(plan: Plan, kind: str, *segments: str, charset: str = "", coding: str = "utf-8") -> Mapped:
    raw = "\r".join([MSH.format(kind=kind, charset=charset), *segments]).encode(coding)
    record = hl7v2.parse(raw)
    mapped = plan.run(record, Context("test", record.sender, 1_706_700_000_000_000))
    assert mapped.accounting.adds_up
    return mapped


def all_of(mapped: Mapped, kind: str) -> list[dict[str, Any]]:
    assert mapped.held is None, mapped.held
    found = [json.loads(body) for body in render(mapped)]
    return [one for one in found if one["resourceType"] == kind]


def only(mapped: Mapped, kind: str) -> dict[str, Any]:
    (one,) = all_of(mapped, kind)
    return one


def result(plan: Plan, status: str, value: str = "182", type_: str = "NM") -> Mapped:
    return run(plan, "ORU^R01", PID, OBR, f"OBX|1|{type_}|2093-3^Cholesterol^LN||{value}|mg/dL|<200|N|||{status}")


# -- OBX-11 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("letter", "status"),
    [
        *(("F", "final"), ("P", "preliminary"), ("C", "corrected"), ("S", "preliminary"), ("A", "amended")),
        *(("I", "registered"), ("O", "registered"), ("N", "final"), ("U", "final"), ("V", "final")),
        *(("X", "cancelled"), ("W", "entered-in-error"), ("D", "entered-in-error")),
    ],
)
def test_each_letter_of_obx_11_has_its_status(plan: Plan, letter: str, status: str) -> None:
    assert only(result(plan, letter), "Observation")["status"] == status


@pytest.mark.parametrize("letter", ["R", "B", "Q"])
def test_a_letter_that_nobody_decided_holds_the_message(plan: Plan, letter: str) -> None:
    held = result(plan, letter).held
    assert held is not None
    assert held.location == "OBX-11"


def test_a_site_decides_what_unverified_and_appended_results_are(tmp_path: Path) -> None:
    decided = plan_of(tmp_path, obx_11_r="preliminary", obx_11_b="amended")
    assert only(result(decided, "R"), "Observation")["status"] == "preliminary"
    assert only(result(decided, "B"), "Observation")["status"] == "amended"


@pytest.mark.parametrize("letter", ["C", "W", "D"])
def test_a_correction_a_wrong_result_and_a_deletion_hit_the_result_that_was_sent(plan: Plan, letter: str) -> None:
    assert only(result(plan, "F"), "Observation")["id"] == only(result(plan, letter, "192"), "Observation")["id"]


# -- numbers and texts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "value", "comparator"),
    [("0.10", b'"value":0.10', None), (">200", b'"value":200', ">"), ("1.0E2", b'"value":1.0E2', None)],
)
def test_the_digits_of_a_result_stay(plan: Plan, sent: str, value: bytes, comparator: str | None) -> None:
    mapped = result(plan, "F", sent)
    assert only(mapped, "Observation")["valueQuantity"].get("comparator") == comparator
    assert any(value in body for body in render(mapped))


@pytest.mark.parametrize("sent", ["see note", "1+", "<<5"])
def test_a_number_that_is_none_is_kept_as_text(plan: Plan, sent: str) -> None:
    assert only(result(plan, "F", sent), "Observation")["valueString"] == sent


def test_control_characters_are_blanks_and_page_feeds_line_breaks(plan: Plan) -> None:
    """Raw or escaped: R4 (datatypes, string) wants no characters below U+0020 but tab, CR and LF."""
    mapped = run(plan, "ADT^A08", PID.replace("Everyman", "Every\x07man\\X1F\\"), PV1)
    assert only(mapped, "Patient")["name"][0]["family"] == "Every man"
    found = only(result(plan, "F", "page 1\x0cpage 2\\X0C\\page\t3", "TX"), "Observation")
    assert found["valueString"] == "page 1\npage 2\npage\t3"


def test_escapes_are_read_after_the_last_split(plan: Plan) -> None:
    mapped = run(plan, "ADT^A08", "PID|1||47\\S\\11^^^GENHOSP^MR||O\\T\\Brien\\S\\Smith^Adam\\R\\Eve", PV1)
    patient = only(mapped, "Patient")
    assert patient["identifier"][0]["value"] == "47^11"
    assert patient["name"][0]["family"] == "O&Brien^Smith"
    assert patient["name"][0]["given"] == ["Adam~Eve"]


def test_latin_letters_are_read_by_msh_18_and_never_replaced(plan: Plan) -> None:
    mapped = run(plan, "ADT^A08", PID.replace("Everyman", "Müller-Ångström"), PV1, charset="8859/1", coding="latin-1")
    assert only(mapped, "Patient")["name"][0]["family"] == "Müller-Ångström"
    with pytest.raises(FormatError):
        run(plan, "ADT^A08", PID.replace("Everyman", "Müller"), PV1, charset="UNICODE UTF-8", coding="latin-1")


# -- times ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sent", "born"), [("1961", "1961"), ("196106", "1961-06"), ("19610615120000", "1961-06-15")])
def test_a_birth_date_keeps_the_precision_that_it_has(plan: Plan, sent: str, born: str) -> None:
    assert only(run(plan, "ADT^A08", PID.replace("19610615", sent), PV1), "Patient")["birthDate"] == born


@pytest.mark.parametrize("sent", ["00000000", "19611315", "1961061", "yesterday"])
def test_a_birth_date_that_is_none_is_an_item_and_the_message_goes_on(plan: Plan, sent: str) -> None:
    mapped = run(plan, "ADT^A08", PID.replace("19610615", sent), PV1)
    assert "birthDate" not in only(mapped, "Patient")
    assert any(item.location == "PID-7" for item in mapped.exceptions)


@pytest.mark.parametrize(
    ("sent", "start"),
    [
        ("202401310815", "2024-01-31T08:15:00-06:00"),
        ("202407310815", "2024-07-31T08:15:00-05:00"),
        ("202401310815+0100", "2024-01-31T08:15:00+01:00"),
        ("20240131", "2024-01-31"),
    ],
)
def test_a_time_without_a_zone_is_of_the_site_and_never_a_z(plan: Plan, sent: str, start: str) -> None:
    mapped = run(plan, "ADT^A01", PID, PV1 + "|" * 25 + sent)
    assert only(mapped, "Encounter")["period"]["start"] == start


def test_a_message_whose_own_time_is_only_a_day_is_taken(plan: Plan) -> None:
    record = hl7v2.parse("\r".join([MSH.format(kind="ADT^A08", charset="").replace("081500", ""), PID]).encode())
    mapped = plan.run(record, Context("test", record.sender, 1_706_700_000_000_000))
    assert only(mapped, "Provenance")["recorded"] == "2024-01-31T11:20:00.000+00:00"


# -- identifiers and people ----------------------------------------------------------------------------------------


def test_an_identifier_without_an_authority_is_of_the_sending_facility_and_said(plan: Plan) -> None:
    mapped = run(plan, "ADT^A08", "PID|1||4711||Everyman^Adam", PV1)
    assert only(mapped, "Patient")["identifier"][0]["system"] == "urn:example:genhosp"
    assert any(item.code == "authority-missing" for item in mapped.exceptions)


def test_an_identifier_of_an_unknown_authority_holds_the_message(plan: Plan) -> None:
    mapped = run(plan, "ADT^A08", "PID|1||4711^^^ELSEWHERE^MR||Everyman^Adam", PV1)
    assert mapped.held is not None
    assert mapped.held.code == "namespace-unknown"
    assert "field-missing" not in {item.code for item in mapped.exceptions}  # there is a value: it names nobody


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("(217)555-0101", {"system": "phone", "value": "(217)555-0101", "use": "home"}),
        ("^PRN^PH^^^217^5550101", {"system": "phone", "value": "217 5550101", "use": "home"}),
        ("^PRN^PH^^1^217^5550101^12", {"system": "phone", "value": "+1 217 5550101 ext. 12", "use": "home"}),
        ("^NET^Internet^adam@example.org", {"system": "email", "value": "adam@example.org", "use": "home"}),
        ("adam@example.org", {"system": "email", "value": "adam@example.org", "use": "home"}),
        ("(217)555-0101^PRN^CP", {"system": "phone", "value": "(217)555-0101", "use": "mobile"}),
        ("(217)555-0101^BPN", {"system": "pager", "value": "(217)555-0101", "use": "home"}),
        ("(217)555-0101^WPN^BP", {"system": "pager", "value": "(217)555-0101", "use": "work"}),
        ("(217)555-0101^WPN^FX", {"system": "fax", "value": "(217)555-0101", "use": "work"}),
        ("^PRN^PH^^^^^^^^^5550101", {"system": "phone", "value": "5550101", "use": "home"}),
    ],
)
def test_every_way_to_write_a_telephone_gives_one_contact_point(
    plan: Plan, sent: str, expected: dict[str, str]
) -> None:
    mapped = run(plan, "ADT^A08", f"{PID}|||||{sent}", PV1)
    (found,) = only(mapped, "Patient")["telecom"]
    parts = [one["valueString"] for one in found.pop("extension", [])]
    assert found == expected
    assert parts == [part for part in sent.split("^")[4:8] if part]  # as the official tables keep them


def test_a_physician_whose_name_stands_in_the_number_is_nobody(plan: Plan) -> None:
    mapped = run(plan, "ADT^A01", PID, "PV1|1|I|||||Hippocrates^Harold||||||||||||V1^^^GENHOSP^VN")
    assert all_of(mapped, "Practitioner") == []
    assert any(item.code == "name-shifted" for item in mapped.exceptions)


# -- what a message does not say -----------------------------------------------------------------------------------


def test_what_is_sent_as_deleted_is_cleared_and_what_is_absent_is_left(plan: Plan) -> None:
    mapped = run(plan, "ADT^A08", 'PID|1||4711^^^GENHOSP^MR||Everyman^Adam||""', PV1)
    (draft,) = (draft for draft in mapped.drafts if draft.type == "Patient")
    assert "birthDate" in draft.cleared
    assert "gender" not in draft.elements
    assert "gender" not in draft.cleared


def test_an_update_of_a_person_never_decides_the_status_of_the_visit(plan: Plan) -> None:
    mapped = run(plan, "ADT^A08", PID, PV1)
    (draft,) = (draft for draft in mapped.drafts if draft.type == "Encounter")
    assert "status" not in draft.elements
    assert "status" in draft.defaults
    assert not [item for item in mapped.exceptions if item.row.startswith("enc-status")]


def test_what_belongs_to_one_patient_or_dose_never_lands_with_another(plan: Plan) -> None:
    other = PID.replace("4711", "4712")
    account = PID + "|" * 10 + "AC1^^^GENHOSP^AN"
    swap = run(plan, "ADT^A17", account, PV1, other, PV1.replace("V1^", "V2^"))
    assert ["account" in one for one in all_of(swap, "Encounter")] == [True, False]
    doses = ("ORC|RE||I1^GENHOSP", "RXA|0|1|20240131||140^Influenza^CVX|999", "RXR|IM", "ORC|RE||I2^GENHOSP")
    both = run(plan, "VXU^V04", PID, *doses, "RXA|0|1|20100101||08^Hepatitis B^CVX|999")
    assert ["route" in one for one in all_of(both, "Immunization")] == [True, False]


def test_a_payment_is_no_charge_and_is_not_lost_silently(plan: Plan) -> None:
    mapped = run(plan, "DFT^P03", PID, PV1, "FT1|1|T9||20240131||PY|CASH||||-20.00&USD")
    assert all_of(mapped, "ChargeItem") == []
    (payment,) = all_of(mapped, "PaymentReconciliation")
    assert payment["paymentDate"] == "2024-01-31"
    assert str(payment["paymentAmount"]["value"]) == "-20.0"
    assert payment["detail"][0]["type"]["coding"][0]["code"] == "payment"
    unknown = run(plan, "DFT^P03", PID, PV1, "FT1|1|T9||20240131||ZZ|CASH||||20&USD")
    assert all_of(unknown, "PaymentReconciliation") == []
    assert {item.location for item in unknown.exceptions} >= {"FT1-6", "FT1-7", "FT1-11"}
