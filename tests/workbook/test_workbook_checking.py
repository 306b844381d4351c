"""`hilum workbook check`: each thing that can be wrong, with its code and place, and nothing where nothing is wrong."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.formats import hl7v2
from hilum.mapping import Expression, compile_condition, load_base, load_workbook, read_rules
from hilum.workbook import check, open_review, pin_of, read_approvals, review_of
from hilum.workbook.satisfying import can_hold, follows
from workbook_tables import BASE_MAPS, BASE_ROWS, base, review, table

NOBODY = read_approvals(None, "")
ROW = {"row_id": "x", "anchor": "PID", "source": "PID-5", "type": "XPN", "target": "Patient.name[+]",
       "transform": "XPN", "owner": "registration"}  # fmt: skip


def said(*rows: dict[str, str], maps: list[dict[str, str]] | None = None) -> dict[str, str]:
    """Code to `place message (hint)` of what the site's lines bring."""
    site = [("rows.csv", table("rows", rows))] if rows else []
    site += [("maps.csv", table("maps", maps))] if maps else []
    opened = review(site)
    checked = check(opened, NOBODY, pin_of(opened))
    assert not [one for one in checked.findings if one.location.startswith("base/") and one.code != "required-unmapped"]
    return {one.code: str(one) for one in checked.findings}


def test_a_good_row_brings_no_finding() -> None:
    assert said(ROW) == {}


@pytest.mark.parametrize(
    ("cells", "code", "words"),
    [
        ({"target": "Patient.name[+].famly"}, "target-unknown", "did you mean `family`?"),
        ({"target": "Patient.contact[p].telcom[+]", "transform": "XTN"}, "target-unknown", "did you mean `telecom`?"),
        ({"target": "Patient.name[+].period[p].start", "transform": "datetime"}, "target-invalid", "as no list"),
        (
            {"target": "Patient.telecom[+]"},
            "target-type-differs",
            "`XPN` gives HumanName, and R4 has",
        ),
        ({"source": "PID-99"}, "source-field-unknown", "rows.csv:2:4"),
        ({"source": "PID-11"}, "source-type-differs", "PID-11 (Patient address) is XAD in HL7 v2, not XPN"),
        ({"applies": "ADT^A99"}, "row-without-event", "rows.csv:2:2"),
        ({"target": "Patiens.name[+]"}, "target-unknown", "did you mean `Patient`?"),
        (
            {"target": "Patient:other.name[+]"},
            "row-without-resource",
            "a Patient:other, which no row makes",
        ),
        ({"when": 'PID-8 = "F" and PID-8 = "M"'}, "row-never-runs", "rows.csv:2:6"),
        ({"when": "valued(PID-5) and not valued(PID-5)"}, "row-never-runs", "never true"),
        ({"when": 'event = "A99"'}, "row-never-runs", "never true"),
        ({"owner": ""}, "owner-missing", "rows.csv:2:13"),
        ({"status": "approved"}, "test-missing", "rows.csv:2:17"),
    ],
)
def test_what_is_wrong_with_a_row_is_said_with_its_place(cells: dict[str, str], code: str, words: str) -> None:
    found = said({**ROW, **cells})
    assert code in found, found
    assert words in found[code]


def test_a_row_behind_one_that_always_writes_is_said_to_be_shadowed() -> None:
    first = {**ROW, "row_id": "a", "source": "PID-7", "type": "TS", "target": "Patient.birthDate", "transform": "date"}
    again = {**first, "row_id": "b", "when": "valued(PID-5)"}
    assert "`a` (rows.csv:2:1) is before it" in said(first, again)["row-shadowed"]
    other = {**first, "row_id": "b", "source": "PID-29"}
    narrow = {**first, "row_id": "a", "when": "valued(PID-5)"}
    assert "row-shadowed" not in said(first, other)
    assert "row-shadowed" not in said(narrow, {**first, "row_id": "b"})


def test_a_resource_without_what_r4_requires_is_an_error_at_its_key_row() -> None:
    key = {**ROW, "row_id": "enc", "applies": "ADT^A01", "anchor": "PV1", "source": "PV1-19", "type": "CX",
           "target": "Encounter.id", "transform": "key"}  # fmt: skip
    opened = review([("rows.csv", table("rows", [key]))])
    found = [one for one in check(opened, NOBODY, pin_of(opened)).findings if one.code == "required-unmapped"]
    assert {one.message for one in found} == {
        "R4 requires Encounter.class, and no row writes it in ADT^A01",
        "R4 requires Encounter.status, and no row writes it in ADT^A01",
    }
    assert {one.location for one in found} == {"rows.csv:2:7"}


def test_codes_that_a_required_binding_does_not_have_are_named_where_they_stand() -> None:
    maps = [{"map": "Sex", "code": "X", "target": "femal", "owner": "registration"}]
    assert "maps.csv:2:4" in said(maps=maps)["code-outside-binding"]
    assert "did you mean `female`?" in said(maps=maps)["code-outside-binding"]
    fixed = {**BASE_ROWS[1], "unmapped": "fixed:nobody"}
    assert "R4 does not allow `nobody` in Patient.gender" in said(fixed)["code-outside-binding"]
    constant = {**ROW, "source": "", "target": "Patient.gender", "transform": 'const("men")', "type": ""}
    assert "rows.csv:2:8" in said(constant)["code-outside-binding"]


def test_maps_that_no_row_uses_and_tests_of_rows_that_do_not_run_are_said() -> None:
    assert "map-unused" in said(maps=[{"map": "Old", "code": "X", "target": "y", "owner": "a"}])
    opened = review([("tests.csv", table("tests", [{"test_id": "t", "row_id": "gone", "expect": "{}"}]))])
    assert "test-without-row" in {one.code for one in check(opened, NOBODY, pin_of(opened)).findings}


def test_an_unset_param_is_an_error_and_names_the_line_of_the_base() -> None:
    rows = [*BASE_ROWS, {**ROW, "row_id": "born", "source": "PID-7", "type": "TS", "target": "Patient.birthDate",
                         "transform": "date(zone=param.zone)"}]  # fmt: skip
    opened = review_of(base(rows), [("ignores.csv", table("ignores", []))], folder=Path("x"))
    found = [one for one in check(opened, NOBODY).findings if one.code == "param-unset"]
    assert [one.location for one in found] == ["base/rows.csv:5:8"]


def test_a_site_without_a_lock_or_with_one_of_another_base_is_told() -> None:
    opened = review_of(base(), [("rows.csv", table("rows", [ROW]))], decided={"zone": "UTC"}, folder=Path("x"))
    assert [one.code for one in check(opened, NOBODY).findings] == ["base-unpinned"]
    other = pin_of(review(below=base(maps=BASE_MAPS[:1])))
    assert [one.code for one in check(opened, NOBODY, other).findings] == ["base-changed"]


def test_the_shipped_tables_have_no_errors() -> None:
    checked = check(open_review(None), NOBODY)
    assert checked.rows > 400
    assert checked.errors == 0, [str(one) for one in checked.findings if one.severity == "error"]


def test_the_shipped_conditions_can_all_hold_and_follow_from_themselves() -> None:
    rules, _ = read_rules(load_base())
    conditions = [rule.when for rule in rules if rule.when is not None]
    assert len(conditions) > 100
    assert all(can_hold(condition, {}) for condition in conditions)
    assert all(follows(condition, condition, {}) for condition in conditions)


ATOMS = ['PID-8 = "F"', 'PID-8 != "M"', 'PID-8 in ("F", "M")', 'PID-8 not in ("U")', "valued(PID-8)",
         "valued(PID-5)", 'PID-5 = "A"', 'matches(PID-5, "A.*")', 'event = "A01"', 'event = "A08"']  # fmt: skip
CONDITION = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: st.one_of(
        inner.map(lambda one: f"not ({one})"),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda one: f"({one[0]} {one[1]} {one[2]})"),
    ),
    max_leaves=5,
)
MESSAGES = [
    hl7v2.parse(f"MSH|^~\\&|A|B|C|D|20260302||ADT^A01|1|P|2.5\rPID|1||1||{name}|||{sex}\r".encode())
    for sex, name in product(("", "F", "M", "U", "Z", '""'), ("", "A", "AB", "C"))
]


def when(text: str) -> Expression | None:
    rows = [{**ROW, "when": text}]
    rules, findings = read_rules(review_of(base([*BASE_ROWS, *rows])).book)
    assert not findings
    return rules[-1].when


@given(CONDITION, CONDITION)
def test_never_is_never_wrong(one: str, other: str) -> None:
    known = {"kind": "ADT^A01", "event": "A01"}
    first = [compile_condition(one)(message) for message in MESSAGES]
    second = [compile_condition(other)(message) for message in MESSAGES]
    assert can_hold(when(one), known) or not any(first)
    if follows(when(one), when(other), known):
        assert all(a for a, b in zip(first, second, strict=True) if b)


@pytest.mark.parametrize(
    ("code", "words"),
    [("1.23E+15", "powers of ten"), ("1-Mar", "a date"), ("#NAME?", "formula"), ("7", "knows the code `007`")],
)
def test_what_a_spreadsheet_made_of_a_code_is_found(code: str, words: str) -> None:
    text = said(maps=[{"map": "Sex", "code": code, "target": "other", "owner": "registration"}])["cell-mangled"]
    assert "maps.csv:2:3" in text
    assert words in text
    assert "cell-mangled" not in said(maps=[{"map": "Sex", "code": "E11.9", "target": "other", "owner": "x"}])


@pytest.mark.parametrize(
    ("raw", "place", "words"),
    [
        (b"row_id;anchor;target\r\nx;PID;y\r\n", "rows.csv:1:1", "semicolons"),
        ("row_id,anchor\n".encode("utf-16"), "rows.csv:1:1", "UTF-16"),
        (b'row_id,anchor\nx,"a,b",\xfc\n', "rows.csv:2:3", "0xfc"),
    ],
)
def test_a_table_that_was_saved_in_another_way_says_where_and_how_to_save_it(
    tmp_path: Path, raw: bytes, place: str, words: str
) -> None:
    (tmp_path / "workbook").mkdir()
    (tmp_path / "workbook" / "rows.csv").write_bytes(raw)
    found = load_workbook(tmp_path).findings
    assert [(one.code, one.location) for one in found] == [("table-unreadable", place)]
    assert words in found[0].message


def test_a_table_with_a_byte_order_mark_and_line_ends_of_windows_is_read_by_all(tmp_path: Path) -> None:
    (tmp_path / "workbook").mkdir()
    text = "\ufeff" + table("rows", [{**ROW, "row_id": "site-x"}]).replace("\n", "\r\n")
    (tmp_path / "workbook" / "rows.csv").write_bytes(text.encode())
    assert not load_workbook(tmp_path).findings
    opened = open_review(tmp_path, {"zone": "UTC"})
    assert ("rows", "site-x") in opened.site.entries
    assert "column-unknown" not in {one.code for one in check(opened, NOBODY).findings}


def test_a_place_counts_the_cells_of_the_file_whatever_their_order(tmp_path: Path) -> None:
    (tmp_path / "workbook").mkdir()
    (tmp_path / "workbook" / "maps.csv").write_text("owner,target,code,map\n,x,1-Mar,AdministrativeSex\n")
    found = {one.code: one.location for one in check(open_review(tmp_path, {"zone": "UTC"}), NOBODY).findings}
    assert found["owner-missing"] == "maps.csv:2:1"
    assert found["cell-mangled"] == "maps.csv:2:3"
