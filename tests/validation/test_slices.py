"""Slices told apart by what is there, by types, by profiles, by where references lead; what is asked of their items."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from hilum.definitions import Definitions, Shelf, r4
from hilum.validation import Validator

BASE = "http://example.org/StructureDefinition/"
Json = dict[str, Any]


def element(id_: str, low: int, high: str, *types: Json, **more: Any) -> Json:
    path = ".".join(part.partition(":")[0] for part in id_.split("."))
    most = "1" if path.count(".") > 1 or path.endswith((".status", ".mode", ".type", ".id", ".url", "[x]")) else "*"
    there = {"id": id_, "path": path, "min": low, "max": high, "base": {"path": path, "max": most}, **more}
    return {**there, "type": list(types)} if types else there


def sliced(type_: str, path: str) -> Json:
    return {"slicing": {"discriminator": [{"type": type_, "path": path}], "rules": "open"}}


def kind(code: str, *targets: str) -> Json:
    found: Json = {"code": code}
    return (
        {**found, "targetProfile": [f"http://hl7.org/fhir/StructureDefinition/{one}" for one in targets]}
        if targets
        else found
    )


BACKBONE = kind("BackboneElement")
PROFILES = {
    "List": [
        element("List.status", 1, "1", kind("code")),
        element("List.mode", 1, "1", kind("code")),
        element("List.entry", 0, "*", BACKBONE, **sliced("type", "item.resolve()")),
        element("List.entry.item", 1, "1", kind("Reference", "Resource")),
        element("List.entry:people", 1, "2", BACKBONE, sliceName="people"),
        element("List.entry:people.item", 1, "1", kind("Reference", "Patient", "RelatedPerson")),
    ],
    "Bundle": [
        element("Bundle.type", 1, "1", kind("code")),
        element("Bundle.entry", 0, "*", BACKBONE, **sliced("type", "resource")),
        element("Bundle.entry.fullUrl", 0, "1", kind("uri")),
        element("Bundle.entry.resource", 0, "1", kind("Resource")),
        element("Bundle.entry:person", 1, "1", BACKBONE, sliceName="person"),
        element("Bundle.entry:person.fullUrl", 1, "1", kind("uri")),
        element("Bundle.entry:person.resource", 1, "1", kind("Patient")),
    ],
    "Named": [
        element("Patient.id", 0, "1", kind("id")),
        element("Patient.name", 1, "*", kind("HumanName")),
        element("Patient.name.family", 1, "1", kind("string")),
        element("Patient.name.text", 0, "1", kind("string")),
    ],
    "Dossier": [
        element("Bundle.type", 1, "1", kind("code")),
        element("Bundle.entry", 0, "*", BACKBONE, **sliced("profile", "resource")),
        element("Bundle.entry.fullUrl", 0, "1", kind("uri")),
        element("Bundle.entry.resource", 0, "1", kind("Resource")),
        element("Bundle.entry:named", 1, "1", BACKBONE, sliceName="named"),
        element("Bundle.entry:named.fullUrl", 0, "1", kind("uri")),
        element("Bundle.entry:named.resource", 1, "1", {"code": "Patient", "profile": [f"{BASE}Named"]}),
    ],
    "Roll": [
        element("List.status", 1, "1", kind("code")),
        element("List.mode", 1, "1", kind("code")),
        element("List.entry", 0, "*", BACKBONE, **sliced("profile", "item.resolve()")),
        element("List.entry.item", 1, "1", kind("Reference", "Resource")),
        element("List.entry:named", 1, "1", BACKBONE, sliceName="named"),
        element("List.entry:named.item", 1, "1", {"code": "Reference", "targetProfile": [f"{BASE}Named"]}),
    ],
    "Contacts": [
        element("Patient.telecom", 0, "*", kind("ContactPoint"), **sliced("value", "system")),
        element("Patient.telecom.system", 0, "1", kind("code")),
        element("Patient.telecom.value", 0, "1", kind("string")),
        element(
            "Patient.telecom:phone",
            0,
            "*",
            kind("ContactPoint"),
            sliceName="phone",
            constraint=[
                {
                    "key": "x-1",
                    "severity": "error",
                    "human": "a phone has a plus",
                    "expression": "value.startsWith('+')",
                }
            ],
        ),
        element("Patient.telecom:phone.system", 1, "1", kind("code"), fixedCode="phone"),
        element("Patient.telecom:phone.value", 0, "1", kind("string")),
        element("Patient.communication", 0, "*", BACKBONE, **sliced("value", "preferred")),
        element("Patient.communication.language", 1, "1", kind("CodeableConcept")),
        element("Patient.communication.preferred", 0, "1", kind("boolean")),
        element("Patient.communication:first", 0, "*", BACKBONE, sliceName="first"),
        element(
            "Patient.communication:first.language",
            1,
            "1",
            kind("CodeableConcept"),
            binding={"strength": "required", "valueSet": "http://hl7.org/fhir/ValueSet/administrative-gender"},
        ),
        element("Patient.communication:first.preferred", 1, "1", kind("boolean"), fixedBoolean=True),
    ],
    "Patient": [
        element("Patient.contact", 0, "*", BACKBONE, **sliced("exists", "organization")),
        element("Patient.contact.name", 0, "1", kind("HumanName")),
        element("Patient.contact.organization", 0, "1", kind("Reference", "Organization")),
        element("Patient.contact:firm", 1, "*", BACKBONE, sliceName="firm"),
        element("Patient.contact:firm.name", 0, "1", kind("HumanName")),
        element("Patient.contact:firm.organization", 1, "1", kind("Reference", "Organization")),
        element("Patient.contact:human", 0, "1", BACKBONE, sliceName="human"),
        element("Patient.contact:human.name", 1, "1", kind("HumanName")),
        element("Patient.contact:human.organization", 0, "0", kind("Reference", "Organization")),
    ],
}


@pytest.fixture(scope="module")
def validator(tmp_path_factory: pytest.TempPathFactory) -> Validator:
    return Validator(guide(tmp_path_factory.mktemp("guide"), PROFILES))


def guide(folder: Path, profiles: dict[str, list[Json]]) -> Definitions:
    files: dict[str, Json] = {
        "package/package.json": {"name": "org.example.slices", "version": "1.0.0", "fhirVersions": ["4.0.1"]}
    }
    for name, elements in profiles.items():
        type_ = elements[0]["path"].partition(".")[0]
        files[f"package/{name}.json"] = {
            "resourceType": "StructureDefinition",
            "url": f"{BASE}{name}",
            "name": name,
            "kind": "complex-type" if type_ == "Extension" else "resource",
            "type": type_,
            "derivation": "constraint",
            "baseDefinition": f"http://hl7.org/fhir/StructureDefinition/{type_}",
            "snapshot": {"element": [element(type_, 0, "*"), *elements]},
        }
    with tarfile.open(folder / "guide.tgz", "w:gz") as made:
        for name, content in files.items():
            raw = json.dumps(content).encode()
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            made.addfile(info, io.BytesIO(raw))
    Shelf(folder).add(folder / "guide.tgz", r4())
    return Shelf(folder).definitions(r4())


def to(reference: str, **more: str) -> Json:
    return {"item": {"reference": reference, **more}}


FIRM = {"organization": {"reference": "Organization/o"}}
HUMAN = {"name": {"family": "Probe"}}
PERSON = {"resourceType": "Patient", "id": "p"}


@pytest.mark.parametrize(
    ("type_", "resource", "code"),
    [
        ("List", {"entry": [to("Patient/p")]}, ""),
        ("List", {"entry": [to("http://x.example/fhir/RelatedPerson/p"), to("Observation/o")]}, ""),
        ("List", {"entry": [to("urn:uuid:0a8d6b0e-2f4e-4c11-9f3a-000000000001")]}, ""),
        ("List", {"entry": [{"item": {"identifier": {"value": "1"}, "type": "Patient"}}]}, ""),
        ("List", {"entry": [to("Observation/o")]}, "slice-missing"),
        ("List", {"entry": [to(f"Patient/{n}") for n in range(3)]}, "slice-many"),
        ("Bundle", {"entry": [{"fullUrl": "http://x.example/Patient/p", "resource": PERSON}]}, ""),
        ("Bundle", {"entry": [{"resource": PERSON}]}, "element-missing"),
        ("Bundle", {"entry": [{"resource": {"resourceType": "Basic", "code": {"text": "x"}}}]}, "slice-missing"),
        ("Bundle", {"entry": [{"fullUrl": f"urn:oid:1.2.{n}", "resource": PERSON} for n in (1, 2)]}, "slice-many"),
        ("Patient", {"contact": [FIRM, HUMAN]}, ""),
        ("Patient", {"contact": [HUMAN]}, "slice-missing"),
        ("Patient", {"contact": [FIRM, HUMAN, HUMAN]}, "slice-many"),
    ],
)
def test_items_are_told_apart_and_counted(validator: Validator, type_: str, resource: Json, code: str) -> None:
    needed = {"List": {"status": "current", "mode": "working"}, "Bundle": {"type": "collection"}, "Patient": {}}[type_]
    found = validator.validate({"resourceType": type_, **needed, **resource}, profiles=[f"{BASE}{type_}"])
    assert [one.code for one in found if one.severity.value == "error"] == ([code] if code else [])


NAMED = {**PERSON, "name": [{"family": "Probe"}]}
LOOSE = {**PERSON, "name": [{"text": "Probe"}]}


def entries(*resources: Json) -> Json:
    held = [{"fullUrl": f"urn:oid:1.2.{n}", "resource": one} for n, one in enumerate(resources)]
    return {"resourceType": "Bundle", "type": "collection", "entry": held}


@pytest.mark.parametrize(
    ("resource", "codes"),
    [
        (entries(NAMED, LOOSE), []),
        (entries(LOOSE), ["slice-missing"]),
        (entries(NAMED, {**NAMED, "id": "q"}), ["slice-many"]),
    ],
)
def test_resources_are_of_a_slice_when_they_meet_its_profile(
    validator: Validator, resource: Json, codes: list[str]
) -> None:
    assert [one.code for one in validator.validate(resource, profiles=[f"{BASE}Dossier"])] == codes


@pytest.mark.parametrize(
    ("items", "codes"),
    [
        ([to("Patient/p"), to("Patient/q"), to("Observation/o")], []),
        ([to("urn:uuid:0a8d6b0e-2f4e-4c11-9f3a-000000000001")], []),
        ([to("Observation/o")], ["slice-missing"]),
    ],
)
def test_a_profile_behind_a_reference_is_told_by_its_type_at_most(
    validator: Validator, items: list[Json], codes: list[str]
) -> None:
    found = validator.validate(
        {"resourceType": "List", "status": "current", "mode": "working", "entry": items}, profiles=[f"{BASE}Roll"]
    )
    assert [one.code for one in found if one.severity.value == "error"] == codes


def test_rules_of_a_slice_are_those_of_its_items_alone(validator: Validator) -> None:
    language = {"coding": [{"system": "urn:ietf:bcp:47", "code": "en"}]}
    patient = {
        "resourceType": "Patient",
        "telecom": [
            {"system": "phone", "value": "+1"},
            {"system": "phone", "value": "1"},
            {"system": "email", "value": "a@b.example"},
        ],
        "communication": [{"language": language}, {"language": language, "preferred": True}],
    }
    found = validator.validate(patient, profiles=[f"{BASE}Contacts"])
    assert [(one.code, one.location) for one in found] == [
        ("invariant-failed", "Patient.telecom[1]"),
        ("code-not-in-value-set", "Patient.communication[1].language"),
    ]


def test_a_binding_to_a_value_set_that_is_not_loaded_is_told_as_not_checked(tmp_path: Path) -> None:
    url = "http://example.org/StructureDefinition/tone"
    held = [
        element("Extension.url", 1, "1", kind("uri"), fixedUri=url),
        element(
            "Extension.value[x]",
            1,
            "1",
            kind("code"),
            binding={"strength": "required", "valueSet": "http://example.org/ValueSet/tones"},
        ),
    ]
    validator = Validator(guide(tmp_path, {"tone": held}))
    body = {"resourceType": "Patient", "extension": [{"url": url, "valueCode": "x"}]}
    report = validator.report(json.dumps(body).encode())
    assert report.unchecked == ("http://example.org/ValueSet/tones",)
