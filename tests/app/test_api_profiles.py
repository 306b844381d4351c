"""Packages of a folder, as the API tells of them and validates by them."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from api_support import World, code_of, patient, store

from hilum.app.api import WritingRules, by_definitions
from hilum.definitions import Definitions, Shelf, r4

pytestmark = pytest.mark.anyio

PROFILE = "http://example.org/StructureDefinition/dated-patient"
GUIDE = "http://example.org/ImplementationGuide/dated"
NAMED = {"resourceType": "Patient", "name": [{"family": "Probe"}]}


def element(name: str, low: int, high: str, type_: str) -> dict[str, Any]:
    path = f"Patient.{name}"
    return {
        "id": path,
        "path": path,
        "min": low,
        "max": high,
        "base": {"path": path, "max": high},
        "type": [{"code": type_}],
    }


def guide(folder: Path) -> Definitions:
    """R4, and a guide in which a Patient has a date of birth."""
    profile = {
        "resourceType": "StructureDefinition",
        "url": PROFILE,
        "name": "DatedPatient",
        "kind": "resource",
        "type": "Patient",
        "derivation": "constraint",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "snapshot": {
            "element": [
                {"id": "Patient", "path": "Patient", "min": 0, "max": "*", "base": {"path": "Patient", "max": "*"}},
                *(
                    element(name, low, high, type_)
                    for name, low, high, type_ in (
                        ("id", 0, "1", "id"),
                        ("meta", 0, "1", "Meta"),
                        ("name", 0, "*", "HumanName"),
                        ("birthDate", 1, "1", "date"),
                    )
                ),
            ]
        },
    }
    told = {
        "name": "org.example.dated",
        "version": "1.0.0",
        "fhirVersions": ["4.0.1"],
        "canonical": "http://example.org",
    }
    files = {
        "package/package.json": told,
        "package/a.json": profile,
        "package/b.json": {"resourceType": "ImplementationGuide", "url": GUIDE, "packageId": "org.example.dated"},
    }
    archive = folder / "guide.tgz"
    with tarfile.open(archive, "w:gz") as made:
        for name, content in files.items():
            raw = json.dumps(content).encode()
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            made.addfile(info, io.BytesIO(raw))
    Shelf(folder).add(archive, r4())
    return Shelf(folder).definitions(r4())


@pytest.fixture
def world(tmp_path: Path) -> World:
    definitions = guide(tmp_path)
    return World(writing=WritingRules(by_definitions(definitions), definitions=definitions))


async def test_the_capability_statement_names_what_is_loaded(world: World) -> None:
    async with world.client() as client:
        told = (await client.get("/fhir/metadata")).json()
    (person,) = [one for one in told["rest"][0]["resource"] if one["type"] == "Patient"]
    assert person["supportedProfile"] == [PROFILE]
    assert told["implementationGuide"] == [f"{GUIDE}|1.0.0"]
    family = next(one for one in person["searchParam"] if one["name"] == "family")
    assert family["definition"] == "http://hl7.org/fhir/SearchParameter/individual-family"


async def test_a_resource_is_validated_by_the_profile_that_is_asked_for(world: World) -> None:
    await store(world.repository, patient("a", "Adler"))

    def wrapped(**more: Any) -> dict[str, Any]:
        resource = {"name": "resource", "resource": {**NAMED, **more}}
        return {"resourceType": "Parameters", "parameter": [resource, {"name": "profile", "valueUri": PROFILE}]}

    async with world.client() as client:
        answers = [
            await client.post(f"/fhir/Patient/$validate?profile={PROFILE}", json=NAMED),
            await client.post("/fhir/Patient/$validate", json=wrapped()),
            await client.get(f"/fhir/Patient/a/$validate?profile={PROFILE}"),
        ]
        assert [(one.status_code, code_of(one)) for one in answers] == [(200, "element-missing")] * 3
        good = await client.post("/fhir/Patient/$validate", json=wrapped(birthDate="1970"))
        plain = await client.post("/fhir/Patient/$validate", json=NAMED)
        assert [code_of(one) for one in (good, plain)] == ["resource-valid"] * 2
        for url in (
            f"/fhir/Observation/$validate?profile={PROFILE}",
            "/fhir/Patient/$validate?profile=http://x.example/y",
        ):
            unknown = await client.post(url, json={"resourceType": url.split("/")[2]})
            assert (unknown.status_code, code_of(unknown)) == (400, "profile-not-loaded")
