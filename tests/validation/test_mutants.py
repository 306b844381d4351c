"""Good resources pass, and each single fault put into one of them is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from good_resources import GOOD, good

from hilum.model import Severity
from hilum.validation import Validator

Json = dict[str, Any]
VALIDATOR = Validator()


def put(name: str, *path: str | int, value: Any) -> Callable[[], Json]:
    def mutant() -> Json:
        resource: Any = good(name)
        here = resource
        for step in path[:-1]:
            here = here[step]
        here[path[-1]] = value
        return resource  # type: ignore[no-any-return]

    return mutant


def drop(name: str, *path: str | int) -> Callable[[], Json]:
    def mutant() -> Json:
        resource: Any = good(name)
        here = resource
        for step in path[:-1]:
            here = here[step]
        del here[path[-1]]
        return resource  # type: ignore[no-any-return]

    return mutant


URL = "urn:uuid:0a8d6b0e-2f4e-4c11-9f3a-000000000001"
MUTANTS: dict[str, tuple[Callable[[], Json], str, str]] = {
    "a number as text": (put("Observation", "valueQuantity", "value", value="5.4"), "type-wrong", "value"),
    "a boolean as text": (put("Patient", "active", value="true"), "type-wrong", "active"),
    "a list where one belongs": (put("Patient", "gender", value=["female"]), "list-unexpected", "gender"),
    "one where a list belongs": (put("Patient", "name", value={"family": "x"}), "list-expected", "name"),
    "an empty list": (put("Patient", "name", value=[]), "list-length", "name"),
    "an empty object": (put("Patient", "maritalStatus", value={}), "element-empty", "maritalStatus"),
    "null for an element": (put("Patient", "birthDate", value=None), "type-wrong", "birthDate"),
    "null in a list with nothing beside it": (drop("Patient", "name", 0, "_given"), "null-in-list", "given"),
    "an empty text": (put("Patient", "name", 0, "family", value=""), "value-malformed", "family"),
    "a required primitive missing": (drop("Observation", "status"), "element-missing", "Observation"),
    "a required element missing": (drop("Observation", "code"), "element-missing", "Observation"),
    "a required element missing deep inside": (
        drop("Questionnaire", "item", 0, "item", 0, "linkId"),
        "element-missing",
        "item[0].item[0]",
    ),
    "an unknown element": (put("Patient", "birthdate", value="1984"), "element-unknown", "birthdate"),
    "an element of another type": (put("Observation", "birthDate", value="1984"), "element-unknown", "birthDate"),
    "a code outside of its required value set": (
        put("Patient", "gender", value="F"),
        "code-not-in-value-set",
        "gender",
    ),
    "a concept outside of its required value set": (
        put("Condition", "clinicalStatus", "coding", 0, "code", value="open"),
        "code-not-in-value-set",
        "clinicalStatus",
    ),
    "a code that its system does not have": (
        put("Patient", "maritalStatus", "coding", 0, "code", value="QQ"),
        "code-not-in-system",
        "code",
    ),
    "a day that is not in the calendar": (put("Patient", "birthDate", value="2023-02-29"), "value-malformed", "birth"),
    "a month that is none": (put("Condition", "onsetDateTime", value="2024-13"), "value-malformed", "onset"),
    "a time without a zone": (
        put("Observation", "effectiveDateTime", value="2026-11-01T10:30:00"),
        "value-malformed",
        "effective",
    ),
    "an instant that is a date": (put("Observation", "issued", value="2026-11-01"), "value-malformed", "issued"),
    "two types of one choice": (put("Observation", "valueString", value="high"), "choice-many", "Observation"),
    "two values in an extension": (
        put("Patient", "extension", 0, "valueCode", value="x"),
        "choice-many",
        "extension[0]",
    ),
    "a period that ends before it starts": (
        put("Encounter", "period", "end", value="2026-01-05T07:59:00Z"),
        "period-reversed",
        "period",
    ),
    "a reference to nothing contained": (
        put("Patient", "managingOrganization", "reference", value="#gone"),
        "reference-dangling",
        "managingOrganization",
    ),
    "a reference to a wrong type": (
        put("Observation", "subject", "reference", value="Practitioner/1"),
        "reference-wrong-type",
        "subject",
    ),
    "a reference inside the bundle to a wrong type": (
        put("Bundle", "entry", 0, "resource", value={"resourceType": "Organization", "name": "x"}),
        "reference-wrong-type",
        "entry[1]",
    ),
    "a reference to no entry of the bundle": (
        put("Bundle", "entry", 1, "resource", "subject", "reference", value=URL[:-1] + "9"),
        "reference-dangling",
        "entry[1]",
    ),
    "a contained reference to a wrong type": (
        put("Patient", "contained", 0, value={"resourceType": "Location", "id": "clinic"}),
        "reference-wrong-type",
        "managingOrganization",
    ),
    "something contained that nothing points at": (drop("Patient", "managingOrganization"), "contained-not", "contain"),
    "a code system that is no absolute URI": (
        put("Observation", "code", "coding", 0, "system", value="loinc"),
        "system-relative",
        "system",
    ),
    "the same fullUrl twice": (put("Bundle", "entry", 1, "fullUrl", value=URL), "full-url-duplicate", "entry[1]"),
    "a relative fullUrl": (put("Bundle", "entry", 0, "fullUrl", value="Patient/1"), "full-url-relative", "entry[0]"),
    "a transaction entry without a request": (drop("Bundle", "entry", 0, "request"), "bundle-rule", "Bundle"),
    "a total where there is none": (put("Bundle", "total", value=2), "bundle-rule", "Bundle"),
    "an invariant of the resource": (
        put("Observation", "dataAbsentReason", value={"text": "not asked"}),
        "invariant-failed",
        "Observation",
    ),
    "an invariant of an element": (put("Patient", "contact", 0, value={"gender": "male"}), "invariant-failed", "conta"),
    "an invariant of a datatype": (drop("Patient", "telecom", 0, "system"), "invariant-failed", "telecom[0]"),
    "an invariant that only FHIRPath says": (
        put("Questionnaire", "item", 0, "item", 0, "linkId", value="1"),
        "invariant-failed",
        "Questionnaire",
    ),
    "a modifier extension that nobody knows": (
        put("Patient", "modifierExtension", value=[{"url": "http://example.org/not", "valueBoolean": True}]),
        "modifier-unknown",
        "modifierExtension",
    ),
    "an extension with a value of another type than defined": (
        put("Patient", "extension", 0, value={**good("Patient")["extension"][0], "valueString": ""}),
        "value-malformed",
        "extension[0]",
    ),
    "a known extension with another type": (
        put("Patient", "extension", 0, value={"url": good("Patient")["extension"][0]["url"], "valueInteger": 1}),
        "extension-invalid",
        "extension[0]",
    ),
    "a script in the narrative": (
        put("Patient", "text", "div", value='<div xmlns="http://www.w3.org/1999/xhtml"><script>x</script></div>'),
        "narrative-unsafe",
        "div",
    ),
    "a handler in the narrative": (
        put("Patient", "text", "div", value='<div xmlns="http://www.w3.org/1999/xhtml"><p onclick="x">a</p></div>'),
        "narrative-unsafe",
        "div",
    ),
    "a reference whose type says something else": (
        put("Observation", "subject", value={"reference": "Patient/p1", "type": "Group"}),
        "reference-wrong-type",
        "subject.type",
    ),
    "a urn:uuid: without a UUID": (
        put("Bundle", "entry", 0, "fullUrl", value="urn:uuid:1"),
        "value-malformed",
        "fullUrl",
    ),
    "a negative rank": (put("Patient", "telecom", 0, "rank", value=0), "number-out-of-range", "rank"),
    "an id with blanks": (put("Patient", "id", value="p 1"), "value-malformed", "id"),
    "a resource type that is none": (put("Patient", "resourceType", value="Person2"), "resource-type-unknown", ""),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_resource_passes(name: str) -> None:
    report = VALIDATOR.report(json.dumps(good(name)).encode())
    assert report.is_valid, report.findings
    assert report.resources >= 1
    assert not [one for one in report.unchecked if one.startswith("invariant")]


@pytest.mark.parametrize("fault", MUTANTS)
def test_a_single_fault_is_found_where_it_is(fault: str) -> None:
    mutant, code, where = MUTANTS[fault]
    findings = VALIDATOR.validate(mutant())
    errors = [one for one in findings if one.severity is Severity.ERROR]
    assert any(one.code.startswith(code) and where in one.location for one in errors), findings


def test_there_are_mutants_of_every_kind() -> None:
    assert len(MUTANTS) >= 29


@pytest.mark.parametrize("fault", MUTANTS)
def test_no_finding_repeats_a_value(fault: str) -> None:
    findings = VALIDATOR.validate(MUTANTS[fault][0]())
    said = " ".join(f"{one.message} {one.hint}" for one in findings)
    assert "Probe" not in said
    assert "555-0100" not in said
    assert "2023-02-29" not in said
