"""A test report as JUnit XML, the form that CI servers read: one suite for the base, one for the site."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from hilum.workbook.verdicts import Check, TestReport, Verdict

__all__ = ["to_junit"]

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(report: TestReport) -> bytes:
    """The report as XML. A row without a sample is a skipped test, a finding a test case that has an error."""
    root = ElementTree.Element("testsuites")
    for layer in ("base", "site"):
        checks = [check for check in report.checks if check.layer == layer]
        untested = [one for one in report.untested if one[2] == layer]
        findings = [one for one in report.findings if one.code != "row-untested"] if layer == "site" else []
        if not checks and not untested and not findings:
            continue
        suite = ElementTree.SubElement(root, "testsuite", name=f"workbook.{layer}")
        for check in checks:
            _add_case(suite, layer, check)
        for row, where, _ in untested:
            case = ElementTree.SubElement(suite, "testcase", name=row, classname=f"workbook.{layer}", file=_file(where))
            ElementTree.SubElement(case, "skipped", message="the row has no sample")
        for finding in findings:
            case = ElementTree.SubElement(suite, "testcase", name=finding.code, classname=f"workbook.{layer}")
            ElementTree.SubElement(case, "error", type=finding.code, message=_clean(str(finding)))
        cases = suite.findall("testcase")
        suite.set("tests", str(len(cases)))
        for word, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            suite.set(word, str(len(suite.findall(f"testcase/{tag}"))))
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def _add_case(suite: ElementTree.Element, layer: str, check: Check) -> None:
    case = ElementTree.SubElement(
        suite, "testcase", name=_clean(check.test), classname=f"workbook.{layer}", file=_file(check.where)
    )
    if check.verdict is Verdict.FAILED:
        lines = [
            f"{one.path}: expected {one.expected or 'nothing'}, got {one.got or 'nothing'}"
            for one in check.discrepancies
        ]
        text = f"{check.where} {len(lines)} differences"
        ElementTree.SubElement(case, "failure", message=_clean(text)).text = _clean("\n".join(lines))
    elif check.verdict is Verdict.BROKEN:
        ElementTree.SubElement(case, "error", message=_clean(f"{check.where} {check.problem}"))


def _file(where: str) -> str:
    return _clean(where.partition(":")[0])


def _clean(text: str) -> str:
    """XML has no way to write control characters."""
    return _NOT_XML.sub("?", text)
