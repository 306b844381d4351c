"""Code maps as FHIR ConceptMaps: there and back without loss, valid R4, and a finding for what a line cannot say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.app.cli import main
from hilum.definitions import r4
from hilum.validation import Validator
from hilum.workbook import (
    ConceptMapFile,
    Review,
    concept_maps_of,
    plan_import,
    read_approvals,
    with_concept_maps,
)
from hilum.workbook.importing import Import
from workbook_tables import base, review

NOBODY = read_approvals(None, "")
VALIDATOR = Validator(r4())
MAPS = (
    {"map": "Sex", "code": "F", "target": "female", "system": "http://sex", "display": "Female", "owner": "reg"},
    {"map": "Sex", "code": "M", "target": "male", "system": "http://sex", "owner": "reg", "note": "as the standard"},
    {"map": "Sex", "sender": "LAB|N", "code": "F", "target": "", "owner": "reg", "note": "not told by them"},
    {"map": "Use.out", "code": "home", "target": "H", "owner": "reg"},
)
Maps = Sequence[dict[str, str]]
CELL = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=8).filter(
    lambda text: text == text.strip() and " " not in text
)


def opened_with(maps: Maps) -> Review:
    return review(below=base(maps=maps))


def exported(maps: Maps = MAPS, names: tuple[str, ...] = ()) -> dict[str, Any]:
    return concept_maps_of(opened_with(maps), "test", names)


def planned(*bodies: dict[str, Any], maps: Maps = MAPS, **given_: str) -> Import:
    opened = opened_with(maps)
    files = [ConceptMapFile("in.json", body) for body in bodies]
    return plan_import(opened, NOBODY, with_concept_maps(opened, "test", files, **given_))


def one(*elements: dict[str, Any], **more: Any) -> dict[str, Any]:
    group = {"target": "http://sex", "element": list(elements), **more.pop("group", {})}
    return {"resourceType": "ConceptMap", "name": "Sex", "status": "draft", "group": [group], **more}


def to(code: str, **more: Any) -> dict[str, Any]:
    return {"code": code, "equivalence": "equivalent", **more}


def test_each_map_of_each_sender_is_a_valid_concept_map_and_comes_back_as_it_was() -> None:
    made = exported()
    first, second, third = made
    assert (first, third) == ("Sex.json", "Use.out.json")
    assert second.startswith("Sex.LAB-N-")
    for body in made.values():
        assert VALIDATOR.report(json.dumps(body).encode()).is_valid
    (female, male) = made["Sex.json"]["group"][0]["element"]
    assert female["target"] == [{"code": "female", "display": "Female", "equivalence": "relatedto"}]
    assert male["target"][0]["comment"] == "as the standard"
    lab = next(body for body in made.values() if "useContext" in body)
    assert lab["group"][0]["element"][0]["target"][0]["equivalence"] == "unmatched"
    plan = planned(*made.values())
    assert (plan.changes, plan.findings, plan.documents) == ((), (), {})


@given(
    st.lists(st.tuples(st.sampled_from(["", "A|B", "A/B|*"]), CELL, CELL, CELL), min_size=1, unique_by=lambda e: e[:2])
)
def test_any_lines_come_back_as_they_were(lines: list[tuple[str, str, str, str]]) -> None:
    maps = [
        {"map": "Any", "sender": w, "code": c, "target": t, "system": f"urn:{len(d)}", "display": d, "owner": "reg"}
        for w, c, t, d in lines
    ]
    made = exported(maps)
    assert len(made) == len({sender for sender, *_ in lines})
    plan = planned(*made.values(), maps=maps)
    assert (plan.changes, plan.errors) == ((), 0)


def test_only_what_differs_is_shown_and_written_and_other_lines_stay() -> None:
    body = one({"code": "F", "target": [to("female")]}, {"code": "X", "target": [to("female")]})
    body["group"][0]["element"] += [{"code": "M", "target": [{"equivalence": "unmatched"}]}, {"code": "007"}]
    plan = planned(body)
    assert [(change.kind, change.name) for change in plan.changes] == [
        ("changed", "maps:Sex::M"),
        ("added", "maps:Sex::X"),
    ]
    written = {cell.column: cell.after for cell in plan.changes[1].cells}
    assert written["owner"] == "reg"
    assert (written["target"], written["display"], written["status"]) == ("female", "Female", "draft")
    assert plan.changes[1].place == "in.json: ConceptMap.group[0].element[1]"
    assert {cell.column: cell.after for cell in plan.changes[0].cells} == {"target": "", "system": ""}
    assert list(plan.documents) == ["maps.csv"]


def test_the_sender_and_the_map_are_those_of_the_file_unless_the_command_says_others() -> None:
    body = one({"code": "9", "target": [to("male")]})
    assert planned(body).changes[0].name == "maps:Sex::9"
    assert planned(body, sender="L|N", name="Use.out", owner="bob").changes[0].name == "maps:Use.out:L|N:9"
    told = exported(names=("Sex",))
    lab = next(body for body in told.values() if "useContext" in body)
    lab["group"][0]["element"][0]["target"] = [to("female")]
    assert planned(lab).changes[0].name == "maps:Sex:LAB|N:F"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (one({"code": "Z", "target": [to("male"), to("female")]}), "concept-map-several"),
        (one({"code": "Z", "target": [to("male")]}, {"code": "Z", "target": [to("male")]}), "concept-map-several"),
        (
            one({"code": "Z", "target": [to("male", dependsOn=[{"property": "a", "value": "b"}])]}),
            "concept-map-depends",
        ),
        (one({"target": [to("male")]}), "concept-map-incomplete"),
        (one({"code": "Z", "target": [{"equivalence": "equal"}]}), "concept-map-incomplete"),
        (one({"code": "Z", "target": [to("male")]}, name="no name"), "concept-map-unnamed"),
    ],
)
def test_what_a_line_cannot_say_is_an_error_and_nothing_is_written(body: dict[str, Any], code: str) -> None:
    plan = planned(body)
    assert [finding.code for finding in plan.findings] == [code]
    assert plan.findings[0].location.startswith("in.json: ConceptMap.")
    assert plan.errors == 1


def test_what_becomes_of_all_other_codes_is_said_to_be_of_the_rows() -> None:
    body = one({"code": "Z", "target": [to("male")]}, group={"unmapped": {"mode": "provided"}})
    plan = planned(body)
    assert ([finding.code for finding in plan.findings], plan.errors) == (["concept-map-unmapped"], 0)
    assert len(plan.changes) == 1


def test_the_commands_write_files_and_take_them_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = tmp_path / "site", tmp_path / "out"
    assert main(["init", str(folder)]) == 0
    export = ["workbook", "export-concept-maps", str(folder), "-o", str(out), "--map", "AdministrativeSex"]
    assert main(export) == 0
    assert [path.name for path in out.iterdir()] == ["AdministrativeSex.json"]
    body = json.loads((out / "AdministrativeSex.json").read_text())
    body["group"][0]["element"].append({"code": "W", "target": [{"code": "female", "equivalence": "wider"}]})
    (out / "AdministrativeSex.json").write_text(json.dumps(body))
    assert main(export) == 1  # somebody worked on it
    capsys.readouterr()
    taking = ["workbook", "import-concept-maps", str(out / "AdministrativeSex.json"), str(folder)]
    assert main(taking) == 0
    assert "maps:AdministrativeSex::W" in capsys.readouterr().out
    assert not (folder / "workbook" / "maps.csv").exists()
    assert main([*taking, "--yes", "--json"]) == 0
    assert "workbook/maps.csv" in json.loads(capsys.readouterr().out)["written"]
    assert main(["check", str(folder)]) == 0
    assert main([*taking, "--yes"]) == 0
    assert "nothing was changed" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["no json", '{"resourceType":"ConceptMap"}', '{"resourceType":"Patient"}'])
def test_a_file_that_is_no_valid_concept_map_is_refused(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["init", str(tmp_path / "site")])
    (tmp_path / "in.json").write_text(content)
    assert main(["workbook", "import-concept-maps", str(tmp_path / "in.json"), str(tmp_path / "site"), "--yes"]) == 1
    assert "concept-map-invalid" in capsys.readouterr().err
