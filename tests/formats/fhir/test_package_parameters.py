"""Search parameters that packages define beyond R4."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from hilum.app.api.capability import statement
from hilum.app.api.surface import served
from hilum.definitions import Definitions, Shelf, r4
from hilum.formats import fhir
from hilum.model import Draft, Effects
from hilum.repository import SCHEMA, MemoryRepository, Query, SearchTerm, SqliteRepository
from hilum.store import Store
from shared_data import SHARED, needs_shared

pytestmark = pytest.mark.anyio

CORE = "http://hl7.org/fhir/us/core/StructureDefinition"
RACE = "urn:oid:2.16.840.1.113883.6.238"


@pytest.fixture(params=["us_core_610", "us_core_700"])
def packaged(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Definitions]:
    shelf = Shelf(tmp_path)
    shelf.add(SHARED / "fhir" / "us-core" / f"{request.param}.tgz", r4())
    yield shelf.definitions(r4())
    fhir.offer_packages(r4())


def drafts() -> list[Draft]:
    import json

    def draft(type_: str, id_: str, **elements: Any) -> Draft:
        return Draft(type_, id_, {name: Raw(json.dumps(value).encode()) for name, value in elements.items()})

    race = {"url": f"{CORE}/us-core-race", "extension": [{"url": "ombCategory", "valueCoding": {}}]}
    race["extension"][0]["valueCoding"] = {"system": RACE, "code": "2106-3"}  # type: ignore[index]
    other = {"url": "http://example.org/other", "extension": [{"url": "x", "valueCoding": {"code": "2106-3"}}]}
    asserted = {
        "url": "http://hl7.org/fhir/StructureDefinition/condition-assertedDate",
        "valueDateTime": "2024-05-06",
    }
    nurse = {"coding": [{"system": "http://snomed.info/sct", "code": "224535009"}]}
    return [
        draft("Patient", "p1", extension=[race]),
        draft("Patient", "p2", extension=[other]),
        draft("Condition", "c1", extension=[asserted], subject={"reference": "Patient/p1"}),
        draft("CareTeam", "t1", participant=[{"role": [nurse]}]),
        draft("Goal", "g1", description={"coding": [{"code": "289169006"}]}),
    ]


@needs_shared
async def test_us_core_parameters_are_searched_and_listed(packaged: Definitions, tmp_path: Path) -> None:
    made = {f"{one.type}.{one.name}" for one in fhir.offer_packages(packaged)}
    assert {"Patient.race", "Patient.ethnicity", "Condition.asserted-date", "CareTeam.role", "Goal.description"} <= made
    with Store.open(tmp_path / "hilum.db", key=bytes(32), schemas=[SCHEMA]) as opened:
        for repository in (MemoryRepository(), SqliteRepository(opened)):
            await repository.apply([Effects(seq=1, partition=0, at=1_700_000_000_000_000, drafts=drafts())], {0: 1})

            def found(type_: str, name: str, value: str, modifier: str = "", where: Any = repository) -> list[str]:
                query = Query(type_, (SearchTerm(name, (value,), modifier),))
                return [one.id for one in where.search(query).matches]

            assert found("Patient", "race", "2106-3") == ["p1"]
            assert found("Patient", "race", f"{RACE}|2106-3") == ["p1"]
            assert found("Patient", "race", "true", "missing") == ["p2"]
            assert found("Condition", "asserted-date", "ge2024-05") == ["c1"]
            assert found("Condition", "asserted-date", "2025") == []
            assert found("CareTeam", "role", "224535009") == ["t1"]
            assert found("Goal", "description", "289169006") == ["g1"]
    tree: Any = statement(served(), "http://example.org/fhir")
    listed = {one["type"]: {p["name"] for p in one["searchParam"]} for one in tree["rest"][0]["resource"]}
    assert {"race", "ethnicity", "gender"} <= listed["Patient"]


@needs_shared
async def test_without_the_package_nothing_of_it_is_left(packaged: Definitions) -> None:
    fhir.offer_packages(packaged)
    assert fhir.find_parameter("Patient", "race") is not None
    assert fhir.offer_packages(r4()) == ()
    assert fhir.find_parameter("Patient", "race") is None
    assert fhir.find_parameter("Patient", "gender") is not None
