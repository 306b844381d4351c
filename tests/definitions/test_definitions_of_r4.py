"""R4 as it ships: what is in the pack, and how it is asked for."""

from __future__ import annotations

from importlib import resources

import pytest

from hilum import definitions
from hilum.definitions import MANY, ValueSet, open_pack
from hilum.errors import HilumError
from hilum.formats.fhir import RESOURCE_TYPES


def test_every_resource_type_of_r4_is_there() -> None:
    assert set(RESOURCE_TYPES) <= set(definitions.types("resource"))
    assert {"HumanName", "Extension", "Timing"} <= set(definitions.types("complex-type"))
    assert len(definitions.types("primitive-type")) == 20


def test_the_pack_stays_small_and_names_its_rules() -> None:
    size = len(resources.files("hilum.definitions").joinpath("r4.pack").read_bytes())
    assert size < 400_000
    assert definitions.version().startswith("4.0.1+")


@pytest.mark.parametrize(
    ("type_", "path", "types", "least", "most"),
    [
        ("Patient", "name.given", ["string"], 0, MANY),
        ("Patient", "Patient.birthDate", ["date"], 0, 1),
        ("Patient", "contact[0].name.family", ["string"], 0, 1),
        ("Observation", "status", ["code"], 1, 1),
        ("Observation", "valueQuantity.value", ["decimal"], 0, 1),
        ("Observation", "value.ofType(Quantity).unit", ["string"], 0, 1),
        ("Questionnaire", "item.item.item.linkId", ["string"], 1, 1),
        ("Observation", "component.referenceRange.low.value", ["decimal"], 0, 1),
        ("Bundle", "entry.resource", ["Resource"], 0, 1),
        ("Patient", "id", ["id"], 0, 1),
        ("Extension", "url", ["uri"], 1, 1),
    ],
)
def test_an_element_is_found_at_its_path(type_: str, path: str, types: list[str], least: int, most: int) -> None:
    found = definitions.element(type_, path)
    assert found is not None
    assert ([one.code for one in found.types], found.min, found.max) == (types, least, most)


@pytest.mark.parametrize(
    ("type_", "path"),
    [("Patient", "nope"), ("Patient", "name.given.more"), ("Nope", "id"), ("Observation", "valueAddress")],
)
def test_a_path_that_r4_does_not_have_is_none(type_: str, path: str) -> None:
    assert definitions.element(type_, path) is None


def test_a_choice_without_its_type_has_all_of_its_types() -> None:
    for path in ("value[x]", "value"):
        found = definitions.element("Observation", path)
        assert found is not None
        assert len(found.types) == 11


def test_children_are_named_as_json_names_them() -> None:
    below = definitions.children("Observation", "component")
    assert {"id", "extension", "code", "valueQuantity", "valuePeriod", "referenceRange"} <= below.keys()
    assert "value[x]" not in below
    assert list(definitions.children("HumanName"))[2:5] == ["use", "text", "family"]
    assert definitions.children("Patient", "nope") == {}


def test_walking_goes_through_datatypes_and_ends_in_recursive_types() -> None:
    paths = [path for path, _ in definitions.walk("Questionnaire", depth=3)]
    assert "item.item.item" in paths
    assert "identifier.period.start" in paths
    assert all(path.count(".") < 3 for path in paths)
    assert len(paths) == len(set(paths)) > 1000


def test_targets_bindings_and_invariants_are_kept() -> None:
    subject = definitions.element("Observation", "subject")
    status = definitions.element("Observation", "status")
    assert subject is not None
    assert status is not None
    assert status.binding is not None
    assert subject.types[0].targets == ("Patient", "Group", "Device", "Location")
    assert (status.binding.strength, status.binding.value_set.rpartition("/")[2]) == ("required", "observation-status")
    keys = {one.key: path for path, one in definitions.constraints("Patient")}
    assert keys["pat-1"] == "contact"
    assert {"dom-2", "dom-3"} <= keys.keys()


def test_search_parameters_are_cut_to_the_type() -> None:
    found = {one.name: one for one in definitions.search_parameters("Observation")}
    assert found["date"].expression == "Observation.effective"
    assert {"_id", "_lastUpdated", "code-value-quantity"} <= found.keys()
    components = found["code-value-quantity"].components
    assert [one.expression for one in components] == ["code", "value.as(Quantity)"]
    whole = definitions.r4().search_parameter(components[0].definition)
    assert whole is not None
    assert "Condition.code" in whole.expression


def test_value_sets_know_what_they_know() -> None:
    status = definitions.value_set("http://hl7.org/fhir/ValueSet/observation-status|4.0.1")
    currencies = definitions.value_set("http://hl7.org/fhir/ValueSet/mimetypes")
    classes = definitions.value_set("http://terminology.hl7.org/ValueSet/v3-ActEncounterCode")
    assert status is not None
    assert currencies is not None
    assert classes is not None
    assert status.is_complete
    assert status.has("final") is True
    assert status.has("nope") is False
    assert currencies.has("text/plain") is None
    assert classes.has("IMP", "http://terminology.hl7.org/CodeSystem/v3-ActCode") is True
    assert classes.has("IMP", "http://loinc.org") is False
    assert definitions.value_set("http://example.org/none") is None


def test_an_open_value_set_does_not_know() -> None:
    one = ValueSet("u", codes={"a": frozenset({"x"})}, whole=frozenset({"b"}), open=frozenset({"c"}))
    assert [one.has("x", "a"), one.has("y", "a"), one.has("y", "b"), one.has("y", "c"), one.has("y", "d")] == [
        True,
        False,
        True,
        None,
        False,
    ]
    assert one.has("y") is None


def test_types_know_their_lineage() -> None:
    assert definitions.is_a("Age", "Quantity")
    assert definitions.is_a("Patient", "Resource")
    assert not definitions.is_a("Bundle", "DomainResource")


def test_the_patient_compartment_is_there() -> None:
    assert definitions.compartment("Patient")["Observation"] == ("subject", "performer")
    assert definitions.compartment("Nope") == {}


def test_a_pack_with_other_bytes_is_refused() -> None:
    content = resources.files("hilum.definitions").joinpath("r4.pack").read_bytes()
    sha256 = definitions.r4().sha256
    assert open_pack(content, sha256).label == "hl7.fhir.r4#4.0.1"
    with pytest.raises(HilumError) as caught:
        open_pack(content[:-1] + b"x", sha256)
    assert caught.value.code == "definitions-damaged"
