"""A trace says for every leaf of every resource which field and which row it comes from."""

import json

import engine_kit as kit
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum import mapping

ROWS = (
    "name,,PID,PID-5,XPN,,Patient.name[+],XPN,,,,,reg,ann,yes",
    "sex,,PID,PID-8,IS,,Patient.gender,code,Sex,,,,reg,,yes",
    "home,,PID,PID-13,XTN,,Patient.telecom[+],XTN,,,,,reg,,yes",
    "race,,PID,PID-10,CWE,,Patient.extension(us-core-race).extension(ombCategory)[+].valueCoding,coding,,,,each,reg,,",
    'kin,,PID,,,,Patient.contact[kin].gender,"const(""female"")",,,,,reg,,',
    "kin-name,,NK1,NK1-2,XPN,,Patient.contact[nk1].name,XPN,,,,,reg,,",
)
SEGMENTS = ("PID|1||7^^^HOSP||DOE^JOHN^Q~ROE^J|||F||2106-3^White|||555", "NK1|1|KIN^ANN")


def traced(*segments: str) -> list[mapping.Trace]:
    record = kit.message(*segments)
    return kit.plan(*ROWS).trace(record, kit.context(record))


def test_a_leaf_names_its_component_row_owner_and_approver() -> None:
    found = {trace.path: trace for trace in traced(*SEGMENTS)}
    family = found["name[1].family"]
    assert (family.source, family.value, family.row) == ("PID-5[2].1.1", '"ROE"', "name")
    assert (family.owner, family.approver, family.phi, family.segment) == ("reg", "ann", "yes", 1)
    assert found["name[0].given[1]"].source == "PID-5[1].3"
    assert found["gender"].entry == "Sex F"
    assert found["telecom[0].value"].source == "PID-13[1]"
    assert found["extension[0].extension[0].valueCoding.code"].row == "race"
    assert found["contact[1].name.family"].source == "NK1-2.1.1"
    assert found["contact[0].gender"].source == ""
    assert found["id"].row == "pat-key"


def test_a_map_entry_that_is_not_everybodys_is_named_with_its_sender() -> None:
    record = kit.message(*SEGMENTS)
    plan = kit.plan(*ROWS, maps="map,sender,code,target\nSex,LAB|*,F,other\nSex,*|*,F,female\n")
    context = mapping.Context("test", "LAB|NORTH", 1)
    assert [trace.entry for trace in plan.trace(record, context) if trace.path == "gender"] == ["Sex F (LAB|*)"]


def leaves(value: object, path: str = "") -> list[str]:
    if isinstance(value, dict):
        return [leaf for name, inner in value.items() for leaf in leaves(inner, f"{path}.{name}" if path else name)]
    if isinstance(value, list):
        return [leaf for at, inner in enumerate(value) for leaf in leaves(inner, f"{path}[{at}]")]
    return [path]


def test_every_leaf_of_the_resource_has_a_trace() -> None:
    record = kit.message(*SEGMENTS)
    compiled = kit.plan(*ROWS)
    patient = json.loads(mapping.render(compiled.run(record, kit.context(record)))[0])
    wanted = {path for path in leaves(patient) if path != "resourceType" and not path.endswith(".url")}
    traced_paths = {trace.path for trace in compiled.trace(record, kit.context(record))}
    assert wanted == {path for path in traced_paths if not path.endswith(".url")}


def test_watching_changes_nothing() -> None:
    record = kit.message(*SEGMENTS)
    compiled = kit.plan(*ROWS)
    before = compiled.run(record, kit.context(record))
    assert compiled.trace(record, kit.context(record)) == compiled.trace(record, kit.context(record))
    assert compiled.run(record, kit.context(record)) == before


@settings(max_examples=30)
@given(st.lists(st.sampled_from(["DOE^JOHN", "ROE", '""', "", "^^"]), max_size=4).map("~".join))
def test_a_trace_only_names_what_is_in_the_resource(names: str) -> None:
    record = kit.message(f"PID|1||7^^^HOSP||{names}")
    compiled = kit.plan(*ROWS)
    patient = json.loads(mapping.render(compiled.run(record, kit.context(record)))[0])
    assert {trace.path for trace in compiled.trace(record, kit.context(record))} <= set(leaves(patient))


@given(st.sampled_from(["0.10", "1.0", "100", "7.50", "-0.00", "123456789012345678.10"]))
def test_a_trace_shows_the_digits_that_were_sent(number: str) -> None:
    record = kit.message("PID|1||7^^^HOSP", "OBR|1||1", f"OBX|1|NM|A||{number}")
    rows = (
        "obs,,OBX,OBX-3,,,Observation.id,key(),,reject,,,,,",
        'status,,OBX,,,,Observation.status,"const(""final"")",,,,,,,',
        "value,,OBX,OBX-5,NM,,Observation.valueQuantity,quantity(),,,,,,,",
    )
    found = {trace.path: trace.value for trace in kit.plan(*rows).trace(record, kit.context(record))}
    assert found["valueQuantity.value"] == number
