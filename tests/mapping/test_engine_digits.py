"""Digits of other scripts, enormous numbers and impossible offsets never become JSON numbers or FHIR times."""

from __future__ import annotations

import json
import re

import pytest

from hilum.formats import hl7v2
from hilum.mapping import Context, Plan, compile_workbook, load_base, render

ARABIC = str.maketrans("0123456789", "\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669")
TIME = re.compile(r'"(?:birthDate|\w*DateTime|issued|start|end)":"([^"]*)"')
FHIR_TIME = re.compile(
    r"[0-9]{4}(-[0-9]{2}(-[0-9]{2}(T[0-2][0-9]:[0-5][0-9]:[0-6][0-9](\.[0-9]+)?"
    r"(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9]))?)?)?"
)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return compile_workbook(load_base(), params={"zone": "America/New_York", "unknown_namespace": "local"})


def resources(
    plan: Plan, *, obx: str = "NM|718-7^Hgb^LN||13|g/dL", born: str = "19700101", at: str = "20260301"
) -> str:
    segments = (
        "MSH|^~\\&|LAB|HOSP|HILUM|X|20260301120000+0000||ORU^R01^ORU_R01|A|P|2.5.1||||||UNICODE UTF-8",
        f"PID|1||1^^^HOSP^MR||Family^Given||{born}|F",
        "OBR|1||F1^LAB|718-7^Hgb^LN|||20260301110000+0000|||||||||||||||20260301115000+0000||LAB|F",
        f"OBX|1|{obx}||||||F|||{at}",
    )
    record = hl7v2.parse(("\r".join(segments) + "\r").encode())
    mapped = plan.run(record, Context(source="test", sender=record.sender))
    assert mapped.accounting.adds_up
    rendered = [one.decode() for one in render(mapped)]
    for one in rendered:
        json.loads(one, parse_float=_finite)
        assert all(FHIR_TIME.fullmatch(time) for time in TIME.findall(one)), TIME.findall(one)
    return "\n".join(rendered)


def _finite(text: str) -> float:
    assert abs(float(text)) < 1e200
    return float(text)


@pytest.mark.parametrize(
    "value", ["13", "1.5", "3-5", ">7", "9" * 39], ids=["whole", "fraction", "range", "bound", "large"]
)
def test_numbers_in_digits_of_another_script_are_text_and_not_json(plan: Plan, value: str) -> None:
    usual = resources(plan, obx=f"NM|718-7^Hgb^LN||13|g/dL|{value}")
    assert '"value":13' in usual
    for written in (value.translate(ARABIC), f"1{value.translate(ARABIC)}"):
        resources(plan, obx=f"NM|718-7^Hgb^LN||{written}|g/dL")
        resources(plan, obx=f"NM|718-7^Hgb^LN||13|g/dL|{written}")
        resources(plan, obx=f"SN|718-7^Hgb^LN||>^{written}^-^{written}|g/dL")


@pytest.mark.parametrize("value", ["9" * 400, "1e999", "-1e-999999999", "0." + "1" * 400, "1" * 41 + "-2"])
def test_numbers_that_readers_cannot_hold_are_not_numbers(plan: Plan, value: str) -> None:
    assert f'"value":{value}' not in resources(plan, obx=f"NM|718-7^Hgb^LN||{value}|g/dL|{value}")


@pytest.mark.parametrize("time", ["19700101", "197001", "20260301110000", "20260301110000+0000"])
def test_times_in_digits_of_another_script_are_no_times(plan: Plan, time: str) -> None:
    for written in (time.translate(ARABIC), time[:-1] + time[-1].translate(ARABIC)):
        resources(plan, born=written, at=written)
        resources(plan, obx=f"TS|718-7^Hgb^LN||{written}|")
        resources(plan, obx=f"DT|718-7^Hgb^LN||{written}|")


@pytest.mark.parametrize("offset", ["+9999", "-1500", "+0060", "+2400"])
def test_an_offset_that_no_place_on_earth_has_is_no_time(plan: Plan, offset: str) -> None:
    assert f"{offset[:3]}:{offset[3:]}" not in resources(plan, at=f"20260301110000{offset}")
    assert f"{offset[:3]}:{offset[3:]}" not in resources(plan, at=f"202603011100{offset}")
