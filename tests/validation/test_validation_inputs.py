"""Bytes of every kind: nothing crashes, nothing passes in silence."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from good_resources import GOOD, good
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.model import Severity
from hilum.validation import Validator, outcome_of
from shared_data import SHARED, needs_shared

VALIDATOR = Validator()
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b"[1]", b'"x"', b"null", b"{}", b'{"resourceType": 1}'])
def test_bytes_that_are_no_resource_are_an_error(raw: bytes) -> None:
    report = VALIDATOR.report(raw)
    assert not report.is_valid


@pytest.mark.parametrize(("depth", "codes"), [(20, set()), (200, set()), (450, set()), (5000, {"json-invalid"})])
def test_deep_nesting_is_answered(depth: int, codes: set[str]) -> None:
    inside = b'{"url":"http://example.org/x","extension":[' * depth
    raw = b'{"resourceType":"Patient","extension":[' + inside + b'{"url":"http://example.org/y","valueCode":"x"}'
    report = VALIDATOR.report(raw + b"]}" * (depth + 1))
    assert {one.code for one in report.findings} <= {*codes, "resource-too-deep"}
    assert bool(codes) <= bool(report.findings)


def test_bundles_in_bundles_end() -> None:
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "collection"}
    for _ in range(20):
        bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": bundle}]}
    assert "resource-too-deep" in {one.code for one in VALIDATOR.validate(bundle)}


def test_of_a_body_of_nothing_but_faults_the_first_thousand_are_told() -> None:
    one = {"resourceType": "Patient"} | {f"x{number}": 1 for number in range(700)}
    for body, count in (
        (one, 700),
        ({"resourceType": "Bundle", "type": "batch", "entry": [{"resource": one}] * 4}, 1000),
    ):
        codes = [each.code for each in VALIDATOR.validate(body)]
        assert codes.count("element-unknown") == count
        assert codes.count("faults-untold") == (count == 1000)


@pytest.mark.parametrize("given_", [1, "x"])
def test_of_a_vast_resource_the_first_fault_is_told(given_: Any) -> None:
    report = VALIDATOR.validate(
        {"resourceType": "Patient", "name": [{"given": ["x"]}] * 30_000 + [{"given": [given_]}]}
    )
    assert [(one.code, one.location) for one in report] == [("type-wrong", "Patient.name[30000].given[0]")] * (
        given_ == 1
    )


@settings(max_examples=150, deadline=None)
@given(name=st.sampled_from(sorted(GOOD)), key=st.data(), value=VALUES)
def test_any_value_in_any_place_gets_an_answer(name: str, key: st.DataObject, value: Any) -> None:
    resource = good(name)
    place = key.draw(st.sampled_from(sorted(resource)))
    resource[place] = value
    report = VALIDATOR.report(msgspec.json.encode(resource))
    assert outcome_of(report)


def test_what_stands_in_a_broken_bundle_is_looked_at_all_the_same() -> None:
    bundle = good("Bundle")
    bundle["nonsense"] = 1
    bundle["entry"][1]["resource"]["status"] = "no such"
    codes = {(one.code, one.location) for one in VALIDATOR.validate(bundle)}
    assert ("element-unknown", "Bundle.nonsense") in codes
    assert ("code-not-in-value-set", "Bundle.entry[1].resource.status") in codes


def test_a_misspelt_element_names_the_near_miss() -> None:
    (one,) = VALIDATOR.validate({"resourceType": "Patient", "birthdate": "1984"})
    assert one.hint == "did you mean `birthDate`?"


def test_an_unknown_system_warns_once_and_a_known_one_is_told_as_not_checked() -> None:
    observation = good("Observation")
    mine = {"system": "http://example.org/codes", "code": "x"}
    observation["code"]["coding"] += [mine, mine]
    report = VALIDATOR.report(json.dumps(observation).encode())
    assert [(one.code, one.severity) for one in report.findings] == [("system-unknown", Severity.WARNING)]
    assert "http://loinc.org" in report.unchecked
    assert report.is_valid


@pytest.mark.parametrize(
    ("display", "language", "warns"),
    [
        ("Divorced", "", True),
        ("Married", "", False),
        ("  MARRIED ", "", False),
        ("m", "", False),
        ("verheiratet", "de-CH", False),
        ("verheiratet", "en-US", True),
    ],
)
def test_a_display_that_says_another_thing_than_the_code_is_a_warning(display: str, language: str, warns: bool) -> None:
    coding = {"system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "code": "M", "display": display}
    patient: dict[str, Any] = {"resourceType": "Patient", "maritalStatus": {"coding": [coding, coding]}}
    if language:
        patient["language"] = language
    for _ in range(2):  # what was looked at once is remembered, what is wrong is told again
        found = [one for one in VALIDATOR.validate(patient) if one.code == "display-differs"]
        assert [(one.severity, one.location) for one in found] == (
            [(Severity.WARNING, "Patient.maritalStatus.coding[0].display")] if warns else []
        )
        assert not any(display in one.message for one in found), "what was written is not repeated"


def test_a_display_of_a_system_that_is_not_loaded_whole_is_not_judged() -> None:
    coding = {"system": "http://loinc.org", "code": "8480-6", "display": "the upper number"}
    report = VALIDATOR.report(json.dumps(good("Observation") | {"code": {"coding": [coding]}}).encode())
    assert "display-differs" not in {one.code for one in report.findings}
    assert "http://loinc.org" in report.unchecked


def test_a_code_that_a_table_of_hl7_v2_does_not_have_is_a_warning() -> None:
    patient = good("Patient")
    table = {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "OURS"}
    patient["identifier"][0]["type"] = {"coding": [table]}
    findings = VALIDATOR.validate(patient)
    assert "code-not-in-system" in {one.code for one in findings}
    assert {one.severity for one in findings} == {Severity.WARNING}


def test_a_missing_value_with_an_extension_in_its_place_is_there() -> None:
    observation = good("Observation")
    del observation["status"]
    absent = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
    observation["_status"] = {"extension": [{"url": absent, "valueCode": "unknown"}]}
    assert VALIDATOR.validate(observation) == ()


def test_a_profile_that_is_asked_for_and_not_loaded_is_an_error_and_a_claimed_one_is_told() -> None:
    url = "http://example.org/StructureDefinition/none"
    asked = VALIDATOR.validate(good("Condition"), profiles=[url])
    assert [one.code for one in asked] == ["profile-unknown"]
    claimed = {**good("Condition"), "meta": {"profile": [url]}}
    report = VALIDATOR.report(json.dumps(claimed).encode())
    assert report.is_valid
    assert url in report.unchecked


def test_the_type_that_is_asked_for_is_asked_for() -> None:
    findings = VALIDATOR.validate_bytes(b'{"resourceType":"Patient"}', type_="Observation")
    assert [one.code for one in findings] == ["resource-type-unknown"]


def test_an_outcome_names_the_rules_and_the_place() -> None:
    outcome = json.loads(outcome_of(VALIDATOR.report(b'{"resourceType":"Patient","gender":"F"}')))
    first, last = outcome["issue"][0], outcome["issue"][-1]
    assert (first["severity"], first["code"]) == ("error", "code-invalid")
    assert first["expression"] == ["Patient.gender"]
    assert first["details"]["coding"][0]["code"] == "code-not-in-value-set"
    assert last["severity"] == "information"
    assert VALIDATOR.rules in last["diagnostics"]
    assert VALIDATOR.report(json.dumps(outcome).encode()).is_valid


@needs_shared
def test_synthea_is_not_refused() -> None:
    files = sorted((SHARED / "fhir" / "synthea").glob("*.json"))
    assert len(files) >= 9
    resources = 0
    for file in files:
        report = VALIDATOR.report(file.read_bytes())
        resources += report.resources
        assert report.is_valid, (file.name, [one for one in report.findings if one.severity is Severity.ERROR][:3])
    assert resources > 3000
