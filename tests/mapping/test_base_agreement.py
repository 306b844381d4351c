"""Agreement with the FHIR that other projects expect, and that every listed difference has its reason on the page."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from shared_data import needs_shared

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "mapping-differences.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def agreement() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        import bench.agreement as module

        yield module
        for name in [name for name in sys.modules if name.partition(".")[0] == "bench"]:
            del sys.modules[name]


def test_every_code_of_a_difference_has_its_reason_on_the_page(agreement: ModuleType) -> None:
    rules = sys.modules["bench.agreement_rules"]
    heads = set(re.findall(r"^### (\S+)$", PAGE, re.MULTILINE))
    codes = {rule.code for rule in rules.RULES}
    assert codes == heads
    named = set(re.findall(r"`([a-z-]+)`", PAGE))
    unmade = {code for code, _, _ in rules._UNMADE} | set(rules._NEVER.values())
    assert len(unmade) > 15
    assert unmade - named == set()


def test_fields_are_compared_and_not_only_listed(agreement: ModuleType) -> None:
    out = agreement.Outcome()
    expected = [{"resourceType": "Patient", "id": "a", "gender": "male", "birthDate": "1961-06-15"}]
    ours = [{"resourceType": "Patient", "id": "b", "gender": "female", "birthDate": "1961-06-15"}]
    agreement.Comparison("v2-to-fhir-ig", "made up", expected, ours, out).run()
    assert {one.path: one.verdict for one in out.fields} == {"gender": "different", "birthDate": "equal"}


@needs_shared
def test_fields_agree_or_differ_for_a_reason(agreement: ModuleType) -> None:
    found = agreement.summary(agreement.compare())
    assert found["messages"] >= 199
    total = found["all"]
    assert total["fields"] > 36_000
    assert total["equal"] > 30_600  # a listed difference must not hide that something was lost
    assert total["agree_of_comparable_percent"] >= 94.9
    assert total["expected_value_wrong"] < 3_850  # only what is surely wrong; everything else counts against us
    assert total["expected_against_hl7_tables"] < 500  # only where a row of HL7's tables is named on the page
    assert total["agree_or_listed_percent"] >= 95
    assert all(part["agree_or_listed_percent"] >= 95 for part in found["folders"].values())
    assert found["types"]["Patient"]["agree_percent"] >= 78
    assert found["types"]["Practitioner"]["agree_percent"] >= 90
    assert found["types"]["Encounter"]["agree_percent"] >= 90
    assert found["types"]["Observation"]["agree_of_comparable_percent"] >= 85
    assert found["types"]["DiagnosticReport"]["agree_percent"] >= 89
