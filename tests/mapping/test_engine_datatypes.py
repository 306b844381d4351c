"""Each datatype's transform, through one row and one message, with the traps of each."""

import json
from typing import Any

import engine_kit as kit
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.mapping.transforms.numbers import decimal_text

SYSTEM = "urn:oid:1.2.3"
POINT = "http://hl7.org/fhir/StructureDefinition/contactpoint-"
PARTS = {
    "extension": [
        {"url": f"{POINT}country", "valueString": "1"},
        {"url": f"{POINT}area", "valueString": "217"},
        {"url": f"{POINT}local", "valueString": "5550101"},
        {"url": f"{POINT}extension", "valueString": "12"},
    ]
}


def cell(type_: str, target: str, transform: str, field: int = 30, map_: str = "", unmapped: str = "") -> str:
    return f'r,,PID,PID-{field},{type_},,{target},"{transform}",{map_},,{unmapped},,own,,'


def written(row: str, raw: str, **tables: str) -> tuple[dict[str, Any], Any]:
    mapped = kit.run(kit.plan(row, **tables), kit.PID + "|" * 27 + raw)
    return kit.one(mapped), mapped


def value(type_: str, target: str, transform: str, raw: str, **more: str) -> Any:
    return written(cell(type_, target, transform, **more), raw)[0].get(target.partition(".")[2].partition("[")[0])


# -- identifiers ---------------------------------------------------------------------------------------------------


def test_cx_gets_the_system_of_its_authority_and_its_type() -> None:
    (found,) = value("CX", "Patient.identifier[+]", "CX", "12^^^HOSP^MR^^20200101^2021")
    assert found["system"] == SYSTEM
    assert found["value"] == "12"
    assert found["type"]["coding"] == [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]
    assert found["period"] == {"start": "2020-01-01", "end": "2021"}


def test_a_caret_inside_a_cx_is_escaped_until_the_last_split() -> None:
    (found,) = value("CX", "Patient.identifier[+]", "CX", "12\\S\\34^^^HOSP")
    assert found["value"] == "12^34"


@pytest.mark.parametrize(
    ("authority", "system"),
    [
        ("NEW&2.16.840.1.113883.3.1&ISO", "urn:oid:2.16.840.1.113883.3.1"),
        ("&6BA7B810-9DAD-11D1-80B4-00C04FD430C8&UUID", "urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
        ("NEW&hosp.example&DNS", "http://hosp.example"),
        ("HOSP&2.16.840.1.113883.3.1&ISO", SYSTEM),  # the table comes before the universal id
    ],
)
def test_an_authority_is_known_by_the_table_or_by_its_universal_id(authority: str, system: str) -> None:
    (found,) = value("CX", "Patient.identifier[+]", "CX", f"12^^^{authority}")
    assert found["system"] == system


def test_an_unknown_authority_holds_the_message_or_gets_a_local_system_as_the_parameter_says() -> None:
    row = cell("CX", "Patient.identifier[+]", "CX")
    _, mapped = written(row, "12^^^NEW")
    assert mapped.held is not None
    assert (mapped.held.code, mapped.held.location, mapped.held.owner) == ("namespace-unknown", "PID-30", "own")
    assert mapped.accounting.adds_up
    found, mapped = written(
        row, "12^^^NEW/1", params=kit.PARAMS.replace("unknown_namespace,hold", "unknown_namespace,local")
    )
    assert mapped.held is None
    assert found["identifier"][0]["system"] == "urn:hilum:ns:NEW%2F1"


def test_an_identifier_without_an_authority_takes_the_sending_facility_and_says_so() -> None:
    found, mapped = written(cell("CX", "Patient.identifier[+]", "CX"), "12")
    assert found["identifier"] == [{"system": "urn:oid:1.2.4", "value": "12"}]
    assert kit.codes(mapped) == ["authority-missing"]
    found, mapped = written(cell("CX", "Patient.identifier[+]", "CX"), "12", params=kit.PARAMS.replace("MSH-4", "HOSP"))
    assert found["identifier"][0]["system"] == SYSTEM


def test_a_namespace_of_one_sender_is_not_that_of_another() -> None:
    compiled = kit.plan()
    ours, theirs = (kit.run(compiled, kit.PID, sender=sender) for sender in ("APP|FAC", "OTHER|FAC"))
    assert kit.one(ours)["id"] != kit.one(theirs)["id"]


@pytest.mark.parametrize(
    ("type_", "transform", "raw", "expected"),
    [
        ("EI", 'EI(type=""FILL"")', "A1^HOSP", {"system": SYSTEM, "value": "A1"}),
        ("EI", "EI", "A1^^1.2.9^ISO", {"system": "urn:oid:1.2.9", "value": "A1"}),
        ("EIP", "EIP(part=2)", "P1&HOSP^F1&HOSP", {"system": SYSTEM, "value": "F1"}),
        ("XCN", "XCN_ID", "D7^Smith^Jane^^^^^^HOSP", {"system": SYSTEM, "value": "D7"}),
        ("XON", "XON_ID", "Clinic^^^^^HOSP^^^^C9", {"system": SYSTEM, "value": "C9"}),
        ("XON", "XON_ID", "Clinic^^77^^^HOSP", {"system": SYSTEM, "value": "77"}),
        ("PLN", "PLN", "P7^HOSP^IL^20300101", {"system": SYSTEM, "value": "P7"}),
        ("CWE", "CWE_ID", "P7^Lab^LN", {"system": "http://loinc.org", "value": "P7"}),
        ("DLN", "DLN", "S99^WA^2030", {"system": "urn:oid:2.16.840.1.113883.4.3.53", "value": "S99"}),
        ("ST", 'identifier(system=""urn:x"")', "a\\T\\b", {"system": "urn:x", "value": "a&b"}),
    ],
)
def test_the_other_identifiers(type_: str, transform: str, raw: str, expected: dict[str, str]) -> None:
    (found,) = value(type_, "Patient.identifier[+]", transform, raw)
    assert {key: found[key] for key in ("system", "value")} == expected


def test_a_code_without_itself_makes_no_identifier() -> None:
    assert value("CWE", "Patient.identifier[+]", "CWE_ID", "^Lab^LN") is None


def test_a_logical_reference_is_an_identifier_of_something_that_is_not_here() -> None:
    found = value("CX", "Patient.managingOrganization", "logical", "C9^^^HOSP^XX")
    assert found["identifier"]["system"] == SYSTEM
    assert found["identifier"]["value"] == "C9"
    assert value("CX", "Patient.managingOrganization", "logical", "^^^HOSP") is None


@pytest.mark.parametrize(
    ("type_", "raw", "range_", "ratio"),
    [
        ("SN", "^5^-^9", (5, 9), None),
        ("SN", "^1^:^128", None, (1, 128)),
        ("NR", "5^9", (5, 9), None),
        ("ST", "5 - 9", (5, 9), None),
        ("ST", "1/128", None, (1, 128)),
        ("SN", "^9^-^5", None, None),
        ("ST", "a few", None, None),
    ],
)
def test_ranges_and_ratios(type_: str, raw: str, range_: tuple[int, int] | None, ratio: tuple[int, int] | None) -> None:
    made = raw_element(type_, "Observation.valueRange", "Range", raw)
    assert made == (b'{"low":{"value":%d},"high":{"value":%d}}' % range_ if range_ else b"")
    made = raw_element(type_, "Observation.valueRatio", "Ratio", raw)
    assert made == (b'{"numerator":{"value":%d},"denominator":{"value":%d}}' % ratio if ratio else b"")


def test_a_repeat_pattern_is_a_timing_with_its_period() -> None:
    found = json.loads(raw_element("RPT", "Observation.effectiveTiming", "timing", "BID&twice a day&L^^^^12^h"))
    assert found["repeat"] == {"period": 12, "periodUnit": "h"}
    assert found["code"]["text"] == "twice a day"
    assert b"repeat" not in raw_element("RPT", "Observation.effectiveTiming", "timing", "BID^^^^12^fortnights")


def test_a_name_without_an_identifier_makes_no_identifier() -> None:
    assert value("XON", "Patient.identifier[+]", "XON_ID", "Clinic") is None
    assert value("CX", "Patient.identifier[+]", "CX", "^^^HOSP") is None


# -- people --------------------------------------------------------------------------------------------------------


def test_xpn_is_a_human_name() -> None:
    (found,) = value("XPN", "Patient.name[+]", "XPN", "van Dyke&van&Dyke^Jane^Ann Mary^Jr^Dr^MD^L")
    assert found == {
        "use": "official",
        "family": "van Dyke",
        "given": ["Jane", "Ann", "Mary"],
        "prefix": ["Dr"],
        "suffix": ["Jr", "MD"],
        "_family": {"extension": [surname("own-prefix", "van"), surname("own-name", "Dyke")]},
    }


def surname(name: str, text: str) -> dict[str, str]:
    return {"url": f"http://hl7.org/fhir/StructureDefinition/humanname-{name}", "valueString": text}


def test_a_name_of_delimiters_or_blanks_is_no_name() -> None:
    assert value("XPN", "Patient.name[+]", "XPN", "^^^") is None
    assert value("XPN", "Patient.name[+]", "XPN", '""^ ^') is None


def test_an_xcn_that_starts_with_the_family_name_is_flagged_and_names_nobody() -> None:
    row = "r,,PID,PID-30,XCN,,Patient.generalPractitioner[+],ref(Practitioner),,,,,own,,"
    found, mapped = written(row, "SMITH^JANE")
    assert found["generalPractitioner"] == [{"display": "SMITH JANE"}] or "name-shifted" in kit.codes(mapped)
    assert "reference" not in found["generalPractitioner"][0]
    assert value("XCN", "Patient.name[+]", "XCN", "SMITH^JANE") == [{"family": "SMITH", "given": ["JANE"]}]


def test_an_xcn_with_its_parts_in_place_is_referenced_by_its_identifier() -> None:
    row = "r,,PID,PID-30,XCN,,Patient.generalPractitioner[+],ref(Practitioner),,,,,own,,"
    found, _ = written(row, "D7^Smith^Jane^^^Dr^^^HOSP")
    (reference,) = found["generalPractitioner"]
    assert reference["display"] == "Dr Jane Smith"
    assert reference["reference"].startswith("Practitioner/")


def test_xad_is_an_address() -> None:
    (found,) = value("XAD", "Patient.address[+]", "XAD", "1 Main St&Main St&1^Apt 2^Town^ST^123^USA^H^^County")
    assert found == {
        "use": "home",
        "line": ["1 Main St", "Apt 2"],
        "city": "Town",
        "district": "County",
        "state": "ST",
        "postalCode": "123",
        "country": "USA",
    }


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("(217)555-0101", [{"system": "phone", "value": "(217)555-0101"}]),
        ("(217)555-0101^PRN^PH", [{"system": "phone", "value": "(217)555-0101", "use": "home"}]),
        ("^WPN^PH^^1^217^5550101^12", [{"system": "phone", "value": "+1 217 5550101 ext. 12", "use": "work", **PARTS}]),
        ("^PRN^PH^^^^^^^^^+1 217 5550101", [{"system": "phone", "value": "+1 217 5550101", "use": "home"}]),
        ("^NET^Internet^a@b.example", [{"system": "email", "value": "a@b.example"}]),
        ("a@b.example^NET^Internet", [{"system": "email", "value": "a@b.example"}]),
        ("555^PRN^CP", [{"system": "phone", "value": "555", "use": "mobile"}]),
        ("555^WPN^FX", [{"system": "fax", "value": "555", "use": "work"}]),
        ("555^BPN^BP", [{"system": "pager", "value": "555"}]),
        (
            "555^PRN^PH^a@b.example",
            [
                {"system": "phone", "value": "555", "use": "home"},
                {"system": "email", "value": "a@b.example", "use": "home"},
            ],
        ),
    ],
)
def test_every_variant_of_an_xtn(raw: str, expected: list[dict[str, str]]) -> None:
    assert value("XTN", "Patient.telecom[+]", "XTN", raw) == expected


# -- codes ---------------------------------------------------------------------------------------------------------


def concept(raw: str, type_: str = "CWE", transform: str = "CWE", **more: str) -> Any:
    return value(type_, "Patient.maritalStatus", transform, raw, **more)


def test_a_concept_keeps_both_codings_and_its_words() -> None:
    assert concept("2345-7^Glucose^LN^GLU^Gluc^L^2.7^^Blood sugar") == {
        "coding": [
            {"system": "http://loinc.org", "version": "2.7", "code": "2345-7", "display": "Glucose"},
            {"system": "urn:hilum:cs:FAC:L", "code": "GLU", "display": "Gluc"},
        ],
        "text": "Blood sugar",
    }


def test_a_map_puts_its_coding_before_the_local_one() -> None:
    found = concept("I", "IS", 'CWE(table=""0004"")', map_="Class")
    assert [coding.get("code") for coding in found["coding"]] == ["IMP", "I"]
    assert found["coding"][1]["system"] == "http://terminology.hl7.org/CodeSystem/v2-0004"


def test_words_without_a_code_are_text() -> None:
    assert concept("^Some words") == {"text": "Some words"}
    assert concept("Some words", "ST", "CWE(text)") == {"text": "Some words"}


def test_an_unknown_coding_system_is_an_item_and_the_code_is_kept() -> None:
    found, mapped = written(cell("CWE", "Patient.maritalStatus", "CWE"), "a^b^WinPath")
    assert found["maritalStatus"]["coding"][0]["system"] == "urn:hilum:cs:FAC:WinPath"
    assert [(item.code, item.group) for item in mapped.exceptions] == [
        ("codesystem-unknown", "codesystem-unknown|APP|FAC|WinPath")
    ]
    assert mapped.accounting.exceptions == 0


@pytest.mark.parametrize(
    ("unmapped", "expected", "codes"),
    [
        ("", None, ["code-unmapped"]),
        ("exception", None, ["code-unmapped"]),
        ("fixed:unknown", "unknown", []),
    ],
)
def test_a_code_without_a_map_entry_follows_the_policy(unmapped: str, expected: str | None, codes: list[str]) -> None:
    found, mapped = written(cell("IS", "Patient.gender", "code", map_="Sex", unmapped=unmapped), "Q")
    assert found.get("gender") == expected
    assert kit.codes(mapped) == codes
    assert mapped.held is None


def test_a_rejected_code_holds() -> None:
    _, mapped = written(cell("IS", "Patient.gender", "code", map_="Sex", unmapped="reject"), "Q")
    assert mapped.held is not None
    assert mapped.held.code == "code-unmapped"


def test_codes_match_in_any_case_when_no_exact_entry_is_there() -> None:
    assert value("IS", "Patient.gender", "code", "f", map_="Sex") == "female"


@pytest.mark.parametrize(("raw", "expected"), [("Y", True), ("n", False), ("1", True), ("maybe", None)])
def test_a_boolean(raw: str, expected: bool | None) -> None:
    assert value("ID", "Patient.deceasedBoolean", "boolean", raw) is expected


# -- numbers -------------------------------------------------------------------------------------------------------


def raw_element(type_: str, target: str, transform: str, raw: str, map_: str = "") -> bytes:
    row = cell(type_, target, transform, map_=map_)
    mapped = kit.run(kit.plan("o,ADT^A01,PID,PID-3,CX,,Observation.id,key,,,,,,,", row), kit.PID + "|" * 27 + raw)
    draft = next(draft for draft in mapped.drafts if draft.type == "Observation")
    return b"".join(bytes(value) for name, value in draft.elements.items())


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("0.10", b'{"value":0.10}'),
        ("1.0E2", b'{"value":1.0E2}'),
        ("-5", b'{"value":-5}'),
        ("+5", b'{"value":5}'),
        (".5", b'{"value":0.5}'),
        ("007", b'{"value":7}'),
        ("5.", b'{"value":5}'),
        (">200", b'{"value":200,"comparator":">"}'),
        ("<= 0.50", b'{"value":0.50,"comparator":"<="}'),
        ("12345678901234567890.10", b'{"value":12345678901234567890.10}'),
    ],
)
def test_the_digits_of_a_number_survive(raw: str, expected: bytes) -> None:
    assert raw_element("NM", "Observation.valueQuantity", "quantity", raw) == expected


def test_what_is_no_number_is_an_item_of_quantity_and_a_string_of_value() -> None:
    assert raw_element("NM", "Observation.valueQuantity", "quantity", "high") == b""
    assert raw_element("NM", "Observation.value[x]", "value", "high") == b'"high"'


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (">^200", b'{"value":200,"comparator":">"}'),
        ("^5", b'{"value":5}'),
        ("=^5", b'{"value":5}'),
        ("^1^:^128", b'{"numerator":{"value":1},"denominator":{"value":128}}'),
        ("^1^-^5.0", b'{"low":{"value":1},"high":{"value":5.0}}'),
        ("^2^+", b'"2 +"'),
        ("<>^2", b'"<> 2"'),
    ],
)
def test_a_structured_number_chooses_its_form(raw: str, expected: bytes) -> None:
    assert raw_element("SN", "Observation.value[x]", "SN", raw) == expected


def test_units_are_ucum_when_the_map_says_so_and_words_otherwise() -> None:
    unit = b'{"value":5,"unit":"mg/dL","system":"http://unitsofmeasure.org","code":"mg/dL"}'
    assert raw_element("CQ", "Observation.valueQuantity", "quantity", "5^mg/dL", map_="Units") == unit
    assert raw_element("CQ", "Observation.valueQuantity", "quantity", "5^mg/dL&&UCUM") == unit
    assert raw_element("CQ", "Observation.valueQuantity", "quantity", "5^drops") == b'{"value":5,"unit":"drops"}'
    tablets = b'{"value":5,"unit":"Tablet","system":"http://snomed.info/sct","code":"385055001"}'
    sent = "5^385055001&Tablet&http://snomed.info/sct"
    assert raw_element("CQ", "Observation.valueQuantity", "quantity", sent) == tablets
    assert raw_element("CQ", "Observation.valueQuantity", "quantity", "5^TB&Tablet&L") == b'{"value":5,"unit":"TB"}'


@pytest.mark.parametrize(
    ("raw", "low", "high"),
    [
        ("3.5-5.0", 3.5, 5.0),
        ("[ 4 - 10 ]", 4, 10),
        ("-5 - -1", -5, -1),
        ("<200", None, 200),
        (">=10", 10, None),
        ("negative", None, None),
    ],
)
def test_a_reference_range_keeps_its_words(raw: str, low: float | None, high: float | None) -> None:
    found = json.loads(raw_element("ST", "Observation.referenceRange[+]", "range", raw))[0]
    assert found["text"] == raw
    assert found.get("low", {}).get("value") == low
    assert found.get("high", {}).get("value") == high


@given(st.from_regex(r"[-+]?[0-9]{0,8}(\.[0-9]{0,8})?([eE][-+]?[0-9]{1,2})?", fullmatch=True))
def test_decimal_text_is_json_or_nothing_and_says_the_same_number(text: str) -> None:
    found = decimal_text(text)
    if found:
        assert float(json.loads(found)) == pytest.approx(float(text))


def test_money() -> None:
    assert value("MO", "Patient.maritalStatus", "MO", "12.50^EUR") == {"value": 12.5, "currency": "EUR"}
    assert value("CP", "Patient.maritalStatus", "CP", "12.50&EUR^UP") == {"value": 12.5, "currency": "EUR"}


# -- texts and the rest --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "raw", "expected"),
    [
        ("FT", "one\\.br\\two\\.sp\\three", "one\ntwo\nthree"),
        ("FT", "a\\H\\b\\N\\ c", "ab c"),
        ("ST", "a\\F\\b\\T\\c\\E\\d", "a|b&c\\d"),
        ("TX", "1^2", "1^2"),
        ("XON", "Clinic^L", "Clinic"),
        ("CWE", "a^words", "words"),
    ],
)
def test_text_is_unescaped_last(type_: str, raw: str, expected: str) -> None:
    assert value(type_, "Patient.gender", "text", raw) == expected


def test_an_attachment_is_base64_that_decodes_or_an_item() -> None:
    target = "Patient.photo[+]"
    assert value("ED", target, "attachment", "^AP^PDF^Base64^JVBERi0=") == [
        {"contentType": "application/pdf", "data": "JVBERi0="}
    ]
    assert value("ED", target, "attachment", "^TEXT^plain^A^a\\T\\b") == [{"contentType": "text/plain", "data": "YSZi"}]
    assert value("ED", target, "attachment", "^IM^JPEG^Hex^ffd8") == [{"contentType": "image/jpeg", "data": "/9g="}]
    assert value("RP", target, "attachment", "https://x.example/1^^IM^PNG") == [
        {"contentType": "image/png", "url": "https://x.example/1"}
    ]
    found, mapped = written(cell("ED", target, "attachment"), "^AP^PDF^Base64^not base64!")
    assert "photo" not in found
    assert "data-undecodable" in kit.codes(mapped)


def test_a_repeat_pattern_becomes_a_timing() -> None:
    assert value("TQ", "Patient.maritalStatus", "timing", "1^Q6H&0800^^20240101^20240103") == {
        "repeat": {"boundsPeriod": {"start": "2024-01-01", "end": "2024-01-03"}},
        "code": {"text": "Q6H 0800"},
    }


def test_places_and_jobs_are_read_aloud() -> None:
    assert value("PL", "Patient.maritalStatus", "display", "WEST^389^A^HOSP^^N^MAIN") == {
        "display": "WEST 389 A MAIN HOSP"
    }
    assert value("JCC", "Patient.maritalStatus", "JCC", "42^Nurse") == {
        "coding": [{"code": "42", "display": "Nurse"}],
        "text": "Nurse",
    }
