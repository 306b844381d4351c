"""Whole synthetic messages through the base workbook, compared field by field with what was agreed.

`HILUM_REWRITE_GOLDEN=1 pytest tests/mapping/test_base_messages.py` writes the agreed form anew: read the diff before
committing it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from hilum.formats import hl7v2
from hilum.mapping import Context, Mapped, Plan, compile_workbook, load_workbook, render
from hilum.model import Merge

GOLDEN = Path(__file__).parent / "golden"
MESSAGES = sorted(GOLDEN.glob("*.hl7"))
AUTHORITIES = ("GENHOSP", "EPIC", "LAB", "RAD", "SCHED", "EHR", "BILLING", "BLUE", "ACME")
SITE = {
    "params.csv": "param,value\nzone,America/Chicago\n",
    "namespaces.csv": "sender,authority,system\n"
    + "".join(f",{name},urn:example:{name.lower()}\n" for name in AUTHORITIES),
}


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    folder = tmp_path_factory.mktemp("site")
    (folder / "workbook").mkdir()
    for name, text in SITE.items():
        (folder / "workbook" / name).write_text(text)
    return compile_workbook(load_workbook(folder))


def run(plan: Plan, path: Path) -> Mapped:
    record = hl7v2.parse(path.read_bytes())
    return plan.run(record, Context(source="golden", sender=record.sender, received_at=1_706_700_000_000_000))


def form(mapped: Mapped) -> dict[str, Any]:
    """Resources by type and id, and all else that a message does."""
    resources = [json.loads(body) for body in render(mapped)]
    drafts = {(draft.type, draft.id): draft for draft in mapped.drafts}
    found: dict[str, Any] = {
        "resources": sorted(resources, key=lambda one: (one["resourceType"], one["id"])),
        "defaults": sorted(f"{kind}/{id_} {name}" for (kind, id_), draft in drafts.items() for name in draft.defaults),
        "cleared": sorted(f"{kind}/{id_} {name}" for (kind, id_), draft in drafts.items() for name in draft.cleared),
        "merges": [_said(merge) for merge in mapped.merges],
        "exceptions": sorted(f"{item.code} {item.location}" for item in mapped.exceptions),
    }
    if mapped.held:
        found["held"] = f"{mapped.held.code} {mapped.held.location}"
    return found


def _said(merge: Merge) -> str:
    pair = f"{merge.type}/{merge.retired}", merge.survivor
    return " out of ".join(pair) if merge.undo else " into ".join(pair)


def test_there_is_a_message_for_every_event_of_tier_1() -> None:
    assert len(MESSAGES) >= 20


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.stem)
def test_a_message_becomes_the_resources_that_were_agreed(plan: Plan, path: Path) -> None:
    mapped = run(plan, path)
    assert mapped.accounting.adds_up
    agreed = path.with_suffix(".json")
    if os.environ.get("HILUM_REWRITE_GOLDEN"):
        agreed.write_text(json.dumps(form(mapped), indent=1, ensure_ascii=False) + "\n")
    assert form(mapped) == json.loads(agreed.read_text())


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.stem)
def test_the_same_message_gives_the_same_bytes(plan: Plan, path: Path) -> None:
    assert render(run(plan, path)) == render(run(plan, path))


def resources(plan: Plan, name: str, kind: str) -> list[dict[str, Any]]:
    found = [json.loads(body) for body in render(run(plan, GOLDEN / f"{name}.hl7"))]
    return [one for one in found if one["resourceType"] == kind]


def test_a_correction_hits_the_observation_that_it_corrects(plan: Plan) -> None:
    first = {one["id"]: one for one in resources(plan, "oru_r01_panel", "Observation")}
    (second,) = resources(plan, "oru_r01_correction", "Observation")
    assert first[second["id"]]["valueQuantity"]["value"] == 182
    assert second["valueQuantity"]["value"] == 192
    assert second["status"] == "corrected"


def test_events_of_one_visit_meet_in_one_encounter(plan: Plan) -> None:
    names = ("adt_a01", "adt_a02", "adt_a03", "adt_a08_deletes", "adt_a11", "adt_a13", "oru_r01_panel")
    assert len({one["id"] for name in names for one in resources(plan, name, "Encounter")}) == 1


@pytest.mark.parametrize("name", ["adt_a02", "adt_a08_deletes", "oru_r01_panel", "siu_s12"])
def test_an_event_that_does_not_decide_the_status_only_offers_a_default(plan: Plan, name: str) -> None:
    encounters = [draft for draft in run(plan, GOLDEN / f"{name}.hl7").drafts if draft.type == "Encounter"]
    assert encounters
    assert all("status" not in draft.elements and "status" in draft.defaults for draft in encounters)


@pytest.mark.parametrize(
    ("name", "status"),
    [("adt_a01", "in-progress"), ("adt_a03", "finished"), ("adt_a11", "cancelled"), ("adt_a13", "in-progress")],
)
def test_an_event_that_decides_the_status_sets_it(plan: Plan, name: str, status: str) -> None:
    assert [one["status"] for one in resources(plan, name, "Encounter")] == [status]


def test_a_merge_retires_the_number_in_mrg(plan: Plan) -> None:
    (merge,) = run(plan, GOLDEN / "adt_a40.hl7").merges
    (patient,) = resources(plan, "adt_a40", "Patient")
    assert merge.type == "Patient"
    assert merge.survivor == patient["id"]
    assert merge.retired != patient["id"]


def test_an_unlink_takes_the_merge_of_its_two_patients_back(plan: Plan) -> None:
    (merge,) = run(plan, GOLDEN / "adt_a40.hl7").merges
    (unmerge,) = run(plan, GOLDEN / "adt_a37.hl7").merges
    assert unmerge == structs.replace(merge, undo=True)
    assert {one["id"] for one in resources(plan, "adt_a37", "Patient")} == {merge.survivor, merge.retired}


def test_an_unlink_of_one_patient_is_held(plan: Plan) -> None:
    whole = (GOLDEN / "adt_a37.hl7").read_bytes()
    record = hl7v2.parse(b"\r".join(line for line in whole.split(b"\r") if not line.startswith(b"PID|2")))
    held = plan.run(record, Context(source="golden", sender=record.sender, received_at=1)).held
    assert held is not None
    assert (held.code, held.location) == ("field-missing", "PID-3")


def test_decimal_text_survives_as_it_was_sent(plan: Plan) -> None:
    bodies = [body for body in render(run(plan, GOLDEN / "oru_r01_panel.hl7")) if b'"13457-7"' in body]
    assert b'"value":0.10,' in bodies[0]


def test_repeated_lines_of_one_test_stay_apart(plan: Plan) -> None:
    observations = resources(plan, "oru_r01_panel", "Observation")
    lines = [one["valueString"] for one in observations if one["code"]["coding"][0]["code"] == "8251-1"]
    assert lines == ["Line one\nLine two", "Another line"]


def test_an_appointment_keeps_its_identity_through_its_life(plan: Plan) -> None:
    names = ("siu_s12", "siu_s13", "siu_s14", "siu_s15", "siu_s17", "siu_s26")
    assert len({one["id"] for name in names for one in resources(plan, name, "Appointment")}) == 1
