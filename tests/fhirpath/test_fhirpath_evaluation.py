"""What expressions give on resources."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hilum import definitions
from hilum.errors import FormatError
from hilum.fhirpath import Element, FhirPathError, Temporal, compile_expression, decode

PATIENT: dict[str, Any] = decode(b"""{
  "resourceType": "Patient", "id": "p1", "active": true, "gender": "female", "birthDate": "1974-12-25",
  "_birthDate": {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime",
                                "valueDateTime": "1974-12-25T14:35:45-05:00"}]},
  "contained": [{"resourceType": "Organization", "id": "o1", "name": "Inner"}],
  "managingOrganization": {"reference": "#o1"},
  "generalPractitioner": [{"reference": "Practitioner/7"}, {"reference": "Organization/8"}],
  "name": [{"use": "official", "family": "Testcase", "given": ["Una", null], "_given": [null, {"id": "g2"}]},
           {"use": "usual", "given": ["Uni"]}],
  "multipleBirthInteger": 2,
  "extension": [{"url": "urn:weight",
                 "valueQuantity": {"value": 3.10, "system": "http://unitsofmeasure.org", "code": "kg"}}]
}""")


def result(text: str, resource: Any = PATIENT, **given: Any) -> list[Any]:
    return compile_expression(text)(resource, **given)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("name.where(use = 'official').family", ["Testcase"]),
        ("name.where(use != 'official').given", ["Uni"]),
        ("Patient.name[1].given", ["Uni"]),
        ("Encounter.status", []),
        ("multipleBirth", [2]),
        ("multipleBirth is integer", [True]),
        ("multipleBirth.ofType(boolean)", []),
        ("multipleBirth > 1 and active", [True]),
        ("birthDate < @1975", [True]),
        ("birthDate.extension(%`ext-patient-birthTime`).value", ["1974-12-25T14:35:45-05:00"]),
        ("birthDate.extension.value.ofType(dateTime) < @1974-12-27", [True]),
        ("extension('urn:weight').value.ofType(Quantity) = 3100 'g'", [True]),
        ("extension('urn:weight').value.ofType(Quantity).value", [Decimal("3.10")]),
        ("name.given.count()", [3]),
        ("name.given.where(hasValue()).count()", [2]),
        ("managingOrganization.resolve().name", ["Inner"]),
        ("generalPractitioner.where(resolve() is Practitioner).reference", ["Practitioner/7"]),
        ("contained.ofType(Organization).name", ["Inner"]),
        ("descendants().ofType(HumanName).count()", [2]),
        ("descendants().where($this is dateTime)", ["1974-12-25T14:35:45-05:00"]),
        ("%resource.id & '/' & %context.gender", ["p1/female"]),
        ("name.select(given.first() | family)", ["Una", "Testcase", "Uni"]),
        ("name.given.aggregate($total & $this.toString(), '')", ["UnaUni"]),
        ("name.select($index)", [0, 1]),
        ("(1 | 2 | 3).where($index > 0)", [2, 3]),
        ("iif(active, 'yes', 1 / 0)", ["yes"]),
        ("iif(gender.exists(), name.first(), {}).family", ["Testcase"]),
        ("'a,b'.split(',').join('|')", ["a|b"]),
        ("'2026-03-01'.toDate() + 1 month", None),
        ("gender in ('male' | 'female')", [True]),
        ("name.first().defineVariable('n', family).select(%n)", ["Testcase"]),
        ("{} or true", [True]),
        ("(name.family = 'x') implies false", [True]),
        ("name.nothing.exists()", [False]),
        ("'100 mg'.replaceMatches('([0-9]+) (mg)', '$2:$1')", ["mg:100"]),
        ("0.1 + 0.2 = 0.3", [True]),
        ("10.00.toString()", ["10.00"]),
        ("2.power(100)", []),
        ("10 div 0 | 1 / 0 | 5 mod 0", []),
    ],
)
def test_an_expression_gives_what_the_specification_says(text: str, wanted: list[Any] | None) -> None:
    found = result(text)
    if wanted is None:
        assert [one.text for one in found if isinstance(one, Temporal)] == ["2026-04-01"]
    else:
        assert found == wanted


def test_items_know_their_type_when_they_are_asked() -> None:
    typed = compile_expression("gender | multipleBirth | id").typed(PATIENT)
    assert [item.type for item in typed if isinstance(item, Element)] == ["code", "integer", "id"]


def test_decimals_keep_their_text() -> None:
    (value,) = result("value.value", decode('{"resourceType": "Observation", "valueQuantity": {"value": 1.50}}'))
    assert str(value) == "1.50"


def test_floats_of_other_decoders_become_decimals() -> None:
    assert result("value.value + 0.2", {"resourceType": "Observation", "valueQuantity": {"value": 0.1}}) == [
        Decimal("0.3")
    ]


def test_what_is_no_json_is_a_coded_error() -> None:
    with pytest.raises(FormatError) as raised:
        decode("[" * 100_000)
    assert raised.value.code == "fhir-json-invalid"


def test_the_callers_resolver_terminology_and_profiles_are_asked() -> None:
    practitioner = {"resourceType": "Practitioner", "id": "7", "gender": "male"}
    known = {"Practitioner/7": practitioner}
    assert result("generalPractitioner.resolve().gender", resolve=known.get) == ["male"]
    asked = []

    def member_of(code: Any, url: str) -> bool:
        asked.append((code, url))
        return True

    assert compile_expression("gender.memberOf('urn:vs')").boolean(PATIENT, member_of=member_of) is True
    assert asked == [("female", "urn:vs")]
    assert result("conformsTo('urn:profile')", conforms_to=lambda _resource, url: url == "urn:profile") == [True]
    with pytest.raises(FhirPathError, match="fhirpath-no-terminology"):
        result("gender.memberOf('urn:vs')")


def test_variables_of_the_caller_are_used() -> None:
    assert result("name.where(use = %wanted).given", env={"wanted": "usual"}) == ["Uni"]
    with pytest.raises(FhirPathError, match="fhirpath-unknown-variable"):
        result("%wanted")


def test_an_invariant_is_true_false_or_unknown() -> None:
    rule = compile_expression("family.exists() or given.exists()", type="HumanName")
    assert rule.boolean({"family": "Testcase"}) is True
    assert rule.boolean({"use": "usual"}) is False
    assert compile_expression("period.start <= period.end", type="HumanName").boolean({}) is None


def test_an_inner_part_of_a_resource_has_a_type_of_its_own() -> None:
    rule = compile_expression("name.exists() or telecom.exists()", type="Patient.contact")
    assert rule.boolean({"name": {"text": "Next"}}) is True


def test_a_part_of_a_resource_sees_the_resource_that_holds_it() -> None:
    rule = compile_expression("%resource.gender = 'female' and use = 'usual'", type="HumanName")
    assert rule.boolean(PATIENT["name"][1], root=PATIENT) is True
    inner = compile_expression("%resource.id & '<' & %rootResource.id", type="Organization")
    assert inner(PATIENT["contained"][0], root=PATIENT) == ["o1<p1"]


def test_every_invariant_and_search_parameter_of_r4_compiles() -> None:
    """But for those that R4 itself gets wrong or that need an XHTML reader."""
    wrong = {"cid-0", "ras-1", "txt-1", "txt-2"}
    count, refused = 0, set()
    for type_ in definitions.types("resource"):
        for path, constraint in definitions.constraints(type_):
            if path.count(".") or not constraint.expression:
                continue
            element = definitions.element(type_, path)
            assert element is not None
            code = element.types[0].code if path and element.types else ""
            inner = f"{type_}.{path}" if code in ("BackboneElement", "Element") else code or type_
            count += 1
            try:
                compile_expression(constraint.expression, type=inner)
            except FhirPathError:
                refused.add(constraint.key)
        for parameter in definitions.search_parameters(type_):
            if parameter.expression:
                count += 1
                compile_expression(parameter.expression, type=type_)
    assert count > 3000
    assert refused <= wrong


def test_the_trace_is_shown_to_the_caller() -> None:
    seen: list[tuple[str, list[Any]]] = []
    result("name.given.trace('given').count()", trace=lambda name, items: seen.append((name, items)))
    assert [name for name, _ in seen] == ["given"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("name.family.first() + 1", "fhirpath-type"),
        ("(1 | 2).single()", "fhirpath-not-single"),
        ("name.given < 'a'", "fhirpath-not-single"),
        ("'a' < 1", "fhirpath-type"),
        ("1.repeat($this + 1)", "fhirpath-too-much"),
        ("'x'.repeatAll($this & $this)", "fhirpath-too-much"),
        ("'aaaa'.replaceMatches('(a+)+$', 'b')", "fhirpath-regex"),
        ("'" + "a" * 500 + "'.replaceMatches('a*a*b', '')", "fhirpath-regex"),
        ("'a'.matches('(?=a)')", "fhirpath-regex"),
        ("'\\ud800'", "fhirpath-syntax"),
        ("conformsTo('urn:nowhere')", "fhirpath-unknown-profile"),
    ],
)
def test_what_cannot_be_evaluated_is_a_coded_error(text: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hilum.fhirpath.frame.MOST_WORK", 10_000)
    with pytest.raises(FhirPathError) as raised:
        result(text)
    assert raised.value.code == code
    assert raised.value.expression == text


def test_a_resource_that_nests_without_end_is_no_crash() -> None:
    item: dict[str, Any] = {"linkId": "end"}
    for _ in range(5000):
        item = {"item": [item]}
    deep = {"resourceType": "Questionnaire", "item": [item]}
    assert result("descendants().count()", deep) == [5002]
    with pytest.raises(FhirPathError) as raised:
        result("item.distinct()", deep | {"item": [item, item]})
    assert raised.value.code == "fhirpath-too-deep"


def test_a_regular_expression_cannot_hang() -> None:
    assert result("'" + "a" * 50_000 + "!'.matches('^(a|a|aa)*$')") == [False]


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "Patient", "name": "no list", "birthDate": {"no": "text"}, "active": [True]},
        {"resourceType": "Patient", "name": [None, 1, ["x"], {"given": "Una", "_given": [[1]]}], "_birthDate": 7},
        {"resourceType": 5},
        {"resourceType": "Nothing", "name": [{"given": ["x"]}]},
        [],
        None,
        "text",
    ],
)
def test_a_resource_of_the_wrong_shape_raises_nothing_but_coded_errors(resource: Any) -> None:
    codes: list[str] = []
    for text in (
        "name.given",
        "birthDate < today()",
        "descendants().count()",
        "name.where(use = 'x').exists()",
        "type().name",
    ):
        try:
            compile_expression(text)(resource)
        except FhirPathError as error:
            codes.append(error.code)
    assert all(code.startswith("fhirpath-") for code in codes)
