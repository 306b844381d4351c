"""`hilum workbook test`: samples of rows, whole messages, and that nothing passes because nothing was asked."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from hilum.app.cli import main
from hilum.errors import ConfigError
from hilum.mapping import base_files, read_rules, read_workbook
from hilum.workbook import Check, TestReport, TestRun, Verdict, to_junit
from hilum.workbook.comparing import decode, differences, shown
from hilum.workbook.samples import read_sample

ROWS = (
    "row_id,applies,anchor,source,type,when,target,transform,map,missing,unmapped,repeats,owner,status,sample,expect\n"
)
SEX = "pat-sex,,PID,PID-8,CWE,,Patient.gender,code,AdministrativeSex,,,,registration,draft,{sample},{expect}\n"
TESTS = "test_id,row_id,message,path,sample,expect,note\n"
PARAMS = "param,value\nzone,America/Chicago\n"
A01 = (
    "MSH|^~\\&|EHR|GENHOSP|HILUM|C|20260302083000-0500||ADT^A01^ADT_A01|1|P|2.5.1\n"
    "PID|1||100200^^^SSA^SS||Rivera^Ana||19700102|F\nPV1|1|I\n"
)


def report(
    only: tuple[str, ...] = (), files: dict[str, str] | None = None, own: bool = True, **tables: str
) -> TestReport:
    """The report over a site's tables."""
    site = [(f"{name}.csv", text) for name, text in {"params": PARAMS, **tables}.items()]

    def read_file(layer: str, name: str) -> bytes:
        if layer != "site" or name not in (files or {}):
            raise FileNotFoundError(2, "No such file", name)
        return (files or {})[name].encode()

    run = TestRun(read_workbook(base_files(), site), {}, read_file=read_file, rows=only, own=own)
    return run.report(run.run())


def checks_of(*, files: dict[str, str] | None = None, **tables: str) -> dict[str, Check]:
    found = {check.test: check for check in report((), files, True, **tables).checks}
    return {name: check for name, check in found.items() if check.layer == "site"}


def message_test(path: str, expect: str) -> Check:
    line = f'one,,a01.hl7,{path},,"{expect.replace(chr(34), chr(34) * 2)}",\n'
    return checks_of(files={"a01.hl7": A01, "a01.json": "[]"}, tests=TESTS + line)["one"]


def test_a_row_passes_on_its_sample_and_fails_with_expected_and_got() -> None:
    assert checks_of(rows=ROWS + SEX.format(sample="PID-8=F", expect="female"))["pat-sex"].verdict is Verdict.PASSED
    failed = checks_of(rows=ROWS + SEX.format(sample="PID-8=F", expect="male"))["pat-sex"]
    assert failed.verdict is Verdict.FAILED
    (one,) = failed.discrepancies
    assert (one.path, one.expected, one.got) == ("gender", '"male"', '"female"')
    assert failed.where == "rows.csv:2:16"


@pytest.mark.parametrize("sample", ["F", "PID-8=F", "kind=ADT^A08;PID-8=F;", "PID-8=F;param.zone=Europe/Berlin"])
def test_a_sample_is_the_text_of_the_field_or_names_its_fields(sample: str) -> None:
    assert checks_of(rows=ROWS + SEX.format(sample=sample, expect="female"))["pat-sex"].verdict is Verdict.PASSED


def test_a_sample_that_cannot_be_read_says_so() -> None:
    broken = checks_of(rows=ROWS + SEX.format(sample="sex=F", expect="female"))["pat-sex"]
    assert broken.verdict is Verdict.BROKEN
    assert "sex" in broken.problem


def test_a_sample_that_decides_an_unknown_parameter_says_so() -> None:
    broken = checks_of(rows=ROWS + SEX.format(sample="PID-8=F;param.zome=UTC", expect="female"))["pat-sex"]
    assert broken.verdict is Verdict.BROKEN
    assert "param-unknown" in broken.problem


def test_a_held_sample_is_broken_unless_it_expects_to_be_held() -> None:
    held = checks_of(rows=ROWS + SEX.format(sample="PID-3=1^^^NOBODY^MR;PID-8=F", expect="female"))["pat-sex"]
    assert held.verdict is Verdict.BROKEN
    assert "namespace-unknown" in held.problem
    line = 's,pat-sex,,,PID-3=1^^^NOBODY^MR;PID-8=F,"{""held"": ""namespace-unknown""}",\n'
    wanted = checks_of(tests=TESTS + line)["s"]
    assert [one.path for one in wanted.discrepancies] in ([], ["gender"])


def test_exceptions_of_a_row_can_be_expected() -> None:
    line = 's,pat-sex,,,PID-8=Q,"{""exceptions"": [""code-unmapped PID-8""]}",\n'
    assert checks_of(tests=TESTS + line)["s"].verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("path", "expect"),
    [
        ("Patient.name.family", "Rivera"),
        ("Patient.name", '{"family": "Rivera", "given": ["Ana"]}'),
        ("Patient.name", '[{"family": "Rivera", "given": ["Ana"]}]'),
        ("Patient.identifier[type.coding.code=SS].value", "100200"),
        ("Patient[0].birthDate", "1970-01-02"),
        ("Patient.photo", "null"),
        ("Patient.photo", "[]"),
        ("held", "null"),
        ("merges", "[]"),
        ("cleared", "[]"),
        ("exceptions", "[]"),
        ("resources.Patient", "1"),
        ("accounting", '{"exceptions": 0}'),
        ("accounting.exceptions", "0"),
    ],
)
def test_a_whole_message_is_tested_by_path(path: str, expect: str) -> None:
    check = message_test(path, expect)
    assert check.verdict is Verdict.PASSED, check


@pytest.mark.parametrize(
    ("path", "expect"),
    [
        ("Patient.name.family", "Riviera"),
        ("held", "no-rows"),
        ("accounting", '{"exceptions": 7}'),
        ("Patient.photo", "x"),
    ],
)
def test_a_whole_message_that_says_something_else_fails(path: str, expect: str) -> None:
    assert message_test(path, expect).verdict is Verdict.FAILED


@pytest.mark.parametrize("path", ["hold", "patient.name", "Patient..name", "Patient.name["])
def test_a_path_that_means_nothing_is_broken_not_passed(path: str) -> None:
    assert message_test(path, "null").verdict is Verdict.BROKEN


def test_all_resources_of_a_message_can_be_expected() -> None:
    missing = message_test("", "[]")
    assert missing.verdict is Verdict.FAILED
    assert all(one.expected == "" and one.got for one in missing.discrepancies)
    none = message_test("", '[{"resourceType": "Observation"}]')
    assert any(one.path == "Observation" and not one.got for one in none.discrepancies)
    assert message_test("", "a01.json").verdict is Verdict.FAILED
    assert message_test("", "not JSON").verdict is Verdict.BROKEN
    assert message_test("", "absent.json").verdict is Verdict.BROKEN


def test_a_message_can_stand_in_the_cell_or_be_absent_or_unreadable() -> None:
    inline = f'one,,"{A01.strip()}",Patient.gender,,female,\n'
    absent = "two,,nowhere.hl7,Patient.gender,,female,\n"
    bad = "three,,bad.hl7,Patient.gender,,female,\n"
    found = checks_of(files={"bad.hl7": "no message"}, tests=TESTS + inline + absent + bad)
    assert [found[name].verdict for name in ("one", "two", "three")] == [Verdict.PASSED, Verdict.BROKEN, Verdict.BROKEN]


def test_a_site_without_a_single_test_fails() -> None:
    found = report(rows=ROWS + SEX.format(sample="", expect=""))
    assert not found.ok
    assert [one.code for one in found.findings] == ["row-untested", "workbook-untested"]
    assert found.untested == (("pat-sex", "rows.csv:2:15", "site"),)


def test_a_folder_without_tables_passes_on_the_samples_of_the_base() -> None:
    found = report(own=False)
    assert found.ok
    assert len(found.checks) > 400


def test_only_the_rows_that_are_asked_for_are_tested() -> None:
    found = report(only=("pat-name",), own=False)
    assert [check.test for check in found.checks] == ["pat-name"]
    unknown = report(only=("pat-nmae",))
    assert not unknown.ok
    assert unknown.findings[0].code == "test-row-unknown"
    assert "pat-name" in unknown.findings[0].hint


def test_a_test_of_a_row_that_is_not_there_is_a_finding() -> None:
    found = report(tests=TESTS + "s,pat-sax,,,M,male,\n")
    assert not found.ok
    assert "test-row-unknown" in [one.code for one in found.findings]


def test_a_workbook_that_does_not_compile_is_not_tested() -> None:
    with pytest.raises(ConfigError):
        report(rows=ROWS + SEX.format(sample="F", expect="female").replace("Patient.gender", "Patient.genders"))


def test_the_report_for_ci_counts_failures_errors_and_rows_without_a_sample() -> None:
    rows = (
        ROWS
        + SEX.format(sample="F", expect="male\x07")
        + "new,,PID,PID-35,CWE,,Patient.maritalStatus,CWE,,,,,r,draft,,\n"
    )
    root = ElementTree.fromstring(to_junit(report(own=False, rows=rows, tests=TESTS + "t,,x.hl7,held,,null,\n")))
    suites = {suite.get("name"): suite.attrib for suite in root}
    assert suites["workbook.site"] | {"failures": "1", "errors": "1", "skipped": "1"} == suites["workbook.site"]
    assert int(suites["workbook.base"]["tests"]) > 400


def test_numbers_are_compared_by_their_text_and_lists_by_their_items() -> None:
    assert decode("0.10") != decode("0.1")
    assert decode('"1"') != decode("1")
    assert decode("1") != decode("true")
    assert not list(differences(decode('{"a": [0.10]}'), decode('{"a": [0.10]}')))
    (moved,) = differences([1, 2], [2, 1], "x")
    assert (moved.path, moved.expected, moved.got) == ("x", "[1, 2]", "[2, 1]")
    assert [one.path for one in differences([{"a": 1}, {"b": 2}], [{"b": 2}, {"a": 3}], "x")] == ["x[1].a"]
    assert shown(decode('{"a": [0.10, null, true, "é"]}')) == '{"a": [0.10, null, true, "é"]}'


def test_a_sample_may_name_a_second_segment_and_hold_a_semicolon() -> None:
    rule = next(
        rule for rule in read_rules(read_workbook(base_files(), inspection=True))[0] if rule.row.row_id == "pat-name"
    )
    sample = read_sample("kind=ORU^R01;OBX-5=a; b;OBX[2]-5=c;NTE-3=of the second;ZPI-1=z", rule)
    assert [line.split("|")[0] for line in sample.message().decode().split("\r")[2:-1]] == ["OBX", "OBX", "NTE", "ZPI"]
    assert b"a; b" in sample.message()


def test_the_command_tests_a_folder_and_writes_junit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables = tmp_path / "workbook"
    tables.mkdir()
    (tables / "params.csv").write_text(PARAMS)
    (tables / "rows.csv").write_text(ROWS + SEX.format(sample="F", expect="male"))
    assert main(["workbook", "test", str(tmp_path), "--own", "--junit", str(tmp_path / "junit.xml")]) == 1
    said = capsys.readouterr().out
    assert "rows.csv:2:16 failed pat-sex" in said
    assert 'expected  "male"' in said
    assert ElementTree.parse(tmp_path / "junit.xml").getroot().tag == "testsuites"
    (tables / "rows.csv").write_text(ROWS + SEX.format(sample="F", expect="female"))
    assert main(["workbook", "test", str(tmp_path), "--row", "pat-sex", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["passed"] == 1
    assert main(["workbook", "test", str(tmp_path / "nowhere")]) == 2


def test_the_command_reads_no_file_outside_of_the_workbook(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "workbook").mkdir()
    (tmp_path / "secret.hl7").write_text(A01)
    (tmp_path / "workbook" / "params.csv").write_text(PARAMS)
    (tmp_path / "workbook" / "tests.csv").write_text(TESTS + "t,,../secret.hl7,Patient.gender,,female,\n")
    assert main(["workbook", "test", str(tmp_path), "--own"]) == 1
    assert "outside of the folder" in capsys.readouterr().out
