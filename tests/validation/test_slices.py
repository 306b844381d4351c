"""Slices told apart by what is there, by types, and by where references lead."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from hilum.definitions import Shelf, r4
from hilum.validation import Validator

BASE = "http://example.org/StructureDefinition/"
Json = dict[str, Any]


def element(id_: str, low: int, high: str, *types: Json, **more: Any) -> Json:
    path = ".".join(part.partition(":")[0] for part in id_.split("."))
    most = "1" if path.count(".") > 1 or path.endswith((".status", ".mode", ".type")) else "*"
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
    folder = tmp_path_factory.mktemp("guide")
    files: dict[str, Json] = {
        "package/package.json": {"name": "org.example.slices", "version": "1.0.0", "fhirVersions": ["4.0.1"]}
    }
    for type_, elements in PROFILES.items():
        files[f"package/{type_}.json"] = {
            "resourceType": "StructureDefinition",
            "url": f"{BASE}{type_}",
            "name": type_,
            "kind": "resource",
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
    Shelf(Path(folder)).add(folder / "guide.tgz", r4())
    return Validator(Shelf(Path(folder)).definitions(r4()))


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
