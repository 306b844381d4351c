"""`hilum workbook diff`: what a candidate workbook would change, and that what is left out is the same."""

from __future__ import annotations

import asyncio
import json
import os
import random
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec import Struct, structs

from hilum.app import workbook_feed
from hilum.app.cli import main
from hilum.app.commands.workbook_diff import DiffWork, compare_feed
from hilum.app.opening import open_folder
from hilum.errors import ConfigError
from hilum.formats import hl7v2
from hilum.journal import Incoming
from hilum.mapping import Context, Workbook, base_files, compile_workbook, key_columns, read_rules, read_workbook
from hilum.workbook import Comparison, DifferenceReport, difference_report, html_of, text_of
from hilum.workbook.difference import held_by, is_same, items_of, resource_changes
from hilum.workbook.local_times import LocalTimes
from hilum.workbook.masking import shape_of
from hilum.workbook.table_changes import table_changes

Params = dict[str, str | int | float | bool]
PARAMS: Params = {"zone": "America/Chicago", "unknown_namespace": "local"}
BASE = read_workbook(base_files())
ROWS = "row_id,applies,anchor,source,type,when,target,transform,map,missing,unmapped,repeats,owner,status\n"
AT = 1_780_000_000_000_000
SEX = ["AdministrativeSex", None, "F"]
EXAMPLES = int(os.environ.get("HILUM_DIFF_EXAMPLES", "5"))


def adt(*segments: str, kind: str = "ADT^A01", pid: str = "PID|1||7^^^HOSP^MR||Doe^Jo||19700102|F") -> bytes:
    head = f"MSH|^~\\&|APP|FAC|X|Y|20240102030405+0100||{kind}|C1|P|2.5.1"
    return "\r".join([head, pid, *segments]).encode()


MESSAGES = [
    adt(),
    adt("PV1|1|I|W^1^1||||1^Doc^A|||MED||||||||V1^^^HOSP^VN"),
    adt("PV1|1|O", "AL1|1|DA|7^Nuts^L", "AL1|2|FA|8^Milk^L|SV", kind="ADT^A08"),
    adt("NK1|1|Doe^Ann|SPO^Spouse^HL70063|||^PRN^PH^^1^555^1234567", "DG1|1||I10^High^I10|||A", kind="ADT^A04"),
    adt("PV1|1|ZZ", kind="ADT^A03"),
    adt("OBR|1|P1^E|F1^L|718-7^Hb^LN|||20240102030405", "OBX|1|NM|718-7^Hb^LN||13.50|g/dL|12-16|H|||F", kind="ORU^R01"),
    adt("OBR|1||F2^L|X^Y^L|||20240102", "OBX|1|ST|A^B^L||text||||||Q", "NTE|1||note", kind="ORU^R01"),
    adt(pid="PID|1||||No^Key"),
    adt(kind="ADT^A99"),
    adt(pid='PID|1||7^^^HOSP^MR||""||1970|U|||1 Way^^Town^IL^60601^USA^H||^PRN^PH^^1^555^7654321~^NET^X^a@b.example'),
    adt(
        "PV1|1|I|W^1^1^HOSP||||1^Doc^A^^^^^^ELSE|1^Doc^A~2^Dr^B|||||||||||V2^^^ELSE^VN",
        "NTE|1||a \\T\\ b 2024",
        kind="ADT^A08",
    ),
    adt(
        "PV1|1|O|||||||||||||||||V3^^^HOSP^VN|||||||||||||||||||||||||202403100230",
        "DG1|1||I10^High^I10|||A||||||||||||||2024070107^^",
        pid="PID|1||8^^^HOSP^MR^^20240101080000||Roe^Al^^^^^L^^^20240101080000||19700102080000|M",
    ),
    b"no message at all",
]


def site(**tables: str) -> Workbook:
    return read_workbook(base_files(), [(f"{name}.csv", text) for name, text in tables.items()])


def compare(
    candidate: Workbook,
    current: Workbook = BASE,
    *,
    show_values: bool = False,
    params: tuple[Params, Params] = (PARAMS, PARAMS),
) -> DifferenceReport:
    comparison = Comparison(current, candidate, params, show_values=show_values)
    for at, body in enumerate(MESSAGES):
        comparison.compare(at, str(at), body, Context("test", "APP|FAC", AT))
    return difference_report(comparison, comparison.part(), values_shown=show_values)


class Said(Struct):
    """What a comparison counts, whoever counts it."""

    different: int = 0
    resources: dict[str, int] = {}
    accounting: dict[str, int] = {}
    items: dict[tuple[str, str, str], tuple[int, int]] = {}
    held: dict[tuple[str, str], int] = {}
    paths: dict[tuple[str, str], int] = {}  # (type, path) of fields


def said_by(report: DifferenceReport) -> Said:
    """What the comparison of the product counts."""
    said = Said(report.messages["different"], report.resources, {name: n for name, n in report.accounting.items() if n})
    said.items = {(one.code, one.location, one.row): (one.gone, one.new) for one in report.exceptions}
    said.held = {(one.before, one.after): one.messages for one in report.held}
    for cell in (cell for group in report.groups for cell in group.cells if cell.path):
        said.paths[cell.type, cell.path] = said.paths.get((cell.type, cell.path), 0) + cell.count
    return said


def brute_force(
    candidate: Workbook, current: Workbook = BASE, params: tuple[Params, Params] = (PARAMS, PARAMS)
) -> Said:
    """The same with both workbooks run whole over everything, and everything compared."""
    plans = compile_workbook(current, params=params[0]), compile_workbook(candidate, params=params[1])
    said = Said(accounting=dict.fromkeys(("mapped", "ignored", "exceptions"), 0))
    for body in MESSAGES[:-1]:
        record = hl7v2.parse(body)
        before, after = (plan.run(record, Context("test", "APP|FAC", AT)) for plan in plans)
        said.different += not is_same(before, after)
        for name in said.accounting:
            said.accounting[name] += getattr(after.accounting, name) - getattr(before.accounting, name)
        for item in items_of(before) ^ items_of(after):
            old, new = said.items.get(item, (0, 0))
            said.items[item] = (old + (item in items_of(before)), new + (item in items_of(after)))
        holds = tuple(" ".join(one) if one else "" for one in (held_by(before), held_by(after)))
        if holds[0] != holds[1]:
            said.held[holds[0], holds[1]] = said.held.get((holds[0], holds[1]), 0) + 1
        if any(holds):
            continue
        for change in resource_changes(before.drafts, after.drafts):
            said.resources[change.kind] = said.resources.get(change.kind, 0) + 1
            for field in change.fields:
                said.paths[change.type, field.path] = said.paths.get((change.type, field.path), 0) + 1
    said.accounting = {name: n for name, n in said.accounting.items() if n}
    return said


def test_a_workbook_does_not_differ_from_itself() -> None:
    report = compare(BASE)
    assert report.messages["different"] == 0
    assert report.messages["untouched"] == len(MESSAGES) - 1
    assert not report.groups
    assert report.unreadable == {"no-msh": 1} or sum(report.unreadable.values()) == 1


def test_a_changed_row_is_named_with_what_it_changes_and_why() -> None:
    row = "pat-birth-date,,PID,PID-7,DTM,,Patient.birthDate,date,,,,,registration,draft\n"
    name = next(row.row_id for row in BASE.rows if row.target == "Patient.birthDate")
    report = compare(site(rows=ROWS + row.replace("pat-birth-date", name).replace("PID-7", "PID-29")))
    (group,) = report.groups
    assert [one.row for one in group.rows] == [name]
    assert "source `PID-7` -> `PID-29`" in group.causes[0]
    (cell,) = group.cells
    assert (cell.kind, cell.type, cell.path) == ("removed", "Patient", "birthDate")
    assert cell.pairs[0].before == '"9999-99-99"'
    assert report.accounting["mapped"] < 0
    assert any(item.code.startswith("field-un") and item.location == "PID-7" and item.new for item in report.exceptions)
    assert report.resources == {"changed": cell.messages}


def test_an_added_map_entry_takes_a_hold_away() -> None:
    report = compare(site(maps="map,sender,code,target,system,display\nEncounterClass,,ZZ,AMB,http://act,x\n"))
    if not report.held:  # the map of PV1-2 has another name
        name = next(row.map for row in BASE.rows if row.source == "PV1-2" and row.target == "Encounter.class")
        report = compare(site(maps=f"map,sender,code,target,system,display\n{name},,ZZ,AMB,http://act,x\n"))
    (hold,) = report.held
    assert hold.before == "code-unmapped PV1-2"
    assert hold.after == ""
    assert hold.messages == 1


def test_another_authority_gives_resources_other_ids_and_says_so() -> None:
    report = compare(site(namespaces="sender,authority,system\n,HOSP,urn:oid:1.2.3\n"))
    assert report.resources["renamed"] > 0
    assert "added" not in report.resources
    assert any(cell.path == "identifier.system" for group in report.groups for cell in group.cells)


def test_values_are_shapes_unless_they_are_asked_for() -> None:
    name = next(row.row_id for row in BASE.rows if row.target == "Patient.birthDate")
    candidate = site(rows=ROWS + f"{name},,PID,PID-29,DTM,,Patient.birthDate,date,,,,,registration,draft\n")
    masked, open_ = compare(candidate), compare(candidate, show_values=True)
    for render in (html_of, lambda one: "\n".join(text_of(one)), lambda one: str(one)):
        assert "1970-01-02" not in render(masked)
        assert "1970-01-02" in render(open_)
    assert "PHI" in html_of(open_)


# A part of the base, so that many edits can be tried.
SMALL = structs.replace(
    BASE,
    rows=tuple(
        row
        for row in BASE.rows
        if row.target.split(".")[0].split(":")[0]
        in ("Patient", "AllergyIntolerance", "RelatedPerson", "Provenance", "Practitioner", "Encounter")
    ),
)
EDITS = st.lists(
    st.tuples(
        st.sampled_from([row.row_id for row in SMALL.rows]),
        st.sampled_from(["retire", "first", "when", "source", "default", "kinds"]),
    ),
    min_size=1,
    max_size=3,
)
LINES = st.sampled_from(
    [
        {},
        {"namespaces": "sender,authority,system\nAPP|FAC,hosp,urn:oid:1.2.3\n"},
        {"namespaces": "sender,authority,system\nELSE|*,HOSP,urn:oid:1.2.3\n"},
        {"maps": "map,sender,code,target,system,display\nAdministrativeSex,,F,other,,\n"},
        {"ignores": "field,applies,sender,reason\nPID-7,,,no need\nOBX-5,,,no need\n"},
        {"codesystems": "name,system\nL,urn:oid:1.9\nLN,urn:oid:1.8\n"},
        {"params": "param,value\nprovenance,no\n"},
        {"params": "param,value\nzone,Europe/Berlin\n"},
    ]
)


def edited(edits: list[tuple[str, str]], lines: dict[str, str]) -> Workbook:
    by_id = {row.row_id: row for row in SMALL.rows}
    for row_id, edit in edits:
        row = by_id.get(row_id)
        if row is None:
            continue
        if edit == "retire":
            del by_id[row_id]
            continue
        change = {
            "first": {"repeats": "first"},
            "when": {"when": f"({row.when}) and valued(PID-7)" if row.when else "valued(PID-7)"},
            "source": {"source": f"{row.source} | PID-5.1" if row.source else ""},
            "default": {"missing": "exception"},
            "kinds": {"applies": "ADT^A01|A08" if row.applies else ""},
        }[edit]
        by_id[row_id] = structs.replace(row, **change)
    own = read_workbook([], [(f"{name}.csv", text) for name, text in lines.items()])
    tables = {name: _laid_over(name, own) for name in lines}
    return structs.replace(SMALL, rows=tuple(by_id.values()), **tables)


def _laid_over(table: str, own: Workbook) -> tuple[Any, ...]:
    keys = key_columns(table)
    lines = [*getattr(SMALL, table), *getattr(own, table)]
    return tuple({tuple(getattr(line, key) for key in keys): line for line in lines}.values())


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=(Phase.explicit, Phase.generate),  # to make a failure smaller takes minutes
)
@given(EDITS, LINES, st.sampled_from(["local", "hold"]))
def test_what_is_left_out_is_the_same(edits: list[tuple[str, str]], lines: dict[str, str], unknown: str) -> None:
    candidate = edited(edits, lines)
    params: Params = {"zone": "America/Chicago", "unknown_namespace": unknown}
    other = {**params, "zone": "Europe/Berlin"} if "zone" in lines.get("params", "") else params
    try:
        wanted = brute_force(candidate, SMALL, (params, other))
    except ConfigError:
        return  # an edit that does not compile is no candidate
    found = said_by(compare(candidate, SMALL, params=(params, other)))
    assert found == wanted, [str(one) for one in table_changes(SMALL, candidate)]


@pytest.mark.parametrize("edit", [("acct-visit", "retire"), ("pat-birth", "source")])
def test_rows_that_are_left_out_beside_a_changed_one_make_no_difference(edit: tuple[str, str]) -> None:
    """A resource of which only key rows are left is still made; a field that another row reads is still mapped."""
    candidate = edited([edit], {})
    assert said_by(compare(candidate, SMALL)) == brute_force(candidate, SMALL)


@pytest.mark.parametrize(
    ("lines", "zone"),
    [
        ({}, "Europe/Berlin"),
        ({"ignores": "field,applies,sender,reason\nPID-7,,,no need\nDG1,,,no need\n"}, ""),
        ({"rows": ROWS + "x-of-mine,,PID,PID-5.2,ST,,Patient.deceasedBoolean,boolean,,,reject,,registration,\n"}, ""),
    ],
)
def test_the_whole_base_is_compared_like_running_it_twice(lines: dict[str, str], zone: str) -> None:
    params: tuple[Params, Params] = (PARAMS, {**PARAMS, "zone": zone} if zone else PARAMS)
    candidate = site(**lines)
    wanted = brute_force(candidate, BASE, params)
    found = said_by(compare(candidate, params=params))
    assert found == wanted
    assert found.different


@pytest.mark.parametrize(
    ("segment", "outcome"),
    [
        ("DG1|1||I10^High^I10||20240701070000+0100|A", "untouched"),
        ("NTE|1||a \\T\\ b of 20240701070000+0100 \\H\\now\\N\\", "untouched"),  # an escape that hides no time
        ("DG1|1||I10^High^I10||20240701070000|A", "different"),
        (r"DG1|1||I10^High^I10||\X32303234\0701070000|A", "different"),
        (r"DG1|1||I10^High^I10||2024\H\0701070000|A", "different"),
    ],
)
def test_another_zone_touches_a_message_with_a_time_without_an_offset_however_it_is_written(
    segment: str, outcome: str
) -> None:
    comparison = Comparison(BASE, BASE, (PARAMS, {**PARAMS, "zone": "Europe/Berlin"}))
    comparison.compare(1, "1", adt("PV1|1|I", segment), Context("test", "APP|FAC", AT))
    assert getattr(comparison.part(), outcome) == 1


def test_a_time_beside_a_place_does_not_make_the_place_one_that_another_zone_changes() -> None:
    body = adt("SCH|A1^E", "RGS|1|A", "AIL|1|A|W^1^1^HOSP|||20240701070000|0|min|30|min", kind="SIU^S12")
    rules = [rule for rule in read_rules(BASE)[0] if rule.row.row_id in ("appt-place-start", "loc-id")]
    assert LocalTimes(rules).fields_in(hl7v2.parse(body)) == {("AIL", 6)}


def test_parts_of_the_messages_add_up_to_the_same_report() -> None:
    candidate = site(maps="map,sender,code,target,system,display\nAdministrativeSex,,F,other,,\n")
    whole = compare(candidate)
    comparison = Comparison(BASE, candidate, (PARAMS, PARAMS))
    parts = []
    for at, body in enumerate(MESSAGES):
        comparison.compare(at, str(at), body, Context("test", "APP|FAC", AT))
        parts.append(comparison.part())
    random.Random(1).shuffle(parts)
    total = comparison.part()
    for part in parts:
        total.merge(part)
    again = difference_report(comparison, total, values_shown=False)
    assert again.groups == whole.groups
    assert again.resources == whole.resources
    assert again.held == whole.held


@pytest.mark.parametrize(
    ("path", "value", "shape"),
    [
        ("birthDate", '"1970-01-02"', '"9999-99-99"'),
        ("name.family", '"Müller"', '"Aaaaaa"'),
        ("active", "true", "boolean"),
        ("coding.system", '"http://loinc.org"', '"http://loinc.org"'),
        ("subject.reference", '"Patient/abc"', '"Patient/..."'),
        ("valueQuantity.value", "13.50", "99.99"),
        ("text", "", ""),
    ],
)
def test_a_shape_says_nothing_of_a_patient(path: str, value: str, shape: str) -> None:
    assert shape_of(path, value) == shape


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An integration whose journal holds the messages."""
    root = tmp_path / "clinic"
    (root / "sources").mkdir(parents=True)
    (root / "integration.yaml").write_text("use: t\nparams: {zone: America/Chicago, unknown_namespace: local}\n")
    (root / "sources" / "ehr.yaml").write_text("kind: mllp\nport: 12575\n")
    return root


async def _fill(root: Path) -> int:
    """How many were not refused at the door."""
    with open_folder(root, create=True) as opened:
        admitted = [
            hl7v2.admit(body, hl7v2.Rules(), source="ehr", received_at=AT + at) for at, body in enumerate(MESSAGES)
        ]
        await opened.journal.append(
            [Incoming(one.envelope, body, (0,)) for one, body in zip(admitted, MESSAGES, strict=True)]
        )
    return sum(not one.disposition.is_refusal for one in admitted)


def test_the_command_compares_the_journal_and_files(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = asyncio.run(_fill(folder))
    candidate = tmp_path / "maps.csv"
    candidate.write_text("map,sender,code,target,system,display\nAdministrativeSex,,F,other,,\n")
    page = tmp_path / "report.html"
    arguments = ["workbook", "diff", str(folder), "--candidate", str(candidate), "--html", str(page)]
    assert main([*arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["messages"]["different"] > 0
    assert report["messages"]["read"] == stored
    assert "<script" not in page.read_text()
    assert main([*arguments, "--last", "2"]) == 0
    assert "2 messages" in capsys.readouterr().out
    assert main([*arguments, "--since", "2100-01-01"]) == 1
    assert "nothing-compared" in capsys.readouterr().err
    assert main([*arguments, "--since", "yesterday"]) == 1
    assert main([*arguments, "--show-values"]) == 2
    assert main([*arguments, "--show-values", "--reason", "review"]) == 0
    assert '"female"' in capsys.readouterr().out
    message = tmp_path / "a.hl7"
    message.write_bytes(MESSAGES[0])
    assert main(["workbook", "diff", str(message), str(folder), "--candidate", str(candidate)]) == 0
    assert "a.hl7:1" in capsys.readouterr().out
    assert main(["workbook", "diff", str(folder), str(message), "--candidate", str(candidate)]) == 1
    assert "FOLDER comes last" in capsys.readouterr().err


def test_a_param_that_the_folder_decides_is_named_as_one_that_the_candidate_cannot_change(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = tmp_path / "a.hl7"
    message.write_bytes(MESSAGES[0])
    candidate = tmp_path / "params.csv"
    for text, is_said in (("zone,Europe/Berlin\n", True), ("provenance,no\n", False)):
        candidate.write_text(f"param,value\n{text}")
        assert main(["workbook", "diff", str(message), str(folder), "--candidate", str(candidate)]) == 0
        assert ("integration.yaml decides zone" in capsys.readouterr().err) == is_said


def test_a_spreadsheet_is_a_candidate_as_an_import_would_take_it(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message, file = tmp_path / "a.hl7", tmp_path / "review.xlsx"
    message.write_bytes(MESSAGES[0])
    assert main(["workbook", "export", str(folder), "-o", str(file)]) == 0
    book = openpyxl.load_workbook(file)
    head = [cell.value for cell in book["maps"][1]]
    line = next(cells for cells in book["maps"].iter_rows(min_row=2) if [one.value for one in cells][:3] == SEX)
    line[head.index("target")].value = "other"
    book.save(file)
    capsys.readouterr()
    arguments = ["workbook", "diff", str(message), str(folder), "--candidate", str(file)]
    assert main([*arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["messages"]["different"] == 1
    assert "map AdministrativeSex F changed" in report["changes"][0]
    assert not (folder / "workbook").exists()
    line[head.index("code")].value = None
    book.save(file)
    assert main(arguments) == 1
    assert "maps!" in (said := capsys.readouterr().err)
    assert "candidate-unusable" in said


def test_processes_give_the_report_of_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(_fill(folder))
    monkeypatch.setattr(workbook_feed, "PART", 3)
    monkeypatch.setattr(workbook_feed, "ALONE", 0)
    candidate = site(maps="map,sender,code,target,system,display\nAdministrativeSex,,F,other,,\n")
    reports = []
    for processes in (1, 2):
        work = DiffWork((BASE, candidate), (PARAMS, PARAMS), show_values=False)
        work.prepare()
        with open_folder(folder) as opened:
            feed = workbook_feed.feed_of_journal(opened, None, last=0, since=0, skips=lambda *_: False)
        assert len(feed.parts) > 1
        reports.append(compare_feed(feed, work, quiet=True, processes=processes))
    assert reports[0] == reports[1]
    assert reports[0].messages["different"] > 0


def test_the_command_says_what_is_wrong_with_a_candidate(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "rows.csv"
    bad.write_text(ROWS + "x,,PID,PID-5,XPN,,Patient.nam[+],XPN,,,,,r,draft\n")
    message = tmp_path / "a.hl7"
    message.write_bytes(MESSAGES[0])
    assert main(["workbook", "diff", str(message), str(folder), "--candidate", str(bad)]) == 1
    assert "target-unknown" in capsys.readouterr().err
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main(["workbook", "diff", str(message), str(folder), "--candidate", str(empty)]) == 1
    assert "candidate-unusable" in capsys.readouterr().err
    bad.write_text(ROWS)
    message.write_bytes(b"nothing")
    assert main(["workbook", "diff", str(message), str(folder), "--candidate", str(bad)]) == 1
    assert "nothing-compared" in capsys.readouterr().err


WORKLIST = """row_id,applies,anchor,source,when,target,transform,map,missing,owner
wl-line,fhir:Patient,Patient,,"gender in (""female"", ""male"")",worklist[],,,,ann
wl-id,fhir:Patient,Patient,id,,worklist[Id],text,,reject,ann
wl-name,fhir:Patient,Patient,name.family,,worklist[Name],text,,,ann
wl-visit,fhir:Encounter,Encounter,subject.resolve().birthDate,,visits[Born],text,,,ann
"""


def lines_changed(current: str, candidate: str) -> set[tuple[str, str, str, tuple[str, ...]]]:
    """(kind, table, column, rows) of what differs in tables."""
    few = [row for row in SMALL.rows if row.target.split(".")[0] in ("Patient", "Encounter")]
    own = [read_workbook([], [("rows.csv", text)]).rows for text in (current, candidate)]
    books = []
    for rows in own:
        names = {row.row_id for row in rows}
        kept = [row for row in few if row.row_id not in names]
        books.append(structs.replace(SMALL, rows=(*kept, *rows)))
    report = compare(books[1], books[0])
    cells = [(group, cell) for group in report.groups for cell in group.cells]
    return {
        (cell.kind, cell.type, cell.path, tuple(row.row for row in group.rows))
        for group, cell in cells
        if cell.type in ("worklist", "visits")
    }


def test_a_changed_column_of_a_table_made_of_fhir_is_named_with_its_row() -> None:
    assert lines_changed(WORKLIST, WORKLIST) == set()
    changed = lines_changed(WORKLIST, WORKLIST.replace("name.family", "name.given.first()"))
    assert changed == {("changed", "worklist", "Name", ("wl-name",))}


def test_a_new_column_and_a_table_that_goes_are_named() -> None:
    more = WORKLIST + "wl-born,fhir:Patient,Patient,birthDate,,worklist[Born],text,,,ann\n"
    assert ("added", "worklist", "Born", ("wl-born",)) in lines_changed(WORKLIST, more)
    without = "\n".join(line for line in WORKLIST.splitlines() if not line.startswith("wl-visit")) + "\n"
    assert {one[:2] for one in lines_changed(WORKLIST, without)} == {("removed", "visits")}


def test_what_a_row_changes_in_a_resource_is_seen_in_the_tables_made_of_it() -> None:
    site = 'pat-birth,,PID,PID-8,,Patient.birthDate,"const(""1900-01-01"")",,,ann\n'
    assert {one[:3] for one in lines_changed(WORKLIST, WORKLIST + site)} == {("changed", "visits", "Born")}
