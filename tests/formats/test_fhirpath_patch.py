"""FHIRPath Patch: each kind of operation, what it leaves alone, and what it refuses."""

from __future__ import annotations

import copy
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.errors import FormatError
from hilum.formats.fhir_patch import apply_fhirpath_patch

PERSON: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "a",
    "birthDate": "1970-03-01",
    "_birthDate": {"extension": [{"url": "http://e.example/t", "valueDateTime": "1970-03-01T08:00:00Z"}]},
    "name": [
        {"use": "official", "family": "Adler", "given": ["Ada", "Bea"], "_given": [None, {"id": "g1"}]},
        {"use": "nickname", "given": ["Addie"]},
    ],
    "identifier": [{"value": "1"}, {"value": "2"}, {"value": "3"}],
    "deceasedBoolean": False,
    "contact": [{"name": {"family": "Berger"}, "gender": "male"}],
    "contained": [{"resourceType": "Organization", "id": "o", "name": "Ward"}],
}


def part(name: str, **value: Any) -> dict[str, Any]:
    return {"name": name, **value}


def operation(kind: str, path: str, *parts: dict[str, Any]) -> dict[str, Any]:
    return {"name": "operation", "part": [part("type", valueCode=kind), part("path", valueString=path), *parts]}


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": list(operations)}


def patched(*operations: dict[str, Any]) -> dict[str, Any]:
    before = copy.deepcopy(PERSON)
    after = apply_fhirpath_patch(PERSON, patch(*operations))
    assert before == PERSON, "the resource that is given stays as it was"
    return after


def value(**given: Any) -> dict[str, Any]:
    return part("value", **given)


def named(name: str) -> dict[str, Any]:
    return part("name", valueString=name)


def number(name: str, given: int) -> dict[str, Any]:
    return part(name, valueInteger=given)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ((operation("add", "Patient", named("gender"), value(valueCode="female")),), {"gender": "female"}),
        (
            (operation("add", "Patient", named("telecom"), value(valueContactPoint={"value": "+1"})),),
            {"telecom": [{"value": "+1"}]},
        ),
        (
            (operation("add", "Patient", named("multipleBirth"), value(valueInteger=2)),),
            {"multipleBirthInteger": 2},
        ),
        (
            (
                operation(
                    "add",
                    "Patient",
                    named("contact"),
                    value(
                        part=[
                            part("name", valueHumanName={"family": "Carus"}),
                            part("relationship", valueCodeableConcept={"text": "friend"}),
                            part("relationship", valueCodeableConcept={"text": "neighbour"}),
                        ]
                    ),
                ),
            ),
            {
                "contact": [
                    PERSON["contact"][0],
                    {"name": {"family": "Carus"}, "relationship": [{"text": "friend"}, {"text": "neighbour"}]},
                ]
            },
        ),
        (
            (operation("add", "Patient.name.where(use = 'official')", named("given"), value(valueString="Cleo")),),
            {
                "name": [
                    {**PERSON["name"][0], "given": ["Ada", "Bea", "Cleo"], "_given": [None, {"id": "g1"}, None]},
                    PERSON["name"][1],
                ]
            },
        ),
        (
            (
                operation(
                    "add",
                    "Patient.name[1].given[0]",
                    named("extension"),
                    value(valueExtension={"url": "http://e.example/x", "valueString": "y"}),
                ),
            ),
            {
                "name": [
                    PERSON["name"][0],
                    {
                        "use": "nickname",
                        "given": ["Addie"],
                        "_given": [{"extension": [{"url": "http://e.example/x", "valueString": "y"}]}],
                    },
                ]
            },
        ),
        (
            (operation("insert", "Patient.identifier", number("index", 1), value(valueIdentifier={"value": "x"})),),
            {"identifier": [{"value": "1"}, {"value": "x"}, {"value": "2"}, {"value": "3"}]},
        ),
        (
            (operation("insert", "Patient.name[0].given", number("index", 0), value(valueString="Zoe")),),
            {
                "name": [
                    {**PERSON["name"][0], "given": ["Zoe", "Ada", "Bea"], "_given": [None, None, {"id": "g1"}]},
                    PERSON["name"][1],
                ]
            },
        ),
        ((operation("delete", "Patient.birthDate"),), {"birthDate": None, "_birthDate": None}),
        (
            (operation("delete", "Patient.birthDate.extension('http://e.example/t')"),),
            {"_birthDate": None},
        ),
        (
            (
                operation("replace", "Patient.name[0].given[1].id", value(valueString="g2")),
                operation("add", "Patient.birthDate", named("id"), value(valueString="b1")),
                operation("replace", "Patient.birthDate.id", value(valueString="b2")),
            ),
            {
                "name": [{**PERSON["name"][0], "_given": [None, {"id": "g2"}]}, PERSON["name"][1]],
                "_birthDate": {**PERSON["_birthDate"], "id": "b2"},
            },
        ),
        (
            (
                operation("delete", "Patient.name[0].given[1].id"),
                operation("delete", "Patient.name[1].given.id"),
                operation("delete", "Patient.name[1].id"),
            ),
            {"name": [{k: v for k, v in PERSON["name"][0].items() if k != "_given"}, PERSON["name"][1]]},
        ),
        ((operation("delete", "Patient.gender"),), {}),
        ((operation("delete", "Patient.contact[0]"),), {"contact": None}),
        (
            (operation("delete", "Patient.name.given[1]"),),
            {"name": [{"use": "official", "family": "Adler", "given": ["Ada"]}, PERSON["name"][1]]},
        ),
        (
            (operation("replace", "Patient.birthDate", value(valueDate="1971")),),
            {"birthDate": "1971", "_birthDate": None},
        ),
        (
            (operation("replace", "Patient.deceased", value(valueDateTime="2026-01-01")),),
            {"deceasedBoolean": None, "deceasedDateTime": "2026-01-01"},
        ),
        (
            (operation("replace", "Patient.contained.where(id = 'o').name", value(valueString="Yard")),),
            {"contained": [{"resourceType": "Organization", "id": "o", "name": "Yard"}]},
        ),
        (
            (operation("replace", "Patient.identifier.where(value = '2')", value(valueIdentifier={"value": "9"})),),
            {"identifier": [{"value": "1"}, {"value": "9"}, {"value": "3"}]},
        ),
        (
            (operation("move", "Patient.identifier", number("source", 0), number("destination", 2)),),
            {"identifier": [{"value": "2"}, {"value": "3"}, {"value": "1"}]},
        ),
        (
            (operation("move", "Patient.name[0].given", number("source", 1), number("destination", 0)),),
            {
                "name": [
                    {**PERSON["name"][0], "given": ["Bea", "Ada"], "_given": [{"id": "g1"}, None]},
                    PERSON["name"][1],
                ]
            },
        ),
        (
            (operation("delete", "Patient.contact.gender"), operation("delete", "Patient.contact[0].name.family")),
            {"contact": None},
        ),
        (
            (
                operation("delete", "Patient.name[1].use"),
                operation("delete", "Patient.name[1].given[0]"),
            ),
            {"name": [PERSON["name"][0]]},
        ),
        (
            (
                operation("delete", "Patient.contact.gender"),
                operation("add", "Patient.contact[0]", named("gender"), value(valueCode="other")),
            ),
            {"contact": [{"name": {"family": "Berger"}, "gender": "other"}]},
        ),
    ],
)
def test_an_operation_changes_what_it_names_and_nothing_else(
    steps: tuple[dict[str, Any], ...], expected: dict[str, Any]
) -> None:
    after = patched(*steps)
    assert after == {name: found for name, found in {**PERSON, **expected}.items() if found is not None}


@pytest.mark.parametrize(
    ("given_", "code"),
    [
        (operation("delete", "Patient.identifier"), "patch-path-ambiguous"),
        (operation("replace", "Patient.gender", value(valueCode="male")), "patch-path-missing"),
        (operation("add", "Patient", named("shoe"), value(valueString="x")), "patch-path-missing"),
        (operation("add", "Patient", named("birthDate"), value(valueDate="1971")), "patch-element-there"),
        (operation("add", "Patient", named("gender")), "patch-invalid"),
        (operation("add", "Patient", named("gender"), part("value")), "patch-invalid"),
        (
            operation("insert", "Patient.identifier", number("index", 9), value(valueIdentifier={})),
            "patch-path-missing",
        ),
        (operation("insert", "Patient.birthDate", number("index", 0), value(valueDate="1971")), "patch-invalid"),
        (operation("insert", "Patient.name.given", number("index", 0), value(valueString="x")), "patch-invalid"),
        (operation("insert", "Patient.identifier", number("index", -1), value(valueIdentifier={})), "patch-invalid"),
        (operation("move", "Patient.identifier", number("source", 0), number("destination", 3)), "patch-path-missing"),
        (operation("delete", "Patient"), "patch-invalid"),
        (operation("replace", "Patient", value(valueString="x")), "patch-invalid"),
        (operation("jump", "Patient"), "patch-invalid"),
        (operation("delete", ""), "patch-invalid"),
        (operation("delete", "Patient.name["), "patch-invalid"),
        (operation("delete", "Patient.name.given.count()"), "patch-invalid"),
        (operation("delete", "Patient.descendants()"), "patch-invalid"),
        (operation("delete", "Patient" + ".name" * 400), "patch-invalid"),
        ({"name": "operation"}, "patch-invalid"),
        ({"name": "other", "part": []}, "patch-invalid"),
        (7, "patch-invalid"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_place(given_: Any, code: str) -> None:
    good = operation("delete", "Patient.gender")
    with pytest.raises(FormatError) as refused:
        apply_fhirpath_patch(PERSON, patch(good, given_))
    assert (refused.value.code, refused.value.location) == (code, "/1")


@pytest.mark.parametrize(
    "body", [None, [], {}, {"parameter": 7}, patch(*[operation("delete", "Patient.gender")] * 1001)]
)
def test_what_is_no_such_patch_is_refused(body: Any) -> None:
    with pytest.raises(FormatError) as refused:
        apply_fhirpath_patch(PERSON, body)
    assert refused.value.code == "patch-invalid"


def test_work_is_limited() -> None:
    large = {"resourceType": "Patient", "identifier": [{"value": str(n)} for n in range(2_000)]}
    with pytest.raises(FormatError) as refused:
        apply_fhirpath_patch(large, patch(*[operation("delete", "Patient.gender")] * 1_000))
    assert refused.value.code == "patch-invalid"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
parts = st.fixed_dictionaries(
    {"name": st.sampled_from(("type", "path", "name", "value", "index", "source", "destination")) | anything},
    optional={
        "valueString": st.sampled_from(
            ("Patient.name", "Patient.name[0].given", "Patient.birthDate.extension", "given")
        )
        | anything,
        "valueCode": st.sampled_from(("add", "insert", "delete", "replace", "move")) | anything,
        "valueInteger": st.integers(-1, 3),
        "part": anything,
    },
)


@settings(max_examples=150)
@given(st.lists(st.fixed_dictionaries({"name": st.just("operation"), "part": st.lists(parts, max_size=5)}), max_size=3))
def test_any_patch_is_applied_or_refused(operations: list[Any]) -> None:
    before = copy.deepcopy(PERSON)
    with suppress(FormatError):
        apply_fhirpath_patch(PERSON, patch(*operations))
    assert before == PERSON
