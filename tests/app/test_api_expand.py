"""`$expand`: the codes of value sets that are stored, and of those of R4."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from api_support import World, code_of

from hilum.app.tokens import Role

pytestmark = pytest.mark.anyio

WARDS = "http://codes.example/wards"
CODES = {
    "resourceType": "CodeSystem",
    "id": "wards",
    "url": WARDS,
    "status": "active",
    "content": "complete",
    "concept": [
        {"code": "MED", "display": "Medicine", "concept": [{"code": "M1", "display": "Medicine One"}]},
        {"code": "SUR", "display": "Surgery"},
        {"code": "ICU", "display": "Intensive care"},
    ],
}


def value_set(id_: str, include: list[Any], **more: Any) -> dict[str, Any]:
    url = f"http://sets.example/{id_}"
    return {
        "resourceType": "ValueSet",
        "id": id_,
        "url": url,
        "status": "active",
        "compose": {"include": include, **more},
    }


SETS = [
    value_set("all", [{"system": WARDS}]),
    value_set("medicine", [{"system": WARDS, "filter": [{"property": "concept", "op": "is-a", "value": "MED"}]}]),
    value_set("listed", [{"system": WARDS, "concept": [{"code": "ICU"}, {"code": "SUR", "display": "Theatre"}]}]),
    value_set("without", [{"system": WARDS}], exclude=[{"valueSet": ["http://sets.example/medicine"]}]),
    value_set("both", [{"system": WARDS, "valueSet": ["http://sets.example/listed"]}]),
    value_set("gender", [{"valueSet": ["http://hl7.org/fhir/ValueSet/administrative-gender"]}]),
    value_set("loinc", [{"system": "http://loinc.org"}]),
    value_set("round", [{"valueSet": ["http://sets.example/about"]}]),
    value_set("about", [{"valueSet": ["http://sets.example/round"]}]),
]


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    made = World()
    async with made.client(made.token("w", Role.WRITER)) as client:
        for one in (CODES, *SETS):
            answer = await client.put(f"/fhir/{one['resourceType']}/{one['id']}", json=one)
            assert answer.status_code == 201, answer.text
        yield client


async def codes(client: httpx2.AsyncClient, asked: str) -> list[tuple[str, str]]:
    answer = await client.get(f"/fhir/ValueSet{asked}")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["resourceType"], body["status"]) == ("ValueSet", "active")
    return [(one["code"], one.get("display", "")) for one in body["expansion"].get("contains", ())]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("all", [("MED", "Medicine"), ("M1", "Medicine One"), ("SUR", "Surgery"), ("ICU", "Intensive care")]),
        ("medicine", [("MED", "Medicine"), ("M1", "Medicine One")]),
        ("listed", [("ICU", "Intensive care"), ("SUR", "Theatre")]),
        ("without", [("SUR", "Surgery"), ("ICU", "Intensive care")]),
        ("both", [("SUR", "Surgery"), ("ICU", "Intensive care")]),
        ("gender", [("female", "Female"), ("male", "Male"), ("other", "Other"), ("unknown", "Unknown")]),
    ],
)
async def test_a_stored_value_set_is_listed_with_its_displays(
    client: httpx2.AsyncClient, name: str, expected: list[tuple[str, str]]
) -> None:
    assert await codes(client, f"/$expand?url=http://sets.example/{name}") == expected
    assert await codes(client, f"/{name}/$expand") == expected


async def test_codes_of_r4_are_found_by_the_words_that_it_publishes(client: httpx2.AsyncClient) -> None:
    languages = await codes(client, "/$expand?url=http://hl7.org/fhir/ValueSet/languages&filter=German (Sw")
    assert languages == [("de-CH", "German (Switzerland)")]


async def test_words_and_pages_leave_a_part_and_say_how_much_there_is(client: httpx2.AsyncClient) -> None:
    assert await codes(client, "/all/$expand?filter=MEDI one") == [("M1", "Medicine One")]
    assert await codes(client, "/all/$expand?filter=nowhere") == []
    page = (await client.get("/fhir/ValueSet/all/$expand?count=2&offset=1")).json()["expansion"]
    none = (await client.get("/fhir/ValueSet/all/$expand?count=0")).json()["expansion"]
    given = {"resourceType": "Parameters", "parameter": [{"name": "filter", "valueString": "icu"}]}
    posted = await client.post("/fhir/ValueSet/all/$expand", json=given)
    assert ([one["code"] for one in page["contains"]], page["total"], page["offset"]) == (["M1", "SUR"], 4, 1)
    assert {one["name"] for one in page["parameter"]} == {"count", "offset"}
    assert (none["total"], none.get("contains")) == (4, None)
    assert posted.json()["expansion"]["total"] == 1


async def test_a_value_set_of_r4_is_listed_and_others_are_refused_with_what_is_missing(
    client: httpx2.AsyncClient,
) -> None:
    found = await codes(client, "/$expand?url=http://hl7.org/fhir/ValueSet/administrative-gender|4.0.1")
    assert found == [("female", "Female"), ("male", "Male"), ("other", "Other"), ("unknown", "Unknown")]
    assert await codes(client, "/$expand?url=http://terminology.hl7.org/ValueSet/v3-ActEncounterCode&filter=emer") == [
        ("EMER", "emergency")
    ]
    report = (await client.get("/fhir/ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/report-codes")).json()
    assert "http://loinc.org" in report["issue"][0]["details"]["text"]
    assert "hilum load fhir" in report["issue"][0]["details"]["text"]
    for asked, status, code in (
        ("?url=http://sets.example/loinc", 422, "value-set-open"),
        ("?url=http://sets.example/round", 422, "value-set-open"),
        ("?url=http://sets.example/nothing", 404, "value-set-unknown"),
        ("", 400, "parameter-missing"),
        ("?url=x&count=-1", 400, "parameter-invalid"),
    ):
        answer = await client.get(f"/fhir/ValueSet/$expand{asked}")
        assert (answer.status_code, code_of(answer)) == (status, code), asked
    assert "http://loinc.org" in (await client.get("/fhir/ValueSet/loinc/$expand")).text
    assert (await client.get("/fhir/ValueSet/never/$expand")).status_code == 404
    strict = {"Prefer": "handling=strict"}
    told = await client.get("/fhir/ValueSet/all/$expand?activeOnly=true", headers=strict)
    assert code_of(told) == "parameter-unsupported"
