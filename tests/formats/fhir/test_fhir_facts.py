"""What can be searched for in a resource."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum import definitions
from hilum.formats import fhir
from hilum.formats.fhir import OTHER_REFERENCE, Kind
from shared_data import SHARED, needs_shared


def facts(type_: str, **elements: Any) -> dict[str, list[tuple[Any, Any]]]:
    """Parameter name -> (a, b); references that nothing names are under ""."""
    body = msgspec.json.encode({name.rstrip("_"): value for name, value in elements.items()})
    found: dict[str, list[tuple[Any, Any]]] = {}
    for number, a, b in fhir.facts_of(type_, body).all():
        name = "" if number == OTHER_REFERENCE else fhir.parameter(number).name
        found.setdefault(name, []).append((a, b))
    return found


def test_codes_are_found_in_every_shape_that_r4_has_for_them() -> None:
    assert facts("Patient", gender="female") == {"gender": [("female", "")]}
    coding = {"system": "urn:a", "code": "x", "display": "X"}
    assert facts("Encounter", class_=coding) == {"class": [("x", "urn:a")]}
    assert facts("Observation", code={"coding": [coding, {"code": "y"}], "text": "t"}) == {
        "code": [("x", "urn:a"), ("y", "")]
    }
    assert facts("Observation", category=[{"coding": [coding]}, {"text": "only"}]) == {"category": [("x", "urn:a")]}
    assert facts("Appointment", serviceType=[{"coding": [coding]}]) == {"service-type": [("x", "urn:a")]}


def test_names_identifiers_dates_quantities_and_nested_elements_are_found() -> None:
    name = [{"family": "Ångström", "given": ["Jo", "An"]}, {"text": "Jo A"}]
    assert facts(
        "Patient", name=name, identifier=[{"system": "urn:m", "value": "7"}, {"value": "8"}, {"use": "old"}]
    ) == {
        "family": [("angstrom", "")],
        "given": [("jo", ""), ("an", "")],
        "name": [("jo a", "")],
        "identifier": [("7", "urn:m"), ("8", "")],
    }
    start = fhir.date_range("2026-03-01")
    assert start is not None
    assert facts("Encounter", period={"start": "2026-03-01"}) == {"date": [(start[0], fhir.FAR_FUTURE)]}
    assert facts("Encounter", period={"end": "2026-03-01"}) == {"date": [(fhir.FAR_PAST, start[1])]}
    assert facts("Encounter", period={}) == {}
    assert facts("Observation", valueQuantity={"value": 5.40, "unit": "mg", "system": "u", "code": "mg"}) == {
        "value-quantity": [(5.4, "u|mg|mg")]
    }
    collected = {"collectedDateTime": "2026-03-01"}
    assert facts("Specimen", collection=collected) == {"collected": [start]}


def test_every_reference_is_found_named_or_not() -> None:
    found = facts(
        "Encounter",
        subject={"reference": "Patient/a"},
        participant=[{"individual": {"reference": "Practitioner/b"}}, {"individual": {"display": "?"}}],
        account=[{"reference": "Account/c"}],
        location=[
            {"location": {"reference": "Location/d"}, "extension": [{"valueReference": {"reference": "Device/e"}}]}
        ],
        contained=[{"resourceType": "Basic", "subject": {"reference": "#x"}}],
        episodeOfCare=[{"reference": "https://elsewhere.org/EpisodeOfCare/f"}],
    )
    assert found == {
        "subject": [("Patient/a", "")],
        "participant": [("Practitioner/b", "")],
        "location": [("Location/d", "")],
        "account": [("Account/c", "")],
        "": [("Device/e", "")],
    }


def test_an_element_of_an_impossible_shape_gives_no_facts_and_spoils_no_other() -> None:
    found = facts(
        "Observation",
        status=["final"],
        code=17,
        category={"coding": "none"},
        subject={"reference": "Patient/a"},
        effectiveDateTime={"start": 5},
        valueQuantity={"value": "high"},
        identifier="x",
        performer=[{"reference": "Practitioner/b"}, "nobody"],
    )
    assert found["subject"] == [("Patient/a", "")]
    assert found[""] == [("Practitioner/b", "")]
    assert not found.keys() & {"code", "category", "date", "value-quantity", "identifier"}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["coding", "code", "system", "value", "reference", "start", "family"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@given(st.sampled_from(["Patient", "Observation", "Encounter", "Provenance"]), st.data())
def test_no_json_makes_reading_facts_fail(type_: str, data: st.DataObject) -> None:
    elements = {path.split(".")[0] for one in fhir.parameters_of(type_) for path in one.paths}
    body = data.draw(st.dictionaries(st.sampled_from(sorted(elements)), JSON, max_size=4))
    fhir.facts_of(type_, msgspec.json.encode(body))


def test_the_table_names_what_us_core_asks_for() -> None:
    wanted = {
        "Patient": "identifier name family given birthdate gender death-date",
        "Encounter": "identifier patient class date type status location discharge-disposition",
        "RelatedPerson": "patient name",
        "AllergyIntolerance": "patient clinical-status",
        "Condition": "patient category clinical-status code encounter onset-date recorded-date abatement-date",
        "Coverage": "patient",
        "Practitioner": "identifier name",
        "Organization": "name address",
        "Location": "name address address-city address-state address-postalcode",
        "DiagnosticReport": "patient status category code date",
        "Observation": "patient status category code date",
        "Specimen": "patient",
        "ServiceRequest": "patient status category code authored",
        "Appointment": "patient practitioner location status date",
        "Provenance": "target patient recorded",
    }
    for type_, names in wanted.items():
        assert {one.name for one in fhir.parameters_of(type_)} >= set(names.split()), type_
    assert {one.type for one in fhir.PARAMETERS} == set(wanted)


def test_the_table_is_consistent() -> None:
    assert [one.number for one in fhir.PARAMETERS] == list(range(1, len(fhir.PARAMETERS) + 1))
    for one in fhir.PARAMETERS:
        assert fhir.is_resource_type(one.type)
        assert one.found_under
        assert all(fhir.find_parameter(one.type, name) for name in one.found_under), one
        assert not one.ordering or one.kind is Kind.DATE
        assert not one.target or fhir.is_resource_type(one.target)
    assert all(sum(one.ordering for one in fhir.parameters_of(type_)) <= 1 for type_ in fhir.RESOURCE_TYPES)
    assert fhir.find_parameter("Patient", "shoesize") is None
    assert fhir.parameters_of("Shoe") == ()


def test_every_parameter_of_r4_is_there_and_can_be_found_by_its_number() -> None:
    numbers = set()
    count = 0
    for type_ in fhir.RESOURCE_TYPES:
        for one in fhir.parameters_of(type_):
            count += 1
            numbers.add(one.number)
            assert fhir.parameter(one.number) == one
            assert one.places or one.parts or one.paths or one.found_under != (one.name,), one
            assert all(fhir.find_parameter(type_, name) for name in one.found_under), one
    assert len(numbers) == count > 1_600
    given = {(type_, one.name) for type_ in fhir.RESOURCE_TYPES for one in definitions.search_parameters(type_)}
    offered = {(type_, one.name) for type_ in fhir.RESOURCE_TYPES for one in fhir.parameters_of(type_)}
    absent = {(type_, name) for type_, name in given - offered if not name.startswith("_")}
    assert absent == {
        ("Location", "near"),
        ("MolecularSequence", "chromosome-variant-coordinate"),
        ("MolecularSequence", "referenceseqid-variant-coordinate"),
    }


def test_types_that_only_programs_write_are_indexed_whole() -> None:
    assert facts("CarePlan", category=[{"coding": [{"code": "assess-plan"}]}], subject={"reference": "Patient/p"}) == {
        "category": [("assess-plan", "")],
        "subject": [("Patient/p", "")],
    }
    email = {"system": "email", "value": "a@example.org"}
    assert facts("Person", telecom=[email], link=[{"target": {"reference": "Patient/p"}}]) == {
        "email": [("a@example.org", "")],
        "telecom": [("a@example.org", "")],
        "link": [("Patient/p", "")],
    }
    timing = {"repeat": {"boundsPeriod": {"start": "2026-01-01", "end": "2026-01-31"}}}
    found = facts("MedicationRequest", dosageInstruction=[{"timing": timing}, {"timing": {"event": ["2026-02-01"]}}])
    assert len(found.get("date", [])) == 1
    assert facts("Questionnaire", url="http://x/Q", version="1")["url"] == [("http://x/Q", "")]


def bundles() -> list[Path]:
    return sorted((SHARED / "fhir" / "synthea").glob("**/*.json"))


@needs_shared
@pytest.mark.parametrize("path", bundles() if SHARED.is_dir() else [], ids=lambda path: path.stem[:12])
def test_real_resources_give_facts_of_what_they_hold(path: Path) -> None:
    entries = msgspec.json.decode(path.read_bytes())["entry"]
    assert len(entries) > 10
    for entry in entries:
        resource = entry["resource"]
        found = fhir.facts_of(resource["resourceType"], msgspec.json.encode(resource))
        if resource["resourceType"] == "Observation":
            codings = resource["code"]["coding"]
            assert {(one["code"], one["system"]) for one in codings} <= {fact[1:] for fact in found.tokens}
            assert found.dates
