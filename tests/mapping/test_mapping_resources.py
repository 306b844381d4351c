"""FHIR resources through the workbook: paths, copies, and one fate for every element."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum import mapping
from hilum.errors import ConfigError
from hilum.fhirpath import decode
from hilum.formats import records
from hilum.mapping.resource_tree import ResourceTree, text_of

HEAD = "row_id,applies,anchor,source,type,when,target,transform,map,missing,unmapped,repeats,owner"
CONTEXT = mapping.Context("portal", "PORTAL|", 1_700_000_000_000_000)
PARAMS = "param,value\nzone,Europe/Berlin\n"
MAPS = "map,code,target\nSex,m,male\n"
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p1",
    "active": True,
    "identifier": [{"system": "urn:mrn", "value": "77"}, {"system": "urn:other", "value": "8"}],
    "name": [
        {"use": "official", "family": "Li", "given": ["Ann", "Q"]},
        {"use": "maiden", "family": "Wong"},
    ],
    "gender": "m",
    "birthDate": "1979-02-03",
    "_birthDate": {"extension": [{"url": "http://x.example/time", "valueDateTime": "1979-02-03T10:00:00Z"}]},
    "extension": [{"url": "http://x.example/race", "extension": [{"url": "omb", "valueCoding": {"code": "r1"}}]}],
    "telecom": [{"system": "phone", "value": "+49 30 1"}, {"system": "email", "value": "a@x.example"}],
}


def row(name: str, source: str, target: str, transform: str = "copy", **cells: str) -> str:
    values = {"row_id": name, "applies": "fhir:Patient", "anchor": "Patient", "source": source, "target": target}
    values |= {"transform": transform, "owner": "ann", **cells}
    return ",".join('"' + values.get(column, "").replace('"', '""') + '"' for column in HEAD.split(","))


KEY = row("key", "identifier.where(system = 'urn:mrn').value", "Patient.id", 'key(system="urn:mrn")', missing="reject")


def book(*rows: str, ignores: str = "") -> mapping.Workbook:
    files = [("rows.csv", "\n".join([HEAD, *rows])), ("params.csv", PARAMS), ("maps.csv", MAPS)]
    if ignores:
        files.append(("ignores.csv", "field,applies,reason\n" + ignores))
    return mapping.read_workbook(files)


def plan(*rows: str, ignores: str = "") -> mapping.Plan:
    return mapping.compile_workbook(book(KEY, *rows, ignores=ignores))


def record(resource: dict[str, Any], *, deletes: bool = False, resolve: Any = None) -> records.ResourceRecord:
    return records.ResourceRecord(f"fhir:{resource['resourceType']}", decode(json.dumps(resource)), deletes, resolve)


def run(compiled: mapping.Plan, resource: dict[str, Any] = PATIENT, *, deletes: bool = False) -> mapping.Mapped:
    mapped = compiled.run(record(resource, deletes=deletes), CONTEXT)
    assert mapped.accounting.adds_up
    assert mapping.render(mapped) == mapping.render(compiled.run(record(resource, deletes=deletes), CONTEXT))
    return mapped


def made(mapped: mapping.Mapped) -> dict[str, Any]:
    assert mapped.held is None
    (body,) = mapping.render(mapped)
    found: dict[str, Any] = msgspec.json.decode(body)
    return {name: value for name, value in found.items() if name not in ("resourceType", "id")}


def said(mapped: mapping.Mapped) -> set[str]:
    return {f"{one.location} {one.code}" for one in mapped.exceptions}


def findings(*rows: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        plan(*rows)
    return [f"{one.code} {one.message}" for one in error.value.findings]


def test_every_element_has_one_fate() -> None:
    compiled = plan(
        row("ids", "identifier", "Patient.identifier[+]"),
        row("name", "name.where(use = 'official').family", "Patient.name[official].family", "text"),
        row("given", "name.where(use = 'official').given", "Patient.name[official].given[+]", "text"),
        row("sex", "gender", "Patient.gender", "code", map="Sex"),
        row("born", "birthDate", "Patient.birthDate", "date"),
        row("phone", "telecom.where(system = 'phone')", "Patient.telecom[+]"),
        ignores="Patient[extension(http://x.example/race)],fhir:Patient,not ours\nPatient[id],fhir:Patient,theirs\n",
    )
    mapped = run(compiled)
    assert made(mapped) == {
        "identifier": PATIENT["identifier"],
        "name": [{"family": "Li", "given": ["Ann", "Q"]}],
        "gender": "male",
        "birthDate": "1979-02-03",
        "telecom": PATIENT["telecom"][:1],
    }
    assert said(mapped) == {
        "Patient[active] field-unmapped",
        "Patient[birthDate.extension(http://x.example/time).valueDateTime] field-unmapped",
        "Patient[name.family] field-unused",  # the maiden name
        "Patient[name.use] field-unused",
        "Patient[telecom.system] field-unused",
        "Patient[telecom.value] field-unused",
    }
    counts = mapped.accounting
    assert (counts.valued, counts.mapped, counts.ignored, counts.exceptions) == (13, 5, 2, 6)


def test_copies_keep_numbers_extensions_and_types() -> None:
    rows = (
        row("observation", "id", "Observation.id", 'key(system="http://x.example/id")'),
        row("status", "status", "Observation.status"),
        row("code", "code", "Observation.code"),
        row("value", "value.ofType(Quantity)", "Observation.valueQuantity"),
        row("parts", "component", "Observation.component[+]"),
        row(
            "who", "subject.reference.replace('Patient/', '')", "Observation.subject", 'ref(Patient, system="urn:mrn")'
        ),
    )
    swaps = (("fhir:Patient", "fhir:Observation"), ('"Patient"', '"Observation"'))
    compiled = plan(*(one.replace(*swaps[0]).replace(*swaps[1]) for one in rows))
    raw = (
        '{"resourceType":"Observation","id":"o1","status":"final","code":{"text":"BP"},"subject":{"reference":'
        '"Patient/77"},"valueQuantity":{"value":1.50,"_unit":{"extension":[{"url":"u","valueBoolean":true}]}},'
        '"component":[{"code":{"text":"a"},"valueInteger":3}]}'
    )
    mapped = compiled.run(records.ResourceRecord("fhir:Observation", decode(raw)), CONTEXT)
    body = mapping.render(mapped)[0].decode()
    assert '"valueQuantity":{"value":1.50,"_unit":{"extension":[{"url":"u","valueBoolean":true}]}}' in body
    assert '"component":[{"code":{"text":"a"},"valueInteger":3}]' in body
    assert (mapped.accounting.exceptions, mapped.held) == (0, None)
    assert f'"subject":{{"reference":"Patient/{run(plan()).drafts[0].id}"}}' in body


def test_a_value_of_another_type_than_r4_says_is_not_written() -> None:
    compiled = plan(row("on", "active", "Patient.active"), row("name", "name", "Patient.name[+]"))
    mapped = run(compiled, {**PATIENT, "active": "yes", "name": "Li"})
    assert "active" not in made(mapped)
    assert {"Patient[active] element-invalid", "Patient[name] field-unmapped"} <= said(mapped)


@pytest.mark.parametrize(
    ("path", "good", "bad"),
    [
        ("birthDate", "1979-02", "03.02.1979"),
        ("gender", "other", "not  known"),
        ("implicitRules", "urn:x:1", "two words"),
        ("deceased.ofType(dateTime)", "2026-01-01T10:00:00+01:00", "2026-01-01T10:00:00"),
        ("multipleBirth.ofType(integer)", 2, 2.5),
    ],
)
def test_a_text_that_its_type_does_not_allow_is_not_written(path: str, good: object, bad: object) -> None:
    name = path.replace(".ofType(dateTime)", "DateTime").replace(".ofType(integer)", "Integer")
    compiled = plan(row("it", path, f"Patient.{name}"))
    assert made(run(compiled, {**PATIENT, name: good})) == {name: good}
    mapped = run(compiled, {**PATIENT, name: bad})
    assert made(mapped) == {}
    assert f"Patient[{path}] element-invalid" in said(mapped)


def test_conditions_and_policies_work_on_paths() -> None:
    compiled = plan(
        row("on", "active", "Patient.active", when='count(name) > 1 and gender = "m" and valued(name.family)'),
        row("married", "maritalStatus.coding.code", "Patient.maritalStatus", "CWE", missing="default:UNK"),
        row("who", "[iif(active, 'yes', 'no')]", "Patient.language", "text"),
    )
    assert made(run(compiled)) == {"active": True, "maritalStatus": {"coding": [{"code": "UNK"}]}, "language": "yes"}
    held = run(compiled, {**PATIENT, "identifier": []})
    assert held.held is not None
    assert (held.held.code, held.accounting.adds_up) == ("field-missing", True)


def test_what_a_snapshot_does_not_say_is_taken_away_when_asked_for() -> None:
    compiled = plan(row("born", "birthDate", "Patient.birthDate", "date"), row("sex", "gender", "Patient.gender"))
    bare = {"resourceType": "Patient", "identifier": PATIENT["identifier"], "gender": "male"}
    assert run(compiled, bare).drafts[0].cleared == ()
    assert run(compiled, bare, deletes=True).drafts[0].cleared == ("birthDate",)


def test_a_trace_names_path_row_and_map() -> None:
    compiled = plan(row("sex", "gender", "Patient.gender", "code", map="Sex"), row("n", "name", "Patient.name[+]"))
    traces = {one.path: (one.source, one.row, one.entry) for one in compiled.trace(record(PATIENT), CONTEXT)}
    assert traces["gender"] == ("Patient[gender]", "sex", "Sex m")
    assert traces["name[1].family"] == ("Patient[name][2]", "n", "")


def test_first_sights_name_elements() -> None:
    compiled = plan(row("sex", "gender", "Patient.gender", "code", map="Sex"))
    run(compiled)
    things = compiled.sightings(record(PATIENT), CONTEXT)
    assert {"field Patient[gender]", "field Patient[telecom.value]", "code Sex m"} <= set(things)
    assert compiled.sightings(record(PATIENT), CONTEXT) == ()


@pytest.mark.parametrize(
    ("made_of", "told"),
    [
        (row("x", "nam.family", "Patient.name[+]"), "R4 has no element `nam` in Patient; did you mean `name`?"),
        (row("x", "name", "Patient.language", "text"), "`name` is a HumanName: name a part of it, or write copy"),
        (row("x", "name.where(", "Patient.name[+]"), "source-invalid"),
        (row("x", "name.where(use == 'a')", "Patient.name[+]"), "source-invalid"),
        (row("x", "deceased", "Patient.active"), "say ofType(..)"),
        (row("x", "gender", "Patient.gender", 'text(split=";")'), "paths of FHIR say which part is meant"),
        (row("x", "gender", "Patient.gendr"), "target-unknown"),
        (row("x", "id", "Patient.gender", applies="fhir:Patient csv:Patient"), "applies-invalid"),
        (row("x", "PID-3", "Patient.gender", applies="", anchor="PID"), "`copy` is for elements of FHIR"),
        (
            row("x", "id", "Patient.gender", applies="fhir:Patiens", anchor="Patiens"),
            "R4 has no resource type `Patiens`",
        ),
    ],
)
def test_a_row_that_cannot_run_is_told_before_anything_comes(made_of: str, told: str) -> None:
    assert any(told in one for one in findings(made_of))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4) | st.just('""'),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["use", "family", "_family", "given", "extension", "url", "value"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)
WIDE = plan(
    row("n", "name", "Patient.name[+]"),
    row("f", "name.where(use = 'official').given.first()", "Patient.language", "text"),
    row("t", "telecom.value", "Patient.telecom[+].value", "text"),
    row("b", "birthDate", "Patient.birthDate", "date"),
)


def leaves(value: Any) -> int:
    """Values that are neither lists nor objects, as anybody would count them."""
    if isinstance(value, dict):
        return sum(leaves(inner) for key, inner in value.items() if key != "resourceType")
    if isinstance(value, list):
        return sum(map(leaves, value))
    return value is not None


def test_no_leaf_of_a_resource_is_forgotten() -> None:
    odd = {
        "resourceType": "Patient",
        "name": [{"family": "x", "_family": {"id": "1", "extension": [{"url": "u", "valueCode": "c"}]}}, "text"],
        "_name": [{"extension": [{"url": "u", "valueCode": "c"}]}, {"id": "2"}],
        "_birthDate": "no object",
        "photo": [[1, [2]], {"": "no name", "a b": "blank"}],
        "contained": [{"resourceType": "Organization", "id": "o"}],
        "x" * 99: True,
    }
    tree = ResourceTree(odd)
    assert len(tree.labels) == leaves(odd) - 2 - 1  # urls of two extensions are in labels, a list in a list is one
    assert tree.root.end == len(tree.labels)


def test_a_type_that_the_base_does_not_write_is_checked_against_r4() -> None:
    goal = {"applies": "fhir:Patient", "anchor": "Patient"}
    rows = (
        row("goal", "id", "Goal.id", 'key(system="urn:goal")', **goal),
        row("life", "", "Goal.lifecycleStatus", 'const("active")', **goal),
        row("what", "", "Goal.description.text", 'const("walk")', **goal),
        row("who", "", "Goal.subject", "ref(Patient)", **goal),
        row("start", "birthDate", "Goal.startDate", "date", **goal),
    )
    goals = [json.loads(one) for one in mapping.render(run(plan(*rows))) if b'"Goal"' in one]
    assert goals[0]["startDate"] == "1979-02-03"
    assert any("R4 has no Goal.stratDate" in one for one in findings(*rows, row("x", "id", "Goal.stratDate", "date")))
    assert any("no resource type `Gaol`" in one for one in findings(row("x", "id", "Gaol.text.div", "text")))


@given(st.dictionaries(st.sampled_from(["name", "telecom", "birthDate", "_birthDate", "x", "contained"]), JSON))
def test_whatever_a_resource_holds_it_is_accounted_for(extra: dict[str, Any]) -> None:
    mapped = run(WIDE, {"resourceType": "Patient", "identifier": PATIENT["identifier"], **extra})
    for body in mapping.render(mapped):
        json.loads(body)
    assert mapped.accounting.valued >= 2


@pytest.mark.parametrize(("number", "text"), [("1e3", "1e3"), ("1.0E-7", "1.0e-7"), ("0.10", "0.10"), ("12", "12")])
def test_a_number_becomes_the_text_that_fhir_writes(number: str, text: str) -> None:
    assert text_of(decode(number)) == text
