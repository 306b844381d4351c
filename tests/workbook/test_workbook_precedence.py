"""Of entries for one code the sender's own counts first, then the site's, then the base's."""

from __future__ import annotations

import json

import pytest

from hilum.formats import hl7v2
from hilum.mapping import Context, Plan, compile_workbook, render
from workbook_tables import review, table

SITE = [
    (
        "maps.csv",
        table(
            "maps",
            [
                {"map": "Sex", "code": "F", "target": "other"},
                {"map": "Sex", "code": "F", "target": "unknown", "sender": "LAB|*"},
                {"map": "Sex", "code": "007", "target": "male", "status": "retired"},
            ],
        ),
    ),
    (
        "namespaces.csv",
        table(
            "namespaces",
            [
                {"authority": "H", "system": "urn:site"},
                {"authority": "H", "system": "urn:lab", "sender": "LAB|A"},
            ],
        ),
    ),
    ("rows.csv", table("rows", [{"row_id": "id", "anchor": "PID", "source": "PID-3", "type": "CX",
                                 "target": "Patient.identifier[+]", "transform": "CX"}])),
]  # fmt: skip


def patient(plan: Plan, sender: str, sex: str) -> dict[str, object]:
    raw = f"MSH|^~\\&|{sender}|A|C|D|20260302||ADT^A01|1|P|2.5\rPID|1||1^^^H||X|||{sex}\r".encode()
    admission = hl7v2.admit(raw, hl7v2.Rules(), source="test", received_at=0)
    assert admission.message is not None
    mapped = plan.run(admission.message, Context.of(admission.envelope))
    found: dict[str, object] = json.loads(bytes(render(mapped)[0]))
    return found


@pytest.mark.parametrize(
    ("sender", "sex", "gender"), [("EHR", "F", "other"), ("LAB", "F", "unknown"), ("EHR", "007", None)]
)
def test_the_closest_entry_of_a_map_counts_and_a_retired_one_counts_not_at_all(
    sender: str, sex: str, gender: str | None
) -> None:
    plan = compile_workbook(review(SITE).book, params={"zone": "UTC"})
    assert patient(plan, sender, sex).get("gender") == gender


def test_the_base_counts_where_the_site_says_nothing() -> None:
    plan = compile_workbook(review(SITE[1:]).book, params={"zone": "UTC"})
    assert patient(plan, "LAB", "F")["gender"] == "female"


@pytest.mark.parametrize(("sender", "system"), [("EHR", "urn:site"), ("LAB", "urn:lab")])
def test_the_closest_line_of_the_namespaces_counts(sender: str, system: str) -> None:
    plan = compile_workbook(review(SITE).book, params={"zone": "UTC"})
    assert json.dumps(patient(plan, sender, "F")["identifier"]).count(f'"{system}"') == 1
