"""What goes out: cardinality, deletions, codes, authorities, tables, and what is refused rather than invented."""

from __future__ import annotations

import json
from typing import Any

import pytest
from outward_kit import NOW, RECEIVER, book, field, group, patient, send, written

from hilum import mapping
from hilum.errors import ConfigError, FormatError
from hilum.formats import hl7v2
from hilum.mapping import outward
from hilum.mapping.outward.lookup import Ambiguous, CodesOut

A08 = "ADT^A08"
VISIT = {
    "resourceType": "Encounter",
    "id": "e1",
    "status": "in-progress",
    "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
    "subject": {"reference": "Patient/p1"},
}


def observation(id_: str, code: str, **elements: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "category": [
            {
                "coding": [
                    {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}
                ]
            }
        ],
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": "Patient/p1"},
        "encounter": {"reference": "Encounter/e1"},
        **elements,
    }


def codes(found: outward.Outward) -> list[str]:
    return [item.code for item in found.exceptions]


def site(**tables: str) -> mapping.Workbook:
    """The base with these tables of a site over it."""
    base = [(f"{name}.csv", text) for name, text in tables.items()]
    upper = mapping.read_workbook([], base, inspection=True)
    merged = {}
    for name in ("rows", "params", "namespaces", "codesystems", "maps", "ignores", "outward"):
        merged[name] = (*getattr(book(), name), *getattr(upper, name))
    return mapping.Workbook(**merged, findings=upper.findings, inspection=True)


def test_two_names_and_three_numbers_are_repetitions_in_their_fields() -> None:
    person = patient(
        name=[
            {"use": "official", "family": "Everyman", "given": ["Eve"]},
            {"use": "maiden", "family": "Doe", "given": ["Eve"]},
        ],
        telecom=[
            {"system": "phone", "value": "1", "use": "home"},
            {"system": "phone", "value": "2", "use": "work"},
            {"system": "phone", "value": "3", "use": "mobile"},
        ],
    )
    message = written(send(A08, group(person)))
    assert field(message, "PID", 5) == "Everyman^Eve^^^^^L~Doe^Eve^^^^^M"
    assert field(message, "PID", 13) == "1^PRN^PH~3^PRN^CP"
    assert field(message, "PID", 14) == "2^WPN^PH"


def test_a_second_value_for_a_field_that_takes_one_is_an_item_and_not_a_repetition() -> None:
    person = patient(
        identifier=[{"system": "urn:oid:1.2.3", "value": value, "type": {"coding": [{"code": "AN"}]}} for value in "12"]
    )
    message = written(send(A08, group(person)))
    assert field(message, "PID", 18) == "1^^^&1.2.3&ISO^AN"
    assert field(message, "PID", 3) == "2^^^&1.2.3&ISO^AN"


@pytest.mark.parametrize(("date", "written_as"), [("1979", "1979"), ("1979-02", "197902"), ("1979-02-28", "19790228")])
def test_partial_dates_stay_partial(date: str, written_as: str) -> None:
    assert field(written(send(A08, group(patient(birthDate=date)))), "PID", 7) == written_as


def test_the_time_of_birth_stands_with_its_date() -> None:
    person = patient(
        birthDate="1979-02-28",
        _birthDate={
            "extension": [
                {
                    "url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime",
                    "valueDateTime": "1979-02-28T10:15:00-05:00",
                }
            ]
        },
    )
    assert field(written(send(A08, group(person))), "PID", 7) == "19790228101500-0500"


def test_decimals_keep_their_digits() -> None:
    given = group(patient(), VISIT)
    body = (
        b'{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"encounter":{"reference":"Encounter/e1"},'
        b'"subject":{"reference":"Patient/p1"},"valueQuantity":{"value":0.10,"unit":"mg"}}'
    )
    given["Observation"] = [outward.read_resource(body)]
    message = written(send(A08, given))
    assert (field(message, "OBX", 2), field(message, "OBX", 5), field(message, "OBX", 6)) == ("NM", "0.10", "mg")


def test_text_with_delimiters_is_escaped_and_comes_back() -> None:
    message = written(send(A08, group(patient(name=[{"family": "O^Neil & Søn|x~y\\z"}]))))
    assert field(message, "PID", 5) == "O\\S\\Neil \\T\\ Søn\\F\\x\\R\\y\\E\\z"
    assert message.unescape(field(message, "PID", 5)) == "O^Neil & Søn|x~y\\z"


def test_a_removed_element_is_deleted_at_the_receiver() -> None:
    before = patient(gender="female", telecom=[{"system": "phone", "value": "1", "use": "home"}], deceasedBoolean=False)
    found = send(A08, group(patient(gender="female")), before={"Patient/p1": before})
    message = written(found)
    assert (field(message, "PID", 8), field(message, "PID", 13), field(message, "PID", 30)) == ("F", '""', '""')


def test_a_segment_of_which_nothing_is_left_is_deleted_field_by_field() -> None:
    before = {**VISIT, "reasonCode": [{"text": "Chest pain"}]}
    message = written(send(A08, group(patient(), VISIT), before={"Encounter/e1": before}))
    assert field(message, "PV2", 3) == '""'


def test_without_a_version_before_nothing_is_deleted() -> None:
    assert b'""' not in hl7v2.build(send(A08, group(patient())).segments, charset="UNICODE UTF-8")


def test_without_a_visit_the_patient_class_says_so() -> None:
    assert field(written(send(A08, group(patient()))), "PV1", 2) == "N"


def test_a_code_that_the_table_cannot_say_holds_the_message_and_is_not_invented() -> None:
    found = send(A08, group(patient(gender="rather-not")))
    assert found.held is not None
    assert (found.held.code, found.held.location) == ("code-not-sendable", "PID-8")
    assert field(written(found), "PID", 8) == ""


def test_a_code_with_several_codes_for_it_and_no_mark_holds_the_message() -> None:
    maps = "map,sender,code,target\nAdministrativeSex,,K,klingon\nAdministrativeSex,,Q,klingon\n"
    plan = outward.compile_outward(site(maps=maps), A08)
    context = outward.OutwardContext(RECEIVER, "1", NOW)
    assert plan.run(group(patient(gender="klingon")), context).held.code == "code-ambiguous"  # type: ignore[union-attr]
    marked = site(maps=maps + "AdministrativeSex.out,,klingon,Q\n")
    found = outward.compile_outward(marked, A08).run(group(patient(gender="klingon")), context)
    assert field(written(found), "PID", 8) == "Q"


def test_maps_and_namespaces_of_the_receiver_come_before_those_of_everybody() -> None:
    tables = site(
        maps="map,sender,code,target\nAdministrativeSex.out,LAB|*,female,2\n",
        namespaces="sender,authority,system\n,EVERYBODY,urn:oid:1.2.3\nLAB|NORTH,MRN,urn:oid:1.2.3\n",
    )
    plan = outward.compile_outward(tables, A08)
    person = group(patient(gender="female", identifier=[{"system": "urn:oid:1.2.3", "value": "7"}]))
    for name, facility, sex, authority in (("LAB", "NORTH", "2", "MRN"), ("RIS", "NORTH", "F", "EVERYBODY")):
        receiver = outward.Receiver(name, facility)
        message = written(plan.run(person, outward.OutwardContext(receiver, "1", NOW)))
        assert field(message, "PID", 8) == sex
        assert field(message, "PID", 3) == f"7^^^{authority}"


@pytest.mark.parametrize("identifier", [{"value": "7"}, {"system": "not a uri", "value": "7"}])
def test_a_number_without_an_authority_holds_the_message(identifier: dict[str, str]) -> None:
    found = send(A08, group(patient(identifier=[identifier])))
    assert found.held is not None
    assert found.held.code == "authority-not-sendable"
    assert field(written(found), "PID", 3) == ""


def test_an_unknown_local_code_is_not_taken_for_a_code_that_a_map_writes() -> None:
    message = written(send(A08, group(patient(maritalStatus={"coding": [{"code": "L"}], "text": "living alone"}))))
    assert field(message, "PID", 16) == "L^^^^^^^^living alone"


def test_a_condition_never_makes_up_a_code() -> None:
    """The category of vital signs is a constant for twenty codes: none of them is written where another one belongs."""
    found = send(
        A08,
        group(
            patient(),
            VISIT,
            observation("o1", "72514-3", valueInteger=3),
            observation("o2", "8302-2", valueInteger=180),
        ),
    )
    message = written(found)
    assert [field(message, "OBX", 3, n) for n in (1, 2)] == ["72514-3^^LN", "8302-2^^LN"]
    assert [item.location for item in found.exceptions] == [
        "Observation.category.coding.system",
        "Observation.category.coding.code",
    ]


def test_the_parts_of_a_blood_pressure_are_results_of_their_own() -> None:
    parts = [
        {
            "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
            "valueQuantity": {"value": value, "unit": "mm[Hg]"},
        }
        for code, value in (("8480-6", 120), ("8462-4", 80))
    ]
    message = written(send(A08, group(patient(), VISIT, observation("o", "85354-9", component=parts))))
    assert [
        (field(message, "OBX", 1, n), field(message, "OBX", 3, n), field(message, "OBX", 5, n)) for n in (1, 2, 3)
    ] == [
        ("1", "85354-9^^LN", ""),
        ("2", "8480-6^^LN", "120"),
        ("3", "8462-4^^LN", "80"),
    ]


def test_allergies_that_are_over_or_refuted_are_not_sent() -> None:
    def allergy(id_: str, **elements: Any) -> dict[str, Any]:
        return {
            "resourceType": "AllergyIntolerance",
            "id": id_,
            "patient": {"reference": "Patient/p1"},
            "code": {"text": id_},
            **elements,
        }

    over = {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "resolved"}]
    }
    message = written(send(A08, group(patient(), allergy("nuts"), allergy("milk", clinicalStatus=over))))
    assert [one.field(3) for one in message.segments if one.name == "AL1"] == ["^nuts"]


def test_of_several_visits_one_has_to_be_named() -> None:
    other = {**VISIT, "id": "e2", "class": {**VISIT["class"], "code": "AMB"}}  # type: ignore[dict-item]
    given = group(patient(), VISIT, other)
    held = send(A08, given).held
    assert held is not None
    assert (held.code, held.location) == ("root-ambiguous", "Encounter")
    assert field(written(send(A08, given, root="Encounter/e2")), "PV1", 2) == "O"


def test_a_message_about_nobody_is_held() -> None:
    held = send("ORU^R01", group({"resourceType": "Organization", "id": "o", "name": "Lab"})).held
    assert held is not None
    assert held.code == "root-missing"


def test_a_resource_that_is_not_at_hand_is_named_by_its_display() -> None:
    visit = {
        **VISIT,
        "participant": [
            {
                "type": [
                    {
                        "coding": [
                            {"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "ATND"}
                        ]
                    }
                ],
                "individual": {"reference": "Practitioner/9", "display": "Dr Ann Attend"},
            }
        ],
    }
    found = send(A08, group(patient(), visit))
    assert field(written(found), "PV1", 7) == "^Dr Ann Attend"
    assert "reference-unresolved" in codes(found)


def test_what_no_row_can_say_is_an_item_and_the_rest_is_sent() -> None:
    found = send(A08, group(patient(photo=[{"url": "http://x"}], active=True)))
    assert found.held is None
    assert [item.location for item in found.exceptions] == ["Patient.photo.url", "Patient.active"]
    assert set(codes(found)) == {"element-not-sent"}


def test_a_character_that_the_receiver_lacks_is_refused() -> None:
    found = send(A08, group(patient(name=[{"family": "佐藤"}])), outward.Receiver("LAB", "N", charset="8859/1"))
    with pytest.raises(FormatError) as caught:
        hl7v2.build(found.segments, charset="8859/1")
    assert (caught.value.code, caught.value.location) == ("charset-inexpressible", "PID-5[1].1")


def test_every_value_names_its_row_and_its_element() -> None:
    found = send(A08, group(patient(gender="female", name=[{"family": "Doe", "given": ["Eve"]}])))
    traces = {trace.location: trace for trace in found.traces}
    assert (traces["PID-5[1].2"].value, traces["PID-5[1].2"].row) == ("Eve", "pat-name")
    assert traces["PID-8[1].1"].element == "Patient/p1 gender"


def test_an_order_that_is_revoked_is_a_cancellation() -> None:
    order = {
        "resourceType": "ServiceRequest",
        "id": "s",
        "status": "revoked",
        "intent": "order",
        "subject": {"reference": "Patient/p1"},
        "identifier": [{"type": {"coding": [{"code": "PLAC"}]}, "system": "urn:oid:1.2.3", "value": "P1"}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "24331-1"}]},
    }
    message = written(send("ORM^O01", group(patient(), order)))
    assert [field(message, "ORC", n) for n in (1, 2, 5)] == ["CA", "P1^^1.2.3^ISO", "CA"]
    assert field(message, "OBR", 2) == "P1^^1.2.3^ISO"
    active = written(send("ORM^O01", group(patient(), {**order, "status": "active"})))
    assert field(active, "ORC", 1) == "NW"


def test_a_diagnosis_is_sent_with_its_rank_and_only_for_its_visit() -> None:
    def condition(id_: str, visit: str) -> dict[str, Any]:
        return {
            "resourceType": "Condition",
            "id": id_,
            "subject": {"reference": "Patient/p1"},
            "encounter": {"reference": visit},
            "code": {"text": id_},
        }

    visit = {**VISIT, "diagnosis": [{"condition": {"reference": "Condition/c1"}, "rank": 2}]}
    message = written(
        send(A08, group(patient(), visit, condition("c1", "Encounter/e1"), condition("c2", "Encounter/other")))
    )
    assert [(one.field(3), one.field(15)) for one in message.segments if one.name == "DG1"] == [("^c1", "2")]


def test_a_site_adds_and_takes_away_lines() -> None:
    tables = site(
        outward="line_id,role,applies,segment,field,source,reason\n"
        'x-1,set,ADT^A08,,EVN-5.1,"""HILUM""",\n'
        "x-2,skip,ADT^A08,,,pat-name,secret\n"
        "x-3,ignore,ADT^A08,,,Patient.name,secret\n"
        "x-4,default,ADT^A08,,PV1-3.1,Encounter.status,\n"
    )
    found = outward.compile_outward(tables, A08).run(
        group(patient(name=[{"family": "Doe"}]), VISIT), outward.OutwardContext(RECEIVER, "1", NOW)
    )
    message = written(found)
    assert (field(message, "EVN", 5), field(message, "PID", 5), field(message, "PV1", 3)) == (
        "HILUM",
        "",
        "in-progress",
    )
    assert found.exceptions == ()


@pytest.mark.parametrize(
    "line",
    [
        "x,wrong,,,,,,",
        "x,segment,,ZZZ,,a b c,,",
        "x,set,,,,,PID,",
        'x,set,,,,,PID-1,"what(?"',
        "x,segment,,ZZZ,,,status ~ 3,",
    ],
)
def test_a_line_that_cannot_be_read_is_a_finding_with_its_place(line: str) -> None:
    tables = site(
        outward=f"line_id,role,applies,segment,under,each,only,field,source\n{line}\n".replace(",,,,,,,", ",,,,,,,,")
    )
    with pytest.raises(ConfigError) as caught:
        outward.compile_outward(tables, A08)
    assert [finding.code for finding in caught.value.findings] == ["outward-invalid"]
    assert caught.value.findings[0].location.startswith("outward.csv:2:")


def test_an_unknown_kind_names_those_that_can_be_sent() -> None:
    with pytest.raises(ConfigError, match=r"ADT\^A04, ADT\^A08"):
        outward.compile_outward(book(), "ADT^A99")


@pytest.mark.parametrize("kind", outward.outward_kinds(mapping.load_base()))
def test_the_shipped_lines_are_all_read(kind: str) -> None:
    assert outward.compile_outward(book(), kind).findings == ()


def test_every_ambiguity_of_the_shipped_maps_is_decided_where_a_row_writes_the_code() -> None:
    skipped = {line.source for line in book().outward if line.role == "skip"}
    rows = [row for row in book().rows if row.map and row.row_id not in skipped]
    writing = {row.map for row in rows if not row.target.endswith("?") and row.source != "event"}
    undecided = [(name, target) for name, target, _ in outward.ambiguities(book()) if name in writing]
    assert undecided == []
    lookup = CodesOut(book().maps, "")
    with pytest.raises(Ambiguous):
        lookup.find("OrderControlStatus", "active")


def test_every_skipped_row_and_ignored_element_has_a_reason() -> None:
    lines = [line for line in book().outward if line.role in ("skip", "ignore", "choose")]
    assert len(lines) > 30
    assert [line.line_id for line in lines if not line.reason] == []
    known = {row.row_id for row in book().rows}
    labels = {row.target.partition(".")[0] for row in book().rows}
    wrong = [line.source for line in lines if line.role != "ignore" and line.source not in known | labels]
    assert wrong == []


def test_the_accounting_counts_every_primitive_once() -> None:
    given = group(patient(gender="female", photo=[{"url": "x"}]), VISIT)
    counted = sum(len(json.dumps(one).split('": ')) for group_ in given.values() for one in group_)
    found = send(A08, given)
    assert 0 < found.accounting.valued < counted
    assert found.accounting.exceptions == 1


def test_resources_that_make_no_sense_are_no_crash() -> None:
    odd: list[dict[str, Any]] = [
        {"resourceType": "Patient"},
        {
            "resourceType": "Patient",
            "id": "p1",
            "name": "x",
            "identifier": {"value": 1},
            "telecom": [None, 3],
            "birthDate": {},
        },
        {
            "resourceType": "Patient",
            "id": "p1",
            "extension": [{}],
            "contact": [[]],
            "communication": [{"language": []}],
        },
        {},
    ]
    for body in odd:
        assert send(A08, {"Patient": [body]}).accounting.adds_up
