"""A new base: cells that only the base changed follow it, the site's stay, and what is touched is a draft again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from hilum.errors import ConfigError
from hilum.workbook import Upgrade, lock_text, pin_of, plan_upgrade, read_approvals, read_pin
from workbook_tables import BASE_ROWS, base, review, table

NOBODY = read_approvals(None, "")
PHONE = BASE_ROWS[2]


def rows(**changes: dict[str, str] | None) -> list[dict[str, str]]:
    """The rows of the base with some changed, or (None) removed; `_` for `-` in a name."""
    named = {name.replace("_", "-"): cells for name, cells in changes.items()}
    kept = [row for row in BASE_ROWS if named.get(row["row_id"], {}) is not None]
    return [{**row, **(named.get(row["row_id"]) or {})} for row in kept]


def upgraded(own: Sequence[dict[str, str]], now: Sequence[dict[str, str]]) -> Upgrade:
    site = [("rows.csv", table("rows", own))]
    pin = pin_of(review(site))
    return plan_upgrade(review(site, below=base(now)), NOBODY, pin)


def lines(plan: Upgrade) -> dict[str, dict[str, str]]:
    document = plan.documents["rows.csv"]
    return {record.cells[0]: document.cells_of(record) for record in document.lines}


def test_without_a_lock_the_base_is_pinned_and_nothing_else_happens() -> None:
    plan = plan_upgrade(review(), NOBODY, None)
    assert plan.first
    assert (plan.changes, plan.documents) == ((), {})


def test_the_same_base_changes_nothing() -> None:
    plan = upgraded([{**PHONE, "map": "Sex"}], BASE_ROWS)
    assert (plan.changes, plan.documents) == ((), {})


def test_a_cell_that_only_the_base_changed_follows_it_and_the_line_is_a_draft() -> None:
    own = {**PHONE, "transform": 'XTN(use="mobile")', "status": "approved", "approver": "ann"}
    plan = upgraded([own], rows(pat_phone={"when": "valued(PID-13)"}))
    line = lines(plan)["pat-phone"]
    assert (line["when"], line["transform"]) == ("valued(PID-13)", 'XTN(use="mobile")')
    assert (line["status"], line["approver"]) == ("draft", "")
    assert [cell.column for cell in plan.touched[0].cells] == ["when"]


def test_a_cell_that_both_changed_stays_the_sites_and_is_named() -> None:
    plan = upgraded([{**PHONE, "missing": "exception"}], rows(pat_phone={"missing": "reject"}))
    conflict = plan.touched[0].conflicts[0]
    assert (conflict.column, conflict.before, conflict.after) == ("missing", "exception", "reject")
    assert plan.documents == {}


def test_a_version_that_the_base_caught_up_with_is_taken_out() -> None:
    plan = upgraded([{**PHONE, "map": "Sex"}], rows(pat_phone={"map": "Sex"}))
    assert lines(plan) == {}


def test_a_line_that_the_base_dropped_becomes_the_sites_own_and_a_retired_one_goes() -> None:
    own = [{**PHONE, "status": "approved"}, {**BASE_ROWS[1], "status": "retired"}]
    plan = upgraded(own, rows(pat_phone=None, pat_sex=None))
    assert list(lines(plan)) == ["pat-phone"]
    assert lines(plan)["pat-phone"]["status"] == "draft"


def test_a_retired_line_stays_retired_when_the_base_changes_it() -> None:
    plan = upgraded([{**PHONE, "status": "retired"}], rows(pat_phone={"when": "valued(PID-3)"}))
    assert lines(plan)["pat-phone"]["status"] == "retired"
    assert plan.touched[0].outcome.endswith("retired")


def test_a_version_of_a_line_that_the_base_retired_goes_on_running_as_a_draft_and_is_named() -> None:
    own = {**PHONE, "note": "ours", "status": "approved"}
    plan = upgraded([own], rows(pat_phone={"status": "retired"}))
    assert lines(plan)["pat-phone"]["status"] == "draft"
    [change] = plan.touched
    assert "the base retired this line" in change.outcome
    assert [(one.column, one.after) for one in change.conflicts] == [("status", "retired")]


def test_a_line_that_both_retired_is_taken_out_of_the_site() -> None:
    plan = upgraded([{**PHONE, "map": "Sex", "status": "retired"}], rows(pat_phone={"status": "retired"}))
    assert lines(plan) == {}


def test_a_param_of_the_site_without_an_inspection_of_its_own_does_not_collide_with_the_base_s() -> None:
    site = [("params.csv", table("params", [{"param": "zone", "value": "UTC", "status": "draft"}]))]
    below = [(file, text.replace(",UTC,", ",Europe/Paris,") if file == "params.csv" else text) for file, text in base()]
    plan = plan_upgrade(review(site, below=below), NOBODY, pin_of(review(site)))
    assert [one.conflicts for one in plan.touched] == [()]


def test_what_the_site_has_no_part_in_is_listed_and_touches_nothing() -> None:
    new = {**PHONE, "row_id": "pat-new"}
    plan = upgraded([{"row_id": "x", "anchor": "PID", "target": "Patient.active"}], [*rows(pat_sex=None), new])
    assert {(one.kind, one.name) for one in plan.changes} == {("added", "rows:pat-new"), ("removed", "rows:pat-sex")}
    assert (plan.touched, plan.documents) == ((), {})


def test_a_new_line_of_the_base_with_the_name_of_one_of_the_site_does_not_replace_it() -> None:
    own = {"row_id": "pat-new", "anchor": "PID", "source": "PID-5", "target": "Patient.name[+]", "status": "approved"}
    plan = upgraded([own], [*BASE_ROWS, {**PHONE, "row_id": "pat-new"}])
    assert lines(plan)["pat-new"]["source"] == "PID-5"
    assert lines(plan)["pat-new"]["status"] == "draft"


def test_a_lock_is_read_back_and_a_broken_one_is_refused(tmp_path: Path) -> None:
    pin = pin_of(review([("rows.csv", table("rows", [PHONE]))]))
    assert read_pin(tmp_path) is None
    (tmp_path / "workbook").mkdir()
    (tmp_path / "workbook" / "base.lock").write_text(lock_text(pin))
    assert read_pin(tmp_path) == pin
    assert pin.over["rows:pat-phone"]["source"] == "PID-13"
    for text in ("", "{}", lock_text(pin).replace('"format": 1', '"format": 2')):
        (tmp_path / "workbook" / "base.lock").write_text(text)
        with pytest.raises(ConfigError) as error:
            read_pin(tmp_path)
        assert error.value.code == "lock-unreadable"
