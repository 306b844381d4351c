"""What running rows guarantees: keys, scope, patches, defaults, policies, merges, repeats."""

import json

import engine_kit as kit
import pytest

from hilum import mapping
from hilum.errors import ConfigError
from hilum.model import Draft

ENC = "enc-key,ADT^A01|A08,PV1,PV1-19[1],CX,,Encounter.id,key,,skip,,,reg,,"
CLASS = "enc-class,,PV1,PV1-2,IS,,Encounter.class,coding,Class,exception,exception,,reg,,"
STATUS = 'enc-status,ADT^A01,PV1,,,,Encounter.status,"const(""in-progress"")",,,,,reg,,'
STATUS_DEFAULT = 'enc-status-d,ADT^A08,PV1,,,,Encounter.status?,"const(""unknown"")",,,,,reg,,'
SUBJECT = "enc-pat,,PV1,,,,Encounter.subject,ref(Patient),,,,,reg,,"
PV1 = "PV1|1|I" + "|" * 17 + "V1^^^HOSP"
OBS = 'obs-key,ORU^R01,OBR>OBX,"concat(OBR-3, OBX-3.1, OBX-4)",ST,,Observation.id,key,,reject,,,lab,,'
OBS_STATUS = "obs-status,,OBX,OBX-11,ID,,Observation.status,code,Status,exception,exception,,lab,,"
OBS_CODE = "obs-code,,OBX,OBX-3,CWE,,Observation.code,CWE,,,,,lab,,"
VALUE = (
    'obs-value,,OBX,OBX-5,,"OBX-2 != ""ED""",Observation.value[x],"value(type=OBX-2, unit=OBX-6)",Units,,,error,lab,,'
)


def draft(mapped: mapping.Mapped, type_: str) -> Draft:
    return next(draft for draft in mapped.drafts if draft.type == type_)


def test_the_same_business_identifier_is_the_same_resource_in_any_message() -> None:
    compiled = kit.plan(ENC, CLASS, STATUS, STATUS_DEFAULT, SUBJECT)
    first = kit.run(compiled, kit.PID, PV1)
    second = kit.run(compiled, "PID|9||7^^^HOSP^MR||A^B", PV1.replace("|I|", "|I|X"), kind="ADT^A08")
    assert [one.id for one in first.drafts] == [one.id for one in second.drafts]
    assert kit.one(first, "Encounter")["subject"] == {"reference": f"Patient/{kit.one(first)['id']}"}


def test_an_update_never_resets_a_status_it_only_proposes_one() -> None:
    compiled = kit.plan(ENC, CLASS, STATUS, STATUS_DEFAULT)
    admitted = draft(kit.run(compiled, kit.PID, PV1), "Encounter")
    updated = draft(kit.run(compiled, kit.PID, PV1, kind="ADT^A08"), "Encounter")
    assert bytes(admitted.elements["status"]) == b'"in-progress"'
    assert "status" not in updated.elements
    assert bytes(updated.defaults["status"]) == b'"unknown"'


def test_an_unknown_class_holds_because_r4_requires_one() -> None:
    mapped = kit.run(kit.plan(ENC, CLASS, STATUS), kit.PID, PV1.replace("|I|", "|ZZ|"))
    assert mapped.held is not None
    assert (mapped.held.code, mapped.held.location, mapped.held.owner) == ("code-unmapped", "PV1-2", "reg")
    (item,) = [item for item in mapped.exceptions if item.code == "code-unmapped"]
    assert item.group == "code-unmapped|APP|FAC|Class|ZZ"
    assert mapped.accounting.adds_up


def test_a_missing_required_value_holds_and_the_row_that_lacked_it_is_named() -> None:
    mapped = kit.run(kit.plan(ENC, CLASS, STATUS), kit.PID, PV1.replace("|I|", "||"))
    assert mapped.held is not None
    assert (mapped.held.code, mapped.held.location) == ("field-missing", "PV1-2")


def test_a_required_element_that_another_row_wrote_does_not_hold() -> None:
    other = 'enc-class-2,,PV1,,,valued(PV1-3),Encounter.class,"const({""code"":""AMB""})",,,,,reg,,'
    mapped = kit.run(kit.plan(ENC, CLASS, other, STATUS), kit.PID, PV1.replace("|I|", "|ZZ|W"))
    assert mapped.held is None
    assert kit.one(mapped, "Encounter")["class"] == {"code": "AMB"}


def test_an_exception_on_an_element_that_may_be_absent_is_an_item_and_no_hold() -> None:
    row = "name,,PID,PID-5,XPN,,Patient.name[+],XPN,,exception,,,reg,,"
    mapped = kit.run(kit.plan(row), kit.PID)
    assert mapped.held is None
    assert kit.codes(mapped) == ["field-missing"]


def test_a_missing_key_holds_or_makes_no_resource_as_its_policy_says() -> None:
    compiled = kit.plan(ENC, CLASS, STATUS)
    held = kit.run(compiled, "PID|1||")
    assert held.held is not None
    assert held.held.code == "field-missing"
    skipped = kit.run(compiled, kit.PID, "PV1|1|I")
    assert skipped.held is None
    assert "Encounter" not in kit.resources(skipped)
    assert [(item.code, item.location) for item in skipped.exceptions] == [
        ("field-unmapped", "PV1-1"),
        ("field-unused", "PV1-2"),
    ]


def test_a_key_field_that_names_nobody_counts_as_missing() -> None:
    held = kit.run(kit.plan(), "PID|||^^^HOSP^MR~7^^^HOSP")
    assert held.held is not None
    assert held.held.code == "field-missing"
    other = kit.PATIENT.replace("PID-3[1]", "PID-3[1]|PID-2")
    mapped = kit.run(kit.plan(other, patient=False), "PID||9^^^HOSP|^^^HOSP")
    assert kit.one(mapped)["id"] == mapping.resource_id("Patient", "urn:oid:1.2.3", "9")


def test_a_default_value_serves_where_nothing_is_valued() -> None:
    row = "sex,,PID,PID-8,IS,,Patient.gender,code,Sex,default:unknown,exception,,reg,,"
    assert kit.patient(row, kit.PID)["gender"] == "unknown"
    assert kit.patient(row, kit.PID + "|||||F")["gender"] == "female"
    concept = 'm,,PID,PID-16,CWE,,Patient.maritalStatus,CWE,,"default:{""text"":""none""}",,,reg,,'
    assert kit.patient(concept, kit.PID)["maritalStatus"] == {"text": "none"}


NAMES = ("a,,PID,PID-13,XTN,,Patient.telecom[+],XTN,,,,,reg,,", "b,,PID,PID-14,XTN,,Patient.telecom[+],XTN,,,,,reg,,")


def test_a_list_that_two_fields_feed_says_which_items_are_whose() -> None:
    mapped = kit.run(kit.plan(*NAMES), "PID|||7^^^HOSP||||||||||1~2|3")
    only = draft(mapped, "Patient")
    assert only.slots == {"telecom": (("PID-13", 2), ("PID-14", 1))}
    assert [item["value"] for item in json.loads(bytes(only.elements["telecom"]))] == ["1", "2", "3"]


def test_two_double_quotes_delete_the_element_or_its_slot() -> None:
    name = "n,,PID,PID-5,XPN,,Patient.name[+],XPN,,,,,reg,,"
    birth = "d,,PID,PID-7,DTM,,Patient.birthDate,date,,exception,,,reg,,"
    mapped = kit.run(kit.plan(*NAMES, name, birth), 'PID|||7^^^HOSP||""||""||||||1|""')
    only = draft(mapped, "Patient")
    assert sorted(only.cleared) == ["birthDate", "name", "telecom#PID-14"]
    assert only.slots == {"telecom": (("PID-13", 1),)}
    assert mapped.accounting.mapped == 5
    assert mapped.exceptions == ()


def test_deleting_the_end_of_a_period_names_the_part() -> None:
    rows = (
        "s,,PV1,PV1-44,DTM,,Encounter.period.start,datetime(zone=param.zone),,,,,reg,,",
        "e,,PV1,PV1-45,DTM,,Encounter.period.end,datetime(zone=param.zone),,,,,reg,,",
    )
    compiled = kit.plan(ENC, CLASS, STATUS, *rows)
    both = kit.run(compiled, kit.PID, PV1 + "|" * 25 + "2024|2025")
    assert kit.one(both, "Encounter")["period"] == {"start": "2024", "end": "2025"}
    deleted = draft(kit.run(compiled, kit.PID, PV1 + "|" * 25 + '|""'), "Encounter")
    assert deleted.cleared == ("period.end",)


def test_absent_fields_are_not_in_the_draft() -> None:
    rows = ("n,,PID,PID-5,XPN,,Patient.name[+],XPN,,,,,reg,,", "d,,PID,PID-7,DTM,,Patient.birthDate,date,,,,,reg,,")
    only = draft(kit.run(kit.plan(*rows), kit.PID), "Patient")
    assert only.elements == {}
    assert only.cleared == ()


def oru(*obx: str) -> tuple[str, ...]:
    return (kit.PID, "OBR|1||F1^HOSP|p", *obx)


@pytest.mark.parametrize(
    ("obx", "name", "value"),
    [
        (
            "OBX|1|NM|a^b^L||5.0|mg/dL|||||F",
            "valueQuantity",
            {"value": 5.0, "unit": "mg/dL", "system": "http://unitsofmeasure.org", "code": "mg/dL"},
        ),
        ("OBX|1|NM|a^b^L||>200||||||F", "valueQuantity", {"value": 200, "comparator": ">"}),
        ("OBX|1|NM|a^b^L||see note||||||F", "valueString", "see note"),
        (
            "OBX|1|CWE|a^b^L||x^words^LN||||||F",
            "valueCodeableConcept",
            {"coding": [{"system": "http://loinc.org", "code": "x", "display": "words"}], "text": "words"},
        ),
        ("OBX|1|DT|a^b^L||20240102||||||F", "valueDateTime", "2024-01-02"),
        ("OBX|1|TM|a^b^L||0930||||||F", "valueTime", "09:30:00"),
        ("OBX|1|TX|a^b^L||a\\.br\\b||||||F", "valueString", "a\nb"),
        ("OBX|1|SN|a^b^L||^1^-^2||||||F", "valueRange", {"low": {"value": 1}, "high": {"value": 2}}),
        ("OBX|1||a^b^L||bare||||||F", "valueString", "bare"),
    ],
)
def test_obx_2_chooses_the_value(obx: str, name: str, value: object) -> None:
    mapped = kit.run(kit.plan(OBS, OBS_STATUS, OBS_CODE, VALUE), *oru(obx), kind="ORU^R01")
    assert kit.one(mapped, "Observation")[name] == value
    assert {key for key in kit.one(mapped, "Observation") if key.startswith("value")} == {name}
    cleared = draft(mapped, "Observation").cleared
    assert name not in cleared
    assert {"valueQuantity", "valueString", "valueCodeableConcept"} - {name} <= set(cleared)


def test_a_repeating_value_is_not_guessed_at_where_one_is_taken() -> None:
    mapped = kit.run(kit.plan(OBS, OBS_STATUS, OBS_CODE, VALUE), *oru("OBX|1|NM|a||1~2||||||F"), kind="ORU^R01")
    assert "field-repeats" in kit.codes(mapped)
    assert "valueQuantity" not in kit.one(mapped, "Observation")


@pytest.mark.parametrize("letter", ["R", "B"])
def test_a_status_letter_that_the_site_has_not_decided_holds(letter: str) -> None:
    mapped = kit.run(kit.plan(OBS, OBS_STATUS, OBS_CODE), *oru(f"OBX|1|NM|a||1||||||{letter}"), kind="ORU^R01")
    assert mapped.held is not None
    assert (mapped.held.code, mapped.held.location) == ("code-unmapped", "OBX-11")


def test_a_map_entry_without_a_target_writes_nothing_and_is_fine() -> None:
    row = "s,,PID,PID-8,IS,,Patient.gender,code,Status,,exception,,reg,,"
    mapped = kit.run(kit.plan(row), kit.PID + "|||||N")
    assert "gender" not in kit.one(mapped)
    assert "code-unmapped" not in kit.codes(mapped)


def test_rows_of_different_places_find_their_own_resources() -> None:
    report = "rep-key,ORU^R01,OBR,OBR-3,EI,,DiagnosticReport.id,key,,reject,,,lab,,"
    rows = (
        report,
        'rep-status,,OBR,,,,DiagnosticReport.status,"const(""final"")",,,,,lab,,',
        "rep-code,,OBR,OBR-4,CWE,,DiagnosticReport.code,CWE,,,,,lab,,",
        "rep-result,,OBR>OBX,,,,DiagnosticReport.result[+],ref(Observation),,,,,lab,,",
        "obs-note,,OBX>NTE,NTE-3,FT,,Observation.note[+],note,,,,,lab,,",
        "obs-when,,OBX,OBR-7,DTM,,Observation.effectiveDateTime,datetime(zone=param.zone),,,,,lab,,",
    )
    mapped = kit.run(
        kit.plan(OBS, OBS_STATUS, OBS_CODE, *rows),
        *(
            kit.PID,
            "OBR|1||F1^HOSP|p|||2024",
            "OBX|1|NM|a||1||||||F",
            "NTE|1||one",
            "NTE|2||two",
            "OBX|2|NM|b||1||||||F",
        ),
        *("OBR|2||F2^HOSP|q|||2025", "OBX|1|NM|a||1||||||F", "NTE|1||three"),
        kind="ORU^R01",
    )
    found = kit.resources(mapped)
    assert [len(report["result"]) for report in found["DiagnosticReport"]] == [2, 1]
    assert [[note["text"] for note in one.get("note", [])] for one in found["Observation"]] == [
        ["one", "two"],
        [],
        ["three"],
    ]
    assert [one["effectiveDateTime"] for one in found["Observation"]] == ["2024", "2024", "2025"]
    assert found["DiagnosticReport"][1]["result"] == [{"reference": f"Observation/{found['Observation'][2]['id']}"}]


def test_field_anchors_make_a_resource_of_each_repetition_and_references_meet_it() -> None:
    rows = (
        "doc-key,ADT^A01,PV1-7[*]|PV1-8[*],@,XCN,,Practitioner.id,key,,skip,,,reg,,",
        "doc-name,,PV1-7[*]|PV1-8[*],@,XCN,,Practitioner.name[+],XCN,,,,,reg,,",
        "att,,PV1,PV1-7[*],XCN,,Encounter.participant[+lead].individual,ref(Practitioner),,,,each,reg,,",
        'att-type,,PV1,,,,Encounter.participant[+lead].type[+],"const({""text"":""attending""})",,,,,reg,,',
        "ref,,PV1-8[*],,,,Encounter.participant[referrer].individual,ref(Practitioner),,,,,reg,,",
    )
    mapped = kit.run(
        kit.plan(ENC, CLASS, STATUS, *rows),
        kit.PID,
        PV1.replace("|I|||||||", "|I|||||D1^A^B^^^^^^HOSP~D2^C^D^^^^^^HOSP|D1^A^B^^^^^^HOSP|", 1),
    )
    found = kit.resources(mapped)
    assert [one["name"][0]["family"] for one in found["Practitioner"]] == ["A", "C"]  # D1 twice is one
    people = found["Encounter"][0]["participant"]
    ids = [f"Practitioner/{one['id']}" for one in found["Practitioner"]]
    assert [one["individual"]["reference"] for one in people] == [*ids, ids[0]]
    assert [one.get("type") for one in people] == [[{"text": "attending"}], [{"text": "attending"}], None]


def test_constants_alone_make_no_item_and_a_required_part_is_waited_for() -> None:
    rows = (
        "loc,,PV1,PV1-3,PL,,Encounter.location[now].location,display,,,,,reg,,",
        'loc-s,,PV1,,,,Encounter.location[now].status,"const(""active"")",,,,,reg,,',
        "loc-p,,PV1,PV1-44,DTM,,Encounter.location[now].period.start,datetime(zone=param.zone),,,,,reg,,",
    )
    compiled = kit.plan(ENC, CLASS, STATUS, *rows)
    assert "location" not in kit.one(kit.run(compiled, kit.PID, PV1), "Encounter")
    lacking = kit.run(compiled, kit.PID, PV1 + "|" * 25 + "2024")
    assert "location" not in kit.one(lacking, "Encounter")
    assert "item-incomplete" in kit.codes(lacking)
    whole = kit.run(compiled, kit.PID, PV1.replace("|I||", "|I|WEST|") + "|" * 25 + "2024")
    assert kit.one(whole, "Encounter")["location"] == [
        {"location": {"display": "WEST"}, "status": "active", "period": {"start": "2024"}}
    ]


def test_extensions_nest_and_those_of_a_primitive_stand_beside_it() -> None:
    rows = (
        "b,,PID,PID-7,DTM,,Patient.birthDate,date,,,,,reg,,",
        "bt,,PID,PID-7,DTM,length(PID-7) > 8,Patient.birthDate.extension(patient-birthTime).valueDateTime,"
        "datetime(zone=param.zone),,,,,reg,,",
        "r,,PID,PID-10,CWE,,Patient.extension(us-core-race).extension(ombCategory)[+].valueCoding,coding,,,,each,reg,,",
        "rt,,PID,PID-10,CWE,,Patient.extension(us-core-race).extension(text).valueString,"
        '"text(join="", "")",,,,each,reg,,',
        "rel,,PID,PID-17,CWE,,Patient.extension(patient-religion)[+].valueCodeableConcept,CWE,,,,,reg,,",
    )
    found = kit.one(kit.run(kit.plan(*rows), "PID|||7^^^HOSP||||197902030405|||2106-3^White~2028-9^Asian|||||||REL"))
    assert found["birthDate"] == "1979-02-03"
    assert found["_birthDate"]["extension"][0]["valueDateTime"] == "1979-02-03T04:05:00+01:00"
    race, religion = found["extension"]
    assert [inner["url"] for inner in race["extension"]] == ["ombCategory", "ombCategory", "text"]
    assert race["extension"][2]["valueString"] == "White, Asian"
    assert religion["url"].endswith("/patient-religion")


def test_a_merge_retires_every_number_in_mrg_and_never_itself() -> None:
    compiled = kit.plan("m,ADT^A40,MRG-1[*],@,CX,,merge(Patient),key,,reject,,,reg,,")
    mapped = kit.run(compiled, kit.PID, "MRG|8^^^HOSP~9^^^HOSP~7^^^HOSP", kind="ADT^A40")
    own = mapping.resource_id("Patient", "urn:oid:1.2.3", "7")
    assert [(one.survivor, one.retired) for one in mapped.merges] == [
        (own, mapping.resource_id("Patient", "urn:oid:1.2.3", "8")),
        (own, mapping.resource_id("Patient", "urn:oid:1.2.3", "9")),
    ]
    empty = kit.run(compiled, kit.PID, kind="ADT^A40")
    assert empty.merges == ()


def test_two_merges_of_one_message_each_have_their_own_survivor() -> None:
    compiled = kit.plan("m,ADT^A40,MRG,MRG-1[1],CX,,merge(Patient),key,,reject,,,reg,,")
    mapped = kit.run(compiled, kit.PID, "MRG|8^^^HOSP", "PID|2||17^^^HOSP", "MRG|18^^^HOSP", kind="ADT^A40")
    ids = {number: mapping.resource_id("Patient", "urn:oid:1.2.3", number) for number in ("7", "8", "17", "18")}
    assert [(one.survivor, one.retired) for one in mapped.merges] == [(ids["7"], ids["8"]), (ids["17"], ids["18"])]


def test_an_unmerge_names_two_patients_and_never_one_twice() -> None:
    compiled = kit.plan("u,ADT^A40,MSH,PID[2]-3 | MRG-1,CX,,unmerge(Patient),key,,reject,,,reg,,")
    ids = {number: mapping.resource_id("Patient", "urn:oid:1.2.3", number) for number in ("7", "8")}
    for second in ("PID|2||8^^^HOSP", "MRG|8^^^HOSP"):
        mapped = kit.run(compiled, kit.PID, second, kind="ADT^A40")
        assert [(one.survivor, one.retired, one.undo) for one in mapped.merges] == [(ids["7"], ids["8"], True)]
        assert mapped.accounting.adds_up
    assert kit.run(compiled, kit.PID, "MRG|7^^^HOSP", kind="ADT^A40").merges == ()
    alone = kit.run(compiled, kit.PID, kind="ADT^A40")
    assert alone.held is not None


def test_a_field_anchor_can_unmerge() -> None:
    compiled = kit.plan("u,ADT^A40,MRG-1[*],@,CX,,unmerge(Patient),key,,reject,,,reg,,")
    mapped = kit.run(compiled, kit.PID, "MRG|8^^^HOSP~9^^^HOSP", kind="ADT^A40")
    assert [one.undo for one in mapped.merges] == [True, True]


def test_repeated_lines_of_one_key_are_counted_when_the_key_says_each() -> None:
    each = OBS.replace(",key,", ',"key(of=sender, each)",')
    lines = ("OBX|1|TX|a||one||||||F", "OBX|2|TX|a||two||||||F")
    found = kit.resources(kit.run(kit.plan(each, OBS_STATUS, OBS_CODE, VALUE), *oru(*lines), kind="ORU^R01"))
    assert [one["valueString"] for one in found["Observation"]] == ["one", "two"]
    together = kit.resources(kit.run(kit.plan(OBS, OBS_STATUS, OBS_CODE, VALUE), *oru(*lines), kind="ORU^R01"))
    assert [one["valueString"] for one in together["Observation"]] == ["two"]  # one resource: the later value


def test_a_correction_hits_the_observation_that_it_corrects() -> None:
    compiled = kit.plan(OBS, OBS_STATUS, OBS_CODE, VALUE)
    first = kit.run(compiled, *oru("OBX|1|NM|a||1||||||F"), kind="ORU^R01")
    later = kit.run(compiled, *oru("OBX|4|NM|a||2||||||F"), kind="ORU^R01")
    assert draft(first, "Observation").id == draft(later, "Observation").id


def test_an_event_without_rows_is_held_with_everything_accounted_for() -> None:
    mapped = kit.run(kit.plan(), kit.PID, kind="ADT^A99")
    assert mapped.held is not None
    assert mapped.held.code == "no-rows"
    assert mapped.accounting.adds_up
    assert mapped.accounting.exceptions == 1  # PID-3; PID-1 and MSH are ignored
    assert mapped.drafts == []


def test_a_wildcard_alone_does_not_make_an_event_mapped() -> None:
    compiled = kit.plan("n-key,ADT^*,NK1,NK1-33,CX,,RelatedPerson.id,key,,skip,,,reg,,")
    for kind in ("ADT^A18", "ADT"):
        mapped = kit.run(compiled, kit.PID, kind=kind)
        assert mapped.held is not None
        assert mapped.held.code == "no-rows"
    assert kit.run(compiled, kit.PID).held is None
    assert compiled.kinds() == ("ADT^A01", "ADT^A08", "ADT^A40", "ORU^R01")


def test_conditions_decide_on_texts_counts_and_resources() -> None:
    def gender(condition: str, pid: str) -> object:
        row = f'g,,PID,,,"{condition}",Patient.gender,"const(""x"")",,,,,reg,,'
        return kit.patient(row, pid).get("gender")

    assert gender('PID-8 = ""F"" and not valued(PID-29)', "PID|||7^^^HOSP|||||F^Female") == "x"
    assert gender('PID-8 in (""M"",""F"")', "PID|||7^^^HOSP|||||F") == "x"
    assert gender('PID-8 not in (""M"",""F"")', "PID|||7^^^HOSP|||||F") is None
    assert gender("count(PID-5) > 1", "PID|||7^^^HOSP||A~B") == "x"
    assert gender("count(PID-5) > 1", 'PID|||7^^^HOSP||A~""') is None
    assert gender("PID-24 >= 9", "PID|||7^^^HOSP" + "|" * 21 + "10") == "x"
    assert gender('matches(PID-5, ""A.*"")', "PID|||7^^^HOSP||AB^C") == "x"
    assert gender('matches(PID-5, ""A"")', "PID|||7^^^HOSP||AB") is None
    assert gender("deleted(PID-5)", 'PID|||7^^^HOSP||""') == "x"
    assert gender("valued(PID-5.2)", "PID|||7^^^HOSP||^^x") is None
    assert gender('event = ""A01"" and sender = ""APP|FAC"" and source != ""files""', kit.PID) == "x"
    assert gender('sender in (""B|FAC"")', kit.PID) is None
    assert gender("made(Encounter)", kit.PID) is None
    assert gender("made(Patient) and not valued(PV2)", kit.PID) == "x"
    assert gender('PID-5 = ""a&b""', "PID|||7^^^HOSP||a\\T\\b") == "x"


def test_any_delimiters_give_the_same_resources() -> None:
    compiled = kit.plan("n,,PID,PID-5,XPN,,Patient.name[+],XPN,,,,,reg,,")
    usual = kit.run(compiled, "PID|||7^^^HOSP||A^B~C")
    other = kit.run(
        compiled, "PID#*#".replace("*#", "##") + "7:::HOSP##A:B*C", msh="MSH#:*!%#APP#FAC#X#Y#2024##ADT:A01#1#P#2.5"
    )
    assert kit.one(usual) == kit.one(other)


def test_nothing_of_the_workbook_is_spelled_out_in_the_generated_code() -> None:
    marker = "__import__('os').system('x')"
    rows = (
        f'a,,PID,PID-8,IS,"PID-8 = ""{marker}""",Patient.gender,"const(""{marker}"")",,,,,reg,,',
        f'b,,PID,"concat(PID-5, ""{marker}"")",ST,,Patient.maritalStatus.text,text,,"default:{marker}",,,reg,,',
    )
    compiled = kit.plan(*rows)
    kit.run(compiled, kit.PID)
    sources = [unit.source for unit, _ in compiled._library._units.values()]
    assert sources
    assert not any("import" in source or "system" in source for source in sources)


def test_a_plan_that_cannot_run_is_not_made() -> None:
    with pytest.raises(ConfigError) as caught:
        kit.plan("a,,PID,PID-8,IS,,Patient.nope,text,,,,,,,")
    assert caught.value.code == "workbook-invalid"


def test_a_part_of_a_plan_makes_what_its_rows_make_in_the_whole_and_says_which_fields_they_wrote_for() -> None:
    compiled = kit.plan(ENC, CLASS, STATUS, SUBJECT)
    record = kit.message(kit.PID, PV1)
    whole = compiled.run(record, kit.context(record))
    part = compiled.part({"enc-key", "enc-class"}, frozenset({"Encounter"}))
    made = part.make(record, kit.context(record))
    (draft_,) = made.mapped.drafts
    assert (draft_.type, draft_.id) == ("Encounter", draft(whole, "Encounter").id)
    assert draft_.elements == {"class": draft(whole, "Encounter").elements["class"]}
    assert made.mapped.held is None
    assert [bits.bit_count() for bits in made.written[:3]] == [0, 0, 2]  # PV1-2 and PV1-19
    assert part.make(kit.message(PV1, kind="ADT^A99"), kit.context(record)).mapped.drafts == []


def test_a_part_that_is_given_the_ids_of_another_part_makes_the_same_without_looking_for_them_again() -> None:
    compiled = kit.plan(ENC, CLASS, STATUS, SUBJECT)
    record = kit.message(kit.PID, PV1)
    made = frozenset({"Encounter"})
    few = compiled.part({"enc-key", "enc-class"}, made).make(record, kit.context(record))
    more = compiled.part({rule.row.row_id for rule in compiled._rules}, made)
    alone = more.make(record, kit.context(record))
    shared = compiled.part({rule.row.row_id for rule in compiled._rules}, made).make(
        record, kit.context(record), few.opened
    )
    assert (shared.mapped, shared.written) == (alone.mapped, alone.written)
    assert set(few.opened.shape.opened) < set(alone.opened.shape.opened)
    few.opened.ids[0] = "given"
    assert more.make(record, kit.context(record), few.opened).mapped.drafts[-1].id == "given"
