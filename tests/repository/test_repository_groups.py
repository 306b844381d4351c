"""Elements whose members come from different fields: a message that states one member says nothing of the others."""

from __future__ import annotations

import json
from typing import Any

from msgspec import Raw

from hilum.model import Draft
from hilum.repository.patch import NOTHING, Stated, patch


def visit(cleared: tuple[str, ...] = (), **elements: Any) -> Draft:
    return Draft("Encounter", "e", {name: Raw(json.dumps(value)) for name, value in elements.items()}, cleared=cleared)


def after(*messages: tuple[int, Draft]) -> dict[str, Any]:
    stated: Stated = NOTHING
    for at, draft in messages:
        stated = patch(stated, draft, at)
    return {name: json.loads(bytes(raw)) for name, raw in stated.elements.items()}


def test_a_discharge_keeps_how_the_patient_was_admitted() -> None:
    admission = visit(hospitalization={"admitSource": {"text": "ED"}}, period={"start": "2026-01-01"})
    discharge = visit(hospitalization={"dischargeDisposition": {"text": "home"}}, period={"end": "2026-01-03"})
    whole = {
        "hospitalization": {"admitSource": {"text": "ED"}, "dischargeDisposition": {"text": "home"}},
        "period": {"start": "2026-01-01", "end": "2026-01-03"},
    }
    assert after((1, admission), (2, discharge)) == whole
    assert after((2, discharge), (1, admission)) == whole


def test_a_newer_member_wins_whichever_comes_first() -> None:
    first, second = visit(period={"start": "2026-01-01"}), visit(period={"start": "2026-01-02"})
    assert after((1, first), (2, second)) == after((2, second), (1, first)) == {"period": {"start": "2026-01-02"}}


def test_a_cancelled_discharge_takes_the_end_back_and_an_older_message_does_not_return_it() -> None:
    ended = visit(period={"start": "2026-01-01", "end": "2026-01-03"})
    cancelled = visit(cleared=("period.end",), period={"start": "2026-01-01"})
    assert after((1, ended), (2, cancelled)) == {"period": {"start": "2026-01-01"}}
    assert after((2, cancelled), (1, ended)) == {"period": {"start": "2026-01-01"}}
    assert after((1, ended), (2, cancelled), (3, ended)) == {"period": {"start": "2026-01-01", "end": "2026-01-03"}}


def test_a_group_without_members_left_is_gone() -> None:
    assert after((1, visit(period={"end": "2026-01-03"})), (2, visit(cleared=("period.end",)))) == {}
